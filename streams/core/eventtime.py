"""Event time: aligned windows, how far a topic has come, and what that makes of a late event.

Every time is an int, milliseconds since 1970 UTC; 0 means "nothing heard yet" (no valid event is that old). Windows are
half-open, ``[start, start + width)``, and aligned to 1970.

Each topic of a partition has a clock of its own. What counts as late is decided by the event's own topic alone, never
by another topic's progress: the order in which two topics are read must not change a finding.

    newest - lateness            newest - disorder = watermark         newest
    |  behind (joined, not counted)  |  on time                          |
  too old: kept apart, changes nothing                                   an event here moves the clock
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schemas.errors import ConfigError


def floor_ms(time_ms: int, width_ms: int) -> int:
    """Return the start of the aligned window of ``width_ms`` that contains ``time_ms``."""
    return time_ms - time_ms % width_ms


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

    ``newest_ms`` is the newest event time heard (heartbeats included) and may be read directly in a hot loop, which
    then hands the new value to :meth:`hear`.
    """

    __slots__ = ("bounds", "newest_ms")

    def __init__(self, bounds: Bounds, newest_ms: int = 0) -> None:
        """Start at ``newest_ms`` (0: nothing heard)."""
        self.bounds = bounds
        self.newest_ms = newest_ms

    @property
    def watermark_ms(self) -> int:
        """Every event that is still to come on time happened at or after this; 0 if nothing was heard."""
        return max(0, self.newest_ms - self.bounds.disorder_ms)

    @property
    def oldest_ms(self) -> int:
        """Every event that will still be accepted happened at or after this; 0 if nothing was heard."""
        return max(0, self.newest_ms - self.bounds.lateness_ms)

    def hear(self, time_ms: int) -> None:
        """An event or heartbeat of ``time_ms`` was read."""
        self.newest_ms = max(self.newest_ms, time_ms)

    def pass_idle(self, time_ms: int) -> None:
        """The topic is idle: its watermark is at least ``time_ms``."""
        self.hear(time_ms + self.bounds.disorder_ms)


class PartitionClock:
    """The clocks of all topics that one task reads; the slowest one decides."""

    __slots__ = ("topics",)

    def __init__(self, bounds: Mapping[str, Bounds]) -> None:
        """Start with nothing heard on any topic. ``bounds`` are per topic noun and must not be empty."""
        self.topics = {topic: TopicClock(bound) for topic, bound in bounds.items()}

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
