"""Any number of events into arrival order with bounded memory: sorted runs on disk, merged."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")
RUN_LENGTH = 200_000
"""Events kept in memory before a run is written: about 150 MB."""
RUN_BYTES = 64 * 1024 * 1024
"""The same for things of any size."""


class Sorter(Generic[T]):
    """Sorts what is added by ``key``; equal keys stay in the order of adding."""

    def __init__(
        self, kind: type[T], key: Callable[[T], int], run_length: int = RUN_LENGTH,
        size: Callable[[T], int] = lambda _: 0,
    ) -> None:
        """``kind`` is a type that msgspec can write and read; ``size`` gives the bytes of what may be large."""
        self._key = key
        self._length = run_length
        self._size = size
        self._bytes = 0
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._memory: list[T] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._runs: list[Path] = []

    def add(self, item: T) -> None:
        """Take one item."""
        self._memory.append(item)
        self._bytes += self._size(item)
        if len(self._memory) >= self._length or self._bytes >= RUN_BYTES:
            self._spill()
            self._bytes = 0

    def _spill(self) -> None:
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="cx-sort-")
        path = Path(self._folder.name) / str(len(self._runs))
        self._memory.sort(key=self._key)
        with path.open("wb") as run:
            for item in self._memory:
                packed = msgspec.msgpack.encode(item)
                run.write(len(packed).to_bytes(4, "big") + packed)
        self._runs.append(path)
        self._memory = []

    def sorted(self) -> Iterator[T]:
        """Everything, in order; once."""
        self._memory.sort(key=self._key)
        parts: list[Iterable[T]] = [self._read(run) for run in self._runs]
        yield from heapq.merge(*parts, self._memory, key=self._key)
        self.close()

    def _read(self, path: Path) -> Iterator[T]:
        with path.open("rb") as run:
            while head := run.read(4):
                yield self._decoder.decode(run.read(int.from_bytes(head, "big")))

    def close(self) -> None:
        """Remove the files."""
        if self._folder is not None:
            self._folder.cleanup()
        self._folder, self._runs, self._memory = None, [], []
