"""A recording: topics of some stretch of time as files, in a folder.

    manifest.json             what is in it: partitions, and for every log the index of its frames
    <noun>-<partition>.log.zst
                              frames, one after the other: each is one zstd frame that holds one Kafka record batch
                              (format 2, uncompressed), so ``zstdcat`` of a file gives what a broker keeps in a segment

Record batches are read by the same native code as fetches (``streams.runtime.bulk``): columns, without an object a
record. The index says for every frame which offsets it covers, the newest timestamp in it and where it begins, so that
reading starts at an offset or a time without reading what lies before. Offsets and timestamps (append time) are those
of the topic that was recorded. The same files serve as spool between the phases of a replay.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import msgspec
from aiokafka.errors import KafkaError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from schemas.errors import CxError
from streams.core.join.native import find
from streams.runtime.batch import Headers, RawBatch
from streams.sources.zstandard import zstd

FORMAT = 1
MANIFEST = "manifest.json"
FRAME_RECORDS = 16_384
FRAME_BYTES = 4 * 1024 * 1024
"""Most that a frame holds before it is compressed; a larger record has one of its own."""
LEVEL = 3
END_MS = 1 << 62
"""Later than every append time."""


class RecordingDamaged(CxError):
    """A file of a recording is missing, cut off or altered. The text names the file and what to do."""


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """One frame: offsets ``start`` to before ``next``; offsets without a record may lie in between."""

    start: int
    next: int
    newest_ms: int
    """Newest timestamp up to here, ms since 1970 UTC."""
    at: int
    """Position of its first byte in the file."""
    length: int
    """Bytes in the file."""
    records: int


class LogIndex(msgspec.Struct):
    """One topic partition."""

    noun: str
    partition: int
    frames: list[Frame] = []

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"{self.noun}-{self.partition}.log.zst"

    @property
    def records(self) -> int:
        """How many records it holds."""
        return sum(frame.records for frame in self.frames)

    @property
    def size(self) -> int:
        """Bytes of its file."""
        return self.frames[-1].at + self.frames[-1].length if self.frames else 0

    @property
    def start(self) -> int:
        """The first offset."""
        return self.frames[0].start if self.frames else 0

    @property
    def next(self) -> int:
        """The offset after the last."""
        return self.frames[-1].next if self.frames else 0


class RecordingManifest(msgspec.Struct):
    """The manifest of a recording."""

    partitions: int
    """Customer partitions of the line that was recorded."""
    logs: list[LogIndex]
    about: dict[str, Any] = {}
    """Where it comes from; no personal data."""
    pseudonymised: bool = False
    appended: bool = True
    """True if timestamps are append times; else nobody knows when a record was appended (``runtime.memory.FAR``)."""
    format: int = FORMAT


class LogWriter:
    """Writes one log. ``log`` is its index; what is in no frame yet is not in it."""

    def __init__(self, folder: Path, log: LogIndex) -> None:
        """Write on behind what the index knows (nothing: anew); bytes behind that are cut off."""
        self.log = log
        path = folder / log.file
        self._file: BinaryIO = path.open("r+b" if log.frames else "wb")
        self._file.truncate(log.size)
        self._file.seek(log.size)
        self._next, self._newest_ms = log.next, log.frames[-1].newest_ms if log.frames else 0
        self._builder: DefaultRecordBatchBuilder | None = None
        self._base = self._count = self._bytes = 0

    @property
    def next(self) -> int:
        """The offset after the last record that was appended."""
        return self._next

    def append(
        self, key: bytes | None, value: bytes | None, headers: Headers, stamp_ms: int, offset: int | None = None
    ) -> None:
        """Append a record at ``offset`` (None: the next one); offsets that are left out hold no record."""
        at = self._next if offset is None else offset
        weight = len(key or b"") + len(value or b"")
        if self._builder is None or self._count >= FRAME_RECORDS or self._bytes + weight > FRAME_BYTES:
            self.cut()
            self._base = at
            self._builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
        self._builder.append(at - self._base, stamp_ms, key, value, list(headers))
        self._count += 1
        self._bytes += weight
        self._next = at + 1
        self._newest_ms = max(self._newest_ms, stamp_ms)

    def add(self, batch: RawBatch) -> None:
        """Append a fetched batch at its own offsets; the range that it covers is kept."""
        rows = zip(batch.offsets, batch.keys, batch.values, batch.headers, batch.timestamps, strict=True)
        for offset, key, value, headers, stamp in rows:
            self.append(key, value, headers, stamp, offset)
        self._next = max(self._next, batch.next)

    def cut(self) -> None:
        """Close the frame: what was appended so far is in the file, and in the index."""
        start = self.log.next if self.log.frames else self._base
        if self._builder is not None:
            data = self._builder.build()
            data[:8] = self._base.to_bytes(8, "big")
            packed = zstd.compress(bytes(data), LEVEL)
            self.log.frames.append(
                Frame(start, self._next, self._newest_ms, self.log.size, len(packed), self._count)
            )
            self._file.write(packed)
            self._file.flush()
        self._builder, self._count, self._bytes = None, 0, 0

    def close(self) -> None:
        """Write what is left and close the file."""
        self.cut()
        self._file.close()


class RecordingWriter:
    """Writes a recording into a folder; ``with`` closes it. Without its manifest a folder is no recording."""

    def __init__(
        self, folder: Path, partitions: int, about: dict[str, Any] | None = None, appended: bool = True
    ) -> None:
        """Make the folder. Fields as :class:`RecordingManifest`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.contents = RecordingManifest(partitions, [], about or {}, appended=appended)
        self._writers: dict[tuple[str, int], LogWriter] = {}

    def log(self, noun: str, partition: int) -> LogWriter:
        """The writer of one topic partition."""
        key = (noun, partition)
        if key not in self._writers:
            log = LogIndex(noun, partition)
            self.contents.logs.append(log)
            self._writers[key] = LogWriter(self.folder, log)
        return self._writers[key]

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close()
        if error is None:
            write_atomically(self.folder / MANIFEST, msgspec.json.encode(self.contents))


class Recording:
    """Reads a recording."""

    def __init__(self, folder: Path) -> None:
        """Read the manifest. Raises RecordingDamaged if there is none, or none that this build reads."""
        self.folder = folder
        path = folder / MANIFEST
        try:
            self.contents = msgspec.json.decode(path.read_bytes(), type=RecordingManifest)
        except OSError:
            raise RecordingDamaged(
                f"{path} cannot be read: {folder} is no recording, or one that was not finished; record it again"
            ) from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise RecordingDamaged(f"{path} is damaged: copy the recording again from where it came") from None
        if self.contents.format != FORMAT:
            raise RecordingDamaged(f"{path} is of format {self.contents.format}, this build reads {FORMAT}")
        self._logs = {(log.noun, log.partition): log for log in self.contents.logs}

    def find(self, noun: str, partition: int) -> LogIndex | None:
        """The index of a log."""
        return self._logs.get((noun, partition))

    def batches(
        self, noun: str, partition: int, start: int = 0, from_ms: int = 0, to_ms: int = END_MS
    ) -> Iterator[RawBatch]:
        """The records of a log from ``start`` on, one batch a frame.

        ``from_ms`` and ``to_ms`` stand for the first offset that was appended at or after them, as a broker reads them.
        """
        log = self._logs.get((noun, partition))
        if log is not None:
            yield from read_log(self.folder, log, start, from_ms, to_ms)


def read_log(folder: Path, log: LogIndex, start: int = 0, from_ms: int = 0, to_ms: int = END_MS) -> Iterator[RawBatch]:
    """The records of a log as :meth:`Recording.batches`. Raises RecordingDamaged."""
    frames = log.frames
    first = max(
        bisect_left(frames, start + 1, key=lambda frame: frame.next),
        bisect_left(frames, from_ms, key=lambda frame: frame.newest_ms),
    )
    if first >= len(frames):
        return
    path = folder / log.file
    try:
        file = path.open("rb")
    except OSError:
        raise _damaged(path, "is missing") from None
    with file:
        if os.fstat(file.fileno()).st_size < log.size:
            raise _damaged(path, "is cut off")
        for frame in frames[first:]:
            batch = _since(_read(file, path, log, frame), start, from_ms)
            from_ms = 0 if len(batch) else from_ms
            late = _first_at(batch, to_ms) if frame.newest_ms >= to_ms else len(batch)
            if late < len(batch):
                yield batch.cut(0, late) if late else _nothing_of(batch)
                return
            yield batch


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file; whoever reads it sees the old bytes or the new ones."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _read(file: BinaryIO, path: Path, log: LogIndex, frame: Frame) -> RawBatch:
    file.seek(frame.at)
    try:
        data = zstd.decompress(file.read(frame.length))
    except zstd.ZstdError:
        raise _damaged(path, "is damaged") from None
    native = find()
    unpacked = native.unpack_records(data, frame.start, None, True) if native is not None else None
    if unpacked is None:
        return _unpack(data, path, log, frame)
    _, offsets, *columns = unpacked
    return RawBatch(log.noun, log.partition, frame.start, frame.next, _dense(offsets), *columns)


def _unpack(data: bytes, path: Path, log: LogIndex, frame: Frame) -> RawBatch:
    """Without native code: by aiokafka, an object a record."""
    try:
        batch = MemoryRecords(data).next_batch()
        found = list(batch) if batch is not None and batch.validate_crc() else []
    except (KafkaError, ValueError, IndexError):
        found = []
    if len(found) != frame.records:
        raise _damaged(path, "is damaged")
    return RawBatch(
        log.noun,
        log.partition,
        frame.start,
        frame.next,
        _dense([record.offset for record in found]),
        [record.key for record in found],
        [record.value for record in found],
        [record.headers for record in found],
        [record.timestamp for record in found],
    )


def _dense(offsets: Any) -> Any:
    """A range if every offset in between has a record."""
    dense = len(offsets) > 0 and offsets[-1] - offsets[0] + 1 == len(offsets)
    return range(offsets[0], offsets[-1] + 1) if dense else list(offsets)


def _since(batch: RawBatch, start: int, from_ms: int) -> RawBatch:
    """The part from an offset on, and from the first record on that was appended at or after ``from_ms``."""
    batch = batch.since(start)
    if not from_ms:
        return batch
    low = _first_at(batch, from_ms)
    return batch.since(batch.offsets[low]) if low < len(batch) else batch.since(batch.next)


def _first_at(batch: RawBatch, time_ms: int) -> int:
    """Index of the first record that was appended at or after a time."""
    return next((at for at, stamp in enumerate(batch.timestamps) if stamp >= time_ms), len(batch))


def _nothing_of(batch: RawBatch) -> RawBatch:
    return RawBatch(batch.topic, batch.partition, batch.start, batch.start, (), (), (), (), ())


def _damaged(path: Path, what: str) -> RecordingDamaged:
    return RecordingDamaged(
        f"{path} {what}: copy the recording again from where it came, or give --to a time before the damage"
    )


def copied(batches: Iterable[RawBatch], writer: LogWriter) -> int:
    """Write batches into a log; returns the number of records."""
    before = writer.log.records
    for batch in batches:
        writer.add(batch)
    writer.cut()
    return writer.log.records - before
