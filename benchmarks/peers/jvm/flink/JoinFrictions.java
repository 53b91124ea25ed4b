package cxbench;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.StateTtlConfig;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * Joins each contact to the frictions of its customer in the 30 minutes before it. A contact waits until the watermark has passed
 * it, so that the result does not depend on how the topics were interleaved.
 */
final class JoinFrictions extends KeyedProcessFunction<String, Event, Row> implements CheckpointedFunction, CheckpointListener {
    /** Clean-up of frictions, in processing time; a little more than they count, because contacts wait for the watermark. */
    private static final Duration KEPT = Duration.ofMillis(Frictions.KEPT_MS).plusMinutes(5);

    private transient ListState<Friction> frictions;
    private transient ListState<Event> waiting;
    private transient long joined;
    private transient long completeAt;

    @Override
    public void open(OpenContext context) {
        ListStateDescriptor<Friction> described = new ListStateDescriptor<>("frictions", Serializers.FRICTION);
        described.enableTimeToLive(StateTtlConfig.newBuilder(KEPT).build());
        frictions = getRuntimeContext().getListState(described);
        waiting = getRuntimeContext().getListState(new ListStateDescriptor<>("waiting", Serializers.EVENT));
    }

    @Override
    public void processElement(Event event, Context context, Collector<Row> out) throws Exception {
        if (event.topic != Event.CONTACT) {
            frictions.add(new Friction(event.timeMs, event.frictionKind()));
            return;
        }
        waiting.add(event);
        context.timerService().registerEventTimeTimer(event.timeMs);
    }

    @Override
    public void onTimer(long timestamp, OnTimerContext context, Collector<Row> out) throws Exception {
        List<Event> later = new ArrayList<>();
        for (Event contact : waiting.get()) {
            if (contact.timeMs > timestamp) {
                later.add(contact);
                continue;
            }
            out.collect(new Row(null, null, contact, upTo(contact.timeMs)));
            joined++;
        }
        waiting.update(later);
    }

    private Frictions.Summary upTo(long timeMs) throws Exception {
        int count = 0;
        Friction last = null;
        for (Friction friction : frictions.get()) {
            if (friction.timeMs() > timeMs || friction.timeMs() < timeMs - Frictions.KEPT_MS) continue;
            count++;
            if (last == null || friction.timeMs() >= last.timeMs()) last = friction;
        }
        return last == null ? Frictions.Summary.NONE : new Frictions.Summary(count, last.kind());
    }

    @Override
    public void initializeState(FunctionInitializationContext context) {}

    /** Notes the first checkpoint by which every contact of the run was joined. */
    @Override
    public void snapshotState(FunctionSnapshotContext context) {
        if (completeAt == 0 && FlinkTuned.meter.isDone() && joined == FlinkTuned.meter.contacts()) {
            completeAt = context.getCheckpointId();
        }
    }

    @Override
    public void notifyCheckpointComplete(long checkpoint) {
        if (completeAt > 0 && checkpoint >= completeAt) FlinkTuned.STORED.countDown();
    }
}
