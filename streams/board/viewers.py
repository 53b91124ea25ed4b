"""Snapshots of views, shared by everybody who looks at the same one: taken once a period while anyone looks.

A stream gets the whole snapshot first and then only the parts that changed; a viewer who reads slowly gets fewer and
newer ones. Views and viewers are bounded: one too many is refused, the others go on.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator

from schemas.errors import CxError
from streams.board.feed import Feed
from streams.board.shapes import Json
from streams.board.views import View

MOST_VIEWS, MOST_VIEWERS = 64, 256
_KEPT_SINCE = 8
"""Differences between snapshots that are kept ready: viewers of a view are nearly all at the same one."""


class TooMany(CxError):
    """More views or viewers than a board serves."""


class Snapshot:
    """One state of a view, in parts; each part knows the number of the snapshot in which it last changed."""

    def __init__(self, content: Json, before: Snapshot | None) -> None:
        """Cut ``content`` into parts and compare them with those of the snapshot before."""
        self.number: int = before.number + 1 if before else 1
        parts = {f"panels/{panel['slug']}": panel for panel in content["panels"]}
        parts |= {name: value for name, value in content.items() if name != "panels"}
        texts = {name: json.dumps(value, ensure_ascii=False, allow_nan=False) for name, value in parts.items()}
        known = before.parts if before else {}
        self.parts: dict[str, tuple[int, str]] = {
            name: known[name] if name in known and known[name][1] == text else (self.number, text)
            for name, text in texts.items()
        }
        self._since: OrderedDict[int, bytes] = OrderedDict()

    def since(self, number: int) -> bytes:
        """JSON object of what changed after the snapshot of that number; after 0 is everything."""
        if number not in self._since:
            changed = [(name, text) for name, (at, text) in self.parts.items() if at > number]
            panels = ",".join(text for name, text in changed if name.startswith("panels/"))
            rest = "".join(f"{json.dumps(name)}:{text}," for name, text in changed if not name.startswith("panels/"))
            self._since[number] = f'{{{rest}"number":{self.number},"panels":[{panels}]}}'.encode()
            if len(self._since) > _KEPT_SINCE:
                self._since.popitem(last=False)
        return self._since[number]


class Watched:
    """One view, its newest snapshot, and the task that takes the next ones while somebody looks."""

    def __init__(self, feed: Feed, view: View) -> None:
        """Nothing is taken yet."""
        self.viewers = 0
        self._feed, self._view = feed, view
        self._snapshot: Snapshot | None = None
        self._taken_at = 0.0
        self._taking = asyncio.Lock()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """True if nobody looks and nothing was asked for in the last second."""
        return self.viewers == 0 and not self._taking.locked() and time.monotonic() - self._taken_at > 1

    async def newest(self) -> Snapshot:
        """A snapshot no older than a refresh; those who ask at the same time share it."""
        async with self._taking:
            if self._snapshot is None or time.monotonic() - self._taken_at >= self._feed.refresh_s * 0.9:
                self._taken_at = time.monotonic()
                self._snapshot = Snapshot(await self._feed.collect(self._view), self._snapshot)
                self._tell()
            return self._snapshot

    def _tell(self) -> None:
        """Wake everybody who waits; whoever waits from now on waits for the next time."""
        self._news.set()
        self._news = asyncio.Event()

    async def follow(self) -> AsyncGenerator[bytes, None]:
        """What changes, for one viewer, beginning with everything; also says when nothing did."""
        self.viewers += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._go_on())
        try:
            seen = 0
            snapshot = await self.newest()
            while True:
                yield snapshot.since(seen)
                seen = snapshot.number
                while self._snapshot is snapshot:
                    await self._news.wait()
                    if self._task.done():
                        return
                snapshot = self._snapshot or snapshot
        finally:
            self.viewers -= 1

    async def _go_on(self) -> None:
        try:
            while self.viewers:
                await self.newest()
                rest_s = self._taken_at + self._feed.refresh_s - time.monotonic()
                await asyncio.sleep(max(rest_s, self._feed.refresh_s / 4))
        finally:
            self._tell()  # or a viewer would wait for ever, and believe what it shows

    async def close(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class Viewers:
    """All views that are looked at."""

    def __init__(self, feed: Feed) -> None:
        """Nobody looks yet."""
        self._feed = feed
        self._watched: OrderedDict[View, Watched] = OrderedDict()

    async def snapshot(self, view: View) -> bytes:
        """JSON of everything in a view. Raises TooMany."""
        return (await self._watch(view).newest()).since(0)

    def follow(self, view: View) -> AsyncGenerator[bytes, None]:
        """The view's stream for one more viewer. Raises TooMany at once."""
        if sum(one.viewers for one in self._watched.values()) >= MOST_VIEWERS:
            raise TooMany(f"{MOST_VIEWERS} viewers look already")
        return self._watch(view).follow()

    def _watch(self, view: View) -> Watched:
        if view not in self._watched:
            if len(self._watched) >= MOST_VIEWS:
                gone = next((one for one, watched in self._watched.items() if watched.idle), None)
                if gone is None:
                    raise TooMany(f"{MOST_VIEWS} different views are looked at already")
                del self._watched[gone]
            self._watched[view] = Watched(self._feed, view)
        self._watched.move_to_end(view)
        return self._watched[view]

    async def close(self) -> None:
        """End every task, then the questions."""
        await asyncio.gather(*(watched.close() for watched in self._watched.values()))
        await self._feed.questions.close()
