"""What a viewer asks for: a board, a time range and chosen values of its variables, as the address of the page says.

The names are those of Grafana's addresses: ``from=now-6h&to=now`` (or both in ms since 1970), ``var-issue=i-1`` once
per value, ``$__all`` for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from dashboards.boards import BOARDS
from dashboards.macros import Range
from dashboards.model import Board
from schemas.errors import CxError

HOURS = (1, 6, 24, 168, 720)
"""Ranges that end now."""
HOUR_MS = 3_600_000
_SHORTEST_MS, _LONGEST_MS = 60_000, 400 * 24 * HOUR_MS
_LAST_MS = 4_102_444_800_000
"""2100-01-01, after which nobody looks."""
_ITSELF_HOURS = 6
MOST_VALUES, LONGEST_VALUE = 50, 200
ALL = ("$__all", "All", "")
_RELATIVE = re.compile(r"now-(\d{1,4})([hd])")
_IGNORED = frozenset({"theme", "wall"})
"""Parts of the page's address that are none of the server's business."""


class BadView(CxError):
    """An address that asks for something that no board has; the text says what is offered."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The last ``hours`` before now; or, if that is 0, what lies between two times in ms since 1970."""

    hours: int = 0
    from_ms: int = 0
    to_ms: int = 0

    def span(self, now_ms: int) -> Range:
        """The range in absolute times, with the width of one point of a chart."""
        if self.hours:
            return Range.ending(now_ms, self.hours)
        return Range.ending(self.to_ms, (self.to_ms - self.from_ms) / HOUR_MS)


ITSELF = TimeRange(_ITSELF_HOURS)
"""Range of the panels that tell how far the others can be trusted: always about now."""

Chosen = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class View:
    """One board over one range with chosen values; viewers with equal views share every answer."""

    uid: str
    window: TimeRange
    chosen: Chosen = ()
    """Variable and its values, sorted by name; a variable that is not named takes all, or its first value."""

    @property
    def board(self) -> Board:
        """The board's model."""
        return _BY_UID[self.uid]


_BY_UID = {board.uid: board for board in BOARDS}
_BY_NAME = {board.name: board for board in BOARDS}
_VARIABLES = frozenset(variable.name for board in BOARDS for variable in board.variables)


def find_board(name: str) -> Board | None:
    """The board of that name in an address."""
    return _BY_NAME.get(name)


def read_view(board: Board, query: Iterable[tuple[str, str]]) -> View:
    """The view that the pairs of a query string ask for. Raises BadView.

    A variable of another board is accepted without effect, because links keep it.
    """
    edges: dict[str, str] = {}
    values: dict[str, list[str]] = {}
    for name, value in query:
        if name in ("from", "to"):
            edges[name] = value
        elif name.startswith("var-") and name[4:] in _VARIABLES:
            values.setdefault(name[4:], []).append(value)
        elif name not in _IGNORED:
            raise BadView(f"{name[:40]!r} is none of from, to, {', '.join(f'var-{one}' for one in sorted(_VARIABLES))}")
    own = {variable.name: variable for variable in board.variables}
    chosen = {name: _checked(name, given) for name, given in sorted(values.items()) if name in own}
    for name, given in chosen.items():
        if len(given) > 1 and not own[name].multi:
            raise BadView(f"var-{name} takes one value")
    return View(board.uid, _window(edges, board), tuple((name, given) for name, given in chosen.items() if given))


def _checked(name: str, values: list[str]) -> tuple[str, ...]:
    if len(values) > MOST_VALUES or any(len(value) > LONGEST_VALUE for value in values):
        raise BadView(f"var-{name} takes at most {MOST_VALUES} values of at most {LONGEST_VALUE} characters")
    return () if any(value in ALL for value in values) else tuple(sorted(set(values)))


def _window(edges: dict[str, str], board: Board) -> TimeRange:
    if not edges:
        return TimeRange(board.hours)
    first, last = edges.get("from", ""), edges.get("to", "now")
    relative = _RELATIVE.fullmatch(first)
    if relative and last == "now":
        hours = int(relative[1]) * (24 if relative[2] == "d" else 1)
        if hours in HOURS:
            return TimeRange(hours)
    if first.isascii() and last.isascii() and first.isdigit() and last.isdigit() and len(first + last) < 30:
        from_ms, to_ms = int(first), int(last)
        if _SHORTEST_MS <= to_ms - from_ms <= _LONGEST_MS and to_ms <= _LAST_MS:
            return TimeRange(0, from_ms, to_ms)
    offered = ", ".join(f"now-{hours}h" for hours in HOURS)
    raise BadView(
        f"from is one of {offered} with to=now, or both are milliseconds since 1970, a minute to 400 days apart"
    )
