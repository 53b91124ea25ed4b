"""How often detection cries wolf, and how soon it sees a slow ramp: simulated months of closed counts, no Kafka.

    python -m benchmarks.detect_null null --days 31 --seeds 3     false alarms a day for phi = 1, 2, 4
    python -m benchmarks.detect_null ramp --seeds 5               day on which a ramp x100 in 31 days is seen

Null: 48 leaves (4 providers x 3 methods x 4 regions; 60 cohorts), exposures per leaf and hour Poisson(20) with a daily
season, failure rate 5 %, multiplied per leaf and hour by a Gamma variable of mean 1 and variance (phi - 1) / 1, so that
hourly counts of every cohort have dispersion phi. Counts fall into one bin a minute. K is set to the 60 cohorts that
exist, so that the budget F = 1 a day is the budget of this stream and not a sixteenth of it.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from schemas.findings import BinClosed, CohortCount, LeafCount
from schemas.issues import Issue
from streams.core.detect.rules import DetectRules
from streams.core.detect.stage import DetectStage
from streams.core.stage import Batch

START_MS = 1_775_001_600_000
MINUTE_MS = 60_000
PROVIDERS, METHODS, REGIONS = ("p1", "p2", "p3", "p4"), ("card", "wallet", "debit"), ("DE", "IT", "FR", "ES")
LEAVES = [(p, m, r) for p in PROVIDERS for m in METHODS for r in REGIONS]
ATTRIBUTES = ("payment_provider", "payment_method", "region")


def null_minutes(rng: np.random.Generator, days: int, phi: float) -> Iterator[tuple[Any, Any]]:
    """Exposures and failures per leaf, minute by minute."""
    per_hour, rate = 20.0, 0.05
    wander = (phi - 1.0) / (per_hour * rate)
    for hour in range(days * 24):
        season = 1.0 + 0.6 * math.sin(2 * math.pi * hour / 24)
        factor = rng.gamma(1 / wander, wander, len(LEAVES)) if wander else np.ones(len(LEAVES))
        for _ in range(60):
            exposed = rng.poisson(per_hour * season / 60, len(LEAVES))
            yield exposed, rng.binomial(exposed, np.minimum(rate * factor, 0.95))


def ramp_minutes(rng: np.random.Generator, days: int, flat: int, phi: float) -> Iterator[tuple[Any, Any]]:
    """One leaf fails ever more often: 90 a day, growing a hundredfold in 31 days after ``flat`` days."""
    per_minute, rate = 14.0, 90.0 / (14.0 * 1440)
    wander = (phi - 1.0) / (per_minute * 60 * rate)
    for minute in range(days * 1440):
        if minute % 60 == 0:
            factor = float(rng.gamma(1 / wander, wander)) if wander else 1.0
        growth = 100.0 ** (max(0.0, minute / 1440 - flat) / 31)
        exposed = np.zeros(len(LEAVES), dtype=np.int64)
        exposed[0] = rng.poisson(per_minute)
        exposed[1:] = rng.poisson(0.2, len(LEAVES) - 1)
        share = np.full(len(LEAVES), rate)
        share[0] = min(rate * growth * factor, 0.95)
        yield exposed, rng.binomial(exposed, share)


def run(minutes: Iterator[tuple[Any, Any]], rules: DetectRules, last: bool = True) -> list[Issue]:
    """Last (or first shown) version of every issue, suspicions included; looked at once an hour."""
    stage = DetectStage(rules)
    state = stage.start(0, 1)
    latest: dict[str, Issue] = {}
    who = 0
    for minute, (exposed, failed) in enumerate(minutes):
        leaves = []
        for values, n, bad in zip(LEAVES, exposed.tolist(), failed.tolist(), strict=True):
            if n:
                leaves.append(LeafCount.model_construct(values=values, exposed=n, failed=tuple(range(who, who + bad))))
                who += bad
        start = START_MS + minute * MINUTE_MS
        count = CohortCount.model_construct(
            kind="cohort_count",
            line="shop",
            signal="payment",
            bin_ms=start,
            width_ms=10_000,
            partition=0,
            attributes=ATTRIBUTES,
            leaves=tuple(leaves),
            closed=True,
        )
        closed = BinClosed.model_construct(kind="bin_closed", partition=0, partitions=1, through_ms=start + 10_000)
        stage.step(state, Batch("cohort_count", 0, [count, closed], [2 * minute, 2 * minute + 1]))
        if minute % 60 == 59:
            new = {m.key: m.record for m in stage.drain(state).messages if isinstance(m.record, Issue)}
            latest |= {k: i for k, i in new.items() if last or k not in latest or latest[k].state == "suspected"}
    return sorted(latest.values(), key=lambda i: i.detected_at_ms)


def false_alarms(days: int, seed: int, phi: float) -> tuple[int, int]:
    """Alarms (suspicions) and shown issues in a null stream."""
    rules = DetectRules(cohorts=60, false_alarms_per_day=1.0)
    issues = run(null_minutes(np.random.default_rng(seed), days, phi), rules)
    return len(issues), sum(i.state != "suspected" for i in issues)


def days_of_ramp(seed: int, phi: float, flat: int = 7, days: int = 17) -> tuple[float | None, float | None]:
    """Days from the start of the ramp to the first alarm after it and to the first shown issue; None if never."""
    issues = run(ramp_minutes(np.random.default_rng(seed), days, flat, phi), DetectRules(), last=False)
    foot = START_MS + flat * 86_400_000
    late = [i for i in issues if i.updated_at_ms > foot]
    shown = [i for i in late if i.state != "suspected"]
    alarm = (late[0].detected_at_ms - foot) / 86_400_000 if late else None
    return alarm, (shown[0].updated_at_ms - foot) / 86_400_000 if shown else None


def main() -> None:
    """Print one line per run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("null", "ramp"))
    parser.add_argument("--days", type=int, default=31)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for phi in (1.0, 2.0, 4.0):
        for seed in range(1, options.seeds + 1):
            began = time.process_time()
            if options.what == "null":
                alarms, shown = false_alarms(options.days, seed, phi)
                text = f"{alarms} alarms, {shown} shown in {options.days} days (budget {options.days})"
            else:
                alarm, shown_on = days_of_ramp(seed, phi)
                text = f"alarm on day {alarm}, shown on day {shown_on}"
            print(f"phi={phi:g} seed={seed}: {text}, {time.process_time() - began:.0f} s CPU", flush=True)


if __name__ == "__main__":
    main()
