"""The SQL of the board of the customers' experience: the definitions of ``schemas.definitions``, over time, per group,
and against the same hours a week before.

Every rate is one of at least 20 (``HAVING`` of its definition). Where 5 minutes have fewer, the points of a chart stand
further apart, and an interval that still has fewer is a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from schemas.definitions import BY_DEFINITION, Definition
from schemas.definitions.experience import EFFORT_STAGES, IS_LOW, stage_lows

_PRODUCT = "$__conditionalAll(line IN (${product:sqlstring}), $product)"
_REGION = "$__conditionalAll(region IN (${region:sqlstring}), $region)"
_LEAF_REGION = "$__conditionalAll(values[indexOf(attributes, 'region')] IN (${region:sqlstring}), $region)"
_SEGMENT = """$__conditionalAll(customer_id IN
    (SELECT customer_id FROM customer_latest WHERE segment IN (${segment:sqlstring})), $segment)"""
_CUSTOMERS = (_PRODUCT, _REGION, _SEGMENT)
_CHOSEN: dict[str, tuple[str, ...]] = {
    "case_overview": _CUSTOMERS, "order_overview": _CUSTOMERS, EFFORT_STAGES: _CUSTOMERS,
    "affected_latest": (_PRODUCT, _SEGMENT), "cohort_count_latest": (_PRODUCT, _LEAF_REGION),
    "stage_hour": (_PRODUCT, _REGION),
}
"""What the variables of the board choose among the rows of a source: what its rows tell."""
_LOWS = stage_lows(" AND ".join(_CHOSEN["stage_hour"]))
_IN_STEPS = "300, 600, 900, 1800, 3600, 10800, 21600, 43200, 86400"
IN_HOURS = "3600, 10800, 21600, 43200, 86400"

_TILE = """
SELECT label, figure
FROM
(
    SELECT 1 AS position, 'this range' AS label, toNullable((<now>)) AS figure
    UNION ALL
    SELECT 2, 'a week before', toNullable((<before>))
)
WHERE figure IS NOT NULL
ORDER BY position
"""
_WEEKS = """
WITH
    ((figure, unit) -> multiIf(
        figure IS NULL, NULL,
        unit = 'share', concat(toString(round(100 * figure, 1)), ' %'),
        unit != 'seconds', toString(figure),
        figure < 120, concat(toString(round(figure)), ' s'),
        figure < 7200, concat(toString(round(figure / 60, 1)), ' min'),
        concat(toString(round(figure / 3600, 1)), ' h'))) AS words,
    ((change, unit) -> concat(if(change < 0, '-', '+'), toString(abs(change)), unit)) AS signed
SELECT
    title, words(figure, unit) AS this_range, words(before, unit) AS week_before,
    multiIf(
        figure IS NULL OR before IS NULL, NULL,
        unit = 'share', signed(round(100 * (figure - before), 1), ' points'),
        before = 0, NULL,
        signed(round(100 * (figure - before) / before, 1), ' %')) AS change
FROM
(
    <rows>
)
WHERE (figure IS NOT NULL OR before IS NOT NULL)
    AND (unit IN ('share', 'seconds') OR ifNull(figure, 0) + ifNull(before, 0) > 0)
ORDER BY position
"""
_BARS = """
SELECT a.label AS label, a.<name> AS figure, b.week_before AS week_before
FROM (<now>) AS a
LEFT JOIN (SELECT label, toNullable(<name>) AS week_before FROM (<before>)) AS b ON b.label = a.label
ORDER BY figure <order>, label
LIMIT 20
"""
_CHART = """
WITH
    widths AS
    (
        SELECT series, arrayFirst(width -> width = 86400 OR (width >= $__interval_s AND size * width >=
            <aim> * dateDiff('second', $__fromTime, $__toTime_ms)), [<widths>]) AS width
        FROM (<sizes>)
    ),
    points AS (SELECT series, at, toNullable(<name>) AS figure FROM (<points>))
SELECT toDateTime(grid.at, 'UTC') AS time, grid.series AS series, points.figure AS figure
FROM
(
    SELECT series, toUInt32(arrayJoin(range(
        toInt64(intDiv(toUnixTimestamp($__fromTime) + <cut>, width) * width),
        toInt64(toUnixTimestamp(toDateTime($__toTime_ms)) + 1 - <cut>), toInt64(width)))) AS at
    FROM widths
) AS grid
LEFT JOIN points ON points.series = grid.series AND points.at = grid.at
ORDER BY time, series
"""
_STAGE_ORDER = """
    SELECT label, avg(step) AS position
    FROM
    (
        SELECT concat(any(line), ' · ', stage) AS label,
            row_number() OVER (PARTITION BY session_id ORDER BY min(event_time), stage) AS step
        FROM stage_use
        WHERE session_id != '' AND event_time >= $__toTime_ms - toIntervalHour(1) AND event_time <= $__toTime_ms
        GROUP BY session_id, stage
    )
    GROUP BY label"""
_JOURNEY = """
SELECT a.label AS label, a.stage_failure AS figure, b.week_before AS week_before
FROM (<now>) AS a
LEFT JOIN (SELECT label, toNullable(stage_failure) AS week_before FROM (<before>)) AS b ON b.label = a.label
LEFT JOIN (<order>) AS o ON o.label = a.label
ORDER BY o.position, label
LIMIT 20
"""
_SCORES = """
SELECT a.label AS label, a.effort AS effort, a.satisfaction AS satisfaction
FROM
(
    SELECT label, max(one) AS effort, max(other) AS satisfaction
    FROM
    (
        SELECT label, toNullable(stage_effort) AS one, NULL AS other FROM (<effort>)
        UNION ALL
        SELECT label, NULL, toNullable(stage_satisfaction) FROM (<satisfaction>)
    )
    GROUP BY label
) AS a
LEFT JOIN (<order>) AS o ON o.label = a.label
ORDER BY o.position, label
LIMIT 20
"""
_LOW_ROWS = """
SELECT hour, line, stage, share, worst_before, uses
FROM <lows>
WHERE <low> AND $__timeFilter(hour)
ORDER BY hour DESC, line, stage
LIMIT 50
"""
_LOW_MARKS = """
SELECT hour AS time, concat('New low: ', line, ' · ', stage, ', ', toString(round(100 * share, 1)), ' % fail') AS text
FROM <lows>
WHERE <low> AND $__timeFilter(hour)
ORDER BY time, text
"""
_NAMED = "(SELECT *, <series> AS series FROM <source>) AS s INNER JOIN widths ON widths.series = s.series"
_COLUMN = "(SELECT label, toNullable(<name>) AS figure FROM (<groups>)) AS t<number>"


def tile(name: str) -> str:
    """The figure of the time range and of the same hours a week before."""
    return _filled(_TILE, now=_total(name), before=_total(name, 1))


def weeks(names: Sequence[str]) -> str:
    """Definitions one below the other, in words: this range, a week before, the change."""
    rows = [
        f"SELECT {position} AS position, '{one.title}' AS title, '{_kind(one)}' AS unit, "
        f"toNullable(toFloat64(({_total(name)}))) AS figure, toNullable(toFloat64(({_total(name, 1)}))) AS before"
        for position, name in enumerate(names) for one in [BY_DEFINITION[name]]
    ]
    return _filled(_WEEKS, rows="\n    UNION ALL\n    ".join(rows))


def bars(name: str, label: str, conditions: Sequence[str] = (), source: str = "", order: str = "") -> str:
    """At most 20 groups, each with the figure of the time range and of a week before. ``order``: "", or DESC."""
    kept = [*_chosen(name), *conditions]
    now, before = (BY_DEFINITION[name].by([f"{label} AS label"], kept, source, back) for back in (0, 1))
    return _filled(_BARS, now=now, before=before, name=name, order=order)


def chart(name: str, series: str, widths: str = _IN_STEPS, aim: int = 30) -> str:
    """The figure over time: each series in the narrowest of ``widths`` (seconds) that has ``aim`` exposed on average.

    ``aim`` 0: a count, of whole intervals only; those that the time range cuts would look like a fall.
    """
    one = BY_DEFINITION[name]
    sizes = replace(one, name="size", value=one.exposed, least=0).by([f"{series} AS series"], _chosen(name))
    joined = _filled(_NAMED, series=series, source=one.source)
    at = f"toUInt32(intDiv(toUnixTimestamp({one.at}), widths.width) * widths.width) AS at"
    points = one.by(["s.series AS series", at], _chosen(name), joined)
    return _filled(_CHART, sizes=sizes, points=points, name=name, aim=str(aim), widths=widths,
                   cut="0" if aim else "width - 1")


def columns(names: Sequence[str], label: str) -> str:
    """A table of groups, one column per definition; the first counts, and says which groups there are."""
    tables = [
        _filled(_COLUMN, name=name, number=str(number),
                groups=BY_DEFINITION[name].by([f"{label} AS label"], _chosen(name)))
        for number, name in enumerate(names)
    ]
    joins = [f"LEFT JOIN {table} ON t{number}.label = t0.label" for number, table in enumerate(tables) if number]
    shown = [f"t{number}.figure AS {name}" for number, name in enumerate(names)]
    return "\n".join([
        f"SELECT t0.label AS label, {', '.join(shown)}", f"FROM {tables[0]}", *joins,
        f"ORDER BY {names[0]} DESC, label", "LIMIT 50",
    ])


def _journey() -> str:
    one, label = BY_DEFINITION["stage_failure"], ["concat(line, ' · ', stage) AS label"]
    now, before = (one.by(label, _chosen("stage_failure"), weeks=back) for back in (0, 1))
    return _filled(_JOURNEY, now=now, before=before, order=_STAGE_ORDER)


def _scores(name: str) -> str:
    return BY_DEFINITION[name].by(["concat(line, ' · ', stage) AS label"], _chosen(name))


def _chosen(name: str) -> tuple[str, ...]:
    return _CHOSEN[BY_DEFINITION[name].source.partition(" ARRAY JOIN ")[0]]


def _total(name: str, back: int = 0) -> str:
    return BY_DEFINITION[name].by((), _chosen(name), weeks=back)


def _kind(one: Definition) -> str:
    return "share" if one.unit.startswith("share of") else one.unit


def _filled(template: str, **parts: str) -> str:
    for name, text in parts.items():
        template = template.replace(f"<{name}>", text)
    return template


JOURNEY = _journey()
"""Stages in the order in which sessions of the last hour went through them."""
SCORES = _filled(
    _SCORES, effort=_scores("stage_effort"), satisfaction=_scores("stage_satisfaction"), order=_STAGE_ORDER
)
LOWS = _filled(_LOW_ROWS, lows=_LOWS, low=IS_LOW)
LOW_MARKS = _filled(_LOW_MARKS, lows=_LOWS, low=IS_LOW)
