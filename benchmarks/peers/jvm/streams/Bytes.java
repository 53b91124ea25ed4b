package cxbench;

import java.nio.charset.StandardCharsets;
import java.util.function.Function;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** Serdes of the job's values. */
final class Bytes {
    static final Serde<Sketch> SKETCH = of(Sketch::toBytes, Sketch::fromBytes);
    static final Serde<Frictions> FRICTIONS = of(Frictions::toBytes, Frictions::fromBytes);
    /** Labels hold no control characters, so that one separates them. */
    static final Serde<Cohort> COHORT = of(Bytes::write, Bytes::read);

    private Bytes() {}

    /** A serde from two functions; null stays null. */
    static <T> Serde<T> of(Function<T, byte[]> write, Function<byte[], T> read) {
        return Serdes.serdeFrom(
            (topic, value) -> value == null ? null : write.apply(value), (topic, bytes) -> bytes == null ? null : read.apply(bytes));
    }

    private static byte[] write(Cohort cohort) {
        return String.join("\0", Long.toString(cohort.windowMs), cohort.product, cohort.version, cohort.region, cohort.error)
            .getBytes(StandardCharsets.UTF_8);
    }

    private static Cohort read(byte[] bytes) {
        String[] parts = new String(bytes, StandardCharsets.UTF_8).split("\0", -1);
        return new Cohort(Long.parseLong(parts[0]), parts[1], parts[2], parts[3], parts[4]);
    }
}
