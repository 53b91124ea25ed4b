"""Detectors to compare with: two that bound what figures can mean, and four that are in use elsewhere.

Each is a class with one method: a minute of counts in, the cohorts that alarm out. One configuration serves all worlds;
none of them was adjusted to any world. They see counts per line, signal and attribute value (``observe``).
"""

from __future__ import annotations

import importlib
import importlib.util
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from schemas.topics import DAY_MS, HOUR_MS, MINUTE_MS
from streams.replay.evaluate.observe import CohortKey, Minute
from streams.replay.evaluate.reports import DetectorReport

GAP_MS = 30 * MINUTE_MS
"""Alarms of one line and signal that follow each other within this time are one report."""
LEAST_FAILURES = 5
"""Fewer failures alarm nobody; we need as many customers."""


class Rival(Protocol):
    """A detector."""

    def step(self, minute: Minute) -> Iterable[CohortKey]:
        """Take one minute and return the cohorts that alarm, the likeliest cause first. Minutes come in order."""


class NeverFire:
    """Says nothing, ever."""

    def step(self, minute: Minute) -> Iterable[CohortKey]:
        """No alarm."""
        del minute
        return ()


@dataclass
class AlwaysFire:
    """Reports every line and every signal anew, every hour."""

    _next_ms: dict[CohortKey, int] = field(default_factory=dict)

    def step(self, minute: Minute) -> Iterable[CohortKey]:
        """Whole lines whose hour is over."""
        for key in minute.counts:
            if key.pair is None and minute.ends_ms >= self._next_ms.get(key, 0):
                self._next_ms[key] = minute.ends_ms + HOUR_MS
                yield key


@dataclass
class _Buckets:
    """Failures of one cohort in buckets of time: the running one, and those of the past that were not empty."""

    index: int = 0
    failed: int = 0
    past: deque[tuple[int, int]] = field(default_factory=deque)

    def add(self, index: int, failed: int, keep: int) -> None:
        """Count into a bucket; forget those more than ``keep`` buckets before it."""
        if index != self.index:
            if self.failed:
                self.past.append((self.index, self.failed))
            self.index, self.failed = index, 0
        while self.past and self.past[0][0] < index - keep:
            self.past.popleft()
        self.failed += failed


@dataclass
class OnCounts:
    """Compares the failures of the running bucket with those of buckets before it, once a day was seen."""

    width_ms: int
    keep: int
    """Buckets that are looked back on."""
    limit: Callable[[Iterable[int], int], float]
    """Failures of the buckets that were not empty, and how many buckets there were -> most that is usual."""
    _first_ms: dict[str, int] = field(default_factory=dict)
    _of: dict[CohortKey, _Buckets] = field(default_factory=dict)

    def step(self, minute: Minute) -> Iterable[CohortKey]:
        """Cohorts above their limit, those with the largest share of failures first."""
        index, found = (minute.ends_ms - 1) // self.width_ms, []
        for key, (tries, failed) in minute.counts.items():
            first_ms = self._first_ms.setdefault(key.line, minute.ends_ms)
            if not failed:
                continue
            buckets = self._of.setdefault(key, _Buckets())
            buckets.add(index, failed, self.keep)
            if buckets.failed < LEAST_FAILURES or minute.ends_ms - first_ms < DAY_MS:
                continue
            seen = min(self.keep, (minute.ends_ms - first_ms) // self.width_ms)
            if buckets.failed > self.limit((count for _, count in buckets.past), seen):
                found.append((-failed / tries, -failed, key))
        return [key for _, _, key in sorted(found, key=lambda one: (one[0], one[1], _text(one[2])))]


def ten_times_the_mean() -> OnCounts:
    """More failures in 5 minutes than ten times the mean of the 5-minute buckets of the last 24 hours."""
    return OnCounts(5 * MINUTE_MS, 288, lambda past, buckets: 10.0 * sum(past) / buckets)


def weekly_ceiling() -> OnCounts:
    """More failures in the running hour than in any hour of the week before, as error trackers call it escalating."""
    return OnCounts(HOUR_MS, 168, lambda past, _: float(max(past, default=0)))


@dataclass
class OnShares:
    """A drift detector of river per cohort, fed 1 for a failure and 0 for a success, with river's own defaults."""

    new: Callable[[], Any]
    _of: dict[CohortKey, Any] = field(default_factory=dict)

    def step(self, minute: Minute) -> Iterable[CohortKey]:
        """Cohorts whose share of failures drifted upwards in this minute, those with the largest share first."""
        found = []
        for key, (tries, failed) in minute.counts.items():
            detector = self._of.get(key)
            if detector is None:
                detector = self._of[key] = self.new()
            if _rose(detector, tries, failed) and failed:
                found.append((-failed / tries, -failed, key))
        return [key for _, _, key in sorted(found, key=lambda one: (one[0], one[1], _text(one[2])))]


def _rose(detector: Any, tries: int, failed: int) -> bool:
    """Feed one minute, its failures spread evenly over its tries: bunched together they would be a drift themselves."""
    before, rose = getattr(detector, "estimation", 0.0), False
    for number in range(tries):
        detector.update((number + 1) * failed // tries - number * failed // tries)
        if detector.drift_detected:
            rose = rose or getattr(detector, "estimation", 1.0) > before
            before = getattr(detector, "estimation", 0.0)
    return rose


def _river(name: str) -> Callable[[], Rival]:
    def make() -> Rival:
        drift = importlib.import_module("river.drift")
        more = {"mode": "up"} if name == "PageHinkley" else {}
        return OnShares(lambda: getattr(drift, name)(**more))

    return make


def _text(key: CohortKey) -> tuple[str, ...]:
    return (key.line, key.signal, *(key.pair or ()))


RIVALS: Mapping[str, Callable[[], Rival]] = {
    "never fires": NeverFire,
    "always fires": AlwaysFire,
    "ten times the mean": ten_times_the_mean,
    "weekly ceiling": weekly_ceiling,
    "ADWIN per cohort": _river("ADWIN"),
    "Page-Hinkley per cohort": _river("PageHinkley"),
}
"""Name -> how to make one for a world."""
NEED_RIVER = frozenset({"ADWIN per cohort", "Page-Hinkley per cohort"})


def installed(name: str) -> bool:
    """False for a detector whose library is not there."""
    return name not in NEED_RIVER or importlib.util.find_spec("river") is not None


@dataclass
class Alarms:
    """Puts the alarms of a detector together into reports, one for each line and signal at a time.

    Its cause is what alarmed first; it is over half an hour after the last alarm.
    """

    _open: dict[tuple[str, str], tuple[int, int, CohortKey]] = field(default_factory=dict)
    _done: list[DetectorReport] = field(default_factory=list)

    def add(self, at_ms: int, alarming: Iterable[CohortKey]) -> None:
        """Alarms of the minute that ends at ``at_ms``."""
        for key in alarming:
            about = key.line, key.signal
            first_ms, last_ms, cause = self._open.get(about, (at_ms, at_ms, key))
            if at_ms - last_ms > GAP_MS:
                self._close(about)
                first_ms, cause = at_ms, key
            self._open[about] = first_ms, at_ms, cause

    def reports(self) -> list[DetectorReport]:
        """All of them, those that still go on included."""
        for about in list(self._open):
            self._close(about)
        return sorted(self._done, key=lambda report: (report.at_ms, report.line, report.signal))

    def _close(self, about: tuple[str, str]) -> None:
        first_ms, last_ms, key = self._open.pop(about)
        cause = dict([key.pair]) if key.pair else {}
        self._done.append(DetectorReport(key.line, key.signal, first_ms, first_ms, last_ms + GAP_MS, cause))
