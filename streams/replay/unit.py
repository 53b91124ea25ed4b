"""A unit of a replay: some tasks of one partition, what they hand on, and how the work is left and taken up again.

    front 0, front 1, ...    join and experience of a customer partition
    detect                   one, over the counts of all partitions
    back 0, back 1, ...      match and outreach of a customer partition
    impact                   one, over the counts of all partitions

The units of a phase know nothing of each other, so they run in processes of their own. Each writes into a spool of its
own; with a folder it also keeps a checkpoint: the state of its tasks, where its inputs stand and what its spool holds
belong together, and replace the ones before at once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from schemas.topics import BY_NOUN, DLQ_SUFFIX, state_topic
from streams.replay.lanes import Rows, as_batch
from streams.replay.recording import LogIndex, write_atomically
from streams.replay.spool import FileSpool, MemorySpool, Spool
from streams.runtime.limits import TaskRules
from streams.runtime.room import Room
from streams.runtime.state import META_KEY, Recovered
from streams.runtime.task import PartitionTask
from streams.runtime.transaction import Write

CHECKPOINT = "checkpoint"
EVERY_S = 10.0
"""Least time between two checkpoints; never more than a tenth of the time goes into them."""
NOUN_OF = {topic.name: topic.noun for topic in BY_NOUN.values()}

Report = Callable[[int], None]
"""Told how many records were read since the last time."""


class Stopped(Exception):
    """The run is to be left where it is; the unit has made its checkpoint."""


class Stored(msgspec.Struct):
    """A checkpoint."""

    states: dict[str, list[tuple[bytes, bytes]]]
    """Room -> pairs of its state topic, the meta record among them."""
    positions: dict[str, int]
    """Where the inputs stand, as the unit counts it."""
    logs: list[LogIndex]
    counts: dict[str, int]
    done: bool


class Unit:
    """What all units have in common. ``run`` is theirs."""

    def __init__(self, folder: Path | None, report: Report, stop: Callable[[], bool]) -> None:
        """Take up what ``folder`` holds (None: in memory, nothing is kept). ``stop`` is asked now and then."""
        self.folder = folder
        self._counted: Counter[str] = Counter()
        self.positions: dict[str, int] = {}
        self._tasks: dict[str, PartitionTask[Any]] = {}
        self._kept: dict[str, Recovered] = {}
        self._report, self._stop = report, stop
        self._due = time.monotonic() + EVERY_S
        found = stored(folder)
        self.fresh, self.done = found is None, found is not None and found.done
        self.spool: Spool = MemorySpool() if folder is None else FileSpool(folder, found.logs if found else ())
        if found is not None:
            self._counted.update(found.counts)
            self.positions = found.positions
            for room, pairs in found.states.items():
                self._kept[room] = Recovered()
                for key, value in pairs:
                    self._kept[room].apply(key, value)

    @property
    def counts(self) -> Counter[str]:
        """What was read, by room and outcome, and what was set aside, since the replay began."""
        counts = self._counted.copy()
        for room, task in self._tasks.items():
            counts.update({f"{room} {outcome}": count for outcome, count in task.outcomes().items()})
        return counts

    def begin(self, room: str, state: Recovered) -> None:
        """Let a room begin with a state; before its task is made."""
        self._kept[room] = state

    def task(self, room: Room[Any], partition: int, partitions: int, rules: TaskRules) -> PartitionTask[Any]:
        """The task of a room, with the state that the checkpoint has."""
        kept = self._kept.setdefault(room.name, Recovered())
        task = PartitionTask(room, partition, partitions, kept, rules)
        if self.folder is None:
            del self._kept[room.name]
        for noun in room.inputs:
            task.start_at(noun, task.positions.get(noun, 0))
        self._tasks[room.name] = task
        return task

    def feed(self, room: str, noun: str, rows: Rows) -> None:
        """Feed records of a derived input behind those that were fed before."""
        if rows:
            task = self._tasks[room]
            task.feed(as_batch(noun, task.partition, task.positions[noun], rows))

    def read(self, records: int) -> None:
        """Tell that records were read."""
        self._report(records)

    def flush(self, room: str) -> Mapping[str, Rows]:
        """Flush a task into the spool; returns noun -> records for whoever reads them in the same unit."""
        task = self._tasks[room]
        transaction = task.flush(0)
        found: dict[str, Rows] = {}
        if transaction is None:
            return found
        for (topic, target), writes in transaction.writes.items():
            if topic == state_topic(room):
                self._keep(room, writes)
            elif topic.endswith(DLQ_SUFFIX):
                self._counted[f"dead letters {NOUN_OF[topic.removesuffix(DLQ_SUFFIX)]}"] += len(writes)
            elif NOUN_OF[topic] in task.room.inputs:
                self._counted[f"on a wrong partition {NOUN_OF[topic]}"] += len(writes)
            elif not BY_NOUN[NOUN_OF[topic]].broadcast or target == 0:
                self.spool.write(NOUN_OF[topic], task.partition, writes)
                found.setdefault(NOUN_OF[topic], []).extend((key, value) for key, value, _ in writes)
        return found

    def _keep(self, room: str, writes: Iterable[Write]) -> None:
        """Fold what a flush wrote to the state topic into what the next checkpoint holds."""
        kept = self._kept.get(room)
        if kept is not None:
            for key, value, _ in writes:
                kept.apply(key, value)

    @property
    def pausing(self) -> bool:
        """True if :meth:`pause` would make a checkpoint now."""
        return self._stop() or (self.folder is not None and time.monotonic() >= self._due)

    def pause(self, positions: Callable[[], dict[str, int]]) -> None:
        """Between two steps, with everything flushed: make a checkpoint if one is due, leave if that is asked for."""
        stopping = self._stop()
        if self.folder is not None and (stopping or time.monotonic() >= self._due):
            started = time.monotonic()
            self.save(positions())
            self._due = time.monotonic() + max(EVERY_S, 10 * (time.monotonic() - started))
        if stopping:
            raise Stopped

    def save(self, positions: dict[str, int], done: bool = False) -> None:
        """Keep everything as it is."""
        self.positions, self.done = positions, done
        if self.folder is None or not isinstance(self.spool, FileSpool):
            return
        states = {} if done else {room: _pairs(kept) for room, kept in self._kept.items()}
        found = Stored(states, positions, self.spool.logs(), dict(self.counts), done)
        write_atomically(self.folder / CHECKPOINT, msgspec.msgpack.encode(found))
        if done:
            self.spool.close()


def stored(folder: Path | None) -> Stored | None:
    """The checkpoint in a folder, None if there is none."""
    path = folder / CHECKPOINT if folder is not None else None
    return msgspec.msgpack.decode(path.read_bytes(), type=Stored) if path is not None and path.exists() else None


def _pairs(kept: Recovered) -> list[tuple[bytes, bytes]]:
    """What would lie on the state topic."""
    meta = msgspec.json.encode(kept.meta)
    return [*((b"." + key, value) for key, value in kept.whole().items()), (META_KEY, meta)] if kept.meta else []
