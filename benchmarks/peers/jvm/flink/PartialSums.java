package cxbench;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.util.OutputTag;

/**
 * Sums telemetry per cohort window right behind the source, so that sums cross the network instead of events. All sums leave before
 * a checkpoint's barrier does, so that the operator needs no state (Flink SQL's bundle operators work the same way); the watermark
 * waits with them, so that no sum is ever late. Frictions and contacts go to the side.
 */
final class PartialSums extends AbstractStreamOperator<Row> implements OneInputStreamOperator<Event, Row> {
    static final OutputTag<Event> JOIN = new OutputTag<>("join", Serializers.EVENT);
    private static final int MOST = 20_000;

    private transient Map<Cohort, Sketch> sums;
    private transient StreamRecord<Row> sum;
    private transient StreamRecord<Event> side;
    private transient Watermark waiting;

    @Override
    public void open() throws Exception {
        super.open();
        sums = new HashMap<>();
        sum = new StreamRecord<>(null);
        side = new StreamRecord<>(null);
    }

    @Override
    public void processElement(StreamRecord<Event> element) {
        Event event = element.getValue();
        if (event.topic == Event.TELEMETRY) {
            sums.computeIfAbsent(Cohort.of(event), cohort -> new Sketch()).add(event.customer, event.latencyMs);
            if (sums.size() >= MOST) flush();
        }
        if (event.topic == Event.CONTACT || event.isFriction()) output.collect(JOIN, side.replace(event, event.timeMs));
    }

    @Override
    public void processWatermark(Watermark mark) {
        waiting = mark;
    }

    @Override
    public void prepareSnapshotPreBarrier(long checkpoint) {
        flush();
    }

    @Override
    public void finish() {
        flush();
    }

    private void flush() {
        sums.forEach((cohort, sketch) -> output.collect(sum.replace(new Row(cohort, sketch, null, null), cohort.windowMs)));
        sums.clear();
        if (waiting == null) return;
        output.emitWatermark(waiting);
        waiting = null;
    }
}
