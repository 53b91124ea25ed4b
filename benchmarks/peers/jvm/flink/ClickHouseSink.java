package cxbench;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;

/** Sends the newest row of each cohort and all joined rows at each checkpoint. Rows are absolute: to send them again changes nothing. */
final class ClickHouseSink implements Sink<Row> {
    @Override
    public SinkWriter<Row> createWriter(WriterInitContext context) {
        return new Writer();
    }

    private static final class Writer implements SinkWriter<Row> {
        private final Rows rows = new Rows(FlinkTuned.contract);
        private final Map<Cohort, Sketch> newest = new HashMap<>();

        @Override
        public void write(Row row, Context context) {
            if (row.contact() == null) newest.put(row.cohort(), row.sketch());
            else rows.joined(row.contact(), row.frictions());
        }

        @Override
        public void flush(boolean endOfInput) {
            newest.forEach((cohort, sketch) -> rows.aggregate(cohort, 0, sketch));
            newest.clear();
            rows.flush();
        }

        @Override
        public void close() {}
    }
}
