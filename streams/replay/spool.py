"""What the units of a replay hand on to each other: derived records by noun and the partition of their writer.

In memory for a small replay in one process; in files, in the format of a recording, where several processes work or
where the run can be resumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from streams.replay.lanes import as_batch
from streams.replay.recording import LogIndex, LogWriter, read_log
from streams.runtime.batch import RawBatch
from streams.runtime.memory import FAR
from streams.runtime.transaction import Write

STRETCH = 16_384
"""Most records of a batch out of memory."""


class Spool(Protocol):
    """Logs that are written once and then read."""

    def write(self, noun: str, partition: int, rows: Sequence[Write]) -> None:
        """Append records."""

    def batches(self, noun: str, partition: int, start: int = 0) -> Iterator[RawBatch]:
        """What was appended, from an offset on."""

    def size(self, noun: str, partition: int) -> int:
        """Offset of the next record."""


class MemorySpool:
    """Logs in memory."""

    def __init__(self) -> None:
        """Start empty."""
        self._logs: dict[tuple[str, int], list[tuple[bytes | None, bytes | None]]] = {}

    def write(self, noun: str, partition: int, rows: Sequence[Write]) -> None:
        """Append records."""
        log = self._logs.setdefault((noun, partition), [])
        log.extend((key, value) for key, value, _ in rows)

    def batches(self, noun: str, partition: int, start: int = 0) -> Iterator[RawBatch]:
        """What was appended, from an offset on."""
        log = self._logs.get((noun, partition), [])
        for low in range(start, len(log), STRETCH):
            yield as_batch(noun, partition, low, log[low : low + STRETCH])

    def size(self, noun: str, partition: int) -> int:
        """Offset of the next record."""
        return len(self._logs.get((noun, partition), ()))


class FileSpool:
    """Logs of one unit of work in a folder of its own."""

    def __init__(self, folder: Path, logs: Sequence[LogIndex] = ()) -> None:
        """Go on behind what ``logs`` say."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._logs = {(log.noun, log.partition): log for log in logs}
        self._writers: dict[tuple[str, int], LogWriter] = {}

    def write(self, noun: str, partition: int, rows: Sequence[Write]) -> None:
        """Append records."""
        writer = self._writer(noun, partition)
        for key, value, _ in rows:
            writer.append(key, value, (), FAR)

    def batches(self, noun: str, partition: int, start: int = 0) -> Iterator[RawBatch]:
        """What was appended, from an offset on; what is in no frame yet as well."""
        writer = self._writers.get((noun, partition))
        if writer is not None:
            writer.cut()
        log = self._logs.get((noun, partition))
        return iter(()) if log is None else read_log(self.folder, log, start)

    def size(self, noun: str, partition: int) -> int:
        """Offset of the next record."""
        writer = self._writers.get((noun, partition))
        log = self._logs.get((noun, partition))
        return writer.next if writer else log.next if log else 0

    def logs(self) -> list[LogIndex]:
        """The index of everything that was written, which is in the files from here on."""
        for writer in self._writers.values():
            writer.cut()
        return list(self._logs.values())

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _writer(self, noun: str, partition: int) -> LogWriter:
        key = (noun, partition)
        if key not in self._writers:
            log = self._logs.setdefault(key, LogIndex(noun, partition))
            self._writers[key] = LogWriter(self.folder, log)
        return self._writers[key]
