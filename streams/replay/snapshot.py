"""A snapshot: the states of all rooms of a line, and what lies between them, from which a replay goes on.

    snapshot.json            of every task: owner's epoch and flush, and the offsets that its state contains
    state/<room>-<n>.zst     the live pairs of its state topic
    topics/                  a recording: derived records that one room has written and the next has not read

States are read one after the other while the line goes on, so the set is made consistent afterwards. A room that reads
is taken before the room that writes for it. Then everything that the reader has read was written by then, and what it
has not read of it lies on the topic, up to the flush of the writer's state (its version is in every record's header):

    topic         r r r r | r r r r r | r r r ...
    reader's state contains |         | the writer's state was written in the same transaction as these
                            | in flight, kept |
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from schemas.errors import ConfigError, CxError
from schemas.rooms import ROOMS, RoomSpec
from schemas.topics import BY_NOUN
from streams.replay.lanes import Rows
from streams.replay.recording import Recording, RecordingWriter, write_atomically
from streams.replay.source import Source
from streams.runtime.batch import RawBatch
from streams.runtime.state import META_KEY, STATE_PREFIX, Recovered, version
from streams.sinks.rows import version_of
from streams.sources.zstandard import zstd

FORMAT = 1
MANIFEST = "snapshot.json"
TOPICS = "topics"
TAKEN: tuple[RoomSpec, ...] = tuple(room for room in reversed(ROOMS) if room.state and room.worker)
"""Rooms in the order in which their states are read: who reads before who writes."""
WRITERS: Mapping[str, str] = {
    noun: room.name for room in TAKEN for noun in room.outputs if any(noun in other.inputs for other in TAKEN)
}
"""Derived noun that another room reads -> the room that writes it."""

Read = Callable[[str, int, int], Iterator[RawBatch]]
"""Noun, partition, offset -> the records from there to the end."""


class SnapshotDamaged(CxError):
    """A snapshot cannot be read. The text names the file and what to do."""


class TaskState(msgspec.Struct, frozen=True):
    """One task at the moment of the snapshot. ``version``: that of the last flush; 0: it had none yet."""

    room: str
    partition: int
    version: int
    offsets: dict[str, int]


class SnapshotManifest(msgspec.Struct, frozen=True):
    """What a snapshot holds."""

    partitions: int
    tasks: list[TaskState]
    taken_at_ms: int
    """Wall time, ms since 1970 UTC."""
    topics: dict[str, str] = {}
    """Noun -> id of the topic that the offsets belong to."""
    format: int = FORMAT


def write_snapshot(
    folder: Path, partitions: int, states: Mapping[tuple[str, int], Recovered], read: Read, taken_at_ms: int,
    topics: Mapping[str, str] | None = None,
) -> SnapshotManifest:  # fmt: skip
    """Store states, which were read in the order of :data:`TAKEN`, with what is in flight between them."""
    (folder / "state").mkdir(parents=True, exist_ok=True)
    tasks = [_store(folder, room, number, found) for (room, number), found in states.items()]
    manifest = SnapshotManifest(partitions, tasks, taken_at_ms, dict(topics or {}))
    with RecordingWriter(folder / TOPICS, partitions, {"kind": "snapshot"}) as recording:
        for noun in WRITERS:
            for number in range(partitions if BY_NOUN[noun].partitioning == "customer" else 1):
                readers = [task for task in tasks if task.partition == number and noun in _inputs(task.room)]
                start = min(task.offsets.get(noun, 0) for task in readers)
                for batch in read(noun, number, start):
                    for row in _rows(batch):
                        if version_of(row[3]) <= version_at(manifest, noun, number, row[2]):
                            recording.log(noun, number).append(row[1], row[2], (), row[4], row[0])
    write_atomically(folder / MANIFEST, msgspec.json.encode(manifest))
    return manifest


def _store(folder: Path, room: str, partition: int, found: Recovered) -> TaskState:
    items = [(STATE_PREFIX + key, value) for key, value in found.whole().items()]
    meta = found.meta
    if meta is not None:
        items.append((META_KEY, msgspec.json.encode(meta)))
    write_atomically(_file(folder, room, partition), zstd.compress(msgspec.msgpack.encode(items)))
    last = version(meta.epoch, meta.flush) if meta is not None else 0
    return TaskState(room, partition, last, dict(meta.offsets) if meta is not None else {})


def _file(folder: Path, room: str, partition: int) -> Path:
    return folder / "state" / f"{room}-{partition}.zst"


def _inputs(room: str) -> tuple[str, ...]:
    return next(spec.inputs for spec in TAKEN if spec.name == room)


def version_at(snapshot: SnapshotManifest, noun: str, partition: int, value: bytes | None) -> int:
    """Version of the last flush that is in a snapshot, of the task that wrote a record to a topic partition."""
    room = next(spec for spec in TAKEN if noun in spec.outputs)
    if room.tasks == "one":
        partition = 0
    elif BY_NOUN[noun].partitioning == "one":
        partition = writer_of(value)
    return next(task.version for task in snapshot.tasks if (task.room, task.partition) == (room.name, partition))


class _Written(msgspec.Struct):
    partition: int = 0


def writer_of(value: bytes | None) -> int:
    """Partition of the task that wrote a record to a topic with a single partition, as the record says."""
    return msgspec.json.decode(value or b"{}", type=_Written).partition


def _rows(batch: RawBatch) -> Iterator[tuple[Any, ...]]:
    return zip(batch.offsets, batch.keys, batch.values, batch.headers, batch.timestamps, strict=True)


@dataclass(frozen=True)
class SnapshotFolder:
    """Reads a snapshot. It can be pickled."""

    folder: Path

    @cached_property
    def contents(self) -> SnapshotManifest:
        """The manifest. Raises SnapshotDamaged."""
        path = self.folder / MANIFEST
        try:
            found = msgspec.json.decode(path.read_bytes(), type=SnapshotManifest)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            raise SnapshotDamaged(f"{path} cannot be read: {self.folder} is no snapshot; take it again") from None
        if found.format != FORMAT:
            raise SnapshotDamaged(f"{path} is of format {found.format}, this build reads {FORMAT}")
        return found

    def offsets(self, room: str, partition: int) -> Mapping[str, int]:
        """Noun -> first offset that the state of a task does not contain."""
        found = [task for task in self.contents.tasks if (task.room, task.partition) == (room, partition)]
        return found[0].offsets if found else {}

    def state(self, room: str, partition: int) -> Recovered:
        """The state of a task. Raises SnapshotDamaged."""
        path = _file(self.folder, room, partition)
        found = Recovered()
        try:
            for key, value in msgspec.msgpack.decode(
                zstd.decompress(path.read_bytes()), type=list[tuple[bytes, bytes]]
            ):
                found.apply(key, value)
        except (OSError, zstd.ZstdError, msgspec.DecodeError):
            raise SnapshotDamaged(f"{path} is missing or damaged: copy the snapshot again, or take another") from None
        return found

    def in_flight(self, reader: str, noun: str, partition: int, writer: int | None = None) -> Rows:
        """Keys and values that a task had not read of a derived topic when the snapshot was taken.

        ``writer``: only those that this task wrote, on a topic with a single partition.
        """
        start = self.offsets(reader, partition).get(noun, 0)
        found = Recording(self.folder / TOPICS).batches(noun, partition, start)
        rows = [row for batch in found for row in zip(batch.keys, batch.values, strict=True)]
        return rows if writer is None else [row for row in rows if writer_of(row[1]) == writer]

    def start(self, noun: str, partition: int) -> int:
        """Offset from which a replay has to read a topic partition that comes from outside: the least of its readers.

        A room that has not flushed yet reads from the beginning.
        """
        readers = [one for one in self.contents.tasks if one.partition == partition and noun in _inputs(one.room)]
        return min((task.offsets.get(noun, 0) for task in readers), default=0)


@dataclass
class SourceFromSnapshot:
    """A source from where a snapshot was taken."""

    source: Source
    snapshot: SnapshotFolder

    def __post_init__(self) -> None:
        """Raises ConfigError if the two do not belong together."""
        self.name, self.kind, self.complete = self.source.name, self.source.kind, self.source.complete
        self.partitions = self.snapshot.contents.partitions
        if self.source.partitions != self.partitions:
            raise ConfigError(
                f"the snapshot is of {self.partitions} customer partitions, {self.name} has {self.source.partitions}"
            )

    def nouns(self) -> Collection[str]:
        """Nouns that hold records."""
        return self.source.nouns()

    def batches(self, noun: str, partition: int, start: int = 0) -> Iterator[RawBatch]:
        """What the snapshot's tasks have not all read."""
        return self.source.batches(noun, partition, max(start, self.snapshot.start(noun, partition)))

    def records(self, noun: str, partition: int) -> int:
        """For the progress only: what was read before counts too."""
        return self.source.records(noun, partition)

    def describe(self) -> dict[str, Any]:
        """As the source says, and where it begins."""
        taken = {"taken_at_ms": self.snapshot.contents.taken_at_ms, "offsets": {
            f"{task.room}-{task.partition}": task.offsets for task in self.snapshot.contents.tasks
        }}  # fmt: skip
        return {**self.source.describe(), "begins": "snapshot", "snapshot": taken}
