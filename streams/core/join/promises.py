"""Promise timers: every order that was promised for a time has exactly one outcome, kept, broken or dropped.

    placed            wm           delivered 14:20          promised 15:00
    |-----------------|------------|------------------------|----------->   kept at 14:20
    |-----------------|-------------------------------------|-- wm ----->   broken at 15:00 (nothing delivered by then)
    |-----------------|---- cancelled by the company 14:20 -|----------->   broken at 14:20

Events on time wait until the watermark of the *order topic* has passed them and are then applied in order of (event
time, event id), together with the timers that fall due in between (an event at the promised time comes first). So the
outcome does not depend on the order of arrival within the disorder bound, and it never depends on other topics. A late
event cannot wait: it is applied at once to what is still open. A decided promise stays decided.

The promise is what the latest event (by time, then id) with a promised time says; that event names the line. Attributes
are the latest known ones that are not empty. A promised time more than ``memory_ms`` before its own event, or more
than ``horizon_ms`` after it, is not a promise. Orders that ended are remembered for ``memory_ms`` past the later of end
and promised time, 8 bytes each (``core.join.dedup``), so that repeating the promised time makes no second promise.

An outcome is *on time* (counted in an open bin) unless a late event made it, or its time lay before the event that
stated the promise. Otherwise it joins the customer's episode only. A promise that a late event states for a time
already past waits one disorder bound for the delivery that may be late with it.

State: one value per open promise; events that wait are persisted in one value per drain, deleted once all are applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

import xxhash

from schemas.currencies import OWN, to_minor
from schemas.topics import DAY_MS
from streams.core.amounts import Amount
from streams.core.eventtime import Bounds
from streams.core.join.dedup import Change, Memory
from streams.core.join.rules import PromiseRule

STALE_TIMERS = 10_000
"""Timers of promises decided early stay queued until there are this many of them."""


class Fact(NamedTuple):
    """What a promise needs to know of one order event. Sorts by time, then event id."""

    time_ms: int
    event_id: str
    customer_id: str
    order_id: str
    status: str
    line: str
    values: tuple[str, ...]
    amount_cents: int
    promised_at_ms: int | None
    by_company: bool
    origin: int = 0
    currency: str = OWN
    """As findings name it."""


class Outcome(NamedTuple):
    """A promise was decided: exposure of the delivery signal, failed if broken.

    ``status`` is that of the event that decided it, empty if time did; ``origin`` is that of the event it is named by.
    """

    time_ms: int
    customer_id: str
    line: str
    values: tuple[str, ...]
    failed: bool
    on_time: bool
    event_id: str
    amount: Amount
    order_id: str
    status: str
    origin: int


OrderKey = tuple[str, str]
"""(customer id, order id)."""


@dataclass(slots=True)
class Promise:
    """One open promise. ``stated`` and ``latest`` are (event time, event id); ``origin`` is that of the statement."""

    stated: tuple[int, str]
    latest: tuple[int, str]
    due_ms: int
    fire_ms: int
    line: str
    values: tuple[str, ...]
    amount_cents: int
    origin: int = 0
    currency: str = OWN

    @property
    def on_time(self) -> bool:
        """True if a timer that fires now finds its bin open."""
        return self.fire_ms == self.due_ms >= self.stated[0]

    def state(self, fact: Fact, fire_ms: int) -> None:
        """Take over the promised time of the latest statement."""
        self.stated = fact[:2]
        self.due_ms = fact.promised_at_ms or 0
        self.fire_ms = fire_ms
        self.line = fact.line
        self.origin = fact.origin

    def learn(self, fact: Fact) -> None:
        """Take over attributes, amount and currency that are not empty; an older event only fills gaps."""
        newer = fact[:2] >= self.latest
        if newer and all(fact.values):
            self.values = fact.values
        else:
            self.values = self._filled(fact.values, newer)
        if fact.amount_cents and (newer or not self.amount_cents):
            self.amount_cents = fact.amount_cents
        if fact.currency and (newer or not self.currency):
            self.currency = fact.currency
        if newer:
            self.latest = fact[:2]

    def _filled(self, values: tuple[str, ...], newer: bool) -> tuple[str, ...]:
        pairs = zip(values, self.values, strict=True)
        return tuple(new if new and (newer or not old) else old for new, old in pairs)


class QueueEntry(NamedTuple):
    """An event (kind 0) that waits for the watermark, or a timer (kind 1). Sorts in the order of application."""

    time_ms: int
    kind: int
    event_id: str
    customer_id: str
    order_id: str
    fact: Fact | None


class Promises:
    """All promises of one source partition."""

    def __init__(self, rule: PromiseRule, bounds: Bounds) -> None:
        """Start without promises; ``bounds`` are those of the order topic."""
        self._rule = rule
        self._bounds = bounds
        self.open: dict[OrderKey, Promise] = {}
        self.ended = Memory(DAY_MS)
        self._queue: list[QueueEntry] = []
        self._changed: set[OrderKey] = set()
        self._arrived: list[Fact] = []
        self._chunk_of: dict[tuple[int, str, str], int] = {}  # first three fields of a fact that waits -> its chunk
        self._left: dict[int, int] = {}  # chunk -> how many of its events still wait
        self._next_chunk = 0
        self._gone: list[int] = []

    @property
    def next_ms(self) -> int | float:
        """Time of the next event or timer to apply: call :meth:`advance` once the watermark is past it."""
        return self._queue[0].time_ms if self._queue else float("inf")

    def offer(self, fact: Fact, watermark_ms: int, late: bool) -> Iterator[Outcome]:
        """Take one order event. ``watermark_ms`` is the order topic's before this event, ``late`` its verdict."""
        if late:
            yield from self._apply(fact, watermark_ms, late=True)
        else:
            heappush(self._queue, QueueEntry(fact.time_ms, 0, fact.event_id, fact.customer_id, fact.order_id, fact))
            self._arrived.append(fact)

    def advance(self, watermark_ms: int) -> Iterator[Outcome]:
        """Apply everything before ``watermark_ms`` (the order topic's), in order of time."""
        while self._queue and self._queue[0].time_ms < watermark_ms:
            item = heappop(self._queue)
            if item.fact is not None:
                self._applied(item.fact)
                yield from self._apply(item.fact, watermark_ms, late=False)
            else:
                yield from self._fire((item.customer_id, item.order_id), item.time_ms)

    def _applied(self, fact: Fact) -> None:
        chunk = self._chunk_of.pop(fact[:3], None)
        if chunk is None:
            return  # arrived since the last drain
        self._left[chunk] -= 1
        if not self._left[chunk]:
            del self._left[chunk]
            self._gone.append(chunk)

    def _apply(self, fact: Fact, watermark_ms: int, *, late: bool) -> Iterator[Outcome]:
        key = (fact.customer_id, fact.order_id)
        promise = self.open.get(key)
        states = self._states(fact)
        if promise is None:
            if not states:
                if self._ends(fact.status):
                    self._remember(key, fact.time_ms)
                return
            if self.ended.holds_since(fact.time_ms - self._rule.memory_ms, _order_hash(key)):
                return
            promise = self.open[key] = Promise((0, ""), (0, ""), 0, 0, "", ("",) * len(fact.values), 0)
        promise.learn(fact)
        self._changed.add(key)
        if states and fact[:2] > promise.stated:
            self._set_timer(key, promise, fact, watermark_ms, late)
        if fact.time_ms <= promise.due_ms:
            yield from self._resolve(key, promise, fact, late)

    def _states(self, fact: Fact) -> bool:
        promised = fact.promised_at_ms
        if promised is None:
            return False
        return fact.time_ms - self._rule.memory_ms <= promised <= fact.time_ms + self._rule.horizon_ms

    def _ends(self, status: str) -> bool:
        rule = self._rule
        return status in rule.kept or status in rule.dropped or status in rule.cancelled

    def _set_timer(self, key: OrderKey, promise: Promise, fact: Fact, watermark_ms: int, late: bool) -> None:
        due = fact.promised_at_ms or 0
        fire = max(due, watermark_ms + self._bounds.disorder_ms) if late else due
        if fire != promise.fire_ms:
            heappush(self._queue, QueueEntry(fire, 1, "", *key, None))
        promise.state(fact, fire)

    def _resolve(self, key: OrderKey, promise: Promise, fact: Fact, late: bool) -> Iterator[Outcome]:
        """Let the status of an event that is not past the promised time decide, if it decides anything."""
        rule, status = self._rule, fact.status
        broken = status in rule.broken or (status in rule.cancelled and fact.by_company)
        if broken or status in rule.kept:
            yield self._outcome(key, promise, fact, broken, not late)
            self._end(key, promise, fact.time_ms)
        elif status in rule.dropped or status in rule.cancelled:
            self._end(key, promise, fact.time_ms)

    def _fire(self, key: OrderKey, time_ms: int) -> Iterator[Outcome]:
        promise = self.open.get(key)
        if promise is not None and promise.fire_ms == time_ms:  # otherwise decided or revised since
            yield self._outcome(key, promise, None, True, promise.on_time)
            self._end(key, promise, promise.due_ms)

    def _outcome(self, key: OrderKey, promise: Promise, fact: Fact | None, failed: bool, on_time: bool) -> Outcome:
        """Say what came of a promise: ``fact`` decided it, or its time."""
        return Outcome(
            promise.due_ms if fact is None else fact.time_ms,
            key[0],
            promise.line,
            promise.values,
            failed,
            on_time,
            promise.stated[1] if fact is None else fact.event_id,
            (promise.currency, to_minor(promise.amount_cents, promise.currency)),
            key[1],
            "" if fact is None else fact.status,
            promise.origin if fact is None else fact.origin,
        )

    def _end(self, key: OrderKey, promise: Promise, time_ms: int) -> None:
        del self.open[key]
        self._changed.add(key)
        self._remember(key, max(time_ms, promise.due_ms))

    def _remember(self, key: OrderKey, time_ms: int) -> None:
        self.ended.add(time_ms, _order_hash(key))

    def forget(self, oldest_ms: int) -> None:
        """Drop what no event at or after ``oldest_ms`` (the oldest that the order topic still accepts) can need."""
        self.ended.forget(oldest_ms - self._rule.memory_ms)
        if len(self._queue) > 2 * len(self.open) + len(self._chunk_of) + len(self._arrived) + STALE_TIMERS:
            self._queue = [item for item in self._queue if item.kind == 0 or self._is_live(item)]
            heapify(self._queue)

    def _is_live(self, timer: QueueEntry) -> bool:
        promise = self.open.get((timer.customer_id, timer.order_id))
        return promise is not None and promise.fire_ms == timer.time_ms

    def drain_open(self) -> Iterator[tuple[OrderKey, tuple[Any, ...] | None]]:
        """Yield changed promises, None for those that ended."""
        for key in sorted(self._changed):
            promise = self.open.get(key)
            yield (
                key,
                None
                if promise is None
                else (
                    promise.stated,
                    promise.latest,
                    promise.due_ms,
                    promise.fire_ms,
                    promise.line,
                    promise.values,
                    promise.amount_cents,
                    promise.origin,
                    promise.currency,
                ),
            )
        self._changed.clear()

    def drain_pending(self, watermark_ms: int) -> Iterator[tuple[int, list[Fact] | None]]:
        """Yield (chunk, events that came since the last drain and still wait), and None for chunks fully applied.

        Everything before ``watermark_ms`` (the order topic's) must have been applied.
        """
        yield from ((chunk, None) for chunk in self._gone)
        self._gone = []
        facts = [fact for fact in self._arrived if fact.time_ms >= watermark_ms]
        self._arrived = []
        if facts:
            yield self._next_chunk, facts
            self._enlist(self._next_chunk, facts)

    def drain_ended(self, rest_before_ms: int) -> Iterator[Change]:
        """Yield changes of the memory of ended orders."""
        return self.ended.drain(rest_before_ms)

    def _enlist(self, chunk: int, facts: list[Fact]) -> None:
        self._left[chunk] = len(facts)
        self._chunk_of.update((fact[:3], chunk) for fact in facts)
        self._next_chunk = max(self._next_chunk, chunk + 1)

    def load_open(self, key: OrderKey, value: Iterable[Any]) -> None:
        """Take back one open promise and set its timer."""
        stated, latest, due_ms, fire_ms, line, values, *rest = value
        self.open[key] = Promise(tuple(stated), tuple(latest), due_ms, fire_ms, line, tuple(values), *rest)
        heappush(self._queue, QueueEntry(fire_ms, 1, "", *key, None))

    def load_pending(self, chunk: int, rows: Iterable[Iterable[Any]], watermark_ms: int) -> None:
        """Take back one chunk of waiting events; those before ``watermark_ms`` were applied before the drain."""
        facts = [Fact(*row) for row in rows]
        still = [fact for fact in facts if fact.time_ms >= watermark_ms]
        for fact in still:
            heappush(self._queue, QueueEntry(fact.time_ms, 0, fact.event_id, fact.customer_id, fact.order_id, fact))
        self._enlist(chunk, still)


def _order_hash(key: OrderKey) -> int:
    customer = xxhash.xxh3_64_intdigest(key[0].encode())
    return xxhash.xxh3_64_intdigest(key[1].encode(), customer)
