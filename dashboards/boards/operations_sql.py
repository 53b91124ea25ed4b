"""The SQL of the board of operations, one statement per panel.

It is written for Grafana's ClickHouse data source, with the macros that every version of its 4.x line runs
(``dashboards.macros`` expands the same ones for the live board and for tests). Figures about the present (open issues,
money, streams) carry no time filter, everything that is a history does.
"""

from __future__ import annotations

from dashboards.boards.common_sql import AGE_TEXT, DECIMALS_OF, MONEY_TEXT

HEADLINE = """
WITH
    <money>,
    <ages>,
    assumeNotNull((SELECT now FROM event_clock)) AS newest,
    greatest(0, dateDiff('second', newest, $__toTime_ms)) AS age_s,
    (SELECT countIf(active) FROM issue_overview) AS issues,
    (
        SELECT (uniqExact(customer_id), uniqExact(customer_id) - uniqExactIf(customer_id, contacted_at IS NOT NULL))
        FROM affected_latest
        WHERE issue_id IN (SELECT issue_id FROM issue_overview WHERE active)
    ) AS hit,
    (
        SELECT groupArray((currency, minor)::Tuple(currency String, minor Int64))
        FROM
        (
            SELECT one.currency AS currency, sum(one.minor) AS minor
            FROM issue_overview
            ARRAY JOIN per_minute AS one
            WHERE active
            GROUP BY currency
            HAVING minor > 0
            ORDER BY currency
        )
    ) AS costs,
    arrayConcat(
        (SELECT groupArray(trouble) FROM (SELECT trouble FROM room_status WHERE state != 'ok' ORDER BY position)),
        if(age_s >= 120, [concat('the newest event is ', words(age_s), ' old')], [])
    ) AS troubles,
    age_s >= 600 OR (SELECT countIf(state IN ('blind', 'unknown')) FROM room_status) > 0 AS blind,
    toUnixTimestamp(newest) = 0 AS empty
SELECT
    multiIf(empty OR issues > 0 OR blind, 'bad', notEmpty(troubles), 'warn', 'good') AS tone,
    concat(
        multiIf(
            empty, 'Nothing is known: no event has arrived yet.',
            issues > 0, concat(
                toString(issues), if(issues = 1, ' open issue: ', ' open issues: '),
                toString(hit.1), if(hit.1 = 1, ' customer affected, ', ' customers affected, '),
                toString(hit.2), ' of them silent.',
                if(empty(costs), '', concat(' Every minute costs ', money_texts(costs), '.'))),
            blind, 'Nobody can say whether all is well.',
            notEmpty(troubles), 'No open issue as far as is known.',
            'No open issue. Nobody is known to suffer right now.'),
        if(empty(troubles) OR empty, '', concat(' Not up to date: ', arrayStringConcat(troubles, ', '), '.'))
    ) AS sentence
""".replace("<money>", MONEY_TEXT).replace("<ages>", AGE_TEXT)

ROOMS = """
SELECT room, lag_s
FROM
(
    SELECT 0 AS position, 'newest event' AS room,
        if(toUnixTimestamp(now) = 0, NULL, greatest(0, dateDiff('second', now, $__toTime_ms))) AS lag_s
    FROM event_clock
    UNION ALL
    SELECT position, room, lag_s FROM room_status
)
ORDER BY position
"""

ISSUES = """
WITH <money>
SELECT
    state, title, cause_text AS cause, opened_at, detected_at, resolved_at, affected, contacted, silent,
    money_texts(o.amounts) AS orders, money_texts(o.at_risk) AS at_risk, money_texts(o.per_minute) AS per_minute,
    issue_id
FROM issue_overview AS o
WHERE active OR (state = 'resolved' AND resolved_at IS NOT NULL AND $__timeFilter(assumeNotNull(resolved_at)))
ORDER BY active DESC, o.per_minute[1].minor DESC, affected DESC, detected_at DESC
LIMIT 100
""".replace("<money>", MONEY_TEXT)

AFFECTED = """
SELECT $__timeInterval(p.minute) AS time, any(i.label) AS issue, max(p.affected) AS affected
FROM (SELECT * FROM impact_1m FINAL) AS p
INNER JOIN
(
    SELECT issue_id, label FROM issue_overview WHERE state != 'suspected'
) AS i ON i.issue_id = p.issue_id
WHERE $__timeFilter(p.minute)
GROUP BY p.issue_id, time
ORDER BY time, issue
"""

FAILURE_RATE = """
SELECT $__timeInterval(c.bin) AS time, i.label AS issue, sum(c.failed) / sum(c.exposed) AS failure_rate
FROM cohort_count_latest AS c
INNER JOIN
(
    SELECT line, signal, mapKeys(cause) AS names, mapValues(cause) AS wanted, label
    FROM issue_overview
    WHERE state != 'suspected' AND (resolved_at IS NULL OR resolved_at >= $__fromTime)
) AS i ON i.line = c.line AND i.signal = c.signal
WHERE $__timeFilter(c.bin)
    AND arrayAll((name, value) -> c.values[indexOf(c.attributes, name)] = value, i.names, i.wanted)
GROUP BY time, issue
HAVING sum(c.exposed) >= 20
ORDER BY time, issue
"""

EVENT_RATE = """
SELECT
    $__timeInterval(bin) AS time, concat(topic, ' · ', if(source = '', '(unnamed)', source)) AS stream,
    sum(events) / $__interval_s AS events_per_second
FROM source_count_latest
WHERE $__timeFilter(bin)
GROUP BY time, stream
ORDER BY time, stream
"""

NO_DATA = """
SELECT time, stream, silent
FROM
(
    SELECT toDateTime64($__fromTime, 3, 'UTC') AS time, stream, 0 AS silent
    FROM source_status
    UNION ALL
    SELECT change.1 AS time, stream, change.2 AS silent
    FROM source_gap
    ARRAY JOIN if(ended IS NULL, [(greatest(started, toDateTime64($__fromTime, 3, 'UTC')), 1)],
        [(greatest(started, toDateTime64($__fromTime, 3, 'UTC')), 1), (assumeNotNull(ended), 0)]) AS change
    WHERE started <= $__toTime_ms AND (ended IS NULL OR ended >= $__fromTime) AND change.1 <= $__toTime_ms
)
ORDER BY time, stream, silent
"""

STREAMS = """
SELECT
    state, stream, events_minute AS per_minute, rate_per_s * 60 AS usual_per_minute, last_event,
    silent_s, late_hour, duplicates_hour
FROM source_status
ORDER BY state = 'no data' DESC, state = 'late' DESC, stream
LIMIT 200
"""

OUTREACH = """
SELECT status, reason, stage, count() AS customers, max(decided_at) AS last_decided
FROM notice_latest
WHERE $__timeFilter(decided_at)
GROUP BY status, reason, stage
ORDER BY customers DESC
LIMIT 50
"""

CHANNELS = """
SELECT channel, state, reason, since
FROM channel_status
ORDER BY channel
"""

DEAD_LETTERS = """
SELECT topic, reason, field, rule, count() AS messages, max(rejected_at) AS last_rejected
FROM dead_letter_latest
GROUP BY topic, reason, field, rule
ORDER BY messages DESC
LIMIT 50
"""

OPEN_ISSUES = "SELECT countIf(active) AS issues FROM issue_overview"

AFFECTED_NOW = """
SELECT uniqExact(customer_id) AS customers
FROM affected_latest
WHERE issue_id IN (SELECT issue_id FROM issue_overview WHERE active)
"""

SILENT_NOW = """
SELECT uniqExact(customer_id) - uniqExactIf(customer_id, contacted_at IS NOT NULL) AS customers
FROM affected_latest
WHERE issue_id IN (SELECT issue_id FROM issue_overview WHERE active)
"""

_MONEY_NOW = """
WITH {decimals_of}
SELECT one.currency AS currency, sum(one.minor) / exp10(decimals_of(currency)) AS amount
FROM issue_overview
ARRAY JOIN {column} AS one
WHERE active
GROUP BY currency
ORDER BY currency
"""

_NOTICES = """
SELECT countIf(status = '{status}') AS notices
FROM notice_latest
WHERE stage = 'notice' AND $__timeFilter(decided_at)
"""


def money_now(column: str) -> str:
    """The sum of a column of money over the active issues, per currency, in the currency's main unit."""
    return _MONEY_NOW.format(column=column, decimals_of=DECIMALS_OF)


def notices(status: str) -> str:
    """How many notices of the time range have this status."""
    return _NOTICES.format(status=status)
