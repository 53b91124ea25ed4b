"""The SQL that holds a cohort against the rest of its line: rates over time, the usual range, other attributes.

In every bin a customer counts once as exposed and at most once as failed. A rate stands only where at least 20 were
exposed; points are made wider where fewer come, and a point that still has fewer is a gap.
"""

from __future__ import annotations

from dashboards.boards.issue_sql import filled

LEAST = 20
"""Exposures under which no rate is shown."""
_COUNTED = """
    SELECT c.bin AS bin, c.attributes AS attributes, c.`values` AS `values`, c.exposed AS exposed, c.failed AS failed,
        i.names AS names, i.opened_at AS opened_at,
        arrayAll((name, value) -> c.`values`[indexOf(c.attributes, name)] = value, i.names, i.wanted) AS inside
    FROM cohort_count_latest AS c
    INNER JOIN
    (
        SELECT line, signal, mapKeys(cause) AS names, mapValues(cause) AS wanted, opened_at
        FROM issue_latest
        WHERE <this>
    ) AS i ON i.line = c.line AND i.signal = c.signal
    WHERE c.line IN (SELECT line FROM issue_latest WHERE <this>)
        AND c.signal IN (SELECT signal FROM issue_latest WHERE <this>) AND <when>"""
"""Leaves of the issue's line and signal; inside: they have the cause."""
_IN_RANGE = filled(_COUNTED, when="$__timeFilter(c.bin)")
SINCE_ONSET = filled(
    _COUNTED,
    when="""c.bin >= (SELECT min(opened_at) FROM issue_latest WHERE <this>)
        AND c.bin < (
            SELECT least(min(opened_at) + toIntervalHour(12), min(ifNull(resolved_at, opened_at + toIntervalHour(12))))
            FROM issue_latest WHERE <this>)""",
)
"""The first 12 hours of the issue, or all of it if it was shorter."""
BEFORE = filled(
    _COUNTED,
    when="""c.bin >= (SELECT min(opened_at) - toIntervalHour(24) FROM issue_latest WHERE <this>)
        AND c.bin < (SELECT min(opened_at) - toIntervalMinute(5) FROM issue_latest WHERE <this>)""",
)
"""The day before the onset, less the last 5 minutes, in which it may have begun."""

_POINTS = filled("""
    SELECT width, intDiv(second, width) * width AS at, inside, sum(exposed) AS exposed, sum(failed) AS failed
    FROM
    (
        SELECT toUnixTimestamp(bin) AS second, inside, sum(c.exposed) AS exposed, sum(c.failed) AS failed,
            sum(if(inside, exposed, 0)) OVER () AS inside_exposed,
            max(second) OVER () - min(second) OVER () + 10 AS span_s,
            toUInt32(greatest($__interval_s, 10 * least(8640,
                ceil(if(inside_exposed = 0, 0, 4 * span_s / inside_exposed))))) AS width
        FROM (<counted>) AS c
        GROUP BY second, inside
    )
    GROUP BY width, at, inside
    HAVING exposed >= 20""", counted=_IN_RANGE)
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
""", points=_POINTS)
"""Two rates; where the next point of one is missing, a NULL ends its line."""

BAND = filled("""
WITH usual.failed / usual.exposed AS rate, 1.96 * sqrt(rate * (1 - rate) / r.exposed) AS reach
SELECT toDateTime(r.at, 'UTC') AS time, greatest(0, rate - reach) AS low, least(1, rate + reach) AS high
FROM (SELECT at, exposed FROM (<points>) WHERE inside) AS r
CROSS JOIN
(
    SELECT sum(exposed) + 1 AS exposed, sum(failed) + 0.5 AS failed FROM (<before>) WHERE inside HAVING exposed >= 200
) AS usual
ORDER BY time
""", points=_POINTS, before=BEFORE)
"""Where 95 of 100 points lie if the cohort fails as on the day before the onset, by how many are exposed at each."""

COUNTER = filled("""
WITH
    (n -> concat(toString(n[2]), ' of ', toString(n[1]), ' exposed', if(n[1] < 20, ', too few for a rate',
        concat(' (', toString(round(100 * n[2] / n[1], 1)), ' %)')))) AS said,
    (
        SELECT [toInt64(sumIf(exposed, inside)), toInt64(sumIf(failed, inside)),
            toInt64(sumIf(exposed, NOT inside)), toInt64(sumIf(failed, NOT inside))]
        FROM (<since>)
    ) AS counted,
    (SELECT [toInt64(sum(exposed)), toInt64(sum(failed))] FROM (<before>) WHERE inside) AS inside_before
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
            (4, 'had the cause and failed the day before', said(inside_before)),
            (5, 'failures that the cause leaves open', if(empty(cause), 'all: no part of the line explains them',
                concat(toString(round(100 * (1 - support), 1)), ' % of those above the usual')))
        ]) AS row, row.1 AS place, row.2 AS item, row.3 AS text
    FROM issue_latest
    WHERE <this>
)
ORDER BY place
""", since=SINCE_ONSET, before=BEFORE)

OTHERS = filled("""
SELECT
    attribute, value, with_exposed, if(with_exposed >= 20, with_failed / with_exposed, NULL) AS with_rate,
    without_exposed, if(without_exposed >= 20, without_failed / without_exposed, NULL) AS without_rate,
    multiIf(
        with_rate IS NULL OR without_rate IS NULL, 'too few to say',
        without_rate * 2 <= with_rate, 'does not explain it: fails with the cause, not without',
        with_rate * 2 <= without_rate, 'fails without the cause: may be a part of it, or another trouble',
        'as bad without the cause') AS verdict,
    issue_id
FROM
(
    SELECT
        pair.1 AS attribute, pair.2 AS value,
        sumIf(exposed, inside) AS with_exposed, sumIf(failed, inside) AS with_failed,
        sumIf(exposed, NOT inside) AS without_exposed, sumIf(failed, NOT inside) AS without_failed
    FROM (<since>)
    ARRAY JOIN arrayFilter(one -> NOT has(names, one.1),
        arrayZip(arrayMap(x -> CAST(x, 'String'), attributes), `values`)) AS pair
    WHERE pair.2 != '' AND notEmpty(names)
    GROUP BY attribute, value
) AS a
CROSS JOIN (SELECT issue_id FROM issue_latest WHERE <this>) AS i
WHERE with_exposed + without_exposed >= 20
ORDER BY with_exposed DESC, attribute, value
LIMIT 30
""", since=SINCE_ONSET)
