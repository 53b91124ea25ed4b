"""Event time: aligned windows, how far a topic has come, and what that makes of a late event.

Every time is an int, milliseconds since 1970 UTC; 0 means "nothing heard yet" (no valid event is that old). Windows are
half-open, ``[start, start + width)``, and aligned to 1970.

Each topic of a partition has a clock of its own. What counts as late is decided by the event's own topic alone, never
by another topic's progress: the order in which two topics are read must not change a finding.

    newest - lateness            newest - disorder = watermark         newest
    |  behind (joined, not counted)  |  on time                          |
  too old: kept apart, changes nothing                                   events here move the clock

One customer moves no clock: its device's clock may be fast. "Newest" is the newest time of the third-newest distinct
customer (``customers``; 1: the newest event), so up to two customers with arbitrary clocks can make nothing late. And
whoever speaks, an event's time counts for the clock no further than its arrival: what claims to have happened later
cannot. Heartbeats and idle passages are said by somebody who vouches for a whole source; they move the clock alone.

    customers, newest time each:    c7 12:00:09   c2 12:00:08   c5 12:00:05   c1 12:00:04 ...
                                    ahead         ahead         the clock (customers = 3)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.errors import ConfigError

MAX_ARRIVAL_MS = 1 << 62
"""When events were appended that nobody knows it of: none is later."""


def floor_ms(time_ms: int, width_ms: int) -> int:
    """Return the start of the aligned window of ``width_ms`` that contains ``time_ms``."""
    return time_ms - time_ms % width_ms


def arrival_ms(event: Any, appended_ms: int) -> int:
    """When an event was there: at its append time, or earlier if it brings the time of an earlier arrival along."""
    own: int | None = event.arrived_at_ms
    return appended_ms if own is None or own > appended_ms else own


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far behind the newest event of its topic partition an event may arrive.

    Up to ``disorder_ms``: on time. Up to ``lateness_ms``: accepted, but behind, too late for counts that are closed.
    Beyond: too old. Raises ConfigError unless 0 <= disorder_ms <= lateness_ms.
    """

    disorder_ms: int
    lateness_ms: int

    def __post_init__(self) -> None:
        """Validate."""
        if not 0 <= self.disorder_ms <= self.lateness_ms:
            got = f"{self.disorder_ms}, {self.lateness_ms}"
            raise ConfigError(f"bounds: need 0 <= disorder_ms <= lateness_ms, got {got}")


class TopicClock:
    """How far one topic of one partition has come. Never goes back.

    ``newest_ms`` may be read directly in a hot loop. ``ahead`` holds the customers (by hash) whose newest time lies
    past it, with that time: always fewer than ``customers``, because with that many the clock moves. Nobody else can
    matter to what the clock does next: the two together are its whole state.
    """

    __slots__ = ("ahead", "bounds", "customers", "newest_ms")

    def __init__(self, bounds: Bounds, customers: int = 1, newest_ms: int = 0) -> None:
        """Start at ``newest_ms`` (0: nothing heard); ``customers`` distinct ones move it together."""
        self.bounds = bounds
        self.customers = customers
        self.newest_ms = newest_ms
        self.ahead: dict[int, int] = {}

    @property
    def watermark_ms(self) -> int:
        """Every event that is still to come on time happened at or after this; 0 if nothing was heard."""
        return max(0, self.newest_ms - self.bounds.disorder_ms)

    @property
    def oldest_ms(self) -> int:
        """Every event that will still be accepted happened at or after this; 0 if nothing was heard."""
        return max(0, self.newest_ms - self.bounds.lateness_ms)

    def hear(self, time_ms: int) -> None:
        """A heartbeat of ``time_ms`` was read: it moves the clock alone."""
        if time_ms > self.newest_ms:
            self.newest_ms = time_ms
            self.ahead = {customer: ahead_ms for customer, ahead_ms in self.ahead.items() if ahead_ms > time_ms}

    def follow(self, customer: int, time_ms: int) -> None:
        """An event of a customer (by hash) was read: it moves the clock once enough others are as far."""
        if time_ms > self.newest_ms and time_ms > self.ahead.get(customer, 0):
            self.ahead[customer] = time_ms
            if len(self.ahead) >= self.customers:
                self.hear(min(self.ahead.values()))

    def pass_idle(self, time_ms: int) -> None:
        """The topic is idle: its watermark is at least ``time_ms``."""
        self.hear(time_ms + self.bounds.disorder_ms)


class PartitionClock:
    """The clocks of all topics that one task reads; the slowest one decides."""

    __slots__ = ("topics",)

    def __init__(self, bounds: Mapping[str, Bounds], customers: int = 1) -> None:
        """Start with nothing heard on any topic. ``bounds`` are per topic noun and must not be empty."""
        self.topics = {topic: TopicClock(bound, customers) for topic, bound in bounds.items()}

    @property
    def watermark_ms(self) -> int:
        """Minimum over the topics' watermarks; 0 until every topic was heard (or passed as idle)."""
        return min(clock.watermark_ms for clock in self.topics.values())

    @property
    def oldest_ms(self) -> int:
        """Every event that any topic will still accept happened at or after this; 0 until every topic was heard."""
        return min(clock.oldest_ms for clock in self.topics.values())

    def pass_idle(self, topics: Iterable[str], time_ms: int) -> None:
        """Raise the named topics' watermarks to at least ``time_ms``; topics not read here are ignored."""
        for topic in topics:
            if topic in self.topics:
                self.topics[topic].pass_idle(time_ms)
