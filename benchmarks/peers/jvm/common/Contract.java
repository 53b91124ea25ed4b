package cxbench;

import com.dslplatform.json.DslJson;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

/** What the harness tells a peer: where the servers are, which topics to read, how many events to handle. */
public record Contract(String bootstrap, String prefix, long events, String table, String url, Map<String, Object> clickhouse) {

    /** Number of partitions of each topic. */
    public static final int PARTITIONS = 4;
    /** The topics without their prefix; the index is {@link Event#topic}. */
    public static final List<String> NOUNS = List.of("cx.telemetry.v1", "cx.order.v1", "cx.contact.v1");

    /** Reads the environment; throws if something is missing. */
    @SuppressWarnings("unchecked")
    public static Contract read() throws IOException {
        byte[] json = need("BENCH_CLICKHOUSE").getBytes(StandardCharsets.UTF_8);
        Map<String, Object> clickhouse = new DslJson<>().deserialize(Map.class, json, json.length);
        String url = "http://" + clickhouse.get("host") + ":" + clickhouse.get("http_port") + "/";
        return new Contract(
            need("BENCH_BOOTSTRAP"), need("BENCH_PREFIX"), Long.parseLong(need("BENCH_EVENTS")),
            need("BENCH_NAME").replace('-', '_'), url, clickhouse);
    }

    private static String need(String name) {
        String value = System.getenv(name);
        if (value == null) throw new IllegalStateException(name + " is not set");
        return value;
    }

    /** Name on the wire of one of {@link #NOUNS}. */
    public String topic(int index) {
        return prefix + NOUNS.get(index);
    }

    /** All three topics. */
    public List<String> topics() {
        return NOUNS.stream().map(noun -> prefix + noun).toList();
    }

    /** A name nobody used before: application or group id of this run. */
    public String freshId(String peer) {
        return peer + "-" + System.currentTimeMillis() + "-" + ProcessHandle.current().pid();
    }
}
