"""What makes a board wrong, one sentence each; a test runs it over every board."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dashboards.model import COLUMNS, LEAST_EXPOSED, WIDEST_TABLE_PX, Board, Panel

_TIME_MACROS = ("$__time", "$__fromTime", "$__toTime", "$__interval")
_VARIABLE = re.compile(r"\$\{(\w+):\w+\}|\$(?!_)(\w+)")
_REASSURING = re.compile(r"\b(well|healthy|fine|no problems?|nothing is wrong)\b|^(none|0|ok)\.?$", re.IGNORECASE)
"""Words that an empty panel may not say: nobody knows why it is empty."""
_TIMED = ("timeseries", "state")
DATABASE = "database"
"""The variable that statements do not name: the renderer puts it before every table and view."""


def problems(board: Board) -> list[str]:
    """What is wrong with a board: ids, grid, units, descriptions, links, widths, macros, variables."""
    names = [*(f"id {panel.id}" for panel in board.panels), *(f"slug {panel.slug}" for panel in board.panels)]
    found = [f"{name} is used twice" for name in sorted({name for name in names if names.count(name) > 1})]
    taken: dict[tuple[int, int], str] = {}
    for panel in board.panels:
        found += _panel_problems(panel)
        found += _source_problems(board, panel)
        grid = panel.grid
        for cell in ((x, y) for x in range(grid.x, grid.x + grid.w) for y in range(grid.y, grid.y + grid.h)):
            if cell in taken and taken[cell] != panel.slug:
                found.append(f"{panel.slug} lies on {taken[cell]}")
                break
            taken[cell] = panel.slug
    return found + list(_variable_problems(board))


def named_variables(sql: str) -> set[str]:
    """Variables that a statement reads."""
    return {first or second for first, second in _VARIABLE.findall(sql)}


def _panel_problems(panel: Panel) -> list[str]:
    grid = panel.grid
    timed = any(macro in panel.sql + panel.band for macro in _TIME_MACROS)
    shown = [field for field in panel.fields if not field.hidden]
    shares = panel.unit == "share" or any(field.unit == "share" for field in panel.fields)
    text = panel.kind == "text"
    rules = (
        (grid.x >= 0 and grid.w > 0 and grid.h > 0 and grid.x + grid.w <= COLUMNS, "leaves the grid"),
        (bool(panel.unit), "has no unit"),
        (panel.description.endswith("."), "has no description"),
        (text or bool(panel.metric or panel.links or any(field.link for field in panel.fields)), "leads nowhere"),
        (text == bool(panel.text), "and its text disagree"),
        (panel.ranged == timed, "and its time macro disagree"),
        (panel.kind != "table" or bool(panel.fields), "is a table without declared columns"),
        (panel.kind != "table" or all(field.width for field in shown), "has a column without a width"),
        (panel.kind != "table" or sum(field.width for field in shown) <= WIDEST_TABLE_PX, "is too wide a table"),
        (all(field.unit for field in panel.fields), "has a column without a unit"),
        ((panel.kind in _TIMED) == bool(panel.label), "and its label column disagree"),
        (panel.kind == "timeseries" or not panel.band, "has a band, but is no chart"),
        (not shares or (panel.least >= LEAST_EXPOSED and str(panel.least) in panel.sql), "shows a rate of too few"),
        (not _REASSURING.search(panel.empty), "reassures when it is empty"),
    )
    return [f"{panel.slug} {sentence}" for kept, sentence in rules if not kept]


def _source_problems(board: Board, panel: Panel) -> list[str]:
    """A figure is either asked for or read from a table of the same board."""
    if not panel.of:
        return [] if panel.sql or panel.kind == "text" else [f"{panel.slug} has no statement"]
    source = next((one for one in board.panels if one.slug == panel.of), None)
    columns = () if source is None else source.fields
    if panel.sql or panel.kind not in ("stat", "sentence"):
        return [f"{panel.slug} reads {panel.of} and has a statement or a kind of its own"]
    named = [field for field in columns if field.name == panel.column]
    return [] if named and named[0].none else [f"{panel.slug} reads a column that {panel.of} does not keep for others"]


def _variable_problems(board: Board) -> Iterator[str]:
    declared = {variable.name for variable in board.variables}
    used: set[str] = set()
    for name, sql in [
        *((panel.slug, panel.sql + panel.band) for panel in board.panels),
        *((f"annotation {one.name}", one.sql) for one in board.annotations),
        *((f"variable {one.name}", one.sql) for one in board.variables),
    ]:
        read = named_variables(sql)
        used |= read
        yield from (f"{name} reads the variable {one}, which is not declared" for one in sorted(read - declared))
    yield from (f"variable {name} is read by nothing" for name in sorted(declared - used - {DATABASE}))
