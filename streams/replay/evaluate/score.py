"""The figures by which a detector is judged, of one world or of many together.

All of it is pure: the same truth and the same reports give the same figures. What rests on nothing is None.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from statistics import median

from streams.replay.evaluate.matching import Grade, Matched, Matching, MatchingRules, fits, grade
from streams.replay.evaluate.shares import NO_RATE, NO_SHARE, DailyRate, Share
from streams.simulate.library.truth import WorldTruth

NTH_CUSTOMER = 5
"""Delay is also counted from the moment when this many customers were hit."""


@dataclass(frozen=True, slots=True)
class Saving:
    """Minor units of one currency: what every customer cost who was still to be hit when the report came, and all."""

    saved: int
    total: int

    def __add__(self, other: Saving) -> Saving:
        """Both together."""
        return Saving(self.saved + other.saved, self.total + other.total)


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over one or more worlds, so that two scores can be added.

    ``precise``: incidents found, of these and all false alarms. ``found`` and ``severe``: incidents found, of all and
    of the severe ones. ``delays_ms``: per incident found, from its onset; ``delays_nth_ms``: from its fifth customer,
    where there were that many, below 0 if it was found earlier. ``quiet``: false alarms in worlds in which nothing
    happens: no incident, nor anything that the truth names as easily taken for one. ``cause_first`` and
    ``cause_last``: incidents found whose cause was right when first shown, and in the last word of all reports;
    ``cause_fits``: that named no more than a part of it. ``named``: customers rightly named, of all that were named
    for incidents found; ``reached``: rightly named, of all that were hit in any incident; both only of detectors that
    name customers.
    """

    precise: Share = NO_SHARE
    found: Share = NO_SHARE
    severe: Share = NO_SHARE
    cause_first: Share = NO_SHARE
    cause_fits: Share = NO_SHARE
    cause_last: Share = NO_SHARE
    named: Share = NO_SHARE
    reached: Share = NO_SHARE
    quiet: DailyRate = NO_RATE
    duplicates: int = 0
    false_alarms: Counter[str] = field(default_factory=Counter)
    """Why a report was wrong -> how many."""
    delays_ms: tuple[int, ...] = ()
    delays_nth_ms: tuple[int, ...] = ()
    money: Mapping[str, Saving] = field(default_factory=dict)
    """Currency -> what acting at the first report would have saved."""

    def __add__(self, other: Figures) -> Figures:
        """Both together."""
        currencies = sorted(self.money.keys() | other.money.keys())
        nothing = Saving(0, 0)
        return Figures(
            self.precise + other.precise, self.found + other.found, self.severe + other.severe,
            self.cause_first + other.cause_first, self.cause_fits + other.cause_fits,
            self.cause_last + other.cause_last, self.named + other.named, self.reached + other.reached,
            self.quiet + other.quiet, self.duplicates + other.duplicates, self.false_alarms + other.false_alarms,
            self.delays_ms + other.delays_ms, self.delays_nth_ms + other.delays_nth_ms,
            {name: self.money.get(name, nothing) + other.money.get(name, nothing) for name in currencies},
        )  # fmt: skip

    @property
    def delay_ms(self) -> float | None:
        """Median delay from the onset; None if nothing was found."""
        return median(self.delays_ms) if self.delays_ms else None

    @property
    def delay_nth_ms(self) -> float | None:
        """Median delay from the fifth customer; None if no incident that was found hit that many."""
        return median(self.delays_nth_ms) if self.delays_nth_ms else None


def score(truth: WorldTruth, matching: Matching, names_customers: bool) -> Figures:
    """The figures of one world. ``names_customers``: whether the detector names customers on principle."""
    found = [one for one in matching.incidents if one.reports]
    severe = [one for one in matching.incidents if one.incident.severe]
    wrong = len(matching.false_alarms)
    return Figures(
        precise=Share(len(found), len(found) + wrong),
        found=Share(len(found), len(matching.incidents)),
        severe=Share(sum(bool(one.reports) for one in severe), len(severe)),
        cause_first=Share(sum(_first_grade(one) is Grade.RIGHT for one in found), len(found)),
        cause_fits=Share(sum(_first_grade(one) >= Grade.COMPATIBLE for one in found), len(found)),
        cause_last=Share(sum(grade(one.reports[-1].cause, one.incident) is Grade.RIGHT for one in found), len(found)),
        named=_named(matching) if names_customers else NO_SHARE,
        reached=_reached(matching) if names_customers else NO_SHARE,
        quiet=DailyRate(wrong, truth.days) if truth.quiet and not truth.wrong else NO_RATE,
        duplicates=sum(len(one.reports) - 1 for one in found),
        false_alarms=Counter(one.why for one in matching.false_alarms),
        delays_ms=tuple(one.reports[0].at_ms - one.incident.starts_ms for one in found),
        delays_nth_ms=tuple(
            one.reports[0].at_ms - nth for one in found if (nth := one.incident.nth_ms(NTH_CUSTOMER)) is not None
        ),
        money=_money(matching),
    )


def total(scores: Iterable[Figures]) -> Figures:
    """The figures of several worlds together."""
    return reduce(add, scores, Figures())


def _first_grade(one: Matched) -> Grade:
    return grade(one.reports[0].shown_cause, one.incident)


def _customers(one: Matched) -> frozenset[str]:
    """Whom the reports about an incident named."""
    return frozenset().union(*(report.affected for report in one.reports if report.affected is not None))


def _named(matching: Matching) -> Share:
    """Whoever was hit by another incident that the report fits as well is rightly named too: two at once overlap."""
    rules, shares = MatchingRules(), []
    for one in matching.incidents:
        incidents = (other.incident for other in matching.incidents)
        fitting = [each for each in incidents if any(fits(report, each, rules) for report in one.reports)]
        hit = {name for each in fitting for name, _ in each.customers}
        shares.append(Share(len(_customers(one) & hit), len(_customers(one))))
    return _sum(shares)


def _reached(matching: Matching) -> Share:
    hit = ((_customers(one), {name for name, _ in one.incident.customers}) for one in matching.incidents)
    return _sum(Share(len(named & true), len(true)) for named, true in hit)


def _sum(shares: Iterable[Share]) -> Share:
    return reduce(add, shares, NO_SHARE)


def _money(matching: Matching) -> dict[str, Saving]:
    money: dict[str, Saving] = {}
    for one in matching.incidents:
        incident, report = one.incident, one.first
        later = sum(at_ms > report.at_ms for _, at_ms in incident.customers) if report else 0
        sum_of_all = Saving(later * incident.cost, len(incident.customers) * incident.cost)
        money[incident.currency] = money.get(incident.currency, Saving(0, 0)) + sum_of_all
    return money
