"""The guarded negative-binomial CUSUM: formulas, threshold, gate.

A cohort has expected failures ``m`` (exposure times a rate learned from earlier bins) and observed ones ``y``. Both are
summed since the excursion began, and for each ratio ``kappa`` the log likelihood ratio of "kappa times the usual odds"
against "the usual odds" is

    S = Y ln(kappa) - (Y + r) ln((r + kappa M) / (r + M)),      r = 1 / (1 / A + tau2 min(1, M6 / M))

which is log NB(Y; kappa M, r) - log NB(Y; M, r). ``A`` (learned failures plus prior) carries the error of the learned
rate, ``tau2`` the variance with which this cohort's rate wanders on its own, ``M6`` the failures expected in the time
over which it wanders. With the dispersion phi = 1 + tau2 M this is r = 1 / (1 / A + (phi - 1) / M). S is set back to
zero, and the sums with it, when it is not positive.

Trade-off: summing first and dividing by the wander once means that the same wander is not counted as fresh evidence in
every bin (an evening in which everything runs late is one deviation, not fifty); the price is that a rise smaller than
the usual wander is seen late, or on the daily scale only. Within an excursion exp(S) is a likelihood ratio with
expectation one, so by Ville's inequality a cycle ends in an alarm with probability at most exp(-h); at most one cycle
starts per bin, which gives the threshold.

Papers: Page 1954 (CUSUM); Lorden 1971 (mean time to a false alarm at least exp(h)); Lambert and Liu 2006 (negative
binomial counts in network monitoring); DuMouchel 1999 (EB05).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincinv

from streams.core.detect.rules import DAY_MS, DetectRules

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def log_ratio(y: Floats | float, m: Floats | float, kappa: Floats | float, r: Floats | float) -> Floats:
    """Log likelihood ratio of NB(kappa m, r) against NB(m, r) at ``y``; arrays broadcast.

    >>> round(float(log_ratio(10, 0.5, 10.0, 1e9)), 3)  # r huge: Poisson, y ln k - (k - 1) m
    18.526
    >>> round(float(log_ratio(10, 0.5, 10.0, 4.0)), 3)  # a rate that wanders by half says less
    13.322
    """
    r = np.asarray(r, dtype=np.float64)
    grow = np.log1p((np.asarray(kappa) - 1.0) * m / (r + m))
    return np.asarray(y * np.log(kappa) - (y + r) * grow, dtype=np.float64)


def effective(rate: Floats, kappa: float) -> Floats:
    """Expected failures per exposure, so adjusted that saturated rates keep their evidence.

    A customer fails or does not: for odds ``o = rate / (1 - rate)`` the exact Bernoulli ratio is
    ``y ln(kappa) - n ln((1 + kappa o) / (1 + o))``; dividing its second term by ``kappa - 1`` gives the mean with which
    the Poisson (and NB) form says the same. For small rates it is the rate itself.

    >>> effective(np.array([0.001, 0.11]), 10.0).round(4).tolist()
    [0.001, 0.0765]
    """
    odds = rate / (1.0 - rate)
    return np.asarray(np.log1p((kappa - 1.0) * odds / (1.0 + odds)) / (kappa - 1.0), dtype=np.float64)


def shape(info: Floats, wander: Floats, mass: Floats, m: Floats) -> Floats:
    """Shape r of the predictive NB: error of the learned rate plus wander, averaged out beyond ``mass``.

    >>> float(shape(np.array([100.0]), np.array([0.04]), np.array([10.0]), np.array([5.0]))[0])
    20.0
    """
    averaged = wander * np.minimum(1.0, mass / np.maximum(m, 1e-12))
    return np.asarray(1.0 / (1.0 / info + averaged), dtype=np.float64)


def threshold(rules: DetectRules, width_ms: int) -> float:
    """Alarm threshold of one scale: h = ln(K B / (F / 3)) + ln(number of kappas), B bins of ``width_ms`` a day.

    >>> round(threshold(DetectRules(cohorts=10_000), 300_000), 2)
    17.07
    """
    bins = DAY_MS / width_ms
    return math.log(rules.cohorts * bins * 3.0 / rules.false_alarms_per_day) + math.log(len(rules.kappas))


def eb05(y: float, m: float, prior: float = 1.0) -> float:
    """5 % quantile of the rate ratio after ``y`` failures where ``m`` were expected, under a Gamma(prior, prior).

    >>> round(eb05(12, 0.5), 2)
    5.13
    """
    return float(gammaincinv(prior + y, 0.05) / (prior + m))


@dataclass(frozen=True, slots=True)
class Norm:
    """What is normal, one value per cohort: ``info`` failures the rate rests on, variance ``wander``, ``mass``."""

    info: Floats
    wander: Floats
    mass: Floats

    def at(self, cohorts: Ints | list[int]) -> Norm:
        """The same for some cohorts."""
        return Norm(self.info[cohorts], self.wander[cohorts], self.mass[cohorts])

    def shape(self, m: Floats) -> Floats:
        """:func:`shape` at ``m`` expected failures."""
        return shape(self.info, self.wander, self.mass, m)


class Cusum:
    """Three one-sided CUSUMs per cohort, vectorised: sums since the start of each excursion.

    >>> one = Cusum((10.0,))
    >>> one.fit(1)
    >>> sure = Norm(np.array([1e9]), np.array([0.0]), np.array([1.0]))
    >>> stats = [one.add(np.array([0]), np.array([1.0]), np.array([[0.01]]), sure, t)[0] for t in range(9)]
    >>> [round(float(s), 1) for s in stats[::4]]  # every failure in an almost clean cohort adds ln 10
    [2.2, 11.1, 19.9]
    """

    def __init__(self, kappas: tuple[float, ...]) -> None:
        """Start with no cohort."""
        self.kappas = np.array(kappas, dtype=np.float64).reshape(-1, 1)
        self.y: Floats = np.zeros((len(kappas), 0))
        self.m: Floats = np.zeros((len(kappas), 0))
        self.start: Ints = np.zeros((len(kappas), 0), dtype=np.int64)
        self.live = np.zeros(0, dtype=bool)

    def fit(self, cohorts: int) -> None:
        """Make room for ``cohorts`` cohorts."""
        more = cohorts - self.live.size
        if more > 0:
            self.y, self.m = np.pad(self.y, ((0, 0), (0, more))), np.pad(self.m, ((0, 0), (0, more)))
            self.start = np.pad(self.start, ((0, 0), (0, more)))
            self.live = np.pad(self.live, (0, more))

    def add(self, at: Ints, y: Floats, m: Floats, norm: Norm, bin_ms: int, gap: Floats | None = None) -> Floats:
        """Fold one bin into cohorts ``at``; return the highest statistic of each.

        ``y`` has one value per cohort, ``m`` one per kappa and cohort, ``norm`` says what is normal for each of them.
        ``gap`` are the failures expected in the bins without any since the last call: they come first, and may end an
        excursion; as the statistic can only fall in such bins, nothing is missed by folding them together.
        """
        before_y, before_m = self.y[:, at], self.m[:, at]
        if gap is not None and before_y.any():
            before_m = before_m + gap
            stays = log_ratio(before_y, before_m, self.kappas, norm.shape(before_m)) > 0
            before_y, before_m = before_y * stays, before_m * stays
        total_y, total_m = before_y + y, np.where(before_y > 0, before_m, 0.0) + m
        stat = log_ratio(total_y, total_m, self.kappas, norm.shape(total_m))
        up = (stat > 0) & (total_y > 0)
        self.start[:, at] = np.where(up, np.where(before_y > 0, self.start[:, at], bin_ms), 0)
        self.y[:, at], self.m[:, at] = total_y * up, total_m * up
        self.live[at] = up.any(axis=0)
        return np.asarray(np.where(up, stat, 0.0).max(axis=0), dtype=np.float64)

    def onset(self, cohort: int, norm: Norm) -> int | None:
        """Start of the excursion with the highest statistic of a cohort (``norm`` is its own); None without one."""
        if not self.live[cohort]:
            return None
        y, m = self.y[:, [cohort]], self.m[:, [cohort]]
        stat = np.where(y > 0, log_ratio(y, m, self.kappas, norm.shape(m)), -1.0)
        return int(self.start[int(np.argmax(stat)), cohort])

    def reset(self, at: Ints) -> None:
        """Begin anew for cohorts ``at``."""
        self.y[:, at] = 0.0
        self.m[:, at] = 0.0
        self.start[:, at] = 0
        self.live[at] = False
