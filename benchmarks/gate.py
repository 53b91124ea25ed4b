"""``make bench-gate``: has job J become dearer? Compares with a ratio, because machines and days differ.

Alternating pairs on one pair of servers: the bare aiokafka floor, then ``cxwatch``, the same events. The ratio of their
CPU is what is compared with ``benchmarks/baseline.json``. The gate fails if a loss below 10 % can be excluded: if the
whole 95 % interval of the mean log ratio lies 10 % or more above the baseline. ``--write-baseline`` makes this run the
baseline (on a quiet machine, after a change that is meant).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from scipy import stats

from benchmarks import cxwatch
from benchmarks.check import check_cxwatch
from benchmarks.events import EventSet, event_set
from benchmarks.load import load
from benchmarks.rivals import PeerError, run
from benchmarks.run import FLOOR, prefix_of
from benchmarks.stack import Servers, servers
from benchmarks.truth import truth_of
from streams.stack.machine import machine_in_words

BASELINE = Path(__file__).parent / "baseline.json"
EVENTS = 400_000
PAIRS = 7
LOSS = 0.10
"""Loss that must not be certain."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """Geometric mean of ratios and the 95 % interval around it."""

    low: float
    middle: float
    high: float


def interval(ratios: Sequence[float]) -> Interval:
    """Return the geometric mean of positive ratios and its interval by Student's t on the logs.

    Raises ValueError for fewer than two ratios: one says nothing about its own spread.
    """
    if len(ratios) < 2:
        raise ValueError("an interval needs at least two ratios")
    logs = [math.log(ratio) for ratio in ratios]
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(logs) - 1)) * stdev(logs) / math.sqrt(len(logs))
    middle = mean(logs)
    return Interval(math.exp(middle - half), math.exp(middle), math.exp(middle + half))


def verdict(found: Interval, baseline: float) -> tuple[bool, str]:
    """Return (passed?, one sentence)."""
    low, middle, high = (edge / baseline - 1 for edge in (found.low, found.middle, found.high))
    estimate = f"{middle:+.1%} against the baseline (95 % interval {low:+.1%} to {high:+.1%})"
    if low >= LOSS:
        return False, f"FAILED: {estimate}: a loss below {LOSS:.0%} can be excluded"
    if high < LOSS:
        return True, f"passed: {estimate}: no loss of {LOSS:.0%}"
    return True, f"passed: {estimate}: a loss of {LOSS:.0%} is not shown, nor excluded (a quieter machine would tell)"


def pair(where: Servers, events: EventSet, number: int) -> float:
    """One pair; returns the ratio of CPU per event, cxwatch to floor."""
    prefix = prefix_of(events)
    log = where.settings.state_dir / "logs" / f"floor-{number}.log"
    floor = run(FLOOR, where.peer_environment(prefix, f"floor_{number}", events.events), log)
    own = cxwatch.measure(where, prefix, events, raw=False)
    wrong = check_cxwatch(where.client(cxwatch.DATABASE), truth_of(events))
    if wrong:
        raise PeerError("not equal to the truth:\n  " + "\n  ".join(wrong))
    ratio = own.cpu_s_per_million / floor.cpu_s_per_million
    print(f"pair {number}: cxwatch {own.cpu_s_per_million:.2f}, floor {floor.cpu_s_per_million:.2f} CPU s per million "
          f"events, ratio {ratio:.2f}", flush=True)
    return ratio


def main() -> int:
    """Measure, judge; exit code 1 if the gate fails."""
    parser = argparse.ArgumentParser(description="Has job J become dearer?")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--write-baseline", action="store_true")
    parser.add_argument("--baseline", type=Path, default=BASELINE)
    given = parser.parse_args()
    if not given.write_baseline and not given.baseline.exists():
        print("there is no baseline: make one on a quiet machine with `python -m benchmarks.gate --write-baseline`")
        return 2
    events = event_set(given.events)
    truth_of(events)
    with servers() as where:
        load(where.bootstrap, prefix_of(events), events)
        ratios = [pair(where, events, number) for number in range(1, given.pairs + 1)]
    found = interval(ratios)
    print(f"ratio {found.middle:.2f} (95 % interval {found.low:.2f} to {found.high:.2f})")
    if given.write_baseline:
        given.baseline.write_text(json.dumps(_baseline(found, given.events, ratios), indent=1) + "\n")
        return 0
    passed, sentence = verdict(found, json.loads(given.baseline.read_text())["ratio"])
    print(sentence)
    return 0 if passed else 1


def _baseline(found: Interval, events: int, ratios: Sequence[float]) -> dict[str, Any]:
    return {
        "ratio": round(found.middle, 3),
        "interval": [round(found.low, 3), round(found.high, 3)],
        "pairs": [round(ratio, 3) for ratio in ratios],
        "events": events,
        "machine": machine_in_words(),
    }


if __name__ == "__main__":
    sys.exit(main())
