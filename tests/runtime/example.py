"""A small room for the runtime's own tests: counts each customer's events and says so on the episode topic.

Counting is not idempotent: any event lost, or folded in twice, shows in the last episode of its customer.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from schemas.events import Contact, Order, Telemetry
from schemas.findings import Episode, Watermark
from streams.core.stage import Batch, Drained, Idle, Message
from streams.runtime.room import Room

START_MS = 1_767_225_600_000
INPUTS = ("telemetry", "order", "contact")


@dataclass
class Counting:
    """Events per customer and topic."""

    partition: int
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    idle_ms: int = 0
    emitted_ms: int = 0


class CountStage:
    """The pure room."""

    def start(self, partition: int, partitions: int) -> Counting:
        return Counting(partition)

    def load(self, partition: int, partitions: int, items: Iterable[tuple[bytes, bytes]]) -> Counting:
        state = Counting(partition)
        for key, value in items:
            if key == b"idle":
                state.idle_ms = state.emitted_ms = int(value)
            else:
                state.counts[key[2:].decode()] = json.loads(value)
        return state

    def step(self, state: Counting, batch: Batch | Idle) -> None:
        if isinstance(batch, Idle):
            state.idle_ms = max(state.idle_ms, batch.event_time_ms)
            return
        for record in batch.records:
            customer = getattr(record, "customer_id", None)
            if customer is not None:
                counts = state.counts.setdefault(customer, {})
                counts[batch.topic] = counts.get(batch.topic, 0) + 1
                state.changed.add(customer)

    def drain(self, state: Counting) -> Drained:
        drained = Drained()
        for customer in sorted(state.changed):
            counts = state.counts[customer]
            drained.changes.append((b"c:" + customer.encode(), json.dumps(counts).encode()))
            drained.messages.append(Message("episode", customer, episode(customer, counts)))
        if state.idle_ms > state.emitted_ms:
            state.emitted_ms = state.idle_ms
            drained.changes.append((b"idle", str(state.idle_ms).encode()))
            mark = Watermark(partition=state.partition, through_ms=state.idle_ms)
            drained.messages.append(Message("episode", "watermark", mark, state.partition))
        state.changed.clear()
        return drained


def episode(customer: str, counts: dict[str, int]) -> Episode:
    """Failures = telemetry and orders seen, contacts = contacts seen."""
    return Episode(
        customer_id=customer, line="shop", signal="app", window_ms=START_MS, attributes=(), leaves=(),
        first_failed_ms=START_MS, last_failed_ms=START_MS, evidence=(),
        failures=counts.get("telemetry", 0) + counts.get("order", 0), contacts=counts.get("contact", 0),
    )


def count_room(name: str = "join") -> Room[Counting]:
    """The room, under a name of the line so that its topics exist."""
    return Room(name, INPUTS, CountStage(), "customer")


class BrokenStage(CountStage):
    """Has a bug: fails on the second batch."""

    def step(self, state: Counting, batch: Batch | Idle) -> None:
        super().step(state, batch)
        if len(state.counts) > 3:
            raise ZeroDivisionError


def broken_room() -> Room[Counting]:
    """The counting room with a bug in it."""
    return Room("join", INPUTS, BrokenStage(), "customer")


def event(noun: str, number: int, customers: int = 7, time_ms: int | None = None) -> Telemetry | Order | Contact:
    """The ``number``-th event of a topic."""
    common: dict[str, Any] = {
        "event_id": f"{noun}-{number}", "customer_id": f"c-{number % customers:04d}",
        "event_time_ms": START_MS + number * 1_000 if time_ms is None else time_ms, "product": "shop",
    }
    if noun == "telemetry":
        return Telemetry(**common, event_name="open", outcome="ok")
    if noun == "order":
        return Order(**common, order_id=f"o-{number}", status="placed")
    return Contact(**common, contact_id=f"k-{number}", channel="phone")


def totals(episodes: Iterable[Any]) -> dict[str, tuple[int, int]]:
    """Customer -> (failures, contacts) of its last episode."""
    return {one.customer_id: (one.failures, one.contacts) for one in episodes if one.kind == "episode"}


def expected(produced: Iterable[Any]) -> dict[str, tuple[int, int]]:
    """What :func:`totals` must be after these events, computed without the runtime."""
    failures: Counter[str] = Counter()
    contacts: Counter[str] = Counter()
    for one in produced:
        (contacts if isinstance(one, Contact) else failures)[one.customer_id] += 1
    return {who: (failures[who], contacts[who]) for who in failures.keys() | contacts.keys()}
