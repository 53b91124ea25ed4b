package cxbench;

import com.dslplatform.json.DslJson;
import com.dslplatform.json.JsonReader;
import com.dslplatform.json.NumberConverter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/**
 * JSON to {@link Event} with dsl-json's pull reader, fields in any order. Checks that the document is well formed, that every
 * required field is there and that the fields it keeps have their types and ranges; all other fields are skipped. Strings of few
 * values (labels) come from a cache, so that most events allocate two strings. Not thread-safe.
 */
public final class Decoder {
    private static final long MIN_TIME_MS = 946_684_800_000L;
    private static final long MAX_TIME_MS = 4_102_444_800_000L;

    private enum Kind { ID, TIME, CUSTOMER, PRODUCT, VERSION, REGION, ERROR, LATENCY, OUTCOME, CHANNEL, REASON, REQUIRED_TEXT }

    private record Field(byte[] name, Kind kind, int required) {}

    private final JsonReader<Object> reader = new DslJson<>().newReader();
    private final String[] labels = new String[1024];
    private final Field[][] fields = new Field[3][];
    private final int[][] hashes = new int[3][];
    private final int[] required = new int[3];

    public Decoder() {
        String ids = "event_id:ID! event_time_ms:TIME! customer_id:CUSTOMER! ";
        set(Event.TELEMETRY, ids + "product:PRODUCT! app_version:VERSION region:REGION event_name:REQUIRED_TEXT! outcome:OUTCOME! "
            + "error_code:ERROR latency_ms:LATENCY");
        set(Event.ORDER, ids + "order_id:REQUIRED_TEXT! status:OUTCOME! product:REQUIRED_TEXT!");
        set(Event.CONTACT, ids + "contact_id:REQUIRED_TEXT! channel:CHANNEL! reason:REASON");
    }

    private void set(int topic, String written) {
        String[] parts = written.split(" ");
        fields[topic] = new Field[parts.length];
        hashes[topic] = new int[parts.length];
        for (int i = 0; i < parts.length; i++) {
            String[] halves = parts[i].split(":");
            boolean must = halves[1].endsWith("!");
            fields[topic][i] = new Field(
                halves[0].getBytes(StandardCharsets.UTF_8), Kind.valueOf(halves[1].replace("!", "")), must ? 1 << i : 0);
            hashes[topic][i] = weakHash(halves[0]);
            required[topic] |= fields[topic][i].required;
        }
    }

    private int weakHash(String name) {
        byte[] document = ("{\"" + name + "\":1}").getBytes(StandardCharsets.UTF_8);
        try {
            reader.process(document, document.length);
            reader.getNextToken();
            reader.getNextToken();
            return reader.fillNameWeakHash();
        } catch (IOException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    /** Decodes one value of one topic. A document that carries no required field but a time is a heartbeat. */
    public Event decode(int topic, byte[] value) {
        try {
            return read(topic, value);
        } catch (IOException bad) {
            throw new IllegalArgumentException(bad);
        }
    }

    private Event read(int topic, byte[] value) throws IOException {
        reader.process(value, value.length);
        Event event = new Event();
        event.topic = (byte) topic;
        if (reader.getNextToken() != '{') throw reader.newParseError("an object was expected");
        int seen = 0;
        byte token = reader.getNextToken();
        while (token == '"') {
            int hash = reader.fillNameWeakHash();
            Field field = find(topic, hash);
            token = reader.getNextToken();
            if (field == null) {
                token = reader.skip();
            } else {
                seen |= field.required;
                keep(event, field.kind, token);
                token = reader.getNextToken();
            }
            if (token != ',') break;
            token = reader.getNextToken();
        }
        if (token != '}') throw reader.newParseError("'}' was expected");
        if (seen != required[topic]) {
            if (event.customer != null || event.timeMs == 0) throw new IOException("a required field is missing");
            event.topic = Event.HEARTBEAT;
        }
        return event;
    }

    private Field find(int topic, int hash) {
        int[] known = hashes[topic];
        for (int i = 0; i < known.length; i++) {
            if (known[i] == hash && reader.wasLastName(fields[topic][i].name)) return fields[topic][i];
        }
        return null;
    }

    private void keep(Event event, Kind kind, byte token) throws IOException {
        switch (kind) {
            case ID -> event.id = text(token);
            case CUSTOMER -> event.customer = text(token);
            case TIME -> {
                event.timeMs = NumberConverter.deserializeLong(reader);
                if (event.timeMs < MIN_TIME_MS || event.timeMs > MAX_TIME_MS) throw reader.newParseError("time out of range");
            }
            case LATENCY -> {
                if (token == 'n' && reader.wasNull()) return;
                event.latencyMs = NumberConverter.deserializeDouble(reader);
                if (!(event.latencyMs >= 0)) throw reader.newParseError("negative duration");
            }
            case ERROR -> {
                if (token == 'n' && reader.wasNull()) return;
                event.error = label(token);
            }
            case PRODUCT -> event.product = label(token);
            case VERSION -> event.version = label(token);
            case REGION -> event.region = label(token);
            case OUTCOME -> event.outcome = label(token);
            case CHANNEL -> event.channel = label(token);
            case REASON -> event.reason = label(token);
            default -> label(token);
        }
    }

    private String text(byte token) throws IOException {
        if (token != '"') throw reader.newParseError("a string was expected");
        return reader.readString();
    }

    private String label(byte token) throws IOException {
        if (token != '"') throw reader.newParseError("a string was expected");
        int slot = reader.calcHash() & labels.length - 1;
        String known = labels[slot];
        return known != null && reader.wasLastName(known) ? known : (labels[slot] = reader.getLastName());
    }
}
