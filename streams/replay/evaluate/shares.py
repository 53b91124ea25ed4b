"""Shares and rates with how sure one can be of them. What rests on nothing is undefined, never 0 or 100 %."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import chi2

Z95 = 1.959963984540054
"""Quantile of the normal distribution for a two-sided interval of 95 %."""


@dataclass(frozen=True, slots=True)
class Share:
    """``hits`` of ``of``; both are counts, 0 <= hits <= of."""

    hits: int
    of: int

    @property
    def value(self) -> float | None:
        """The share, 0-1; None if there was nothing to have a share of."""
        return self.hits / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval of 95 % (Wilson 1927), which also holds near 0 and 1; None if undefined.

        >>> low, high = Share(9, 10).interval
        >>> round(low, 4), round(high, 4)
        (0.5958, 0.9821)
        """
        if not self.of:
            return None
        n, p = self.of, self.hits / self.of
        middle = p + Z95**2 / (2 * n)
        reach = Z95 * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n))
        scale = 1 + Z95**2 / n
        return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)

    def __add__(self, other: Share) -> Share:
        """Both together."""
        return Share(self.hits + other.hits, self.of + other.of)


@dataclass(frozen=True, slots=True)
class DailyRate:
    """``events`` in ``days`` of time."""

    events: int
    days: float

    @property
    def value(self) -> float | None:
        """Events per day; None if no time was watched."""
        return self.events / self.days if self.days > 0 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Exact interval of 95 % for a count of a Poisson process (Garwood 1936), per day; None if undefined."""
        if self.days <= 0:
            return None
        low = float(chi2.ppf(0.025, 2 * self.events)) / 2 if self.events else 0.0
        return low / self.days, float(chi2.ppf(0.975, 2 * self.events + 2)) / 2 / self.days

    def __add__(self, other: DailyRate) -> DailyRate:
        """Both together."""
        return DailyRate(self.events + other.events, self.days + other.days)


NO_SHARE = Share(0, 0)
NO_RATE = DailyRate(0, 0.0)
