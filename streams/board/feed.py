"""What the live board shows, as plain values: every panel of a board run against ClickHouse, shaped for a page.

The board's "now" is the newest event time stored, because simulated or replayed time lies in the past. A panel that
fails keeps its last rows and says so; a slow panel is asked less often, so that the board takes at most a tenth of one
core of ClickHouse. Blocking; call it from a thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from dashboards.boards import OPERATIONS
from dashboards.macros import Range, expand
from dashboards.model import LAG_BAD_S, LAG_WARN_S, Board, Panel
from schemas.errors import SinkUnavailable
from streams.board.queries import event_now, iso
from streams.sinks.clickhouse import Answer, ClickHouse

HOURS = (1, 6, 24)
STALE_AFTER_S = 60.0
"""Wall-clock seconds without any progress of event time after which the board calls itself stale."""
IDLE_FACTOR = 10.0
"""A panel that took t seconds is asked again after 10 t at the earliest."""

Json = dict[str, Any]


@dataclass
class _CachedPanel:
    """Last good content of one panel, when it was asked, and how long the answer took."""

    content: Json | None = None
    asked_at: float = -math.inf
    took_s: float = 0.0
    error: str = ""


@dataclass
class Feed:
    """Turns one board into the JSON of ``/api/board``. Not for several threads at once."""

    client: ClickHouse
    clock: Callable[[], float]
    """Seconds that never go back (freshness)."""
    wall: Callable[[], float]
    """Seconds since 1970 (what a person reads)."""
    board: Board = OPERATIONS
    refresh_s: float = 2.0
    simulated: bool = False
    """True if the stream's own time is the time of day: its newest event is never called old."""
    _panels: dict[tuple[int, str], _CachedPanel] = field(default_factory=dict)
    _now: datetime | None = None
    _moved_at: float = -math.inf
    _moved_wall: float = 0.0
    _down_since: float | None = None

    def collect(self, hours: int) -> Json:
        """The board over the last ``hours`` of event time. Never raises for a server that is down."""
        problem = self._look_at_the_clock()
        now_ms = int(self._now.timestamp() * 1000) if self._now else 0
        span = Range.ending(now_ms, hours)
        today = span if self.simulated else Range.ending(int(self.wall() * 1000), hours)
        panels = [
            self._panel(panel, hours, today if _about_itself(panel) else span, ask=problem is None)
            for panel in self.board.panels
        ]
        return {
            "title": self.board.title,
            "description": self.board.description,
            "hours": hours,
            "choices": HOURS,
            "lag_warn_s": LAG_WARN_S,
            "lag_bad_s": LAG_BAD_S,
            "refresh_ms": int(self.refresh_s * 1000),
            "event_now": iso(self._now) if self._now else None,
            "from_ms": span.from_ms,
            "to_ms": span.to_ms,
            **self._state(problem),
            "panels": panels,
        }

    def _look_at_the_clock(self) -> SinkUnavailable | None:
        """Read the event clock; returns what is wrong with the server, if anything is."""
        try:
            now = event_now(self.client)
        except SinkUnavailable as error:
            self._down_since = self._down_since or self.wall()
            return error
        self._down_since = None
        if now != self._now or self._moved_at == -math.inf:
            self._now, self._moved_at, self._moved_wall = now, self.clock(), self.wall()
        return None

    def _state(self, problem: SinkUnavailable | None) -> Json:
        """unreachable, empty, stale or live; ``since`` is wall-clock time."""
        if problem is not None:
            since = _wall_iso(self._down_since or self.wall())
            cause = problem.sink if problem.sink != "ClickHouse" else "ClickHouse unreachable"
            return {"state": "unreachable", "since": since, "message": cause}
        if self._now is None:
            return {"state": "empty", "since": None, "message": "No event has arrived yet."}
        if self.clock() - self._moved_at > STALE_AFTER_S:
            return {"state": "stale", "since": _wall_iso(self._moved_wall), "message": "Event time stands still"}
        return {"state": "live", "since": None, "message": ""}

    def _panel(self, panel: Panel, hours: int, span: Range, ask: bool) -> Json:
        cached = self._panels.setdefault((hours if panel.ranged else 0, panel.slug), _CachedPanel())
        if ask and self.clock() - cached.asked_at >= max(self.refresh_s * 0.9, cached.took_s * IDLE_FACTOR):
            self._ask(panel, span, cached)
        return {
            **{name: getattr(panel, name) for name in ("id", "slug", "title", "kind", "unit", "description", "tone",
                                                       "empty", "states")},
            "grid": asdict(panel.grid),
            "fields": [asdict(one) for one in panel.fields],
            "content": cached.content,
            "error": cached.error if ask else "",
        }

    def _ask(self, panel: Panel, span: Range, cached: _CachedPanel) -> None:
        cached.asked_at = self.clock()
        try:
            cached.content = shape(panel, self.client.query(expand(panel.sql, span)), span)
            cached.error = ""
        except SinkUnavailable as error:
            cached.error = error.sink
        cached.took_s = self.clock() - cached.asked_at


def _about_itself(panel: Panel) -> bool:
    """True if a panel says how far to trust the others: it compares event time with the time of day."""
    return panel.kind == "sentence" or panel.unit == "lag"


def shape(panel: Panel, answer: Answer, span: Range) -> Json:
    """Rows of a panel as its kind needs them: values, a table, aligned series, or lanes of spans. Times in ms UTC."""
    rows = [[_value(value) for value in row] for row in answer.rows]
    if panel.kind == "timeseries":
        return _series(rows)
    if panel.kind == "state":
        return _lanes(rows, span)
    if panel.kind == "sentence":
        return {"tone": rows[0][0], "text": rows[0][1]}
    if panel.kind == "stat":
        return {"values": [{"label": row[0] if len(row) > 1 else "", "value": row[-1]} for row in rows]}
    return {"columns": list(answer.names), "rows": rows}


def _series(rows: list[list[Any]]) -> Json:
    """(time, name, number) rows as one shared time axis and a list of numbers or None per name."""
    times = sorted({row[0] for row in rows})
    index_of = {time: index for index, time in enumerate(times)}
    series: dict[str, list[Any]] = {}
    for time, name, value in rows:
        series.setdefault(name, [None] * len(times))[index_of[time]] = value
    return {"times": times, "series": [{"name": name, "values": values} for name, values in series.items()]}


def _lanes(rows: list[list[Any]], span: Range) -> Json:
    """(time, lane, 0 or 1) changes as spans of ones, cut to the range. Of changes at one time the last one counts."""
    lanes: dict[str, list[list[int]]] = {}
    for time, name, value in rows:
        spans = lanes.setdefault(name, [])
        if spans and spans[-1][1] == -1:
            spans[-1][1] = time
        if value:
            spans.append([time, -1])
    return {"lanes": [{"name": name, "spans": _closed(spans, span.to_ms)} for name, spans in lanes.items()]}


def _closed(spans: list[list[int]], end: int) -> list[list[int]]:
    """Spans with the open one ended at ``end``, empty ones dropped."""
    closed = [[began, end if over == -1 else over] for began, over in spans]
    return [one for one in closed if one[1] > one[0]]


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return int(value.timestamp() * 1000)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _wall_iso(seconds: float) -> str:
    return iso(datetime.fromtimestamp(seconds, UTC))
