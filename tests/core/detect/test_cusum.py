"""The formulas against a direct computation with scipy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from schemas.errors import ConfigError
from streams.core.detect.baseline import Baseline, Dispersion
from streams.core.detect.cusum import Cusum, Norm, eb05, effective, log_ratio, shape, threshold
from streams.core.detect.lattice import LINE, Lattice
from streams.core.detect.rules import DAY_MS, DetectRules, ExplainRules
from tests.core.detect.line import HOUR, T0

KAPPAS = (1.5, 3.0, 10.0)


def nbinom_log(y: float, mean: float, r: float) -> float:
    return float(stats.nbinom.logpmf(y, r, r / (r + mean)))


@given(y=st.integers(0, 200), m=st.floats(1e-4, 50), kappa=st.sampled_from(KAPPAS), r=st.floats(0.1, 500))
def test_the_statistic_is_the_ratio_of_two_negative_binomials(y: int, m: float, kappa: float, r: float) -> None:
    direct = nbinom_log(y, kappa * m, r) - nbinom_log(y, m, r)
    assert float(log_ratio(y, m, kappa, r)) == pytest.approx(direct, rel=1e-6, abs=1e-6)


@given(y=st.integers(0, 60), n=st.integers(1, 60), p=st.floats(0.001, 0.5), kappa=st.sampled_from(KAPPAS))
def test_without_wander_it_is_the_exact_bernoulli_ratio_of_odds(y: int, n: int, p: float, kappa: float) -> None:
    y = min(y, n)
    odds = p / (1 - p) * kappa
    raised = odds / (1 + odds)
    direct = y * math.log(raised / p) + (n - y) * math.log((1 - raised) / (1 - p))
    m = n * effective(np.array([p]), kappa)
    assert float(log_ratio(y, m, kappa, 1e12)[0]) == pytest.approx(direct, rel=1e-4, abs=1e-4)


@given(info=st.floats(0.5, 1e4), phi=st.floats(1, 8), m=st.floats(0.01, 100))
def test_the_shape_is_that_of_the_learned_rate_and_the_dispersion(info: float, phi: float, m: float) -> None:
    """At the expectation m where the dispersion phi was measured: 1 / (1 / info + (phi - 1) / m)."""
    wander = (phi - 1) / m
    got = shape(np.array([info]), np.array([wander]), np.array([m]), np.array([m]))
    assert float(got[0]) == pytest.approx(1 / (1 / info + (phi - 1) / m))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 6), st.floats(0.01, 2.0)), min_size=1, max_size=40))
def test_the_vectorised_cusum_equals_a_plain_loop(bins: list[tuple[int, float]]) -> None:
    info, wander, mass = 40.0, 0.05, 3.0
    norm = Norm(np.full(2, info), np.full(2, wander), np.full(2, mass))
    cusum = Cusum(KAPPAS)
    cusum.fit(2)
    sums = dict.fromkeys(KAPPAS, (0.0, 0.0))
    for number, (y, m) in enumerate(bins):
        got = cusum.add(np.array([0, 1]), np.array([y, y]), np.full((3, 2), m), norm, number)
        best = 0.0
        for kappa in KAPPAS:
            total_y, total_m = sums[kappa][0] + y, sums[kappa][1] + m
            r = 1 / (1 / info + wander * min(1.0, mass / total_m))
            stat = nbinom_log(total_y, kappa * total_m, r) - nbinom_log(total_y, total_m, r)
            sums[kappa] = (total_y, total_m) if stat > 1e-9 else (0.0, 0.0)
            best = max(best, stat)
        assert got == pytest.approx([best, best], abs=1e-6)


def test_bins_without_failures_may_be_folded_in_later() -> None:
    """y: 3 . . . . 2      one call per bin, or the empty ones as a gap before the next failure"""
    sure = Norm(np.array([50.0]), np.array([0.0]), np.array([1.0]))
    slow, fast = Cusum(KAPPAS), Cusum(KAPPAS)
    at, m = np.array([0]), np.full((3, 1), 0.08)
    for cusum in (slow, fast):
        cusum.fit(1)
        cusum.add(at, np.array([3.0]), m, sure, 0)
    for number in range(1, 5):
        slow.add(at, np.array([0.0]), m, sure, number)
    assert fast.add(at, np.array([2.0]), m, sure, 5, gap=4 * m) == pytest.approx(
        slow.add(at, np.array([2.0]), m, sure, 5)
    )


def test_the_threshold_spends_a_third_of_the_budget_on_each_scale() -> None:
    rules = DetectRules(cohorts=10_000, false_alarms_per_day=1.0)
    for width in (rules.bin_ms, rules.block_ms, DAY_MS):
        bins = DAY_MS / width
        alarms_a_day = rules.cohorts * bins * len(rules.kappas) * math.exp(-threshold(rules, width))
        assert alarms_a_day == pytest.approx(1 / 3)


@given(y=st.integers(0, 300), m=st.floats(0, 100), prior=st.floats(0.5, 10))
def test_eb05_is_the_five_percent_quantile_of_the_posterior(y: int, m: float, prior: float) -> None:
    assert eb05(y, m, prior) == pytest.approx(float(stats.gamma.ppf(0.05, prior + y, scale=1 / (prior + m))), rel=1e-6)


def test_mean_run_between_false_alarms_is_at_least_e_to_the_h() -> None:
    """Poisson counts, h = ln 200: a false alarm every 200 bins at most (a bound; 3 ratios, so h is for each)."""
    rng = np.random.default_rng(3)
    streams, bins, h = 400, 400, math.log(200)
    cusum = Cusum((3.0,))
    cusum.fit(streams)
    norm = Norm(np.full(streams, 1e9), np.zeros(streams), np.ones(streams))
    every, alarms = np.arange(streams), 0
    for number in range(bins):
        stat = cusum.add(every, rng.poisson(0.7, streams).astype(float), np.full((1, streams), 0.7), norm, number)
        over = np.flatnonzero(stat > h)
        alarms += over.size
        cusum.reset(over)
    assert 0 < alarms <= streams * bins / 200


def test_a_wandering_rate_keeps_the_bound_only_with_its_wander() -> None:
    """Rates that are half again as high or low for six bins at a time (variance 0.25)."""
    rng = np.random.default_rng(4)
    streams, bins, h = 400, 300, math.log(200)
    alarms = {}
    for wander in (0.0, 0.25):
        cusum = Cusum((3.0,))
        cusum.fit(streams)
        norm = Norm(np.full(streams, 1e9), np.full(streams, wander), np.full(streams, 6 * 4.0))
        every, alarms[wander] = np.arange(streams), 0
        for number in range(bins):
            if number % 6 == 0:
                rate = rng.gamma(4.0, 0.25, streams)
            stat = cusum.add(every, rng.poisson(4.0 * rate).astype(float), np.full((1, streams), 4.0), norm, number)
            over = np.flatnonzero(stat > h)
            alarms[wander] += over.size
            cusum.reset(over)
    assert alarms[0.25] <= streams * bins / 200 < alarms[0.0]


@pytest.mark.parametrize("phi", [1.0, 2.0, 4.0])
def test_dispersion_is_found_again(phi: float) -> None:
    rng = np.random.default_rng(5)
    seen, m = Dispersion(), 10.0
    wander = (phi - 1) / m
    for _ in range(400):
        rate = rng.gamma(1 / wander, wander, 8) if wander else np.ones(8)
        seen.add(rng.poisson(m * rate).astype(float), np.full(8, m), np.full(8, 0.25), np.full(8, 1e9), 0.25)
    found = 1 + m * seen.estimate(np.zeros(8, dtype=np.int64), 0.25)
    assert found.mean() == pytest.approx(phi, rel=0.15)


def test_a_new_cohort_is_believed_to_be_like_its_siblings_and_known_no_better_than_they_are() -> None:
    lattice = Lattice(("version", "region"), 10)
    for values in (("1", "DE"), ("1", "IT"), ("2", "DE")):
        lattice.leaf(values, 100)
    one = lattice.cohort_index[("version", "1"),]
    new = lattice.cohort_index[("version", "2"), ("region", "DE")]
    baseline = Baseline(DetectRules())
    e, y = np.zeros(lattice.size), np.zeros(lattice.size)
    for cohort in (LINE, one, lattice.cohort_index[("region", "DE"),]):
        e[cohort], y[cohort] = 10_000, 100
    baseline.train(T0, e, y, e * 0.01)
    baseline.refresh(T0 + 2 * HOUR, lattice)
    assert baseline.rate[one] == pytest.approx(0.01, rel=0.02)
    assert baseline.rate[new] == pytest.approx(0.01, rel=0.05)
    assert baseline.info[new] < baseline.info[one]


@pytest.mark.parametrize(
    "wrong", [{"kappas": (1.0,)}, {"bin_ms": 7_000}, {"cohorts": 1}, {"guard_ms": 0}, {"false_alarms_per_day": 0.0}]
)
def test_rules_that_cannot_hold_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        DetectRules(**wrong)


def test_explain_rules_that_cannot_hold_are_refused() -> None:
    with pytest.raises(ConfigError):
        ExplainRules(ratio_low=0.5)
