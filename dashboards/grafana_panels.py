"""Each kind of panel as Grafana's field options and panel options.

``noValue`` is set nowhere: Grafana shows it in null cells and over failed queries as well, where it would be a lie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dashboards.model import Field, Kind, Link, Panel
from dashboards.palette import ISSUE_COLOURS, SIGNS, STATES, TONES, grafana_unit

Json = dict[str, Any]
PANEL_TYPES: dict[Kind, str] = {
    "sentence": "stat", "status": "stat", "stat": "stat", "table": "table", "timeseries": "timeseries",
    "state": "state-timeline", "bars": "barchart", "text": "text",
}
_GOOD_SENTENCE = "^No open issue\\. Nobody is known to suffer right now\\.$"
_SENTENCES = (
    (_GOOD_SENTENCE, TONES["good"]), ("^No (open )?issue", TONES["warn"]), ("; over: ", TONES["plain"]),
    ("^(\\d+ of \\d+ issue|Both runs|Neither run)|^Replay .* not live\\. No issue", TONES["plain"]),
    (" Only suspected so far| A suspicion of | and recovering\\. ", TONES["warn"]),
)
"""What a sentence says -> its colour; everything else is bad."""
_BY_ROW = ("money", "money_per_minute")
"""Units of figures of which each row is one."""
_POINT_PX = 5


def options_of(panel: Panel) -> tuple[Json, Json]:
    """(defaults of the fields, options of the panel)."""
    return _MAKERS[panel.kind](panel)


def overrides_of(panel: Panel, href: Callable[[Link, bool], str]) -> list[Json]:
    """What single fields have of their own; ``href`` writes the address of a link, True for one of a row."""
    if panel.kind == "timeseries":
        return [*_issue_colours(), *(_band(panel) if panel.band else [])]
    if panel.kind not in ("table", "bars"):
        return []
    return [_column(field, panel, href) for field in panel.fields]


def thresholds(*steps: tuple[str, float | None]) -> Json:
    """Absolute thresholds of (colour, from)."""
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in steps]}


def _steps(panel: Panel) -> Json:
    return thresholds(("text", None), *((TONES[step.tone], step.value) for step in panel.thresholds))


def _by_pattern(*patterns: tuple[str, str]) -> list[Json]:
    return [
        {"type": "regex", "options": {"pattern": pattern, "result": {"color": color, "index": index}}}
        for index, (pattern, color) in enumerate(patterns)
    ]


def _sentence(panel: Panel) -> tuple[Json, Json]:
    """A text, coloured by how it begins: only the all-clear is green."""
    mappings = _by_pattern(*_SENTENCES)
    column = panel.column or "sentence"
    defaults = {"color": {"mode": "thresholds"}, "mappings": mappings, "thresholds": thresholds((TONES["bad"], None))}
    return defaults, {**_stat_options("value", f"/^{column}$/", values=False), "text": {"valueSize": 22}}


def _status(_panel: Panel) -> tuple[Json, Json]:
    """Items beside each other, each with its sign; sizes are set, or every item would have one of its own."""
    mappings = _by_pattern(*((f"^{sign}", TONES[tone]) for sign, tone in SIGNS.items()))
    defaults = {"color": {"mode": "thresholds"}, "mappings": mappings, "thresholds": thresholds((TONES["bad"], None))}
    options = _stat_options("value_and_name", "/^text$/", values=True)
    return defaults, {**options, "text": {"titleSize": 12, "valueSize": 14}, "wideLayout": False}


def _stat(panel: Panel) -> tuple[Json, Json]:
    by_row = panel.unit in _BY_ROW
    steps = _steps(panel)
    if not panel.thresholds:
        steps = thresholds(("text", None), (TONES[panel.tone], 0.000001))
    defaults: Json = {
        **grafana_unit(panel.unit), "color": {"mode": "thresholds"}, "mappings": [], "thresholds": steps,
    }
    fields = f"/^{panel.column}$/" if panel.column else ""
    return defaults, _stat_options("value_and_name" if by_row else "value", fields, by_row)


def _stat_options(text_mode: str, fields: str, values: bool) -> Json:
    return {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["firstNotNull"], "fields": fields, "values": values},
        "showPercentChange": False,
        "textMode": text_mode,
        "wideLayout": True,
    }


def _table(_panel: Panel) -> tuple[Json, Json]:
    custom = {"align": "auto", "cellOptions": {"type": "auto", "wrapText": True}, "inspect": False}
    defaults = {"color": {"mode": "thresholds"}, "custom": custom, "mappings": [],
                "thresholds": thresholds(("text", None))}
    return defaults, {"cellHeight": "sm", "showHeader": True}


def _timeseries(panel: Panel) -> tuple[Json, Json]:
    custom: Json = {
        "drawStyle": "line",
        "fillOpacity": 6,
        "lineInterpolation": "stepAfter" if panel.unit in ("customers", "notices", "issues") else "linear",
        "lineWidth": 2,
        "pointSize": _POINT_PX,
        "showPoints": "auto",
        "spanNulls": False,
    }
    if panel.thresholds:
        custom["thresholdsStyle"] = {"mode": "dashed"}
    defaults: Json = {
        **grafana_unit(panel.unit), "color": {"mode": "palette-classic-by-name"}, "custom": custom, "mappings": [],
        "min": 0, "displayName": f"${{__field.labels.{panel.label}}}", "thresholds": _steps(panel),
    }
    options = {
        "legend": {"calcs": ["lastNotNull"], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return defaults, options


def _issue_colours() -> list[Json]:
    """Series of issues begin with the issue's id; others match none of these."""
    return [
        {"matcher": {"id": "byRegexp", "options": f"/^i-{digit:x}/"},
         "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}]}
        for digit, colour in enumerate(ISSUE_COLOURS)
    ]  # fmt: skip


def _band(panel: Panel) -> list[Json]:
    """The usual range: two lines without width, the room between them filled."""
    quiet = [{"id": "custom.lineWidth", "value": 0}, {"id": "custom.showPoints", "value": "never"},
             {"id": "color", "value": {"mode": "fixed", "fixedColor": "#8899AA"}}]
    low, high = (f"usual, {edge} end" for edge in ("lower", "upper"))
    return [
        {"matcher": {"id": "byFrameRefID", "options": "B"}, "properties": [*quiet, *[
            {"id": name, "value": value} for name, value in grafana_unit(panel.unit).items()]]},
        {"matcher": {"id": "byName", "options": "low"}, "properties": [
            {"id": "displayName", "value": low}, {"id": "custom.fillOpacity", "value": 0}]},
        {"matcher": {"id": "byName", "options": "high"}, "properties": [
            {"id": "displayName", "value": high}, {"id": "custom.fillBelowTo", "value": low},
            {"id": "custom.fillOpacity", "value": 18}]},
    ]  # fmt: skip


def _state(panel: Panel) -> tuple[Json, Json]:
    """Lanes. Words, not thresholds, make the legend."""
    names = {"0": (panel.states[0], TONES["good"]), "1": (panel.states[1], TONES["bad"]),
             **{word: (word, colour) for word, colour in STATES.items()}}
    mapped = {value: {"text": text, "color": colour, "index": index}
              for index, (value, (text, colour)) in enumerate(names.items())}
    defaults = {
        "color": {"mode": "thresholds"},
        "custom": {"fillOpacity": 80, "lineWidth": 0, "spanNulls": True},
        "displayName": f"${{__field.labels.{panel.label}}}",
        "mappings": [{"type": "value", "options": mapped}],
        "thresholds": thresholds(("text", None)),
    }
    options = {
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "mergeValues": True,
        "rowHeight": 0.8,
        "showValue": "never",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return defaults, options


def _bars(panel: Panel) -> tuple[Json, Json]:
    defaults: Json = {
        **grafana_unit(panel.unit), "color": {"mode": "palette-classic-by-name"},
        "custom": {"fillOpacity": 75, "lineWidth": 0}, "mappings": [], "min": 0, "thresholds": _steps(panel),
    }
    many = len(panel.fields) > 1
    options = {
        "barWidth": 0.8,
        "groupWidth": 0.8,
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": many},
        "orientation": "horizontal",
        "showValue": "always",
        "stacking": "none",
        "tooltip": {"mode": "single", "sort": "none"},
        "xField": "label",
        "xTickLabelMaxLength": 40,
    }
    return defaults, options


def _text(panel: Panel) -> tuple[Json, Json]:
    return {}, {"mode": "markdown", "content": panel.text.strip()}


_MAKERS: dict[Kind, Callable[[Panel], tuple[Json, Json]]] = {
    "sentence": _sentence, "status": _status, "stat": _stat, "table": _table, "timeseries": _timeseries,
    "state": _state, "bars": _bars, "text": _text,
}


def _column(field: Field, panel: Panel, href: Callable[[Link, bool], str]) -> Json:
    """Heading, unit, width and link of one column, or of one number of bars."""
    properties: list[Json] = [{"id": "displayName", "value": field.title}]
    properties += [{"id": name, "value": value} for name, value in grafana_unit(field.unit).items()]
    if field.hidden:
        properties += [{"id": "custom.hidden", "value": True}, {"id": "custom.hideFrom.viz", "value": True}]
    elif panel.kind == "table":
        name = "custom.minWidth" if field is _widest(panel) else "custom.width"
        properties.append({"id": name, "value": field.width})
    if field.unit == "state":
        mapped = {name: {"color": color, "index": index} for index, (name, color) in enumerate(STATES.items())}
        properties.append({"id": "mappings", "value": [{"type": "value", "options": mapped}]})
        properties.append({"id": "custom.cellOptions", "value": {"type": "color-text", "wrapText": True}})
    if field.link:
        properties.append({"id": "links", "value": [{"title": field.link.title, "url": href(field.link, True)}]})
    return {"matcher": {"id": "byName", "options": field.name}, "properties": properties}


def _widest(panel: Panel) -> Field:
    """The column that takes what a wide screen leaves over: the last of the widest ones."""
    return max(reversed([field for field in panel.fields if not field.hidden]), key=lambda field: field.width)
