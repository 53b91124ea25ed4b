-- What boards ask most often, answered from less. Figures are the same.

-- Rows are stored in about the order of their bins, so a short stretch of insert times lies in few of them. Parts that
-- are there already are read as before, until they are merged.
ALTER TABLE source_count ADD INDEX IF NOT EXISTS by_ingest_time ingest_time TYPE minmax GRANULARITY 1;

-- now: the newest event time known. closed_through: every bin before it is closed by every partition. Once join has told
-- its progress, only a bin that ends after everybody's can be newer, so those that began a day earlier are not read.
CREATE OR REPLACE VIEW event_clock AS
WITH
    toDateTime64(0, 3, 'UTC') AS never,
    ifNull((SELECT max(through) FROM watermark), never) AS newest,
    ifNull((SELECT min(through) FROM watermark FINAL WHERE topic = 'cohort_count'), never) AS closed,
    (
        SELECT max(bin + toIntervalMillisecond(width_ms))
        FROM source_count
        WHERE bin >= if(closed = never, never, newest - toIntervalDay(1))
    ) AS counted
SELECT
    greatest(ifNull(counted, never), newest) AS now,
    if(closed = never, ifNull(counted, never), closed) AS closed_through;
