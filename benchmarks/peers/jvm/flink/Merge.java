package cxbench;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** Adds partial sums to the absolute sketch of their cohort window; kept for a minute after the window. */
final class Merge extends KeyedProcessFunction<Cohort, Row, Row> {
    private static final long KEPT_MS = 60_000;

    private transient ValueState<Sketch> total;

    @Override
    public void open(OpenContext context) {
        total = getRuntimeContext().getState(new ValueStateDescriptor<>("total", Serializers.SKETCH));
    }

    @Override
    public void processElement(Row row, Context context, Collector<Row> out) throws Exception {
        Sketch sketch = total.value();
        if (sketch == null) {
            sketch = row.sketch();
            context.timerService().registerEventTimeTimer(row.cohort().windowMs + Cohort.WINDOW_MS + KEPT_MS);
        } else {
            sketch.merge(row.sketch());
        }
        total.update(sketch);
        out.collect(new Row(row.cohort(), sketch, null, null));
    }

    @Override
    public void onTimer(long timestamp, OnTimerContext context, Collector<Row> out) {
        total.clear();
    }
}
