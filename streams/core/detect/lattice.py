"""The attribute lattice: from leaf tuples to cohorts of up to two attributes, capped at K."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from streams.core.detect.cusum import Floats, Ints

Pairs = tuple[tuple[str, str], ...]
LINE, OTHER, TRASH = 0, 1, 2
"""Indices of the whole line, of what lies beyond K, and of what is not counted (empty values, repeats)."""
OTHER_VALUE = "__other__"


class Lattice:
    """Numbers leaves and cohorts in the order in which they were first seen, and says which cohorts a leaf lies in.

    >>> lattice = Lattice(("carrier", "origin"), leaves=10)
    >>> leaf, minted = lattice.leaf(("AA", "LGA"), room=100)
    >>> [lattice.cohorts[i] for i in lattice.rows[leaf]]
    [(), (('carrier', 'AA'),), (('origin', 'LGA'),), (('carrier', 'AA'), ('origin', 'LGA'))]
    """

    def __init__(self, attributes: tuple[str, ...], leaves: int) -> None:
        """Know ``attributes`` in their fixed order; remember at most ``leaves`` leaves."""
        self.attributes = attributes
        self.sets = [s for size in (1, 2) for s in combinations(range(len(attributes)), size)]
        self.cap = leaves
        self.leaves: list[tuple[str, ...]] = []
        self.leaf_index: dict[tuple[str, ...], int] = {}
        self.cohorts: list[Pairs] = [(), ((OTHER_VALUE, OTHER_VALUE),), ()]
        self.cohort_index: dict[Pairs, int] = {(): LINE}
        self.set_of: list[int] = [-1, len(self.sets), -2]
        self.parents: list[tuple[int, int]] = [(LINE, LINE), (LINE, LINE), (LINE, LINE)]
        self.minted: list[int] = []
        self.row_lists: list[list[int]] = []
        self.rows: Ints = np.zeros((64, 1 + len(self.sets)), dtype=np.int64)
        self._shape: tuple[int, Ints, Ints, Ints] | None = None

    @property
    def size(self) -> int:
        """Number of cohort slots in use, the three reserved ones included."""
        return len(self.cohorts)

    def leaf(self, values: tuple[str, ...], room: int) -> tuple[int, int]:
        """Return the number of a leaf and how many cohorts were minted for it; ``room`` is what K still allows."""
        found = self.leaf_index.get(values)
        if found is not None:
            return found, 0
        if len(self.leaves) >= self.cap:
            values, room = (OTHER_VALUE,) * len(self.attributes), 0
            if values in self.leaf_index:
                return self.leaf_index[values], 0
        before = len(self.cohorts)
        row = [LINE, *self._row(values, room)]
        index = len(self.leaves)
        self.leaves.append(values)
        self.leaf_index[values] = index
        if index >= len(self.rows):
            self.rows = np.vstack([self.rows, np.zeros_like(self.rows)])
        self.rows[index] = row
        self.minted.append(len(self.cohorts) - before)
        self.row_lists.append([c for c in row if c != TRASH])
        return index, len(self.cohorts) - before

    def _row(self, values: tuple[str, ...], room: int) -> list[int]:
        row: list[int] = []
        start = len(self.cohorts)
        for number, attributes in enumerate(self.sets):
            pairs = tuple((self.attributes[i], values[i]) for i in attributes)
            index = TRASH
            if all(value for _, value in pairs):
                known = self.cohort_index.get(pairs)
                if known is None and len(self.cohorts) - start < room:
                    known = self._mint(pairs, number)
                index = OTHER if known is None else known
            row.append(TRASH if index == OTHER and OTHER in row else index)
        return row

    def _mint(self, pairs: Pairs, number: int) -> int:
        index = len(self.cohorts)
        self.cohorts.append(pairs)
        self.cohort_index[pairs] = index
        self.set_of.append(number)
        singles = [self.cohort_index.get((pair,), LINE) for pair in pairs]
        self.parents.append((singles[0], singles[1]) if len(pairs) == 2 else (LINE, LINE))
        return index

    def shapes(self) -> tuple[Ints, Ints, Ints]:
        """Arrays over cohorts: attribute set (-1 line, -2 reserved, the last one ``__other__``), both parents."""
        if self._shape is None or self._shape[0] != self.size:
            parents = np.array(self.parents, dtype=np.int64)
            self._shape = (self.size, np.array(self.set_of, dtype=np.int64), parents[:, 0], parents[:, 1])
        return self._shape[1:]

    def roll_up(self, leaves: Ints, counts: Floats) -> Floats:
        """Sum counts of leaves into every cohort they lie in."""
        weights = np.repeat(counts, self.rows.shape[1])
        sums = np.bincount(self.rows[leaves].ravel(), weights=weights, minlength=self.size)
        sums[TRASH] = 0.0
        return np.asarray(sums, dtype=np.float64)

    def inside(self, pairs: Pairs) -> Ints:
        """Numbers of the leaves that agree with every attribute = value pair."""
        wanted = [(self.attributes.index(name), value) for name, value in pairs]
        found = [i for i, leaf in enumerate(self.leaves) if all(leaf[a] == v for a, v in wanted)]
        return np.array(found, dtype=np.int64)
