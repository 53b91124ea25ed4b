"""What was recorded: events with arrival times, sorted once, with heartbeats between them when played."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from schemas.topics import EVENT_NOUNS, MINUTE_MS
from streams.simulate.dice import Dice
from streams.simulate.rules import MAX_DELAY_MS, SimulateRules
from streams.sources.arrivals import Arrival, Beats, with_heartbeats

_ENCODE = msgspec.json.Encoder().encode


class Tape:
    """Collects events; every number of the truth is counted where the event is made."""

    def __init__(self, rules: SimulateRules) -> None:
        """Start empty."""
        self._rules = rules
        self._dice = Dice(rules.seed, "network")
        self._rows: list[tuple[int, int, str, bytes, bytes]] = []
        self._ids = dict.fromkeys(EVENT_NOUNS, 0)
        self.duplicates = self.stragglers = self.too_late = self.malformed = 0

    def event(self, noun: str, at_ms: int, customer_id: str, body: dict[str, Any], may_straggle: bool = True) -> None:
        """Record one event that happened at ``at_ms``; what lies past the end of the span is not recorded.

        Stragglers come at least 90 s late: behind the disorder bound on any number of partitions, because every
        partition has a heartbeat a minute; so what counts as late does not depend on the partition count.
        """
        if at_ms >= self._rules.end_ms:
            return
        dice = self._dice
        self._ids[noun] += 1
        head = {"event_id": f"{noun[0]}{self._ids[noun]:06d}", "event_time_ms": at_ms, "customer_id": customer_id}
        value = _ENCODE(head | body)
        arrival = at_ms + dice.whole(40, MAX_DELAY_MS)
        luck = dice.unit()
        if may_straggle and luck < self._rules.straggler_ratio:
            arrival = at_ms + dice.whole(90_000, 400_000)
            self.stragglers += 1
        elif luck > 1.0 - self._rules.duplicate_ratio:
            self.put(arrival + dice.whole(500, 5_000), noun, customer_id.encode(), value)
            self.duplicates += 1
        self.put(arrival, noun, customer_id.encode(), value)

    def put(self, at_ms: int, noun: str, key: bytes, value: bytes) -> None:
        """Record raw bytes."""
        self._rows.append((at_ms, len(self._rows), noun, key, value))

    def record(self, at_ms: int, noun: str, key: str, body: dict[str, Any]) -> None:
        """Record one message of a slow topic (customer, change)."""
        self.put(at_ms, noun, key.encode(), _ENCODE(body))

    def sort(self) -> None:
        """Bring everything into arrival order."""
        self._rows.sort()

    def counts(self) -> dict[str, int]:
        """Messages per topic, heartbeats not included."""
        found: dict[str, int] = {}
        for row in self._rows:
            found[row[2]] = found.get(row[2], 0) + 1
        return found

    def arrivals(self, partitions: int, heartbeat_ms: int = MINUTE_MS) -> Iterator[Arrival]:
        """Everything in arrival order; a heartbeat per topic and partition every ``heartbeat_ms``, a closing one."""
        return with_heartbeats(
            (Arrival(at_ms, noun, key, None, value) for at_ms, _, noun, key, value in self._rows),
            partitions,
            Beats(heartbeat_ms, MAX_DELAY_MS, self._rules.end_ms),
        )
