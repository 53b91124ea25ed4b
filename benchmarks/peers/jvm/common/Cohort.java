package cxbench;

import java.io.Serializable;

/** One cohort in one 10 s window of event time. */
public final class Cohort implements Serializable {
    public static final long WINDOW_MS = 10_000;

    /** Start of the window, ms since 1970 UTC; 0 where the engine keeps the window beside the key. */
    public final long windowMs;
    public final String product;
    public final String version;
    public final String region;
    public final String error;
    private final int hash;

    public Cohort(long windowMs, String product, String version, String region, String error) {
        this.windowMs = windowMs;
        this.product = product;
        this.version = version;
        this.region = region;
        this.error = error;
        int mixed = product.hashCode();
        mixed = 31 * mixed + version.hashCode();
        mixed = 31 * mixed + region.hashCode();
        mixed = 31 * mixed + error.hashCode();
        hash = 31 * mixed + Long.hashCode(windowMs / WINDOW_MS);
    }

    /** The cohort of one telemetry event. */
    public static Cohort of(Event event) {
        return new Cohort(windowOf(event.timeMs), event.product, event.version, event.region, event.error);
    }

    /** Start of the window that a time lies in. */
    public static long windowOf(long timeMs) {
        return Math.floorDiv(timeMs, WINDOW_MS) * WINDOW_MS;
    }

    /** The same cohort in a window. */
    public Cohort in(long window) {
        return new Cohort(window, product, version, region, error);
    }

    @Override
    public int hashCode() {
        return hash;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Cohort that && windowMs == that.windowMs && product.equals(that.product)
            && version.equals(that.version) && region.equals(that.region) && error.equals(that.error);
    }
}
