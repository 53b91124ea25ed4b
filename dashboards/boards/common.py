"""What every board has: the status line, the variables that links keep, and what is marked in its charts."""

from __future__ import annotations

from dashboards.boards import common_sql as sql
from dashboards.model import Annotation, Grid, Link, Panel, Variable

ANNOTATIONS = (
    Annotation("Changes", sql.CHANGES),
    Annotation("Issues", sql.TURNS, "bad"),
    Annotation("Notices", sql.FIRST_NOTICES, "good"),
    Annotation("Drills", sql.DRILLS, "warn"),
)
"""What the company changed; issues that opened or were resolved; each issue's first notice; exercises."""

VARIABLES = (
    Variable("product", "Product", sql.PRODUCTS),
    Variable("signal", "Signal", sql.SIGNALS),
    Variable("region", "Region", sql.REGIONS),
    Variable("segment", "Segment", sql.SEGMENTS),
    Variable("issue", "Issue", sql.ISSUES),
    Variable("database", "Database", sql.DATABASES, every=False, multi=False, strict=True),
)
"""What a viewer may choose on every board, and what links from one board to another keep."""
_BY_NAME = {variable.name: variable for variable in VARIABLES}


def variables(*names: str) -> tuple[Variable, ...]:
    """The shared variables that a board's statements read, and the database, which none has to name.

    >>> [variable.name for variable in variables("product", "issue")]
    ['product', 'issue', 'database']
    """
    return tuple(_BY_NAME[name] for name in (*names, "database"))


def status_panel(number: int, grid: Grid) -> Panel:
    """The status line, the first panel of a board: whether its figures can be trusted."""
    return Panel(
        number, "status", "Can this be trusted?", "status", "text",
        "Age of the newest event; how far each room's watermark is behind it, or how long ago it last got on; dead "
        "letters of the last hour and their share of all messages; whether a stop was ordered; each channel. Not quite "
        "well from 2 minutes, bad from 10, if a room was never heard of or if 1 % of the messages are rejected. Of a "
        "replay only that it is one: nothing runs there.",
        grid, sql.STATUS, ranged=True, empty="The status could not be told.",
        links=(Link("Pipeline", "cx-pipeline"),),
    )
