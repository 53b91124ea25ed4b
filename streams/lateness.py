"""How long events of each topic are waited for, and what it costs to remember them: 9 bytes an event, all partitions.

Duplicates are known by a hash of 8 bytes for as long as an event is accepted (``core.join.seen``); measured with
buckets and the events of the newest minutes it is 9 (``tests/core/join/test_seen.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.errors import ConfigError
from schemas.topics import EVENT_NOUNS
from streams.core.eventtime import Bounds
from streams.settings import Settings

BYTES_PER_EVENT = 9
"""Hash, share of its bucket, and what the newest minutes take more."""


@dataclass(frozen=True, slots=True)
class LatenessPlan:
    """What is planned for one topic."""

    noun: str
    disorder_ms: int
    lateness_s: int
    per_s: float

    @property
    def lateness_setting(self) -> str:
        """Name of the setting that says how long."""
        return f"CX_{self.noun.upper()}_LATENESS_S"

    @property
    def bounds(self) -> Bounds:
        """The bounds of the join. Raises ConfigError naming the settings if the lateness is below the disorder."""
        if self.lateness_s * 1_000 < self.disorder_ms:
            raise ConfigError(f"{self.lateness_setting} must not be below CX_{self.noun.upper()}_DISORDER_MS")
        return Bounds(self.disorder_ms, self.lateness_s * 1_000)

    @property
    def megabytes(self) -> float:
        """Memory of all partitions together."""
        return BYTES_PER_EVENT * self.per_s * self.lateness_s / 1e6

    def __str__(self) -> str:
        """One line for people."""
        horizon = f"{self.lateness_s / 86_400:.4g} days" if self.lateness_s >= 86_400 else f"{self.lateness_s} s"
        return f"{self.noun}: {BYTES_PER_EVENT} bytes x {self.per_s:g} a second x {horizon} = {self.megabytes:,.1f} MB"


def planned_lateness(settings: Settings) -> list[LatenessPlan]:
    """What the settings plan for, per event topic."""
    return [
        LatenessPlan(noun, *(getattr(settings, f"{noun}_{part}") for part in ("disorder_ms", "lateness_s", "per_s")))
        for noun in EVENT_NOUNS
    ]


def require_memory(planned: Iterable[LatenessPlan], limit_mb: int) -> None:
    """Raise ConfigError, naming the setting with the largest share, if all topics together need more than the limit."""
    found = sorted(planned, key=lambda one: one.megabytes)
    needed = sum(one.megabytes for one in found)
    if needed > limit_mb:
        largest = found[-1]
        raise ConfigError(
            f"{largest.lateness_setting} asks for too much memory: {largest}; with the other topics {needed:,.0f} MB, "
            f"CX_SEEN_MEMORY_MB allows {limit_mb:,}. Lower it, or the planned rate, or allow more."
        )
