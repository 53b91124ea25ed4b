"""Play a source through the pure rooms: the same input gives the same findings, byte for byte, however it is cut.

    front 0 .. n   join, experience   each customer partition by itself
    middle         detect             the counts of all partitions, in event time
    back 0 .. n    match, outreach    each customer partition by itself, along the marks of detect
    end            impact             the sums

The units of a phase share nothing, so they run in as many processes as there are; a phase begins when the one before
has ended. Nothing is sent, no topic or table is written: outreach says what would have been decided.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from schemas.errors import ConfigError
from schemas.rooms import BY_ROOM
from streams.replay.canonical import NOUNS, Row, canonical
from streams.replay.plan import NAMES, ROOMS, Job, Line, Worked, without_secrets, work
from streams.replay.processes import Processes
from streams.replay.snapshot import SnapshotFolder, SourceFromSnapshot
from streams.replay.source import MemorySource, Source
from streams.settings import Settings


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Progress:
    """How far a replay has come."""

    phase: str
    read: int
    """Records read in this phase."""
    total: int
    """Records there are to read in it; 0: unknown."""
    seconds: float
    """Since the phase began."""

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.read / self.seconds if self.seconds > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds until the phase ends, if that can be said."""
        return (self.total - self.read) / self.rate if self.total > self.read and self.rate > 0 else None


@dataclass(frozen=True)
class ReplayOptions:
    """How a replay works; none of it changes a finding, except ``rooms``, which leaves some out."""

    rooms: tuple[str, ...] = ROOMS
    processes: int = 1
    folder: Path | None = None
    """Where spools and checkpoints lie, so that it can be resumed; None: in memory, in this process."""
    watch: Callable[[Progress], None] | None = None
    stop: Callable[[], bool] = _never
    """Asked now and then; once it says so, everything is kept and Stopped is raised."""
    snapshot: Path | None = None
    """Folder of a snapshot to begin from; None: the rooms begin with nothing."""


@dataclass
class ReplayOutcome:
    """What a replay found."""

    line: Line
    counts: Counter[str] = field(default_factory=Counter)
    """What was read, by outcome and room, and what was set aside."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def nouns(self) -> tuple[str, ...]:
        """Kinds of findings that the rooms write."""
        return tuple(noun for noun in NOUNS if any(noun in BY_ROOM[room].outputs for room in self.line.rooms))

    def records(self, noun: str) -> Iterator[Row]:
        """Records as they were written, every revision, writer by writer in the order of writing."""
        for phase in NAMES:
            for partition in self.line.units(phase):
                for batch in self.line.spool(phase, partition).batches(noun, partition):
                    for value in filter(None, batch.values):
                        row: Row = msgspec.json.decode(value)
                        yield row

    def findings(self, noun: str) -> Iterator[Row]:
        """:meth:`records` without marks of progress."""
        return (row for row in self.records(noun) if row["kind"] == noun)

    def canonical(self, noun: str) -> list[bytes]:
        """Canonical lines of a kind of finding."""
        return canonical(noun, self.records(noun))


def replay(source: Source, settings: Settings, options: ReplayOptions | None = None) -> ReplayOutcome:
    """Play a source through the rooms. Raises ConfigError for rooms that are none, Stopped if it was told to stop.

    With a folder in which an earlier run was stopped, or killed, the work goes on where that one left it.
    """
    options = options or ReplayOptions()
    unknown = [room for room in options.rooms if room not in ROOMS]
    if unknown or not options.rooms:
        raise ConfigError(f"rooms: {', '.join(unknown) or 'none'}; allowed are {', '.join(ROOMS)}")
    if options.processes > 1 and options.folder is None:
        raise ConfigError("several processes need a folder to work in")
    if isinstance(source, MemorySource) and options.folder is not None:
        written = source.write(options.folder / "input")
        written.name, source = source.name, written
    begin = SnapshotFolder(options.snapshot) if options.snapshot is not None else None
    if begin is not None:
        source = SourceFromSnapshot(source, begin)
    line = Line(source, without_secrets(settings), options.rooms, options.folder, begin)
    outcome, started = ReplayOutcome(line), time.monotonic()
    with Processes(options.processes) if options.processes > 1 else nullcontext() as processes:
        for phase in NAMES:
            for worked in _work(line, phase, options, processes):
                outcome.counts.update(worked.counts)
                outcome.cpu_seconds += worked.cpu_s
    outcome.seconds = time.monotonic() - started
    return outcome


def _work(line: Line, phase: str, options: ReplayOptions, processes: Processes | None) -> list[Worked]:
    """Work off all units of a phase."""
    jobs = [Job(line, phase, partition) for partition in line.units(phase)]
    meter = _Meter(phase, _total(line, phase), options.watch)
    if processes is not None and len(jobs) > 1:
        return processes.work(jobs, meter.add, options.stop)
    return [work(job, meter.add, options.stop) for job in jobs]


def _total(line: Line, phase: str) -> int:
    """Records that a phase reads, as far as the source knows."""
    if phase != "front":
        return 0
    nouns = {noun for room in line.rooms_of(phase) for noun in BY_ROOM[room].inputs}
    return sum(line.source.records(noun, partition) for noun in nouns for partition in line.units(phase))


class _Meter:
    """Adds up what the units report."""

    def __init__(self, phase: str, total: int, watch: Callable[[Progress], None] | None) -> None:
        self.phase, self.total, self.watch = phase, total, watch
        self.read, self.started = 0, time.monotonic()

    def add(self, records: int) -> None:
        self.read += records
        if self.watch is not None:
            self.watch(Progress(self.phase, self.read, self.total, time.monotonic() - self.started))


def summary(outcome: ReplayOutcome) -> dict[str, Any]:
    """Counts for the manifest, by name in alphabetical order; zeros are left out."""
    return {name: count for name, count in sorted(outcome.counts.items()) if count}
