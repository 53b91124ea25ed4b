"""The join room: three streams of one partition in, cohort counts and episodes out, all by event time.

    telemetry --+  too old? seen before? late?   +-- on time --> open bins ------> CohortCount, SourceCount, BinClosed
    order ------+------------------------------->+-- always ---> episodes -------> Episode, Watermark
    contact ----+          |                     +-- order ----> promise timers -> both
                           +--> Late (changes nothing)

Whether an event is late is decided by its own topic's clock, so it does not matter how the three topics interleave;
bins close and memory expires by the partition's watermark, the slowest of the three. Because a bin closes only when no
event on time can still belong to it, it does not matter either when ``drain`` looks: fewer drains skip intermediate
versions, nothing else.

The rules (``core.join.rules``) are compiled once into one reader per topic; :meth:`JoinStage.step` is the only loop
over events. Late: an event older than the topic's newest by more than its disorder bound joins episodes but no bin.

State topic: keys and values are msgpack. A key starts with its kind:
``w`` clocks | ``d`` dedup slice | ``b`` bin additions | ``k`` cohort place | ``s`` source counts | ``p`` promise |
``q`` waiting order events | ``e`` ended orders | ``r`` slice of what went well | ``c`` customer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import attrgetter
from types import MappingProxyType
from typing import Any

import msgspec
import xxhash

from schemas.events import MIN_TIME_MS, Heartbeat
from schemas.findings import BinClosed, Family, Late, Watermark
from schemas.topics import DAY_MS, MINUTE_MS
from streams.core.eventtime import MAX_ARRIVAL_MS, PartitionClock, arrival_ms, floor_ms
from streams.core.join.cohorts import OpenBins
from streams.core.join.dedup import customer_hash
from streams.core.join.episodes import CustomerFailure, Episodes, OpenedContact
from streams.core.join.promises import Fact, Outcome, Promises
from streams.core.join.repairs import Leaving, Naming, Promised, Success, SuccessLog, finder, logs_of, naming, note
from streams.core.join.rules import FamilyRule, JoinRules
from streams.core.join.seen import SeenEvents
from streams.core.join.sourcecount import ACCEPTED, DUPLICATE, LATE, CellKey, TopicSources
from streams.core.recovery import ORIGINS
from streams.core.stage import Batch, Drained, Idle, Message

SHOWN_MS = MINUTE_MS
"""Open bins of the last minute are shown as they fill. When a topic catches up, hours of bins are open: those are sent
once, when they close."""
PROGRESS_KEY = "cx.progress"
"""Record key of BinClosed and Watermark; they are written with explicit partition."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode

Values = tuple[str, ...]
Admitted = tuple[Any, int, int, bool, int]
"""An accepted event: record, its time, its customer's hash, late?, newest time of its topic when it came."""


def _tuple_of(names: Sequence[str]) -> Callable[[Any], Values]:
    """Return a fast reader of several fields as a tuple, also for a single one."""
    if len(names) > 1:
        return attrgetter(*names)
    read = attrgetter(names[0])
    return lambda event: (read(event),)


class CompiledRule:
    """A family rule compiled for the loop over events."""

    __slots__ = ("amount", "exposed", "exposed_values", "failed", "failed_values", "family", "leaving", "values")

    def __init__(self, rule: FamilyRule, rules: JoinRules) -> None:
        """Compile ``rule``, one of ``rules``."""
        self.family: Family = rule.family
        self.exposed = attrgetter(rule.exposed.name)
        self.exposed_values = rule.exposed.values
        self.failed = attrgetter(rule.failed.name)
        self.failed_values = rule.failed.values
        self.values = _tuple_of(rule.attributes)
        self.amount: Callable[[Any], int] = attrgetter(rule.amount) if rule.amount else lambda _: 0
        self.leaving = Leaving(rules, rule.topic, rule.family)


@dataclass(slots=True)
class JoinState:
    """Everything one partition of the join room remembers. Opaque to others."""

    partition: int
    partitions: int
    clock: PartitionClock
    seen: dict[str, SeenEvents]
    bins: OpenBins
    sources: dict[str, TopicSources]
    promises: Promises
    episodes: Episodes
    logs: dict[str, SuccessLog]
    closed_ms: int = 0
    """Bins before this are closed and were announced."""
    through_ms: int = 0
    """Watermark last sent on the episode topic."""
    clocks_written: bytes = b""
    late: list[Message] = field(default_factory=list)


class JoinStage:
    """The pure room. See ``core.stage.Stage``."""

    def __init__(self, rules: JoinRules | None = None) -> None:
        """Compile the rules (defaults: ``JoinRules()``)."""
        self.rules = rules or JoinRules()
        self._readers = {
            topic: tuple(CompiledRule(rule, self.rules) for rule in self.rules.families if rule.topic == topic)
            for topic in self.rules.bounds
        }
        self._promise_values = _tuple_of(self.rules.promise.attributes)
        self._successes = {rule.topic: Success(self.rules, index) for index, rule in enumerate(self.rules.repairs)}
        self._promised = Promised(self.rules)
        self._named = next((Naming(rule, index) for index, rule in naming(self.rules, "order", "contact")), None)

    # -- state ---------------------------------------------------------------------------------------------------

    def start(self, partition: int, partitions: int) -> JoinState:
        """Return the state of a partition that has seen nothing."""
        rules = self.rules
        return JoinState(
            partition=partition,
            partitions=partitions,
            clock=PartitionClock(rules.bounds, rules.clock_customers),
            seen={topic: SeenEvents() for topic in rules.bounds},
            bins=OpenBins(rules, partition),
            sources={topic: TopicSources(topic, partition, rules.bin_ms) for topic in rules.bounds},
            promises=Promises(rules.promise, rules.bounds["order"]),
            episodes=Episodes(rules),
            logs=logs_of(rules),
        )

    def load(self, partition: int, partitions: int, items: Iterable[tuple[bytes, bytes]]) -> JoinState:
        """Rebuild the state from the live pairs of its state topic, in any order."""
        state = self.start(partition, partitions)
        by_kind: dict[str, list[tuple[list[Any], Any]]] = {}
        for raw_key, raw_value in items:
            kind, *key = _unpack(raw_key)
            if kind == "c":  # by far the most: they stay packed
                state.episodes.load(key[0], raw_value)
                continue
            by_kind.setdefault(kind, []).append((key, _unpack(raw_value)))
        for _, clocks in by_kind.get("w", ()):
            _load_clocks(state, *clocks)
        self._load_events(state, by_kind)
        self._load_promises(state, by_kind)
        return state

    def _load_events(self, state: JoinState, by_kind: dict[str, list[tuple[list[Any], Any]]]) -> None:
        slices: dict[str, dict[tuple[int, ...], bytes]] = {}
        for (topic, *key), value in by_kind.get("d", ()):
            slices.setdefault(topic, {})[tuple(key)] = value
        for topic, clock in state.clock.topics.items():
            state.seen[topic].load(slices.get(topic, {}), clock.newest_ms)
        for (bin_ms, number), rows in by_kind.get("b", ()):
            state.bins.load(bin_ms, number, [(row[0], row[1], tuple(row[2]), row[3], row[4]) for row in rows])
        for (line, family, values), hour_ms in by_kind.get("k", ()):
            state.bins.admitted.load((line, family, tuple(values)), hour_ms)
        for (topic, start_ms, *width), rows in by_kind.get("s", ()):
            state.sources[topic].load((start_ms, *width), rows, state.closed_ms)
        for topic, clock in state.clock.topics.items():
            state.sources[topic].age(clock.newest_ms)

    def _load_promises(self, state: JoinState, by_kind: dict[str, list[tuple[list[Any], Any]]]) -> None:
        watermark_ms = state.clock.topics["order"].watermark_ms
        for (customer_id, order_id), value in by_kind.get("p", ()):
            state.promises.load_open((customer_id, order_id), value)
        for (chunk,), rows in by_kind.get("q", ()):
            facts = [(*row[:6], tuple(row[6]), *row[7:]) for row in rows]
            state.promises.load_pending(chunk, facts, watermark_ms)
        state.promises.ended.load({(start_ms, first): value for (start_ms, first), value in by_kind.get("e", ())})
        went_well: dict[str, dict[tuple[int, int], bytes]] = {topic: {} for topic in state.logs}
        for (topic, start_ms, first), value in by_kind.get("r", ()):
            went_well[topic][start_ms, first] = value
        for topic, slices in went_well.items():
            state.logs[topic].load(slices)

    def clock_ms(self, state: JoinState, topic: str) -> int:
        """How far a topic has come; 0 if nothing was heard."""
        return state.clock.topics[topic].newest_ms

    def disorder_ms(self, topic: str) -> int:
        """How far behind its clock an event of a topic is on time."""
        return self.rules.bounds[topic].disorder_ms

    # -- events --------------------------------------------------------------------------------------------------

    def step(self, state: JoinState, batch: Batch | Idle) -> None:
        """Fold one batch of one topic (or an idle passage) into the state."""
        if isinstance(batch, Idle):
            state.clock.pass_idle(batch.topics, batch.event_time_ms)
            self._advance(state)
        else:
            self._fold(state, batch)

    def _fold(self, state: JoinState, batch: Batch) -> None:
        admitted = _admit(state, batch, self.rules.bin_ms)
        for reader in self._readers[batch.topic]:
            _count(state, reader, admitted, self.rules.bin_ms)
        if (success := self._successes.get(batch.topic)) is not None:
            note(success, state.logs[batch.topic], state.episodes, admitted)
        if batch.topic == "order":
            self._follow_promises(state, admitted)
        elif batch.topic == "contact":
            self._attach_contacts(state, admitted)
        self._advance(state)

    def _follow_promises(self, state: JoinState, admitted: list[Admitted]) -> None:
        promises, disorder_ms = state.promises, self.rules.bounds["order"].disorder_ms
        for event, time_ms, _, late, newest_ms in admitted:
            watermark_ms = newest_ms - disorder_ms
            if promises.next_ms < watermark_ms:
                _conclude(state, self._promised, promises.advance(watermark_ms))
            fact = Fact(
                time_ms,
                event.event_id,
                event.customer_id,
                event.order_id,
                event.status,
                event.product,
                self._promise_values(event),
                event.amount_cents,
                event.promised_at_ms,
                event.cancelled_by == "company",
                ORIGINS.index(event.origin),
            )
            _conclude(state, self._promised, promises.offer(fact, watermark_ms, late))

    def _attach_contacts(self, state: JoinState, admitted: list[Admitted]) -> None:
        opened, named, attach_ms = self.rules.contact.opened, self._named, self.rules.attach_ms
        for event, time_ms, customer, _, newest_ms in admitted:
            order = named(event, customer) if named is not None and named.is_given(event) else 0
            by_order = time_ms < newest_ms - attach_ms
            if (order or not by_order) and getattr(event, opened.name) in opened.values:
                contacted = OpenedContact(time_ms, event.contact_id, event.product, event.reason, order, by_order)
                state.episodes.contact(event.customer_id, contacted)

    def _advance(self, state: JoinState) -> None:
        """Let promises see how far the order topic has come."""
        watermark_ms = state.clock.topics["order"].watermark_ms
        if state.promises.next_ms < watermark_ms:
            _conclude(state, self._promised, state.promises.advance(watermark_ms))

    # -- results -------------------------------------------------------------------------------------------------

    def drain(self, state: JoinState) -> Drained:
        """Return what changed since the last drain: late events, counts of bins, progress, episodes, state.

        Messages come in a fixed order; every closed count comes before the BinClosed that announces it, every episode
        before its Watermark. Changes are sorted by key.
        """
        state.episodes.look_up(finder(self.rules, state.logs))
        watermark_ms = state.clock.watermark_ms
        through_ms = max(state.closed_ms, floor_ms(watermark_ms, self.rules.bin_ms))
        messages, state.late = state.late, []
        messages += _counts(state, through_ms)
        if through_ms > max(state.closed_ms, MIN_TIME_MS):
            closed = BinClosed(partition=state.partition, partitions=state.partitions, through_ms=through_ms)
            messages.append(Message("cohort_count", PROGRESS_KEY, closed, partition=0))
            state.closed_ms = through_ms
        messages += [Message("episode", episode.customer_id, episode) for episode in state.episodes.messages()]
        if watermark_ms > max(state.through_ms, MIN_TIME_MS):
            mark = Watermark(partition=state.partition, through_ms=watermark_ms)
            messages.append(Message("episode", PROGRESS_KEY, mark, partition=state.partition))
            state.through_ms = watermark_ms
        _forget(state, self.rules)
        return Drained(sorted(_changes(state), key=lambda change: change[0]), messages)


def _admit(state: JoinState, batch: Batch, width_ms: int) -> list[Admitted]:
    """Sort out what is too old or was seen before, move the topic's clock, count per producer; return the rest."""
    clock = state.clock.topics[batch.topic]
    disorder_ms, lateness_ms = clock.bounds.disorder_ms, clock.bounds.lateness_ms
    newest_ms = clock.newest_ms
    stamps = batch.timestamps or repeat(MAX_ARRIVAL_MS, len(batch.records))
    seen, digest = state.seen[batch.topic], xxhash.xxh3_64_intdigest
    admitted: list[Admitted] = []
    accepted: list[CellKey] = []
    repeated: list[CellKey] = []
    minute_ms = -1
    for index, (event, appended_ms) in enumerate(zip(batch.records, stamps, strict=True)):
        time_ms = event.event_time_ms
        if type(event) is Heartbeat:
            clock.hear(min(time_ms, appended_ms))
            newest_ms = clock.newest_ms
            continue
        if time_ms < newest_ms - lateness_ms:
            state.late.append(_late(batch, index, max(MIN_TIME_MS, newest_ms - disorder_ms)))
            continue
        if not 0 <= time_ms - minute_ms < MINUTE_MS:
            minute_ms = time_ms - time_ms % MINUTE_MS
            bucket, mix = seen.bucket_of(minute_ms)
            recent, log, rested = bucket.recent, bucket.log.append, bucket.rested
        customer = digest(event.customer_id.encode())  # customer_hash and event_hash, without the calls
        identity = digest(event.event_id.encode(), customer) ^ mix
        cell = (time_ms - time_ms % width_ms, event.source)
        if identity in recent or (rested and identity in bucket):
            repeated.append(cell)
            continue
        recent.add(identity)
        log(identity)
        accepted.append(cell)
        admitted.append((event, time_ms, customer, time_ms < newest_ms - disorder_ms, newest_ms))
        if time_ms > newest_ms:
            clock.follow(customer, min(time_ms, arrival_ms(event, appended_ms)))
            newest_ms = clock.newest_ms
    sources = state.sources[batch.topic]
    sources.count(ACCEPTED, Counter(accepted))
    sources.count(DUPLICATE, Counter(repeated))
    sources.count(LATE, Counter((floor_ms(item[1], width_ms), item[0].source) for item in admitted if item[3]))
    return admitted


def _late(batch: Batch, index: int, watermark_ms: int) -> Message:
    event = batch.records[index]
    record = Late(
        topic=batch.topic,
        partition=batch.partition,
        offset=batch.offsets[index],
        source=event.source,
        event_time_ms=event.event_time_ms,
        watermark_ms=watermark_ms,
    )
    return Message("late", event.source, record)


def _count(state: JoinState, reader: CompiledRule, admitted: list[Admitted], width_ms: int) -> None:
    """Count exposure and failure of one family: on time in bins, failures in any case in episodes."""
    exposed, exposed_values = reader.exposed, reader.exposed_values
    failed, failed_values = reader.failed, reader.failed_values
    family, values_of = reader.family, reader.values
    bins, bin_ms = state.bins, -1
    for event, time_ms, customer, late, newest_ms in admitted:
        if exposed(event) not in exposed_values:
            continue
        values = values_of(event)
        is_failure = failed(event) in failed_values
        if not late:
            if not 0 <= time_ms - bin_ms < width_ms:
                bin_ms = time_ms - time_ms % width_ms
                cells = bins.cells(bin_ms)
            key = (event.product, family, values)
            leaf = cells.get(key)
            if leaf is None or customer not in leaf.exposed:
                leaf = cells.expose(key, leaf, customer)
            if is_failure:
                cells.fail(key, leaf, customer)
        if is_failure:
            failure = CustomerFailure(
                time_ms,
                event.customer_id,
                event.product,
                family,
                values,
                event.event_id,
                reader.amount(event),
                reader.leaving(event, customer, newest_ms - time_ms),
                ORIGINS.index(event.origin),
            )
            state.episodes.fail(failure)


def _conclude(state: JoinState, promised: Promised, outcomes: Iterable[Outcome]) -> None:
    """Count decided promises."""
    family = promised.family
    for outcome in outcomes:
        customer = customer_hash(outcome.customer_id)
        if outcome.on_time:
            key = (outcome.line, family, outcome.values)
            state.bins.count(outcome.time_ms, key, customer, outcome.failed)
        if outcome.failed:
            failure = CustomerFailure(
                outcome.time_ms,
                outcome.customer_id,
                outcome.line,
                family,
                outcome.values,
                outcome.event_id,
                max(0, outcome.amount_cents),
                promised(customer, outcome.order_id, outcome.status),
                outcome.origin,
            )
            state.episodes.fail(failure)


def _counts(state: JoinState, through_ms: int) -> Iterator[Message]:
    """Yield closed cohort counts, source counts of closed bins, then open cohort counts."""
    for count in state.bins.close(through_ms):
        yield Message("cohort_count", count.line, count)
    for topic in sorted(state.sources):
        for source in state.sources[topic].messages(through_ms):
            yield Message("source_count", source.source, source)
    newest_ms = max(clock.newest_ms for clock in state.clock.topics.values())
    for count in state.bins.preview(newest_ms - SHOWN_MS):
        yield Message("cohort_count", count.line, count)


def _forget(state: JoinState, rules: JoinRules) -> None:
    """Drop everything that no event still to be accepted can need."""
    newest = {topic: clock.newest_ms for topic, clock in state.clock.topics.items()}
    for topic, log in state.logs.items():
        log.forget(min(newest[noun] - reach_ms for noun, reach_ms in rules.reaches(topic).items()))
    for topic, clock in state.clock.topics.items():
        state.seen[topic].forget(clock.oldest_ms)
        state.seen[topic].age(clock.newest_ms)
        state.sources[topic].forget(min(clock.oldest_ms, state.closed_ms))
        state.sources[topic].age(clock.newest_ms)
    state.promises.forget(state.clock.topics["order"].oldest_ms)
    state.episodes.forget(state.clock.watermark_ms)


def _changes(state: JoinState) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield every changed key of the state topic."""
    clocks = _packed_clocks(state)
    if clocks != state.clocks_written:
        state.clocks_written = clocks
        yield _pack(("w",)), clocks
    for topic, memory in state.seen.items():
        rest_before_ms = state.clock.topics[topic].watermark_ms - MINUTE_MS
        yield from (_change(("d", topic, *key), value) for key, value in memory.drain(rest_before_ms))
        yield from ((_pack(("s", topic, *key)), value) for key, value in state.sources[topic].drain())
    yield from (_change(("b", *key), value) for key, value in state.bins.drain())
    yield from (_change(("k", *key), value) for key, value in state.bins.admitted.drain())
    order_ms = state.clock.topics["order"].watermark_ms
    yield from (_change(("p", *key), value) for key, value in state.promises.drain_open())
    yield from (_change(("q", key), value) for key, value in state.promises.drain_pending(order_ms))
    yield from (_change(("e", *key), value) for key, value in state.promises.drain_ended(order_ms - DAY_MS))
    for topic, log in state.logs.items():
        yield from (_change(("r", topic, *key), value) for key, value in log.drain())
    yield from ((_pack(("c", key)), packed) for key, packed in state.episodes.drain())


def _packed_clocks(state: JoinState) -> bytes:
    """Topic -> newest time, the two marks of progress, topic -> [(time, customer's hash)] of who is ahead."""
    topics = state.clock.topics
    newest = {topic: clock.newest_ms for topic, clock in topics.items()}
    ahead = {
        topic: [(ms, who.to_bytes(8, "little")) for ms, who in sorted((ms, who) for who, ms in clock.ahead.items())]
        for topic, clock in topics.items()
    }
    return _pack((newest, state.closed_ms, state.through_ms, ahead))


def _load_clocks(
    state: JoinState,
    newest: dict[str, int],
    closed_ms: int,
    through_ms: int,
    ahead: Mapping[str, list[tuple[int, bytes]]] = MappingProxyType({}),
) -> None:
    """Take the clocks back; ``ahead`` is missing where one event moved a clock alone (before 2026-11-28)."""
    for topic, newest_ms in newest.items():
        state.clock.topics[topic].hear(newest_ms)
    for topic, customers in ahead.items():
        for time_ms, customer in customers:
            state.clock.topics[topic].follow(int.from_bytes(customer, "little"), time_ms)
    state.closed_ms, state.through_ms = closed_ms, through_ms
    state.clocks_written = _packed_clocks(state)


def _change(key: tuple[Any, ...], value: object) -> tuple[bytes, bytes | None]:
    return _pack(key), None if value is None else _pack(value)
