"""What happened lately, leaf by leaf: the evidence that explanations are computed from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile

import numpy as np

from streams.core.detect.cusum import Floats, Ints
from streams.core.detect.lattice import Lattice


@dataclass(slots=True)
class Failure:
    """One customer failed in one leaf and bin. ``counted``: cohorts in which this was the first time within an hour."""

    bin_ms: int
    leaf: int
    who: int
    counted: list[int]
    explained: bool = False
    """True once the leaf belongs to an open issue."""


@dataclass(slots=True)
class Block:
    """Counts of one block (5 minutes). Leaves of open issues are left out of ``exposed``."""

    start_ms: int
    exposed: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Exposures per leaf number."""
    failures: list[Failure] = field(default_factory=list)
    m: Floats | None = None
    """Expected failures per cohort, once the block has ended; dropped when nobody needs it any more."""

    e: Floats | None = None
    y: Floats | None = None

    def cached(self, lattice: Lattice) -> tuple[Floats, Floats]:
        """:meth:`counts` of an ended block, remembered."""
        if self.e is None or self.y is None:
            self.e, self.y = self.counts(lattice)
        return self.e, self.y

    def expose(self, leaves: Ints, exposed: Ints, known: int) -> None:
        """Add exposures of distinct leaves; ``known`` is how many leaves there are."""
        if self.exposed.size < known:
            self.exposed = np.pad(self.exposed, (0, known - self.exposed.size))
        self.exposed[leaves] += exposed

    def counts(self, lattice: Lattice, leaves: set[int] | None = None) -> tuple[Floats, Floats]:
        """Exposures and counted failures per cohort, of unexplained leaves (only those in ``leaves``, if given)."""
        y = np.zeros(lattice.size)
        at = np.flatnonzero(self.exposed)
        if leaves is not None:
            at = at[np.isin(at, sorted(leaves))]
        e = lattice.roll_up(at, self.exposed[at].astype(np.float64))
        for failure in self.failures:
            if not failure.explained and (leaves is None or failure.leaf in leaves):
                y[failure.counted] += 1.0
        return e, y


class Window:
    """The blocks of the last day, and who failed where in the last hour."""

    def __init__(self, recount_ms: int) -> None:
        """Remember nothing."""
        self.recount_ms = recount_ms
        self.blocks: dict[int, Block] = {}
        self.counted: dict[int, dict[int, int]] = {}

    def count(self, who: int, cohorts: list[int], bin_ms: int) -> list[int]:
        """Return those of ``cohorts`` in which this customer has not been counted within the last hour; count there."""
        seen = self.counted.setdefault(who, {})
        new = [c for c in cohorts if bin_ms - seen.get(c, -self.recount_ms) >= self.recount_ms]
        for cohort in new:
            seen[cohort] = bin_ms
        return new

    def since(self, start_ms: int) -> Iterator[Block]:
        """Blocks from ``start_ms`` on, in order (they are added in order, so the walk back is short)."""
        recent = []
        for at in reversed(self.blocks):
            if at < start_ms:
                break
            recent.append(self.blocks[at])
        return reversed(recent)

    def forget(self, block_ms: int, recount_ms: int) -> list[int]:
        """Drop blocks that start before ``block_ms`` and countings before ``recount_ms``; return the dropped blocks."""
        dropped = list(takewhile(lambda at: at < block_ms, self.blocks))
        for at in dropped:
            del self.blocks[at]
        if recount_ms % self.recount_ms == 0:
            self._forget_counted(recount_ms)
        return dropped

    def _forget_counted(self, recount_ms: int) -> None:
        for who in [w for w, seen in self.counted.items() if max(seen.values()) <= recount_ms - self.recount_ms]:
            del self.counted[who]

    def recall(self) -> None:
        """Rebuild who was counted when, after a restart."""
        for block in self.since(0):
            for failure in block.failures:
                for cohort in failure.counted:
                    seen = self.counted.setdefault(failure.who, {})
                    seen[cohort] = max(seen.get(cohort, 0), failure.bin_ms)
