"""What a report draws over time, thinned to about a point per pixel: events, and how a cohort fared beside the rest.

Times are event times in ms UTC. Bins are half-open and aligned to 1970.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streams.replay.canonical import Row
from streams.replay.findings import FoundIssue, printable
from streams.replay.report.bars import TimeAxis

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
STEPS_MS = (
    10_000, 30_000, MINUTE_MS, 5 * MINUTE_MS, 10 * MINUTE_MS, 30 * MINUTE_MS, HOUR_MS, 3 * HOUR_MS, 6 * HOUR_MS,
    12 * HOUR_MS, DAY_MS, 7 * DAY_MS, 28 * DAY_MS,
)  # fmt: skip
"""Widths of bins; each divides the next."""
MOST_POINTS = 400
COHORT_POINTS = 160
LEAST_MARGIN_MS = HOUR_MS


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart; None is a gap."""

    name: str
    times: Sequence[int]
    values: Sequence[float | None]

    def as_dict(self) -> dict[str, Any]:
        """As the page's chart takes it."""
        return {"name": self.name, "times": list(self.times), "values": list(self.values)}


@dataclass(frozen=True, slots=True)
class Volume:
    """Events per minute and topic over a run."""

    from_ms: int
    until_ms: int
    events: int
    curves: tuple[Curve, ...]


@dataclass(frozen=True, slots=True)
class CohortCurves:
    """Share of customers who failed of those who could have, in the cause's cohort and outside it."""

    from_ms: int
    until_ms: int
    step_ms: int
    curves: tuple[Curve, ...]


def step_for(length_ms: int, most: int) -> int:
    """The narrowest width with which at most ``most`` bins cover a stretch.

    >>> step_for(3_600_000, 360), step_for(3_600_000, 359)
    (10000, 30000)
    """
    return next((step for step in STEPS_MS if length_ms <= step * most), STEPS_MS[-1])


def volume(rows: Iterable[Row], axis: TimeAxis | None = None) -> Volume | None:
    """Events per minute, from the counts of all producers; None if there are none. ``axis``: no others than these."""
    step = STEPS_MS[0]
    counted: dict[str, Counter[int]] = defaultdict(Counter)
    first, last = 1 << 62, 0
    for row in rows:
        begin = int(row["bin_ms"])
        if axis is not None and not axis.from_ms <= begin < axis.until_ms:
            continue
        first, last = min(first, begin), max(last, begin + int(row["width_ms"]))
        wanted = step_for(last - first, MOST_POINTS)
        if wanted > step:
            step = wanted
            counted = defaultdict(Counter, {topic: _coarser(bins, step) for topic, bins in counted.items()})
        counted[printable(row["topic"])][begin - begin % step] += row["events"]
    if not counted:
        return None
    times = range(first - first % step, last, step)
    curves = [
        Curve(topic, times, [round(bins[time] * MINUTE_MS / step, 2) for time in times])
        for topic, bins in sorted(counted.items(), key=lambda one: -one[1].total())
    ]  # fmt: skip
    return Volume(first, last, sum(bins.total() for bins in counted.values()), tuple(curves))


def _coarser(bins: Mapping[int, int], step: int) -> Counter[int]:
    found: Counter[int] = Counter()
    for time, events in bins.items():
        found[time - time % step] += events
    return found


class _Cohort:
    """Counts of one issue's cohort and of the rest of its line and signal, around the time of the issue."""

    def __init__(self, issue: FoundIssue, axis: TimeAxis) -> None:
        ended = max(axis.until_ms if issue.ended_ms is None else issue.ended_ms, issue.seen_ms)
        margin = max(LEAST_MARGIN_MS, (ended - issue.began_ms) // 2)
        self.cause = issue.cause
        self.from_ms = max(issue.began_ms - margin, axis.from_ms)
        self.until_ms = min(ended + margin, axis.until_ms)
        self.step_ms = step_for(self.until_ms - self.from_ms, COHORT_POINTS)
        self.counts: dict[bool, tuple[Counter[int], Counter[int]]] = {
            inside: (Counter(), Counter()) for inside in (True, False)
        }

    def add(self, row: Row) -> None:
        begin = int(row["bin_ms"])
        if not self.from_ms <= begin < self.until_ms or not self.cause.keys() <= set(row["attributes"]):
            return
        at = [(row["attributes"].index(name), value) for name, value in self.cause.items()]
        begin -= begin % self.step_ms
        for leaf in row["leaves"]:
            exposed, failed = self.counts[all(leaf["values"][index] == value for index, value in at)]
            exposed[begin] += leaf["exposed"]
            failed[begin] += len(leaf["failed"])

    def curves(self, name: str) -> CohortCurves:
        times = range(self.from_ms - self.from_ms % self.step_ms, self.until_ms, self.step_ms)
        named = {True: name, False: "everybody else"}
        drawn = tuple(
            Curve(named[inside], times, [_share(failed[time], exposed[time]) for time in times])
            for inside, (exposed, failed) in self.counts.items() if exposed
        )  # fmt: skip
        return CohortCurves(self.from_ms, self.until_ms, self.step_ms, drawn)


def _share(failed: int, exposed: int) -> float | None:
    return round(failed / exposed, 5) if exposed else None


def cohort_curves(
    rows: Iterable[Row], issues: Mapping[str, tuple[FoundIssue, str]], axis: TimeAxis
) -> dict[str, CohortCurves]:
    """Curves of each issue, by its id, given with the name of its cohort; ``axis``: the time of the run."""
    cohorts = {name: _Cohort(issue, axis) for name, (issue, _) in issues.items()}
    families: dict[tuple[str, str], list[_Cohort]] = defaultdict(list)
    for name, (issue, _) in issues.items():
        families[issue.line, issue.signal].append(cohorts[name])
    for row in rows:
        for cohort in families.get((printable(row["line"]), row["signal"]), ()):
            cohort.add(row)
    return {name: cohorts[name].curves(cohort_name) for name, (_, cohort_name) in issues.items()}
