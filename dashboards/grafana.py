"""Boards as Grafana JSON: the Classic dashboard schema 42 for the ClickHouse data source, from Grafana 11.6 on.

``python -m dashboards.grafana`` writes ``dashboards/generated``; a test says so if that was forgotten. Everything is
explicit (ids, grid, units, uid), nothing depends on the moment, and data source and database are variables.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dashboards.boards import BOARDS
from dashboards.grafana_panels import PANEL_TYPES, options_of, overrides_of
from dashboards.lint import DATABASE
from dashboards.model import Annotation, Board, Link, Panel, Variable
from dashboards.palette import INFO, TONES
from dashboards.statements import qualified, statement, with_empty_row

PLUGIN = "grafana-clickhouse-datasource"
PLUGIN_VERSION = "4.20.0"
DATASOURCE_UID = "cx-clickhouse"
FOLDER_UID = "cxwatch"
SCHEMA_VERSION = 42
DEFINITIONS_UID = "cx-definitions"
GENERATED = Path(__file__).parent / "generated"

Json = dict[str, Any]

_SOURCE: Json = {"type": PLUGIN, "uid": "${ds}"}
_OTHER_PANEL: Json = {"type": "datasource", "uid": "-- Dashboard --"}
_TIME_SERIES, _TABLE = 0, 1
_ALL = "$__all"


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
        "links": [_way_to(other) for other in BOARDS if other.uid != board.uid],
        "annotations": {"list": [_builtin_annotations(), *(_annotation(board, one) for one in board.annotations)]},
        "templating": {"list": [_datasource_variable(), *(_variable(board, one) for one in board.variables)]},
        "panels": [_panel(board, panel) for panel in board.panels],
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


def _way_to(board: Board) -> Json:
    """A link at the top of every board; it keeps the time range and the variables."""
    return {
        "asDropdown": False, "icon": "dashboard", "includeVars": True, "keepTime": True, "tags": [],
        "targetBlank": False, "title": board.title, "tooltip": board.description, "type": "link",
        "url": f"/d/{board.uid}",
    }  # fmt: skip


def _variable(board: Board, variable: Variable) -> Json:
    options = variable.sql.strip() if variable.strict else _query(board, variable.sql)
    everything: Json = {"text": ["All"], "value": [_ALL]} if variable.multi else {"text": "All", "value": _ALL}
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": _SOURCE,
        "definition": options,
        "query": options,
        "refresh": 2,
        "sort": 0,
        "regex": "",
        "hide": 0,
        "includeAll": variable.every,
        "multi": variable.multi,
        "current": everything if variable.every else {},
        "options": [],
        "skipUrlSync": False,
    }


def _annotation(board: Board, annotation: Annotation) -> Json:
    return {
        "name": annotation.name,
        "datasource": _SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": INFO if annotation.tone == "plain" else TONES[annotation.tone],
        "target": _target(_query(board, annotation.sql), "Anno", timed=False),
    }


def _query(board: Board, sql: str) -> str:
    """The statement as Grafana is given it: in the database that is chosen, if the board lets choose one."""
    chosen = any(variable.name == DATABASE for variable in board.variables)
    return qualified(sql.strip(), f"${{{DATABASE}:raw}}") if chosen else sql.strip()


def _panel(board: Board, panel: Panel) -> Json:
    defaults, options = options_of(panel)
    made: Json = {
        "id": panel.id,
        "type": PANEL_TYPES[panel.kind],
        "title": panel.title,
        "description": panel.description,
        "gridPos": {"x": panel.grid.x, "y": panel.grid.y, "w": panel.grid.w, "h": panel.grid.h},
        "fieldConfig": {
            "defaults": defaults, "overrides": overrides_of(panel, lambda link, of_row: _href(board, link, of_row)),
        },
        "options": options,
        "transparent": False,
        "links": _panel_links(board, panel),
    }
    if panel.kind != "text":
        targets = _targets(board, panel)
        made |= {"datasource": targets[0]["datasource"], "targets": targets}
    return made


def _targets(board: Board, panel: Panel) -> list[Json]:
    if panel.of:
        return [{"refId": "A", "datasource": _OTHER_PANEL, "panelId": board.panel(panel.of).id}]
    timed = panel.kind in ("timeseries", "state")
    sql = statement(panel)
    asked = with_empty_row(sql, panel) if panel.kind == "table" else sql
    made = [_target(_query(board, asked), "A", timed)]
    if panel.band:
        made.append(_target(_query(board, panel.band), "B", timed))
    return made


def _target(sql: str, ref: str, timed: bool) -> Json:
    return {
        "refId": ref,
        "datasource": _SOURCE,
        "editorType": "sql",
        "pluginVersion": PLUGIN_VERSION,
        "format": _TIME_SERIES if timed else _TABLE,
        "queryType": "timeseries" if timed else "table",
        "rawSql": sql,
    }


def _panel_links(board: Board, panel: Panel) -> list[Json]:
    made = [{"title": link.title, "url": _href(board, link, of_row=False)} for link in panel.links]
    number = next((one.id for other in BOARDS if other.uid == DEFINITIONS_UID
                   for one in other.panels if one.slug == panel.metric), None)  # fmt: skip
    if number is not None:
        made.append({"title": "How this is worked out", "url": f"/d/{DEFINITIONS_UID}?viewPanel=panel-{number}"})
    return made


def _href(board: Board, link: Link, of_row: bool) -> str:
    """An address in Grafana: time range and variables are kept, those of the row are its own."""
    own = {name for name, _ in link.variables}
    target = next((other for other in BOARDS if other.uid == link.board), None)
    there = {variable.name for variable in target.variables} if target else set()
    kept = [f"${{{one.name}:queryparam}}" for one in board.variables if one.name in there - own]
    given = [f"var-{name}=${{__data.fields.{column}:percentencode}}" for name, column in link.variables if of_row]
    looked_at = "${__url_time_range}"
    if link.span and of_row:
        looked_at = "&".join(
            f"{edge}=${{__data.fields.{name}}}" for edge, name in zip(("from", "to"), link.span, strict=True))
    return f"/d/{link.board}?" + "&".join([looked_at, "${ds:queryparam}", *kept, *given])


if __name__ == "__main__":
    write()
