"""The store room: copies topics to ClickHouse. Rows first, then the group offsets (the runtime's part)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from schemas.topics import DLQ_SUFFIX, STEADY, TOPICS
from streams.core.join.native import wanted
from streams.runtime.batch import RawBatch
from streams.runtime.room import SinkPace, SinkRoom
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse, check_columns, login_of
from streams.sinks.erasure import erase
from streams.sinks.native import NativePlans, NativeRows
from streams.sinks.rows import RowBuffer

MAX_ROWS = 100_000
"""Rows per insert round: what ClickHouse likes, and above what the runtime offers at once unless rows are tiny."""
SLICE = 300
"""Messages turned into columns at a stretch: they fit the processor's cache."""


def inputs(chosen: Sequence[str] = ()) -> tuple[str, ...]:
    """The chosen topics (none: every one) and their dead-letter topics."""
    topics = [topic for topic in TOPICS if not chosen or topic.noun in chosen]
    dead_letters = (f"{topic.noun}{DLQ_SUFFIX}" for topic in topics if topic.dead_letters)
    return (*(topic.noun for topic in topics), *dead_letters)


def pace(settings: Settings) -> SinkPace:
    """When to write. Copies of outside topics wait for the next findings, unless nothing else is stored."""
    every_s = settings.flush_ms / 1_000
    least_s = settings.store_pace_ms / 1_000
    nouns = {noun for noun in inputs(settings.store_topics) if not noun.endswith(DLQ_SUFFIX)}
    patience_s = least_s if nouns <= STEADY else max(least_s, every_s + 2 * settings.store_linger_ms / 1_000)
    return SinkPace(settings.store_linger_ms / 1_000, least_s, STEADY, patience_s)


class Store:
    """Writes batches to ClickHouse: grouped by table, columnar, one insert per table and round."""

    def __init__(self, sink: ClickHouse, max_rows: int = MAX_ROWS, native: bool = False) -> None:
        """Keep the writer's login and the bound on rows per round.

        ``native``: what is most becomes rows in native code, the same ones. Raises ConfigError if it is not installed.
        """
        self.sink = sink
        self.max_rows = max_rows
        self.stored = 0
        self._plans = NativePlans() if native else None

    def write(self, batches: list[RawBatch]) -> None:
        """Store the batches; blocking. Raises SinkUnavailable: offer the same ones again."""
        buffer = self._buffer()
        for batch in batches:
            for piece in batch.slices(min(SLICE, self.max_rows)):
                buffer.add(piece)
                if buffer.pending >= self.max_rows:
                    self._insert(buffer)
                    buffer = self._buffer()
        self._insert(buffer)

    def _buffer(self) -> RowBuffer:
        return RowBuffer(NativeRows(self._plans) if self._plans is not None else None)

    def _insert(self, buffer: RowBuffer) -> None:
        for table, columns in buffer.columns():
            self.stored += self.sink.insert(table, columns)
        if buffer.erased:
            erase(self.sink, buffer.erased)


def room(settings: Settings) -> SinkRoom:
    """The room for the runtime; inserts run in a thread, so that a slow server holds up no other room.

    ``CX_NATIVE`` decides about speed only. Raises ConfigError if it asks for an accelerator that is not installed.
    """
    store = Store(ClickHouse(login_of(settings)), native=wanted(settings.native))
    thread = ThreadPoolExecutor(1, "cx-store")  # one thread, therefore one client

    async def write(batches: list[RawBatch]) -> None:
        await asyncio.get_running_loop().run_in_executor(thread, store.write, batches)

    async def check() -> None:
        await asyncio.get_running_loop().run_in_executor(thread, check_columns, store.sink)

    async def close() -> None:
        await asyncio.get_running_loop().run_in_executor(thread, store.sink.close)
        thread.shutdown(wait=False)

    return SinkRoom("store", inputs(settings.store_topics), write, close, pace(settings), check, lambda: store.stored)
