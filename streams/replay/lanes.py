"""A derived input with marks, fed exactly up to a moment of event time.

A room says with a mark (``BinClosed`` or ``Watermark``) how far everything that it wrote so far reaches. What lies
between two marks is a segment; its records are fed first, its mark only when its time has come. A mark that goes beyond
the time that is wanted is fed as a copy that stops there:

    log     r r r mark 12:04   r r mark 12:06
    to 12:05                   r r mark 12:05 (copy)
    to 12:06                       mark 12:06

The room at the other end gets what a live one gets whose flushes happened to fall there, so it can be led to any
moment. Offsets are those of the lane, counted as it is fed.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from streams.runtime.batch import RawBatch
from streams.runtime.memory import FAR

MARKS = (b'{"kind":"bin_closed"', b'{"kind":"watermark"')
"""How the value of a mark begins."""
Rows = list[tuple[bytes | None, bytes | None]]
"""Keys and values."""


class _Through(msgspec.Struct):
    through_ms: int


class Lane:
    """One log of a derived noun, read once. Not thread-safe."""

    def __init__(self, noun: str, batches: Iterator[RawBatch], reached_ms: int = 0) -> None:
        """Read ``batches``; ``reached_ms``: the newest mark that was fed before (a copy, too)."""
        self.noun = noun
        self.reached_ms = reached_ms
        """Event time of the newest mark that was fed."""
        self.position = 0
        """Offset in the log of the first record that has to be read again to go on from here."""
        self._batches = batches
        self._rows: Iterator[tuple[int, bytes | None, bytes | None]] = iter(())
        self._mark: tuple[bytes | None, bytes, int] | None = None
        """Key, value and time of the mark that is waiting."""
        self.ended = False

    @property
    def target_ms(self) -> int:
        """How far the segment that was opened reaches; where the lane has ended, how far it was fed."""
        return self.reached_ms if self._mark is None else self._mark[2]

    def open(self) -> Rows:
        """The records of the next segment, without its mark, which waits; nothing while one is waiting.

        Marks that lie behind what was fed already are left out.
        """
        found: Rows = []
        while self._mark is None and not self.ended:
            row = self._next()
            if row is None:
                self.ended = True
                break
            offset, key, value = row
            if value is not None and value.startswith(MARKS):
                through_ms = msgspec.json.decode(value, type=_Through).through_ms
                if through_ms > self.reached_ms:
                    self._mark = (key, value, through_ms)
                    self.position = offset
                    break
            else:
                found.append((key, value))
            self.position = offset + 1
        return found

    def mark(self, time_ms: int) -> Rows:
        """The mark that waits, or a copy that stops at ``time_ms``; nothing if the lane is as far already."""
        if self._mark is None or time_ms <= self.reached_ms:
            return []
        key, value, through_ms = self._mark
        if through_ms > time_ms:
            self.reached_ms = time_ms
            return [(key, _stopped(value, time_ms))]
        self.reached_ms, self._mark = through_ms, None
        self.position += 1
        return [(key, value)]

    def to(self, time_ms: int) -> Rows:
        """Everything up to the first mark at or after ``time_ms``, and the mark no further than that."""
        found: Rows = []
        while self.reached_ms < time_ms and not self.ended:
            found += self.open()
            found += self.mark(time_ms)
        return found

    def rest(self) -> Rows:
        """Everything that is left."""
        found = self.open()
        while self._mark is not None:
            found += self.mark(self._mark[2])
            found += self.open()
        return found

    def _next(self) -> tuple[int, bytes | None, bytes | None] | None:
        while True:
            row = next(self._rows, None)
            if row is not None:
                return row
            batch = next(self._batches, None)
            if batch is None:
                return None
            self._rows = zip(batch.offsets, batch.keys, batch.values, strict=True)


def as_batch(noun: str, partition: int, start: int, rows: Rows) -> RawBatch:
    """Rows at the offsets from ``start`` on; nobody knows when they were appended."""
    size = len(rows)
    keys, values = [key for key, _ in rows], [value for _, value in rows]
    offsets = range(start, start + size)
    return RawBatch(noun, partition, start, start + size, offsets, keys, values, [()] * size, [FAR] * size)


def _stopped(value: bytes, time_ms: int) -> bytes:
    """The mark, no further than ``time_ms``."""
    return msgspec.json.encode(msgspec.json.decode(value) | {"through_ms": time_ms})
