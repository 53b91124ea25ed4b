"""When things happen: the rhythm of day, week and year in a zone's own time, and the moments drawn from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from schemas.topics import DAY_MS, HOUR_MS
from streams.simulate.library.draws import Draws, Floats, Ints

SHOP_DAY = (
    0.25, 0.15, 0.10, 0.10, 0.12, 0.25, 0.55, 0.90, 1.20, 1.35, 1.40, 1.40,
    1.35, 1.30, 1.25, 1.30, 1.40, 1.55, 1.75, 1.90, 1.85, 1.50, 0.90, 0.50,
)  # fmt: skip
"""How busy each local hour is against the average: a shop, busiest in the evening."""
OFFICE_DAY = (0.02,) * 7 + (0.4, 2.0, 3.2, 3.4, 3.0, 2.2, 2.6, 3.1, 2.9, 2.2, 0.9, 0.3) + (0.05,) * 5
"""An office: nearly nothing at night."""
EVEN_DAY = (1.0,) * 24
"""Machines: all hours alike."""
SHOP_WEEK = (0.95, 0.92, 0.95, 1.0, 1.1, 1.15, 0.93)
OFFICE_WEEK = (1.35, 1.3, 1.25, 1.25, 1.15, 0.4, 0.3)
EVEN_WEEK = (1.0,) * 7
_SLOT_MS = HOUR_MS // 4
_FINE_DAYS = 60
"""Spans up to this long are cut into quarters of an hour, longer ones into hours."""


@dataclass(frozen=True, slots=True)
class Peak:
    """A stretch with ``factor`` times the usual; hours from the start of the world."""

    starts: float
    ends: float
    factor: float


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How the rate goes: by local hour, weekday (Monday first), a yearly wave (0.3: 30 % up in December), peaks."""

    hours: tuple[float, ...] = SHOP_DAY
    weekdays: tuple[float, ...] = SHOP_WEEK
    zone: str = "Europe/Berlin"
    year: float = 0.0
    peaks: tuple[Peak, ...] = ()

    def factors(self, starts_ms: int, edges: Ints) -> Floats:
        """The rate against the average in each slot between two ``edges``; peaks count from ``starts_ms``."""
        width = int(edges[1] - edges[0])
        hours, weekdays, days = _local_times(self.zone, int(edges[0]), len(edges) - 1, width)
        found = np.asarray(self.hours)[hours] * np.asarray(self.weekdays)[weekdays]
        if self.year:
            wave = [math.cos(2.0 * math.pi * (day - 345) / 365.25) for day in days.tolist()]
            found = found * (1.0 + self.year * np.asarray(wave))
        for peak in self.peaks:
            first, last = starts_ms + peak.starts * HOUR_MS, starts_ms + peak.ends * HOUR_MS
            found[(edges[:-1] >= first) & (edges[:-1] < last)] *= peak.factor
        return np.asarray(found, dtype=np.float64)


@lru_cache(maxsize=16)
def _local_times(zone: str, first_ms: int, count: int, width_ms: int) -> tuple[Ints, Ints, Ints]:
    """Hour, weekday and day of the year in a zone's own time, of ``count`` moments ``width_ms`` apart."""
    there = ZoneInfo(zone)
    local = [datetime.fromtimestamp((first_ms + width_ms * number) / 1_000, there) for number in range(count)]
    hours, weekdays = [one.hour for one in local], [one.weekday() for one in local]
    days = [one.timetuple().tm_yday for one in local]
    return np.asarray(hours), np.asarray(weekdays), np.asarray(days)


def moments(draws: Draws, rhythm: Rhythm, per_hour: float, starts_ms: int, ends_ms: int) -> Ints:
    """Times of a Poisson process in [starts_ms, ends_ms), sorted, whose rate averages ``per_hour`` and follows."""
    width = _SLOT_MS if ends_ms - starts_ms <= _FINE_DAYS * DAY_MS else HOUR_MS
    edges = np.append(np.arange(starts_ms, ends_ms, width, dtype=np.int64), ends_ms)
    spent = rhythm.factors(starts_ms, edges) * np.diff(edges) * (per_hour / HOUR_MS)
    upto = np.concatenate(([0.0], np.cumsum(spent)))
    most = int(upto[-1] + 8.0 * math.sqrt(upto[-1]) + 50.0)
    reached = np.cumsum(draws.waits(1.0, most))
    reached = reached[reached < upto[-1]]
    return np.asarray(np.interp(reached, upto, edges), dtype=np.int64)
