"""What comes into a task: fetched slices are decoded and screened, and what is sound goes to the stage as a batch.

    a record that ...                                       becomes
    breaks its contract, or is too large                    a dead letter
    names a time after its append time + 5 min (no event)   a dead letter
    is an event of the future                               a dead letter, put back later if it is quarantined
    is about a customer of another partition                a copy on that partition (``astray`` for profiles)
    is an order that nobody may give, or a copy of one      a dead letter, or skipped where orders need no signature
    is none of these                                        part of the batch that the stage steps

An event is of the future by its arrival: its append time, or what it brought with it (``arrived_at_ms``).

    arrival            arrival + future_ms
    ---|------------------------|---------------------> event time
       accepted                 future: moves no clock

No I/O, no clock. Dead letters and copies wait in :class:`transaction.SideOutputs` for the next flush.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from schemas.codec import HOT, Decoded, Reject, decode
from schemas.errors import MalformedEvent
from schemas.events import HEARTBEAT_KEY, Customer, Heartbeat
from schemas.topics import FROM_COMPANIES, ORDERS
from streams.core.context import STAMPS, TOMBSTONE, screen
from streams.core.eventtime import arrival_ms
from streams.core.stage import Batch, Fed
from streams.runtime.alignment import Keys
from streams.runtime.astray import ERASED, REKEYED_HEADER, part_customers
from streams.runtime.batch import RawBatch
from streams.runtime.deadletter import BadRun, DeadLetter, emitter
from streams.runtime.limits import TaskRules
from streams.runtime.room import Room
from streams.runtime.transaction import SideOutputs
from streams.security.signing import ORDER_TOPICS, OrderVerifier

RIM = (*FROM_COMPANIES, *ORDERS)
"""Topics whose messages come from outside; the size limit of the settings holds on them."""

time_of = attrgetter("event_time_ms")

Screened = tuple[list[Any], list[int]]
"""Records that go on, and the index of each in the slice."""


@dataclass
class TopicCounts:
    """What a task has seen of one topic since it started."""

    accepted: int = 0
    heartbeats: int = 0
    dead: int = 0
    quarantined: int = 0
    rekeyed: int = 0
    erased: int = 0
    """Customers' keys without a value."""
    astray: int = 0
    """Records on a wrong partition that another room brings home."""
    skipped: int = 0
    """Records below the source offset (read a second time), or left out because another room sets them aside."""
    unknown_fields: int = 0

    def by_outcome(self) -> dict[str, int]:
        """Outcome -> records."""
        return {outcome: count for outcome, count in vars(self).items() if outcome != "unknown_fields"}


@dataclass(frozen=True, slots=True)
class Findings:
    """A decoded slice of findings."""

    batch: Batch
    index: list[int]
    """Index of each record in the slice."""
    rejects: list[Reject]


class Intake:
    """Decodes and screens what one task reads. Nothing that is bad raises: it is counted and set aside."""

    def __init__(
        self,
        room: Room[Any],
        partition: int,
        keys: Keys,
        rules: TaskRules,
        orders: Mapping[str, int],
        side: SideOutputs,
    ) -> None:
        """``orders``: ids of orders that were let in lately -> append time, ms; ``side`` takes what is set aside."""
        self.counts = {noun: TopicCounts() for noun in room.inputs}
        self.runs = {noun: BadRun(rules.bad_run) for noun in room.inputs}
        self.verifier = OrderVerifier(rules.orders, dict(orders))
        self._brings = room.brings
        self._shared = frozenset(room.shared)
        self._partition = partition
        self._keys = keys
        self._rules = rules
        self._side = side

    def admit(self, part: RawBatch) -> Batch | None:
        """Decode one slice and set aside what breaks its contract; None if nothing is left for the stage."""
        noun = part.topic
        counts = self.counts[noun]
        limit = self._rules.max_event_bytes if noun in RIM else None
        decoded = decode(noun, part.values, part.keys, part.headers, limit)
        counts.unknown_fields += decoded.unknown_fields
        if noun in STAMPS:
            decoded = screen(noun, decoded, part.timestamps, self._rules.future_ms)
        if noun == "customer":
            return self._admit_customers(part, decoded)
        self.reject(part, decoded.rejects)
        records, index, heartbeats = decoded.records, decoded.index, counts.heartbeats
        if noun in HOT and records:
            records, index = self._screen_events(part, records, index)
        elif noun in ORDER_TOPICS and records:
            records, index = self._screen_orders(part, records, index)
        if not records:
            return None
        counts.accepted += len(records) - (counts.heartbeats - heartbeats)
        offsets, stamps = part.offsets, part.timestamps
        if len(records) < len(part):
            offsets, stamps = [offsets[at] for at in index], [stamps[at] for at in index]
        return Batch(noun, self._partition, records, offsets, stamps)

    def admit_findings(self, part: RawBatch) -> Findings:
        """Decode one slice of findings for a stage that takes them one by one: the caller counts and rejects."""
        decoded = decode(part.topic, part.values, part.keys, part.headers)
        self.counts[part.topic].unknown_fields += decoded.unknown_fields
        index = decoded.index
        offsets, stamps = [part.offsets[at] for at in index], [part.timestamps[at] for at in index]
        batch = Batch(part.topic, self._partition, decoded.records, offsets, stamps)
        return Findings(batch, index, decoded.rejects)

    def count_fed(self, noun: str, fed: Fed, start: int) -> None:
        """Count what a stage that decodes by itself has taken from ``start`` on."""
        counts = self.counts[noun]
        counts.accepted += fed.accepted
        counts.unknown_fields += fed.unknown_fields
        if fed.stop > start:
            self.runs[noun].good()

    def reject(self, part: RawBatch, rejects: list[Reject]) -> None:
        """Dead letters of a slice, and the run they belong to; nothing where another room writes them."""
        if part.topic in self._shared:
            self.counts[part.topic].skipped += len(rejects)
            return
        run, before = self.runs[part.topic], -1
        for reject in rejects:
            if reject.index != before + 1:
                run.good()
            run.bad(emitter(part, reject.index))
            before = reject.index
            self._dead(part, reject.index, reject.error)
        if before + 1 < len(part):
            run.good()
        self.counts[part.topic].dead += len(rejects)

    def _admit_customers(self, part: RawBatch, decoded: Decoded) -> Batch | None:
        """What is about customers who live here; what lies astray is brought home, by one room."""
        parted, counts = part_customers(self._keys, part, decoded, self._partition), self.counts[part.topic]
        erasures = [reject for reject in parted.rejects if reject.error.reason == TOMBSTONE]
        self.reject(part, [reject for reject in parted.rejects if reject.error.reason != TOMBSTONE])
        for reject in erasures:
            self._dead(part, reject.index, ERASED)
        counts.erased += len(erasures)
        if part.topic in self._brings:
            for copy in [*parted.astray, *parted.sweeps]:
                self._side.rekeyed.append((part.topic, copy.partition, copy.write))
            counts.rekeyed += len(parted.astray)
        else:
            counts.astray += len(parted.astray)
        counts.accepted += sum(isinstance(record, Customer) for record in parted.records)
        if not parted.records:
            return None
        offsets = [part.offsets[at] for at in parted.index]
        stamps = [part.timestamps[at] for at in parted.index]
        return Batch(part.topic, self._partition, parted.records, offsets, stamps)

    def _screen_events(self, part: RawBatch, records: list[Any], index: list[int]) -> Screened:
        """Take events out of a slice that come from the future, or that belong to another partition."""
        counts = self.counts[part.topic]
        if max(map(time_of, records)) > _earliest_arrival(part, records) + self._rules.future_ms:
            records, index = self._screen_future(part, records, index)
        keys = part.keys if len(records) == len(part) else [part.keys[at] for at in index]
        if HEARTBEAT_KEY in keys:
            counts.heartbeats += keys.count(HEARTBEAT_KEY)
        foreign = self._keys.foreign(keys, records)
        if foreign:
            for number in foreign:
                self._rekey(part, index[number], records[number].customer_id)
            gone = set(foreign)
            records = [record for number, record in enumerate(records) if number not in gone]
            index = [at for number, at in enumerate(index) if number not in gone]
        return records, index

    def _screen_future(self, part: RawBatch, records: list[Any], index: list[int]) -> Screened:
        """Events of the future become dead letters and never move a watermark."""
        rule = f"should be at most {self._rules.future_ms} ms after it was received"
        error = MalformedEvent("event_time_ms", rule, "integer", "future_time")
        passed: Screened = ([], [])
        for record, at in zip(records, index, strict=True):
            appended_ms, time_ms = part.timestamps[at], record.event_time_ms
            arrived_ms = appended_ms if isinstance(record, Heartbeat) else arrival_ms(record, appended_ms)
            if time_ms <= arrived_ms + self._rules.future_ms:
                passed[0].append(record)
                passed[1].append(at)
                continue
            if part.topic in self._shared:
                self.counts[part.topic].skipped += 1
                continue
            is_due = self._rules.quarantine_future and arrived_ms == appended_ms
            due = time_ms if is_due else None
            self._dead(part, at, error, due)
            if due is None:
                self.counts[part.topic].dead += 1
            else:
                self.counts[part.topic].quarantined += 1
        return passed

    def _screen_orders(self, part: RawBatch, records: list[Any], index: list[int]) -> Screened:
        """Take orders out of a slice that nobody may give, or that were given before."""
        passed: Screened = ([], [])
        for record, at in zip(records, index, strict=True):
            fault = self.verifier.fault(record, part.timestamps[at])
            if fault is None:
                passed[0].append(record)
                passed[1].append(at)
            elif self._rules.orders.keyring is None:
                self.counts[part.topic].skipped += 1  # a producer may send twice; only signed orders are never copied
            else:
                self._dead(part, at, fault)
                self.counts[part.topic].dead += 1
        return passed

    def _rekey(self, part: RawBatch, at: int, customer_id: str) -> None:
        """Write a record again, unchanged but for its key, to the partition where its customer lives."""
        if part.topic in self._shared:
            self.counts[part.topic].astray += 1
            return
        key = customer_id.encode()
        headers = [*part.headers[at], (REKEYED_HEADER, f"{self._partition}/{part.offsets[at]}".encode())]
        self._side.rekeyed.append((part.topic, self._keys.home(key), (key, part.values[at], headers)))
        self.counts[part.topic].rekeyed += 1

    def _dead(self, part: RawBatch, at: int, error: MalformedEvent, not_before_ms: int | None = None) -> None:
        self._side.dead_letters.append(
            DeadLetter(
                part.topic,
                self._partition,
                part.offsets[at],
                part.keys[at],
                part.values[at],
                part.headers[at],
                error,
                not_before_ms,
            )
        )


def _earliest_arrival(part: RawBatch, records: list[Any]) -> int:
    """When the first of these events arrived, or earlier. ms since 1970 UTC."""
    brought: Iterable[int | None] = (getattr(record, "arrived_at_ms", None) for record in records)
    return min([min(part.timestamps), *(own for own in brought if own is not None)])
