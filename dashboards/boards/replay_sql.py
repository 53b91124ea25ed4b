"""The SQL of the board that shows two runs side by side, one statement per panel.

A run is a database: the live one, or one that a replay filled. ``${a:raw}`` and ``${b:raw}`` are the two that were
chosen; the register of replays is read from the database of the data source. Issues are paired off as
``streams.replay.pairing`` does it, except that two of them are a pair if each is the most alike to the other. Drills
are left out.
"""

from __future__ import annotations

from dashboards.boards.common_sql import MONEY_TEXT

RUNS_A = """
SELECT value, text
FROM
(
    SELECT currentDatabase() AS value, 'live' AS text, 0 AS position, now64(3, 'UTC') AS made_at
    UNION ALL
    SELECT database, label, 1, made_at FROM replay_ready
)
ORDER BY position, made_at DESC, value
"""
RUNS_B = RUNS_A.replace("ORDER BY position,", "ORDER BY position DESC,")
"""What A and B may be: A is the live database at first, B the newest replay."""

_ISSUES = """<run>_issues AS
    (
        SELECT
            i.issue_id AS issue_id, i.line AS line, i.signal AS signal, i.readable_title AS title, i.cause AS cause,
            i.cause_text AS cause_text, i.opened_at AS opened_at, ifNull(i.shown_at, i.detected_at) AS seen_at,
            i.resolved_at AS resolved_at, i.at_risk AS at_risk, h.customers AS customers,
            toUInt64(length(h.customers)) AS affected,
            arrayMap(pair -> (pair.1, pair.2), arrayZip(mapKeys(i.cause), mapValues(i.cause))) AS pairs
        FROM ${<run>:raw}.issue_overview AS i
        LEFT JOIN
        (
            SELECT issue_id, groupArray(cityHash64(customer_id)) AS customers
            FROM ${<run>:raw}.affected_latest
            GROUP BY issue_id
        ) AS h ON h.issue_id = i.issue_id
        WHERE i.state != 'suspected' AND NOT i.drill
    )"""

_PAIRED = """<a>,
    <b>,
    alike AS
    (
        SELECT
            a.issue_id AS id_a, b.issue_id AS id_b,
            toDateTime64('2200-01-01 00:00:00', 3, 'UTC') AS open,
            greatest(a.opened_at, b.opened_at) AS first,
            least(ifNull(a.resolved_at, open), ifNull(b.resolved_at, open)) AS last,
            dateDiff('millisecond', least(a.opened_at, b.opened_at), multiIf(
                a.resolved_at IS NULL, ifNull(b.resolved_at, open), b.resolved_at IS NULL, a.resolved_at,
                greatest(a.resolved_at, b.resolved_at))) AS whole,
            multiIf(first > last, 0, last = open OR whole <= 0, 1,
                greatest(dateDiff('millisecond', first, last) / whole, 0.001)) AS overlap,
            length(arrayIntersect(a.pairs, b.pairs)) AS same,
            length(arrayDistinct(arrayConcat(a.pairs, b.pairs))) AS all_pairs,
            if(all_pairs = 0, 1, same / all_pairs) AS shared,
            toUInt64(length(arrayIntersect(a.customers, b.customers))) AS both,
            least(a.affected, b.affected) AS smaller,
            1 + 2 * shared + overlap + 2 * both / greatest(a.affected + b.affected - both, 1) AS likeness
        FROM a_issues AS a
        INNER JOIN b_issues AS b ON b.line = a.line AND b.signal = a.signal
        WHERE overlap > 0 AND (shared > 0 OR empty(a.pairs) OR empty(b.pairs) OR (smaller > 0 AND 2 * both >= smaller))
    ),
    matched AS
    (
        SELECT id_a, id_b
        FROM
        (
            SELECT
                id_a, id_b,
                row_number() OVER (PARTITION BY id_a ORDER BY likeness DESC, id_b) AS of_a,
                row_number() OVER (PARTITION BY id_b ORDER BY likeness DESC, id_a) AS of_b
            FROM alike
        )
        WHERE of_a = 1 AND of_b = 1
    ),
    compared AS
    (
        SELECT
            a.issue_id AS id_a, b.issue_id AS id_b, if(id_a = '', b.title, a.title) AS title,
            if(id_a = '', b.line, a.line) AS line, a.cause_text AS cause_a, b.cause_text AS cause_b,
            if(id_a = '', b.opened_at, a.opened_at) AS opened_a, if(id_b = '', a.opened_at, b.opened_at) AS opened_b,
            a.seen_at AS seen_a, b.seen_at AS seen_b, a.resolved_at AS over_a, b.resolved_at AS over_b,
            a.affected AS affected_a, b.affected AS affected_b, a.at_risk AS at_risk_a, b.at_risk AS at_risk_b
        FROM (SELECT i.*, m.id_b AS pair FROM a_issues AS i LEFT JOIN matched AS m ON m.id_a = i.issue_id) AS a
        FULL OUTER JOIN b_issues AS b ON b.issue_id = a.pair
    )""".replace("<a>", _ISSUES.replace("<run>", "a")).replace("<b>", _ISSUES.replace("<run>", "b"))
"""``compared``: a row for each problem, with the issue of A and of B; one that a run does not have has an empty id."""

_AGES = """(s -> if(
        s < 120, concat(toString(toUInt64(s)), ' s'), formatReadableTimeDelta(s, 'days', 'minutes'))) AS spell"""

HEADLINE = """
WITH
    <ages>,
    <paired>
SELECT
    'plain' AS tone,
    concat(
        multiIf(
            problems = 0, 'Neither run has an issue. ',
            empty(parts) AND earlier + later = 0, concat(
                'Both runs see the same ', toString(problems), if(problems = 1, ' issue', ' issues'),
                ', each at the same time. '),
            concat(
                if(shared = 0, 'No issue', concat(
                    toString(shared), ' of ', toString(problems), if(problems = 1, ' issue', ' issues'))),
                if(shared < 2, ' is in both runs', ' are in both runs'),
                if(empty(parts), '. ', concat(': ', arrayStringConcat(parts, ', '), '. ')))),
        if(earlier + later = 0, '', concat(
            'B sees ', if(earlier = 0, '', concat(toString(earlier), ' earlier')),
            if(earlier > 0 AND later > 0, ' and ', ''), if(later = 0, '', concat(toString(later), ' later')),
            ' than A, by ', spell(by_s), if(earlier + later = 1, '', ' in the median'), '. ')),
        'Customers affected: A ', toString(hit_a), ', B ', toString(hit_b), '. Notices that would go: A ',
        toString(sent_a), ', B ', toString(sent_b), '.'
    ) AS sentence
FROM
(
    SELECT
        count() AS problems, countIf(both) AS shared, countIf(id_b = '') AS only_a, countIf(id_a = '') AS only_b,
        countIf(both AND seen_b < seen_a) AS earlier, countIf(both AND seen_b > seen_a) AS later,
        quantileExactIf(0.5)(abs(dateDiff('second', seen_b, seen_a)), both AND seen_b != seen_a) AS by_s,
        countIf(both AND cause_a != cause_b) AS other_cause,
        arrayFilter(part -> part != '', [
            if(only_a = 0, '', concat(toString(only_a), if(only_a = 1, ' is', ' are'), ' only in A')),
            if(only_b = 0, '', concat(toString(only_b), if(only_b = 1, ' is', ' are'), ' only in B')),
            if(other_cause = 0, '',
                concat(toString(other_cause), if(other_cause = 1, ' has', ' have'), ' another cause'))]) AS parts
    FROM (SELECT *, id_a != '' AND id_b != '' AS both FROM compared)
) AS found,
    (SELECT uniqExact(customer_id) AS hit_a FROM ${a:raw}.affected_latest WHERE origin != 'drill') AS hit_of_a,
    (SELECT uniqExact(customer_id) AS hit_b FROM ${b:raw}.affected_latest WHERE origin != 'drill') AS hit_of_b,
    (
        SELECT countIf(decision = 'send' AND stage = 'notice') AS sent_a FROM ${a:raw}.outreach_latest
    ) AS sent_of_a,
    (
        SELECT countIf(decision = 'send' AND stage = 'notice') AS sent_b FROM ${b:raw}.outreach_latest
    ) AS sent_of_b
""".replace("<ages>", _AGES).replace("<paired>", _PAIRED)

TRUST = """
SELECT item, text
FROM
(
    SELECT
        1 AS position, 'A' AS item,
        if(is_replay, if(state = 'ready', concat('✓ ', words), concat('✗ ', words, ', half filled')),
            '! the live database: it goes on') AS text
    FROM ${a:raw}.replay_shown
    UNION ALL
    SELECT
        2, 'B',
        if(is_replay, if(state = 'ready', concat('✓ ', words), concat('✗ ', words, ', half filled')),
            '! the live database: it goes on')
    FROM ${b:raw}.replay_shown
    UNION ALL
    SELECT
        3, 'input',
        multiIf(
            '${a:raw}' = '${b:raw}', '! A and B are the same run',
            a.source = '' OR b.source = '', '! a replay beside the live line: look at the same time range',
            (a.source, a.from_at, a.to_at) = (b.source, b.from_at, b.to_at), '✓ the same source and time range',
            '! not the same source or time range: what differs may come from that')
    FROM (SELECT source, from_at, to_at, is_replay FROM ${a:raw}.replay_shown) AS a,
        (SELECT source, from_at, to_at, is_replay FROM ${b:raw}.replay_shown) AS b
    UNION ALL
    SELECT
        4, 'configuration',
        multiIf(
            a.configuration = '' OR b.configuration = '', '! that of the live line is not known here',
            a.configuration = b.configuration, '✓ the same', '! another one')
    FROM (SELECT configuration FROM ${a:raw}.replay_shown) AS a, (SELECT configuration FROM ${b:raw}.replay_shown) AS b
)
ORDER BY position
"""
"""Rows (item, text): what A and B are, and whether they were made from the same."""

RUNS = """
SELECT
    r.name AS name, r.source AS source, r.from_at AS from_at, r.to_at AS to_at, r.`rows` AS stored,
    r.made_at AS made_at, substring(r.configuration, 1, 12) AS configuration, r.database AS database,
    toUnixTimestamp64Milli(r.from_at) AS from_ms, toUnixTimestamp64Milli(r.to_at) AS to_ms,
    multiIf(r.database = '${a:raw}', 'A', r.database = '${b:raw}', 'B', '') AS shown
FROM replay_ready AS r
ORDER BY r.made_at DESC
LIMIT 50
"""

LANES = """
WITH
    <paired>,
    toDateTime64($__fromTime, 3, 'UTC') AS first,
    toDateTime64($__toTime_ms, 3, 'UTC') AS last
SELECT turn.1 AS time, lane, turn.2 AS state
FROM
(
    SELECT
        concat(formatDateTime(began, '%m-%d %H:%i '), title, ' · ', run) AS lane,
        arraySort(turn -> turn.1, arrayFilter(turn -> turn.1 >= first AND turn.1 <= last, arrayConcat(
            [(first, multiIf(
                id = '' OR opened > first OR ifNull(over, last) <= first, '', seen <= first, 'open', 'suspected'))],
            if(opened <= first OR id = '', [], [(opened, 'suspected')]),
            if(seen <= first OR id = '', [], [(seen, 'open')]),
            if(over IS NULL OR over <= first OR id = '', [], [(assumeNotNull(over), '')]),
            [(last, if(id != '' AND opened < last AND ifNull(over, last) >= last, 'open', ''))]))) AS turns
    FROM
    (
        SELECT
            arrayJoin(['A', 'B']) AS run, if(run = 'A', id_a, id_b) AS id, title, least(opened_a, opened_b) AS began,
            if(run = 'A', opened_a, opened_b) AS opened,
            greatest(if(run = 'A', seen_a, seen_b), opened) AS seen, if(run = 'A', over_a, over_b) AS over
        FROM compared
    )
    WHERE began <= last AND (id = '' OR ifNull(over, last) >= first)
    ORDER BY began, title, run
    LIMIT 40
)
ARRAY JOIN turns AS turn
ORDER BY time, lane
""".replace("<paired>", _PAIRED)
"""Two lanes a problem; an issue is suspected from its estimated onset until it was seen."""

ISSUES = """
WITH
    <money>,
    <ages>,
    <paired>
SELECT
    multiIf(id_b = '', 'only A', id_a = '', 'only B', 'both') AS found, title, line,
    if(id_a = '', NULL, seen_a) AS seen_in_a, if(id_b = '', NULL, seen_b) AS seen_in_b,
    multiIf(
        id_a = '' OR id_b = '', '',
        seen_a = seen_b, 'the same',
        concat(spell(abs(dateDiff('second', seen_a, seen_b))), if(seen_b < seen_a, ' earlier', ' later'))) AS b_is,
    if(id_a = '', NULL, affected_a) AS hit_a, if(id_b = '', NULL, affected_b) AS hit_b,
    money_texts(at_risk_a) AS risk_a, money_texts(at_risk_b) AS risk_b,
    multiIf(id_a = '', cause_b, id_b = '' OR cause_a = cause_b, cause_a, concat(cause_a, '; in B: ', cause_b)) AS cause,
    id_a, id_b, '${a:raw}' AS database_a, '${b:raw}' AS database_b
FROM compared
ORDER BY least(opened_a, opened_b), title
LIMIT 200
""".replace("<money>", MONEY_TEXT).replace("<ages>", _AGES).replace("<paired>", _PAIRED)

DECISIONS = """
SELECT
    replaceAll(stage, '_', '-') AS message, replaceAll(decision, '_', ' ') AS decision,
    replaceAll(reason, '_', ' ') AS reason,
    sum(in_a) AS of_a, sum(in_b) AS of_b, toInt64(of_b) - toInt64(of_a) AS difference
FROM
(
    SELECT CAST(stage, 'String') AS stage, CAST(decision, 'String') AS decision, CAST(reason, 'String') AS reason,
        1 AS in_a, 0 AS in_b
    FROM ${a:raw}.outreach_latest
    UNION ALL
    SELECT CAST(stage, 'String'), CAST(decision, 'String'), CAST(reason, 'String'), 0, 1 FROM ${b:raw}.outreach_latest
)
GROUP BY message, decision, reason
ORDER BY message DESC, transform(decision, ['send', 'hold', 'hold out', 'refuse'], [1, 2, 3, 4], 5), reason
"""

_RUN_TOTALS = """
    SELECT '<run>' AS run, totals.1 AS position, totals.2 AS measure, totals.3 AS found
    FROM
    (
        SELECT arrayJoin([
            (1, 'Issues', toString(issues)), (2, 'Issues still open', toString(still_open)),
            (3, 'Customers affected', toString(affected)), (4, 'Of them silent', toString(silent)),
            (5, 'Money at risk', if(empty(risks), 'none', money_texts(risks))),
            (6, 'Cost of another minute', if(empty(costs), 'none', money_texts(costs))),
            (7, 'Notices that would go', toString(told)), (8, 'All-clears that would go', toString(cleared)),
            (9, 'Events accepted', toString(events)), (10, 'Events too late', toString(late))]) AS totals
        FROM
        (
            SELECT countIf(e.state != 'suspected') AS issues, countIf(e.active) AS still_open,
                totals_of(groupArrayArray(e.at_risk)) AS risks,
                totals_of(groupArrayArray(if(e.active, e.per_minute, []))) AS costs
            FROM ${<run>:raw}.issue_overview AS e
            WHERE NOT e.drill
        ) AS i,
        (
            SELECT uniqExact(customer_id) AS affected,
                affected - uniqExactIf(customer_id, contacted_at IS NOT NULL) AS silent
            FROM ${<run>:raw}.affected_latest
            WHERE origin != 'drill'
        ) AS h,
        (
            SELECT countIf(stage = 'notice') AS told, countIf(stage = 'all_clear') AS cleared
            FROM ${<run>:raw}.outreach_latest
            WHERE decision = 'send'
        ) AS o,
        (SELECT sum(events) AS events, sum(late) AS late FROM ${<run>:raw}.source_count_latest) AS s
    )"""
TOTALS = """
WITH
    <money>,
    (amounts -> arrayReduce('sumMap', arrayMap(one -> [one.currency], amounts), arrayMap(one -> [one.minor], amounts)))
        AS summed,
    (amounts -> arrayMap(
        (currency, minor) -> (currency, minor)::Tuple(currency String, minor Int64),
        summed(amounts).1, summed(amounts).2)) AS totals_of
SELECT measure, anyIf(found, run = 'a') AS in_a, anyIf(found, run = 'b') AS in_b,
    if(in_a = in_b, 'the same', 'differs') AS verdict
FROM
(<a>
    UNION ALL<b>
)
GROUP BY position, measure
ORDER BY position
""".replace("<money>", MONEY_TEXT).replace("<a>", _RUN_TOTALS.replace("<run>", "a")).replace(
    "<b>", _RUN_TOTALS.replace("<run>", "b"))

_RUN_AFFECTED = """
    SELECT 'RUN' AS run, toStartOfInterval(greatest(first_known, toDateTime64($__fromTime, 3, 'UTC')), step) AS time,
        1 AS fresh
    FROM
    (
        SELECT min(known_at) AS first_known
        FROM ${<run>:raw}.affected_latest
        WHERE origin != 'drill'
        GROUP BY customer_id
    )
    WHERE first_known <= $__toTime_ms
    UNION ALL
    SELECT 'RUN', toDateTime(arrayJoin(range(
            intDiv(toUnixTimestamp($__fromTime), $__interval_s) * $__interval_s,
            1 + toUnixTimestamp(least($__toTime_ms, assumeNotNull((SELECT now FROM ${<run>:raw}.event_clock)))),
            $__interval_s)), 'UTC'), 0"""
AFFECTED = """
WITH toIntervalSecond($__interval_s) AS step
SELECT time, run, toInt64(sum(sum(fresh)) OVER (PARTITION BY run ORDER BY time)) AS affected
FROM
(<a>
    UNION ALL<b>
)
GROUP BY time, run
ORDER BY time, run
""".replace("<a>", _RUN_AFFECTED.replace("<run>", "a").replace("RUN", "A")).replace(
    "<b>", _RUN_AFFECTED.replace("<run>", "b").replace("RUN", "B"))
"""A point for every bin until the newest event of each run; who was known before the range counts from its start."""
