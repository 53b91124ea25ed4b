package cxbench;

/** One decoded record: only the fields that job J looks at. */
public final class Event {
    public static final byte TELEMETRY = 0;
    public static final byte ORDER = 1;
    public static final byte CONTACT = 2;
    /** A source is alive; carries a time and nothing else. */
    public static final byte HEARTBEAT = 3;

    public byte topic;
    public int partition;
    public long offset;

    public String id;
    /** When it happened, ms since 1970 UTC. */
    public long timeMs;
    public String customer;

    public String product = "";
    public String version = "";
    public String region = "";
    /** Code of the failure, "" if there is none. */
    public String error = "";
    /** Duration in ms, NaN if it is not known. */
    public double latencyMs = Double.NaN;
    /** Outcome of telemetry, status of an order or a contact. */
    public String outcome = "";

    public String channel = "";
    public String reason = "";

    /** True if the customer met trouble here: failed telemetry, a failed, late or cancelled order. */
    public boolean isFriction() {
        return switch (topic) {
            case TELEMETRY -> outcome.equals("failed");
            case ORDER -> outcome.equals("payment_failed") || outcome.equals("late") || outcome.equals("cancelled");
            default -> false;
        };
    }

    /** Which trouble: the error code of telemetry, the status of an order. */
    public String frictionKind() {
        return topic == TELEMETRY ? error : outcome;
    }
}
