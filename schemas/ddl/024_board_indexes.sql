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

-- When each producer was silent in the last 7 days, by the rule of source_status. Only stretches in which at least 12
-- events are missing are kept: with a steady producer the odds of such a stretch by chance are below 1 in 100,000 per
-- event. ended is NULL while it lasts. Rows are taken in the order in which they are stored, one per partition of a bin.
-- Sums of an hour are differences of running sums, and its longest step is looked for among those of more than a bin,
-- because shorter ones decide nothing: both, so that no hour is added up again for each of its bins.
CREATE OR REPLACE VIEW source_gap AS
WITH
    assumeNotNull((SELECT closed_through FROM event_clock)) AS closed_through,
    steps AS
    (
        SELECT
            topic, source, width_ms AS width, toUnixTimestamp64Milli(bin) AS at,
            sum(events) OVER until AS counted,
            sum(events) OVER earlier AS counted_earlier,
            leadInFrame(at, 1, toInt64(0)) OVER following AS next_at,
            at - lagInFrame(at, 1, at) OVER before AS step,
            min(width) OVER (PARTITION BY topic, source) AS least_width
        FROM source_count FINAL
        WHERE events > 0 AND bin >= closed_through - toIntervalDay(7)
        WINDOW
            until AS (PARTITION BY topic, source ORDER BY at RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
            earlier AS (PARTITION BY topic, source ORDER BY at RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
            following AS (PARTITION BY topic, source ORDER BY at ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING),
            before AS (PARTITION BY topic, source ORDER BY at ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
    ),
    hours AS
    (
        SELECT
            topic, source, width, least_width, at, next_at, step,
            nth_value(at, 1) OVER trailing AS first_at,
            counted - nth_value(counted_earlier, 1) OVER trailing AS events_hour
        FROM steps
        WINDOW trailing AS (PARTITION BY topic, source ORDER BY at RANGE BETWEEN 3599999 PRECEDING AND CURRENT ROW)
    ),
    usual AS
    (
        SELECT *, max(step) OVER trailing AS longest_step
        FROM hours
        WHERE step > least_width OR next_at = 0 OR next_at - at >= 2 * width
        WINDOW trailing AS (PARTITION BY topic, source ORDER BY at RANGE BETWEEN 3599999 PRECEDING AND CURRENT ROW)
    )
SELECT
    topic, source, concat(topic, ' · ', if(source = '', '(unnamed)', source)) AS stream,
    fromUnixTimestamp64Milli(at + width, 'UTC') AS started,
    if(next_at = 0, NULL, fromUnixTimestamp64Milli(next_at, 'UTC')) AS ended,
    events_hour * 1000 / (at - first_at + width) AS rate_per_s,
    (if(next_at = 0, toUnixTimestamp64Milli(closed_through), next_at) - at - width) / 1000 AS silent_s,
    rate_per_s * silent_s AS missing_events
FROM usual
WHERE events_hour >= 20 AND silent_s >= width / 1000 AND missing_events >= 12
    AND silent_s * 1000 >= 2 * (longest_step - width);
