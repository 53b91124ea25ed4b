package cxbench;

import java.nio.ByteBuffer;

/** What is known of one cohort window: records, distinct customers (HyperLogLog, 2^10 cells), durations (64 log buckets). */
public final class Sketch {
    private static final int CELLS = 1024;
    public static final int BUCKETS = 64;
    private static final double LOG_BASE = Math.log(1.25);
    private static final double ALPHA = 0.7213 / (1 + 1.079 / CELLS);
    private static final double[] POWERS = new double[65];

    static {
        for (int i = 0; i < POWERS.length; i++) POWERS[i] = Math.pow(2, -i);
    }

    public long n;
    private final byte[] cells;
    public final int[] buckets;
    /** Changed since it was last written; for {@code LiveStore}. */
    public boolean dirty;

    public Sketch() {
        this(new byte[CELLS], new int[BUCKETS]);
    }

    private Sketch(byte[] cells, int[] buckets) {
        this.cells = cells;
        this.buckets = buckets;
    }

    /** A copy that shares nothing. */
    public Sketch copy() {
        Sketch copy = new Sketch(cells.clone(), buckets.clone());
        copy.n = n;
        return copy;
    }

    /** Counts one record; a NaN duration is counted nowhere else. */
    public Sketch add(String customer, double latencyMs) {
        n++;
        long hash = hash(customer);
        int cell = (int) (hash >>> 54);
        byte rank = (byte) (Long.numberOfLeadingZeros(hash << 10 | 512) + 1);
        if (rank > cells[cell]) cells[cell] = rank;
        if (latencyMs == latencyMs) buckets[bucket(latencyMs)]++;
        return this;
    }

    /** Adds what another sketch knows. */
    public void merge(Sketch other) {
        n += other.n;
        for (int i = 0; i < CELLS; i++) if (other.cells[i] > cells[i]) cells[i] = other.cells[i];
        for (int i = 0; i < BUCKETS; i++) buckets[i] += other.buckets[i];
    }

    private static int bucket(double latencyMs) {
        return latencyMs <= 1 ? 0 : Math.min(BUCKETS - 1, (int) (Math.log(latencyMs) / LOG_BASE));
    }

    /** FNV-1a over the characters, then a 64-bit finaliser (Stafford's mix 13). */
    private static long hash(String text) {
        long h = 0xcbf29ce484222325L;
        for (int i = 0, length = text.length(); i < length; i++) h = (h ^ text.charAt(i)) * 0x100000001b3L;
        h = (h ^ h >>> 30) * 0xbf58476d1ce4e5b9L;
        h = (h ^ h >>> 27) * 0x94d049bb133111ebL;
        return h ^ h >>> 31;
    }

    /** Estimated number of distinct customers; linear counting while cells are empty. */
    public double unique() {
        double sum = 0;
        int empty = 0;
        for (byte cell : cells) {
            if (cell == 0) empty++;
            sum += POWERS[cell];
        }
        double raw = ALPHA * CELLS * CELLS / sum;
        return raw <= 2.5 * CELLS && empty > 0 ? CELLS * Math.log((double) CELLS / empty) : raw;
    }

    /** Bytes: n, cells (pairs if few are set, else all), buckets that are not zero. */
    public byte[] toBytes() {
        int set = 0;
        int used = 0;
        for (byte cell : cells) if (cell != 0) set++;
        for (int bucket : buckets) if (bucket != 0) used++;
        boolean pairs = set * 3 < CELLS;
        ByteBuffer out = ByteBuffer.allocate(8 + 2 + (pairs ? set * 3 : CELLS) + used * 5);
        out.putLong(n).putShort((short) (pairs ? set : -1));
        if (pairs) {
            for (int i = 0; i < CELLS; i++) if (cells[i] != 0) out.putShort((short) i).put(cells[i]);
        } else {
            out.put(cells);
        }
        for (int i = 0; i < BUCKETS; i++) if (buckets[i] != 0) out.put((byte) i).putInt(buckets[i]);
        return out.array();
    }

    /** The inverse of {@link #toBytes}. */
    public static Sketch fromBytes(byte[] bytes) {
        ByteBuffer in = ByteBuffer.wrap(bytes);
        Sketch sketch = new Sketch();
        sketch.n = in.getLong();
        int set = in.getShort();
        if (set < 0) in.get(sketch.cells);
        for (int i = 0; i < set; i++) {
            int cell = in.getShort();
            sketch.cells[cell] = in.get();
        }
        while (in.hasRemaining()) {
            int bucket = in.get();
            sketch.buckets[bucket] = in.getInt();
        }
        return sketch;
    }
}
