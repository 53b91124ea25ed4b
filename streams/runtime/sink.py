"""A room without state that writes batches to a sink: rows first, then its group offsets.

It starts at its group offsets (the beginning where there are none): repeating rows is harmless because every row has a
version or an identity. While the sink is down the same batches are offered again; the queue in front fills,
the fetching of this room stops, and no other room notices.

There is no fixed beat: a round is due a little after the first message that waits (``SinkPace``), so that a finding is
in the sink soon after the transaction that made it, and a sink with nothing to write is left alone. Wall clock ->

    message   more                              message
    |---------|-|--|                            |
    |<-- linger_s -->| round starts             |
                     |<------- least_s ------------>| next round, at the earliest
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Mapping

from faust.types import TP

from schemas.errors import ConfigError, SinkUnavailable
from streams.runtime.batch import RawBatch
from streams.runtime.exits import Guard
from streams.runtime.offsets import GroupProgress
from streams.runtime.room import SinkRoom
from streams.runtime.shell import OFFSETS_EVERY_S, Context, Shell
from streams.runtime.tally import TaskTally

log = logging.getLogger("cx.room")

MAX_UNWRITTEN_BYTES = 16 * 1024 * 1024
"""A room that holds this much unwritten takes no more."""
MAX_RETRY_S = 10.0
REVOKE_WAIT_S = 5.0
"""How long a rebalance waits for a write; after that the batches are left to the next owner."""


class SinkShell(Shell):
    """One room that writes to a sink."""

    def __init__(self, room: SinkRoom, context: Context) -> None:
        """Nothing is connected yet."""
        self.room = room
        self._positions: dict[TP, int] = {}
        self._progress = GroupProgress()
        self._batches: list[RawBatch] = []
        self._bytes = 0
        self._writing_bytes = 0
        self._flushing = asyncio.Lock()
        self._due = math.inf
        self._started = 0.0
        self._sooner = asyncio.Event()
        self._checked = False
        self._tallies: dict[int, TaskTally] = {}
        super().__init__(room.name, room.inputs, context)

    def positions(self) -> Mapping[TP, int]:
        """First offsets not taken yet."""
        return self._positions

    async def flush(self) -> None:
        """Write what was taken, however long the sink takes; then commit the offsets behind it."""
        async with self._flushing:
            batches, self._writing_bytes, self._batches, self._bytes = self._batches, self._bytes, [], 0
            behind = dict(self._positions)
            self._due = math.inf
            if batches:
                started = self._started = time.monotonic()
                self.status.dirty_since = self.status.clock()
                await self._write(batches)
                seconds, written, now_ms = time.monotonic() - started, sum(map(len, batches)), time.time() * 1_000
                self.context.metrics.flush.labels(self.name).observe(seconds)
                self.context.metrics.written.labels(self.name).inc(written)
                self.tally.flushed(seconds, written, now_ms / 1_000)
                for batch in batches:
                    self.context.metrics.age.observe(self.name, batch.topic, batch.timestamps, now_ms)
                    self.context.metrics.events.labels(self.name, batch.topic, "accepted").inc(len(batch))
                    if (tally := self._tallies.get(batch.partition)) is not None:
                        tally.records["accepted"] = tally.records.get("accepted", 0) + len(batch)
            self._writing_bytes = 0
            due = self._progress.due(behind)
        await self.commit_offsets(due)

    def unflushed_bytes(self) -> int:
        """What was taken and is not written yet."""
        return self._writing_bytes + self._bytes

    def task_tallies(self) -> Mapping[int, TaskTally]:
        """What was written of each partition, all topics together."""
        return self._tallies

    def rows(self) -> int:
        """Rows that the sink was given since the start."""
        return self.room.rows()

    async def _flush_in_time(self) -> None:
        """Flush whenever a round is due; what is left of the offsets is committed a second later."""
        with Guard(self.context.end, f"flush in room {self.name}"):
            while True:
                await self._wait_until_due()
                await self.flush()

    async def _wait_until_due(self) -> None:
        while True:
            commit_at = self._offsets_at + OFFSETS_EVERY_S if self._offsets else math.inf
            wait_s = min(self._due, commit_at) - time.monotonic()
            if wait_s <= 0:
                return
            self._sooner.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._sooner.wait(), None if math.isinf(wait_s) else wait_s)

    def _call_for(self, noun: str) -> None:
        """Let the next round be due in time for a message of this topic that has just come."""
        pace = self.room.pace
        delay_s = pace.patience_s if noun in pace.patient else pace.linger_s
        due = max(time.monotonic() + delay_s, self._started + pace.least_s)
        if due < self._due:
            self._due = due
            self._sooner.set()

    async def _write(self, batches: list[RawBatch]) -> None:
        """Offer the same batches until the sink takes them."""
        tries = 0
        while True:
            try:
                await self._check()
                await self.room.write(batches)
            except SinkUnavailable as down:
                tries += 1
                self.status.retrying = True
                self.context.metrics.sink_retries.labels(self.name).inc()
                self.tally.refused += 1
                wait = min(down.retry_after * 2 ** min(tries - 1, 6), MAX_RETRY_S)
                log.warning("room %s waits for %s, try %d", self.name, down.sink, tries)
                await asyncio.sleep(wait)
            else:
                self.status.resumed()
                return

    async def _check(self) -> None:
        """Once: is the sink what our rows need?"""
        if not self._checked:
            await self.room.check()
            self._checked = True

    async def _open(self, assigned: Mapping[int, set[str]]) -> None:
        """Start at the group offsets."""
        await self.await_topics(self._require_topics)
        with contextlib.suppress(SinkUnavailable):  # then before the first write
            await self._check()
        tps = [self.tp(noun, partition) for partition, nouns in assigned.items() for noun in nouns]
        if not tps:
            self._positions, self._tallies = {}, {}
            return
        committed = await self.consumer.thread.committed_group(tps)
        first = await self.consumer.earliest_offsets(*tps)
        self._positions = {tp: max(committed.get(tp, 0), first[tp]) for tp in tps}
        self._tallies = {partition: TaskTally(time.time_ns() // 1_000_000) for partition in assigned}

    def _require_topics(self) -> None:
        """Raise ConfigError if a topic is missing."""
        for noun in self.room.inputs:
            if not self.consumer.thread.partitions_of(self.topics[noun]):
                raise ConfigError(f"topic {self.topics[noun]} does not exist: run `cxwatch topics create`")

    async def _close(self) -> None:
        """Write what was taken if the sink is up; otherwise leave it to the next owner."""
        try:
            await asyncio.wait_for(self.flush(), REVOKE_WAIT_S)
            await self.commit_offsets({}, now=True)
        except TimeoutError:
            log.warning("room %s: the sink did not answer, the next owner writes these batches", self.name)
        self._positions, self._batches, self._bytes, self._offsets = {}, [], 0, {}
        self._progress.forget()
        self.status.resumed()

    async def _take(self, batch: RawBatch) -> int | None:
        """Keep a batch for the next write."""
        tp = self.tp(batch.topic, batch.partition)
        position = self._positions.get(tp)
        if position is None or batch.next <= position:
            return None
        if batch.start > position:
            return position
        fresh = batch.since(position)
        self._positions[tp] = fresh.next
        if len(fresh):
            self._batches.append(fresh)
            self._bytes += fresh.value_bytes
            self._call_for(batch.topic)
        if self._bytes > MAX_UNWRITTEN_BYTES:
            await self.flush()
        return None
