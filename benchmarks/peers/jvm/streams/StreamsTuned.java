package cxbench;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.AutoOffsetReset;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.TimestampExtractor;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.StoreBuilder;

/**
 * Job J on Kafka Streams as far as it can be tuned: one processor per input partition, live objects in front of logged in-memory
 * stores, rows sent when caches are flushed, that is right before offsets are committed. Argument: the processing guarantee.
 *
 * <p>The task takes the record with the lowest event time over its three topics, so that a contact meets the frictions before it.
 */
public final class StreamsTuned {
    /** Windows stay live so long after the newest one and are deleted so long after it. */
    private static final long LIVE_MS = 60_000;
    private static final long KEPT_MS = 10 * 60_000;

    private StreamsTuned() {}

    public static void main(String[] arguments) throws Exception {
        Contract contract = Contract.read();
        Rows.createTables(contract);
        Meter meter = new Meter(contract);
        Path folder = Folder.create();
        String application = contract.freshId("kafka-streams-tuned");
        KafkaStreams streams = new KafkaStreams(topology(contract, meter), tune(contract, application, folder, arguments[0]));
        Runs.run(contract, application, streams, folder, broker -> {
            meter.awaitAll();
            broker.awaitCommitted(application, meter.ends());
            meter.report();
        });
    }

    private static Properties tune(Contract contract, String application, Path folder, String guarantee) {
        Properties properties = Inputs.properties(contract, application, folder.toString());
        properties.put("processing.guarantee", guarantee);
        properties.put("num.stream.threads", "1");
        properties.put("buffered.records.per.partition", "2000");
        properties.put("main.consumer.max.poll.records", "2000");
        properties.put("producer.compression.type", "lz4");
        properties.put("producer.linger.ms", "20");
        properties.put("producer.batch.size", "131072");
        return properties;
    }

    private static Topology topology(Contract contract, Meter meter) {
        Topology topology = new Topology();
        Decoder decoder = new Decoder();
        TimestampExtractor eventTime = Inputs.eventTime(meter);
        String[] sources = new String[Contract.NOUNS.size()];
        for (int topic = 0; topic < sources.length; topic++) {
            sources[topic] = "source-" + topic;
            topology.addSource(
                AutoOffsetReset.earliest(), sources[topic], eventTime, new ByteArrayDeserializer(),
                Inputs.deserializer(decoder, topic), contract.topic(topic));
        }
        topology.addProcessor("job", new ProcessorSupplier<byte[], Event, Void, Void>() {
            @Override
            public Processor<byte[], Event, Void, Void> get() {
                return new Job(contract);
            }

            @Override
            public Set<StoreBuilder<?>> stores() {
                return Set.of(
                    new LiveStore.Builder<>("cohorts", Bytes.COHORT, Bytes.SKETCH),
                    new LiveStore.Builder<>("frictions", Serdes.String(), Bytes.FRICTIONS));
            }
        }, sources);
        return topology;
    }

    /** The job of one partition. */
    private static final class Job implements Processor<byte[], Event, Void, Void> {
        private final Rows rows;
        /** Cohorts of the windows that are still live, by window. */
        private final Map<Long, List<Cohort>> windows = new HashMap<>();
        private final Map<Long, List<Cohort>> released = new HashMap<>();
        private LiveStore<Cohort, Sketch> cohorts;
        private LiveStore<String, Frictions> frictions;
        private int part;
        private long newestMs;
        private long sweptMs;

        Job(Contract contract) {
            rows = new Rows(contract);
        }

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            part = context.taskId().partition();
            cohorts = context.getStateStore("cohorts");
            frictions = context.getStateStore("frictions");
            try (KeyValueIterator<Cohort, Sketch> restored = cohorts.all()) {
                restored.forEachRemaining(entry -> noted(released, entry.key));
            }
            cohorts.beforeFlush = this::send;
            cohorts.afterFlush = this::forgetWindows;
            frictions.afterFlush = this::forgetFrictions;
        }

        private static void noted(Map<Long, List<Cohort>> by, Cohort cohort) {
            by.computeIfAbsent(cohort.windowMs, window -> new ArrayList<>()).add(cohort);
        }

        @Override
        public void process(Record<byte[], Event> record) {
            Event event = record.value();
            if (event.topic == Event.HEARTBEAT) return;
            newestMs = Math.max(newestMs, event.timeMs);
            if (event.topic == Event.TELEMETRY) count(event);
            if (event.topic == Event.CONTACT) join(event);
            else if (event.isFriction()) remember(event);
        }

        private void count(Event event) {
            Cohort cohort = Cohort.of(event);
            Sketch sketch = cohorts.get(cohort);
            if (sketch == null) {
                sketch = new Sketch();
                cohorts.add(cohort, sketch);
                noted(windows, cohort);
            }
            if (!sketch.dirty) {
                sketch.dirty = true;
                cohorts.changed(cohort);
            }
            sketch.add(event.customer, event.latencyMs);
        }

        private void remember(Event event) {
            Frictions known = frictions.get(event.customer);
            if (known == null) {
                known = new Frictions();
                frictions.add(event.customer, known);
            }
            if (!known.dirty) {
                known.dirty = true;
                frictions.changed(event.customer);
            }
            known.add(event.timeMs, event.frictionKind());
        }

        private void join(Event contact) {
            Frictions known = frictions.get(contact.customer);
            rows.joined(contact, known == null ? Frictions.Summary.NONE : known.upTo(contact.timeMs));
        }

        private void send() {
            for (Cohort cohort : cohorts.changes()) {
                Sketch sketch = cohorts.get(cohort);
                rows.aggregate(cohort, part, sketch);
                sketch.dirty = false;
            }
            rows.flush();
        }

        private void forgetWindows() {
            move(windows, newestMs - LIVE_MS, cohort -> {
                cohorts.release(cohort);
                noted(released, cohort);
            });
            move(released, newestMs - KEPT_MS, cohorts::delete);
        }

        private static void move(Map<Long, List<Cohort>> from, long beforeMs, java.util.function.Consumer<Cohort> to) {
            from.entrySet().removeIf(entry -> {
                if (entry.getKey() >= beforeMs) return false;
                entry.getValue().forEach(to);
                return true;
            });
        }

        /** Live frictions are only those of this commit; once a minute of event time old customers are deleted. */
        private void forgetFrictions() {
            frictions.releaseAll();
            if (newestMs < sweptMs + 60_000) return;
            sweptMs = newestMs;
            List<String> old = new ArrayList<>();
            try (KeyValueIterator<String, Frictions> all = frictions.all()) {
                all.forEachRemaining(entry -> {
                    if (entry.value.allBefore(newestMs - Frictions.KEPT_MS)) old.add(entry.key);
                });
            }
            old.forEach(frictions::delete);
        }
    }
}
