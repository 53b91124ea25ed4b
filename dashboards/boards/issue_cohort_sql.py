"""The SQL that holds a cohort against the rest of its line: rates over time, the usual range, other attributes.

In every bin a customer counts once as exposed and at most once as failed. A rate stands only where at least 20 were
exposed; points are made wider where fewer come, and a point that still has fewer is a gap.
"""

from __future__ import annotations

from dashboards.boards.issue_sql import filled
from schemas.words import words_sql

LEAST = 20
"""Exposures under which no rate is shown."""
_ISSUE = "(SELECT <what> FROM issue_latest WHERE <this>)"
ONSET = _ISSUE.replace("<what>", "min(opened_at)")
UNTIL = _ISSUE.replace(
    "<what>", "min(least(opened_at + toIntervalHour(12), ifNull(resolved_at, opened_at + toIntervalHour(12))))")
"""The first 12 hours of an issue are looked at, or all of it if it was shorter."""
USUAL = filled("c.bin >= <onset> - toIntervalHour(24) AND c.bin < <onset> - toIntervalMinute(5)", onset=ONSET)
"""The day before the onset, less the last 5 minutes, in which it may have begun."""
SINCE = filled("c.bin >= <onset> AND c.bin < <until>", onset=ONSET, until=UNTIL)

_LEAVES = filled("""
    WITH <keys> AS names, <values> AS wanted
    SELECT c.bin AS bin, c.attributes AS attributes, c.`values` AS `values`, c.exposed AS exposed, c.failed AS failed,
        names AS named,
        (length(names) < 1 OR c.`values`[indexOf(c.attributes, names[1])] = wanted[1])
            AND (length(names) < 2 OR c.`values`[indexOf(c.attributes, names[2])] = wanted[2])
            AND (length(names) < 3
                OR arrayAll((name, value) -> c.`values`[indexOf(c.attributes, name)] = value, names, wanted)) AS inside
    FROM cohort_count_latest AS c
    WHERE c.line = <line> AND c.signal = <signal> AND (<when>)""",
    keys=_ISSUE.replace("<what>", "groupArrayArray(mapKeys(cause))"),
    values=_ISSUE.replace("<what>", "groupArrayArray(mapValues(cause))"),
    line=_ISSUE.replace("<what>", "any(line)"), signal=_ISSUE.replace("<what>", "any(signal)"),
)  # fmt: skip
"""Leaves of the issue's line and signal; inside: they have the cause. Conditions that are constant for the whole
statement let ClickHouse skip what other lines and other times wrote."""

_POINTS = """
    SELECT width, intDiv(second, width) * width AS at, inside, usual_exposed, usual_failed,
        sum(exposed) AS exposed, sum(failed) AS failed
    FROM
    (
        SELECT second, inside, exposed, failed, shown,
            sum(if(inside AND usual, exposed, 0)) OVER () AS usual_exposed,
            sum(if(inside AND usual, failed, 0)) OVER () AS usual_failed,
            sum(if(inside AND shown, exposed, 0)) OVER () AS inside_exposed,
            max(if(shown, second, 0)) OVER () - min(if(shown, second, 4000000000)) OVER () + 10 AS span_s,
            toUInt32(greatest($__interval_s, 10 * least(8640,
                ceil(if(inside_exposed = 0, 0, 4 * span_s / inside_exposed))))) AS width
        FROM
        (
            SELECT toUnixTimestamp(c.bin) AS second, inside, $__timeFilter(c.bin) AS shown, <usual> AS usual,
                sum(c.exposed) AS exposed, sum(c.failed) AS failed
            FROM (<leaves>) AS c
            GROUP BY second, inside, shown, usual
        )
    )
    WHERE shown
    GROUP BY width, at, inside, usual_exposed, usual_failed
    HAVING exposed >= 20"""
"""Points as wide as the range asks for, or so wide that 40 with the cause are exposed in the mean."""

COHORT = filled("""
SELECT toDateTime(point.1, 'UTC') AS time, cohort, point.2 AS failure_rate
FROM
(
    SELECT if(inside, 'with the cause', 'everybody else') AS cohort,
        leadInFrame(at, 1, at) OVER
            (PARTITION BY inside ORDER BY at ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS next_at,
        arrayJoin(arrayConcat([(at, toNullable(failed / exposed))], if(next_at > at + width, [(at + width, NULL)], [])))
            AS point
    FROM (<points>)
)
ORDER BY time, cohort
""", points=filled(_POINTS, leaves=_LEAVES, usual="0", when="$__timeFilter(c.bin)"))
"""Two rates; where the next point of one is missing, a NULL ends its line."""

BAND = filled("""
WITH
    <expected> AS expected_rate,
    if(usual_exposed >= 200, (usual_failed + 0.5) / (usual_exposed + 1), expected_rate) AS rate,
    1.96 * sqrt(rate * (1 - rate) / exposed) AS reach
SELECT toDateTime(at, 'UTC') AS time, greatest(0, rate - reach) AS low, least(1, rate + reach) AS high
FROM (<points>)
WHERE inside AND rate < 1
ORDER BY time
""",
    expected=_ISSUE.replace("<what>", "least(1, any(if(exposed > 0, expected / exposed, 1)))"),
    points=filled(_POINTS, leaves=_LEAVES, usual=USUAL, when=f"$__timeFilter(c.bin) OR {USUAL}"),
)  # fmt: skip
"""Where 95 of 100 points lie if the cohort fails as on the day before the onset, by how many are exposed at each. Of a
cohort that had fewer than 200 exposed on that day, such as a new release, as often as the detector expected."""

COUNTER = filled("""
WITH
    (n -> concat(toString(n[2]), ' of ', toString(n[1]), ' exposed', if(n[1] < 20, ', too few for a rate',
        concat(' (', toString(round(100 * n[2] / n[1], 1)), ' %)')))) AS said
SELECT item, text, issue_id
FROM
(
    SELECT
        issue_id,
        arrayJoin([
            (1, 'had the cause and did not fail', concat(said([toInt64(exposed), toInt64(exposed) - toInt64(failed)]),
                ', by the detector')),
            (2, 'had the cause and failed', said(arraySlice(counted, 1, 2))),
            (3, 'had it not and failed', if(empty(cause), 'nobody is outside: the cause is the whole line',
                said(arraySlice(counted, 3, 2)))),
            (4, 'had the cause and failed the day before', said(arraySlice(counted, 5, 2))),
            (5, 'failures that the cause leaves open', if(empty(cause), 'all: no part of the line explains them',
                concat(toString(round(100 * (1 - support), 1)), ' % of those above the usual')))
        ]) AS row, row.1 AS place, row.2 AS item, row.3 AS text
    FROM (SELECT issue_id, exposed, failed, cause, support FROM issue_latest WHERE <this>) AS i
    CROSS JOIN
    (
        SELECT [
            toInt64(sumIf(c.exposed, inside AND <since>)), toInt64(sumIf(c.failed, inside AND <since>)),
            toInt64(sumIf(c.exposed, NOT inside AND <since>)), toInt64(sumIf(c.failed, NOT inside AND <since>)),
            toInt64(sumIf(c.exposed, inside AND <usual>)), toInt64(sumIf(c.failed, inside AND <usual>))] AS counted
        FROM (<leaves>) AS c
    ) AS n
)
ORDER BY place
""", leaves=filled(_LEAVES, when=f"({USUAL}) OR ({SINCE})"), since=f"({SINCE})", usual=f"({USUAL})")

OTHERS = filled("""
SELECT
    <words> AS attribute, value, with_exposed, if(with_exposed >= 20, with_failed / with_exposed, NULL) AS with_rate,
    without_exposed, if(without_exposed >= 20, without_failed / without_exposed, NULL) AS without_rate,
    multiIf(
        with_exposed = 0, 'nobody with the cause has it',
        with_rate IS NULL OR without_rate IS NULL, 'too few to say',
        without_rate * 2 <= with_rate, 'does not explain it: fails with the cause, not without',
        with_rate * 2 <= without_rate, 'fails without the cause: may be a part of it, or another trouble',
        'as bad without the cause') AS verdict,
    issue_id
FROM
(
    SELECT
        pair.1 AS name, pair.2 AS value,
        sumIf(exposed, inside) AS with_exposed, sumIf(failed, inside) AS with_failed,
        sumIf(exposed, NOT inside) AS without_exposed, sumIf(failed, NOT inside) AS without_failed
    FROM
    (
        SELECT attributes, `values`, inside, named, sum(c.exposed) AS exposed, sum(c.failed) AS failed
        FROM (<leaves>) AS c
        GROUP BY attributes, `values`, inside, named
    )
    ARRAY JOIN arrayFilter(one -> NOT has(named, one.1),
        arrayZip(arrayMap(x -> CAST(x, 'String'), attributes), `values`)) AS pair
    WHERE pair.2 != '' AND notEmpty(named)
    GROUP BY name, value
) AS a
CROSS JOIN (SELECT issue_id FROM issue_latest WHERE <this>) AS i
WHERE with_exposed + without_exposed >= 20
ORDER BY with_exposed DESC, attribute, value
LIMIT 30
""", leaves=filled(_LEAVES, when=SINCE), words=words_sql("attribute", "name"))
