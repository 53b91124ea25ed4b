"""The pure heart of a room: one task per partition, the same code under Kafka and in the in-memory driver.

``feed`` takes fetched batches, ``idle`` an idle passage, ``flush`` returns the one transaction that makes everything
since the last flush durable: derived messages, dead letters, re-keyed records, ticks, changed state keys, tombstones
and the source offsets. No I/O, no clock: the caller passes the time of the flush, which only dead letters show.

Order inside a transaction is irrelevant for correctness (it is atomic); per topic partition the order is: derived
messages in the order the stage drained them, then dead letters, re-keyed records and ticks in the order met, and in the
state topic the stage's changes, then the meta record.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Generic, TypeVar

from schemas.cloudevents import has_context
from schemas.codec import HOT, Decoded, Reject, decode, encode
from schemas.errors import ConfigError, CxError, MalformedEvent
from schemas.events import HEARTBEAT_KEY, Customer, Heartbeat
from schemas.findings import Tick
from schemas.topics import BY_NOUN, VERSION_HEADER, state_topic
from streams.core.context import STAMPS, TOMBSTONE, screen
from streams.core.eventtime import arrival_ms
from streams.core.stage import Batch, Clocked, Idle, LongStage, Message, RawStage
from streams.runtime.alignment import Keys
from streams.runtime.astray import ERASED, REKEYED_HEADER, part_customers
from streams.runtime.batch import Headers, RawBatch
from streams.runtime.deadletter import BadRun, DeadLetter, emitter
from streams.runtime.room import Room
from streams.runtime.state import Meta, Recovered, StateDamaged, next_epoch, state_records, version
from streams.security.signing import ORDER_TOPICS, Doorkeeper, OrderRules

S = TypeVar("S")

RIM = ("telemetry", "order", "contact", "customer", "change", "command", "control")
"""Topics whose messages come from outside; the size limit of the settings holds on them."""

_time_of = attrgetter("event_time_ms")

Write = tuple[bytes | None, bytes | None, Headers]
"""Key, value and headers of one record to write."""


class RangeLost(CxError):
    """A batch starts beyond the position of the task: the records in between were not delivered. Seek back."""


@dataclass(frozen=True)
class TaskRules:
    """Knobs of a task; none of them changes a finding."""

    slice_events: int = 300
    """Events decoded and stepped at a stretch (fits the CPU cache)."""
    work_units: int = 100
    """Work of a long stage done at a stretch (``core.stage.LongStage``)."""
    encode_messages: int = 500
    """Derived messages encoded at a stretch during a flush."""
    max_event_bytes: int = 65_536
    """Larger messages from outside are dead letters."""
    future_ms: int = 300_000
    """Events whose time lies more than this after their arrival never reach a room."""
    quarantine_future: bool = False
    """True: such events are dead letters with ``dlq.not_before_ms`` (to be put back then) and are no bad run. Not those
    that say themselves that they arrived before they happened: they are so at any time."""
    bad_run: int = 100
    """Dead letters in a row, from at least two emitters, that are worth a page."""
    orders: OrderRules = field(default_factory=OrderRules)
    """Who may order."""
    build: str = "0"
    """Version of cxwatch, written into dead letters."""


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
    """Records below the source offset: read a second time."""
    unknown_fields: int = 0


@dataclass(frozen=True)
class Transaction:
    """Everything one flush makes durable together."""

    room: str
    partition: int
    epoch: int
    flush: int
    writes: Mapping[tuple[str, int], list[Write]]
    """(wire name without prefix, partition) -> records in order."""
    offsets: Mapping[str, int]
    """Noun -> first offset that is not part of it: what the group offsets follow."""

    @property
    def records(self) -> int:
        """How many records it writes."""
        return sum(map(len, self.writes.values()))


@dataclass
class _Pending:
    """Outputs that do not come from the stage, since the last flush."""

    letters: list[DeadLetter] = field(default_factory=list)
    rekeyed: list[tuple[str, int, Write]] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)


class PartitionTask(Generic[S]):
    """One partition of one room. Not thread-safe."""

    def __init__(
        self,
        room: Room[S],
        partition: int,
        partitions: int,
        recovered: Recovered | None = None,
        rules: TaskRules | None = None,
        wall_s: float = 0.0,
    ) -> None:
        """Start from what recovery found (None or empty: from nothing) at ``wall_s``, which only the version shows.

        Raises ConfigError if the state was built with another number of customer partitions, StateDamaged if it has
        no meta record.
        """
        self.room = room
        self.partition = partition
        self.partitions = partitions
        self.rules = rules or TaskRules()
        self.counts = {noun: TopicCounts() for noun in room.inputs}
        self.runs = {noun: BadRun(self.rules.bad_run) for noun in room.inputs}
        self.newest: dict[str, int] = {}
        """Noun -> how far its topic has come by the room's clock, for event topics that were heard since start. A room
        that keeps no clock: the newest event time."""
        self.dirty = False
        self.pending_bytes = 0
        """Bytes fed since the last flush."""
        self._raw = room.stage if isinstance(room.stage, RawStage) else None
        self._clocked = room.stage if isinstance(room.stage, Clocked) else None
        self._long = room.stage if isinstance(room.stage, LongStage) else None
        self._spent = 0
        """Units of work done since the caller was last let go on."""
        self._keys = Keys(partition, partitions)
        self._pending = _Pending()
        self._door = Doorkeeper(self.rules.orders)
        found = recovered or Recovered()
        items = found.whole()
        self._parts = {key: len(parts) for key, parts in found.parts.items()}
        if items and found.meta is None:
            raise StateDamaged(f"the state of {room.name}/{partition} has values but no meta record")
        meta = found.meta or Meta(0, 0, partitions, {})
        if meta.partitions != partitions:
            raise ConfigError(
                f"the state of room {room.name} was built with {meta.partitions} partitions, CX_PARTITIONS is "
                f"{partitions}: set it back, or start with a new CX_TOPIC_PREFIX"
            )
        self.epoch = next_epoch(meta, wall_s)
        self._door.known = dict(meta.orders)
        self.flushes = 0
        self.positions = {
            noun: offset
            for noun, offset in meta.offsets.items()
            if noun in meta.brings or noun not in room.brings  # else read it once more: what is astray is not home yet
        }
        """Noun -> offset of the next record that the task has not seen."""
        self.topic_epochs = dict(meta.topics)
        """Noun -> epoch of the topic that the positions belong to (``offsets``); empty if nobody asked the broker."""
        self.state: S = (
            room.stage.load(partition, partitions, items.items())
            if found.meta
            else room.stage.start(partition, partitions)
        )

    def start_at(self, noun: str, offset: int) -> None:
        """Set where reading starts: on a topic without a source offset, or whose stored offset is gone."""
        self.positions[noun] = offset

    def feed(self, batch: RawBatch) -> None:
        """Fold a fetched batch into the state.

        Records below the position are skipped (they are part of the state); raises RangeLost if the batch starts above.
        """
        for _ in self.feed_steps(batch):
            pass

    def feed_steps(self, batch: RawBatch) -> Iterator[None]:
        """:meth:`feed` in steps of about ``work_units``: after each the task may be flushed, or left for good.

        The positions are always right: what of the batch is not taken is read again, what is taken and not worked off
        is part of the state.
        """
        noun = batch.topic
        position = self.positions.get(noun, batch.start)
        if batch.start > position:
            raise RangeLost(f"{self.room.name}/{self.partition}: {noun} continues at {batch.start}, not {position}")
        if batch.next <= position:
            self.counts[noun].skipped += len(batch)
            return
        fresh = batch.since(position)
        self.counts[noun].skipped += len(batch) - len(fresh)
        for part in fresh.slices(self.rules.slice_events):
            yield from self.rest_steps()
            if self._raw is not None:
                self._raw_slice(self._raw, part)
            elif self._long is not None and noun not in RIM:
                yield from self._long_slice(self._long, part)
            else:
                self._slice(part)
        self.positions[noun] = fresh.next

    @property
    def left(self) -> bool:
        """True if work is left that needs no new input: the state was made durable in the middle of it."""
        return self._long is not None and self._long.left(self.state)

    def rest_steps(self) -> Iterator[None]:
        """Do the work that is left, in steps as :meth:`feed_steps`."""
        while self._long is not None and self._long.left(self.state):
            self.dirty = True
            self._spent += self._long.go_on(self.state, self.rules.work_units - self._spent)
            if self._spent >= self.rules.work_units:
                self._spent = 0
                yield

    def idle(self, nouns: Iterable[str]) -> bool:
        """Pass idle event topics: their watermark follows the slowest of the others. True if that moved anything.

        Nothing happens while all event topics are idle, or while one that is not idle has shown no event yet.
        """
        topics = [noun for noun in self.room.inputs if noun in HOT]
        passed = set(nouns) & set(topics)
        active = [noun for noun in topics if noun not in passed]
        if not passed or not active or any(noun not in self.newest for noun in active):
            return False
        reach = min(self.newest[noun] - self._disorder_ms(noun) for noun in active)
        if all(self.newest.get(noun, 0) - self._disorder_ms(noun) >= reach for noun in passed):
            return False
        self.tick(reach)
        return True

    def tick(self, event_time_ms: int) -> None:
        """Treat every event topic's watermark as at least ``event_time_ms`` from here on, and record it."""
        topics = tuple(noun for noun in self.room.inputs if noun in HOT)
        self.room.stage.step(self.state, Idle(event_time_ms, topics))
        for noun in topics:
            reached = event_time_ms + self._disorder_ms(noun)
            self.newest[noun] = max(self.newest.get(noun, reached), reached)
        offsets = {noun: self.positions.get(noun, 0) for noun in self.room.inputs}
        self._pending.ticks.append(
            Tick(room=self.room.name, partition=self.partition, event_time_ms=event_time_ms, offsets=offsets)
        )
        self.dirty = True

    def _disorder_ms(self, noun: str) -> int:
        return BY_NOUN[noun].disorder_ms if self._clocked is None else self._clocked.disorder_ms(noun)

    def flush(self, now_ms: int) -> Transaction | None:
        """Return what has to become durable together, None if nothing was fed. ``now_ms`` is wall time.

        The caller must commit the transaction or end the process: the task already counts it as done.
        """
        steps = self.flush_steps(now_ms)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                found: Transaction | None = done.value
                return found

    def flush_steps(self, now_ms: int) -> Generator[None, None, Transaction | None]:
        """:meth:`flush` in steps: what it holds is fixed by the first, the others only encode.

        Feeding may go on between the steps; a second flush must wait for the end of the first.
        """
        if not self.dirty:
            return None
        self.flushes += 1
        drained = self.room.stage.drain(self.state)
        pending, self._pending = self._pending, _Pending()
        offsets = dict(self.positions)
        topics = dict(self.topic_epochs)
        orders, brings = dict(self._door.known), self.room.brings
        meta = Meta(self.epoch, self.flushes, self.partitions, offsets, topics=topics, brings=brings, orders=orders)
        self.dirty = False
        self.pending_bytes = 0
        writes: dict[tuple[str, int], list[Write]] = {}
        stamp = ((VERSION_HEADER, str(version(meta.epoch, meta.flush)).encode()),)
        for noun, key, value, target_partition in drained.encoded:
            writes.setdefault((BY_NOUN[noun].name, target_partition), []).append((key, value, stamp))
        for place, message in enumerate(drained.messages, 1):
            self._add_message(writes, message, stamp)
            if place % self.rules.encode_messages == 0:
                yield
        self._add_pending(writes, pending, stamp, now_ms)
        target = (state_topic(self.room.name), self.partition)
        writes[target] = [(key, value, ()) for key, value in state_records(drained.changes, meta, self._parts)]
        return Transaction(self.room.name, self.partition, meta.epoch, meta.flush, writes, offsets)

    @property
    def degraded(self) -> bool:
        """True while a run of dead letters from several emitters is worth a page."""
        return any(run.degraded for run in self.runs.values())

    def _raw_slice(self, stage: RawStage, part: RawBatch) -> None:
        """Let the stage decode one slice; what it leaves to the reference takes the long way, one by one."""
        if part.has_headers and any(map(has_context, part.headers)):
            self._slice(part)  # CloudEvents: part of the message lies in its headers
            return
        noun, counts, size = part.topic, self.counts[part.topic], len(part)
        self.dirty = True
        self.pending_bytes += part.value_bytes
        limit = min(self.rules.max_event_bytes, BY_NOUN[noun].max_bytes)
        start = 0
        while start < size:
            fed = stage.feed(self.state, part, start, limit, self.rules.future_ms)
            counts.accepted += fed.accepted
            counts.unknown_fields += fed.unknown_fields
            self._hear(noun, 0)
            for place in (*fed.future, *fed.foreign):
                self._slice(part.cut(place, place + 1))
            if fed.stop > start:
                self.runs[noun].good()
            if fed.stop < size:
                self._slice(part.cut(fed.stop, fed.stop + 1))
            start = fed.stop + 1

    def _slice(self, part: RawBatch) -> None:
        """Decode one slice, set aside what breaks its contract, step the rest."""
        if not len(part):
            return
        noun = part.topic
        counts = self.counts[noun]
        self.dirty = True
        self.pending_bytes += part.value_bytes
        limit = self.rules.max_event_bytes if noun in RIM else None
        decoded = decode(noun, part.values, part.keys, part.headers, limit)
        counts.unknown_fields += decoded.unknown_fields
        if noun in STAMPS:
            decoded = screen(noun, decoded, part.timestamps, self.rules.future_ms)
        if noun == "customer":
            self._customers(part, decoded)
            return
        self._reject(part, decoded.rejects)
        records, index, heartbeats = decoded.records, decoded.index, counts.heartbeats
        if noun in HOT and records:
            records, index = self._screen(part, records, index)
        elif noun in ORDER_TOPICS and records:
            records, index = self._screen_orders(part, records, index)
        if records:
            counts.accepted += len(records) - (counts.heartbeats - heartbeats)
            offsets, stamps = part.offsets, part.timestamps
            if len(records) < len(part):
                offsets, stamps = [offsets[place] for place in index], [stamps[place] for place in index]
            self.room.stage.step(self.state, Batch(noun, self.partition, records, offsets, stamps))
            if noun in HOT:
                self._hear(noun, max(map(_time_of, records)))

    def _hear(self, noun: str, newest_ms: int) -> None:
        """Note how far an event topic has come: by the room's clock, or ``newest_ms`` where it keeps none."""
        reached = self._clocked.clock_ms(self.state, noun) if self._clocked is not None else newest_ms
        if reached > self.newest.get(noun, 0):
            self.newest[noun] = reached

    def _long_slice(self, stage: LongStage, part: RawBatch) -> Iterator[None]:
        """Decode one slice of findings; take its records in, and do the work of each before the next."""
        noun, counts, size = part.topic, self.counts[part.topic], len(part)
        decoded = decode(noun, part.values, part.keys, part.headers)
        records, index, rejects = decoded.records, decoded.index, decoded.rejects
        counts.unknown_fields += decoded.unknown_fields
        offsets, stamps = [part.offsets[place] for place in index], [part.timestamps[place] for place in index]
        batch = Batch(noun, self.partition, records, offsets, stamps)
        taken = behind = 0
        while behind < size:
            before, start = taken, behind
            taken = stage.take(self.state, batch, before)
            behind = index[taken] if taken < len(records) else size
            here = part.cut(start, behind)
            self._reject(here, [Reject(bad.index - start, bad.error) for bad in rejects if start <= bad.index < behind])
            self.dirty = True
            self.pending_bytes += here.value_bytes
            counts.accepted += taken - before
            self.positions[noun] = here.next
            yield from self.rest_steps()

    def _customers(self, part: RawBatch, decoded: Decoded) -> None:
        """Step what is said about customers who live here; what lies astray is brought home, by one room."""
        parted, counts = part_customers(self._keys, part, decoded, self.partition), self.counts[part.topic]
        erasures = [reject for reject in parted.rejects if reject.error.reason == TOMBSTONE]
        self._reject(part, [reject for reject in parted.rejects if reject.error.reason != TOMBSTONE])
        for reject in erasures:
            self._dead(part, reject.index, ERASED)
        counts.erased += len(erasures)
        if part.topic in self.room.brings:
            for copy in [*parted.astray, *parted.sweeps]:
                self._pending.rekeyed.append((part.topic, copy.partition, copy.write))
            counts.rekeyed += len(parted.astray)
        else:
            counts.astray += len(parted.astray)
        counts.accepted += sum(isinstance(said, Customer) for said in parted.said)
        if parted.said:
            offsets = [part.offsets[place] for place in parted.places]
            timestamps = [part.timestamps[place] for place in parted.places]
            self.room.stage.step(self.state, Batch(part.topic, self.partition, parted.said, offsets, timestamps))

    def _reject(self, part: RawBatch, rejects: list[Reject]) -> None:
        """Dead letters of a slice, and the run they belong to."""
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

    def _dead(self, part: RawBatch, place: int, error: MalformedEvent, not_before_ms: int | None = None) -> None:
        self._pending.letters.append(
            DeadLetter(
                part.topic,
                self.partition,
                part.offsets[place],
                part.keys[place],
                part.values[place],
                part.headers[place],
                error,
                not_before_ms,
            )
        )

    def _screen(self, part: RawBatch, records: list[Any], index: list[int]) -> tuple[list[Any], list[int]]:
        """Take events out of a slice that come from the future, or that belong to another partition."""
        counts = self.counts[part.topic]
        if max(map(_time_of, records)) > self._earliest(part, records) + self.rules.future_ms:
            records, index = self._set_aside_future(part, records, index)
        keys = part.keys if len(records) == len(part) else [part.keys[place] for place in index]
        if HEARTBEAT_KEY in keys:
            counts.heartbeats += keys.count(HEARTBEAT_KEY)
        foreign = self._keys.foreign(keys, records)
        if foreign:
            for here in foreign:
                self._rekey(part, index[here], records[here].customer_id)
            gone = set(foreign)
            records = [record for here, record in enumerate(records) if here not in gone]
            index = [place for here, place in enumerate(index) if here not in gone]
        return records, index

    def _earliest(self, part: RawBatch, records: list[Any]) -> int:
        """When the first of these events arrived, or earlier."""
        brought: Iterable[int | None] = (getattr(record, "arrived_at_ms", None) for record in records)
        return min([min(part.timestamps), *(own for own in brought if own is not None)])

    def _screen_orders(self, part: RawBatch, records: list[Any], index: list[int]) -> tuple[list[Any], list[int]]:
        """Take orders out of a slice that nobody may give, or that were given before."""
        kept: list[Any] = []
        places: list[int] = []
        for record, place in zip(records, index, strict=True):
            fault = self._door.fault(record, part.timestamps[place])
            if fault is None:
                kept.append(record)
                places.append(place)
            elif self.rules.orders.keyring is None:
                self.counts[part.topic].skipped += 1  # a producer may send twice; only signed orders are never copied
            else:
                self._dead(part, place, fault)
                self.counts[part.topic].dead += 1
        return kept, places

    def _set_aside_future(self, part: RawBatch, records: list[Any], index: list[int]) -> tuple[list[Any], list[int]]:
        """Events of the future become dead letters and never move a watermark."""
        rule = f"should be at most {self.rules.future_ms} ms after it was received"
        error = MalformedEvent("event_time_ms", rule, "integer", "future_time")
        kept: list[Any] = []
        places: list[int] = []
        for record, place in zip(records, index, strict=True):
            appended_ms, time_ms = part.timestamps[place], record.event_time_ms
            arrived_ms = appended_ms if isinstance(record, Heartbeat) else arrival_ms(record, appended_ms)
            if time_ms <= arrived_ms + self.rules.future_ms:
                kept.append(record)
                places.append(place)
                continue
            is_due = self.rules.quarantine_future and arrived_ms == appended_ms
            due = time_ms if is_due else None
            self._dead(part, place, error, due)
            if due is None:
                self.counts[part.topic].dead += 1
            else:
                self.counts[part.topic].quarantined += 1
        return kept, places

    def _rekey(self, part: RawBatch, place: int, customer_id: str) -> None:
        """Write a record again, unchanged but for its key, to the partition where its customer lives."""
        key = customer_id.encode()
        headers = [*part.headers[place], (REKEYED_HEADER, f"{self.partition}/{part.offsets[place]}".encode())]
        self._pending.rekeyed.append((part.topic, self._keys.home(key), (key, part.values[place], headers)))
        self.counts[part.topic].rekeyed += 1

    def _add_message(self, writes: dict[tuple[str, int], list[Write]], message: Message, stamp: Headers) -> None:
        """Encode a derived message once and put it on the partition or partitions where it belongs."""
        topic = BY_NOUN[message.noun]
        key = message.key.encode()
        if message.partition is not None:
            targets: Iterable[int] = (message.partition,)
        elif topic.partitioning == "one":
            targets = (0,)
        else:
            targets = range(self.partitions) if topic.broadcast else (self._keys.home(key),)
        write: Write = (key, encode(message.record), stamp)
        for target in targets:
            writes.setdefault((topic.name, target), []).append(write)

    def _add_pending(
        self, writes: dict[tuple[str, int], list[Write]], pending: _Pending, stamp: Headers, now_ms: int
    ) -> None:
        """Dead letters, re-keyed records and ticks."""
        for letter in pending.letters:
            topic = BY_NOUN[letter.noun]
            headers = letter.written_headers(topic.name, self.rules.build, now_ms)
            writes.setdefault((topic.dlq, letter.partition), []).append((letter.key, letter.value, headers))
        for noun, target, write in pending.rekeyed:
            writes.setdefault((BY_NOUN[noun].name, target), []).append(write)
        for tick in pending.ticks:
            record: Write = (tick.room.encode(), encode(tick), stamp)
            writes.setdefault((BY_NOUN["tick"].name, self.partition), []).append(record)
