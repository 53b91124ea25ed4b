package cxbench;

import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkOutput;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Job J on Flink's DataStream interface in a mini cluster, parallelism 1: one Kafka source, pre-aggregation chained to it, absolute
 * aggregates and frictions in keyed state on the heap, a full snapshot each second (exactly once), rows sent at each snapshot.
 */
public final class FlinkTuned {
    /** How far behind the newest event of its partition an event may be. */
    private static final Duration DISORDER = Duration.ofSeconds(5);
    /** How far a partition may run ahead of the slowest one. */
    private static final Duration DRIFT = Duration.ofSeconds(20);

    /** Of this run; the mini cluster lives in this process, so that operators reach it without being sent it. */
    static Contract contract;
    static Meter meter;
    /** Opens when a checkpoint is complete that holds everything. */
    static final CountDownLatch STORED = new CountDownLatch(1);

    private FlinkTuned() {}

    public static void main(String[] arguments) throws Exception {
        contract = Contract.read();
        meter = new Meter(contract);
        Rows.createTables(contract);
        Path folder = Folder.create();
        String group = contract.freshId("flink-tuned");
        try (Broker broker = new Broker(contract)) {
            JobClient job = start(group, folder);
            job.getJobExecutionResult().whenComplete((result, failure) -> {
                if (failure == null) return;
                failure.printStackTrace();
                Runtime.getRuntime().halt(1);
            });
            meter.awaitAll();
            STORED.await();
            broker.awaitCommitted(group, meter.ends());
            meter.report();
        }
        Folder.remove(folder);
        Runtime.getRuntime().halt(0); // the cluster's threads have nothing left to do
    }

    private static JobClient start(String group, Path folder) throws Exception {
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.createLocalEnvironment(1, configuration(folder));
        environment.enableCheckpointing(1000, CheckpointingMode.EXACTLY_ONCE);
        SingleOutputStreamOperator<Row> partial = environment
            .fromSource(source(group), watermarks(), "kafka", Serializers.EVENT)
            .transform("partial sums", Serializers.ROW, new PartialSums());
        partial.keyBy(Row::cohort, Serializers.COHORT).process(new Merge(), Serializers.ROW).sinkTo(new ClickHouseSink());
        partial.getSideOutput(PartialSums.JOIN).keyBy(event -> event.customer, Types.STRING)
            .process(new JoinFrictions(), Serializers.ROW).sinkTo(new ClickHouseSink());
        return environment.executeAsync("job J");
    }

    private static Configuration configuration(Path folder) {
        Configuration configuration = new Configuration();
        configuration.set(StateBackendOptions.STATE_BACKEND, "hashmap");
        configuration.set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
        configuration.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, folder.toUri().toString());
        configuration.set(PipelineOptions.OBJECT_REUSE, true);
        configuration.set(PipelineOptions.GENERIC_TYPES, false);
        configuration.set(ExecutionOptions.BUFFER_TIMEOUT, Duration.ofMillis(20));
        configuration.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.ofMebiBytes(16));
        configuration.set(TaskManagerOptions.NETWORK_MEMORY_MIN, MemorySize.ofMebiBytes(64));
        configuration.set(TaskManagerOptions.NETWORK_MEMORY_MAX, MemorySize.ofMebiBytes(64));
        return configuration;
    }

    private static KafkaSource<Event> source(String group) {
        return KafkaSource.<Event>builder()
            .setBootstrapServers(contract.bootstrap())
            .setTopics(contract.topics())
            .setGroupId(group)
            .setStartingOffsets(OffsetsInitializer.earliest())
            .setDeserializer(new EventSchema())
            .setProperty("commit.offsets.on.checkpoint", "true")
            .setProperty("max.poll.records", "2000")
            .setProperty("fetch.max.wait.ms", "50")
            .setProperty("fetch.min.bytes", "1")
            .build();
    }

    /** Bounded disorder per partition; partitions that run ahead wait. */
    private static WatermarkStrategy<Event> watermarks() {
        return WatermarkStrategy.<Event>forGenerator(context -> new UntilTheEnd())
            .withTimestampAssigner((event, timestamp) -> event.timeMs)
            .withWatermarkAlignment("inputs", DRIFT, Duration.ofMillis(200));
    }

    /** Bounded disorder, and the end of time once all events of the run were read. */
    private static final class UntilTheEnd implements WatermarkGenerator<Event> {
        private long newestMs = Long.MIN_VALUE + DISORDER.toMillis() + 1;

        @Override
        public void onEvent(Event event, long timestamp, WatermarkOutput output) {
            newestMs = Math.max(newestMs, timestamp);
        }

        @Override
        public void onPeriodicEmit(WatermarkOutput output) {
            output.emitWatermark(meter.isDone() ? Watermark.MAX_WATERMARK : new Watermark(newestMs - DISORDER.toMillis() - 1));
        }
    }
}
