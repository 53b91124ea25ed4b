"""Histories of issues for charts: counts and money by the minute, failure rates with their usual range, states.

``only`` is a condition on the columns of ``issue_overview``, and may read variables. A chart shows the 12 largest.
"""

from __future__ import annotations

from dashboards.boards.common_sql import DECIMALS_OF

_SHOWN = """shown AS
    (
        SELECT
            issue_id, label, line, signal, mapKeys(cause) AS names, mapValues(cause) AS wanted, usual_rate,
            state, detected_at, shown_at, resolved_at
        FROM issue_overview
        WHERE state != 'suspected' AND detected_at <= $__toTime_ms
            AND (resolved_at IS NULL OR resolved_at >= $__fromTime) AND (<only>)
        ORDER BY active DESC, affected DESC, issue_id
        LIMIT 12
    )"""

_COUNTS = """
WITH
    <decimals>,
    <shown>,
    toUnixTimestamp(least($__toTime_ms, assumeNotNull((SELECT now FROM event_clock)))) AS until
SELECT toDateTime(g.at, 'UTC') AS time, <series> AS issue, <value> AS <name>
FROM
(
    SELECT
        issue_id, label,
        arrayJoin(range(
            intDiv(toUnixTimestamp($__fromTime), $__interval_s) * $__interval_s,
            1 + least(until, ifNull(toUnixTimestamp(resolved_at) + $__interval_s, until)), $__interval_s)) AS at
    FROM shown
) AS g
ASOF INNER JOIN
(
    SELECT *, toUnixTimestamp(minute) AS began
    FROM issue_minute
    WHERE issue_id IN (SELECT issue_id FROM shown)
) AS m ON m.issue_id = g.issue_id AND m.began < g.at + $__interval_s
WHERE <kept>
ORDER BY time, issue
"""

_SPANS = """
WITH
    multiIf($__interval_s >= 3600, 3600, $__interval_s >= 300, 300, $__interval_s >= 60, 60, 10) AS finest,
    toUnixTimestamp(assumeNotNull((SELECT closed_through FROM event_clock))) AS closed,
    ((exposed, ends) -> if(ends <= closed, exposed, 1000000000)) AS if_whole,
    <shown>,
    leaves AS
    (
        SELECT
            line, signal, any(attributes) AS names, any(`values`) AS found,
            greatest(finest, toUInt32(intDiv(width_ms, 1000))) AS step,
            intDiv(toUnixTimestamp(bin), step) * step AS at, sum(exposed) AS of_leaf, sum(failed) AS failed_of_leaf
        FROM cohort_count_latest
        WHERE line IN (SELECT line FROM shown) AND signal IN (SELECT signal FROM shown)
            AND bin >= toStartOfHour($__fromTime) AND bin < $__toTime_ms
        GROUP BY line, signal, cityHash64(attributes, `values`), step, at
    ),
    bins AS
    (
        SELECT
            i.label AS issue, any(i.usual_rate) AS usual_rate, c.step AS step, c.at AS at,
            sum(c.of_leaf) AS exposed, sum(c.failed_of_leaf) AS failed
        FROM leaves AS c
        INNER JOIN shown AS i ON i.line = c.line AND i.signal = c.signal
        WHERE arrayAll((name, value) -> c.found[indexOf(c.names, name)] = value, i.names, i.wanted)
        GROUP BY issue, step, at
        HAVING exposed > 0
    ),
    minutes AS
    (
        SELECT
            *, min(if_whole(exposed, at + step)) OVER minute AS least_bin,
            sum(exposed) OVER minute AS of_minute, sum(exposed) OVER five AS of_five
        FROM bins
        WINDOW minute AS (PARTITION BY issue, intDiv(at, 60)), five AS (PARTITION BY issue, intDiv(at, 300))
    ),
    hours AS
    (
        SELECT
            *, min(if_whole(of_minute, intDiv(at, 60) * 60 + 60)) OVER (PARTITION BY issue, intDiv(at, 300))
                AS least_minute,
            min(if_whole(of_five, intDiv(at, 300) * 300 + 300)) OVER (PARTITION BY issue, intDiv(at, 3600))
                AS least_five
        FROM minutes
    ),
    spans AS
    (
        SELECT
            issue, step, any(usual_rate) AS usual,
            toUInt32(greatest(step, multiIf(least_five < 20, 3600, least_minute < 20, 300, least_bin < 20, 60, step)))
                AS width,
            toUInt32(intDiv(at, width) * width) AS began, sum(exposed) AS n, sum(failed) / n AS rate
        FROM hours
        GROUP BY issue, step, width, began
        HAVING n >= 20
    )
"""
"""``spans``: of each issue the stretches with one rate; ``n`` exposures, at least 20."""
_RATES = _SPANS + """
SELECT toDateTime(point.1, 'UTC') AS time, issue, point.2 AS failure_rate
FROM
(
    SELECT
        issue,
        arrayConcat(
            arrayMap(t -> (t, toNullable(rate)), range(began, least(began + width, greatest(closed, began + 1)), step)),
            if(next = began + width OR began + width > closed, [], [(began + width, NULL)])) AS points
    FROM
    (
        SELECT
            *, leadInFrame(began, 1, toUInt32(0)) OVER (
                PARTITION BY issue ORDER BY began ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING) AS next
        FROM spans
    )
)
ARRAY JOIN points AS point
ORDER BY time, issue
"""
_USUAL = _SPANS + """
SELECT
    toDateTime(at, 'UTC') AS time,
    greatest(0, min((usual + 1.9208 / n - deviation) / (1 + 3.8416 / n))) AS low,
    max((usual + 1.9208 / n + deviation) / (1 + 3.8416 / n)) AS high
FROM
(
    SELECT
        *, 1.96 * sqrt(usual * (1 - usual) / n + 0.9604 / (n * n)) AS deviation,
        arrayJoin(range(began, least(began + width, greatest(closed, began + 1)), step)) AS at
    FROM spans
    WHERE usual BETWEEN 0 AND 1
)
GROUP BY time
ORDER BY time
"""
_STATES = """
WITH
    toDateTime64($__fromTime, 3, 'UTC') AS first,
    toDateTime64($__toTime_ms, 3, 'UTC') AS last,
    <shown>
SELECT turn.1 AS time, issue, turn.2 AS state
FROM
(
    SELECT issue, arraySort(groupArray((time, state))) AS turns
    FROM
    (
        SELECT issue_id, label AS issue, turn.1 AS time, turn.2 AS state
        FROM shown
        ARRAY JOIN arrayConcat(
            [(detected_at, 'suspected')],
            if(shown_at IS NULL, [], [(assumeNotNull(shown_at), 'open')]),
            if(resolved_at IS NULL, [], [(assumeNotNull(resolved_at), 'resolved')])) AS turn
        UNION ALL
        SELECT s.issue_id, s.label, r.minute, CAST(r.state, 'String')
        FROM issue_1m_latest AS r
        INNER JOIN shown AS s ON s.issue_id = r.issue_id
        WHERE r.issue_id IN (SELECT issue_id FROM shown) AND r.state NOT IN ('suspected', 'resolved')
            AND r.minute > ifNull(s.shown_at, s.detected_at) AND (s.resolved_at IS NULL OR r.minute < s.resolved_at)
    )
    WHERE time <= last
    GROUP BY issue_id, issue
)
ARRAY JOIN <lane> AS turn
ORDER BY time, issue
"""
"""Detected, shown and resolved are event times of the issue itself; what lies between is its last state of each minute,
as far as detection was flushed in it."""
GAPS = """
WITH
    toDateTime64($__fromTime, 3, 'UTC') AS first,
    toDateTime64($__toTime_ms, 3, 'UTC') AS last
SELECT turn.1 AS time, stream, turn.2 AS silent
FROM
(
    SELECT stream, arraySort(groupArray((time, silent))) AS turns
    FROM
    (
        SELECT stream, first AS time, 0 AS silent
        FROM source_status
        UNION ALL
        SELECT stream, change.1, change.2
        FROM source_gap
        ARRAY JOIN if(ended IS NULL, [(started, 1)], [(started, 1), (assumeNotNull(ended), 0)]) AS change
    )
    WHERE time <= last
    GROUP BY stream
)
ARRAY JOIN <lane> AS turn
ORDER BY time, stream, silent
"""
_LANE = """arrayConcat(
    arrayMap(turn -> (greatest(first, turn.1), turn.2), arraySlice(arrayFilter(turn -> turn.1 <= first, turns), -1)),
    arrayFilter(turn -> turn.1 > first AND turn.1 < last, turns),
    [(last, turns[-1].2)])"""
"""The turns of a lane within the range: what held at its beginning, and at its end what holds then."""
GAPS = GAPS.replace("<lane>", _LANE)
"""Lanes of the producers: 1 while one gave no data."""


def affected_history(only: str = "1") -> str:
    """Rows (time, issue, affected): customers known to be hit by then; ends where the issue was resolved."""
    return _counts("g.label", "m.affected", "affected", "1", only)


def silent_history(only: str = "1") -> str:
    """Rows (time, issue, silent): of those, who had not contacted the company by then."""
    return _counts("g.label", "m.silent", "silent", "1", only)


def money_history(column: str, only: str = "1") -> str:
    """Rows (time, issue, amount) of ``at_risk`` or ``per_minute``, in the main unit of the currency that the series
    names. Nothing where impact states no parameters yet."""
    value = f"m.{column}[1].minor / exp10(decimals_of(m.{column}[1].currency))"
    return _counts(f"concat(g.label, ', ', m.{column}[1].currency)", value, "amount", f"notEmpty(m.{column})", only)


def failure_rates(only: str = "1") -> str:
    """Rows (time, issue, failure_rate) of the cohorts that an issue blames, NULL where a gap begins.

    Bins of 10 s, 1, 5 or 60 minutes: a stretch is split further only if each part of it that is over had at least 20
    exposed or none. What has fewer in a whole hour is left out.
    """
    return _RATES.replace("<shown>", _shown(only))


def usual_rates(only: str = "1") -> str:
    """Rows (time, low, high): the band of those charts, of as many exposed as each point has.

    The 95 % interval (Wilson's, of a binomial share) around the rate that detection expected of the cohort; of several
    issues, from the lowest to the highest.
    """
    return _USUAL.replace("<shown>", _shown(only))


def issue_states(only: str = "1") -> str:
    """Rows (time, issue, state): each lane from its state at the beginning of the range to that at its end."""
    return _STATES.replace("<shown>", _shown(only)).replace("<lane>", _LANE)


def _shown(only: str) -> str:
    return _SHOWN.replace("<only>", only)


def _counts(series: str, value: str, name: str, kept: str, only: str) -> str:
    parts = {"decimals": DECIMALS_OF, "shown": _shown(only), "series": series, "value": value, "name": name,
             "kept": kept}
    sql = _COUNTS
    for part, text in parts.items():
        sql = sql.replace(f"<{part}>", text)
    return sql
