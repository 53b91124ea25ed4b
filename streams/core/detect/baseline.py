"""What is normal: rates per cohort with their error, how far they wander, and the hour of the week."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from streams.core.detect.cusum import Floats, Ints, Norm
from streams.core.detect.lattice import LINE, Lattice
from streams.core.detect.rules import DAY_MS, HOUR_MS, WEEK_MS, DetectRules

LINE_PRIOR = (1.0, 20.0)
"""One failure in twenty: what is believed of a line before its first count, with the weight of one failure."""
DRILL_PRIOR = (100.0, 10_000.0)
"""What is believed of the line of drills: a drill lasts minutes, and to learn a rate takes the better part of an hour.
One failure in a hundred, known from as many as a line without trouble has in a quiet week."""
SIBLING_SPREAD = (0.02, 0.25)
"""Least and largest variance of true rates among siblings that the shrinkage believes in."""
SEASON_WEIGHT = 20.0
"""Expected failures that the all-hours rate is worth against the same hour of earlier weeks."""
WANDER_FLOOR, WANDER_CEILING = 0.002, 4.0
LEAST_INFO = 10.0
PARENT_WEIGHT = 50.0
PRIOR_WEIGHT = 32.0
CLIP = 9.0
"""Squared standard deviations at which one hour's deviation is cut, so that one outbreak does not hide the next."""


def fit(array: Floats, size: int) -> Floats:
    """Pad with zeros to ``size``."""
    return np.pad(array, (0, size - array.size)) if array.size < size else array


@dataclass(slots=True)
class Row:
    """One hour: exposures, distinct failures and expected failures per cohort, of bins that may train."""

    e: Floats
    y: Floats
    m: Floats
    done: bool = False

    def fit(self, size: int) -> None:
        """Make room for ``size`` cohorts."""
        self.e, self.y, self.m = fit(self.e, size), fit(self.y, size), fit(self.m, size)


@dataclass(slots=True)
class Dispersion:
    """Pearson estimate of the variance of a rate beyond chance, from (observed, expected) pairs.

    Each pair gives ((y - m)^2 - m) / m^2 with weight (m / (1 + prior m))^2; phi at expectation m is 1 + tau2 m.

    >>> d = Dispersion()
    >>> for y in (2.0, 18.0) * 40: d.add(np.array([y]), np.array([10.0]), np.array([4.0]), np.array([1e9]), 0.25)
    >>> float((d.excess / d.weight).round(2)[0])  # (64 - 10) / 100
    0.54
    """

    excess: Floats = field(default_factory=lambda: np.zeros(0))
    weight: Floats = field(default_factory=lambda: np.zeros(0))

    def add(self, y: Floats, m: Floats, wander: Floats, info: Floats, prior: float) -> None:
        """Add one pair per cohort; ``wander`` is the current estimate, beyond 3 of its deviations a pair is cut.

        The error of the expectation itself, m^2 / info, is no wander: it is taken off, and pairs whose expectation
        rests on fewer than 10 failures teach nothing.
        """
        self.excess, self.weight = fit(self.excess, y.size), fit(self.weight, y.size)
        chance = m + m * m / info
        square = np.minimum((y - m) ** 2, CLIP * (chance + wander * m * m))
        scale = 1.0 + prior * m
        known = (m > 0) & (info >= LEAST_INFO)
        self.excess += np.where(known, (square - chance) / scale**2, 0.0)
        self.weight += np.where(known, (m / scale) ** 2, 0.0)

    def estimate(self, sets: Ints, prior: float) -> Floats:
        """Variance per cohort, shrunk to its attribute set's, which is shrunk to ``prior``."""
        excess, weight = fit(self.excess, sets.size), fit(self.weight, sets.size)
        parent = np.full(sets.size, prior)
        for number in range(-1, int(sets.max(initial=-1)) + 1):
            inside = sets == number
            pooled = (excess[inside].sum() + PRIOR_WEIGHT * prior) / (weight[inside].sum() + PRIOR_WEIGHT)
            parent[inside] = max(pooled, 0.0)
        return np.asarray(
            np.clip((excess + PARENT_WEIGHT * parent) / (weight + PARENT_WEIGHT), WANDER_FLOOR, WANDER_CEILING)
        )


class Baseline:
    """Hourly rows of the last weeks and what follows from them.

    Derived arrays over cohorts, renewed by :meth:`refresh`: ``rate`` (failures per exposure), ``info`` (failures it
    rests on), ``wander`` (variance), ``mass`` (failures expected in ``wander_ms``).
    """

    def __init__(self, rules: DetectRules, prior: tuple[float, float] = LINE_PRIOR) -> None:
        """Know nothing but ``prior``: failures, and exposures, that the line is taken to have had before."""
        self.rules = rules
        self.prior = prior
        self.rows: dict[int, Row] = {}
        self.hourly = Dispersion()
        self.first_ms: int | None = None
        self.rate = self.info = self.wander = self.mass = np.zeros(0)
        self.provisional = True
        self._totals: tuple[Floats, Floats, Floats] | None = None
        self._before: tuple[int, tuple[Floats, Floats, Floats]] | None = None
        self._stale = True
        self._closed_to = -1
        self._rates_of: tuple[int, int, int] | None = None
        self._version = 0

    @property
    def norm(self) -> Norm:
        """What is normal for every cohort."""
        return Norm(self.info, self.wander, self.mass)

    def restore(self, rows: dict[int, Row], hourly: Dispersion, first_ms: int | None) -> None:
        """Take over what was saved; sums that are kept at hand are computed anew."""
        self.rows, self.hourly, self.first_ms = rows, hourly, first_ms
        self._totals = self._before = self._rates_of = None
        self._stale, self._closed_to = True, -1

    def train(self, hour: int, e: Floats, y: Floats, m: Floats) -> None:
        """Add counts of one block to its hour."""
        row = self.rows.get(hour)
        if row is None:
            row = self.rows[hour] = Row(np.zeros(e.size), np.zeros(e.size), np.zeros(e.size))
            self.first_ms = hour if self.first_ms is None else min(self.first_ms, hour)
        row.fit(e.size)
        self._shift(row, e, y)
        row.m[: e.size] += m

    def untrain(self, hour: int, e: Floats, y: Floats) -> None:
        """Take counts out of an hour again, because they belong to an issue; expectations shrink with exposure."""
        row = self.rows.get(hour)
        if row is None:
            return
        row.fit(e.size)
        before = row.e
        self._shift(row, -np.minimum(e, row.e[: e.size]), -np.minimum(y, row.y[: e.size]))
        row.m = row.m * np.divide(row.e, before, out=np.zeros_like(before), where=before > 0)

    def _shift(self, row: Row, e: Floats, y: Floats) -> None:
        """Change a row and the running totals (whole numbers, so that their order does not matter)."""
        size = row.e.size
        after = row.e + fit(e, size)
        self._version += 1
        if self._totals is not None:
            total_e, total_y, active = (fit(a, size) for a in self._totals)
            total_e[:size] += fit(e, size)
            total_y[:size] += fit(y, size)
            active[:size] += (after > 0).astype(np.float64) - (row.e > 0)
            self._totals = total_e, total_y, active
        row.e, row.y = after, row.y + fit(y, size)

    def close_hours(self, now_ms: int) -> list[int]:
        """Let hours that are past the guard teach the dispersion; forget old ones. Return the changed hours."""
        changed: list[int] = []
        due = (now_ms - self.rules.guard_ms) // HOUR_MS
        if due == self._closed_to:
            return changed
        self._closed_to = due
        for hour in sorted(self.rows):
            row = self.rows[hour]
            if not row.done and hour + HOUR_MS + self.rules.guard_ms <= now_ms:
                row.done = True
                row.fit(self.wander.size)
                self._stale = True
                self.hourly.add(row.y, row.m, self.wander, self.info, self.rules.wander_prior)
                changed.append(hour)
        horizon = now_ms - (self.rules.season_weeks + 1) * WEEK_MS
        for hour in [h for h in self.rows if h < horizon]:
            del self.rows[hour]
            self._totals = self._before = self._rates_of = None
            changed.append(hour)
        return changed

    def day(self, day_ms: int, size: int) -> tuple[Floats, Floats] | None:
        """Exposures and failures of one day per cohort; None if there are none."""
        rows = [self.rows[h] for h in range(day_ms, day_ms + DAY_MS, HOUR_MS) if h in self.rows]
        if not rows:
            return None
        e, y = np.zeros(size), np.zeros(size)
        for row in rows:
            e[: row.e.size] += row.e
            y[: row.y.size] += row.y
        return e, y

    def refresh(self, now_ms: int, lattice: Lattice) -> None:
        """Renew the derived arrays from the rows, as of ``now_ms``."""
        hour = now_ms - now_ms % HOUR_MS
        weeks = self.rules.reference_weeks
        self.provisional = self.first_ms is None or hour - weeks * WEEK_MS < self.first_ms
        sets, left, right = lattice.shapes()
        # In season nothing newer than a week counts, so the rates move with the hour only.
        basis = (lattice.size, 0, self._version) if self.provisional else (lattice.size, hour, -1)
        if basis != self._rates_of:
            self._rates_of = basis
            e, y, active = self._sum(lattice.size, hour - WEEK_MS if not self.provisional else None)
            self.rate, self.info = _shrunk(e, y, (sets, left, right), self.prior)
            if not self.provisional:
                self._season(hour, lattice.size)
            hours = self.rules.wander_ms / HOUR_MS
            self.mass = np.maximum(self.rate * e / np.maximum(active, 1.0) * hours, 1e-9)
        if self._stale or self.wander.size != lattice.size:
            self.wander, self._stale = self.hourly.estimate(sets, self.rules.wander_prior), False

    def _sum(self, size: int, before_ms: int | None) -> tuple[Floats, Floats, Floats]:
        """Exposures, failures and hours with exposure per cohort, of all rows or of those older than ``before_ms``."""
        if before_ms is None:
            self._totals = self._totals or self._add_up(size, None)
            sums = self._totals
        else:
            if self._before is None or self._before[0] != before_ms:
                self._before = before_ms, self._add_up(size, before_ms)
            sums = self._before[1]
        e, y, active = (fit(a, size) for a in sums)
        return e, y, active

    def _add_up(self, size: int, before_ms: int | None) -> tuple[Floats, Floats, Floats]:
        e, y, active = np.zeros(size), np.zeros(size), np.zeros(size)
        for hour, row in self.rows.items():
            if before_ms is None or hour + HOUR_MS <= before_ms:
                e[: row.e.size] += row.e
                y[: row.y.size] += row.y
                active[: row.e.size] += row.e > 0
        return e, y, active

    def _season(self, hour: int, size: int) -> None:
        """Same hour of the week and its neighbours, nothing newer than 7 days, shrunk to the all-hours rate."""
        e, y = np.zeros(size), np.zeros(size)
        for week in range(1, self.rules.season_weeks + 1):
            for step in (-1, 0, 1):
                at = hour - week * WEEK_MS + step * HOUR_MS
                row = self.rows.get(at)
                if row is not None and at <= hour - WEEK_MS:
                    e[: row.e.size] += row.e
                    y[: row.y.size] += row.y
        season = (SEASON_WEIGHT + y[LINE]) / (SEASON_WEIGHT + self.rate[LINE] * e[LINE])
        prior = np.minimum(self.rate * season, 0.9)
        weight = np.minimum(SEASON_WEIGHT, self.info)
        self.rate = (weight + y) / (weight / prior + e)
        self.info = weight + y


def _shrunk(
    e: Floats, y: Floats, shapes: tuple[Ints, Ints, Ints], before: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Gamma-Poisson shrinkage: singles to the line, pairs to what their two singles imply. Return rate and info.

    The error of the prior's own mean is carried on: a cohort without counts is known no better than its parents.
    """
    sets, left, right = shapes
    rate, info = np.zeros(e.size), np.zeros(e.size)
    line = (before[0] + y[LINE]) / (before[1] + e[LINE])
    rate[:], info[:] = line, before[0] + y[LINE]
    for number in range(int(sets.max(initial=-1)) + 1):
        inside = np.flatnonzero(sets == number)
        if not inside.size:
            continue
        one, two = left[inside], right[inside]
        prior = np.minimum(rate[one] * rate[two] / line, 0.9)
        expected = e[inside] * prior
        spread = float(((y[inside] - expected) ** 2 - expected).sum() / max(float((expected**2).sum()), 1e-9))
        weight = 1.0 / min(max(spread, SIBLING_SPREAD[0]), SIBLING_SPREAD[1])
        rate[inside] = (weight + y[inside]) / (weight / prior + e[inside])
        share = weight / (weight + expected)
        info[inside] = 1.0 / (1.0 / (weight + y[inside]) + share**2 / np.minimum(info[one], info[two]))
    return np.clip(rate, 1e-9, 0.95), info
