"""What a fetch becomes: the records of one topic partition as parallel lists, with the offset range they cover.

``start`` and ``next`` bound the range, not the first and last record: transaction markers, aborted records and
compacted offsets lie inside it and have no record. A reader that sees ``start`` beyond the position it expects has lost
a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Undecoded records of one topic partition, in offset order. All lists have the same length.

    They may be columns of the accelerator (``runtime.bulk``), which make their items only when they are asked for.
    """

    topic: str
    """The noun."""
    partition: int
    start: int
    """First offset of the range."""
    next: int
    """First offset after the range: where the reader stands once the batch is done."""
    offsets: Sequence[int]
    """Offset per record; a range object unless some offset in between has no record."""
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[Headers]
    timestamps: Sequence[int]
    """Broker timestamps, ms since 1970 UTC (append time on our topics)."""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def value_bytes(self) -> int:
        """Bytes of all values."""
        weight: int | None = getattr(self.values, "weight", None)
        return sum(map(len, filter(None, self.values))) if weight is None else weight

    @property
    def has_headers(self) -> bool:
        """True if any record has a header."""
        weight: int | None = getattr(self.headers, "weight", None)
        return any(self.headers) if weight is None else weight > 0

    def cut(self, low: int, high: int) -> RawBatch:
        """Records ``low`` to ``high`` (indexes) with the range that belongs to them.

        The first cut starts where the batch starts, the last ends where it ends, so cuts lie end to end.
        """
        size = len(self.values)
        return RawBatch(
            self.topic,
            self.partition,
            self.start if low == 0 else self.offsets[low],
            self.next if high >= size else self.offsets[high],
            self.offsets[low:high],
            self.keys[low:high],
            self.values[low:high],
            self.headers[low:high],
            self.timestamps[low:high],
        )

    def pick(self, index: Sequence[int]) -> RawBatch:
        """Records at some indexes, in order; the range stays."""
        columns: list[Sequence[Any]] = [self.offsets, self.keys, self.values, self.headers, self.timestamps]
        picked = ([column[at] for at in index] for column in columns)
        return RawBatch(self.topic, self.partition, self.start, self.next, *picked)

    def slices(self, size: int) -> Iterator[RawBatch]:
        """The batch in pieces of at most ``size`` records; one empty piece if it has none."""
        if len(self.values) <= size:
            yield self
            return
        for low in range(0, len(self.values), size):
            yield self.cut(low, low + size)

    def since(self, offset: int) -> RawBatch:
        """The part at or after ``offset``."""
        if offset <= self.start:
            return self
        low = next((index for index, seen in enumerate(self.offsets) if seen >= offset), len(self.values))
        return RawBatch(
            self.topic,
            self.partition,
            min(offset, self.next),
            self.next,
            self.offsets[low:],
            self.keys[low:],
            self.values[low:],
            self.headers[low:],
            self.timestamps[low:],
        )


def join_batches(parts: Sequence[RawBatch]) -> RawBatch:
    """One batch out of consecutive ones of the same topic partition."""
    if len(parts) == 1:
        return parts[0]
    first, last = parts[0], parts[-1]
    offsets: Sequence[int] = [offset for part in parts for offset in part.offsets]
    if offsets and offsets[-1] - offsets[0] + 1 == len(offsets):
        offsets = range(offsets[0], offsets[-1] + 1)
    return RawBatch(
        first.topic,
        first.partition,
        first.start,
        last.next,
        offsets,
        [key for part in parts for key in part.keys],
        [value for part in parts for value in part.values],
        [headers for part in parts for headers in part.headers],
        [stamp for part in parts for stamp in part.timestamps],
    )
