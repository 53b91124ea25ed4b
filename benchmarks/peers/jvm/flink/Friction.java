package cxbench;

/** One friction of one customer, as state. */
record Friction(long timeMs, String kind) {}
