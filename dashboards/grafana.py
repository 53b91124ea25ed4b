"""Boards as Grafana JSON: the Classic dashboard schema 42 for the ClickHouse data source, from Grafana 11.6 on.

``python -m dashboards.grafana`` writes ``dashboards/generated``; a test says so if that was forgotten. Everything is
explicit (ids, grid, units, uid), nothing depends on the moment, and the data source is a variable.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dashboards.boards import BOARDS
from dashboards.model import LAG_BAD_S, LAG_WARN_S, Board, Field, Panel, Tone, Unit

PLUGIN = "grafana-clickhouse-datasource"
PLUGIN_VERSION = "4.20.0"
DATASOURCE_UID = "cx-clickhouse"
FOLDER_UID = "cxwatch"
SCHEMA_VERSION = 42
GENERATED = Path(__file__).parent / "generated"

Json = dict[str, Any]

_SOURCE: Json = {"type": PLUGIN, "uid": "${ds}"}
_PANEL_TYPES = {
    "sentence": "stat", "stat": "stat", "table": "table", "timeseries": "timeseries", "state": "state-timeline",
}
_TIME_SERIES, _TABLE = 0, 1
_UNITS: dict[Unit, tuple[str, int | None]] = {
    "customers": ("locale", 0), "issues": ("locale", 0), "notices": ("locale", 0), "events": ("locale", 0),
    "count": ("locale", 0), "money": ("locale", None), "money_per_minute": ("locale", None),
    "per_minute": ("locale", 1), "per_second": ("suffix:/s", 2), "share": ("percentunit", 1), "seconds": ("s", 0),
    "lag": ("s", 0),
}
"""Our unit -> Grafana's unit and decimals. How many decimals money has depends on its currency, which is its label."""
_COLOURS: dict[Tone, str] = {"plain": "text", "bad": "red", "warn": "orange", "good": "green"}
_SENTENCES = (("^No open issue\\. Nobody is known to suffer right now\\.$", "green"), ("^No open issue", "orange"))
"""How a sentence begins -> its colour; everything else is red."""
_STATES = {
    "open": "red", "escalating": "red", "regressed": "red", "recovering": "orange", "resolved": "green",
    "no data": "red", "late": "orange", "quiet": "text", "ok": "green", "sent": "green", "pending": "blue",
    "held": "orange", "refused": "text", "held out": "text", "failed": "red", "expired": "orange", "unknown": "orange",
    "suppressed": "text", "waiting": "orange", "gone": "red", "accepts nothing": "orange",
}
_WIDTHS = {
    "state": 110, "time": 170, "customers": 100, "events": 110, "seconds": 100, "amounts": 150, "per_minute": 120,
}


def dashboard(board: Board) -> Json:
    """One board as a dashboard's JSON."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.description,
        "tags": ["cxwatch"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "timezone": "utc",
        "refresh": f"{board.refresh_s}s",
        "time": {"from": f"now-{board.hours}h", "to": "now"},
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "links": [],
        "annotations": {"list": [_builtin_annotations()]},
        "templating": {"list": [_datasource_variable()]},
        "panels": [_panel(panel) for panel in board.panels],
    }


def render(board: Board) -> str:
    """The JSON text that is committed."""
    return json.dumps(dashboard(board), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write(folder: Path = GENERATED) -> list[Path]:
    """Write every board's JSON into a folder; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for board in BOARDS:
        file = folder / f"{board.uid}.json"
        file.write_text(render(board), encoding="utf-8")
        files.append(file)
    return files


def _builtin_annotations() -> Json:
    return {
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": "rgba(0, 211, 255, 1)",
        "name": "Annotations & Alerts",
        "type": "dashboard",
    }


def _datasource_variable() -> Json:
    return {
        "name": "ds",
        "label": "ClickHouse",
        "type": "datasource",
        "query": PLUGIN,
        "current": {"selected": True, "text": "cxwatch", "value": DATASOURCE_UID},
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
    }


def _panel(panel: Panel) -> Json:
    defaults, options = {
        "sentence": _sentence, "stat": _stat, "table": _table_panel, "timeseries": _timeseries, "state": _state
    }[panel.kind](panel)
    return {
        "id": panel.id,
        "type": _PANEL_TYPES[panel.kind],
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": {"x": panel.grid.x, "y": panel.grid.y, "w": panel.grid.w, "h": panel.grid.h},
        "targets": [_target(panel)],
        "fieldConfig": {"defaults": defaults, "overrides": [_override(field) for field in panel.fields]},
        "options": options,
        "transparent": False,
    }


def _target(panel: Panel) -> Json:
    series = panel.kind in ("timeseries", "state")
    return {
        "refId": "A",
        "datasource": _SOURCE,
        "editorType": "sql",
        "pluginVersion": PLUGIN_VERSION,
        "format": _TIME_SERIES if series else _TABLE,
        "queryType": "timeseries" if series else "table",
        "rawSql": panel.sql.strip(),
    }


def _thresholds(*steps: tuple[str, float | None]) -> Json:
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in steps]}


def _sentence(panel: Panel) -> tuple[Json, Json]:
    """A text, coloured by how it begins: only the all-clear is green."""
    mappings = [
        {"type": "regex", "options": {"pattern": pattern, "result": {"color": color, "index": index}}}
        for index, (pattern, color) in enumerate(_SENTENCES)
    ]
    defaults = {"color": {"mode": "thresholds"}, "mappings": mappings, "noValue": panel.empty,
                "thresholds": _thresholds(("red", None))}
    options = _stat_options("value", "/^sentence$/", values=False)
    return defaults, {**options, "text": {"valueSize": 22}}


def _stat(panel: Panel) -> tuple[Json, Json]:
    by_row = panel.unit in ("money", "money_per_minute", "lag")
    thresholds = _thresholds(("text", None), (_COLOURS[panel.tone], 0.000001))
    mappings: list[Json] = []
    if panel.unit == "lag":
        thresholds = _thresholds(("green", None), ("orange", LAG_WARN_S), ("red", LAG_BAD_S))
        unknown = {"text": panel.empty, "color": "red", "index": 0}
        mappings = [{"type": "special", "options": {"match": "null", "result": unknown}}]
    defaults = {**_unit(panel.unit), "color": {"mode": "thresholds"}, "mappings": mappings, "noValue": panel.empty,
                "thresholds": thresholds}
    return defaults, _stat_options("value_and_name" if by_row else "value", "", by_row)


def _stat_options(text_mode: str, fields: str, values: bool) -> Json:
    return {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": fields, "values": values},
        "showPercentChange": False,
        "textMode": text_mode,
        "wideLayout": True,
    }


def _table_panel(panel: Panel) -> tuple[Json, Json]:
    custom = {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False}
    defaults = {"color": {"mode": "thresholds"}, "custom": custom, "mappings": [], "noValue": panel.empty,
                "thresholds": _thresholds(("text", None))}
    return defaults, {"cellHeight": "sm", "showHeader": True}


def _timeseries(panel: Panel) -> tuple[Json, Json]:
    custom = {
        "drawStyle": "line",
        "fillOpacity": 12,
        "lineInterpolation": "stepAfter" if panel.unit == "customers" else "linear",
        "lineWidth": 2,
        "showPoints": "never",
        "spanNulls": panel.unit != "per_second",
    }
    defaults = {**_unit(panel.unit), "color": {"mode": "palette-classic"}, "custom": custom, "mappings": [], "min": 0,
                "displayName": f"${{__field.labels.{panel.label}}}", "noValue": panel.empty,
                "thresholds": _thresholds(("text", None))}
    options = {
        "legend": {"calcs": ["lastNotNull"], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return defaults, options


def _state(panel: Panel) -> tuple[Json, Json]:
    names = {str(value): {"text": text, "color": color, "index": value}
             for value, (text, color) in enumerate(zip(panel.states, ("green", "red"), strict=True))}
    defaults = {
        "color": {"mode": "thresholds"},
        "custom": {"fillOpacity": 80, "lineWidth": 0, "spanNulls": True},
        "displayName": f"${{__field.labels.{panel.label}}}",
        "mappings": [{"type": "value", "options": names}],
        "noValue": panel.empty,
        "thresholds": _thresholds(("green", None), ("red", 1)),
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


def _override(field: Field) -> Json:
    """Heading, unit and width of one column of a table."""
    properties: list[Json] = [{"id": "displayName", "value": field.title}]
    properties += [{"id": name, "value": value} for name, value in _unit(field.unit).items()]
    if field.unit in _WIDTHS:
        properties.append({"id": "custom.width", "value": _WIDTHS[field.unit]})
    if field.unit == "state":
        options = {name: {"color": color, "index": index} for index, (name, color) in enumerate(_STATES.items())}
        properties.append({"id": "mappings", "value": [{"type": "value", "options": options}]})
        properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    return {"matcher": {"id": "byName", "options": field.name}, "properties": properties}


def _unit(unit: Unit) -> Json:
    if unit not in _UNITS:
        return {}
    name, decimals = _UNITS[unit]
    return {"unit": name} if decimals is None else {"unit": name, "decimals": decimals}


if __name__ == "__main__":
    write()
