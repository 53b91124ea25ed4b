-- How contacts and orders went for their customers. Absolute rows: the highest ver of a key wins. The key begins with the
-- day, so that a stretch of time is found without reading everything; a row that is deleted hides the one it replaces.

CREATE TABLE IF NOT EXISTS contact_case
(
    customer_id String,
    contact_id String,
    line LowCardinality(String),
    channel LowCardinality(String),
    mode LowCardinality(String),
    last_mode LowCardinality(String),
    reason LowCardinality(String),
    language LowCardinality(String),
    region LowCardinality(String),
    order_id String,
    subject_ids Array(String),
    opened_at DateTime64(3, 'UTC'),
    last_at DateTime64(3, 'UTC'),
    answered_at Nullable(DateTime64(3, 'UTC')),
    wait_ms Nullable(UInt32),
    handle_ms Nullable(UInt32),
    abandoned Bool,
    transfers UInt32,
    first_resolved_at Nullable(DateTime64(3, 'UTC')),
    resolved_at Nullable(DateTime64(3, 'UTC')),
    reopened UInt32,
    csat Nullable(UInt8),
    effort Nullable(UInt8),
    repeat_of String,
    channel_before LowCardinality(String),
    mode_before LowCardinality(String),
    repeated_at Nullable(DateTime64(3, 'UTC')),
    outcome LowCardinality(String),
    first_contact_resolved Nullable(Bool),
    origin LowCardinality(String),
    cut Bool,
    deleted UInt8,
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver, deleted)
ORDER BY (toDate(opened_at), customer_id, contact_id)
TTL toDateTime(ingest_time) + INTERVAL 400 DAY
COMMENT 'How one contact of a customer went: access, service, repeats, in event time';

CREATE TABLE IF NOT EXISTS order_outcome
(
    customer_id String,
    order_id String,
    line LowCardinality(String),
    region LowCardinality(String),
    placed_at DateTime64(3, 'UTC'),
    promised_at Nullable(DateTime64(3, 'UTC')),
    done_at Nullable(DateTime64(3, 'UTC')),
    ended LowCardinality(String),
    failed_at Nullable(DateTime64(3, 'UTC')),
    put_right_at Nullable(DateTime64(3, 'UTC')),
    contacted_at Nullable(DateTime64(3, 'UTC')),
    contacts UInt32,
    replaced_by String,
    reasons Array(LowCardinality(String)),
    outcome LowCardinality(String),
    first_time_right Nullable(Bool),
    origin LowCardinality(String),
    cut Bool,
    deleted UInt8,
    ver UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ver, deleted)
ORDER BY (toDate(placed_at), customer_id, order_id)
TTL toDateTime(ingest_time) + INTERVAL 400 DAY
COMMENT 'How one order went: first-time-right and why not, in event time';

CREATE OR REPLACE VIEW contact_case_latest AS SELECT * FROM contact_case FINAL;
CREATE OR REPLACE VIEW order_outcome_latest AS SELECT * FROM order_outcome FINAL;

-- The room experience among the others.
CREATE OR REPLACE VIEW room_status AS
WITH
    (s -> multiIf(
        s >= 172800, formatReadableTimeDelta(s, 'days', 'days'),
        s >= 7200, formatReadableTimeDelta(s, 'hours', 'minutes'),
        formatReadableTimeDelta(s, 'minutes', 'minutes'))) AS words,
    assumeNotNull((SELECT now FROM event_clock)) AS newest,
    ifNull((SELECT max(partitions) FROM watermark FINAL WHERE topic = 'cohort_count'), 0) AS partitions,
    heard AS
    (
        SELECT CAST(topic, 'String') AS topic, count() AS heard_of, min(through) AS through,
            min(ingest_time) AS moved_at, toUInt32(0) AS least
        FROM watermark FINAL
        GROUP BY topic
        UNION ALL
        SELECT 'store', count() > 0, newest, max(ingest_time), 1 FROM watermark
    )
SELECT
    r.1 AS position, r.2 AS room, r.3 AS topic, h.through AS watermark, h.moved_at AS moved_at,
    h.heard_of > 0 AND h.heard_of >= if(topic IN ('issue', 'store'), 1, partitions) AS known,
    if(known, greatest(0, dateDiff('second', h.through, newest)), NULL) AS behind_s,
    if(known, greatest(0, dateDiff('second', h.moved_at, now())), NULL) AS idle_s,
    if(known, greatest(assumeNotNull(behind_s), assumeNotNull(idle_s)), NULL) AS lag_s,
    multiIf(NOT known, 'unknown', lag_s >= 600, 'blind', lag_s >= 120, 'behind', 'ok') AS state,
    multiIf(
        NOT known, concat(room, ' was never heard of'),
        behind_s >= 120, concat(room, ' is ', words(assumeNotNull(behind_s)), ' behind'),
        idle_s >= 120, concat(room, ' has not got on for ', words(assumeNotNull(idle_s))),
        '') AS trouble
FROM
(
    SELECT arrayJoin([
        (1, 'join', 'cohort_count'), (2, 'detection', 'issue'), (3, 'match', 'affected'),
        (4, 'outreach', 'outreach'), (5, 'experience', 'contact_case'), (6, 'sender', 'delivery'),
        (7, 'store', 'store')]) AS r
) AS rooms
LEFT JOIN heard AS h ON h.topic = rooms.r.3;
