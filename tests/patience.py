"""How long tests wait for something that has to come: one factor for all of them, and no verdict from the clock.

A bound here only ends a test whose condition will never come true; a condition that comes late is as good as one that
comes soon. So bounds are wide, and wider where the machine is slow: ``factor`` is ``CX_TEST_PATIENCE`` (3 unless set)
times how much slower than a quiet machine this one is right now. What a test *measures* belongs into ``benchmarks/``.
"""

from __future__ import annotations

import os
import time

WORK = 400_000
QUIET_S = 0.0065
"""What a quiet machine of ours needs for ``sum(range(WORK))``; only the order of magnitude matters."""
AGAIN_S = 5.0
"""A measured slowness is used this long; then it is measured anew."""
MOST = 60.0
"""A machine that is slower than this has other troubles."""


class _Gauge:
    """How slow the machine was when it was last looked at."""

    def __init__(self) -> None:
        self._looked_at = float("-inf")
        self._found = 1.0

    def read(self) -> float:
        """The worse of a short piece of work and the load per core, against a quiet machine."""
        begun = time.monotonic()
        if begun - self._looked_at > AGAIN_S:
            sum(range(WORK))
            worked = (time.monotonic() - begun) / QUIET_S
            self._found = min(MOST, max(1.0, worked, os.getloadavg()[0] / (os.cpu_count() or 1)))
            self._looked_at = begun
        return self._found


_gauge = _Gauge()


def slowness() -> float:
    """How many times slower than a quiet machine this one is: at least 1, at most ``MOST``."""
    return _gauge.read()


def patience(seconds: float) -> float:
    """``seconds`` as a bound of a wait on this machine, in seconds."""
    return seconds * float(os.environ.get("CX_TEST_PATIENCE", "3")) * slowness()


class Deadline:
    """The end of a wait that was to take ``seconds``: moves away while the machine is found to be slower."""

    def __init__(self, seconds: float) -> None:
        """Start now."""
        self._seconds = seconds
        self._begun = time.monotonic()
        self._bound = patience(seconds)

    @property
    def over(self) -> bool:
        """True once nobody has to wait any longer."""
        self._bound = max(self._bound, patience(self._seconds))
        return self.waited_s > self._bound

    @property
    def waited_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begun
