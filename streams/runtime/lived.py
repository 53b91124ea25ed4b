"""A clock of the time in which the process could run: no stall is called because the machine is busy or slow.

Wall time says nothing about a process that gets a fiftieth of a processor, or that was stopped for a minute: it would
be called stuck for work that goes on. So what counts is the time in which no thread of ours waited for a processor
(Linux counts it per thread), and between two looks at most ``longest_s``: without a look there was no work either.
A thread that sleeps, in a lock or for an answer that never comes, waits for no processor: its time counts in full.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping

TASKS = "/proc/self/task"
MOST_STRETCHED = 50.0


def waits() -> dict[str, float]:
    """Thread -> seconds it has waited for a processor so far; empty where the system does not count them."""
    found: dict[str, float] = {}
    with contextlib.suppress(OSError):
        for thread in os.listdir(TASKS):
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"{TASKS}/{thread}/schedstat") as file:
                found[thread] = int(file.read().split()[1]) / 1e9
    return found


class Lived:
    """Seconds, as ``time.monotonic`` at the start and never ahead of it; moves when :meth:`look` is called."""

    def __init__(
        self,
        longest_s: float = 4.0,
        clock: Callable[[], float] = time.monotonic,
        waits: Callable[[], Mapping[str, float]] = waits,
    ) -> None:
        """``longest_s``: what counts at most between two looks."""
        self._longest_s, self._clock, self._waits = longest_s, clock, waits
        self._looked_at = self._now = clock()
        self._waited = waits()

    def __call__(self) -> float:
        """The time as of the last look."""
        return self._now

    def look(self) -> float:
        """Move on; returns how many times slower than wall time the process lives at present, 1 to 50."""
        now, waited = self._clock(), self._waits()
        elapsed = now - self._looked_at
        starved = max((s - self._waited.get(thread, 0.0) for thread, s in waited.items()), default=0.0)
        lived = min(elapsed, self._longest_s) - starved
        self._looked_at, self._waited = now, waited
        self._now += lived
        return min(max(1.0, elapsed / max(lived, elapsed / MOST_STRETCHED, 1e-9)), MOST_STRETCHED)
