"""Exact-enough memory of what was seen: 64-bit hashes in buckets of event time, 8 bytes each once at rest.

An event is a duplicate if its topic's bucket (minute of its event time, in its partition) holds the hash of its id.
The hash is ``xxh3_64(event id, seed = xxh3_64(customer id))``: ids have to be unique per customer and minute only, so
two customers whose producers count from 1 do not shadow each other, on any number of partitions.

Odds. A new event is wrongly taken for a duplicate if its hash equals one of the n in its bucket: n / 2**64. Over a full
bucket that is about n**2 / 2**65 (birthday bound). At 10,000 events a minute: 2.7e-12 a minute, 1.4e-6 a year (525,600
buckets). At 1,000,000 a minute in one partition: 2.7e-8 a minute, 1.4 % a year, for the loss of one event. The hash is
not cryptographic: who can forge ids can have their own events dropped, nobody else's (the customer is the seed).

Memory. Persisted: 8 bytes per event plus one key per chunk. In memory: 8 to 9 bytes per event in buckets that the
stream has left (a sorted array, searched by bisection), about 100 bytes in the one or two minutes that are being filled
(a set, for speed, and the log of what is not yet persisted). Horizon = the topic's lateness bound; older events are
refused before they get here.

State. Each bucket is an append-only log, persisted as slices: key = (bucket, start), value = the slice, 8 bytes little
endian per hash. A drain writes only what was added since the last one; slices of similar size are joined (as in a
binary counter) so that a bucket of n hashes has about log2(n) + n / 32,768 keys at most, each hash is rewritten about
1.7 log2(n) times at most, and no value exceeds 256 KiB.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator

import numpy as np
import xxhash
from numpy.typing import NDArray

CHUNK = 32_768
"""Most hashes in one persisted slice."""

REST_WORTH = 16
"""A bucket at rest is sorted again once more than a 16th of it was added by stragglers."""

Change = tuple[tuple[int, int], bytes | None]
"""((bucket start in ms, first index of the slice), the slice or None to delete it)."""


def customer_hash(customer_id: str) -> int:
    """Return the unsigned 64-bit xxh3 of the UTF-8 id: how a customer is named in counts."""
    return xxhash.xxh3_64_intdigest(customer_id.encode())


def event_hash(event_id: str, customer: int) -> int:
    """Return the unsigned 64-bit hash of an event id, seeded with its customer's hash."""
    return xxhash.xxh3_64_intdigest(event_id.encode(), customer)


class Bucket:
    """The hashes of one stretch of event time.

    A hot loop may test and fill ``recent`` and ``log`` itself (always both), if it asks ``in bucket`` too while
    ``rested`` is true.
    """

    __slots__ = ("_rest", "_runs", "_slices", "_sorted", "_written", "log", "recent")

    def __init__(self, slices: dict[int, bytes] | None = None) -> None:
        """Start empty, or from persisted slices (first index -> bytes), in any order."""
        self.recent: set[int] = set()
        self._rest = array("Q")  # at rest: sorted
        self.log = array("Q")  # in the order of arrival, from index len(_rest) on
        self._slices: list[int] = []  # first indexes of persisted slices of the log
        self._written = 0
        self._runs: list[array[int]] = []  # the log up to index _sorted, for who asks by order
        self._sorted = 0
        if slices:
            joined = b"".join(slices[start] for start in sorted(slices))
            self._rest = _sorted(joined)
            self._slices = sorted(slices)
            self._written = len(self._rest)

    def __len__(self) -> int:
        """Return how many hashes are remembered."""
        return len(self._rest) + len(self.log)

    @property
    def rested(self) -> bool:
        """True if some hashes are in the compact form and therefore not in ``recent``."""
        return bool(self._rest)

    def __contains__(self, item: int) -> bool:
        """Tell whether a hash is remembered."""
        if item in self.recent:
            return True
        rest = self._rest
        index = bisect_left(rest, item) if rest else 0
        return index < len(rest) and rest[index] == item

    def first(self, low: int, high: int, counts: Callable[[int], bool]) -> int | None:
        """Return the smallest item from ``low`` to ``high`` that counts, None if there is none.

        What was added since the last question is sorted once, into runs whose sizes grow as in a binary counter.
        """
        self._sort()
        found = (_first(run, low, high, counts) for run in (self._rest, *self._runs))
        return min((item for item in found if item is not None), default=None)

    def _sort(self) -> None:
        if self._sorted == len(self.log):
            return
        fresh = _sorted(_little_endian(self.log[self._sorted :]))
        while self._runs and len(self._runs[-1]) <= 2 * len(fresh):
            fresh = _sorted(_little_endian(self._runs.pop()) + _little_endian(fresh))
        self._runs.append(fresh)
        self._sorted = len(self.log)

    def add(self, item: int) -> bool:
        """Remember a hash; return False if it was remembered already."""
        if item in self:
            return False
        self.recent.add(item)
        self.log.append(item)
        return True

    def items(self) -> NDArray[np.uint64]:
        """Return all hashes, sorted."""
        return np.sort(np.frombuffer(_little_endian(self._rest) + _little_endian(self.log), dtype="<u8"))

    def extend(self, items: NDArray[np.uint64]) -> None:
        """Remember hashes that are not remembered."""
        self.log.frombytes(items.astype(np.uint64).tobytes())
        self.recent.update(items.tolist())

    def dirty(self) -> bool:
        """Tell whether something was added since the last drain."""
        return len(self) > self._written

    def drain(self) -> Iterator[tuple[int, bytes | None]]:
        """Yield (first index, slice or None) for every persisted slice that changed, and count it as written."""
        base, end = len(self._rest), len(self)
        start = self._written
        obsolete = []
        # only slices that lie in the log can be rewritten: what is at rest has lost its order
        while self._slices and self._slices[-1] >= base:
            previous = self._slices[-1]
            if start - previous >= 2 * (end - start) or end - previous > CHUNK:
                break
            if start != self._written:
                obsolete.append(start)
            start = self._slices.pop()
        for first in range(start, end, CHUNK):
            self._slices.append(first)
            yield first, _little_endian(self.log[first - base : min(first + CHUNK, end) - base])
        yield from ((first, None) for first in obsolete)
        self._written = end

    def rest(self) -> None:
        """Sort everything into the compact form, if it is drained and if enough was added to be worth it."""
        if len(self.log) * REST_WORTH > len(self._rest) and not self.dirty():
            self._rest = _sorted(_little_endian(self._rest) + _little_endian(self.log))
            self.log = array("Q")
            self.recent = set()
            self._runs, self._sorted = [], 0

    def starts(self) -> list[int]:
        """Return the first index of every persisted slice."""
        return list(self._slices)


class Memory:
    """Buckets of ``width_ms`` of event time. One per topic and partition."""

    __slots__ = ("_dropped", "_fresh", "_touched", "buckets", "width_ms")

    def __init__(self, width_ms: int) -> None:
        """Start empty."""
        self.width_ms = width_ms
        self.buckets: dict[int, Bucket] = {}
        self._touched: set[int] = set()
        self._fresh: set[int] = set()
        self._dropped: list[Change] = []

    def __len__(self) -> int:
        """Return how many hashes are remembered."""
        return sum(map(len, self.buckets.values()))

    def bucket(self, start_ms: int) -> Bucket:
        """Return the bucket that starts at ``start_ms`` (aligned) for adding to it."""
        found = self.buckets.get(start_ms)
        if found is None:
            found = self.buckets[start_ms] = Bucket()
        self._touched.add(start_ms)
        self._fresh.add(start_ms)
        return found

    def add(self, time_ms: int, item: int) -> bool:
        """Remember a hash at a time; return False if its bucket held it already."""
        return self.bucket(time_ms - time_ms % self.width_ms).add(item)

    def take(self, start_ms: int) -> NDArray[np.uint64]:
        """Drop the bucket that starts at ``start_ms`` and return what it held, sorted."""
        bucket = self.buckets.pop(start_ms)
        self._drop(start_ms, bucket)
        return bucket.items()

    def extend(self, start_ms: int, items: NDArray[np.uint64]) -> None:
        """Remember hashes, none of which its bucket holds."""
        self.bucket(start_ms).extend(items)

    def _drop(self, start_ms: int, bucket: Bucket) -> None:
        self._dropped.extend(((start_ms, first), None) for first in bucket.starts())
        self._touched.discard(start_ms)
        self._fresh.discard(start_ms)

    def holds_since(self, time_ms: int, item: int) -> bool:
        """Tell whether any bucket that ends after ``time_ms`` holds the hash."""
        return any(start + self.width_ms > time_ms and item in bucket for start, bucket in self.buckets.items())

    def forget(self, before_ms: int) -> None:
        """Drop every bucket that ends at or before ``before_ms``."""
        for start in [start for start in self.buckets if start + self.width_ms <= before_ms]:
            self._drop(start, self.buckets.pop(start))

    def drain(self, rest_before_ms: int) -> Iterator[Change]:
        """Yield what changed since the last drain; buckets that end by ``rest_before_ms`` take their compact form."""
        yield from self._dropped
        self._dropped = []
        for start in sorted(self._touched):
            if self.buckets[start].dirty():
                yield from (((start, first), value) for first, value in self.buckets[start].drain())
        self._touched.clear()
        for start in [start for start in self._fresh if start + self.width_ms <= rest_before_ms]:
            self.buckets[start].rest()
            self._fresh.discard(start)

    def load(self, slices: dict[tuple[int, int], bytes]) -> None:
        """Fill from everything that drains handed out and that was not deleted since, in any order."""
        by_start: dict[int, dict[int, bytes]] = {}
        for (start, first), value in slices.items():
            by_start.setdefault(start, {})[first] = value
        self.buckets = {start: Bucket(found) for start, found in by_start.items()}


def _first(run: array[int], low: int, high: int, counts: Callable[[int], bool]) -> int | None:
    for item in run[bisect_left(run, low) : bisect_right(run, high)]:
        if counts(item):
            return item
    return None


def _little_endian(items: array[int]) -> bytes:
    return np.frombuffer(items, dtype=np.uint64).astype("<u8").tobytes() if items else b""


def _sorted(packed: bytes) -> array[int]:
    result = array("Q")
    result.frombytes(np.sort(np.frombuffer(packed, dtype="<u8")).astype(np.uint64).tobytes())
    return result
