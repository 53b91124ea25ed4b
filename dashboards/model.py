"""What a board is made of: panels on a grid, each one SQL statement, a kind and units, and ways on to other boards.

What makes a board wrong is said in ``dashboards.lint``; Grafana's JSON is made in ``dashboards.grafana``, the live page
by ``streams.board``. All times are event times unless a description says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["sentence", "status", "stat", "table", "timeseries", "state", "bars", "text"]
Unit = Literal[
    "", "count", "customers", "issues", "notices", "events", "per_minute", "per_second", "share", "ratio", "score",
    "seconds", "milliseconds", "bytes", "time", "money", "money_per_minute", "amounts", "sparkline", "state", "text",
    "pairs", "lag",
]
"""money: a number whose label is its currency; amounts: text, every amount with its currency; share: 0 to 1;
sparkline: a line of eight heights of block characters."""
Tone = Literal["plain", "bad", "warn", "good"]

LAG_WARN_S, LAG_BAD_S = 120, 600
"""Whoever is this far behind can no longer say that all is well; a figure without a value is worse than either."""
COLUMNS = 24
"""Width of the grid on which panels are placed."""
WIDEST_TABLE_PX = 1_100
"""What the columns of a table may take together: it is read on a screen 1,440 px wide."""
LEAST_EXPOSED = 20
"""A rate of fewer customers or events than this says nothing, and no board shows it."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """From ``value`` on a figure is of this tone; in a chart it is a line."""

    value: float
    tone: Tone


@dataclass(frozen=True, slots=True)
class Link:
    """A way to another board. The time range and the variables that both boards have are kept."""

    title: str
    board: str
    """Uid of the board."""
    variables: tuple[tuple[str, str], ...] = ()
    """(variable of that board, column of the row whose value it takes); only of a row's own links."""
    span: tuple[str, str] | None = None
    """Columns of the row, in ms since 1970, between which that board looks; without them the time range is kept."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a table, or one number of bars: its name in the SQL, its heading and its unit."""

    name: str
    title: str
    unit: Unit = "text"
    width: int = 0
    """Pixels in a table; the visible columns of one take at most ``WIDEST_TABLE_PX`` together."""
    link: Link | None = None
    hidden: bool = False
    """A column that only links or other panels read."""
    none: str = ""
    """SQL literal for a column that other panels read: its value if the table has no row."""


@dataclass(frozen=True, slots=True)
class Variable:
    """What a viewer may choose; statements read it as ``${name:sqlstring}`` inside ``$__conditionalAll``."""

    name: str
    label: str
    sql: str
    """Its options: one column, or the columns value and text."""
    every: bool = True
    """True if "All" is offered, and is what is shown first."""
    multi: bool = True
    strict: bool = False
    """It names a database: only what is offered may be chosen, and what that is only the login's own database says.
    Statements read it as ``${name:raw}.<view>``."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """Moments that are marked in every chart: rows (time, text) or (time, text, tags)."""

    name: str
    sql: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Grid:
    """Place of a panel on the 24-column grid; ``h`` in rows of 30 px."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel, by kind.

    sentence: one row (tone, text). status: rows (item, text), the text beginning with ``✓ `` (well), ``! `` (not quite)
    or ``✗ `` (bad). stat: one number or text, or rows (label, number). table: rows. timeseries: (time, series, number)
    sorted by time; NULL is a gap, and no line crosses it. state: (time, lane, value), a change per row, with 0 or 1
    as in ``states`` or a word; the last row of a lane is at the end of the range. bars: rows (label, number, ...).
    text: ``text``, paragraphs parted by an empty line.
    """

    id: int
    slug: str
    title: str
    kind: Kind
    unit: Unit
    description: str
    grid: Grid
    sql: str = ""
    ranged: bool = False
    """True if the board's time range applies; the SQL then has a time macro."""
    fields: tuple[Field, ...] = ()
    label: str = ""
    """timeseries, state: the text column that names a series or lane."""
    tone: Tone = "plain"
    """How a number above zero is to be taken."""
    states: tuple[str, str] = ("ok", "no data")
    empty: str = "Nothing to show."
    """What to say when there are no rows: true words that do not reassure."""
    links: tuple[Link, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    band: str = ""
    """timeseries: SQL of the usual range, (time, low, high) sorted by time."""
    least: int = 0
    """Of a panel with shares: how many exposed each of them has at least; its SQL says the number, too."""
    of: str = ""
    """stat: slug of the table whose first row holds the figure, so that both are of the same answer."""
    column: str = ""
    """stat with ``of``: the column that is shown."""
    metric: str = ""
    """Name of the definition that the panel leads to."""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """One board: uid (``cx-<name>``), title, panels in reading order."""

    uid: str
    title: str
    description: str
    panels: tuple[Panel, ...]
    variables: tuple[Variable, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    hours: int = 6
    """Time range shown first."""
    refresh_s: int = 30

    @property
    def name(self) -> str:
        """Its uid without what all of ours begin with: its address on the live board."""
        return self.uid.removeprefix("cx-")

    def within(self, database: str) -> dict[str, tuple[str, ...]]:
        """The values of the variables that name databases, if all of them name this one."""
        return {variable.name: (database,) for variable in self.variables if variable.strict}

    def panel(self, slug: str) -> Panel:
        """The panel of that slug. Raises KeyError."""
        for panel in self.panels:
            if panel.slug == slug:
                return panel
        raise KeyError(slug)
