"""Rows of a panel as the page needs them: values, a table, series, or lanes of spans. Times are ms since 1970 UTC."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from dashboards.macros import Range
from dashboards.model import Panel
from streams.sinks.clickhouse import Answer

Json = dict[str, Any]
Rows = list[list[Any]]


def shape(panel: Panel, answer: Answer, span: Range, band: Answer | None = None) -> Json:
    """The content of one panel. ``band``: rows (time, low, high) that lie behind a time series."""
    rows = _plain(answer)
    if panel.kind == "timeseries":
        return {"series": _series(rows, span), "band": _band(_plain(band), span) if band else None}
    if panel.kind == "state":
        return {"lanes": _lanes(rows, span, panel.states)}
    if panel.kind == "sentence":
        return {"tone": rows[0][0], "text": rows[0][1]} if rows else {"tone": "bad", "text": panel.empty}
    if panel.kind == "stat":
        return {"values": [{"label": row[0] if len(row) > 1 else "", "value": row[-1]} for row in rows]}
    return {"columns": list(answer.names), "rows": rows}


def first_of(panel: Panel, source: Panel, answer: Answer) -> Json:
    """A figure or a sentence that shows one column of the first row of another panel's answer."""
    names = answer.names
    row = next(iter(_plain(answer)), None)
    value = row[names.index(panel.column)] if row else _literal(source, panel.column)
    if panel.kind == "sentence":
        return {"tone": row[names.index("tone")] if row and "tone" in names else "bad", "text": value}
    return {"values": [{"label": "", "value": value}]}


def _literal(source: Panel, column: str) -> int | float | str | None:
    """The value that a column has for other panels when there is no row."""
    (text,) = (field.none for field in source.fields if field.name == column)
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return None


def marks(answer: Answer) -> list[list[Any]]:
    """(time, text) of the rows of an annotation."""
    return [row[:2] for row in _plain(answer)]


def _plain(answer: Answer) -> Rows:
    return [[_value(value) for value in row] for row in answer.rows]


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return int(value.timestamp() * 1000)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list | tuple):
        return [_value(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _series(rows: Rows, span: Range) -> list[Json]:
    """(time, name, number) rows as times and values of each name, with None wherever a bin is missing."""
    found: dict[str, tuple[list[int], list[Any]]] = {}
    for time, name, value in rows:
        times, values = found.setdefault(str(name), ([], []))
        times.append(time)
        values.append(value)
    made = []
    for name, (times, values) in found.items():
        step = _step(times, span)
        filled = [(time, value, after) for (time, after), value in zip(_followed(times), values, strict=True)]
        points = [point for time, value, after in filled
                  for point in ((time, value), *(((time + step, None),) if after - time > 1.5 * step else ()))]
        made.append({"name": name, "times": [time for time, _ in points], "values": [value for _, value in points]})
    return made


def _followed(times: Sequence[int]) -> list[tuple[int, int]]:
    """Each time with the one after it; the last with itself."""
    return [*pairwise(times), *((time, time) for time in times[-1:])]


def _step(times: Sequence[int], span: Range) -> int:
    """Width of a bin in ms: what most distances of two points are, as a panel may take wider bins than the range's.

    Not the smallest: a single point between two bins would make gaps of all others.
    """
    distances = sorted(after - time for time, after in pairwise(times) if after > time)
    return max(span.interval_s * 1000, distances[len(distances) // 4] if distances else 0)


def _band(rows: Rows, span: Range) -> Json:
    """(time, low, high) rows as three lists, with None in both wherever a bin is missing."""
    times = [row[0] for row in rows]
    step = _step(times, span)
    points: Rows = []
    for (time, after), (_, low, high) in zip(_followed(times), rows, strict=True):
        points.append([time, low, high])
        if after - time > 1.5 * step:
            points.append([time + step, None, None])
    return {name: [point[at] for point in points] for at, name in enumerate(("times", "low", "high"))}


def _lanes(rows: Rows, span: Range, states: tuple[str, str]) -> list[Json]:
    """(time, lane, state) changes as spans of one state, cut to the range; 0 and 1 become the panel's words.

    Of changes at one time the last one counts.
    """
    lanes: dict[str, list[list[Any]]] = {}
    for time, name, value in rows:
        word = states[1 if value else 0] if isinstance(value, int | float) else str(value or "")
        spans = lanes.setdefault(str(name), [])
        if spans and spans[-1][2] == word:
            continue
        if spans:
            spans[-1][1] = time
        spans.append([max(time, span.from_ms), span.to_ms, word])
    return [{"name": name, "spans": [one for one in spans if one[1] > one[0] and one[2]]}
            for name, spans in lanes.items()]
