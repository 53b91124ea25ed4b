package cxbench;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.Serde;

/** Takes result topics to ClickHouse: about once a second the newest row of each key and all joined rows, then the offsets. */
final class SinkConsumer extends Thread {
    final String group;
    private final Contract contract;
    private final String aggregates;
    private final String joined;
    private volatile boolean closed;

    /** One joined contact as it travels. */
    record Contact(Event event, Frictions.Summary frictions) {
        static Contact of(Event contact, Frictions known) {
            return new Contact(contact, known == null ? Frictions.Summary.NONE : known.upTo(contact.timeMs));
        }
    }

    static final Serde<Contact> CONTACT = Bytes.of(SinkConsumer::write, SinkConsumer::read);

    SinkConsumer(Contract contract, String group, String aggregates, String joined) {
        super("clickhouse-sink");
        this.contract = contract;
        this.group = group;
        this.aggregates = aggregates;
        this.joined = joined;
    }

    /** Ends the thread. */
    void close() throws InterruptedException {
        closed = true;
        join();
    }

    @Override
    public void run() {
        try {
            deliver();
        } catch (RuntimeException failure) {
            failure.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }

    private void deliver() {
        Rows rows = new Rows(contract);
        Map<Cohort, ConsumerRecord<byte[], byte[]>> newest = new HashMap<>();
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            consumer.subscribe(List.of(aggregates, joined));
            for (long sentNs = System.nanoTime(); !closed;) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) take(record, rows, newest);
                if (System.nanoTime() - sentNs < 1_000_000_000L) continue;
                newest.forEach((cohort, record) -> rows.aggregate(cohort, record.partition(), Sketch.fromBytes(record.value())));
                newest.clear();
                rows.flush();
                consumer.commitSync();
                sentNs = System.nanoTime();
            }
        }
    }

    private void take(ConsumerRecord<byte[], byte[]> record, Rows rows, Map<Cohort, ConsumerRecord<byte[], byte[]>> newest) {
        if (record.topic().equals(aggregates)) {
            newest.put(Bytes.COHORT.deserializer().deserialize(aggregates, record.key()), record);
        } else {
            Contact contact = read(record.value());
            rows.joined(contact.event, contact.frictions);
        }
    }

    private KafkaConsumer<byte[], byte[]> consumer() {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", contract.bootstrap());
        properties.put("group.id", group);
        properties.put("enable.auto.commit", "false");
        properties.put("auto.offset.reset", "earliest");
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static byte[] write(Contact contact) {
        Event event = contact.event;
        String texts = String.join(
            "\0", event.id, event.customer, event.channel, event.reason, contact.frictions.last());
        byte[] bytes = texts.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(24 + bytes.length).putLong(event.timeMs).putLong(event.offset).putInt(event.partition)
            .putInt(contact.frictions.count()).put(bytes).array();
    }

    private static Contact read(byte[] bytes) {
        ByteBuffer in = ByteBuffer.wrap(bytes);
        Event event = new Event();
        event.timeMs = in.getLong();
        event.offset = in.getLong();
        event.partition = in.getInt();
        int count = in.getInt();
        String[] texts = new String(bytes, in.position(), in.remaining(), StandardCharsets.UTF_8).split("\0", -1);
        event.id = texts[0];
        event.customer = texts[1];
        event.channel = texts[2];
        event.reason = texts[3];
        return new Contact(event, new Frictions.Summary(count, texts[4]));
    }
}
