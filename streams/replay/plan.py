"""Who does what in a replay: the units of each phase, what each of them reads, and how one is worked off.

A job is what a process needs to work off one unit; it can be pickled.
"""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from schemas.rooms import BY_ROOM, RoomSpec
from schemas.rooms import ROOMS as ROOM_SPECS
from schemas.topics import DAY_MS
from streams.replay.acts import Act, acts_of
from streams.replay.back import Back
from streams.replay.front import Front
from streams.replay.lanes import Lane, Rows, as_batch
from streams.replay.middle import COUNTS, Middle, run_impact
from streams.replay.snapshot import WRITERS, SnapshotFolder, writer_of
from streams.replay.source import Source
from streams.replay.spool import FileSpool, MemorySpool, Spool
from streams.replay.unit import Report, Unit, stored
from streams.runtime.batch import RawBatch
from streams.runtime.limits import GC_THRESHOLDS, TaskRules
from streams.runtime.room import Room
from streams.settings import Settings

NAMES = ("front", "middle", "back", "end")
"""Names of the phases."""


def phases() -> tuple[tuple[str, ...], ...]:
    """Rooms by phase: each in the first that divides the work as it does and by which all that it reads is there."""
    found: list[list[RoomSpec]] = []
    for room in ROOM_SPECS:
        if not room.inputs or not room.worker:
            continue
        writers = [any(noun in one.outputs for noun in room.inputs) for rooms in found for one in rooms]
        numbers = [number for number, rooms in enumerate(found) for _ in rooms]
        reads = max((number for number, reads in zip(numbers, writers, strict=True) if reads), default=0)
        fits = [rooms for rooms in found[reads:] if rooms[0].key == room.key]
        if fits:
            fits[0].append(room)
        else:
            found.append([room])
    return tuple(tuple(room.name for room in rooms) for rooms in found)


PHASES = phases()
"""Rooms of each phase, in order; the rooms of a phase share the units."""
ROOMS = tuple(room for rooms in PHASES for room in rooms)


@dataclass
class Line:
    """A replay as all its units see it."""

    source: Source
    settings: Settings
    """Without secrets."""
    rooms: tuple[str, ...] = ROOMS
    folder: Path | None = None
    """Where spools and checkpoints lie; None: in memory, in this process."""
    snapshot: SnapshotFolder | None = None
    """Where all rooms begin; None: from nothing."""
    memory: dict[tuple[str, int], MemorySpool] = field(default_factory=dict)
    """(Phase, partition) -> its spool, without a folder."""

    @property
    def rules(self) -> TaskRules:
        """Knobs of the tasks. No key is read: every well-formed order counts."""
        return TaskRules(
            slice_events=self.settings.slice_events,
            max_event_bytes=self.settings.max_event_bytes,
            quarantine_future=self.settings.future_events == "quarantine",
        )

    def units(self, phase: str) -> list[int]:
        """Partitions of the units of a phase; none if none of its rooms is asked for."""
        rooms = self.rooms_of(phase)
        one = all(BY_ROOM[room].tasks == "one" for room in rooms)
        return list(range(1 if one else self.source.partitions)) if rooms else []

    def rooms_of(self, phase: str) -> list[str]:
        """The rooms of a phase that are asked for."""
        return [room for room in PHASES[NAMES.index(phase)] if room in self.rooms]

    def unit_folder(self, phase: str, partition: int) -> Path | None:
        """The folder of a unit."""
        return self.folder / f"{phase}-{partition}" if self.folder is not None else None

    def spool(self, phase: str, partition: int) -> Spool:
        """What a unit has written."""
        folder = self.unit_folder(phase, partition)
        if folder is None:
            return self.memory.setdefault((phase, partition), MemorySpool())
        found = stored(folder)
        return FileSpool(folder, found.logs if found else ())

    def batches(self, noun: str, partition: int, start: int = 0) -> Iterator[RawBatch]:
        """A derived noun: from the unit that writes it, or from the source if its room is not asked for.

        ``partition`` is that of the writer.
        """
        phase, wrote = next((phase, room) for phase, rooms in zip(NAMES, PHASES, strict=True) for room in rooms
                            if noun in BY_ROOM[room].outputs)  # fmt: skip
        if wrote in self.rooms:
            return self.spool(phase, partition).batches(noun, partition, start)
        if noun in (COUNTS, "affected_count"):
            return _written_by(self.source.batches(noun, 0, start), partition)
        return self.source.batches(noun, partition, start)

    def in_flight(self, reader: str, noun: str, partition: int, writer: int | None = None) -> Rows:
        """What a room had not read of a derived noun at the snapshot; nothing without one."""
        return self.snapshot.in_flight(reader, noun, partition, writer) if self.snapshot is not None else []

    def seen(self, room: str, partition: int) -> Mapping[str, int]:
        """Noun -> offset before which the state of a task contains everything."""
        return self.snapshot.offsets(room, partition) if self.snapshot is not None else {}

    def make(self, name: str) -> Room[Any]:
        """A room with its rules from the settings."""
        room: Room[Any] = import_module(f"streams.agents.{name}").room(self.settings)
        return room


@dataclass(frozen=True)
class Job:
    """One unit of a replay."""

    line: Line
    phase: str
    partition: int


@dataclass(frozen=True)
class Worked:
    """What is known of a unit that was worked off."""

    counts: Counter[str]
    cpu_s: float


def work(job: Job, report: Report, stop: Callable[[], bool]) -> Worked:
    """Work off a unit, or what its checkpoint leaves of it. Raises Stopped once ``stop`` says so."""
    line, phase, number = job.line, job.phase, job.partition
    started = time.process_time()
    unit = Unit(line.unit_folder(phase, number), report, stop)
    if isinstance(unit.spool, MemorySpool):
        line.memory[phase, number] = unit.spool
    if line.snapshot is not None and unit.fresh:
        for room in line.rooms_of(phase):
            unit.begin(room, line.snapshot.state(room, number))
    if not unit.done:
        with _collecting_seldom():
            _RUN[phase](line, unit, number)
    return Worked(unit.counts, time.process_time() - started)


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Look for garbage as seldom as a worker does: what lives long would be looked through again and again."""
    before = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def without_secrets(settings: Settings) -> Settings:
    """The settings as a replay may see them: no password, key or address of a channel."""
    secrets = {name: None for name in type(settings).model_fields if isinstance(getattr(settings, name), SecretStr)}
    return settings.model_copy(update=secrets)


def _front(line: Line, unit: Unit, number: int) -> None:
    front = Front(unit, [line.make(room) for room in line.rooms_of("front")], line.source, number, line.rules)
    for room in line.rooms_of("front") if unit.fresh else ():
        for noun in WRITERS.keys() & set(BY_ROOM[room].inputs):
            unit.feed(room, noun, line.in_flight(room, noun, number))
    front.run()


def _middle(line: Line, unit: Unit, number: int) -> None:
    del number
    partitions = line.source.partitions
    lanes = [
        _lane(line, unit, COUNTS, writer, str(writer), line.in_flight("detect", COUNTS, 0, writer))
        for writer in range(partitions)
    ]
    acts, stops = _acts(line, "detect", 0), set[int]()
    for partition in range(partitions):
        if "outreach" in line.rooms:
            stops.update(clock for act in _acts(line, "outreach", partition) for clock in act.clocks.values())
    stops.update(act.at_ms for act in acts)
    Middle(unit, line.make("detect"), lanes, acts, sorted(stops), partitions, line.rules).run()


def _back(line: Line, unit: Unit, number: int) -> None:
    readers = {"issue": "match", "episode": "match", "issue of outreach": "outreach", "steps": "outreach"}
    lanes = {}
    for name, reader in readers.items():
        noun = "episode" if name == "episode" else "issue"
        ahead = line.in_flight(reader, noun, number)
        lanes[name] = _lane(line, unit, noun, number if noun == "episode" else 0, name, ahead)
    ahead = line.in_flight("outreach", "affected", number)
    if "outreach" in line.rooms and ("match" not in line.rooms or ahead):
        alone = "match" in line.rooms
        lanes["affected"] = _lane(line, unit, "affected", number, "affected", ahead, alone)
    rooms = line.rooms_of("back")
    tasks = {room: unit.task(line.make(room), number, line.source.partitions, line.rules) for room in rooms}
    seen = {room: line.seen(room, number) for room in rooms}
    Back(unit, tasks, lanes, _acts(line, "outreach", number), seen).run()


def _end(line: Line, unit: Unit, number: int) -> None:
    del number
    partitions = line.source.partitions
    lanes = [
        _lane(line, unit, noun, writer, str(writer), line.in_flight("impact", noun, 0, writer))
        for noun in ("affected_count",)
        for writer in range(partitions)
    ]
    run_impact(unit, line.make("impact"), lanes, partitions, line.rules)


_RUN = {"front": _front, "middle": _middle, "back": _back, "end": _end}


def _lane(line: Line, unit: Unit, noun: str, writer: int, name: str, ahead: Rows, alone: bool = False) -> Lane:
    """A lane where the unit left it. ``ahead`` lies before the log, at offsets below 0; ``alone``: without the log."""
    start = unit.positions.get(f"lane {name}", -len(ahead))
    before = [as_batch(noun, writer, -len(ahead), ahead).since(start)] if start < 0 else []
    log = iter(()) if alone else line.batches(noun, writer, max(start, 0))
    lane = Lane(noun, chain(before, log), unit.positions.get(f"reached {name}", 0))
    lane.position = start
    return lane


def _acts(line: Line, room: str, partition: int) -> list[Act]:
    """What acts on arrival; a time long before the counts begin is no time to stop at."""
    firsts = []
    for writer in range(line.source.partitions):
        lane = Lane(COUNTS, line.batches(COUNTS, writer))
        lane.open()
        firsts.append(lane.target_ms)
    return acts_of(line.source, room, partition, max(0, min(firsts) - DAY_MS))


def _written_by(batches: Iterator[RawBatch], partition: int) -> Iterator[RawBatch]:
    """The records of one writer on a topic of a single partition."""
    for batch in batches:
        yield batch.pick([at for at, value in enumerate(batch.values) if writer_of(value) == partition])
