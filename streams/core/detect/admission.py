"""Who gets one of the last places: values that come again. A flood of values seen once must not blind detection.

    places free    100 % ............ 50 % ........ 25 % ...... 5 %
    exposures          1                5             10          50      before a new value is given a place

While more than half of the places (cohorts, or leaves of a family) are free, whatever is new gets one at once. After
that a new leaf has to wait until each of its attribute values is known or was exposed often enough; until then it
counts under ``__other__``, as everything beyond the cap does. Exposures decide, never failures, so a failure rate is
not biased. The memory of values that wait is bounded (lossy counting: when it is full, those seen once go first), and
what it holds depends on the bins alone, not on how the stream was cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from streams.core.detect.lattice import Lattice

ENOUGH = 5
"""Exposures that a new value needs when half of the places are taken."""
WAITING = 4_096
"""Values that may wait at a time, per line and family."""

Value = tuple[int, str]
"""(number of the attribute, its value)."""


class Admission:
    """Values of one family that wait for a place."""

    def __init__(self) -> None:
        """Nobody waits."""
        self.waiting: dict[Value, int] = {}

    def admits(self, lattice: Lattice, values: tuple[str, ...], exposed: int, free: float) -> bool:
        """Count a new leaf's values and tell whether it may have a place; ``free`` is the share of places left."""
        if free >= 0.5:
            return True
        unknown = [
            (number, value)
            for number, value in enumerate(values)
            if value and ((lattice.attributes[number], value),) not in lattice.cohort_index
        ]
        for value in unknown:
            self.waiting[value] = self.waiting.get(value, 0) + exposed
        need = ceil(ENOUGH * 0.5 / free) if free > 0 else float("inf")
        if any(self.waiting[value] < need for value in unknown):
            return False
        for value in unknown:
            del self.waiting[value]
        return True

    def end_bin(self) -> None:
        """Keep the memory bounded; call after every bin."""
        if len(self.waiting) <= WAITING:
            return
        often = {value: count for value, count in self.waiting.items() if count > 1}
        if len(often) > WAITING // 2:
            first = sorted(often.items(), key=lambda item: (-item[1], item[0]))
            often = dict(first[: WAITING // 2])
        self.waiting = often

    def saved(self) -> list[tuple[int, str, int]]:
        """Everything that waits, sorted."""
        return [(*value, count) for value, count in sorted(self.waiting.items())]

    def load(self, rows: Iterable[Iterable[object]]) -> None:
        """Take back what :meth:`saved` gave."""
        for number, value, count in rows:
            assert isinstance(number, int)
            assert isinstance(count, int)
            self.waiting[number, str(value)] = count
