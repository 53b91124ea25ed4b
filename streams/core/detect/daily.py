"""The third scale: whole days against the rates that were usual before the rise began.

The two fast scales learn from bins that are half an hour old, so a ramp over days teaches them its own height. Here the
rate a cohort is judged by stands still for as long as its excursion lasts: a slow ramp is measured from its foot.
Trade-off: at most one decision a day, half an hour after midnight UTC.
"""

from __future__ import annotations

import numpy as np

from streams.core.detect.baseline import Dispersion, fit
from streams.core.detect.cusum import Cusum, Floats, Ints, Norm, effective, threshold
from streams.core.detect.lattice import LINE
from streams.core.detect.rules import DAY_MS, DetectRules


class Daily:
    """CUSUM over days, the rates it judges by, and how far daily rates wander."""

    def __init__(self, rules: DetectRules) -> None:
        """Know no cohort and no day."""
        self.rules = rules
        self.limit = threshold(rules, DAY_MS)
        self.prior = rules.wander_prior * rules.wander_ms / DAY_MS
        self.cusum = Cusum(rules.kappas)
        self.seen = Dispersion()
        self.day_ms = 0
        self.rate, self.info, self.stat = np.zeros(0), np.zeros(0), np.zeros(0)

    def fit(self, rates: Floats) -> bool:
        """Make room for cohorts that are new in ``rates``; True if there were any."""
        more = rates.size - self.rate.size
        self.cusum.fit(rates.size)
        if more > 0:
            self.rate = np.concatenate([self.rate, rates[-more:]])
            self.info = np.concatenate([self.info, np.ones(more)])
            self.stat = fit(self.stat, rates.size)
        return more > 0

    def due(self, now_ms: int) -> int | None:
        """Start of the day up to which days can be judged at ``now_ms``, if that is news."""
        day = (now_ms - self.rules.guard_ms) // DAY_MS * DAY_MS
        return day if day > self.day_ms else None

    def judge(self, day_ms: int, e: Floats, y: Floats, sets: Ints) -> list[tuple[int, float]]:
        """Fold one day's exposures and failures in; return alarming cohorts with their statistic."""
        wander = self.seen.estimate(sets, self.prior)
        m = e * self.rate
        rest_y, rest_m = np.maximum(y[LINE] - y, 0.0), np.maximum(m[LINE] - m, 0.0)
        common = np.maximum((1 / wander[LINE] + rest_y) / (1 / wander[LINE] + rest_m), 1.0)
        common[LINE] = 1.0
        rate = np.minimum(self.rate * common, 0.95)
        at = np.flatnonzero((y > 0) | (self.cusum.live & (e > 0)))
        if at.size:
            means = e[at] * np.stack([effective(rate[at], kappa) for kappa in self.rules.kappas])
            self.stat[at] = self.cusum.add(at, y[at], means, Norm(self.info[at], wander[at], m[at]), day_ms)
        calm = self.stat < self.limit / 2
        self.seen.add(y * calm, e * rate * calm, wander, self.info, self.prior)
        return [(int(c), float(self.stat[c])) for c in np.flatnonzero(self.stat > self.limit) if e[c] > 0]

    def settle(self, day_ms: int, rates: Floats, info: Floats) -> None:
        """All days before ``day_ms`` are judged: cohorts without an excursion take over the present rates."""
        self.day_ms = day_ms
        calm = ~self.cusum.live
        self.rate, self.info = np.where(calm, rates, self.rate), np.where(calm, info, self.info)

    def reset(self, at: Ints) -> None:
        """Begin anew for cohorts ``at``."""
        self.cusum.reset(at)
        self.stat[at] = 0.0
