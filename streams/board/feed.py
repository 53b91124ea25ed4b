"""What the live board shows, as plain values: every panel of a view run against ClickHouse, shaped for a page.

The board's "now" is the newest event time stored, because simulated or replayed time lies in the past. Panels, tiles
and boards with the same statement, range and values share one question. A panel that fails keeps its last rows and says
so. A view may show the database of a replay instead of the login's own: only one that the register offers, and what is
chosen there says so. Used in one event loop; the questions run in threads.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Literal

from dashboards.boards import BOARDS
from dashboards.lint import DATABASE, named_variables
from dashboards.macros import expand
from dashboards.model import Annotation, Panel, Tone, Variable
from dashboards.palette import INFO, ISSUE_COLOURS, STATES, TONES
from dashboards.statements import qualified
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
    database: str = ""
    """Empty: that of the login."""


@dataclass
class _Clock:
    """Event time of one database, and when it last moved: on our clock and on the wall."""

    now: datetime | None = None
    looked_at: float = -math.inf
    moved_at: float = -math.inf
    moved_wall: float = 0.0


@dataclass(frozen=True, slots=True)
class _Databases:
    """Which databases a view reads, as the register of replays offers them."""

    variables: Mapping[str, Json]
    chosen: Values
    shown: str = ""
    """The one that the board is about; empty: that of the login."""
    label: str = ""
    gone: str = ""
    """What was asked for and is not offered."""

    @property
    def read(self) -> tuple[str, ...]:
        """Whose event times make up what is now."""
        compared = tuple(values[0] for name, values in self.chosen.items() if name != DATABASE and values[0])
        return compared or (self.shown,)


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
        self._own = client.login.database
        self._clocks: dict[str, _Clock] = {}
        self._down_since: float | None = None
        self._problem: SinkUnavailable | None = None
        self._looking = asyncio.Lock()

    async def collect(self, view: View) -> Json:
        """The board of this view as it is now. Never raises for a server that is down."""
        await self._look_at_the_clock("")
        databases = await self._databases(_Moment(view, 0, {}, ask=self._problem is None))
        for database in databases.read if not databases.gone else ():
            await self._look_at_the_clock(database)
        now = max((clock.now for clock in map(self._clock_of, databases.read) if clock.now), default=None)
        now_ms = int(now.timestamp() * 1000) if now else 0
        board, span = view.board, view.window.span(now_ms)
        ask = self._problem is None and not databases.gone
        moment = _Moment(view, now_ms, databases.chosen, ask, databases.shown)
        variables = await self._variables(moment, databases.variables)
        chosen = {**{one["name"]: tuple(one["chosen"]) for one in variables}, **databases.chosen}
        moment = _Moment(view, now_ms, chosen, ask, databases.shown)
        panels = await asyncio.gather(*(self._panel(panel, moment) for panel in board.panels))
        annotations = await asyncio.gather(*(self._annotation(one, moment) for one in board.annotations))
        return {
            "board": {"name": board.name, "title": board.title, "description": board.description},
            "boards": [{"name": one.name, "title": one.title} for one in BOARDS],
            "range": {"hours": view.window.hours, "choices": HOURS, "home": board.hours},
            "palette": PALETTE,
            "refresh_ms": int(self.refresh_s * 1000),
            "event_now": iso(now) if now else None,
            "span": [span.from_ms, span.to_ms],
            **self._state(databases),
            "variables": variables,
            "annotations": list(annotations),
            "panels": list(panels),
        }

    def _clock_of(self, database: str) -> _Clock:
        return self._clocks.setdefault(database, _Clock())

    async def _look_at_the_clock(self, database: str) -> None:
        """Read the event clock of a database, once a period for all views."""
        clock = self._clock_of(database)
        async with self._looking:
            if self._clock() - clock.looked_at < self.refresh_s * 0.9:
                return
            clock.looked_at = self._clock()
            try:
                now = await self.questions.run(partial(event_now, database=database))
            except SinkUnavailable as error:
                self._problem, self._down_since = error, self._down_since or self._wall()
                return
            self._problem = self._down_since = None
            if now != clock.now or clock.moved_at == -math.inf:
                clock.now, clock.moved_at, clock.moved_wall = now, self._clock(), self._wall()

    def _state(self, databases: _Databases) -> Json:
        """unreachable, gone, replay, empty, stale or live; ``since`` is wall-clock time."""
        if self._problem is not None:
            since = _wall_iso(self._down_since or self._wall())
            cause = self._problem.sink if self._problem.sink != "ClickHouse" else "ClickHouse unreachable"
            return {"state": "unreachable", "since": since, "message": cause}
        if databases.gone:
            return {"state": "gone", "since": None, "message": f"There is no replay to be shown in {databases.gone}."}
        if databases.read != ("",):
            words = f"This is the {databases.label}, not live." if databases.shown else ""
            return {"state": "replay", "since": None, "message": words}
        return self._live_state(self._clock_of(""))

    def _live_state(self, clock: _Clock) -> Json:
        if clock.now is None:
            return {"state": "empty", "since": None, "message": "No event has arrived yet."}
        if self._clock() - clock.moved_at > STALE_AFTER_S:
            return {"state": "stale", "since": _wall_iso(clock.moved_wall), "message": "Event time stands still"}
        return {"state": "live", "since": None, "message": ""}

    async def _databases(self, moment: _Moment) -> _Databases:
        """What the variables that name databases offer, always asked of the login's own, and what is chosen of it."""
        given, made, chosen, gone = dict(moment.view.chosen), dict[str, Json](), dict[str, tuple[str, ...]](), ""
        for variable in (one for one in moment.view.board.variables if one.strict):
            asked = await self._asked(variable.sql, moment, moment.view.window, OPTIONS_S)
            options = [[str(row[0]), str(row[-1])] for row in asked.answer.rows] if asked.answer else []
            first = options[0][0] if options else self._own
            (value,) = given.get(variable.name, (first,))
            if value != self._own and value not in [one for one, _ in options]:
                gone = value
            chosen[variable.name] = (value,)
            made[variable.name] = _variable(variable, options, (value,), asked.error if moment.ask else "")
        shown = chosen.get(DATABASE, (self._own,))[0]
        if shown == self._own:
            return _Databases(made, chosen, gone=gone)
        label = next((text for value, text in made[DATABASE]["options"] if value == shown), "")
        return _Databases(made, chosen, shown, label, gone)

    async def _variables(self, moment: _Moment, databases: Mapping[str, Json]) -> list[Json]:
        """Each variable with what it offers and what is chosen; one without "all" takes its first value."""
        given, made, chosen = dict(moment.view.chosen), [], dict(moment.chosen)
        for variable in moment.view.board.variables:
            if variable.strict:
                known = databases[variable.name]
                if variable.name != DATABASE or len(known["options"]) > 1 or moment.database:
                    made.append(known)
                continue
            here = _Moment(moment.view, moment.now_ms, chosen, moment.ask, moment.database)
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
        key: Hashable = (
            moment.database, sql, window if "$__" in sql else None, itself, tuple(sorted(chosen.items())))
        if not moment.ask:
            return self.questions.kept(key)
        now_ms = int(self._wall() * 1000) if itself and not self._simulated else moment.now_ms
        span = window.span(now_ms)
        there = qualified(sql, moment.database) if moment.database else sql
        return await self.questions.get(key, lambda: expand(there, span, chosen), span, least_s)


def _about_itself(panel: Panel) -> bool:
    """True if a panel says how far to trust the others: it compares event time with the time of day."""
    return panel.kind in ("sentence", "status")


def _variable(variable: Variable, options: list[list[str]], values: tuple[str, ...], error: str) -> Json:
    return {"name": variable.name, "label": variable.label, "every": variable.every, "multi": variable.multi,
            "options": options, "chosen": list(values), "error": error}


def _wall_iso(seconds: float) -> str:
    return iso(datetime.fromtimestamp(seconds, UTC))
