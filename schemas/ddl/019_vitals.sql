-- What the processes say about themselves (docs/decisions/0031-vitals.md), and which producer a dead letter names.

CREATE TABLE IF NOT EXISTS vital
(
    room LowCardinality(String),
    minute DateTime64(3, 'UTC'),
    process LowCardinality(String),
    started_at DateTime64(3, 'UTC'),
    at DateTime64(3, 'UTC'),
    appended_at DateTime64(3, 'UTC'),
    phase LowCardinality(String),
    ready Bool,
    degraded Bool,
    flushes UInt64,
    flush_ms UInt64,
    flush_max_ms UInt64,
    written UInt64,
    `rows` UInt64,
    refused UInt64,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (room, minute, process, started_at)
TTL toDateTime(ingest_time) + INTERVAL 30 DAY
COMMENT 'What each process says about each of its rooms, once a minute';

CREATE TABLE IF NOT EXISTS vital_task
(
    room LowCardinality(String),
    `partition` UInt32,
    minute DateTime64(3, 'UTC'),
    process LowCardinality(String),
    opened_at DateTime64(3, 'UTC'),
    at DateTime64(3, 'UTC'),
    appended_at DateTime64(3, 'UTC'),
    position UInt64,
    `end` UInt64,
    behind Map(LowCardinality(String), UInt64),
    lag UInt64,
    undecided UInt64,
    records Map(LowCardinality(String), UInt64),
    state_keys UInt64,
    state_bytes UInt64,
    pending UInt32,
    claimed UInt32,
    ingest_time DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (room, `partition`, minute, process, opened_at)
TTL toDateTime(ingest_time) + INTERVAL 30 DAY
COMMENT 'What each process says about each partition of its rooms, once a minute';

ALTER TABLE dead_letter ADD COLUMN IF NOT EXISTS source LowCardinality(String) AFTER offset;

CREATE OR REPLACE VIEW dead_letter_latest AS SELECT * FROM dead_letter FINAL;
CREATE OR REPLACE VIEW vital_latest AS SELECT * FROM vital FINAL;
CREATE OR REPLACE VIEW vital_task_latest AS SELECT * FROM vital_task FINAL;

-- One row per room and start of a process. Copies of a row and rows of older minutes change nothing, so no FINAL.
CREATE OR REPLACE VIEW process_run AS
SELECT
    room, process, started_at, min(minute) AS first_at, max(at) AS last_at, max(appended_at) AS heard_at,
    argMax(phase, at) AS last_phase,
    toUInt64(row_number() OVER (PARTITION BY room, process ORDER BY started_at)) - 1 AS starts_before
FROM vital
GROUP BY room, process, started_at;

-- One row per room and partition that there should be. A process that died says nothing: what it said last is kept, with
-- its age by the clocks of broker and server, and after 45 s (four signs of life are due in that time) it is silent.
CREATE OR REPLACE VIEW room_progress AS
WITH
    assumeNotNull((SELECT now FROM event_clock)) AS newest,
    greatest(
        assumeNotNull((SELECT max(partitions) FROM watermark WHERE topic = 'cohort_count')),
        (SELECT toUInt32(if(count() = 0, 0, max(`partition`) + 1)) FROM vital_task), 1) AS partitions,
    (s -> multiIf(
        s < 120, concat(toString(toUInt64(s)), ' s'),
        s >= 172800, formatReadableTimeDelta(s, 'days', 'days'),
        s >= 7200, formatReadableTimeDelta(s, 'hours', 'minutes'),
        formatReadableTimeDelta(s, 'minutes', 'minutes'))) AS age
SELECT
    r.1 AS position, r.2 AS room, toUInt32(number) AS `partition`, concat(room, if(r.5, concat('/', toString(number)), '')) AS task,
    t.process AS process, p.started_at AS started_at, t.last.1 AS opened_at,
    if(t.process = '', NULL, t.heard_at) AS heard_at,
    if(t.process = '', NULL, greatest(0, dateDiff('second', t.heard_at, now()))) AS silent_s,
    if(t.process = '', '', p.phase) AS phase,
    t.process != '' AND p.ready AS ready, t.process != '' AND p.degraded AS degraded,
    if(t.process = '', NULL, t.last.2) AS lag, if(t.process = '', NULL, t.last.3) AS undecided, t.last.4 AS behind,
    if(t.process = '', NULL, t.last.5) AS state_keys, if(t.process = '', NULL, t.last.6) AS state_bytes,
    if(t.process = '', NULL, t.last.7) AS pending, if(t.process = '', NULL, t.last.8) AS claimed,
    if(w.topic = '', NULL, w.through) AS watermark,
    if(w.topic = '', NULL, greatest(0, dateDiff('second', w.through, newest))) AS behind_s,
    if(w.topic = '', NULL, greatest(0, dateDiff('second', w.moved_at, now()))) AS idle_s,
    multiIf(
        t.process = '', 'unknown',
        silent_s >= 45, 'silent',
        behind_s >= 600, 'blind',
        phase != 'running' OR NOT ready, 'not ready',
        behind_s >= 120 OR (lag > 0 AND idle_s >= 120), 'behind',
        degraded, 'degraded',
        'ok') AS state,
    multiIf(
        state = 'unknown', concat(task, ' was never heard of'),
        state = 'silent', concat(task, ' is silent since ', formatDateTime(assumeNotNull(heard_at), '%e %b %H:%i:%S')),
        state = 'blind' OR behind_s >= 120, concat(task, ' is ', age(assumeNotNull(behind_s)), ' behind'),
        state = 'not ready' AND phase != 'running', concat(task, ' is ', phase),
        state = 'not ready', concat(task, ' waits: its commits or its sink do not work'),
        state = 'behind', concat(task, ' has not got on for ', age(assumeNotNull(idle_s))),
        state = 'degraded', concat(task, ' reads messages that break their contract, from several emitters'),
        '') AS trouble
FROM
(
    SELECT r, number
    FROM
    (
        SELECT arrayJoin([
            (1, 'join', 'join', 'cohort_count', true), (2, 'detection', 'detect', 'issue', false),
            (3, 'match', 'match', 'affected', true), (4, 'impact', 'impact', '', false),
            (5, 'outreach', 'outreach', 'outreach', true), (6, 'sender', 'send', 'delivery', true),
            (7, 'store', 'store', '', true)]) AS r
    )
    ARRAY JOIN range(if(r.5, partitions, 1)) AS number
) AS tasks
LEFT JOIN
(
    SELECT
        CAST(room, 'String') AS room, `partition`, argMax(CAST(process, 'String'), (appended_at, at)) AS process,
        max(appended_at) AS heard_at,
        argMax((opened_at, lag, undecided, behind, state_keys, state_bytes, pending, claimed), (appended_at, at)) AS last
    FROM vital_task
    GROUP BY room, `partition`
) AS t ON t.room = tasks.r.3 AND t.`partition` = tasks.number
LEFT JOIN
(
    SELECT
        CAST(room, 'String') AS room, CAST(process, 'String') AS process, argMax(started_at, (appended_at, at)) AS started_at,
        argMax(CAST(phase, 'String'), (appended_at, at)) AS phase, argMax(ready, (appended_at, at)) AS ready,
        argMax(degraded, (appended_at, at)) AS degraded
    FROM vital
    GROUP BY room, process
) AS p ON p.room = tasks.r.3 AND p.process = t.process
LEFT JOIN
(
    SELECT
        CAST(topic, 'String') AS topic, if(topic = 'issue', 0, `partition`) AS `partition`, min(through) AS through,
        min(ingest_time) AS moved_at
    FROM watermark FINAL
    GROUP BY topic, `partition`
) AS w ON w.topic = tasks.r.4 AND w.`partition` = tasks.number;

-- When events came, against when they happened. An event that states no arrival came at the latest when it was stored.
CREATE OR REPLACE VIEW event_arrival AS
SELECT topic, source, event_time, ifNull(arrived_at, ingest_time) AS came_at, arrived_at IS NOT NULL AS stated, origin
FROM telemetry_raw
UNION ALL
SELECT topic, source, event_time, ifNull(arrived_at, ingest_time), arrived_at IS NOT NULL, origin FROM order_raw
UNION ALL
SELECT topic, source, event_time, ifNull(arrived_at, ingest_time), arrived_at IS NOT NULL, origin FROM contact_raw;
