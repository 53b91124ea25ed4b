package cxbench;

import java.util.Arrays;
import java.util.List;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** Kafka records to events; counts them, leaves heartbeats out. */
final class EventSchema implements KafkaRecordDeserializationSchema<Event> {
    private static final byte[] HEARTBEAT = "cx.heartbeat".getBytes();

    private transient Decoder decoder;
    private transient List<String> topics;

    @Override
    public void open(DeserializationSchema.InitializationContext context) {
        decoder = new Decoder();
        topics = FlinkTuned.contract.topics();
    }

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Event> out) {
        if (Arrays.equals(record.key(), HEARTBEAT)) return;
        Event event = decoder.decode(topics.indexOf(record.topic()), record.value());
        event.partition = record.partition();
        event.offset = record.offset();
        FlinkTuned.meter.event(event);
        out.collect(event);
    }

    @Override
    public TypeInformation<Event> getProducedType() {
        return Serializers.EVENT;
    }
}
