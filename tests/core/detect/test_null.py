"""Months of nothing, and of a slow ramp (simulated; the long runs are those of benchmarks/detect_null.py)."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.detect_null import days_of_ramp, false_alarms, null_minutes, run
from streams.core.detect.rules import DetectRules


def test_two_quiet_but_bursty_days_raise_nothing_beyond_their_budget() -> None:
    """Dispersion 4, budget one alarm a day for exactly the cohorts that exist."""
    issues = run(null_minutes(np.random.default_rng(7), 2, 4.0), DetectRules(cohorts=60))
    assert len([i for i in issues if i.state != "suspected"]) <= 2


@pytest.mark.long
@pytest.mark.parametrize("phi", [1.0, 4.0])
def test_a_month_of_nothing_stays_within_the_budget(phi: float) -> None:
    alarms, shown = false_alarms(31, 1, phi)
    assert shown <= alarms <= 31


@pytest.mark.long
def test_a_ramp_of_a_hundred_in_a_month_is_seen_at_the_end_of_its_fifth_day() -> None:
    """From the foot of the ramp, without two reference weeks; the median of three runs, as one may be a day late."""
    alarms = sorted(days_of_ramp(seed, 2.0)[0] or 99.0 for seed in (1, 2, 3))
    assert alarms[1] <= 5.1
