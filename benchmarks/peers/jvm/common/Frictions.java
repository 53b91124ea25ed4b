package cxbench;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** The frictions of one customer over 30 minutes of event time, in the order of arrival. */
public final class Frictions {
    public static final long KEPT_MS = 30 * 60_000;

    private long[] times = new long[2];
    private String[] kinds = new String[2];
    private int size;
    /** Changed since it was last written; for {@code LiveStore}. */
    public boolean dirty;

    /** Frictions of a customer up to a contact: how many, and the kind of the last one ("" if there is none). */
    public record Summary(int count, String last) {
        public static final Summary NONE = new Summary(0, "");
    }

    /** Adds one and drops what is more than 30 minutes older. */
    public Frictions add(long timeMs, String kind) {
        expire(timeMs - KEPT_MS);
        append(timeMs, kind);
        return this;
    }

    private void expire(long beforeMs) {
        int kept = 0;
        for (int i = 0; i < size; i++) {
            if (times[i] < beforeMs) continue;
            times[kept] = times[i];
            kinds[kept++] = kinds[i];
        }
        Arrays.fill(kinds, kept, size, null);
        size = kept;
    }

    /** True if all of them are older. */
    public boolean allBefore(long timeMs) {
        for (int i = 0; i < size; i++) if (times[i] >= timeMs) return false;
        return true;
    }

    /** What happened in the 30 minutes up to a time. */
    public Summary upTo(long timeMs) {
        int count = 0;
        int last = -1;
        for (int i = 0; i < size; i++) {
            if (times[i] > timeMs || times[i] < timeMs - KEPT_MS) continue;
            count++;
            if (last < 0 || times[i] >= times[last]) last = i;
        }
        return count == 0 ? Summary.NONE : new Summary(count, kinds[last]);
    }

    /** Bytes: per friction its time, the length of its kind, the kind. */
    public byte[] toBytes() {
        byte[][] texts = new byte[size][];
        int length = 0;
        for (int i = 0; i < size; i++) {
            texts[i] = kinds[i].getBytes(StandardCharsets.UTF_8);
            length += 10 + texts[i].length;
        }
        ByteBuffer out = ByteBuffer.allocate(length);
        for (int i = 0; i < size; i++) out.putLong(times[i]).putShort((short) texts[i].length).put(texts[i]);
        return out.array();
    }

    /** The inverse of {@link #toBytes}. */
    public static Frictions fromBytes(byte[] bytes) {
        ByteBuffer in = ByteBuffer.wrap(bytes);
        Frictions frictions = new Frictions();
        while (in.hasRemaining()) {
            long time = in.getLong();
            byte[] text = new byte[in.getShort()];
            in.get(text);
            frictions.append(time, new String(text, StandardCharsets.UTF_8));
        }
        return frictions;
    }

    private void append(long timeMs, String kind) {
        if (size == times.length) {
            times = Arrays.copyOf(times, size * 2);
            kinds = Arrays.copyOf(kinds, size * 2);
        }
        times[size] = timeMs;
        kinds[size++] = kind;
    }
}
