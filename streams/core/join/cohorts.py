"""Open bins: per leaf cohort the distinct customers exposed and failed, until the watermark closes the bin.

    bin 12:00:00      bin 12:00:10      bin 12:00:20
    [ closed, gone )  [ closed, gone )  [ open ...          <- watermark 12:00:23
                                         every event that is on time still lands in an open bin

Counts are sets of customer hashes, so one customer counts once per leaf and bin however often it fails, and counts of
source partitions (which share no customer) add up exactly. Only events on time for their own topic get here, so what a
closed bin holds does not depend on the order of arrival nor on when it was written out.

**Cap.** A (line, signal) has ``Limits.leaves`` slots for leaf cohorts. Leaves without a slot are the overflow: they are
counted as one leaf whose values are all ``__other__`` (the union of their customers, so nothing is counted twice).
Leaves are admitted when a bin closes, those of that bin with the most exposed customers first, ties by value, and
retain their slot while they are seen at least once an hour. Bins close in order and hold the same whatever the order of
arrival, so which leaves are admitted does not depend on it either; it does depend on the number of source partitions
once the cap is reached, because each has slots of its own. Selection looks at exposure, never at failures, and so does
not bias a failure rate. The last half of the slots goes only to leaves with two or more customers in the bin: a flood
of leaves seen once (a producer that makes up versions) cannot take them all.

**Size.** A record never exceeds ``RECORD_BYTES``, or its topic would refuse it at every restart anew. Beyond that,
leaves with the fewest exposed customers are counted under ``__other__``, and of the failed customers those with the
smallest hashes are kept: from about 20,000 failed customers in one bin of one partition on, their number is a lower
bound.

**State.** A drain writes one value per open bin that changed, with the additions since the last drain only: key = (bin,
sequence number), value = (line, signal, values, new exposed, new failed) per leaf touched, 8 bytes a customer. Closing
the bin deletes them. One more key per slot taken: (line, signal, values) -> hour last seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec
import numpy as np

from schemas.fields import Signal
from schemas.findings import CohortCount, LeafCount, SeenValue, ValuesSeen
from schemas.hotfindings import cohort_count, leaf_count, seen_value, values_seen
from schemas.topics import BY_NOUN, HOUR_MS, MINUTE_MS
from streams.core.eventtime import floor_ms
from streams.core.join.rules import JoinRules

LeafRow = tuple[str, Signal, tuple[str, ...], bytes, bytes]
"""Persisted additions to one leaf: its key, new exposed, new failed (8 bytes little endian per customer)."""
OTHER = "__other__"
"""Value of every attribute of the leaf that counts the overflow."""
RECORD_BYTES = BY_NOUN["cohort_count"].max_bytes * 7 // 8
"""Largest record, leaving room for what surrounds the leaves."""
_LABEL_BYTES = 128 * 4 + 3
_HASH_BYTES = 21
_LEAF_BYTES = 48
"""Bounds of the JSON of one value, one hash, and the rest of one leaf."""

SEEN_EVERY_MS = 5 * MINUTE_MS
"""Of the bins that close, those with the middle of such a stretch in them say who was seen with which values."""
ENOUGH = 20
"""Customers of whom such a bin tells, per value; more need not be known to call a value familiar."""
SEEN_VALUES = 512
"""Most values in one record: those of the most customers."""

LeafKey = tuple[str, Signal, tuple[str, ...]]
"""A leaf cohort: service line, signal, values in the order of the signal's attributes."""


class LeafCustomers:
    """Customer hashes of one leaf cohort in one bin; the ``new_`` lists hold what is not persisted yet."""

    __slots__ = ("exposed", "failed", "new_exposed", "new_failed")

    def __init__(self) -> None:
        """Start empty."""
        self.exposed: set[int] = set()
        self.failed: set[int] = set()
        self.new_exposed: list[int] = []
        self.new_failed: list[int] = []

    def only_failed_below(self, limit: int) -> LeafCustomers:
        """Return the same counts with those failed customers whose hash is below ``limit``."""
        found = LeafCustomers()
        found.exposed, found.failed = self.exposed, {who for who in self.failed if who < limit}
        return found

    def record(self, values: tuple[str, ...]) -> LeafCount:
        """Return the counts as they are sent."""
        return leaf_count(values, len(self.exposed), tuple(sorted(self.failed)))


class BinCohorts(dict[LeafKey, LeafCustomers]):
    """The leaf cohorts of one bin, and which of them changed since the last drain."""

    __slots__ = ("changed",)

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.changed: list[tuple[LeafKey, LeafCustomers]] = []

    def expose(self, key: LeafKey, leaf: LeafCustomers | None, customer: int) -> LeafCustomers:
        """Count a customer as exposed; ``leaf`` is what a look-up of ``key`` gave."""
        if leaf is None:
            leaf = self[key] = LeafCustomers()
        if customer not in leaf.exposed:
            self._touch(key, leaf)
            leaf.exposed.add(customer)
            leaf.new_exposed.append(customer)
        return leaf

    def fail(self, key: LeafKey, leaf: LeafCustomers, customer: int) -> None:
        """Count a customer as failed; it must be exposed."""
        if customer not in leaf.failed:
            self._touch(key, leaf)
            leaf.failed.add(customer)
            leaf.new_failed.append(customer)

    def _touch(self, key: LeafKey, leaf: LeafCustomers) -> None:
        if not leaf.new_exposed and not leaf.new_failed:
            self.changed.append((key, leaf))

    def take_changes(self) -> list[LeafRow]:
        """Return the additions since the last call, sorted, and forget that they are new."""
        rows = []
        for key, leaf in sorted(self.changed, key=lambda change: change[0]):
            rows.append((*key, _pack(leaf.new_exposed), _pack(leaf.new_failed)))
            leaf.new_exposed = []
            leaf.new_failed = []
        self.changed = []
        return rows


class AdmittedLeaves:
    """Which leaf cohorts have a slot, per (line, signal)."""

    def __init__(self, limit: int) -> None:
        """Start with every slot free; there are ``limit`` slots per (line, signal)."""
        self._limit = limit
        self._seen: dict[tuple[str, Signal], dict[tuple[str, ...], int]] = {}
        self._hour_ms = 0
        self._changed: dict[LeafKey, int | None] = {}

    def __len__(self) -> int:
        """Return how many slots are taken."""
        return sum(map(len, self._seen.values()))

    def overflow(
        self, line: str, signal: Signal, leaves: Mapping[tuple[str, ...], LeafCustomers]
    ) -> set[tuple[str, ...]]:
        """Return which of these leaves have no slot and would get none now (almost always: none of them)."""
        taken = self._seen.get((line, signal), {})
        candidates = [values for values in leaves if values not in taken]
        free = max(0, self._limit - len(taken))
        lone_free = max(0, free - self._limit // 2)
        if len(candidates) <= lone_free:
            return set()
        ranked = sorted(candidates, key=lambda values: (-len(leaves[values].exposed), values))
        shared = sum(len(leaves[values].exposed) > 1 for values in ranked)
        return set(ranked[min(free, max(shared, lone_free)) :])

    def admit(self, line: str, signal: Signal, values: Iterable[tuple[str, ...]], at_ms: int) -> None:
        """Admit leaves, or renew their slots, in the hour of ``at_ms``."""
        hour_ms = floor_ms(at_ms, HOUR_MS)
        taken = self._seen.setdefault((line, signal), {})
        for leaf in values:
            if taken.get(leaf) != hour_ms:
                taken[leaf] = hour_ms
                self._changed[line, signal, leaf] = hour_ms

    def expire(self, at_ms: int) -> None:
        """Free the slots of leaves that were seen neither in the hour of ``at_ms`` nor in the one before."""
        hour_ms = floor_ms(at_ms, HOUR_MS)
        if hour_ms == self._hour_ms:
            return
        self._hour_ms = hour_ms
        for (line, signal), taken in list(self._seen.items()):
            for values in [values for values, seen_ms in taken.items() if seen_ms < hour_ms - HOUR_MS]:
                del taken[values]
                self._changed[line, signal, values] = None
            if not taken:
                del self._seen[line, signal]

    def drain(self) -> list[tuple[LeafKey, int | None]]:
        """Return the slots that changed: hour last seen, or None if freed."""
        changed, self._changed = self._changed, {}
        return sorted(changed.items())

    def load(self, key: LeafKey, hour_ms: int) -> None:
        """Take back one persisted slot."""
        line, signal, values = key
        self._seen.setdefault((line, signal), {})[values] = hour_ms


class OpenBins:
    """All bins of one source partition that the watermark has not passed yet."""

    def __init__(self, rules: JoinRules, partition: int) -> None:
        """Start without bins."""
        self.bins: dict[int, BinCohorts] = {}
        self.admitted = AdmittedLeaves(rules.limits.leaves)
        self._attributes = rules.attributes
        self._width_ms = rules.bin_ms
        self._partition = partition
        self._chunks: dict[int, int] = {}  # bin -> next sequence number
        self._closed: list[tuple[int, int]] = []  # persisted chunks to delete

    def cells(self, bin_ms: int) -> BinCohorts:
        """Return the leaf cohorts of the bin that starts at ``bin_ms`` (aligned, open)."""
        found = self.bins.get(bin_ms)
        if found is None:
            found = self.bins[bin_ms] = BinCohorts()
        return found

    def count(self, time_ms: int, key: LeafKey, customer: int, failed: bool) -> None:
        """Count one customer of a leaf cohort in the bin of ``time_ms``."""
        cells = self.cells(floor_ms(time_ms, self._width_ms))
        leaf = cells.expose(key, cells.get(key), customer)
        if failed:
            cells.fail(key, leaf, customer)

    def close(self, through_ms: int) -> Iterator[CohortCount | ValuesSeen]:
        """Close every bin that ends at or before ``through_ms``; yield its counts by bin, line and signal.

        After the counts of a bin that tells of values, what it tells.
        """
        for bin_ms in sorted(start for start in self.bins if start + self._width_ms <= through_ms):
            self.admitted.expire(bin_ms)
            for line, signal, leaves in _groups(self.bins.pop(bin_ms)):
                overflow = self.admitted.overflow(line, signal, leaves)
                self.admitted.admit(line, signal, (v for v in leaves if v not in overflow), bin_ms)
                yield self._record(bin_ms, line, signal, _capped(leaves, overflow), closed=True)
                if (SEEN_EVERY_MS // 2 - bin_ms) % SEEN_EVERY_MS < self._width_ms:
                    admitted = ((values, leaf.exposed) for values, leaf in leaves.items() if values not in overflow)
                    seen = _seen(self._attributes[signal], admitted)
                    yield values_seen(line, signal, bin_ms, self._partition, seen)
            self._closed.extend((bin_ms, number) for number in range(self._chunks.pop(bin_ms, 0)))
        self.admitted.expire(through_ms)

    def preview(self, since_ms: int) -> Iterator[CohortCount]:
        """Yield the counts so far of every (bin, line, signal) that changed since the last drain.

        Bins that start before ``since_ms`` are left out: nobody watches them fill, they are sent when they close.
        """
        for bin_ms in sorted(start for start, cells in self.bins.items() if start >= since_ms and cells.changed):
            cells = self.bins[bin_ms]
            changed = {(line, signal) for (line, signal, _), _ in cells.changed}
            for line, signal, leaves in _groups(cells):
                if (line, signal) in changed:
                    overflow = self.admitted.overflow(line, signal, leaves)
                    yield self._record(bin_ms, line, signal, _capped(leaves, overflow), closed=False)

    def _record(
        self, bin_ms: int, line: str, signal: Signal, leaves: Mapping[tuple[str, ...], LeafCustomers], *, closed: bool
    ) -> CohortCount:
        counts = tuple([leaf.record(values) for values, leaf in sorted(_fitting(leaves).items())])
        attributes = self._attributes[signal]
        return cohort_count(line, signal, bin_ms, self._width_ms, self._partition, attributes, counts, closed)

    def drain(self) -> Iterator[tuple[tuple[int, int], list[LeafRow] | None]]:
        """Yield ((bin, sequence number), additions or None if deleted) since the last drain. Call after preview."""
        yield from ((chunk, None) for chunk in self._closed)
        self._closed = []
        for bin_ms in sorted(start for start, cells in self.bins.items() if cells.changed):
            number = self._chunks.get(bin_ms, 0)
            self._chunks[bin_ms] = number + 1
            yield (bin_ms, number), self.bins[bin_ms].take_changes()

    def load(self, bin_ms: int, number: int, rows: Iterable[LeafRow]) -> None:
        """Take back one persisted chunk of additions."""
        self._chunks[bin_ms] = max(self._chunks.get(bin_ms, 0), number + 1)
        cells = self.cells(bin_ms)
        for line, signal, values, exposed, failed in rows:
            leaf = cells.setdefault((line, signal, values), LeafCustomers())
            leaf.exposed.update(_unpack(exposed))
            leaf.failed.update(_unpack(failed))


def _seen(
    attributes: tuple[str, ...], leaves: Iterable[tuple[tuple[str, ...], set[int]]]
) -> tuple[SeenValue, ...]:
    """Who was exposed with which value, sorted by attribute and value."""
    found: dict[tuple[str, str], set[int]] = {}
    for values, exposed in leaves:
        for name, value in zip(attributes, values, strict=True):
            if value not in ("", OTHER):
                found.setdefault((name, value), set()).update(exposed)
    ranked = sorted(found, key=lambda key: (-min(len(found[key]), ENOUGH), key))[:SEEN_VALUES]
    return tuple([seen_value(*key, tuple(sorted(found[key])[:ENOUGH])) for key in sorted(ranked)])


def _groups(cells: BinCohorts) -> Iterator[tuple[str, Signal, dict[tuple[str, ...], LeafCustomers]]]:
    """Yield (line, signal, leaves), sorted by line and signal."""
    groups: dict[tuple[str, Signal], dict[tuple[str, ...], LeafCustomers]] = {}
    for (line, signal, values), leaf in cells.items():
        groups.setdefault((line, signal), {})[values] = leaf
    yield from ((line, signal, groups[line, signal]) for line, signal in sorted(groups))


def _fitting(leaves: Mapping[tuple[str, ...], LeafCustomers]) -> Mapping[tuple[str, ...], LeafCustomers]:
    """Return the leaves as they are if their record is small enough (almost always), else what fits of them."""
    failed = sum(len(leaf.failed) for leaf in leaves.values())
    width = len(next(iter(leaves), ()))
    if len(leaves) * (width * _LABEL_BYTES + _LEAF_BYTES) + failed * _HASH_BYTES <= RECORD_BYTES:
        return leaves
    left, beyond = RECORD_BYTES // 2, set()
    for values in sorted(leaves, key=lambda values: (-len(leaves[values].exposed), values)):
        left -= len(msgspec.json.encode(values)) + _LEAF_BYTES
        if left < 0:
            beyond.add(values)
    fitting = _capped(leaves, beyond)
    most = RECORD_BYTES // 2 // _HASH_BYTES
    every = sorted(who for leaf in fitting.values() for who in leaf.failed)
    if len(every) <= most:
        return fitting
    return {values: leaf.only_failed_below(every[most]) for values, leaf in fitting.items()}


def _capped(
    leaves: Mapping[tuple[str, ...], LeafCustomers], overflow: set[tuple[str, ...]]
) -> Mapping[tuple[str, ...], LeafCustomers]:
    """Return the leaves with a slot, and one leaf ``__other__`` with the customers of all others."""
    if not overflow:
        return leaves
    width = len(next(iter(leaves)))
    other = LeafCustomers()
    already = leaves.get((OTHER,) * width)
    if already is not None:
        other.exposed |= already.exposed
        other.failed |= already.failed
    for values in overflow:
        other.exposed |= leaves[values].exposed
        other.failed |= leaves[values].failed
    return {**{values: leaf for values, leaf in leaves.items() if values not in overflow}, (OTHER,) * width: other}


def _pack(customers: list[int]) -> bytes:
    return np.array(customers, dtype="<u8").tobytes()


def _unpack(packed: bytes) -> list[int]:
    found: list[int] = np.frombuffer(packed, dtype="<u8").tolist()
    return found
