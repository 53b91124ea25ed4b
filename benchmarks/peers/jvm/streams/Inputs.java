package cxbench;

import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.streams.processor.TimestampExtractor;

/** How both Kafka Streams peers read: decode, take event time, count. */
final class Inputs {
    private static final byte[] HEARTBEAT = "cx.heartbeat".getBytes();

    private Inputs() {}

    /** Decodes the values of one topic; all tasks of a peer share one thread, so that they may share a decoder. */
    static Deserializer<Event> deserializer(Decoder decoder, int topic) {
        return (name, bytes) -> decoder.decode(topic, bytes);
    }

    /** Event time, as it is also the place that sees where a record lies: fills that in and counts the event. */
    static TimestampExtractor eventTime(Meter meter) {
        return (ConsumerRecord<Object, Object> record, long streamTime) -> {
            Event event = (Event) record.value();
            event.partition = record.partition();
            event.offset = record.offset();
            if (isHeartbeat(record.key())) event.topic = Event.HEARTBEAT;
            else meter.event(event);
            return event.timeMs;
        };
    }

    private static boolean isHeartbeat(Object key) {
        return key instanceof byte[] bytes ? Arrays.equals(bytes, HEARTBEAT) : "cx.heartbeat".equals(key);
    }

    /** What both peers set: who they are, from the start, commit about once a second, fetch as the contract says. */
    static Properties properties(Contract contract, String application, String folder) {
        Properties properties = new Properties();
        properties.put("application.id", application);
        properties.put("bootstrap.servers", contract.bootstrap());
        properties.put("state.dir", folder);
        properties.put("commit.interval.ms", "1000");
        properties.put("auto.offset.reset", "earliest");
        properties.put("main.consumer.fetch.max.wait.ms", "50");
        properties.put("main.consumer.fetch.min.bytes", "1");
        return properties;
    }
}
