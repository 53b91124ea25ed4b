"""Five hours of a small made-up company, as a source: two quiet ones and three with a bad release."""

from __future__ import annotations

from functools import cache

from streams.replay.source import MemorySource, from_arrivals
from streams.simulate import SimulateRules, Simulation, simulate
from streams.simulate.rules import LIVE_START_MS

HOUR_MS = 3_600_000


@cache
def company() -> Simulation:
    """Two quiet hours and three with a bad release, of a small company."""
    return simulate(
        SimulateRules(
            customers=600,
            sessions_per_hour=240.0,
            orders_per_hour=60.0,
            contacts_per_hour=20.0,
            device_period_ms=60_000,
            start_ms=LIVE_START_MS - 2 * HOUR_MS,
            end_ms=LIVE_START_MS + 3 * HOUR_MS,
        )
    )


@cache
def source(partitions: int) -> MemorySource:
    return from_arrivals("company", "simulation", company().arrivals(partitions), partitions)
