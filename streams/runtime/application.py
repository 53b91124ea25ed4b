"""A pure room under Kafka: one task and one transactional producer per partition.

On assignment, for every partition: ``init_transactions`` (from now on nobody else can commit under this id), read the
state topic to its end, load the state, seek every input to the source offsets in it (the beginning where there is
none). At every flush, for every task that was fed: one transaction with derived messages, dead letters, re-keyed
records, ticks, state changes and source offsets; then, for lag only, group offsets. On revocation and on SIGTERM: the
same flush, then close.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from aiokafka.errors import KafkaError
from faust.types import TP

from schemas.codec import HOT
from schemas.errors import ConfigError
from schemas.topics import BY_NOUN, state_topic
from streams.runtime.alignment import Idleness, ahead
from streams.runtime.batch import RawBatch
from streams.runtime.exits import Guard, KafkaFailed
from streams.runtime.offsets import GroupProgress
from streams.runtime.recovery import StateReader
from streams.runtime.room import Room
from streams.runtime.shell import Context, Shell
from streams.runtime.tally import TaskTally
from streams.runtime.task import PartitionTask, RangeLost
from streams.runtime.transaction import Transaction
from streams.runtime.writer import TransactionWriter

log = logging.getLogger("cx.room")
S = TypeVar("S")

MAX_UNFLUSHED_BYTES = 64 * 1024 * 1024
"""A room that was fed this much since its last flush, over all its tasks, flushes before it reads on. While a flush is
being written the same again may be fed, then the room waits for it."""


class StageShell(Shell, Generic[S]):
    """One pure room."""

    def __init__(self, room: Room[S], context: Context) -> None:
        """Nothing is connected yet."""
        self.room = room
        self.tasks: dict[int, PartitionTask[S]] = {}
        self._writers: dict[int, TransactionWriter] = {}
        self._idleness: dict[int, Idleness] = {}
        self._ahead: set[TP] = set()
        self._progress = GroupProgress()
        self._flushing = asyncio.Lock()
        self._degraded = False
        self._finishing: asyncio.Task[None] | None = None
        self._writing_bytes = 0
        self._taken_in_a_row = 0
        """Records taken since control was last given to the other rooms of the process."""
        super().__init__(room.name, room.inputs, context)

    def positions(self) -> Mapping[TP, int]:
        """The tasks' positions."""
        return {
            self.tp(noun, partition): offset
            for partition, task in self.tasks.items()
            for noun, offset in task.positions.items()
        }

    def paused(self) -> set[TP]:
        """Topic partitions that run ahead."""
        return self._ahead

    async def flush(self) -> None:
        """One transaction per task that was fed, all at the same time; then group offsets."""
        async with self._flushing:
            started = time.monotonic()
            transactions = []
            for task in self.tasks.values():
                self._writing_bytes += task.pending_bytes  # the task counts them as flushed from its first step on
                transaction = await self._collect(task)
                if transaction is not None:
                    transactions.append(transaction)
                    await asyncio.sleep(0)
            if transactions:
                self.status.dirty_since = self.status.dirty_since or self.status.clock()
                await asyncio.gather(*(self._writers[one.partition].write(one) for one in transactions))
                self._after(transactions, time.monotonic() - started)
            self.status.dirty_since = None
            self._writing_bytes = 0
        await self.commit_offsets(self._progress.due(self._passed()))

    def unflushed_bytes(self) -> int:
        """What the tasks were fed and no committed transaction holds."""
        return self._writing_bytes + self._fed_bytes()

    def task_tallies(self) -> Mapping[int, TaskTally]:
        """Of every task."""
        return {
            partition: TaskTally(task.opened_ms, task.outcomes(), task.size) for partition, task in self.tasks.items()
        }

    def _fed_bytes(self) -> int:
        return sum(task.pending_bytes for task in self.tasks.values())

    async def _collect(self, task: PartitionTask[S]) -> Transaction | None:
        """A task's flush; other rooms of the process, and batches of this one, are worked on between its steps."""
        steps = task.flush_steps(time.time_ns() // 1_000_000)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                found: Transaction | None = done.value
                return found
            await asyncio.sleep(0)

    def _after(self, transactions: list[Transaction], seconds: float) -> None:
        """Metrics of a flush that is committed."""
        self.status.moved()
        self.tally.flushed(seconds, sum(one.records for one in transactions), time.time())
        metrics = self.context.metrics
        metrics.flush.labels(self.name).observe(seconds)
        metrics.written.labels(self.name).inc(sum(one.records for one in transactions))
        for one in transactions:
            for noun, offset in one.offsets.items():
                self._progress.add(self.tp(noun, one.partition), offset)
            metrics.count(self.name, one.partition, self.tasks[one.partition].counts)
        degraded = any(task.degraded for task in self.tasks.values())
        if degraded and not self._degraded:
            log.error(
                "room %s: PAGE: %d or more dead letters in a row from several emitters; going on",
                self.name,
                self.context.rules.bad_run,
            )
        self._degraded = self.tally.degraded = degraded
        metrics.degraded.labels(self.name).set(int(degraded))

    def _passed(self) -> dict[TP, int]:
        """Positions of tasks with nothing to flush: what they passed are markers, or is durable already."""
        return {
            self.tp(noun, partition): offset
            for partition, task in self.tasks.items()
            if not task.dirty
            for noun, offset in task.positions.items()
        }

    async def _open(self, assigned: Mapping[int, set[str]]) -> None:
        """Fence, recover, position."""
        self.sources.refuse_deleted(self.consumer.thread.partitions_of)
        try:
            await self.await_topics(lambda: self._require_topics(assigned))
        except ConfigError:
            known = self.sources.epochs
            if known:  # a topic made anew may be missing because the group's leader has not seen it yet
                self.sources.refuse_other_epochs(known, await self.sources.fetch_epochs(self.context.bootstrap))
            raise
        if not assigned:
            return
        context = self.context
        self._writers = {
            partition: TransactionWriter(context.bootstrap, context.prefix, self.name, partition, context.native)
            for partition in assigned
        }
        # fence before reading: from here on no earlier owner can commit, so the end of the state topic is final
        await asyncio.gather(*(writer.open() for writer in self._writers.values()))
        self.status.moved()
        reader = StateReader(
            context.bootstrap,
            context.prefix + state_topic(self.name),
            context.stall_s,
            context.bulk,
            context.native,
            self.status.moved,
            context.lived,
        )
        for partition, recovered in (await reader.read(sorted(assigned))).items():
            task = PartitionTask(self.room, partition, context.partitions, recovered, context.rules, time.time())
            self.tasks[partition] = task
            self._idleness[partition] = Idleness(context.idle_ms / 1_000)
            self.status.moved()
            await asyncio.sleep(0)
        await self._seek_all()

    def _require_topics(self, assigned: Mapping[int, set[str]]) -> None:
        """Raise ConfigError unless the topics are there and whole partitions of them were given to us."""
        self.check_topics({noun: self._partitions_of(noun) for noun in self.room.inputs})
        count = self.room.task_count(self.context.partitions)
        wrong = [partition for partition, nouns in assigned.items() if nouns != set(self.topics) or partition >= count]
        if wrong:
            raise ConfigError(f"room {self.name} was given parts of partitions {sorted(wrong)}: mixed versions?")

    def _partitions_of(self, noun: str) -> int:
        return self.context.partitions if BY_NOUN[noun].partitioning == "customer" else 1

    async def _seek_all(self) -> None:
        """Decide where every input is read from: the source offsets, if the topic still has what they point at."""
        tps = [self.tp(noun, partition) for partition in self.tasks for noun in self.room.inputs]
        try:
            first = await self.consumer.earliest_offsets(*tps)
            end = await self.consumer.highwaters(*tps)
        except KafkaError as error:
            raise KafkaFailed(f"room {self.name}: no offsets ({type(error).__name__})") from error
        epochs = self.sources.epochs = await self.sources.fetch_epochs(self.context.bootstrap)
        for partition, task in self.tasks.items():
            self.sources.refuse_other_epochs(task.topic_epochs, epochs)
            task.topic_epochs = {**task.topic_epochs, **epochs}
            for noun in self.room.inputs:
                tp = self.tp(noun, partition)
                task.start_at(noun, self._start_of(task, noun, first[tp], end[tp]))

    def _start_of(self, task: PartitionTask[Any], noun: str, first: int, end: int) -> int:
        stored = task.positions.get(noun, first)
        start = self.sources.start_offset(self.tp(noun, task.partition), stored, first, end)
        if start > stored:
            log.error("%s/%d: retention deleted offsets %d to %d unread", noun, task.partition, stored, first)
            self.context.metrics.expired.labels(self.name, noun).inc(first - stored)
        return start

    async def _close(self) -> None:
        """A last flush, then let go."""
        await self.flush()
        await self.commit_offsets({}, now=True)
        writers, self._writers = self._writers, {}
        self.tasks, self._idleness, self._ahead = {}, {}, set()  # the next assignment recovers from the state topic
        self._progress.forget()
        await asyncio.gather(*(writer.close() for writer in writers.values()))

    async def _take(self, batch: RawBatch) -> int | None:
        """Feed a task slice by slice; the other rooms of the process run in between."""
        task = self.tasks.get(batch.partition)
        for part in batch.slices(self.context.rules.slice_events):
            if task is None or not self._accepting or self.tasks.get(batch.partition) is not task:
                return None
            try:
                if not await self._run_steps(task, task.feed_steps(part)):
                    return None
            except RangeLost as lost:
                log.warning("room %s", lost)
                return task.positions[batch.topic]
            self._taken_in_a_row += len(part)
            if self._taken_in_a_row >= self.context.rules.slice_events:
                self._taken_in_a_row = 0
                await asyncio.sleep(0)
        if task is None or not self._accepting:
            return None
        self.context.metrics.age.observe(self.name, batch.topic, batch.timestamps, time.time() * 1_000)
        if self._fed_bytes() > MAX_UNFLUSHED_BYTES:
            await self.flush()
        if batch.topic in HOT:
            self._limit_skew(batch.partition)
        return None

    async def _run_steps(self, task: PartitionTask[S], steps: Iterator[None]) -> bool:
        """Run steps of work, with flushes and other rooms in between. False if the task was revoked meanwhile."""
        for _ in steps:
            self._worked(task)
            await asyncio.sleep(0)
            if not self._accepting or self.tasks.get(task.partition) is not task:
                return False
        self._worked(task)
        return True

    def _worked(self, task: PartitionTask[S]) -> None:
        if task.dirty and self.status.dirty_since is None:
            self.status.dirty_since = self.status.clock()
        self.status.saw_batch()

    async def _finish_work(self) -> None:
        """Finish work that recovery found half done: it needs no new input to go on."""
        with Guard(self.context.end, f"room {self.name}"):
            for task in list(self.tasks.values()):
                await self._run_steps(task, task.rest_steps())

    def _limit_skew(self, partition: int) -> None:
        """Pause topics of a partition that run ahead of the others, resume those that no longer do (``alignment``)."""
        task = self.tasks[partition]
        if len(task.newest) < 2 or self.context.max_skew_ms <= 0:
            return
        if not self._ahead and max(task.newest.values()) - min(task.newest.values()) <= self.context.max_skew_ms:
            return
        ends = self._ends_of(partition)
        unread = [noun for noun, (position, end) in ends.items() if position < end]
        wanted = {self.tp(noun, partition) for noun in ahead(task.newest, unread, self.context.max_skew_ms)}
        current = {tp for tp in self._ahead if tp.partition == partition}
        if wanted - current:
            self.consumer.pause_partitions(wanted - current)
        if current - wanted:
            self.consumer.resume_partitions(current - wanted)
        self._ahead = (self._ahead - current) | wanted

    def _ends_of(self, partition: int) -> dict[str, tuple[int, int]]:
        """Noun -> (position, end) of a partition's event topics; an end that no fetch has shown yet is far away."""
        thread, task = self.consumer.thread, self.tasks[partition]
        return {
            noun: (task.positions[noun], 1 << 62 if (end := thread.end_of(self.tp(noun, partition))) is None else end)
            for noun in self.room.inputs
            if noun in HOT
        }

    async def _look(self) -> None:
        """Once a second: ticks for idle topics, skew, metrics."""
        await super()._look()
        if not self._accepting:
            return
        if (self._finishing is None or self._finishing.done()) and any(task.left for task in self.tasks.values()):
            self._finishing = asyncio.create_task(self._finish_work())
        for partition, task in self.tasks.items():
            ends = self._ends_of(partition)
            if ends:
                task.idle(self._idleness[partition].look(ends, task.newest, time.monotonic()))
                self._limit_skew(partition)
            for noun, reached in task.newest.items():
                self.context.metrics.newest.labels(self.name, noun, str(partition)).set(reached)
