"""The front of a replay: join and experience of one customer partition, over the events as they were appended.

The input whose clock is furthest behind is read next, in stretches that are short enough to keep the inputs together;
findings do not depend on it, memory does. Recorded ticks are applied at exactly the offsets that they name.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from schemas.findings import Tick
from schemas.topics import BY_NOUN, MINUTE_MS
from streams.core.eventtime import MAX_ARRIVAL_MS
from streams.replay.source import Source
from streams.replay.unit import Unit
from streams.runtime.batch import RawBatch
from streams.runtime.limits import TaskRules
from streams.runtime.room import Room
from streams.runtime.task import PartitionTask

LEAST, MOST = 32, 16_384
"""Records of one stretch."""
AHEAD_MS = 2 * MINUTE_MS
"""An input that came so far ahead of the slowest one by a stretch is read in shorter ones."""
FLUSH_RECORDS, FLUSH_MS = 10_000, 30 * MINUTE_MS
"""A flush is due a minute of event time after the last one, once so much was read or so much time has passed."""
FLUSH_AT_MOST = 100_000
"""Records after which a flush is due in any case."""
SELDOM = 10
"""The rooms behind the first one work customers out anew at every flush, so they are flushed at every tenth only."""


@dataclass
class InputReader:
    """One input, read in stretches."""

    noun: str
    batches: Iterator[RawBatch]
    size: int = 256
    """Records of the next stretch."""
    rest: RawBatch | None = None
    ended: bool = False

    def next(self, until: int | None) -> RawBatch | None:
        """The next stretch, but nothing at or behind offset ``until``; None at the end, or where it stands there."""
        while self.rest is None and not self.ended:
            self.rest = next(self.batches, None)
            self.ended = self.rest is None
        rest = self.rest
        if rest is None or (until is not None and rest.start >= until):
            return None
        size = len(rest)
        stop = size if until is None or rest.next <= until else bisect_left(rest.offsets, until)
        high = min(self.size, stop)
        if high == size:
            self.rest = None
            return rest
        self.rest = replace(rest.cut(high, size), start=rest.offsets[high])
        return rest.cut(0, high)


@dataclass
class _Ticks:
    """Ticks of one task that are still to be applied."""

    task: PartitionTask[Any]
    nouns: tuple[str, ...]
    """Inputs at whose offsets they apply: those that are no derived ones, whose offsets are others in a replay."""
    left: list[Tick] = field(default_factory=list)

    def until(self, noun: str) -> int | None:
        """Offset at which an input has to wait for the others."""
        return self.left[0].offsets.get(noun) if self.left and noun in self.nouns else None

    def apply(self) -> None:
        """Apply those whose offsets were reached."""
        while self.left and all(self.task.positions[n] >= self.left[0].offsets.get(n, 0) for n in self.nouns):
            self.task.tick(self.left.pop(0).event_time_ms)


class Front:
    """One customer partition."""

    def __init__(
        self, unit: Unit, rooms: Sequence[Room[Any]], source: Source, partition: int, rules: TaskRules
    ) -> None:
        """``rooms``: join, experience, or one of them."""
        self.unit, self.source, self.partition = unit, source, partition
        self.tasks = {room.name: unit.task(room, partition, source.partitions, rules) for room in rooms}
        self.clock = next(iter(self.tasks.values()))
        """The task by whose clocks the inputs are kept together."""
        raw = dict.fromkeys(noun for room in rooms for noun in room.inputs if BY_NOUN[noun].writer == "companies")
        self.readers = {noun: InputReader(noun, self._batches(noun)) for noun in raw}
        self.ticks = self._recorded_ticks()
        self.names = tuple(self.tasks)
        self.flushed_ms = self.fed = self.flushes = 0

    def run(self) -> None:
        """Read everything."""
        while self._step():
            reached = self._watermark_ms()
            moved = reached - self.flushed_ms
            if self.fed >= FLUSH_AT_MOST or (moved >= MINUTE_MS and (self.fed >= FLUSH_RECORDS or moved >= FLUSH_MS)):
                self.flushed_ms, self.fed = reached, 0
                self._flush(self.names[:1])
                self.flushes += 1
                if self.flushes % SELDOM == 0 or self.unit.pausing:
                    self._flush(self.names)
                    self.unit.pause(self._positions)
        self._flush(self.names)
        self.unit.save(self._positions(), done=True)

    def _batches(self, noun: str) -> Iterator[RawBatch]:
        """An input, from the first offset on that a task has not seen."""
        seen = [task.positions[noun] for task in self.tasks.values() if noun in task.room.inputs]
        first = True
        for batch in self.source.batches(noun, self.partition, min(seen)):
            if first:
                self._begin(noun, batch.start)
                first = False
            yield batch

    def _begin(self, noun: str, start: int) -> None:
        """Nothing lies before the first batch of an input: it was not asked for, or deleted."""
        for task in self.tasks.values():
            if noun in task.room.inputs and task.positions[noun] < start:
                task.start_at(noun, start)

    def _step(self) -> bool:
        """Read one stretch of one input; False at the end of all."""
        for ticks in self.ticks:
            ticks.apply()
        order = sorted(self.readers, key=lambda noun: self.clock.newest.get(noun, 0))
        for noun in order:
            waits = [until for ticks in self.ticks if (until := ticks.until(noun)) is not None]
            reader = self.readers[noun]
            batch = reader.next(min(waits) if waits else None)
            if batch is not None:
                self._feed(noun, batch)
                others = [self.clock.newest.get(one, 0) for one in order if one != noun and not self.readers[one].ended]
                ahead = self.clock.newest.get(noun, 0) - min(others, default=MAX_ARRIVAL_MS) > AHEAD_MS
                reader.size = max(LEAST, reader.size // 2) if ahead else min(MOST, reader.size * 2)
                return True
        return self._pass_tick()

    def _pass_tick(self) -> bool:
        """Nothing can be read: apply the tick that waits for records which the source does not have."""
        for ticks in self.ticks:
            if ticks.left and not all(reader.ended for reader in self.readers.values()):
                ticks.task.tick(ticks.left.pop(0).event_time_ms)
                return True
        return False

    def _feed(self, noun: str, batch: RawBatch) -> None:
        for task in self.tasks.values():
            if noun in task.room.inputs:
                task.feed(batch)
        self.fed += len(batch)
        self.unit.read(len(batch))

    def _watermark_ms(self) -> int:
        """How far the slowest input has come; 0 before all of them were heard."""
        return min(self.clock.newest.get(noun, 0) for noun in self.readers)

    def _flush(self, names: Sequence[str]) -> None:
        """Flush these tasks, and hand what they wrote to the others that read it."""
        for name in names:
            found = self.unit.flush(name)
            for other, task in self.tasks.items():
                for noun in task.room.inputs:
                    self.unit.feed(other, noun, found.get(noun, []))

    def _positions(self) -> dict[str, int]:
        return {"flushed_ms": self.flushed_ms}

    def _recorded_ticks(self) -> list[_Ticks]:
        found: dict[str, list[Tick]] = {name: [] for name in self.tasks}
        if "tick" in self.source.nouns():
            for batch in self.source.batches("tick", self.partition):
                for value in filter(None, batch.values):
                    row = msgspec.json.decode(value)
                    if row.get("kind") == "tick" and row.get("room") in found:
                        found[row["room"]].append(Tick.model_validate(row))
        made = []
        for name, task in self.tasks.items():
            nouns = tuple(noun for noun in task.room.inputs if noun in self.readers)
            due = [t for t in found[name] if any(task.positions[n] <= t.offsets.get(n, 0) for n in nouns)]
            made.append(_Ticks(task, nouns, due))
        return made
