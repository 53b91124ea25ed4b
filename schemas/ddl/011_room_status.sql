-- One row per room: how far it has come in event time, and when it last got on by the server's clock. A partition that
-- was never heard of makes its room unknown. The same thresholds as in dashboards/model.py: 2 and 10 minutes.
CREATE VIEW IF NOT EXISTS room_status AS
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
        (4, 'outreach', 'outreach'), (5, 'sender', 'delivery'), (6, 'store', 'store')]) AS r
) AS rooms
LEFT JOIN heard AS h ON h.topic = rooms.r.3;
