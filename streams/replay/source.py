"""Where a replay reads: the same shape for live topics, recordings, files behind a mapping and made-up companies."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from schemas.events import HEARTBEAT_KEY
from schemas.partition import partition_of
from schemas.topics import BY_NOUN, EVENT_NOUNS
from streams.replay.recording import END_MS, MANIFEST, Recording, RecordingWriter
from streams.runtime.batch import RawBatch
from streams.runtime.memory import FAR
from streams.sources.arrivals import Arrival

SourceKind = Literal["live", "recording", "mapping", "simulation", "world"]
BATCH = 16_384
"""Most records of one batch out of memory."""


class Source(Protocol):
    """What a replay reads. It can be pickled, and gives the same batches every time, in every process."""

    @property
    def name(self) -> str:
        """How it was asked for."""

    @property
    def kind(self) -> SourceKind:
        """What it is."""

    @property
    def partitions(self) -> int:
        """Customer partitions."""

    @property
    def complete(self) -> bool:
        """True if a line has read it: records that lay on a wrong partition are there a second time, on the right one.

        Otherwise the replay brings them there itself.
        """

    def nouns(self) -> Collection[str]:
        """Nouns that hold records."""

    def batches(self, noun: str, partition: int, start: int = 0) -> Iterator[RawBatch]:
        """The records of a topic partition from offset ``start`` on, with offsets and append times, end to end."""

    def records(self, noun: str, partition: int) -> int:
        """About how many records :meth:`batches` gives; for the progress only."""

    def describe(self) -> dict[str, Any]:
        """For the manifest: topics, offsets, hashes; no secret and nothing about a person."""


@dataclass
class RecordingSource:
    """A recording, or a stretch of it: ``from_ms`` and ``to_ms`` are append times."""

    folder: Path
    from_ms: int = 0
    to_ms: int = END_MS

    def __post_init__(self) -> None:
        """Read the manifest. Raises RecordingDamaged."""
        self._recording = Recording(self.folder)
        self.name, self.partitions = self.folder.name, self._recording.contents.partitions
        about = self._recording.contents.about
        self.complete = bool(about.get("complete", True))
        self.kind: SourceKind = about.get("kind", "recording")
        self.appended = self._recording.contents.appended

    def nouns(self) -> Collection[str]:
        """Nouns that hold records."""
        return {log.noun for log in self._recording.contents.logs if log.frames}

    def batches(self, noun: str, partition: int, start: int = 0) -> Iterator[RawBatch]:
        """See :class:`Source`. What holds until it is replaced is read from its beginning on."""
        from_ms = self.from_ms if noun in EVENT_NOUNS else 0
        return self._recording.batches(noun, partition, start, from_ms, self.to_ms)

    def records(self, noun: str, partition: int) -> int:
        """What the index says, without the window."""
        log = self._recording.find(noun, partition)
        return log.records if log else 0

    def describe(self) -> dict[str, Any]:
        """Offsets per topic partition, and the hash of the recording's manifest, which holds all others."""
        contents = self._recording.contents
        return {
            "kind": self.kind,
            "name": self.name,
            "sha256": hashlib.sha256((self.folder / MANIFEST).read_bytes()).hexdigest(),
            "offsets": {f"{log.noun}-{log.partition}": [log.start, log.next] for log in contents.logs if log.frames},
            "pseudonymised": contents.pseudonymised,
            "about": contents.about,
        }


@dataclass
class MemoryLog:
    """One topic partition in memory; offsets from 0 on."""

    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)


@dataclass
class MemorySource:
    """Messages that were made for this replay, in memory."""

    name: str
    kind: SourceKind
    partitions: int
    logs: dict[tuple[str, int], MemoryLog] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    complete: bool = False
    appended: bool = False
    """True if the times of its records are append times; else nobody knows when they were appended."""

    def nouns(self) -> Collection[str]:
        """Nouns that hold records."""
        return {noun for noun, _ in self.logs}

    def batches(self, noun: str, partition: int, start: int = 0) -> Iterator[RawBatch]:
        """See :class:`Source`."""
        log = self.logs.get((noun, partition), MemoryLog())
        for low in range(start, len(log.values), BATCH):
            high = min(low + BATCH, len(log.values))
            yield RawBatch(
                noun, partition, low, high, range(low, high), log.keys[low:high], log.values[low:high],
                [()] * (high - low), log.stamps[low:high],
            )  # fmt: skip

    def records(self, noun: str, partition: int) -> int:
        """How many there are."""
        log = self.logs.get((noun, partition))
        return len(log.values) if log else 0

    def describe(self) -> dict[str, Any]:
        """Offsets and hashes per topic partition."""
        return {
            "kind": self.kind,
            "name": self.name,
            "offsets": {f"{noun}-{p}": [0, len(log.values)] for (noun, p), log in sorted(self.logs.items())},
            "sha256": {f"{noun}-{p}": _hash(log) for (noun, p), log in sorted(self.logs.items())},
            "about": self.about,
        }

    def write(self, folder: Path) -> RecordingSource:
        """The same as a recording, for several processes."""
        about = {"kind": self.kind, "complete": self.complete, **self.about}
        with RecordingWriter(folder, self.partitions, about, self.appended) as writer:
            for (noun, partition), log in sorted(self.logs.items()):
                into = writer.log(noun, partition)
                for key, value, stamp in zip(log.keys, log.values, log.stamps, strict=True):
                    into.append(key, value, (), stamp)
        return RecordingSource(folder)


def from_arrivals(
    name: str, kind: SourceKind, arrivals: Iterable[Arrival], partitions: int, appended: bool = False
) -> MemorySource:
    """Messages on their way into topics, as a producer would write them; dead letters are left out.

    ``appended``: the broker gives each the time of its arrival; else nothing is ahead of its append time, as when a
    past is played now.
    """
    made = MemorySource(name, kind, partitions, appended=appended)
    for arrival in arrivals:
        if arrival.headers:
            continue
        for target in targets(arrival, partitions):
            log = made.logs.setdefault((arrival.noun, target), MemoryLog())
            log.keys.append(arrival.key)
            log.values.append(arrival.value)
            log.stamps.append(arrival.at_ms if appended else FAR)
    return made


def targets(arrival: Arrival, partitions: int) -> Sequence[int]:
    """The partitions that a message is written to."""
    topic = BY_NOUN[arrival.noun]
    count = partitions if topic.partitioning == "customer" else 1
    if arrival.partition is not None:
        return (arrival.partition,)
    if topic.broadcast or arrival.key == HEARTBEAT_KEY:
        return range(count)
    return (0,) if count == 1 else (partition_of(arrival.key or b"", partitions),)


def _hash(log: MemoryLog) -> str:
    digest = hashlib.sha256()
    for key, value in zip(log.keys, log.values, strict=True):
        for part in (key, value):
            digest.update(b"-" if part is None else b"%d:" % len(part) + part)
    return digest.hexdigest()
