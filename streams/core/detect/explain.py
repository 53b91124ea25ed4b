"""The simplest honest explanation of a rise: which attribute value, or pair of values, the excess failures share.

For a set of leaves c the risk ratio inside against outside is

    RR = ((a + 0.5) / (n1 + 1)) / ((c + 0.5) / (n0 + 1)),
    95 % interval: RR exp(-+ 1.96 sqrt(1/(a + 0.5) - 1/(n1 + 1) + 1/(c + 0.5) - 1/(n0 + 1)))

with a, c distinct failed customers and n1, n0 exposed ones inside and outside (the halves shrink small tables). A
candidate is kept when the lower end is at least 2, both for RR and for RR divided by the ratio that was usual before (a
cohort that is always worse is not news), and when at least 5 % of the excess lies inside. A kept candidate is dropped
when another one explains it: when it is no longer bad among the customers outside the other, while the other stays bad
outside of it (an airport looks bad only because two sick carriers fly there: Simpson's case). Who was counted under
``__other__`` for want of a place is outside of nothing: nobody knows their values, and a flood of made-up ones would
make everybody else look bad. Of two names for the same customers one stays, the simpler; a pair is preferred to its
single only if "the pair is bad, the rest of its single is like everybody else" is e^3 times as likely as "all of it is
bad". Values that everybody shares are never candidates. If nothing is left, the cause is the whole line.

Trade-off: greedy and at most pairs, so a cause that needs three attributes is told by the best two; in exchange every
answer can be recomputed by hand from one table. Sources: MacroBase (Bailis et al. 2017) for risk ratio and support,
Katz et al. 1978 for the interval, Adtributor (Bhagwan et al. 2014) for the share of the excess.

>>> table = [Leaf(("paynow", "IT"), 100, 1.0, range(40)), Leaf(("paynow", "DE"), 100, 1.0, (101,)),
...          Leaf(("swift", "IT"), 100, 1.0, ()), Leaf(("swift", "DE"), 100, 1.0, (102,))]
>>> explain(("payment_provider", "region"), table).pairs
(('payment_provider', 'paynow'), ('region', 'IT'))
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from streams.core.detect.lattice import OTHER_VALUE
from streams.core.detect.rules import ExplainRules

MOST = 0.5
"""Share of the excess from which an attribute could be the cause of all of it."""
WIDE = 4.0
"""Upper over lower end from which an interval says "not enough data yet"."""
Mask = npt.NDArray[np.bool_]
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One full tuple of attribute values in the window of the rise."""

    values: tuple[str, ...]
    exposed: int
    """Exposures (distinct customers per bin)."""
    expected: float
    """Failures that were usual for that many exposures."""
    failed: Collection[int]
    """Hashes of the distinct customers who failed."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The cause and its evidence; ``pairs`` empty = the whole line."""

    pairs: Pairs
    risk_ratio: float
    low: float
    high: float
    support: float
    """Share of the excess failures inside, 0-1."""
    exposed: int
    failed: int
    expected: float
    open_question: bool = False
    """The whole line is named only for want of data: one attribute has most of the excess, its interval is wide."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A risk ratio and its 95 % interval; ``honest`` is the lower end after division by the usual ratio, if lower."""

    value: float
    low: float
    high: float
    honest: float


def risk_ratio(a: float, n1: float, c: float, n0: float) -> tuple[float, float, float]:
    """Shrunk risk ratio of a of n1 against c of n0, with its 95 % interval.

    >>> [round(x, 2) for x in risk_ratio(40, 100, 2, 300)]
    [48.28, 13.73, 169.74]
    """
    a, n1, c, n0 = a + 0.5, max(n1, a) + 1.0, c + 0.5, max(n0, c) + 1.0
    value = (a / n1) / (c / n0)
    wide = float(np.exp(1.96 * np.sqrt(1 / a - 1 / n1 + 1 / c - 1 / n0)))
    return value, value / wide, value * wide


class _Table:
    """Leaves as columns; sets of leaves are masks."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self.exposed = np.array([leaf.exposed for leaf in leaves], dtype=np.float64)
        self.expected = np.array([leaf.expected for leaf in leaves], dtype=np.float64)
        rows = [(row, who) for row, leaf in enumerate(leaves) for who in leaf.failed]
        self.row = np.array([row for row, _ in rows], dtype=np.int64)
        self.who = np.unique(np.array([who for _, who in rows], dtype=np.uint64), return_inverse=True)[1]
        self.everyone = np.ones(len(leaves), dtype=bool)
        self.known = np.array([OTHER_VALUE not in leaf.values for leaf in leaves], dtype=bool)

    def customers(self, mask: Mask) -> npt.NDArray[np.int64]:
        """Distinct failed customers inside, as numbers."""
        return np.unique(self.who[mask[self.row]]) if self.row.size else np.zeros(0, dtype=np.int64)

    def counts(self, mask: Mask) -> tuple[int, float]:
        """Distinct failed customers and exposures inside."""
        return self.customers(mask).size, float(self.exposed[mask].sum())

    def ratio(self, inside: Mask, outside: Mask) -> Ratio:
        """Risk ratio of the leaves inside against those outside whose values are known."""
        outside = outside & self.known
        (a, n1), (c, n0) = self.counts(inside), self.counts(outside)
        value, low, high = risk_ratio(a, n1, c, n0)
        m1, m0 = float(self.expected[inside].sum()), float(self.expected[outside].sum())
        usual = (m1 / n1) / (m0 / n0) if min(m1, m0, n1, n0) > 0 else 1.0
        return Ratio(value, low, high, min(low, low / usual))


@dataclass(frozen=True, slots=True)
class _Candidate:
    pairs: Pairs
    mask: Mask
    ratio: Ratio
    failed: npt.NDArray[np.int64]


def explain(attributes: tuple[str, ...], leaves: Sequence[Leaf], rules: ExplainRules | None = None) -> Explanation:
    """Return the cause of the excess failures in ``leaves`` (values in the order of ``attributes``)."""
    rules = rules or ExplainRules()
    leaves = sorted(leaves, key=lambda leaf: leaf.values)
    table = _Table(leaves)
    masks = _masks(attributes, leaves)
    kept = _keep(table, masks, rules)
    for c in sorted(kept, key=_rank):
        if any(_explained(table, c, d, rules) for d in kept if d is not c):
            kept.remove(c)
    if not kept:
        whole = _finish(table, (), table.everyone, Ratio(1.0, 1.0, 1.0, 1.0))
        return replace(whole, open_question=_undecided(table, masks, rules))
    best = max(kept, key=_rank)
    return _finish(table, best.pairs, best.mask, best.ratio)


def _rank(c: _Candidate) -> tuple[float, int, Pairs]:
    return c.ratio.honest, -len(c.pairs), c.pairs


def _masks(attributes: tuple[str, ...], leaves: Sequence[Leaf]) -> dict[Pairs, Mask]:
    """Every cohort of one or two attributes, without empty values and without what everybody shares."""
    columns = [np.array([leaf.values[i] for leaf in leaves], dtype=object) for i in range(len(attributes))]
    singles: dict[Pairs, Mask] = {}
    for name, column in zip(attributes, columns, strict=True):
        values = sorted({v for v in column if v})
        if len(values) > 1 or (values and not all(v == values[0] for v in column)):
            singles.update({((name, v),): np.asarray(column == v) for v in values})
    masks = dict(singles)
    for (one, left), (two, right) in combinations(singles.items(), 2):
        if one[0][0] != two[0][0]:
            both = left & right
            if both.any():
                masks[(*one, *two)] = both
    return masks


def _keep(table: _Table, masks: dict[Pairs, Mask], rules: ExplainRules) -> list[_Candidate]:
    """Candidates that are bad enough and carry enough of the excess; duplicates told by their simpler name."""
    excess = max(float(table.customers(table.everyone).size - table.expected.sum()), 1e-9)
    kept: list[_Candidate] = []
    for pairs, mask in sorted(masks.items(), key=lambda item: (len(item[0]), item[0])):
        if np.count_nonzero(mask[table.row]) < rules.customers:
            continue
        failed = table.customers(mask)
        surplus = failed.size - float(table.expected[mask].sum())
        if failed.size < rules.customers or surplus < rules.support * excess or surplus <= 0:
            continue
        ratio = table.ratio(mask, ~mask)
        candidate = _Candidate(pairs, mask, ratio, failed)
        if ratio.honest >= rules.ratio_low and not any(_same(table, candidate, k, rules) for k in kept):
            kept.append(candidate)
    return kept


def _nested(pair: Pairs, single: Pairs) -> bool:
    return len(single) < len(pair) and set(single) <= set(pair)


def _undecided(table: _Table, masks: dict[Pairs, Mask], rules: ExplainRules) -> bool:
    """Could one attribute yet turn out to be the cause: most of the excess, a high ratio, too little data to tell?"""
    excess = max(float(table.customers(table.everyone).size - table.expected.sum()), 1e-9)
    for pairs, mask in masks.items():
        surplus = table.customers(mask).size - float(table.expected[mask].sum())
        if len(pairs) == 1 and surplus >= MOST * excess:
            ratio = table.ratio(mask, ~mask)
            if ratio.value >= rules.ratio_low and ratio.high > WIDE * ratio.low:
                return True
    return False


def _same(table: _Table, pair: _Candidate, single: _Candidate, rules: ExplainRules) -> bool:
    """Is the pair only another name for its single: the same customers failed, and the same were exposed?"""
    if not _nested(pair.pairs, single.pairs):
        return False
    exposed = float(table.exposed[pair.mask].sum()) >= rules.dominance * float(table.exposed[single.mask].sum())
    return exposed and pair.failed.size >= rules.dominance * single.failed.size


def _explained(table: _Table, c: _Candidate, d: _Candidate, rules: ExplainRules) -> bool:
    """Is ``c`` bad only because of ``d``?"""
    if _nested(c.pairs, d.pairs):
        return _pair_gain(table, c.mask, d.mask) < rules.better
    if _nested(d.pairs, c.pairs):
        return _pair_gain(table, d.mask, c.mask) >= rules.better
    c_left = table.ratio(c.mask & ~d.mask, ~c.mask & ~d.mask)
    if c_left.honest >= rules.ratio_low:
        return False
    d_left = table.ratio(d.mask & ~c.mask, ~d.mask & ~c.mask)
    if d_left.honest >= rules.ratio_low:
        return True
    return _rank(d) > _rank(c)


def _pair_gain(table: _Table, pair: Mask, single: Mask) -> float:
    """Log likelihood of "only the pair is bad, the rest of its single is like everybody else" over "all of it is bad".

    Both have two rates (Bernoulli), so no penalty is due.
    """
    inside, rest, out = table.counts(pair), table.counts(single & ~pair), table.counts(~single & table.known)
    together, others = _add(inside, rest), _add(rest, out)
    return _fit(*inside) + _fit(*others) - _fit(*together) - _fit(*out)


def _add(one: tuple[float, float], two: tuple[float, float]) -> tuple[float, float]:
    return one[0] + two[0], one[1] + two[1]


def _fit(failed: float, exposed: float) -> float:
    """Highest Bernoulli log likelihood of ``failed`` in ``exposed``."""
    exposed = max(exposed, failed)
    ok = exposed - failed
    return sum(part * float(np.log(part / exposed)) for part in (failed, ok) if part > 0)


def _finish(table: _Table, pairs: Pairs, mask: Mask, ratio: Ratio) -> Explanation:
    total = table.customers(table.everyone).size - float(table.expected.sum())
    failed, expected = table.customers(mask).size, float(table.expected[mask].sum())
    support = min(max((failed - expected) / total, 0.0), 1.0) if total > 0 else 0.0
    exposed = int(table.exposed[mask].sum())
    return Explanation(pairs, ratio.value, ratio.low, ratio.high, support, exposed, failed, expected)
