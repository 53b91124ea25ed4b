"""The store room: copies every topic to ClickHouse. Rows first, then the group offsets (the runtime's part)."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from schemas.topics import TOPICS
from streams.runtime.batch import RawBatch
from streams.runtime.room import DLQ_SUFFIX, SinkRoom
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse, login_of
from streams.sinks.rows import RowBuffer

INPUTS = (
    *(topic.noun for topic in TOPICS),
    *(f"{topic.noun}{DLQ_SUFFIX}" for topic in TOPICS if topic.dead_letters),
)
"""Every topic of the line and every dead-letter topic."""
MAX_ROWS = 50_000
"""Rows per insert round: what ClickHouse likes, and a bound on memory."""
PACE_S = 1.0
"""Least time between two rounds of small inserts: every insert is a part that ClickHouse has to merge later."""


class Store:
    """Writes batches to ClickHouse: grouped by table, columnar, one insert per table and round."""

    def __init__(self, sink: ClickHouse, max_rows: int = MAX_ROWS) -> None:
        """Keep the writer's login and the bound on rows per round."""
        self.sink = sink
        self.max_rows = max_rows
        self.stored = 0

    def write(self, batches: list[RawBatch]) -> None:
        """Store the batches; blocking. Raises SinkUnavailable: offer the same ones again."""
        buffer = RowBuffer()
        for batch in batches:
            for piece in batch.slices(self.max_rows):
                buffer.add(piece)
                if buffer.pending >= self.max_rows:
                    self._insert(buffer)
                    buffer = RowBuffer()
        self._insert(buffer)

    def _insert(self, buffer: RowBuffer) -> None:
        for table, columns in buffer.columns():
            self.stored += self.sink.insert(table, columns)


def room(settings: Settings) -> SinkRoom:
    """The room for the runtime; inserts run in a thread, so that a slow server holds up no other room."""
    store = Store(ClickHouse(login_of(settings)))
    thread = ThreadPoolExecutor(1, "cx-store")  # one thread, therefore one client

    ready_at = 0.0

    async def write(batches: list[RawBatch]) -> None:
        nonlocal ready_at
        loop = asyncio.get_running_loop()
        if sum(map(len, batches)) < MAX_ROWS:
            await asyncio.sleep(ready_at - loop.time())
        ready_at = loop.time() + PACE_S
        await loop.run_in_executor(thread, store.write, batches)

    async def close() -> None:
        await asyncio.get_running_loop().run_in_executor(thread, store.sink.close)
        thread.shutdown(wait=False)

    return SinkRoom("store", INPUTS, write, close)
