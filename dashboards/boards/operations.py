"""The board of operations: what is wrong, who suffers, what it costs, what was sent, how the streams are.

SQL is written for Grafana's ClickHouse data source, with the macros that every version of its 4.x line runs
(``dashboards.macros`` expands the same ones for the live board and for tests). Figures about the present (open issues,
money, streams) carry no time filter, everything that is a history does.
"""

from __future__ import annotations

from dashboards.model import Board, Field, Grid, Panel

HEADLINE_SQL = """
WITH
    (s -> multiIf(
        s >= 172800, formatReadableTimeDelta(s, 'days', 'days'),
        s >= 7200, formatReadableTimeDelta(s, 'hours', 'minutes'),
        formatReadableTimeDelta(s, 'minutes', 'minutes'))) AS words,
    assumeNotNull((SELECT now FROM event_clock)) AS newest,
    greatest(0, dateDiff('second', newest, $__toTime_ms)) AS age_s,
    (SELECT countIf(active) FROM issue_overview) AS issues,
    (
        SELECT (uniqExact(customer_id), uniqExact(customer_id) - uniqExactIf(customer_id, contacted_at IS NOT NULL))
        FROM affected_latest
        WHERE issue_id IN (SELECT issue_id FROM issue_overview WHERE active)
    ) AS hit,
    (
        SELECT groupArray(concat(toString(round(amount, 2)), ' ', currency))
        FROM
        (
            SELECT currency, sum(per_minute_cents) / 100 AS amount
            FROM issue_overview
            WHERE active AND currency != ''
            GROUP BY currency
            HAVING amount > 0
            ORDER BY amount DESC
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
                if(empty(costs), '', concat(' Every minute costs ', arrayStringConcat(costs, ' + '), '.'))),
            blind, 'Nobody can say whether all is well.',
            notEmpty(troubles), 'No open issue as far as is known.',
            'No open issue. Nobody is known to suffer right now.'),
        if(empty(troubles) OR empty, '', concat(' Not up to date: ', arrayStringConcat(troubles, ', '), '.'))
    ) AS sentence
"""

ROOMS_SQL = """
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

ISSUES_SQL = """
SELECT
    state, title, cause_text AS cause, opened_at, detected_at, resolved_at, affected, contacted, silent,
    if(currency = '', NULL, at_risk_cents / 100) AS at_risk,
    if(currency = '', NULL, per_minute_cents / 100) AS per_minute, currency, issue_id
FROM issue_overview
WHERE active OR (state = 'resolved' AND resolved_at IS NOT NULL AND $__timeFilter(assumeNotNull(resolved_at)))
ORDER BY active DESC, per_minute_cents DESC, affected DESC, detected_at DESC
LIMIT 100
"""

AFFECTED_SQL = """
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

FAILURE_RATE_SQL = """
SELECT $__timeInterval(c.bin) AS time, i.label AS issue, sum(c.failed) / sum(c.exposed) AS failure_rate
FROM cohort_count_latest AS c
INNER JOIN
(
    SELECT line, family, mapKeys(cause) AS names, mapValues(cause) AS wanted, label
    FROM issue_overview
    WHERE state != 'suspected' AND (resolved_at IS NULL OR resolved_at >= $__fromTime)
) AS i ON i.line = c.line AND i.family = c.family
WHERE $__timeFilter(c.bin)
    AND arrayAll((name, value) -> c.values[indexOf(c.attributes, name)] = value, i.names, i.wanted)
GROUP BY time, issue
HAVING sum(c.exposed) > 0
ORDER BY time, issue
"""

EVENT_RATE_SQL = """
SELECT
    $__timeInterval(bin) AS time, concat(topic, ' · ', if(source = '', '(unnamed)', source)) AS stream,
    sum(events) / $__interval_s AS events_per_second
FROM source_count_latest
WHERE $__timeFilter(bin)
GROUP BY time, stream
ORDER BY time, stream
"""

NO_DATA_SQL = """
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

STREAMS_SQL = """
SELECT
    state, stream, events_minute AS per_minute, rate_per_s * 60 AS usual_per_minute, last_event,
    silent_s, late_hour, duplicates_hour
FROM source_status
ORDER BY state = 'no data' DESC, state = 'late' DESC, stream
LIMIT 200
"""

OUTREACH_SQL = """
SELECT status, reason, stage, count() AS customers, max(decided_at) AS last_decided
FROM notice_latest
WHERE $__timeFilter(decided_at)
GROUP BY status, reason, stage
ORDER BY customers DESC
LIMIT 50
"""

CHANNELS_SQL = """
SELECT channel, state, reason, since
FROM channel_status
ORDER BY channel
"""

DEAD_LETTERS_SQL = """
SELECT topic, reason, field, rule, count() AS messages, max(rejected_at) AS last_rejected
FROM dead_letter_latest
GROUP BY topic, reason, field, rule
ORDER BY messages DESC
LIMIT 50
"""

OPEN_ISSUES_SQL = "SELECT countIf(active) AS issues FROM issue_overview"

AFFECTED_NOW_SQL = """
SELECT uniqExact(customer_id) AS customers
FROM affected_latest
WHERE issue_id IN (SELECT issue_id FROM issue_overview WHERE active)
"""

SILENT_NOW_SQL = """
SELECT uniqExact(customer_id) - uniqExactIf(customer_id, contacted_at IS NOT NULL) AS customers
FROM affected_latest
WHERE issue_id IN (SELECT issue_id FROM issue_overview WHERE active)
"""

AT_RISK_SQL = """
SELECT currency, sum(at_risk_cents) / 100 AS amount
FROM issue_overview
WHERE active AND currency != ''
GROUP BY currency
ORDER BY amount DESC
"""

PER_MINUTE_SQL = """
SELECT currency, sum(per_minute_cents) / 100 AS amount
FROM issue_overview
WHERE active AND currency != ''
GROUP BY currency
ORDER BY amount DESC
"""

SENT_SQL = """
SELECT countIf(status = 'sent') AS notices
FROM notice_latest
WHERE stage = 'notice' AND $__timeFilter(decided_at)
"""

HELD_SQL = """
SELECT countIf(status = 'held') AS notices
FROM notice_latest
WHERE stage = 'notice' AND $__timeFilter(decided_at)
"""

REFUSED_SQL = """
SELECT countIf(status = 'refused') AS notices
FROM notice_latest
WHERE stage = 'notice' AND $__timeFilter(decided_at)
"""

HELD_OUT_SQL = """
SELECT countIf(status = 'held out') AS notices
FROM notice_latest
WHERE stage = 'notice' AND $__timeFilter(decided_at)
"""

OPERATIONS = Board(
    uid="cx-operations",
    title="Customer trouble, now",
    description="What is failing, who suffers, what it costs, what was sent, and whether the streams can be trusted.",
    panels=(
        Panel(
            18, "headline", "In one sentence", "sentence", "text",
            "What is wrong, who suffers and what it costs; and which part of cxwatch is not up to date. Never "
            "all-clear while a part is over 2 minutes behind, silent or unknown.", Grid(0, 0, 24, 2),
            HEADLINE_SQL, ranged=True, empty="no answer",
        ),
        Panel(
            19, "rooms", "Up to date?", "stat", "lag",
            "How far each part of cxwatch is behind the newest event, or how long ago it last got on, whichever is "
            "more: orange from 2 minutes, red from 10 or if nothing was ever heard of it. The newest event: its age.",
            Grid(0, 2, 24, 3), ROOMS_SQL, ranged=True, empty="unknown",
        ),
        Panel(
            1, "open_issues", "Open issues", "stat", "issues",
            "Issues that are open, escalating, recovering or regressed.", Grid(0, 5, 4, 4),
            OPEN_ISSUES_SQL, tone="bad",
        ),
        Panel(
            2, "affected", "Customers affected", "stat", "customers",
            "Distinct customers hit by the open issues; a customer hit by two issues counts once.", Grid(4, 5, 5, 4),
            AFFECTED_NOW_SQL, tone="bad",
        ),
        Panel(
            3, "silent", "Suffering in silence", "stat", "customers",
            "Of the affected, those who have not contacted the company about any of the open issues.",
            Grid(9, 5, 5, 4),
            SILENT_NOW_SQL,
            tone="warn",
        ),
        Panel(
            4, "at_risk", "Money at risk", "stat", "money",
            "Margin expected to be lost to the open issues, per currency; the parameters behind it are listed by "
            "`cxwatch issues show`.", Grid(14, 5, 5, 4),
            AT_RISK_SQL, tone="warn", empty="0",
        ),
        Panel(
            5, "per_minute", "Each minute of inaction", "stat", "money_per_minute",
            "What one more minute costs while the open issues go on, per currency.", Grid(19, 5, 5, 4),
            PER_MINUTE_SQL, tone="bad", empty="0",
        ),
        Panel(
            6, "issues", "What is wrong", "table", "issues",
            "Open issues, costliest first, then those resolved in the time range. Since: estimated onset. "
            "All times are event times.", Grid(0, 9, 24, 9), ISSUES_SQL, ranged=True,
            fields=(
                Field("state", "State", "state"),
                Field("title", "Issue"),
                Field("cause", "Cause", "pairs"),
                Field("opened_at", "Since", "time"),
                Field("detected_at", "Detected", "time"),
                Field("resolved_at", "Over", "time"),
                Field("affected", "Affected", "customers"),
                Field("contacted", "Contacted us", "customers"),
                Field("silent", "Silent", "customers"),
                Field("at_risk", "At risk", "money"),
                Field("per_minute", "Per minute", "money"),
                Field("currency", "Currency"),
                Field("issue_id", "Id"),
            ),
            empty="No issue to show.",
        ),
        Panel(
            7, "affected_over_time", "Customers affected over time", "timeseries", "customers",
            "Distinct customers hit since each issue's onset.", Grid(0, 18, 12, 8), AFFECTED_SQL, ranged=True,
            label="issue", empty="No customer was affected in this time range.",
        ),
        Panel(
            8, "failure_rate", "Failure rate inside the causes", "timeseries", "share",
            "Of the customers who could have failed in the cohorts that an issue blames, the share that did "
            "(a customer counts once per bin as exposed, once per hour as failed).", Grid(12, 18, 12, 8),
            FAILURE_RATE_SQL, ranged=True, label="issue", empty="No issue in this time range.",
        ),
        Panel(
            9, "sent", "Notices sent", "stat", "notices",
            "Customers to whom a notice was delivered, decided in the time range.", Grid(0, 26, 3, 4),
            SENT_SQL, ranged=True, tone="good",
        ),
        Panel(
            10, "held", "Held", "stat", "notices",
            "Waiting: for approval, for the end of quiet hours, or because sending is stopped.", Grid(3, 26, 3, 4),
            HELD_SQL, ranged=True, tone="warn",
        ),
        Panel(
            11, "refused", "Refused", "stat", "notices",
            "Not to be told: no consent, opted out, budget used up, or too late to be useful.", Grid(6, 26, 3, 4),
            REFUSED_SQL, ranged=True,
        ),
        Panel(
            12, "held_out", "Held out", "stat", "notices",
            "Eligible, but not told, so that the effect of telling can be measured.", Grid(9, 26, 3, 4),
            HELD_OUT_SQL, ranged=True,
        ),
        Panel(
            13, "outreach", "Outreach and why", "table", "notices",
            "Decisions of the time range by what became of them, with the reason that is kept for each.",
            Grid(12, 26, 12, 15), OUTREACH_SQL, ranged=True,
            fields=(
                Field("status", "Status", "state"),
                Field("reason", "Reason"),
                Field("stage", "Stage"),
                Field("customers", "Customers", "customers"),
                Field("last_decided", "Last decided", "time"),
            ),
            empty="Nobody was to be told in this time range.",
        ),
        Panel(
            20, "channels", "Channels", "table", "text",
            "Where notices go. Accepts nothing: only probes are sent, everything waits. Gone: the receiver answered "
            "410; nothing is sent until `cxwatch channels resume`.",
            Grid(0, 30, 12, 4), CHANNELS_SQL,
            fields=(
                Field("channel", "Channel"),
                Field("state", "State", "state"),
                Field("reason", "Last answer"),
                Field("since", "Since", "time"),
            ),
            empty="No sender has run yet.",
        ),
        Panel(
            14, "dead_letters", "Dead letters", "table", "events",
            "Messages that broke their contract, by rule. Their bytes are in the dead-letter topics.",
            Grid(0, 34, 12, 7), DEAD_LETTERS_SQL,
            fields=(
                Field("topic", "Topic"),
                Field("reason", "Reason"),
                Field("field", "Field"),
                Field("rule", "Rule"),
                Field("messages", "Messages", "events"),
                Field("last_rejected", "Last (stored)", "time"),
            ),
            empty="No message was rejected.",
        ),
        Panel(
            15, "streams", "Stream health", "table", "events",
            "One row per topic and producer. No data: silent for at least one bin and for five expected events at its "
            "usual rate of the hour before; quiet: too few events to judge; late: over 10 % behind the disorder bound.",
            Grid(0, 41, 24, 8), STREAMS_SQL,
            fields=(
                Field("state", "State", "state"),
                Field("stream", "Topic · producer"),
                Field("per_minute", "Events, last minute", "events"),
                Field("usual_per_minute", "Usual per minute", "per_minute"),
                Field("last_event", "Last event", "time"),
                Field("silent_s", "Silent for", "seconds"),
                Field("late_hour", "Late (1 h)", "events"),
                Field("duplicates_hour", "Duplicates (1 h)", "events"),
            ),
            empty="No event has arrived yet.",
        ),
        Panel(
            16, "event_rate", "Events per second", "timeseries", "per_second",
            "Accepted events by topic and producer, in event time.", Grid(0, 49, 12, 8), EVENT_RATE_SQL, ranged=True,
            label="stream", empty="No event in this time range.",
        ),
        Panel(
            17, "silence", "Streams without data", "state", "state",
            "Stretches in which a producer gave no data although at least 12 events were to be expected (last 7 days).",
            Grid(12, 49, 12, 8), NO_DATA_SQL, ranged=True, label="stream", empty="No producer is known yet.",
        ),
    ),
)
