"""One family of failure of one service line: counts in, alarms out, evidence kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.drills import is_drill
from schemas.fields import Signal
from streams.core.detect.admission import SCARCE, Admission
from streams.core.detect.baseline import DRILL_PRIOR, LINE_PRIOR, Baseline, fit
from streams.core.detect.cusum import Cusum, Floats, Ints, effective, log_ratio, threshold
from streams.core.detect.daily import Daily
from streams.core.detect.explain import Leaf
from streams.core.detect.lattice import LINE, OTHER, OTHER_VALUE, TRASH, Lattice, Pairs
from streams.core.detect.rules import DAY_MS, HOUR_MS, DetectRules
from streams.core.detect.window import Block, Failure, Window

LEAVES_A_KEY = 256
Count = tuple[tuple[str, ...], int, Sequence[int]]
"""A leaf's values, its exposures in the bin, the hashes of its failed customers."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A cohort crossed the threshold of one scale."""

    excess: float
    cohort: int
    scale_ms: int
    onset_ms: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What one bin brought: leaves with their exposures, and who failed."""

    leaves: Ints
    exposed: Ints
    failures: list[Failure]

    def only(self, mask: npt.NDArray[np.bool_]) -> Seen:
        """The part of it whose leaves pass ``mask``."""
        return Seen(self.leaves[mask], self.exposed[mask], self.failures)


class Family:
    """Lattice, window, baseline and three scales of CUSUM of one (line, family).

    Everything but the rows, blocks, sums and leaf numbers is a function of them (:meth:`renew`), so that a restored
    family goes on exactly as one that never stopped.
    """

    def __init__(self, line: str, family: Signal, attributes: tuple[str, ...], rules: DetectRules) -> None:
        """Know nothing about a line's family yet."""
        self.line, self.family, self.rules = line, family, rules
        self.lattice = Lattice(attributes, rules.leaves)
        self.admission = Admission()
        self.window = Window(rules.recount_ms)
        self.baseline = Baseline(rules, DRILL_PRIOR if is_drill(line) else LINE_PRIOR)
        self.fast, self.slow = Cusum(rules.kappas), Cusum(rules.kappas)
        self.daily = Daily(rules)
        self.limits = {w: threshold(rules, w) for w in (rules.bin_ms, rules.block_ms, DAY_MS)}
        self.as_of_ms = 0
        self.explained: list[Pairs] = []
        self.hidden = np.zeros(0, dtype=bool)
        self.alarms: list[Alarm] = []
        self.base = self.mean = np.zeros(0)
        self.means = np.zeros((len(rules.kappas), 0))
        self.now_e = self.now_y = self.looked_e = np.zeros(0)
        self.changed: set[tuple[str, int]] = set()
        self.renew()

    # -- derived arrays ---------------------------------------------------------------------------------------------

    def renew(self) -> None:
        """Compute what follows from rows and blocks: rates, common factor, expected failures per exposure."""
        size = self.lattice.size
        self.baseline.refresh(self.as_of_ms, self.lattice)
        self.fast.fit(size)
        self.slow.fit(size)
        self.base = self.baseline.rate
        self.mean = np.minimum(self.base * self._common(size), 0.95)
        self.means = np.stack([effective(self.mean, kappa) for kappa in self.rules.kappas])
        if self.daily.fit(self.base):
            self.changed.add(("norm", 0))
        self.looked_e = fit(self.looked_e, size)
        current = self.window.blocks.get(self.as_of_ms)
        self.now_e, self.now_y = current.counts(self.lattice) if current else (np.zeros(size), np.zeros(size))

    def _common(self, size: int) -> Floats:
        """Factor by which the rest of the line is worse than usual in the last hour; never below 1.

        A cohort is judged against what the others suffer too, as far as the line is known to wander: a steady line's
        factor stays near 1, so that a real incident is not explained away by its own echo.
        """
        e, y = np.zeros(size), np.zeros(size)
        for block in self.window.since(self.as_of_ms - HOUR_MS):
            if block.start_ms < self.as_of_ms:
                block_e, block_y = block.cached(self.lattice)
                e[: block_e.size] += block_e
                y[: block_y.size] += block_y
        m = e * self.base
        weight = 1.0 / self.baseline.wander[LINE]
        rest_y, rest_m = np.maximum(y[LINE] - y, 0.0), np.maximum(m[LINE] - m, 0.0)
        common = np.maximum((weight + rest_y) / (weight + rest_m), 1.0)
        common[LINE] = 1.0
        return np.asarray(common)

    # -- counting ---------------------------------------------------------------------------------------------------

    def step(self, bin_ms: int, counts: Iterable[Count], room: int) -> tuple[Seen, int]:
        """Fold one bin, leaves sorted by values; return what was seen and how many cohorts were minted."""
        minted, at, exposed = 0, [], []
        failed: list[tuple[int, Sequence[int]]] = []
        known = self.lattice.leaf_index
        for values, n, hashes in counts:
            leaf = known.get(values)
            if leaf is None:
                leaf, new = self._new_leaf(values, n, room - minted)
                minted += new
            at.append(leaf)
            exposed.append(n)
            if hashes:
                failed.append((leaf, hashes))
        self.admission.end_bin()
        if self.hidden.size < len(self.lattice.leaves):
            self._admit()
        seen = Seen(np.array(at, dtype=np.int64), np.array(exposed, dtype=np.int64), [])
        if len(set(at)) < len(at):
            seen = Seen(*_unite(seen.leaves, seen.exposed), [])
        block = self._block(bin_ms)
        open_ = seen if not self.explained else seen.only(~self.hidden[seen.leaves])
        e = self.lattice.roll_up(open_.leaves, open_.exposed.astype(np.float64))
        if failed:
            y = self._fail(block, failed, seen, bin_ms)
            self._watch_fast(bin_ms, e, y)
        block.expose(open_.leaves, open_.exposed, len(self.lattice.leaves))
        self.now_e += e
        return seen, minted

    def _new_leaf(self, values: tuple[str, ...], exposed: int, room: int) -> tuple[int, int]:
        """Number a leaf that is not known, or count it under ``__other__`` while places are scarce."""
        free = min(room / self.rules.cohorts, 1.0 - len(self.lattice.leaves) / self.rules.leaves)
        others = (OTHER_VALUE,) * len(values)
        if free < SCARCE and values != others:
            self.changed.add(("wait", 0))
            if not self.admission.admits(self.lattice, values, exposed, free):
                values = others
        return self.lattice.leaf(values, room if values != others else 0)

    def _fail(self, block: Block, failed: list[tuple[int, Sequence[int]]], seen: Seen, bin_ms: int) -> Floats:
        """Note who failed; return counted failures per cohort."""
        y = np.zeros(self.lattice.size)
        for leaf, hashes in failed:
            explained = bool(self.hidden[leaf])
            for who in hashes:
                counted = self.window.count(who, self.lattice.row_lists[leaf], bin_ms)
                failure = Failure(bin_ms, leaf, who, counted, explained)
                seen.failures.append(failure)
                block.failures.append(failure)
                if counted and not explained:
                    y[counted] += 1.0
        self.now_y += y
        return y

    def _block(self, bin_ms: int) -> Block:
        start = bin_ms - bin_ms % self.rules.block_ms
        self.changed.add(("block", start))
        return self.window.blocks.setdefault(start, Block(start))

    def _admit(self) -> None:
        """New leaves: number them for the state, let those of an open cause belong to it, give new cohorts rates."""
        known, total = self.hidden.size, len(self.lattice.leaves)
        self.changed |= {("leaves", chunk) for chunk in range(known // LEAVES_A_KEY, (total - 1) // LEAVES_A_KEY + 1)}
        self.restore_hidden()
        if self.fast.live.size < self.lattice.size:
            self.renew()

    def restore_hidden(self) -> None:
        """Mark the leaves of every open cause."""
        self.hidden = np.zeros(len(self.lattice.leaves), dtype=bool)
        for pairs in self.explained:
            self.hidden[self.lattice.inside(pairs)] = True

    def _watch_fast(self, bin_ms: int, e: Floats, y: Floats) -> None:
        """First scale: where something failed, fold the bins since the last look, then this one; note alarms."""
        at = np.flatnonzero(y)
        if at.size:
            means = self.means[:, at]
            gap = (self.now_e[at] - self.looked_e[at]) * means
            stat = self.fast.add(at, y[at], e[at] * means, self.baseline.norm.at(at), bin_ms, gap)
            self.looked_e[at] = self.now_e[at] + e[at]
            self._note(self.fast, self.rules.bin_ms, at, stat)

    def _watch_slow(self, block: Block) -> None:
        """Second scale: the block as a whole; the first scale catches up with its last bins."""
        norm = self.baseline.norm
        at = np.flatnonzero(self.fast.live & (self.now_e > self.looked_e))
        if at.size:
            rest = (self.now_e[at] - self.looked_e[at]) * self.means[:, at]
            self.fast.add(at, np.zeros(at.size), rest, norm.at(at), block.start_ms)
        at = np.flatnonzero((self.now_y > 0) | (self.slow.live & (self.now_e > 0)))
        if at.size:
            stat = self.slow.add(at, self.now_y[at], self.now_e[at] * self.means[:, at], norm.at(at), block.start_ms)
            self._note(self.slow, self.rules.block_ms, at, stat)

    def _note(self, cusum: Cusum, scale_ms: int, at: Ints, stat: Floats) -> None:
        for place in np.flatnonzero(stat > self.limits[scale_ms]):
            cohort = int(at[place])
            onset = self.onset(cusum, cohort)
            if onset is not None:
                self.alarms.append(Alarm(float(stat[place]) - self.limits[scale_ms], cohort, scale_ms, onset))

    def onset(self, cusum: Cusum, cohort: int) -> int | None:
        """Start of a cohort's strongest excursion; None without one."""
        return cusum.onset(cohort, self.baseline.norm.at([cohort]))

    # -- time -------------------------------------------------------------------------------------------------------

    def quiet(self) -> bool:
        """True if the passing of time alone changes nothing any more."""
        rows = self.baseline.rows
        return not self.window.blocks and all(r.done and h < self.daily.day_ms for h, r in rows.items())

    def close_block(self, end_ms: int) -> None:
        """End the block before ``end_ms``: second scale, training of what is past the guard, new rates."""
        rules = self.rules
        start = end_ms - rules.block_ms
        block = self.window.blocks.get(start)
        if block is not None:
            block.e, block.y, block.m = self.now_e, self.now_y, self.now_e * self.mean
            self._watch_slow(block)
            self.changed.add(("block", start))
        self.looked_e = np.zeros(self.lattice.size)
        past = end_ms - rules.block_ms - rules.guard_ms
        for old in [b for b in self.window.since(past - rules.guard_ms) if b.m is not None and b.start_ms <= past]:
            self._train(old)
        stale = self.window.blocks.get(end_ms - 2 * HOUR_MS)
        if stale is not None:
            stale.e = stale.y = None
        self.pass_time(end_ms)

    def _train(self, block: Block) -> None:
        hour = block.start_ms - block.start_ms % HOUR_MS
        e, y = block.cached(self.lattice)
        size = self.lattice.size
        if block.m is not None:
            self.baseline.train(hour, fit(e, size), fit(y, size), fit(block.m, size))
        block.m = block.e = block.y = None
        self.changed |= {("block", block.start_ms), ("row", hour)}

    def pass_time(self, now_ms: int) -> None:
        """Close hours and days, forget, renew the rates: the part that needs no counts."""
        hours = self.baseline.close_hours(now_ms)
        if hours:
            self.changed |= {("row", hour) for hour in hours} | {("norm", 0)}
        self._close_days(now_ms)
        dropped = self.window.forget(now_ms - self.rules.window_ms, now_ms)
        self.changed |= {("block", at) for at in dropped}
        self.as_of_ms = now_ms
        self.renew()

    def _close_days(self, now_ms: int) -> None:
        """Third scale: judge the days that are over."""
        day = self.daily.due(now_ms)
        if day is None:
            return
        eve = day + self.rules.guard_ms - self.rules.block_ms
        if eve > self.as_of_ms:
            # After a stretch without counts: the rates as they were when the day became due.
            self.as_of_ms = eve
            self.renew()
        first = max(self.daily.day_ms, min(self.baseline.rows, default=day) // DAY_MS * DAY_MS)
        for past in range(first, day, DAY_MS):
            counts = self.baseline.day(past, self.lattice.size)
            if counts is not None:
                alarming = self.daily.judge(past, *counts, self.lattice.shapes()[0])
                self.alarms += [Alarm(stat - self.daily.limit, c, DAY_MS, past) for c, stat in alarming]
        self.daily.settle(day, self.base, self.baseline.info)
        self.changed.add(("norm", 0))

    # -- what an issue has explained --------------------------------------------------------------------------------

    def explain_away(self, pairs: Pairs, since_ms: int) -> None:
        """Take a cause's leaves out of detection and training, from ``since_ms`` on, until :meth:`readmit`."""
        self.explained.append(pairs)
        inside = self.lattice.inside(pairs)
        self.hidden[inside] = True
        leaves = set(inside.tolist())
        for block in self.window.since(since_ms - since_ms % self.rules.block_ms):
            self._strip(block, leaves)
        touched = np.unique(self.lattice.rows[inside])
        self.renew()
        for cusum in (self.fast, self.slow):
            self._restart(cusum, touched, since_ms)
        self.looked_e[touched] = self.now_e[touched]
        self.daily.reset(touched)
        self.changed.add(("norm", 0))
        self.alarms.clear()

    def _strip(self, block: Block, leaves: set[int]) -> None:
        e, y = block.counts(self.lattice, leaves)
        before = block.cached(self.lattice)[0]
        if block.m is None and block.start_ms < self.as_of_ms:
            hour = block.start_ms - block.start_ms % HOUR_MS
            self.baseline.untrain(hour, e, y)
            self.changed.add(("row", hour))
        elif block.m is not None:
            left = np.divide(fit(before, e.size) - e, fit(before, e.size), out=np.zeros(e.size), where=e > 0)
            block.m = fit(block.m, e.size) * np.where(e > 0, left, 1.0)
        block.exposed[[leaf for leaf in leaves if leaf < block.exposed.size]] = 0
        for failure in block.failures:
            failure.explained = failure.explained or failure.leaf in leaves
        block.e = block.y = None
        self.changed.add(("block", block.start_ms))

    def _restart(self, cusum: Cusum, touched: Ints, since_ms: int) -> None:
        """Begin the excursions of ``touched`` again with what is left since the onset."""
        cusum.reset(touched)
        e, y = self.residual(since_ms)
        at = touched[(y[touched] > 0)]
        if at.size:
            cusum.add(at, y[at], e[at] * self.means[:, at], self.baseline.norm.at(at), since_ms)

    def readmit(self, pairs: Pairs) -> None:
        """A cause is over: its leaves are watched again, from fresh sums."""
        self.explained.remove(pairs)
        self.restore_hidden()
        touched = np.unique(self.lattice.rows[self.lattice.inside(pairs)])
        for cusum in (self.fast, self.slow, self.daily):
            cusum.reset(touched)
        self.changed.add(("norm", 0))

    def forget(self, pairs: Pairs) -> None:
        """A suspicion came to nothing: begin its cohort's sums again."""
        at = np.array([self.lattice.cohort_index.get(pairs, LINE)])
        for cusum in (self.fast, self.slow, self.daily):
            cusum.reset(at)
        self.changed.add(("norm", 0))

    # -- evidence ---------------------------------------------------------------------------------------------------

    def residual(self, since_ms: int) -> tuple[Floats, Floats]:
        """Unexplained exposures and counted failures per cohort since the block of ``since_ms``."""
        e, y = np.zeros(self.lattice.size), np.zeros(self.lattice.size)
        for block in self.window.since(since_ms - since_ms % self.rules.block_ms):
            block_e, block_y = block.counts(self.lattice)
            e += block_e
            y += block_y
        return e, y

    def change_point(self, cohort: int, since_ms: int) -> int:
        """The bin since which a cohort's failures stand out most: highest Poisson scan score y ln(y / m) - (y - m)."""
        best, best_ms, y, m = 0.0, since_ms, 0, 0.0
        blocks = list(self.window.since(since_ms - since_ms % self.rules.block_ms))
        for block in reversed(blocks):
            usual = float(block.counts(self.lattice)[0][cohort] * self.base[cohort])
            mine = (f for f in block.failures if cohort in f.counted and not f.explained)
            bins = [f.bin_ms for f in mine if f.bin_ms >= since_ms]
            for number, bin_ms in enumerate(sorted(bins, reverse=True), start=1):
                failed = y + number
                expected = m + usual * (1.0 - (bin_ms - block.start_ms) / self.rules.block_ms)
                score = failed * math.log(failed / max(expected, 1e-9)) - (failed - expected)
                if failed > expected and score > best:
                    best, best_ms = score, bin_ms
            y, m = y + len(bins), m + usual
        return best_ms

    def rates(self, scale_ms: int) -> Floats:
        """Usual failures per exposure, as the scale sees them: whole days against those before the excursion."""
        return self.daily.rate if scale_ms == DAY_MS else self.base

    def evidence(self, cohort: int, scale_ms: int, since_ms: int) -> float:
        """Highest statistic over the kappas for a cohort since ``since_ms``; on the daily scale, that of its days."""
        if scale_ms == DAY_MS:
            return float(self.daily.stat[cohort])
        e, y = (float(counts[cohort]) for counts in self.residual(since_ms))
        m = e * self.means[:, cohort]
        return float(np.max(log_ratio(y, m, np.array(self.rules.kappas), self.baseline.norm.at([cohort]).shape(m))))

    def table(self, since_ms: int, rates: Floats) -> list[Leaf]:
        """Leaves since ``since_ms``, with what was usual.

        Exposures are kept by block: of the first one the share after ``since_ms`` is taken.
        """
        exposed = np.zeros(len(self.lattice.leaves))
        failed: dict[int, set[int]] = {}
        for block in self.window.since(since_ms - since_ms % self.rules.block_ms):
            share = min(1.0, 1.0 - (since_ms - block.start_ms) / self.rules.block_ms)
            exposed[: block.exposed.size] += np.ceil(block.exposed * share)
            for failure in block.failures:
                if not failure.explained and failure.bin_ms >= since_ms:
                    failed.setdefault(failure.leaf, set()).add(failure.who)
        usual = self._usual(exposed, rates)
        return [
            Leaf(self.lattice.leaves[leaf], n, n * float(usual[leaf]), failed.get(leaf, ()))
            for leaf, n in enumerate(exposed.astype(np.int64).tolist())
            if n
        ]

    def _usual(self, exposed: Floats, rates: Floats) -> Floats:
        """Usual failures per exposure of every leaf: the line's rate times its singles' ratios.

        The line is here who has a place. With those counted under ``__other__`` in it (a flood of made-up values that
        never fail) every attribute of everybody else would have a ratio of its own to a rate near 0, and the product
        of these would be many times what anybody ever had.
        """
        singles = self.lattice.rows[: len(self.lattice.leaves), 1 : 1 + len(self.lattice.attributes)]
        other = np.flatnonzero([OTHER_VALUE in values for values in self.lattice.leaves])
        line, everybody, placeless = float(rates[LINE]), float(exposed.sum()), float(exposed[other].sum())
        if 0 < placeless < everybody:
            failing = float((exposed[other] * rates[singles[other, 0]]).sum())
            line = max((line * everybody - failing) / (everybody - placeless), line)
        relative = rates / line
        relative[[OTHER, TRASH]] = 1.0
        usual = np.minimum(line * np.prod(relative[singles], axis=1), 0.95)
        usual[other] = rates[singles[other, 0]]
        return np.asarray(usual)


def _unite(leaves: Ints, exposed: Ints) -> tuple[Ints, Ints]:
    """Add up the exposures of leaves that share a number (those beyond the cap)."""
    numbers, place = np.unique(leaves, return_inverse=True)
    return numbers, np.bincount(place, weights=exposed).astype(np.int64)
