"""Who gets one of the last places: values that come again. A flood of values seen once must not blind detection.

    places free    100 % ............ 50 % ........ 25 % ...... 5 %
    exposures          1                5             10          50      before somebody new is given a place

While more than half of the places (lines, cohorts, or leaves of a family) are free, whatever is new gets one at once.
After that it has to wait until it was exposed often enough: a service line as such, a new leaf with each of its
attribute values that is not known. Until then it counts under ``__other__``, as everything beyond the cap does.
Exposures decide, never failures, so a failure rate is not biased. The memory of who waits is bounded (lossy counting:
when it is full, those seen once go first), and what it holds depends on the bins alone, not on how the stream was cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, inf
from typing import Any, Generic, TypeVar, cast

from streams.core.detect.lattice import Lattice

SCARCE = 0.5
"""Share of free places below which somebody new has to wait."""
ENOUGH = 5
"""Exposures that it takes when places begin to be scarce."""
WAITING = 4_096
"""How many may wait at a time: values per line and family, and lines."""

Value = tuple[int, str]
"""(number of the attribute, its value)."""
K = TypeVar("K", bound=Sequence[object])


def needed(free: float) -> float:
    """Exposures before somebody new is given a place, when the share ``free`` of the places is left."""
    if free >= SCARCE:
        return 0.0
    return ceil(ENOUGH * SCARCE / free) if free > 0 else inf


class Waiting(Generic[K]):
    """Who waits for a place, with the exposures so far."""

    def __init__(self) -> None:
        """Nobody waits."""
        self.exposed: dict[K, int] = {}

    def enough(self, new: Sequence[K], exposed: int, free: float) -> bool:
        """Count the exposures of everybody new; True if all have had enough for a place, and wait no more."""
        need = needed(free)
        if not need:
            return True
        for one in new:
            self.exposed[one] = self.exposed.get(one, 0) + exposed
        if any(self.exposed[one] < need for one in new):
            return False
        for one in new:
            del self.exposed[one]
        return True

    def end_bin(self) -> None:
        """Keep the memory bounded; call after every bin."""
        if len(self.exposed) <= WAITING:
            return
        often = {one: count for one, count in self.exposed.items() if count > 1}
        if len(often) > WAITING // 2:
            first = sorted(often.items(), key=lambda item: (-item[1], item[0]))
            often = dict(first[: WAITING // 2])
        self.exposed = often

    def saved(self) -> list[tuple[object, ...]]:
        """Everybody who waits, sorted."""
        return [(*one, count) for one, count in sorted(self.exposed.items())]

    def load(self, rows: Iterable[Sequence[Any]]) -> None:
        """Take back what :meth:`saved` gave."""
        self.exposed = {cast(K, tuple(one)): int(count) for *one, count in rows}


class Admission(Waiting[Value]):
    """Values of one family that wait for a place."""

    def admits(self, lattice: Lattice, values: tuple[str, ...], exposed: int, free: float) -> bool:
        """Count a new leaf's values and tell whether it may have a place; ``free`` is the share of places left."""
        unknown = [
            (number, value)
            for number, value in enumerate(values)
            if value and ((lattice.attributes[number], value),) not in lattice.cohort_index
        ]
        return self.enough(unknown, exposed, free)
