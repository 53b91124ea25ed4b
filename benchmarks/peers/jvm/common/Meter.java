package cxbench;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.TopicPartition;

/** Counts records as they are handled and times the run. One thread counts (all peers read on one thread); any thread may wait. */
public final class Meter {
    private static final OperatingSystemMXBean SYSTEM = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    private final Contract contract;
    private final long[][] last = new long[Contract.NOUNS.size()][Contract.PARTITIONS];
    private final CountDownLatch all = new CountDownLatch(1);
    private long handled;
    private long contacts;
    private long startNs;
    private long startCpuNs;
    private long halfCpuNs;

    public Meter(Contract contract) {
        this.contract = contract;
        for (long[] topic : last) java.util.Arrays.fill(topic, -1);
    }

    /** Counts one event (not a heartbeat). */
    public void event(Event event) {
        if (handled++ == 0) {
            startNs = System.nanoTime();
            startCpuNs = SYSTEM.getProcessCpuTime();
        }
        if (event.topic == Event.CONTACT) contacts++;
        last[event.topic][event.partition] = event.offset;
        if (handled % 50000 == 0 && System.getenv("TRACE") != null) System.err.printf("%d %.2f %.2f%n", handled, (System.nanoTime() - startNs) / 1e9, (SYSTEM.getProcessCpuTime() - startCpuNs) / 1e9);
        if (handled == contract.events() / 2) halfCpuNs = SYSTEM.getProcessCpuTime();
        if (handled == contract.events()) all.countDown();
    }

    /** True when every event was read. */
    public boolean isDone() {
        return all.getCount() == 0;
    }

    /** Waits until every event was read. */
    public void awaitAll() throws InterruptedException {
        all.await();
    }

    /** Contacts among the events; asked after {@link #awaitAll}. */
    public long contacts() {
        return contacts;
    }

    /** Offset after the last event of each input partition: what has to be committed. Asked after {@link #awaitAll}. */
    public Map<TopicPartition, Long> ends() {
        Map<TopicPartition, Long> ends = new HashMap<>();
        for (int topic = 0; topic < last.length; topic++) {
            for (int partition = 0; partition < Contract.PARTITIONS; partition++) {
                long offset = last[topic][partition];
                if (offset >= 0) ends.put(new TopicPartition(contract.topic(topic), partition), offset + 1);
            }
        }
        return ends;
    }

    /** Prints the result; the run ends now. */
    public void report() throws IOException {
        double wall = (System.nanoTime() - startNs) / 1e9;
        long cpuNs = SYSTEM.getProcessCpuTime();
        double warm = (cpuNs - halfCpuNs) / 1e9 / (handled - contract.events() / 2) * 1e6;
        System.out.printf(
            Locale.ROOT, "RESULT {\"events\":%d,\"wall_s\":%.3f,\"cpu_s\":%.3f,\"rss_mb\":%.0f,\"warm_cpu_s_per_million\":%.3f}%n",
            contract.events(), wall, (cpuNs - startCpuNs) / 1e9, peakRssMb(), warm);
        System.out.flush();
    }

    private static double peakRssMb() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM")) return Long.parseLong(line.replaceAll("\\D", "")) / 1024.0;
        }
        return 0;
    }
}
