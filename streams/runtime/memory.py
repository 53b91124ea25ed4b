"""The whole line without Kafka: logs in lists, the real tasks, atomic transactions, crashes at will.

For tests and evaluation. Offsets behave as on a broker: a transaction leaves a marker (an
offset without a record) on every partition it wrote to, an aborted one leaves its records' offsets as holes. Which
partition moves next, how much of it, and when it flushes, comes from ``cadence``; findings must not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from schemas.codec import decode, encode
from schemas.events import HEARTBEAT_KEY, Record
from schemas.findings import Tick
from schemas.partition import partition_of
from schemas.topics import BY_NOUN, MAX_EVENT_BYTES, Topic, state_topic
from streams.runtime.batch import Headers, RawBatch
from streams.runtime.limits import TaskRules
from streams.runtime.room import Room, wire_name
from streams.runtime.state import Recovered
from streams.runtime.task import PartitionTask
from streams.runtime.transaction import Transaction

FAR = 1 << 60
"""Append time of messages produced without one: no event is later."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One record in a log."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int = FAR


@dataclass(frozen=True)
class Cadence:
    """How the driver cuts and interleaves. ``seed`` None: round robin, largest cuts, a flush after every feed."""

    seed: int | None = None
    feed_events: int = 2_000
    """Most records fed at once."""
    flush_chance: float = 0.3
    """With a seed: chance that a task flushes after a feed."""
    leave_chance: float = 0.0
    """With a seed: chance that a feed is left between two steps of its work, flushed, and gone on with later."""


@dataclass
class MemoryTopic:
    """One topic: per partition a list of records; None where an offset holds no record."""

    partitions: list[list[Logged | None]] = field(default_factory=list)

    def append(self, partition: int, key: bytes | None, value: bytes | None, headers: Headers, at_ms: int) -> None:
        """Write one record at the end of a partition."""
        entries = self.partitions[partition]
        entries.append(Logged(partition, len(entries), key, value, headers, at_ms))

    def read(self, noun: str, partition: int, start: int, limit: int) -> RawBatch:
        """At most ``limit`` offsets from ``start``."""
        entries = self.partitions[partition]
        stop = min(start + limit, len(entries))
        found = [entry for entry in entries[start:stop] if entry is not None]
        dense = len(found) == stop - start
        return RawBatch(
            noun,
            partition,
            start,
            stop,
            range(start, stop) if dense else [entry.offset for entry in found],
            [entry.key for entry in found],
            [entry.value for entry in found],
            [entry.headers for entry in found],
            [entry.timestamp_ms for entry in found],
        )


class MemoryLine:
    """Rooms connected by in-memory topics."""

    def __init__(
        self,
        rooms: Sequence[Room[Any]],
        partitions: int = 4,
        cadence: Cadence | None = None,
        rules: TaskRules | None = None,
    ) -> None:
        """All topics of the catalogue exist from the start, with ``partitions`` customer partitions."""
        self.rooms = {room.name: room for room in rooms}
        self.partitions = partitions
        self.cadence = cadence or Cadence()
        self.rules = rules or TaskRules()
        self.now_ms = 0
        """Wall time of flushes; only dead letters show it."""
        self._random = np.random.default_rng(self.cadence.seed)
        self._shuffled = self.cadence.seed is not None
        self._logs: dict[str, MemoryTopic] = {}
        self._tasks: dict[tuple[str, int], PartitionTask[Any]] = {}
        self._ticks: dict[tuple[str, int], list[Tick]] = {}
        for topic in BY_NOUN.values():
            count = self._count(topic)
            self._logs[topic.name] = MemoryTopic([[] for _ in range(count)])
            self._logs[topic.dlq] = MemoryTopic([[] for _ in range(count)])
        for room in rooms:
            self._logs[state_topic(room.name)] = MemoryTopic([[] for _ in range(room.task_count(partitions))])

    def produce(
        self,
        noun: str,
        record: Record | msgspec.Struct | bytes | None,
        key: str | bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
        timestamp_ms: int = FAR,
    ) -> None:
        """Append a message as a producer would.

        The key defaults to the record's key field; the partition to that of the key, to all for broadcast topics and
        heartbeats, to 0 for one-partition topics.
        """
        topic = BY_NOUN[noun]
        value = record if isinstance(record, bytes) or record is None else encode(record)
        wire_key = key.encode() if isinstance(key, str) else key
        if wire_key is None and not isinstance(record, bytes):
            named = getattr(record, topic.key, None)
            wire_key = str(named).encode() if named is not None else HEARTBEAT_KEY
        for target in self._targets(topic, wire_key, partition):
            self._logs[topic.name].append(target, wire_key, value, headers, timestamp_ms)

    def load(self, batch: RawBatch) -> None:
        """Append fetched records at their own offsets; offsets between them hold no record."""
        entries = self._logs[wire_name(batch.topic)].partitions[batch.partition]
        rows = zip(batch.offsets, batch.keys, batch.values, batch.headers, batch.timestamps, strict=True)
        for offset, key, value, headers, stamp in rows:
            entries.extend([None] * (offset - len(entries)))
            entries.append(Logged(batch.partition, offset, key, value, headers, stamp))
        entries.extend([None] * (batch.next - len(entries)))

    def apply_ticks(self, ticks: Iterable[Tick]) -> None:
        """Apply recorded ticks at exactly the offsets they name; call before :meth:`run`."""
        for tick in ticks:
            self._ticks.setdefault((tick.room, tick.partition), []).append(tick)

    def run(self) -> None:
        """Move everything until nothing is left to read and nothing to flush."""
        while self.step():
            pass

    def step(self) -> bool:
        """Move one task by one feed or one flush; False if there was nothing to do."""
        pending = [(task, noun) for task in self._all_tasks() for noun in self._backlog(task)]
        if pending:
            task, noun = pending[int(self._random.integers(len(pending)))] if self._shuffled else pending[0]
            self._feed(task, noun)
            if not self._shuffled or self._random.random() < self.cadence.flush_chance:
                self._flush(task)
            return True
        for task in self._all_tasks():
            if task.left:
                self._work(task, task.rest_steps())
                return True
        dirty = [task for task in self._all_tasks() if task.dirty]
        for task in dirty:
            self._flush(task)
        return bool(dirty)

    def flush(self) -> None:
        """Flush every task that has something to flush."""
        for task in self._all_tasks():
            self._flush(task)

    def idle(self, room: str, nouns: Iterable[str]) -> None:
        """Tell every task of a room that these topics are idle."""
        for task in self._all_tasks():
            if task.room.name == room:
                task.idle(nouns)

    def crash(self, room: str, partition: int, in_flush: bool = False) -> None:
        """Lose a task; the next step recovers it from its state topic.

        ``in_flush``: it dies after writing its transaction but before the commit, so that the offsets stay behind.
        """
        task = self._tasks.pop((room, partition), None)
        transaction = task.flush(self.now_ms) if task is not None and in_flush else None
        if transaction is not None:
            for (topic, target), writes in transaction.writes.items():
                self._logs[topic].partitions[target].extend([None] * (len(writes) + 1))

    def records(self, noun: str) -> list[Any]:
        """Decoded records of a topic, partition by partition in offset order (broadcast topics: partition 0 only)."""
        found = self.raw(noun)
        if BY_NOUN[noun].broadcast:
            found = [entry for entry in found if entry.partition == 0]
        values, keys = [entry.value for entry in found], [entry.key for entry in found]
        return decode(noun, values, keys, [entry.headers for entry in found], 64 * MAX_EVENT_BYTES).records

    def raw(self, noun: str) -> list[Logged]:
        """Records of a topic (or of ``<noun>.dlq``) as they lie in the log."""
        return self._entries(wire_name(noun))

    def state(self, room: str, partition: int) -> Recovered:
        """What recovery reads of one task."""
        found = Recovered()
        for entry in self._logs[state_topic(room)].partitions[partition]:
            if entry is not None:
                found.apply(entry.key, entry.value)
        return found

    def task(self, room: str, partition: int) -> PartitionTask[Any]:
        """The live task, recovered first if it crashed."""
        task = self._tasks.get((room, partition))
        if task is None:
            owner = self.rooms[room]
            task = PartitionTask(owner, partition, self.partitions, self.state(room, partition), self.rules)
            for noun in owner.inputs:
                task.start_at(noun, task.positions.get(noun, 0))
            self._tasks[room, partition] = task
        return task

    def _all_tasks(self) -> list[PartitionTask[Any]]:
        return [
            self.task(room.name, partition)
            for room in self.rooms.values()
            for partition in range(room.task_count(self.partitions))
        ]

    def _backlog(self, task: PartitionTask[Any]) -> list[str]:
        """Inputs on which a task has something to read and may read it (a recorded tick may come first)."""
        self._pass_ticks(task)
        return [noun for noun in task.room.inputs if task.positions[noun] < self._until(task, noun)]

    def _until(self, task: PartitionTask[Any], noun: str) -> int:
        end = len(self._logs[wire_name(noun)].partitions[task.partition])
        ticks = self._ticks.get((task.room.name, task.partition))
        return min(end, ticks[0].offsets[noun]) if ticks else end

    def _pass_ticks(self, task: PartitionTask[Any]) -> None:
        """Apply the recorded ticks whose offsets have been reached; forget those that lie behind."""
        ticks = self._ticks.get((task.room.name, task.partition), [])
        while ticks and all(task.positions[noun] >= ticks[0].offsets[noun] for noun in task.room.inputs):
            task.tick(ticks.pop(0).event_time_ms)

    def _feed(self, task: PartitionTask[Any], noun: str) -> None:
        most = self.cadence.feed_events
        size = int(self._random.integers(1, most + 1)) if self._shuffled else most
        position = task.positions[noun]
        limit = min(size, self._until(task, noun) - position)
        self._work(task, task.feed_steps(self._logs[wire_name(noun)].read(noun, task.partition, position, limit)))

    def _work(self, task: PartitionTask[Any], steps: Iterable[None]) -> None:
        """Go on to the end, or leave the rest for another time."""
        for _ in steps:
            if self._shuffled and self._random.random() < self.cadence.leave_chance:
                self._flush(task)
                return

    def _flush(self, task: PartitionTask[Any]) -> None:
        transaction = task.flush(self.now_ms)
        if transaction is not None:
            self._commit(transaction)

    def _commit(self, transaction: Transaction) -> None:
        """Append all records of a transaction and the marker that every partition it touched gets."""
        for (topic, target), writes in transaction.writes.items():
            log = self._logs[topic]
            for key, value, headers in writes:
                log.append(target, key, value, headers, FAR)
            log.partitions[target].append(None)

    def _targets(self, topic: Topic, key: bytes | None, partition: int | None) -> Iterable[int]:
        if partition is not None:
            return (partition,)
        if topic.broadcast or key == HEARTBEAT_KEY:
            return range(self._count(topic))
        return (0,) if topic.partitioning == "one" else (partition_of(key or b"", self.partitions),)

    def _count(self, topic: Topic) -> int:
        return self.partitions if topic.partitioning == "customer" else 1

    def _entries(self, topic: str) -> list[Logged]:
        return [entry for entries in self._logs[topic].partitions for entry in entries if entry is not None]
