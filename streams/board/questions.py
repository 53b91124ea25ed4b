"""Statements asked of ClickHouse in a few threads: each once a period, however many panels and viewers want it.

A statement that took t seconds is asked again after ``IDLE_FACTOR`` times t at the earliest, so that a board of twenty
panels takes at most one core of ClickHouse. A statement that fails keeps its last answer and says what failed.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from dashboards.macros import Range
from schemas.errors import SinkUnavailable
from streams.sinks.clickhouse import Answer, ClickHouse

IDLE_FACTOR = 20.0
LONGEST_PAUSE_S = 120.0
THREADS = 3
"""Statements that run at a time; each thread has a connection of its own."""
MOST_KEPT = 2_000
"""Answers that are kept; the one that was wanted longest ago goes first."""


T = TypeVar("T")


@dataclass
class Asked:
    """The last good answer to one statement, over which range it was asked, when, and how long it took."""

    answer: Answer | None = None
    span: Range = field(default_factory=lambda: Range(0, 0, 10))
    number: int = 0
    """Grows with every answer."""
    asked_at: float = -math.inf
    took_s: float = 0.0
    error: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Questions:
    """The statements of all views; used in one event loop."""

    def __init__(self, client: ClickHouse, clock: Callable[[], float]) -> None:
        """Keep the client; ``clock`` gives seconds that never go back."""
        self._client = client
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, "cx-board")
        self._asked: OrderedDict[Hashable, Asked] = OrderedDict()
        self._closed = False

    async def run(self, ask: Callable[[ClickHouse], T]) -> T:
        """Run something that blocks, in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask, self._client)

    async def get(self, key: Hashable, sql: Callable[[], str], span: Range, least_s: float) -> Asked:
        """The answer to the statement of ``key``, asked anew if the last one is older than ``least_s``."""
        asked = self.kept(key)
        async with asked.lock:
            if self._clock() - asked.asked_at >= max(least_s, min(asked.took_s * IDLE_FACTOR, LONGEST_PAUSE_S)):
                await self._ask(asked, sql(), span)
        return asked

    def kept(self, key: Hashable) -> Asked:
        """What is known already, without asking."""
        asked = self._asked.setdefault(key, Asked())
        self._asked.move_to_end(key)
        if len(self._asked) > MOST_KEPT:
            self._asked.popitem(last=False)
        return asked

    async def _ask(self, asked: Asked, sql: str, span: Range) -> None:
        def timed(client: ClickHouse) -> tuple[Answer | None, str, float]:
            began = self._clock()
            try:
                return client.query(sql), "", self._clock() - began
            except SinkUnavailable as error:
                return None, error.sink, self._clock() - began
            except ValueError:  # a time beyond the year 9999, say: one panel fails, the board goes on
                return None, "the answer cannot be read", self._clock() - began

        asked.asked_at = self._clock()
        answer, asked.error, asked.took_s = await self.run(timed)
        if answer is not None:
            asked.answer, asked.span, asked.number = answer, span, asked.number + 1

    async def close(self) -> None:
        """End the threads; each closes its connection. The same again changes nothing."""
        if self._closed:
            return
        self._closed = True
        together = threading.Barrier(THREADS)

        def leave(client: ClickHouse) -> None:
            together.wait()  # or one thread would do it for all
            client.close()

        await asyncio.gather(*(self.run(leave) for _ in range(THREADS)))
        self._threads.shutdown(wait=False)
