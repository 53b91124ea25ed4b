package cxbench;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Rows of the two tables, gathered as RowBinary and sent over HTTP (one kept-alive connection per thread). Not thread-safe. */
public final class Rows {
    private static final int TRIES = 4;

    private final Contract contract;
    private final Buffer aggregates = new Buffer();
    private final Buffer joined = new Buffer();

    public Rows(Contract contract) {
        this.contract = contract;
    }

    /** Creates the tables of a run. */
    public static void createTables(Contract contract) {
        String label = "LowCardinality(String)";
        send(contract, "CREATE TABLE IF NOT EXISTS " + contract.table() + "_agg (win DateTime, product " + label + ", app_version " + label
            + ", region " + label + ", error_code " + label + ", part UInt16, n UInt64, uniq Float64, sketch String, v UInt64) "
            + "ENGINE = ReplacingMergeTree(v) ORDER BY (win, product, app_version, region, error_code, part)", new Buffer());
        send(contract, "CREATE TABLE IF NOT EXISTS " + contract.table() + "_joined (event_id String, event_time DateTime64(3), "
            + "customer_id String, channel " + label + ", reason " + label + ", frictions UInt32, last_friction String, part UInt16, "
            + "off UInt64) ENGINE = ReplacingMergeTree ORDER BY (part, off)", new Buffer());
    }

    /** One absolute row; its version is its number of records, which only grows. */
    public void aggregate(Cohort cohort, int part, Sketch sketch) {
        Buffer out = aggregates;
        out.number(cohort.windowMs / 1000, 4);
        out.text(cohort.product);
        out.text(cohort.version);
        out.text(cohort.region);
        out.text(cohort.error);
        out.number(part, 2);
        out.number(sketch.n, 8);
        out.number(Double.doubleToRawLongBits(sketch.unique()), 8);
        out.length(4 * Sketch.BUCKETS);
        for (int count : sketch.buckets) out.number(count, 4);
        out.number(sketch.n, 8);
    }

    /** One contact with its frictions. */
    public void joined(Event contact, Frictions.Summary frictions) {
        Buffer out = joined;
        out.text(contact.id);
        out.number(contact.timeMs, 8);
        out.text(contact.customer);
        out.text(contact.channel);
        out.text(contact.reason);
        out.number(frictions.count(), 4);
        out.text(frictions.last());
        out.number(contact.partition, 2);
        out.number(contact.offset, 8);
    }

    /** Sends everything; returns when ClickHouse has stored it. */
    public void flush() {
        if (aggregates.size > 0) send(contract, "INSERT INTO " + contract.table() + "_agg FORMAT RowBinary", aggregates);
        if (joined.size > 0) send(contract, "INSERT INTO " + contract.table() + "_joined FORMAT RowBinary", joined);
        aggregates.size = 0;
        joined.size = 0;
    }

    private static void send(Contract contract, String query, Buffer body) {
        for (int attempt = 1;; attempt++) {
            try {
                post(contract, query, body);
                return;
            } catch (IOException failed) {
                if (attempt == TRIES) throw new UncheckedIOException(failed);
            }
        }
    }

    private static void post(Contract contract, String query, Buffer body) throws IOException {
        String url = contract.url() + "?database=" + contract.clickhouse().get("database") + "&query="
            + URLEncoder.encode(query, StandardCharsets.UTF_8);
        HttpURLConnection connection = (HttpURLConnection) URI.create(url).toURL().openConnection();
        connection.setRequestMethod("POST");
        connection.setRequestProperty("X-ClickHouse-User", (String) contract.clickhouse().get("user"));
        connection.setRequestProperty("X-ClickHouse-Key", (String) contract.clickhouse().get("password"));
        connection.setDoOutput(true);
        connection.setFixedLengthStreamingMode(body.size);
        try (OutputStream out = connection.getOutputStream()) {
            out.write(body.bytes, 0, body.size);
        }
        boolean stored = connection.getResponseCode() == HttpURLConnection.HTTP_OK;
        try (InputStream answer = stored ? connection.getInputStream() : connection.getErrorStream()) {
            String words = answer == null ? "" : new String(answer.readAllBytes(), StandardCharsets.UTF_8);
            if (!stored) throw new IOException("ClickHouse: " + words);
        }
    }

    /** Bytes in ClickHouse's RowBinary. */
    private static final class Buffer {
        byte[] bytes = new byte[1 << 16];
        int size;

        private void room(int more) {
            if (bytes.length - size < more) bytes = Arrays.copyOf(bytes, Math.max(bytes.length * 2, size + more));
        }

        void number(long value, int width) {
            room(width);
            for (int i = 0; i < width; i++, value >>>= 8) bytes[size++] = (byte) value;
        }

        void length(int value) {
            room(5);
            for (; value >= 128; value >>>= 7) bytes[size++] = (byte) (value | 128);
            bytes[size++] = (byte) value;
        }

        void text(String value) {
            byte[] encoded = value.getBytes(StandardCharsets.UTF_8);
            length(encoded.length);
            room(encoded.length);
            System.arraycopy(encoded, 0, bytes, size, encoded.length);
            size += encoded.length;
        }
    }
}
