"""Where the live line fed the records that act when they arrive: the cuts that its rooms recorded.

A cut says which slices of an input were fed and how far the room's clocks had come. Derived topics have other offsets
in a replay than in the live run (its flushes fall elsewhere), event time is the same in both, so that is what a replay
goes by. Orders that were not let in are left out: a replay has no keys to judge them.

    live     ....... 12:04 | profile, order | 12:05 .......     cut: customer [17, 18), command [3, 4) at 12:04
    replay   . 12:03 . 12:04 (exactly)  profile, order  ...

What lies before the first cut of an input was read by a version without cuts, what lies behind the last was not read
yet: both are left to whoever asks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from schemas.codec import decode
from schemas.findings import Cut
from streams.runtime.batch import Headers, RawBatch

Row = tuple[int, bytes | None, bytes | None, Headers, int]
"""Offset, key, value, headers, append time."""
TICKS = "tick"
END = 1 << 62
"""Behind every offset."""


class Logs(Protocol):
    """What is needed of a source."""

    def nouns(self) -> Collection[str]:
        """Nouns that hold records."""

    def batches(self, noun: str, partition: int, start: int = 0) -> Iterator[RawBatch]:
        """The records of a topic partition from an offset on."""


@dataclass(frozen=True)
class CutSlice:
    """One slice that the live room was fed with, and its clocks at that moment."""

    batch: RawBatch
    clocks: Mapping[str, int]
    """Noun of an input with a clock -> event time, ms since 1970 UTC; 0: nothing was read yet."""


@dataclass
class Anchored:
    """What the cuts of one task say."""

    slices: list[CutSlice] = field(default_factory=list)
    """In the order in which they were fed; empty ones, and those of which nothing was let in, are left out."""
    covered: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Noun -> offsets that the cuts tell of: from, to before."""

    def before(self, source: Logs) -> Logs:
        """What was read before there were cuts."""
        return _Part(source, {noun: (0, first) for noun, (first, _) in self.covered.items()})

    def behind(self, source: Logs) -> Logs:
        """What was not read yet, or never."""
        return _Part(source, {noun: (next_, END) for noun, (_, next_) in self.covered.items()}, whole=True)


@dataclass(frozen=True)
class _Part:
    """A stretch of some logs; of the others everything (``whole``) or nothing."""

    source: Logs
    stretches: Mapping[str, tuple[int, int]]
    whole: bool = False

    def nouns(self) -> Collection[str]:
        return self.source.nouns() if self.whole else self.stretches.keys()

    def batches(self, noun: str, partition: int, start: int = 0) -> Iterator[RawBatch]:
        first, stop = self.stretches.get(noun, (0, END if self.whole else 0))
        for batch in self.source.batches(noun, partition, max(first, start)) if first < stop else ():
            rows = [row for row in _rows(batch) if first <= row[0] < stop]
            if rows:
                yield _batch(noun, partition, rows[0][0], rows[-1][0] + 1, rows)
            if batch.next >= stop:
                return


def cuts_of(source: Logs, room: str, partition: int) -> list[Cut]:
    """The cuts of one task, as they were recorded; none if the source has none."""
    if TICKS not in source.nouns():
        return []
    found: list[Cut] = []
    for batch in source.batches(TICKS, partition):
        records = decode(TICKS, batch.values, batch.keys, batch.headers).records
        found += [one for one in records if isinstance(one, Cut) and (one.room, one.partition) == (room, partition)]
    return found


def anchored(source: Logs, room: str, partition: int) -> Anchored | None:
    """What acts on arrival in a task, slice by slice; None if nothing was recorded about it."""
    cuts = cuts_of(source, room, partition)
    if not cuts:
        return None
    found = Anchored()
    readers: dict[str, _Rows] = {}
    for cut in cuts:
        noun, start = cut.topic, cut.offsets.get(cut.topic, 0)
        first, until = found.covered.get(noun, (start, start))
        found.covered[noun] = (first, max(until, cut.steps[-1]))
        if noun not in readers:
            readers[noun] = _Rows(source.batches(noun, partition, start))
        start = until  # what a version without cuts fed in between goes with the next slice
        refused = frozenset(cut.refused)
        for step in cut.steps:
            rows = [row for row in readers[noun].between(start, step) if row[0] not in refused]
            if rows:
                found.slices.append(CutSlice(_batch(noun, partition, start, step, rows), cut.clocks))
            start = step
    return found


class _Rows:
    """The records of a log, handed out up to one offset after the other."""

    def __init__(self, batches: Iterable[RawBatch]) -> None:
        self._rows = (row for batch in batches for row in _rows(batch))
        self._next = next(self._rows, None)

    def between(self, start: int, stop: int) -> list[Row]:
        """Those at offsets from ``start`` to before ``stop``; what lies before ``start`` is dropped."""
        found: list[Row] = []
        while self._next is not None and self._next[0] < stop:
            if self._next[0] >= start:
                found.append(self._next)
            self._next = next(self._rows, None)
        return found


def _rows(batch: RawBatch) -> Iterator[Row]:
    return zip(batch.offsets, batch.keys, batch.values, batch.headers, batch.timestamps, strict=True)


def _batch(noun: str, partition: int, start: int, stop: int, rows: list[Row]) -> RawBatch:
    columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
    return RawBatch(noun, partition, start, stop, *columns)
