package cxbench;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;

/**
 * Job J in the DSL, as its documentation teaches: telemetry is re-keyed by cohort through a repartition topic and aggregated in
 * windows; frictions are aggregated per customer into a table that contacts join; both results go to topics, and a consumer of its
 * own ({@link SinkConsumer}) delivers them, as a sink connector would. Defaults of the library, except what the contract asks for.
 */
public final class StreamsIdiomatic {
    /** So far may the input partitions drift apart while the application catches up; later records would be dropped. */
    private static final Duration GRACE = Duration.ofHours(1);

    private StreamsIdiomatic() {}

    /** What the cohort aggregation needs of one telemetry event. */
    private record Sample(String customer, double latencyMs) {}

    private record Friction(long timeMs, String kind) {}

    private static final Serde<Sample> SAMPLE = Bytes.of(
        sample -> {
            byte[] customer = sample.customer.getBytes(StandardCharsets.UTF_8);
            return ByteBuffer.allocate(8 + customer.length).putDouble(sample.latencyMs).put(customer).array();
        },
        bytes -> new Sample(new String(bytes, 8, bytes.length - 8, StandardCharsets.UTF_8), ByteBuffer.wrap(bytes).getDouble()));

    public static void main(String[] arguments) throws Exception {
        Contract contract = Contract.read();
        Rows.createTables(contract);
        Meter meter = new Meter(contract);
        Path folder = Folder.create();
        String application = contract.freshId("kafka-streams-idiomatic");
        String aggregates = application + "-aggregates";
        String joined = application + "-joined";
        try (Broker broker = new Broker(contract)) {
            broker.create(List.of(aggregates, joined));
        }
        SinkConsumer sink = new SinkConsumer(contract, application + "-sink", aggregates, joined);
        KafkaStreams streams = new KafkaStreams(
            topology(contract, meter, aggregates, joined), Inputs.properties(contract, application, folder.toString()));
        sink.start();
        Runs.run(contract, application, streams, folder, broker -> {
            meter.awaitAll();
            broker.awaitCommitted(application, meter.ends());
            broker.awaitCommitted(application, broker.ends(application, "-repartition"));
            broker.awaitCommitted(sink.group, broker.ends(aggregates, ""));
            broker.awaitCommitted(sink.group, broker.ends(joined, ""));
            meter.report();
            sink.close();
        });
    }

    private static Topology topology(Contract contract, Meter meter, String aggregates, String joined) {
        StreamsBuilder builder = new StreamsBuilder();
        KStream<String, Event> telemetry = stream(builder, contract, meter, Event.TELEMETRY);
        KStream<String, Event> orders = stream(builder, contract, meter, Event.ORDER);
        KStream<String, Event> contacts = stream(builder, contract, meter, Event.CONTACT);

        telemetry
            .map((customer, event) -> KeyValue.pair(Cohort.of(event).in(0), new Sample(event.customer, event.latencyMs)))
            .groupByKey(Grouped.with("cohorts", Bytes.COHORT, SAMPLE))
            .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofMillis(Cohort.WINDOW_MS), GRACE))
            .aggregate(Sketch::new, (cohort, sample, sketch) -> sketch.add(sample.customer, sample.latencyMs),
                Materialized.with(Bytes.COHORT, Bytes.SKETCH))
            .toStream((window, sketch) -> window.key().in(window.window().start()))
            .to(aggregates, Produced.with(Bytes.COHORT, Bytes.SKETCH));

        KTable<String, Frictions> frictions = telemetry.merge(orders)
            .filter((customer, event) -> event.isFriction())
            .mapValues(event -> new Friction(event.timeMs, event.frictionKind()))
            .groupByKey()
            .aggregate(Frictions::new, (customer, friction, known) -> known.add(friction.timeMs, friction.kind),
                Materialized.with(Serdes.String(), Bytes.FRICTIONS));
        contacts
            .leftJoin(frictions, SinkConsumer.Contact::of, Joined.with(Serdes.String(), null, Bytes.FRICTIONS))
            .to(joined, Produced.with(Serdes.String(), SinkConsumer.CONTACT));
        return builder.build();
    }

    private static KStream<String, Event> stream(StreamsBuilder builder, Contract contract, Meter meter, int topic) {
        Serde<Event> events = Serdes.serdeFrom((name, event) -> null, Inputs.deserializer(new Decoder(), topic));
        return builder
            .stream(contract.topic(topic), Consumed.with(Serdes.String(), events).withTimestampExtractor(Inputs.eventTime(meter)))
            .filter((key, event) -> event.topic != Event.HEARTBEAT);
    }
}
