package cxbench;

import java.nio.file.Path;
import java.time.Duration;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/** Starts a Kafka Streams application, waits as told, stops it and takes its topics and folder away. */
final class Runs {
    private Runs() {}

    /** Waits for the end of a run and reports it. */
    interface Wait {
        void until(Broker broker) throws Exception;
    }

    static void run(Contract contract, String application, KafkaStreams streams, Path folder, Wait wait) throws Exception {
        streams.setUncaughtExceptionHandler(failure -> {
            failure.printStackTrace();
            Runtime.getRuntime().halt(1);
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        try (Broker broker = new Broker(contract)) {
            streams.start();
            wait.until(broker);
            streams.close(Duration.ofSeconds(20));
            broker.deleteAll(application);
        }
        Folder.remove(folder);
    }
}
