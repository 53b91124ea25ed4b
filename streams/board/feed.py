"""What the live board shows, as plain values: every panel of a view run against ClickHouse, shaped for a page.

The board's "now" is the newest event time stored, because simulated or replayed time lies in the past. Panels, tiles
and boards with the same statement, range and values share one question. A panel that fails keeps its last rows and says
so. Used in one event loop; the questions run in threads.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from dashboards.boards import BOARDS
from dashboards.lint import DATABASE, named_variables
from dashboards.macros import expand
from dashboards.model import Annotation, Panel, Tone, Variable
from dashboards.palette import INFO, ISSUE_COLOURS, STATES, TONES
from schemas.errors import SinkUnavailable
from streams.board.queries import event_now, iso
from streams.board.questions import Asked, Questions
from streams.board.shapes import Json, first_of, marks, shape
from streams.board.views import HOURS, ITSELF, TimeRange, View
from streams.sinks.clickhouse import ClickHouse

STALE_AFTER_S = 60.0
"""Wall-clock seconds without any progress of event time after which the board calls itself stale."""
OPTIONS_S = 15.0
"""Seconds between two looks at what a variable offers."""
_UNTOLD = ("sql", "band")
_TONE_OF: dict[str, Tone | Literal["info"]] = {colour: tone for tone, colour in TONES.items()} | {INFO: "info"}
PALETTE = {"issues": ISSUE_COLOURS, "states": {word: _TONE_OF[colour] for word, colour in STATES.items()}}
"""Colours of issues by the first hex digit of their id, and the tone of each word of a state."""
Values = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Moment:
    """One pass over a view: what is now, what is chosen, and whether ClickHouse can be asked."""

    view: View
    now_ms: int
    chosen: Values
    ask: bool


class Feed:
    """Turns views into the JSON of ``/api/board/<name>``."""

    def __init__(
        self, client: ClickHouse, clock: Callable[[], float], wall: Callable[[], float], refresh_s: float = 1.0,
        simulated: bool = False,
    ) -> None:  # fmt: skip
        """``clock``: seconds that never go back (freshness); ``wall``: seconds since 1970 (what a person reads).

        ``simulated``: the stream's own time is the time of day, its newest event is never called old.
        """
        self.questions = Questions(client, clock)
        self.refresh_s = refresh_s
        self._clock, self._wall, self._simulated = clock, wall, simulated
        self._now: datetime | None = None
        self._looked_at = self._moved_at = -math.inf
        self._moved_wall = 0.0
        self._down_since: float | None = None
        self._problem: SinkUnavailable | None = None
        self._looking = asyncio.Lock()

    async def collect(self, view: View) -> Json:
        """The board of this view as it is now. Never raises for a server that is down."""
        await self._look_at_the_clock()
        now_ms = int(self._now.timestamp() * 1000) if self._now else 0
        board, span = view.board, view.window.span(now_ms)
        moment = _Moment(view, now_ms, {}, ask=self._problem is None)
        variables = await self._variables(moment)
        moment = _Moment(view, now_ms, {one["name"]: tuple(one["chosen"]) for one in variables}, moment.ask)
        panels = await asyncio.gather(*(self._panel(panel, moment) for panel in board.panels))
        annotations = await asyncio.gather(*(self._annotation(one, moment) for one in board.annotations))
        return {
            "board": {"name": board.name, "title": board.title, "description": board.description},
            "boards": [{"name": one.name, "title": one.title} for one in BOARDS],
            "range": {"hours": view.window.hours, "choices": HOURS, "home": board.hours},
            "palette": PALETTE,
            "refresh_ms": int(self.refresh_s * 1000),
            "event_now": iso(self._now) if self._now else None,
            "span": [span.from_ms, span.to_ms],
            **self._state(),
            "variables": variables,
            "annotations": list(annotations),
            "panels": list(panels),
        }

    async def _look_at_the_clock(self) -> None:
        """Read the event clock, once a period for all views."""
        async with self._looking:
            if self._clock() - self._looked_at < self.refresh_s * 0.9:
                return
            self._looked_at = self._clock()
            try:
                now = await self.questions.run(event_now)
            except SinkUnavailable as error:
                self._problem, self._down_since = error, self._down_since or self._wall()
                return
            self._problem = self._down_since = None
            if now != self._now or self._moved_at == -math.inf:
                self._now, self._moved_at, self._moved_wall = now, self._clock(), self._wall()

    def _state(self) -> Json:
        """unreachable, empty, stale or live; ``since`` is wall-clock time."""
        if self._problem is not None:
            since = _wall_iso(self._down_since or self._wall())
            cause = self._problem.sink if self._problem.sink != "ClickHouse" else "ClickHouse unreachable"
            return {"state": "unreachable", "since": since, "message": cause}
        if self._now is None:
            return {"state": "empty", "since": None, "message": "No event has arrived yet."}
        if self._clock() - self._moved_at > STALE_AFTER_S:
            return {"state": "stale", "since": _wall_iso(self._moved_wall), "message": "Event time stands still"}
        return {"state": "live", "since": None, "message": ""}

    async def _variables(self, moment: _Moment) -> list[Json]:
        """Each variable with what it offers and what is chosen; one without "all" takes its first value."""
        given, made, chosen = dict(moment.view.chosen), [], dict[str, tuple[str, ...]]()
        for variable in moment.view.board.variables:
            if variable.name == DATABASE:  # Grafana's own: here the reader's login has one
                continue
            here = _Moment(moment.view, moment.now_ms, chosen, moment.ask)
            asked = await self._asked(variable.sql, here, moment.view.window, OPTIONS_S)
            rows = asked.answer.rows if asked.answer else []
            options = [[str(row[0]), str(row[-1])] for row in rows]
            values = given.get(variable.name, ())
            if not values and not variable.every:
                values = tuple(value for value, _ in options[:1]) or ("",)
            if values:
                chosen[variable.name] = values
            made.append(_variable(variable, options, values, asked.error if moment.ask else ""))
        return made

    async def _panel(self, panel: Panel, moment: _Moment) -> Json:
        source = moment.view.board.panel(panel.of) if panel.of else panel
        content, error = None, ""
        if source.sql:
            window = ITSELF if _about_itself(source) else moment.view.window
            asked = await self._asked(source.sql, moment, window, self.refresh_s * 0.9, _about_itself(source))
            band = await self._asked(panel.band, moment, window, self.refresh_s * 0.9) if panel.band else None
            error = asked.error or (band.error if band else "")
            if asked.answer:
                content = (first_of(panel, source, asked.answer) if panel.of else
                           shape(panel, asked.answer, asked.span, band.answer if band else None))
        return {
            **{name: value for name, value in asdict(panel).items() if name not in _UNTOLD},
            "content": content,
            "error": error if moment.ask else "",
        }

    async def _annotation(self, one: Annotation, moment: _Moment) -> Json:
        asked = await self._asked(one.sql, moment, moment.view.window, OPTIONS_S)
        return {"name": one.name, "tone": one.tone, "marks": marks(asked.answer) if asked.answer else [],
                "error": asked.error if moment.ask else ""}

    async def _asked(
        self, sql: str, moment: _Moment, window: TimeRange, least_s: float, itself: bool = False
    ) -> Asked:
        """The answer to a statement over a window; those with the same text, window and values are one."""
        read = named_variables(sql)
        chosen = {name: values for name, values in moment.chosen.items() if values and name in read}
        key: Hashable = (sql, window if "$__" in sql else None, itself, tuple(sorted(chosen.items())))
        if not moment.ask:
            return self.questions.kept(key)
        now_ms = int(self._wall() * 1000) if itself and not self._simulated else moment.now_ms
        span = window.span(now_ms)
        return await self.questions.get(key, lambda: expand(sql, span, chosen), span, least_s)


def _about_itself(panel: Panel) -> bool:
    """True if a panel says how far to trust the others: it compares event time with the time of day."""
    return panel.kind in ("sentence", "status")


def _variable(variable: Variable, options: list[list[str]], values: tuple[str, ...], error: str) -> Json:
    return {"name": variable.name, "label": variable.label, "every": variable.every, "multi": variable.multi,
            "options": options, "chosen": list(values), "error": error}


def _wall_iso(seconds: float) -> str:
    return iso(datetime.fromtimestamp(seconds, UTC))
