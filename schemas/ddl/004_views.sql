-- Views that boards and the operator's commands read. FINAL, because merges alone promise nothing.

CREATE VIEW IF NOT EXISTS cohort_count_latest AS SELECT * FROM cohort_count FINAL;
CREATE VIEW IF NOT EXISTS source_count_latest AS SELECT * FROM source_count FINAL;
CREATE VIEW IF NOT EXISTS episode_latest AS SELECT * FROM episode FINAL;
CREATE VIEW IF NOT EXISTS issue_latest AS SELECT * FROM issue FINAL;
CREATE VIEW IF NOT EXISTS affected_latest AS SELECT * FROM affected FINAL;
CREATE VIEW IF NOT EXISTS affected_count_latest AS SELECT * FROM affected_count FINAL;
CREATE VIEW IF NOT EXISTS impact_latest AS SELECT * FROM impact FINAL;
CREATE VIEW IF NOT EXISTS outreach_latest AS SELECT * FROM outreach FINAL;
CREATE VIEW IF NOT EXISTS delivery_latest AS SELECT * FROM delivery FINAL;
CREATE VIEW IF NOT EXISTS dead_letter_latest AS SELECT * FROM dead_letter FINAL;

-- now: the newest event time known. closed_through: every bin before it is closed by every partition.
CREATE VIEW IF NOT EXISTS event_clock AS
WITH
    toDateTime64(0, 3, 'UTC') AS never,
    (SELECT max(bin + toIntervalMillisecond(width_ms)) FROM source_count) AS counted,
    (SELECT max(through) FROM watermark) AS newest,
    (SELECT min(through) FROM watermark FINAL WHERE topic = 'cohort_count') AS closed
SELECT
    greatest(ifNull(counted, never), ifNull(newest, never)) AS now,
    if(ifNull(closed, never) = never, ifNull(counted, never), assumeNotNull(closed)) AS closed_through;

-- One row per issue. Impact is behind match by one step; until it has spoken, the counts come from match itself.
CREATE VIEW IF NOT EXISTS issue_overview AS
SELECT
    i.issue_id AS issue_id, i.root_id AS root_id, i.onset AS onset, i.line AS line, i.family AS family,
    i.state AS state, toBool(CAST(i.state, 'String') IN ('open', 'escalating', 'recovering', 'regressed')) AS active, i.title AS title,
    if(i.onset > 1, concat(i.title, ' (', toString(i.onset), ')'), i.title) AS label, i.cause AS cause,
    if(empty(i.cause), 'the whole service line',
        arrayStringConcat(arrayMap((k, v) -> concat(k, ' = ', v), mapKeys(i.cause), mapValues(i.cause)), ', ')) AS cause_text,
    i.risk_ratio AS risk_ratio, i.risk_ratio_low AS risk_ratio_low,
    i.risk_ratio_high AS risk_ratio_high, i.support AS support, i.exposed AS exposed, i.failed AS failed,
    i.changes AS changes, i.opened_at AS opened_at, i.detected_at AS detected_at, i.updated_at AS updated_at,
    i.resolved_at AS resolved_at, i.expected AS expected, i.observed AS observed, i.provisional AS provisional,
    if(p.issue_id = '', toUInt64(c.affected), toUInt64(p.affected)) AS affected,
    if(p.issue_id = '', toUInt64(c.contacted), toUInt64(p.contacted)) AS contacted,
    if(p.issue_id = '', toUInt64(c.silent), toUInt64(p.silent)) AS silent,
    p.at_risk_cents AS at_risk_cents, p.at_risk_low_cents AS at_risk_low_cents,
    p.at_risk_high_cents AS at_risk_high_cents, p.per_minute_cents AS per_minute_cents,
    p.service_cents AS service_cents, p.currency AS currency, p.assumption_names AS assumption_names,
    p.assumption_values AS assumption_values, p.assumption_units AS assumption_units,
    p.assumption_sources AS assumption_sources, p.assumption_assumed AS assumption_assumed
FROM issue AS i FINAL
LEFT JOIN impact AS p FINAL ON p.issue_id = i.issue_id
LEFT JOIN
(
    SELECT issue_id, sum(affected) AS affected, sum(contacted) AS contacted, sum(silent) AS silent
    FROM affected_count FINAL
    GROUP BY issue_id
) AS c ON c.issue_id = i.issue_id;

-- One row per decision, with what became of it.
CREATE VIEW IF NOT EXISTS notice_latest AS
SELECT
    o.outreach_id AS outreach_id, o.issue_id AS issue_id, o.root_id AS root_id, o.customer_id AS customer_id,
    o.stage AS stage, o.decision AS decision, if(d.channel = '', o.channel, d.channel) AS channel,
    o.template AS template,
    multiIf(
        o.decision = 'hold', 'held',
        o.decision = 'refuse', 'refused',
        o.decision = 'hold_out', 'held out',
        d.outcome = 'delivered', 'sent',
        d.outcome IN ('', 'claimed'), 'pending',
        d.outcome) AS status,
    if(d.reason = '', o.reason, d.reason) AS reason,
    o.decided_at AS decided_at, o.not_before AS not_before, o.deadline AS deadline, d.attempts AS attempts,
    if(d.outreach_id = '', NULL, d.done_at) AS done_at
FROM outreach AS o FINAL
LEFT JOIN delivery AS d FINAL ON d.outreach_id = o.outreach_id;

-- A producer is silent from the end of its last bin with events. How long is too long follows from its usual rate in
-- the hour before: five expected events, at least one bin, and, because people come in bursts, twice the longest
-- silence of that hour. One that left no bin empty in nearly all of that hour is regular: three events are enough.
-- Fewer than 20 events in that hour are too few to judge.
CREATE VIEW IF NOT EXISTS source_status AS
WITH
    assumeNotNull((SELECT closed_through FROM event_clock)) AS closed_through,
    last AS
    (
        SELECT topic, source, min(bin) AS first_bin, max(bin) AS last_bin, max(width_ms) AS width
        FROM source_count
        WHERE events > 0
        GROUP BY topic, source
    ),
    hour AS
    (
        SELECT
            c.topic AS topic, c.source AS source, any(l.first_bin) AS first_bin, any(l.last_bin) AS last_bin,
            any(l.width) / 1000 AS width_s, sum(c.events) AS events_hour,
            sumIf(c.events, c.bin >= closed_through - toIntervalMinute(1) AND c.bin < closed_through) AS events_minute,
            sumIf(c.events, c.bin >= l.last_bin - toIntervalMinute(10)) AS events_10m,
            sumIf(c.late, c.bin >= l.last_bin - toIntervalMinute(10)) AS late_10m,
            sum(c.late) AS late_hour, sum(c.duplicates) AS duplicates_hour,
            groupArrayIf(toUnixTimestamp64Milli(c.bin), c.events > 0) AS heard,
            arrayMax(arrayDifference(arraySort(heard))) / 1000 AS longest_step_s
        FROM source_count AS c FINAL
        INNER JOIN last AS l ON l.topic = c.topic AND l.source = c.source
        WHERE c.bin > (SELECT min(last_bin) FROM last) - toIntervalHour(1) AND c.bin > l.last_bin - toIntervalHour(1)
        GROUP BY topic, source
    )
SELECT
    topic, source, concat(topic, ' · ', if(source = '', '(unnamed)', source)) AS stream,
    events_hour, events_minute, late_hour, duplicates_hour,
    last_bin + toIntervalMillisecond(toInt64(width_s * 1000)) AS last_event,
    events_hour / (least(3600, dateDiff('second', first_bin, last_bin)) + width_s) AS rate_per_s,
    greatest(0, dateDiff('millisecond', last_event, closed_through) / 1000) AS silent_s,
    length(arrayDistinct(heard)) >= 300 AND longest_step_s <= width_s AS regular,
    greatest(width_s, if(regular, 3, 5) / rate_per_s, 2 * (longest_step_s - width_s)) AS limit_s,
    multiIf(
        silent_s >= limit_s AND events_hour < 20, 'quiet',
        silent_s >= limit_s, 'no data',
        late_10m > 0.1 * events_10m, 'late',
        'ok') AS state
FROM hour;

-- History of the same rule. Only stretches in which at least 12 events are missing are kept: with a steady producer
-- the odds of such a stretch by chance are below 1 in 100,000 per event. ended is NULL while it lasts.
CREATE VIEW IF NOT EXISTS source_gap AS
WITH
    assumeNotNull((SELECT closed_through FROM event_clock)) AS closed_through,
    bins AS
    (
        SELECT c.topic AS topic, c.source AS source, c.bin AS bin, max(c.width_ms) AS width, sum(c.events) AS counted
        FROM source_count AS c FINAL
        WHERE c.events > 0 AND c.bin >= closed_through - toIntervalDay(7)
        GROUP BY topic, source, bin
    ),
    steps AS
    (
        SELECT
            topic, source, width, toUnixTimestamp64Milli(bin) AS at,
            sum(counted) OVER trailing AS events_hour,
            min(at) OVER trailing AS first_at,
            leadInFrame(at, 1, toInt64(0)) OVER following AS next_at,
            at - lagInFrame(at, 1, at) OVER before AS step
        FROM bins
        WINDOW
            trailing AS (PARTITION BY topic, source ORDER BY at RANGE BETWEEN 3599999 PRECEDING AND CURRENT ROW),
            following AS (PARTITION BY topic, source ORDER BY at ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING),
            before AS (PARTITION BY topic, source ORDER BY at ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
    ),
    usual AS
    (
        SELECT *, max(step) OVER trailing AS longest_step
        FROM steps
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
