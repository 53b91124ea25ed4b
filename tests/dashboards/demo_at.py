"""The demo's company up to a moment of its day, through all rooms in memory and into ClickHouse: what boards show then.

The sender is a process of its own and is stood in for here: what outreach decided to send was delivered a second after
it was due.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from schemas.findings import ChannelState, Delivery, Watermark
from schemas.rooms import WORKER_ROOMS
from schemas.topics import BY_NOUN
from streams.agents.store import Store
from streams.runtime.batch import RawBatch
from streams.runtime.memory import Logged, MemoryLine
from streams.runtime.room import Room
from streams.settings import Settings
from streams.simulate import simulate
from streams.simulate.rules import LIVE_START_MS
from streams.sinks.clickhouse import ClickHouse
from streams.sources.arrivals import Arrival
from tests.sinks.examples import batch

MINUTE_MS = 60_000
AT_1240 = LIVE_START_MS + 280 * MINUTE_MS
"""12:40 UTC on the demo's second day: the release is withdrawn, the provider is back, the depot still stands still."""
PARTITIONS = 2
STEP_MS = 10 * MINUTE_MS
"""The line catches up this often, so that its rooms flush as they would live."""


@dataclass(frozen=True)
class DemoAt:
    """The line at that moment, and the messages that made it."""

    line: MemoryLine
    arrivals: list[Arrival]
    until_ms: int

    def store(self, client: ClickHouse) -> None:
        """Copy every topic, and what the sender would have written, to ClickHouse."""
        store = Store(client)
        for noun in BY_NOUN:
            for name in (noun, f"{noun}.dlq"):
                store.write(as_batches(name, self.line.raw(name)))
        deliveries = self.deliveries()
        marks = [Watermark(partition=number, through_ms=self.until_ms) for number in range(PARTITIONS)]
        channels = [ChannelState(channel="webhook", partition=number, state="closed", since_ms=LIVE_START_MS)
                    for number in range(PARTITIONS)]  # fmt: skip
        store.write([batch("delivery", [*deliveries, *marks]), batch("channel", channels)])

    def deliveries(self) -> list[Delivery]:
        """What was due by now."""
        newest = {row.outreach_id: row for row in self.line.records("outreach") if row.kind == "outreach"}
        due = [row for row in newest.values() if row.decision == "send" and row.not_before_ms <= self.until_ms]
        return [_delivered(row) for row in due]


@cache
def demo_at(until_ms: int = AT_1240) -> DemoAt:
    """Play the demo's events up to a time of arrival, ms UTC, through every room that a worker runs."""
    rooms: list[Room[Any]] = [
        import_module(f"streams.agents.{name}").room(Settings()) for name in WORKER_ROOMS if name != "store"
    ]
    line = MemoryLine(rooms, partitions=PARTITIONS)
    arrivals: list[Arrival] = []
    pause = LIVE_START_MS
    for arrival in simulate().arrivals(PARTITIONS):
        if arrival.at_ms > until_ms:
            break
        if arrival.at_ms >= pause:
            line.run()
            pause += STEP_MS
        arrivals.append(arrival)
        line.produce(arrival.noun, arrival.value, key=arrival.key, partition=arrival.partition,
                     timestamp_ms=arrival.at_ms)  # fmt: skip
    line.run()
    return DemoAt(line, arrivals, until_ms)


def _delivered(decision: Any) -> Delivery:
    at_ms = max(decision.decided_at_ms, decision.not_before_ms) + 1_000
    return Delivery(
        outreach_id=decision.outreach_id, issue_id=decision.issue_id, customer_id=decision.customer_id,
        stage=decision.stage, channel="webhook", outcome="delivered", attempts=1, claimed_at_ms=at_ms,
        done_at_ms=at_ms + 200,
    )


def as_batches(noun: str, entries: list[Logged]) -> list[RawBatch]:
    """A topic's messages as a consumer reads them, one batch per partition."""
    return [_as_batch(noun, part) for part in _by_partition(entries)]


def _by_partition(entries: list[Logged]) -> list[list[Logged]]:
    found: dict[int, list[Logged]] = {}
    for entry in entries:
        found.setdefault(entry.partition, []).append(entry)
    return list(found.values())


def _as_batch(noun: str, entries: list[Logged]) -> RawBatch:
    offsets = [entry.offset for entry in entries]
    return RawBatch(
        noun, entries[0].partition, offsets[0], offsets[-1] + 1, offsets, [entry.key for entry in entries],
        [entry.value for entry in entries], [entry.headers for entry in entries],
        [entry.timestamp_ms for entry in entries],
    )
