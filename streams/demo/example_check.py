"""Checks the flights example from outside: causes recomputed from the raw file, and what is known of April 2013.

Uses no code of the detector or of the mapping: it reads the package's CSV by itself. What is known: on 16 April 2013
American's reservation system was down (AA and its feeder MQ, all airports); storms hit on the 10th to 12th, 18th, 19th
and 22nd to 26th.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("America/New_York")
STORM_DAYS = frozenset({10, 11, 12, 18, 19, 22, 23, 24, 25, 26})
BREAKDOWN_DAY = 16
BREAKDOWN_CARRIERS = frozenset({"AA", "MQ"})
PROMISE = timedelta(minutes=30)
LEAST_WINDOW = timedelta(hours=3)
EQUALLY_BAD = 1.5
"""A cause whose failure rate is less than this many times the rest's says nothing."""


@dataclass(frozen=True, slots=True)
class Flight:
    """One row of the file. Times are UTC."""

    key: str
    carrier: str
    origin: str
    scheduled: datetime
    delay_min: float | None
    """None: cancelled."""

    @property
    def due(self) -> datetime:
        """When the promise to leave falls due."""
        return self.scheduled + PROMISE

    @property
    def bad(self) -> bool:
        """Not gone when the promise fell due."""
        return self.delay_min is None or self.delay_min > 30

    def has(self, cause: Mapping[str, str]) -> bool:
        """True if the flight has all values of a cause."""
        mine = {"carrier": self.carrier, "warehouse": self.origin, "region": ""}
        return all(mine.get(name) == value for name, value in cause.items())


@dataclass(frozen=True, slots=True)
class Claim:
    """What an issue claims. Times are UTC; ``affected`` are keys of flights."""

    issue_id: str
    cause: dict[str, str]
    opened: datetime
    detected: datetime
    affected: frozenset[str]

    @property
    def day(self) -> int:
        """Day of April on which it was detected, local time."""
        return self.detected.astimezone(ZONE).day

    @property
    def text(self) -> str:
        """The cause in one line."""
        pairs = (f"{'origin' if name == 'warehouse' else name} = {value}" for name, value in sorted(self.cause.items()))
        return ", ".join(pairs) or "all flights"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One expectation and whether it holds."""

    passed: bool
    text: str


def read_flights(file: Path, month: int = 4) -> list[Flight]:
    """Flights of one month of 2013 from the package's zip."""
    with zipfile.ZipFile(file) as archive, archive.open(archive.namelist()[0]) as raw:
        return [_flight(row) for row in csv.DictReader(io.TextIOWrapper(raw)) if row["month"] == str(month)]


def _flight(row: Mapping[str, str]) -> Flight:
    year, month, day, hhmm = (int(row[name]) for name in ("year", "month", "day", "sched_dep_time"))
    scheduled = datetime(year, month, day, hhmm // 100, hhmm % 100, tzinfo=ZONE).astimezone(UTC)
    key = "-".join(row[name] for name in ("year", "month", "day", "carrier", "flight", "origin"))
    delay = None if row["dep_time"] in ("", "NA") else float(row["dep_delay"])
    return Flight(key, row["carrier"], row["origin"], scheduled, delay)


@dataclass(frozen=True, slots=True)
class Rates:
    """Failures among flights due while an issue arose: inside its cause and among the rest."""

    inside_bad: int
    inside: int
    rest_bad: int
    rest: int

    @property
    def ratio(self) -> float:
        """Rate inside against rate of the rest, with half a flight added to each."""
        return ((self.inside_bad + 0.5) / (self.inside + 1)) / ((self.rest_bad + 0.5) / (self.rest + 1))

    def __str__(self) -> str:
        """Counts for people."""
        counts = f"{self.inside_bad} of {self.inside} inside, {self.rest_bad} of {self.rest} outside"
        return f"{counts} ({self.ratio:.1f} times)"


def rates(flights: Iterable[Flight], claim: Claim) -> Rates:
    """Recompute a cause: flights due from the claimed onset to its detection, three hours at least."""
    end = max(claim.detected, claim.opened + LEAST_WINDOW)
    counted: Counter[tuple[bool, bool]] = Counter()
    for flight in flights:
        if claim.opened <= flight.due < end:
            counted[flight.has(claim.cause), flight.bad] += 1
    return Rates(
        counted[True, True], counted[True, True] + counted[True, False],
        counted[False, True], counted[False, True] + counted[False, False],
    )  # fmt: skip


def check(flights: Sequence[Flight], claims: Sequence[Claim]) -> Iterator[CheckResult]:
    """Every expectation, one line each."""
    yield from _breakdown(flights, [claim for claim in claims if claim.day == BREAKDOWN_DAY])
    yield from _storms(flights, [claim for claim in claims if claim.day in STORM_DAYS])
    quiet = [claim for claim in claims if claim.day not in STORM_DAYS and claim.day != BREAKDOWN_DAY]
    days = ", ".join(f"{claim.day} April ({claim.text})" for claim in quiet)
    named = f": {days}" if days else ""
    yield CheckResult(len(quiet) <= 2, f"all other days together at most 2 issues: {len(quiet)}{named}")
    for claim in claims:
        if claim.cause:
            found = rates(flights, claim)
            yield CheckResult(found.ratio >= EQUALLY_BAD, f"cause of {claim.day} April, {claim.text}: {found}")


def _breakdown(flights: Sequence[Flight], claims: Sequence[Claim]) -> Iterator[CheckResult]:
    """16 April: the carriers, in time, not the airport, and the right flights."""
    naming = [claim for claim in claims if claim.cause.get("carrier") in BREAKDOWN_CARRIERS]
    times = sorted(claim.detected.astimezone(ZONE) for claim in naming)
    in_time = [at for at in times if (11, 30) <= (at.hour, at.minute) <= (14, 0)]
    shown = ", ".join(at.strftime("%H:%M") for at in times) or "none"
    yield CheckResult(bool(in_time), f"16 April: an issue names AA or MQ between 11:30 and 14:00: {shown}")
    blamed = [claim for claim in claims if claim.cause == {"warehouse": "LGA"}]
    yield CheckResult(not blamed, f"16 April: no issue blames LGA alone: {len(blamed)}")
    listed = frozenset[str]().union(*(claim.affected for claim in naming))
    hit = known_hit(flights)
    share = len(hit & listed) / len(hit) if hit else 0.0
    yield CheckResult(share >= 0.9, f"16 April: affected list covers at least 90 % of {len(hit)} flights: {share:.0%}")
    carriers = {flight.key: flight.carrier for flight in flights}
    foreign = sum(1 for key in listed if carriers.get(key) not in BREAKDOWN_CARRIERS)
    part = foreign / len(listed) if listed else 1.0
    yield CheckResult(part <= 0.05, f"16 April: at most 5 % of the {len(listed)} listed fly with others: {part:.0%}")


def known_hit(flights: Iterable[Flight]) -> frozenset[str]:
    """AA and MQ, scheduled 11:00 to 18:59 on 16 April, cancelled or more than 60 minutes late: 81 flights."""
    found = set()
    for flight in flights:
        local = flight.scheduled.astimezone(ZONE)
        concerned = local.day == BREAKDOWN_DAY and 11 <= local.hour <= 18 and flight.carrier in BREAKDOWN_CARRIERS
        if concerned and (flight.delay_min is None or flight.delay_min > 60):
            found.add(flight.key)
    return frozenset(found)


def _storms(flights: Sequence[Flight], claims: Sequence[Claim]) -> Iterator[CheckResult]:
    """Storm days: few issues, none that blames one carrier where its airport's rest is as bad."""
    days = Counter(claim.day for claim in claims)
    worst = ", ".join(f"{day} April: {number}" for day, number in sorted(days.items())) or "none"
    yield CheckResult(all(number <= 3 for number in days.values()), f"storm days: at most 3 issues a day: {worst}")
    for claim in claims:
        if "carrier" not in claim.cause:
            continue
        mine = {flight.origin for flight in flights if flight.has(claim.cause)}
        found = rates([flight for flight in flights if flight.origin in mine], claim)
        text = f"storm of {claim.day} April: {claim.text} is worse than the rest of its airports: {found}"
        yield CheckResult(found.ratio >= EQUALLY_BAD, text)
