"""What a board is made of: panels on a grid, each one SQL statement, a kind and units; and what makes a board wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["sentence", "stat", "table", "timeseries", "state"]
Unit = Literal[
    "", "count", "customers", "issues", "notices", "events", "per_minute", "per_second", "share", "seconds", "time",
    "money", "money_per_minute", "amounts", "state", "text", "pairs", "lag",
]
"""money: a number whose label is its currency; amounts: text, every amount with its currency."""
Tone = Literal["plain", "bad", "warn", "good"]

LAG_WARN_S, LAG_BAD_S = 120, 600
"""Whoever is this far behind can no longer say that all is well; a figure without a value is worse than either."""

_TIME_MACROS = ("$__time", "$__fromTime", "$__toTime")
COLUMNS = 24
"""Width of the grid on which panels are placed."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a table panel: its name in the SQL, its heading and its unit."""

    name: str
    title: str
    unit: Unit = "text"


@dataclass(frozen=True, slots=True)
class Grid:
    """Place of a panel on the 24-column grid; ``h`` in rows of 30 px."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    sentence: one row (tone, text); stat: one number, or rows (label, number) of which each is shown; table: rows;
    timeseries: (time, series, number) sorted by time; state: (time, lane, 0 or 1), a change per row, 1 being the
    exception named in ``states``.
    """

    id: int
    slug: str
    title: str
    kind: Kind
    unit: Unit
    description: str
    grid: Grid
    sql: str
    ranged: bool = False
    """True if the board's time range applies; the SQL then has a time macro."""
    fields: tuple[Field, ...] = ()
    label: str = ""
    """timeseries, state: the text column that names a series or lane."""
    tone: Tone = "plain"
    """How a number above zero is to be taken."""
    states: tuple[str, str] = ("ok", "no data")
    empty: str = "nothing yet"
    """What to say when there are no rows."""


@dataclass(frozen=True, slots=True)
class Board:
    """One board: uid, title, panels in reading order."""

    uid: str
    title: str
    description: str
    panels: tuple[Panel, ...]
    hours: int = 6
    """Time range shown first."""
    refresh_s: int = 5


def problems(board: Board) -> list[str]:
    """What is wrong with a board, one sentence each: ids, grid, units, descriptions, time macros."""
    names = [*(f"id {panel.id}" for panel in board.panels), *(f"slug {panel.slug}" for panel in board.panels)]
    found = [f"{name} is used twice" for name in sorted({name for name in names if names.count(name) > 1})]
    taken: dict[tuple[int, int], str] = {}
    for panel in board.panels:
        found += _panel_problems(panel)
        grid = panel.grid
        for cell in ((x, y) for x in range(grid.x, grid.x + grid.w) for y in range(grid.y, grid.y + grid.h)):
            if cell in taken and taken[cell] != panel.slug:
                found.append(f"{panel.slug} lies on {taken[cell]}")
                break
            taken[cell] = panel.slug
    return found


def _panel_problems(panel: Panel) -> list[str]:
    grid = panel.grid
    rules = (
        (grid.x >= 0 and grid.w > 0 and grid.h > 0 and grid.x + grid.w <= COLUMNS, "leaves the grid"),
        (bool(panel.unit), "has no unit"),
        (panel.description.endswith("."), "has no description"),
        (panel.ranged == any(macro in panel.sql for macro in _TIME_MACROS), "and its time macro disagree"),
        (panel.kind != "table" or bool(panel.fields), "is a table without declared columns"),
        (all(field.unit for field in panel.fields), "has a column without a unit"),
        ((panel.kind in ("timeseries", "state")) == bool(panel.label), "and its label column disagree"),
    )
    return [f"{panel.slug} {sentence}" for kept, sentence in rules if not kept]
