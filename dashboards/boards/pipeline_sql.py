"""The statements of the board of the pipeline.

Counters of ``vital`` are absolute since a process started, those of ``vital_task`` since a partition was taken over.
What they grew by is the difference inside one such series; a series that began in the time range counts from zero, one
that began before it from its first value there. So a restart neither hides nor repeats anything.
"""

from __future__ import annotations

from schemas.metrics import OUTCOMES

_TASK = "room, `partition`, process, opened_at"
_RUN = "room, process, started_at"


def _grown(value: str, series: str, base: str) -> str:
    """By how much ``value`` grew since the point before, in a series whose first point counts from ``base``."""
    window = f"PARTITION BY {series} ORDER BY time ROWS BETWEEN 1 PRECEDING AND CURRENT ROW"
    return f"greatest(0, toFloat64({value}) - lagInFrame(toFloat64({value}), 1, toFloat64({base})) OVER ({window}))"


_WORDS = {
    "<shown room>": "transform(toString(room), ['detect', 'send'], ['detection', 'sender'], toString(room))",
    "<point>": "toStartOfInterval(minute, toIntervalSecond(greatest(60, $__interval_s)))",
    "<point_s>": "greatest(60, $__interval_s)",
    "<grown in task>": _grown("top", _TASK, "base"),
    "<grown in run>": _grown("top", _RUN, "base"),
    "<dead in task>": _grown("dead_top", _TASK, "dead_base"),
    "<read in task>": _grown("read_top", _TASK, "read_base"),
    "<task>": _TASK,
    "<run>": _RUN,
    "<outcomes>": ",\n    ".join(f"sum(grown['{outcome}']) AS {outcome}" for outcome in OUTCOMES),
}
"""What several statements share."""


def _filled(sql: str) -> str:
    for word, meaning in _WORDS.items():
        sql = sql.replace(word, meaning)
    return sql


ROOMS_NOW = """
SELECT
    if(trouble = '', '✓ ok', concat(if(state IN ('behind', 'degraded'), '! ', '✗ '), trouble)) AS standing,
    task, lag,
    arrayStringConcat(arrayMap((topic, records) -> concat(topic, ' ', toString(records)), mapKeys(behind),
        mapValues(behind)), ', ') AS topics,
    undecided, behind_s, idle_s, silent_s, state_keys, state_bytes, process
FROM room_progress
WHERE (SELECT NOT is_replay FROM replay_shown)
ORDER BY state = 'ok', position, `partition`
LIMIT 400
"""

LAG = _filled("""
SELECT time, <shown room> AS series, sum(most) AS records
FROM
(
    SELECT <point> AS time, room, `partition`, max(lag) AS most
    FROM vital_task_latest
    WHERE $__timeFilter(minute)
    GROUP BY time, room, `partition`
)
GROUP BY time, series
ORDER BY time, series
""")

WATERMARK_AGE = """
SELECT task, behind_s AS behind
FROM room_progress
WHERE behind_s IS NOT NULL AND (SELECT NOT is_replay FROM replay_shown)
ORDER BY behind DESC, position, `partition`
LIMIT 20
"""

READ = _filled("""
SELECT time, <shown room> AS series, sum(grown) / <point_s> AS records_per_second
FROM
(
    SELECT time, room, <grown in task> AS grown
    FROM
    (
        SELECT
            <point> AS time, <task>, max(arraySum(mapValues(records))) AS top,
            if(opened_at >= $__fromTime, 0, min(arraySum(mapValues(records)))) AS base
        FROM vital_task_latest
        WHERE $__timeFilter(minute)
        GROUP BY time, <task>
    )
)
GROUP BY time, series
ORDER BY time, series
""")

WRITTEN = _filled("""
SELECT time, <shown room> AS series, sum(grown) / <point_s> AS records_per_second
FROM
(
    SELECT time, room, <grown in run> AS grown
    FROM
    (
        SELECT <point> AS time, <run>, max(written) AS top, if(started_at >= $__fromTime, 0, min(written)) AS base
        FROM vital_latest
        WHERE $__timeFilter(minute)
        GROUP BY time, <run>
    )
)
GROUP BY time, series
ORDER BY time, series
""")

OUTCOMES_READ = _filled("""
SELECT
    <shown room> AS shown_room,
    <outcomes>
FROM
(
    SELECT
        room,
        if(opened_at >= $__fromTime, last, mapSubtract(last, first)) AS grown, argMax(records, at) AS last,
        argMin(records, at) AS first
    FROM vital_task_latest
    WHERE $__timeFilter(minute)
    GROUP BY <task>
)
GROUP BY room
ORDER BY shown_room
""")

DEAD_SHARE = _filled("""
SELECT time, <shown room> AS series, if(sum(read) >= 20, sum(dead) / sum(read), NULL) AS share
FROM
(
    SELECT
        time, room, <dead in task> AS dead, <read in task> AS read
    FROM
    (
        SELECT
            toStartOfInterval(minute, toIntervalSecond(greatest(300, $__interval_s))) AS time, <task>,
            max(records['dead'] + records['quarantined']) AS dead_top, max(arraySum(mapValues(records))) AS read_top,
            if(opened_at >= $__fromTime, 0, min(records['dead'] + records['quarantined'])) AS dead_base,
            if(opened_at >= $__fromTime, 0, min(arraySum(mapValues(records)))) AS read_base
        FROM vital_task_latest
        WHERE $__timeFilter(minute) AND room NOT IN ('store', 'send')
        GROUP BY time, <task>
    )
)
GROUP BY time, series
ORDER BY time, series
""")

FLUSH_LONGEST = _filled("""
SELECT <point> AS time, <shown room> AS series, max(flush_max_ms) AS longest
FROM vital_latest
WHERE $__timeFilter(minute)
GROUP BY time, series
ORDER BY time, series
""")

FLUSHES = _filled("""
SELECT
    <shown room> AS shown_room, sum(done) AS flushes, if(flushes = 0, NULL, sum(took) / flushes) AS mean_ms,
    max(longest) AS longest_ms
FROM
(
    SELECT
        room, max(flushes) - if(started_at >= $__fromTime, 0, min(flushes)) AS done,
        max(flush_ms) - if(started_at >= $__fromTime, 0, min(flush_ms)) AS took, max(flush_max_ms) AS longest
    FROM vital_latest
    WHERE $__timeFilter(minute)
    GROUP BY <run>
)
GROUP BY room
ORDER BY shown_room
""")

STATE_SIZE = _filled("""
SELECT time, <shown room> AS series, sum(size) AS state_bytes
FROM
(
    SELECT <point> AS time, room, `partition`, argMax(vital_task_latest.state_bytes, at) AS size
    FROM vital_task_latest
    WHERE $__timeFilter(minute) AND room != 'store'
    GROUP BY time, room, `partition`
)
GROUP BY time, series
ORDER BY time, series
""")

DEAD_LETTERS = """
SELECT
    if(source = '', '(names none)', toString(source)) AS producer, topic, reason, field, rule, count() AS messages,
    min(rejected_at) AS first_rejected, max(rejected_at) AS last_rejected
FROM dead_letter_latest
WHERE $__timeFilter(rejected_at)
GROUP BY producer, topic, reason, field, rule
ORDER BY messages DESC, producer, topic, rule
LIMIT 100
"""

SOURCES = """
SELECT
    c.stream AS stream, c.counted AS events, c.late_events AS late,
    if(c.counted >= 20, c.late_events / c.counted, NULL) AS late_share, c.seen_before AS duplicates,
    if(g.stream = '', 0, g.stretches) AS gaps, if(g.stream = '', 0, g.silent) AS silent_s
FROM
(
    SELECT
        concat(topic, ' · ', if(source = '', '(unnamed)', source)) AS stream, sum(events) AS counted,
        sum(late) AS late_events, sum(duplicates) AS seen_before
    FROM source_count_latest
    WHERE $__timeFilter(bin)
    GROUP BY stream
) AS c
LEFT JOIN
(
    SELECT stream, count() AS stretches, sum(silent_s) AS silent
    FROM source_gap
    WHERE $__timeFilter(started)
    GROUP BY stream
) AS g ON g.stream = c.stream
ORDER BY late_share DESC NULLS LAST, stream
LIMIT 200
"""

SKEW = """
SELECT
    concat(topic, ' · ', if(source = '', '(unnamed)', source)) AS stream,
    if(stated, 'stated by the event', 'stored by us') AS against, count() AS events,
    quantile(0.05)(delay_s) AS lowest_s, quantile(0.5)(delay_s) AS median_s, quantile(0.95)(delay_s) AS highest_s,
    countIf(delay_s < 0) AS ahead,
    if(median_s < 0, '✗ clock ahead', if(ahead > 0, '! some ahead', '✓ not ahead')) AS verdict
FROM
(
    SELECT topic, source, stated, dateDiff('millisecond', event_time, came_at) / 1000 AS delay_s
    FROM event_arrival
    WHERE $__timeFilter(event_time) AND event_time >= $__toTime_ms - toIntervalHour(1) AND (stated OR origin = 'live')
)
GROUP BY topic, source, stated
HAVING events >= 20
ORDER BY median_s, stream, against
LIMIT 200
"""

STORE_ROWS = _filled("""
SELECT time, series, sum(grown) / <point_s> AS rows_per_second
FROM
(
    SELECT time, CAST(process, 'String') AS series, <grown in run> AS grown
    FROM
    (
        SELECT
            <point> AS time, <run>, max(vital_latest.rows) AS top,
            if(started_at >= $__fromTime, 0, min(vital_latest.rows)) AS base
        FROM vital_latest
        WHERE $__timeFilter(minute) AND room = 'store'
        GROUP BY time, <run>
    )
)
GROUP BY time, series
ORDER BY time, series
""")

STORE = _filled("""
SELECT
    process, sum(done) AS rounds, sum(inserted) AS inserted_rows,
    if(rounds = 0, NULL, inserted_rows / rounds) AS rows_per_round, sum(not_taken) AS refusals
FROM
(
    SELECT
        process, max(flushes) - if(started_at >= $__fromTime, 0, min(flushes)) AS done,
        max(vital_latest.rows) - if(started_at >= $__fromTime, 0, min(vital_latest.rows)) AS inserted,
        max(refused) - if(started_at >= $__fromTime, 0, min(refused)) AS not_taken
    FROM vital_latest
    WHERE $__timeFilter(minute) AND room = 'store'
    GROUP BY <run>
)
GROUP BY process
ORDER BY process
""")

SENDER = """
SELECT
    if(trouble = '', '✓ ok', concat(if(state IN ('behind', 'degraded'), '! ', '✗ '), trouble)) AS standing,
    task, lag, claimed, pending, silent_s, process
FROM room_progress
WHERE room = 'sender' AND (SELECT NOT is_replay FROM replay_shown)
ORDER BY state = 'ok', `partition`
"""

CHANNELS = """
SELECT
    concat(multiIf(state = 'ok', '✓ ', state = 'gone', '✗ ', '! '), state) AS standing, channel, reason, since
FROM channel_status
ORDER BY state = 'ok', channel
"""

RESTARTS = """
SELECT
    process, started_at, arrayStringConcat(arraySort(groupArray(CAST(room, 'String'))), ', ') AS rooms,
    max(before) AS last_heard, greatest(0, dateDiff('second', last_heard, started_at)) AS away_s,
    if(dateDiff('second', max(heard), now()) >= 45,
        concat('✗ silent since ', formatDateTime(max(heard), '%e %b %H:%i:%S')), '✓ speaks') AS standing
FROM
(
    SELECT
        room, process, started_at, heard_at AS heard, starts_before,
        lagInFrame(heard_at) OVER (PARTITION BY room, process ORDER BY started_at
            ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before
    FROM process_run
)
WHERE starts_before > 0 AND $__timeFilter(started_at)
GROUP BY process, started_at
ORDER BY started_at DESC, process
LIMIT 100
"""

RESTARTED = """
SELECT started_at AS time, concat(process, ' was started again') AS text
FROM process_run
WHERE starts_before > 0 AND $__timeFilter(started_at)
GROUP BY process, started_at
ORDER BY time, text
"""
