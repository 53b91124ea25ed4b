"""A company of the library as it is declared, and what all its activities share while a world is made of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from schemas.topics import DAY_MS, HOUR_MS, MINUTE_MS
from streams.simulate.library.draws import Draws, Ints, Mask
from streams.simulate.library.happens import Fault, Happening, Reportable, Stream, Surge, Where
from streams.simulate.library.people import EUROPE, People, Region
from streams.simulate.library.rhythm import Rhythm, moments
from streams.simulate.library.rows import Coded

MONDAY_MS = 1_772_409_600_000
"""2026-03-02T00:00:00Z: a fixed past span, so that two runs are comparable byte for byte."""
K = TypeVar("K")


@dataclass(frozen=True, slots=True, kw_only=True)
class Firm:
    """One service line of a company. Rates are per hour on the average of a week; a rate of 0 leaves a stream out."""

    days: float = 3.0
    starts_ms: int = MONDAY_MS
    line: str = "shop"
    customers: int = 3_000
    sessions: float = 0.0
    orders: float = 0.0
    contacts: float = 0.0
    hubs: int = 0
    """Devices in homes, each of which reports every ``report_ms``."""
    report_ms: int = 5 * MINUTE_MS
    opens: float = 0.0
    """Hours after the start of the world at which the line begins."""
    rhythm: Rhythm = field(default_factory=Rhythm)
    regions: tuple[Region, ...] = EUROPE
    app_failing: float = 0.01
    payment_failing: float = 0.02
    delivery_failing: float = 0.025
    promise_h: tuple[float, float] | None = (3.0, 26.0)
    """From payment to the promised hour; None: nothing is promised."""
    words: tuple[str, ...] = ()
    """Languages of contacts that come in words only, without a reason code; none: they have codes."""
    complaint_share: float = 0.2
    """Of everyday contacts, those that report a failure."""
    beat_ms: int = MINUTE_MS
    quiet_ms: int | None = 0
    happens: tuple[Happening, ...] = ()

    def of(self, kind: type[K]) -> list[K]:
        """What happens of one kind."""
        return [one for one in self.happens if isinstance(one, kind)]

    @property
    def ends_ms(self) -> int:
        """End of the span."""
        return self.starts_ms + int(self.days * DAY_MS)

    def at(self, hours: float) -> int:
        """Event time of an hour of the world."""
        return self.starts_ms + int(hours * HOUR_MS)


@dataclass(slots=True)
class Scene:
    """One line while its events are made; ``hits`` notes whom each incident strikes, and when."""

    firm: Firm
    people: People
    seed: int
    number: int
    scale: float = 1.0
    hits: dict[str, list[tuple[Ints, Ints]]] = field(default_factory=lambda: defaultdict(list))

    def draws(self, name: str) -> Draws:
        """A stream of chance of this line."""
        return Draws(self.seed, f"{self.firm.line} {name}")

    def prefix(self, letter: str) -> bytes:
        """Start of the ids of one kind of event."""
        return f"{letter}{self.number}-".encode()

    def moments(self, stream: Stream, per_hour: float) -> tuple[Ints, Ints, Ints]:
        """When, to whom, and for which surge (-1: none, it is everyday business) something of a stream happens."""
        firm, draws = self.firm, self.draws(stream)
        usual = moments(draws, firm.rhythm, per_hour * self.scale, firm.at(firm.opens), firm.ends_ms)
        found = [(usual, self.people.who(draws, len(usual)), np.full(len(usual), -1, dtype=np.int64))]
        for number, surge in enumerate(firm.of(Surge)):
            if surge.stream == stream:
                rate = surge.per_hour * self.scale
                extra = moments(draws, firm.rhythm, rate, firm.at(surge.starts), firm.at(surge.ends))
                who = self.people.who(draws, len(extra), self.people.those(surge.where))
                found.append((extra, who, np.full(len(extra), number, dtype=np.int64)))
        at_ms, who, why = (np.concatenate(columns) for columns in zip(*found, strict=True))
        order = np.argsort(at_ms, kind="stable")
        return at_ms[order], who[order], why[order]

    def during(self, what: Reportable, at_ms: Ints) -> Mask:
        """Which moments lie in its time."""
        return (at_ms >= self.firm.at(what.starts)) & (at_ms < self.firm.at(what.ends))

    def concerned(self, what: Reportable, at_ms: Ints, columns: dict[str, Coded]) -> Mask:
        """Which events it is about, by time and attributes."""
        return self.during(what, at_ms) & matching(what.where, columns, len(at_ms))

    def strike(self, fault: Fault, draws: Draws, at_ms: Ints, columns: dict[str, Coded]) -> Mask:
        """Which events this fault makes fail."""
        share: float | np.ndarray[tuple[int], np.dtype[np.float64]]
        if isinstance(fault.share, float):
            share = fault.share
        else:
            hours = (at_ms - self.firm.at(fault.starts)) / HOUR_MS
            share = np.interp(hours, [at for at, _ in fault.share], [part for _, part in fault.share])
        return self.concerned(fault, at_ms, columns) & draws.chance(share, len(at_ms))

    def hit(self, what: Reportable, who: Ints, at_ms: Ints) -> None:
        """Note whom it struck; what happens after the end of the span is never seen."""
        seen = at_ms < self.firm.ends_ms
        self.hits[what.id].append((who[seen], at_ms[seen]))

    def first_hits(self, *what: Reportable) -> tuple[Ints, Ints]:
        """Customers struck by any of these, by number, and the first time of each."""
        parts = [part for one in what for part in self.hits.get(one.id, [])]
        if not parts:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        who, at_ms = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.lexsort((at_ms, who))
        customers, first = np.unique(who[order], return_index=True)
        return customers, at_ms[order][first]


def matching(where: Where, columns: dict[str, Coded], count: int) -> Mask:
    """Rows that have the values. Raises KeyError for an attribute that these events do not have."""
    chosen = np.ones(count, dtype=np.bool_)
    for name, values in where.items():
        chosen &= columns[name].among(values)
    return chosen


def combined(columns: Iterable[Coded]) -> tuple[list[tuple[str, ...]], Ints]:
    """Several columns as one: every combination of labels that occurs, and its number per row."""
    listed = list(columns)
    code = np.zeros(len(listed[0].codes), dtype=np.int64)
    for column in listed:
        code = code * len(column.labels) + column.codes
    present, codes = np.unique(code, return_inverse=True)
    names: list[tuple[str, ...]] = []
    for number in present.tolist():
        labels: list[str] = []
        rest = number
        for column in reversed(listed):
            rest, index = divmod(rest, len(column.labels))
            labels.append(column.labels[index])
        names.append(tuple(reversed(labels)))
    return names, codes.astype(np.int64)
