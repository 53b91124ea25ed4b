"""The SQL of the board of operations, one statement per panel.

It is written for Grafana's ClickHouse data source, with the macros that every version of its 4.x line runs
(``dashboards.macros`` expands the same ones for the live board and for tests). Figures about the present (open issues,
money, streams) carry no time filter, everything that is a history does.
"""

from __future__ import annotations

from dashboards.boards.common_sql import AGE_TEXT, MONEY_TEXT, marked
from dashboards.boards.history_sql import affected_history, failure_rates, usual_rates

CHOSEN = """(
        $__conditionalAll(line IN (${product:sqlstring}), $product)
        AND $__conditionalAll(signal IN (${signal:sqlstring}), $signal))"""
"""What a viewer chose, of any view that has line and signal."""

HEADLINE = marked("""
WITH
    <money>,
    <ages>,
    assumeNotNull((SELECT now FROM event_clock)) AS newest,
    greatest(0, dateDiff('second', newest, $__toTime_ms)) AS age_s,
    (
        SELECT (
            countIf(active), argMaxIf(title, (arrayMax(one -> one.minor, per_minute), affected), active),
            any(total_affected), any(total_silent), any(total_per_minute), sumIf(sent, active))
        FROM issue_board
        WHERE issue_id IN (SELECT issue_id FROM issue_overview WHERE active)
    ) AS board,
    board.1 AS issues, board.3 AS affected, arrayFilter(one -> one.minor > 0, board.5) AS costs, board.6 AS sent,
    assumeNotNull((SELECT is_replay FROM replay_shown)) AS replayed,
    if(replayed, [], arrayConcat(
        (SELECT groupArray(trouble) FROM (SELECT trouble FROM room_status WHERE state != 'ok' ORDER BY position)),
        if(age_s >= 120, [concat('the newest event is ', words(age_s), ' old')], [])
    )) AS troubles,
    NOT replayed AND (age_s >= 600 OR (SELECT countIf(state IN ('blind', 'unknown')) FROM room_status) > 0) AS blind,
    toUnixTimestamp(newest) = 0 AS empty
SELECT
    multiIf(empty OR issues > 0 OR blind, 'bad', notEmpty(troubles), 'warn', 'good') AS tone,
    concat(
        multiIf(
            empty, 'Nothing is known: no event has arrived yet.',
            issues > 0, concat(
                toString(issues), if(issues = 1, ' open issue: ', ' open issues: '), board.2,
                if(issues = 1, '. ', concat(', and ', toString(issues - 1), ' more. ')),
                toString(affected), if(affected = 1, ' customer affected, ', ' customers affected, '),
                toString(board.4), ' of them silent.',
                if(empty(costs), '', concat(' Every minute costs ', money_texts(costs), '.')),
                multiIf(sent = 0, ' No notice was sent.', sent = 1, ' 1 notice was sent.',
                    concat(' ', toString(sent), ' notices were sent.'))),
            blind, 'Nobody can say whether all is well.',
            notEmpty(troubles), 'No open issue as far as is known.',
            replayed, 'No issue is open at its end.',
            'No open issue. Nobody is known to suffer right now.'),
        if(empty(troubles) OR empty, '', concat(
            ' Not up to date: ', arrayStringConcat(arraySlice(troubles, 1, 2), ', '),
            if(length(troubles) > 2, concat(' and ', toString(length(troubles) - 2), ' more'), ''), '.'))
    ) AS sentence
""".replace("<money>", MONEY_TEXT).replace("<ages>", AGE_TEXT))

ISSUES = """
WITH
    <money>,
    (amounts -> arrayReduce('sumMap', arrayMap(one -> [one.currency], amounts), arrayMap(one -> [one.minor], amounts)))
        AS summed,
    (amounts -> arrayMap(
        (currency, minor) -> (currency, minor)::Tuple(currency String, minor Int64),
        summed(amounts).1, summed(amounts).2)) AS totals,
    (
        SELECT (uniqExact(customer_id), uniqExact(customer_id) - uniqExactIf(customer_id, contacted_at IS NOT NULL))
        FROM affected_latest
        WHERE issue_id IN (SELECT issue_id FROM issue_overview WHERE active AND <chosen>)
    ) AS hit
SELECT
    substring(o.issue_id, 1, 10) AS id, if(o.drill AND o.ongoing, 'drill', CAST(o.state, 'String')) AS state,
    o.title AS title, o.opened_at AS opened_at,
    o.severity AS severity, o.affected AS affected, if(o.affected >= 20, o.silent_share, NULL) AS silent_share,
    o.sparkline AS last_hour,
    if(empty(o.per_minute), NULL, concat(money_texts(o.per_minute), if(o.money_basis = 'assumed', ' (assumed)', '')))
        AS per_minute,
    o.sent_text AS sent,
    if(o.owner = '', o.next_step, concat(o.owner, ': ', o.next_step)) AS next_step, o.issue_id AS issue_id,
    countIf(o.active) OVER () AS all_issues, hit.1 AS all_affected, hit.2 AS all_silent,
    money_texts(totals(groupArrayArray(if(o.active, o.per_minute, [])) OVER ())) AS all_per_minute,
    arrayStringConcat(arrayMap(
        (one, low, high) -> concat(money_text(one), ' (', bare_money(low), ' to ', bare_money(high), ')'),
        totals(groupArrayArray(if(o.active, o.at_risk, [])) OVER ()),
        totals(groupArrayArray(if(o.active, o.at_risk_low, [])) OVER ()),
        totals(groupArrayArray(if(o.active, o.at_risk_high, [])) OVER ())), ' + ') AS all_at_risk,
    sumIf(o.sent, o.active) OVER () AS all_sent
FROM issue_board AS o
WHERE o.issue_id IN (
        SELECT issue_id
        FROM issue_overview
        WHERE <chosen> AND (
            ongoing OR (state = 'resolved' AND resolved_at IS NOT NULL AND $__timeFilter(assumeNotNull(resolved_at)))))
ORDER BY o.active DESC, o.ongoing DESC, arrayMax(one -> one.minor, o.per_minute) DESC, o.affected DESC,
    o.detected_at DESC
LIMIT 100
""".replace("<money>", MONEY_TEXT).replace("<chosen>", CHOSEN)
"""The tiles read the columns ``all_...`` of the first row: sums of the very rows, so that both agree to the cent.
A drill is a row with a state of its own, and in no sum."""

AFFECTED = affected_history(CHOSEN)
FAILURE_RATE, USUAL_RATE = failure_rates(CHOSEN), usual_rates(CHOSEN)

TODAY = """
WITH
    assumeNotNull((SELECT now FROM event_clock)) AS until,
    toDateTime64(toStartOfDay(until), 3, 'UTC') AS since,
    (at -> at >= since AND at < until) AS is_today,
    (at -> is_today(at + toIntervalDay(7))) AS was_then
SELECT
    measure, today, if(known, week_ago, NULL) AS week_ago,
    if(known AND week_ago >= 20, concat(if(today >= week_ago, '+', '-'),
        toString(round(100 * abs(toInt64(today) - toInt64(week_ago)) / week_ago)), ' %'), NULL) AS change
FROM
(
    SELECT
        transform(topic, ['telemetry', 'order', 'contact'], [3, 2, 1], 4) AS position,
        transform(topic, ['telemetry', 'order', 'contact'], ['Product events', 'Order events', 'Contact events'], '')
            AS measure,
        sumIf(events, is_today(bin)) AS today, sumIf(events, was_then(bin)) AS week_ago, week_ago > 0 AS known
    FROM source_count_latest
    WHERE (is_today(bin) OR was_then(bin)) AND topic IN ('telemetry', 'order', 'contact')
    GROUP BY topic
    UNION ALL
    SELECT
        0, 'Customers newly affected', uniqExactIf(customer_id, is_today(first_failed_at)),
        uniqExactIf(customer_id, was_then(first_failed_at)),
        (SELECT min(bin) FROM source_count_latest WHERE bin >= since - toIntervalDay(8)) <= since - toIntervalDay(7)
    FROM affected_latest
    WHERE (is_today(first_failed_at) OR was_then(first_failed_at)) AND NOT startsWith(line, 'cx.drill.') AND <chosen>
)
ORDER BY position
""".replace("<chosen>", CHOSEN)
"""Today until now against the same weekday a week ago until the same time of day. Blank where nothing was counted then;
a change is only said of at least 20."""
