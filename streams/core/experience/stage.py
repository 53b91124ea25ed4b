"""experience: how each contact and each order went for its customer, reported anew whenever that changes.

    order, contact --> events of each customer's contacts and orders --+--> ContactCase, OrderOutcome (absolute)
                                    ^                                   |
                       watermark: 7 days are over, promises fall due ---+--> Watermark

What is reported is a function of the customer's events and of the watermark (``core.experience.history``), so order of
arrival, duplicates, cuts, restarts and the number of partitions cannot matter. Events older than their topic's lateness
change nothing; join says which those are.

A flush tells what differs between the events and the watermark of the last flush and those of now. A contact or order
that turns out to have begun on another day is reported as gone, with its former beginning: the tables sort by day.

From ``episode`` only join's progress is read: while no customer orders or contacts the company, time goes on by it.

State keys are msgpack: ``w`` clocks and marks | ``c`` customer.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import msgspec
import xxhash

from schemas.drills import is_drill
from schemas.events import MIN_TIME_MS, Heartbeat
from schemas.experience import ContactCase
from schemas.findings import Watermark
from schemas.hotfindings import contact_case, order_outcome
from schemas.topics import DAY_MS
from streams.core.eventtime import MAX_ARRIVAL_MS, PartitionClock, arrival_ms
from streams.core.experience.facts import read_contact, read_order
from streams.core.experience.history import Conclusions, CustomerEvents, Findings, Node, history_of, next_of, packed
from streams.core.experience.rules import ExperienceRules
from streams.core.stage import Batch, Drained, Idle, Message

PROGRESS_KEY = "cx.progress"
"""Record key of Watermark; it is written with explicit partition."""
_MARK = Watermark.model_fields["kind"].default
_CASE = ContactCase.model_fields["kind"].default
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


@dataclass(slots=True)
class ExperienceState:
    """What one partition remembers. Customers lie packed; those with events since the last flush are open as well."""

    partition: int
    clock: PartitionClock
    customers: dict[str, bytes] = field(default_factory=dict)
    open: dict[str, CustomerEvents] = field(default_factory=dict)
    due: list[tuple[int, str]] = field(default_factory=list)
    """(when to look again, customer), a heap; an entry counts if its customer still says so."""
    led_ms: int = 0
    """How far join has come in event time."""
    judged_ms: int = 0
    """Watermark of the last flush: what was reported last is what it stated."""
    marks_written: bytes = b""


class ExperienceStage:
    """The pure room. See ``core.stage.Stage``."""

    def __init__(self, rules: ExperienceRules | None = None) -> None:
        """Keep the rules."""
        self.rules = rules or ExperienceRules()

    def start(self, partition: int, partitions: int) -> ExperienceState:
        """Return the state of a partition that has seen nothing."""
        del partitions
        return ExperienceState(partition, PartitionClock(self.rules.bounds, self.rules.clock_customers))

    def load(self, partition: int, partitions: int, items: Iterable[tuple[bytes, bytes]]) -> ExperienceState:
        """Rebuild the state from the live pairs of its state topic, in any order."""
        state = self.start(partition, partitions)
        for key, value in items:
            kind, *rest = _unpack(key)
            if kind == "c":
                state.customers[rest[0]] = value
                state.due.append((next_of(value), rest[0]))
            else:
                _load_marks(state, value)
        heapq.heapify(state.due)
        return state

    def clock_ms(self, state: ExperienceState, topic: str) -> int:
        """How far a topic has come; 0 if nothing was heard."""
        return state.clock.topics[topic].newest_ms

    def disorder_ms(self, topic: str) -> int:
        """How far behind its clock an event of a topic is on time."""
        return self.rules.bounds[topic].disorder_ms

    def led_ms(self, state: ExperienceState) -> int:
        """How far event time has come by what join says; 0 if nothing was read."""
        return state.led_ms

    def step(self, state: ExperienceState, batch: Batch | Idle) -> None:
        """Fold one batch of one topic (or an idle passage) into the state."""
        if isinstance(batch, Idle):
            state.clock.pass_idle(batch.topics, batch.event_time_ms)
        elif batch.topic == "episode":
            marks = [record.through_ms for record in batch.records if record.kind == _MARK]
            state.led_ms = max(state.led_ms, *marks) if marks else state.led_ms
        else:
            self._fold(state, batch)

    def _fold(self, state: ExperienceState, batch: Batch) -> None:
        clock = state.clock.topics[batch.topic]
        is_order = batch.topic == "order"
        oldest_ms = clock.oldest_ms
        for event, appended_ms in zip(batch.records, batch.timestamps or repeat(MAX_ARRIVAL_MS), strict=False):
            time_ms = event.event_time_ms
            if type(event) is Heartbeat:
                clock.hear(min(time_ms, appended_ms))
                oldest_ms = clock.oldest_ms
                continue
            if time_ms < oldest_ms or is_drill(event.customer_id):
                continue
            history = state.open.get(event.customer_id)
            if history is None:
                history = _opened(state, event.customer_id)
            if is_order:
                history.order(event.order_id, read_order(event), self.rules)
            else:
                history.contact(event.contact_id, read_contact(event), self.rules)
            if time_ms > clock.newest_ms:
                customer = xxhash.xxh3_64_intdigest(event.customer_id.encode())
                clock.follow(customer, min(time_ms, arrival_ms(event, appended_ms)))
                oldest_ms = clock.oldest_ms

    def drain(self, state: ExperienceState) -> Drained:
        """Contacts and orders of which anything changed, by customer, then the watermark; state keys sorted."""
        watermark_ms = state.clock.watermark_ms
        drained = Drained()
        for customer in sorted({*state.open, *_due(state, watermark_ms)}):
            history = state.open.get(customer)
            drained.messages += self._tell(state, customer, history, watermark_ms)
            stored = state.customers.get(customer)
            drained.changes.append((_pack(("c", customer)), stored))
        state.open.clear()
        if watermark_ms > max(state.judged_ms, MIN_TIME_MS):
            mark = Watermark(partition=state.partition, through_ms=watermark_ms)
            drained.messages.append(Message("contact_case", PROGRESS_KEY, mark, partition=state.partition))
        state.judged_ms = watermark_ms
        marks = _packed_marks(state)
        if marks != state.marks_written:
            state.marks_written = marks
            drained.changes.append((_pack(("w",)), marks))
        return drained

    def _tell(
        self, state: ExperienceState, customer: str, history: CustomerEvents | None, watermark_ms: int
    ) -> Iterable[Message]:
        stored = state.customers.pop(customer, None)
        before: Findings = {}
        if stored is not None:
            known = history_of(stored)
            before = Conclusions(known, state.judged_ms, self.rules).findings(customer)
            history = history or known
        if history is None:
            return ()
        verdict = Conclusions(history, watermark_ms, self.rules)
        now = verdict.findings(customer)
        next_ms = verdict.forget()
        if history and next_ms is not None:
            state.customers[customer] = packed(history, next_ms)
            heapq.heappush(state.due, (next_ms, customer))
        return _messages(state.partition, customer, before, now)


def _opened(state: ExperienceState, customer: str) -> CustomerEvents:
    stored = state.customers.get(customer)
    history = state.open[customer] = CustomerEvents() if stored is None else history_of(stored)
    return history


def _due(state: ExperienceState, watermark_ms: int) -> Iterator[str]:
    """Customers about whom time has decided something."""
    while state.due and state.due[0][0] < watermark_ms:
        next_ms, customer = heapq.heappop(state.due)
        stored = state.customers.get(customer)
        if stored is not None and next_of(stored) == next_ms:
            yield customer


def _messages(home: int, customer: str, before: Findings, now: Findings) -> Iterator[Message]:
    for node in sorted(before.keys() | now) if before else sorted(now):
        old, new = before.get(node), now.get(node)
        if old is not None and (new is None or _day(old) != _day(new)):
            yield _message(home, customer, node, _gone(old))
        if new is not None and new != old:
            yield _message(home, customer, node, new)


def _message(home: int, customer: str, node: Node, record: Any) -> Message:
    """Of a contact or an order, for its customer's partition: nobody else is in the state of one."""
    if node[0] == "case":
        return Message("contact_case", customer, record, home)
    return Message("order_outcome", customer, record, home)


def _day(reported: Any) -> int:
    began: int = reported.opened_at_ms if _is_case(reported) else reported.placed_at_ms
    return began // DAY_MS


def _is_case(reported: Any) -> bool:
    return bool(reported.kind == _CASE)


def _gone(reported: Any) -> Any:
    """The same, reported as gone."""
    make: Any = contact_case if _is_case(reported) else order_outcome
    return make(*(True if name == "gone" else getattr(reported, name) for name in reported.__struct_fields__))


def _packed_marks(state: ExperienceState) -> bytes:
    """Topic -> newest time, topic -> [(time, customer's hash)] of who is ahead, watermark of the last flush, join's."""
    newest = {topic: clock.newest_ms for topic, clock in state.clock.topics.items()}
    ahead = {
        topic: [(ms, who.to_bytes(8, "little")) for ms, who in sorted((ms, who) for who, ms in clock.ahead.items())]
        for topic, clock in state.clock.topics.items()
    }
    return _pack((newest, ahead, state.judged_ms, state.led_ms))


def _load_marks(state: ExperienceState, stored: bytes) -> None:
    newest, ahead, state.judged_ms, state.led_ms = _unpack(stored)
    for topic, newest_ms in newest.items():
        state.clock.topics[topic].hear(newest_ms)
    for topic, customers in ahead.items():
        for time_ms, customer in customers:
            state.clock.topics[topic].follow(int.from_bytes(customer, "little"), time_ms)
    state.marks_written = stored
