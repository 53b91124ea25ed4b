"""What the room decides by: how long is waited for more, how much is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from schemas.errors import ConfigError
from schemas.topics import BY_NOUN, DAY_MS
from streams.core.eventtime import Bounds

TOPICS = ("order", "contact")
QUIET_MS = 7 * DAY_MS
"""Within 7 days: of a repeat, of a contact about an order, of quiet until something is final."""
OPEN_MS = 60 * DAY_MS
"""How long an order that is not done is remembered behind its latest event or promised time."""
PROMISED_BEFORE_MS = DAY_MS
"""A promised time further than this before the event that states it is no promise (as in join)."""
PROMISED_AHEAD_MS = 60 * DAY_MS
"""Nor is one further than this ahead of it."""


def _catalogue_bounds() -> Mapping[str, Bounds]:
    topics = (BY_NOUN[noun] for noun in TOPICS)
    return MappingProxyType({topic.noun: Bounds(topic.disorder_ms, topic.lateness_ms) for topic in topics})


@dataclass(frozen=True, slots=True)
class ExperienceRules:
    """``bounds`` per topic, as those of join. The others bound one customer: contacts and orders remembered at a time
    (those with the smallest hashes of their ids), and events of each (the earliest)."""

    bounds: Mapping[str, Bounds] = field(default_factory=_catalogue_bounds)
    clock_customers: int = 3
    cases: int = 64
    orders: int = 256
    events: int = 64
    keep_ms: int = field(init=False)
    """How long what is over is remembered behind its latest event: until nothing that is accepted can change it."""

    def __post_init__(self) -> None:
        """Validate."""
        if set(self.bounds) != set(TOPICS):
            raise ConfigError(f"experience: bounds must name exactly {', '.join(TOPICS)}")
        if min(self.cases, self.orders, self.events, self.clock_customers) < 1:
            raise ConfigError("experience: every bound of memory must be at least 1")
        latest_ms = max(bound.lateness_ms for bound in self.bounds.values())
        object.__setattr__(self, "keep_ms", QUIET_MS + latest_ms)
