"""The figures of the experience board computed again in plain Python, straight from the events, without any room.

Written from the words of ``schemas.experience`` and ``schemas.definitions`` alone.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.topics import DAY_MS, HOUR_MS

Json = dict[str, Any]
WEEK_MS = 7 * DAY_MS
ENOUGH = 20
OURS = ("payment_failed", "late", "promise_broken", "cancelled_by_company")


@dataclass(frozen=True)
class Case:
    """One contact of a customer."""

    customer: str
    events: tuple[Json, ...]

    def stated(self, name: str, default: Any = "", latest: bool = False) -> Any:
        """What the earliest (or latest) event that says it says."""
        found = [event[name] for event in self.events if event.get(name) not in (None, "", [])]
        return found[-1 if latest else 0] if found else default

    def times(self, status: str) -> list[int]:
        """When it had a status."""
        return [event["event_time_ms"] for event in self.events if event["status"] == status]

    @property
    def opened(self) -> int:
        """Its earliest event."""
        return int(self.events[0]["event_time_ms"])

    @property
    def last(self) -> int:
        """Its latest event."""
        return int(self.events[-1]["event_time_ms"])

    @property
    def access(self) -> tuple[str, str]:
        """Channel and mode in which it began."""
        return self.stated("channel"), self.stated("mode")

    @property
    def names(self) -> set[str]:
        """Orders and subjects that it names."""
        return {self.stated("order_id"), *self.stated("subject_ids", [])} - {""}

    @property
    def wait(self) -> float | None:
        """Wait before an answer, ms."""
        wait, answered = self.stated("wait_ms", None), self.times("answered")
        return wait if wait is not None else answered[0] - self.opened if answered else None

    @property
    def abandoned(self) -> bool:
        """Given up before an answer."""
        gone, answered = self.times("abandoned"), self.times("answered")
        return bool(gone) and not (answered and answered[0] <= gone[0])

    @property
    def resolved(self) -> int | None:
        """The resolution that holds."""
        reopened = max(self.times("reopened"), default=0)
        return next((at for at in self.times("resolved") if at > reopened), None)

    def same_matter(self, other: Case) -> bool:
        """Whether both are about one thing."""
        if self.names and other.names:
            return bool(self.names & other.names)
        lines = {self.stated("product"), other.stated("product")} - {""}
        return "" != self.stated("reason") == other.stated("reason") and len(lines) <= 1


@dataclass(frozen=True)
class Related:
    """A case among the others of its customer."""

    case: Case
    repeats: Case | None
    repeated: bool
    now: int

    @property
    def outcome(self) -> str:
        """What became of it."""
        case = self.case
        words = (
            ("abandoned", case.abandoned), ("reopened", bool(case.times("reopened"))), ("repeated", self.repeated),
            ("pending", case.last + WEEK_MS > self.now),
            ("resolved", bool(case.times("answered") or case.times("resolved"))),
        )
        return next((word for word, fits in words if fits), "unknown")

    @property
    def switched(self) -> bool:
        """Handed to another mode, or come from another channel or mode."""
        handed = self.case.events[-1]["mode"] != self.case.stated("mode")
        before = self.repeats
        return handed or (before is not None and
                          (before.stated("channel"), before.events[-1]["mode"]) != self.case.access)

    @property
    def settled(self) -> bool:
        """Nothing that follows can change it."""
        return self.case.last + WEEK_MS <= self.now


def related(contacts: Iterable[Json], now: int) -> list[Related]:
    """Every contact case with what it repeats, as known at ``now``."""
    groups: dict[tuple[str, str], list[Json]] = defaultdict(list)
    for event in sorted(contacts, key=lambda event: event["event_time_ms"]):
        groups[event["customer_id"], event["contact_id"]].append(event)
    of: dict[str, list[Case]] = defaultdict(list)
    for (customer, _), events in groups.items():
        of[customer].append(Case(customer, tuple(events)))
    found = []
    for cases in of.values():
        before = {id(case): _repeats(case, cases) for case in cases}
        repeated = {id(case) for case in before.values() if case is not None}
        found += [Related(case, before[id(case)], id(case) in repeated, now) for case in cases]
    return found


def _repeats(case: Case, cases: Sequence[Case]) -> Case | None:
    def near(other: Case) -> bool:
        before = [event["event_time_ms"] for event in other.events if event["event_time_ms"] < case.opened]
        return bool(before) and case.opened - before[-1] <= WEEK_MS

    earlier = [other for other in cases if other.opened < case.opened and other.same_matter(case) and near(other)]
    return max(earlier, key=lambda other: other.opened, default=None)


@dataclass(frozen=True)
class Ordered:
    """One order and why it was not right."""

    customer: str
    line: str
    region: str
    placed: int
    done: int | None
    withdrawn: bool
    reasons: frozenset[str]
    now: int

    @property
    def outcome(self) -> str:
        """What became of it."""
        if self.reasons:
            return "wrong"
        if self.withdrawn:
            return "withdrawn"
        if self.done is None:
            return "open"
        return "right" if self.done + WEEK_MS <= self.now else "pending"

    @property
    def settled_at(self) -> int:
        """When nothing can change it."""
        return (self.done or self.placed) + WEEK_MS

    @property
    def settled(self) -> bool:
        """Known for good."""
        return self.outcome in ("right", "wrong") and self.settled_at <= self.now


def ordered(orders: Iterable[Json], contacts: Iterable[Json], now: int) -> list[Ordered]:
    """Every order, as known at ``now``."""
    groups: dict[tuple[str, str], list[Json]] = defaultdict(list)
    for event in sorted(orders, key=lambda event: event["event_time_ms"]):
        groups[event["customer_id"], event["order_id"]].append(event)
    named = [(case.case.customer, case.case.names, case.case.opened) for case in related(contacts, now)]
    return [_ordered(key, events, groups, named, now) for key, events in groups.items()]


def _ordered(
    key: tuple[str, str], events: list[Json], groups: dict[tuple[str, str], list[Json]],
    named: list[tuple[str, set[str], int]], now: int,
) -> Ordered:
    first: dict[str, int | None] = defaultdict(lambda: None)
    for event in reversed(events):
        first[event["status"]] = event["event_time_ms"]
    promised = next((event["promised_at_ms"] for event in events if event.get("promised_at_ms")), None)
    placed = events[0]["event_time_ms"]
    goods = promised or first["packed"] or first["shipped"] or first["late"]
    done = first["delivered"] or first["cancelled"] or (None if goods else first["paid"])
    until = done + WEEK_MS if done else now
    wrong = {status: at for status, at in first.items()
             if status in ("payment_failed", "late", "refunded", "returned") and at is not None and at <= until}
    ended = [at for at in (first["delivered"], first["returned"], first["cancelled"]) if at]
    if promised and promised < now and not any(at <= promised for at in ended):
        wrong["promise_broken"] = promised
    by = next((event.get("cancelled_by") for event in events if event["status"] == "cancelled"), None)
    if by == "company" and first["cancelled"]:
        wrong["cancelled_by_company"] = first["cancelled"]
    if any(customer == key[0] and key[1] in names and placed <= at <= until for customer, names, at in named):
        wrong["contacted"] = placed
    ours = [at for reason, at in wrong.items() if reason in OURS]
    item = (events[0]["sku"], events[0]["product"])
    if any(customer == key[0] and number != key[1] and (other[0]["sku"], other[0]["product"]) == item
           and any(at < other[0]["event_time_ms"] <= at + WEEK_MS for at in ours)
           for (customer, number), other in groups.items()):
        wrong["replaced"] = placed
    regions = [event["region"] for event in events if event.get("region")]
    return Ordered(key[0], events[0]["product"], regions[-1] if regions else "", placed, done,
                   first["cancelled"] is not None and by != "company", frozenset(wrong), now)


def share(rows: Sequence[Any], fits: Callable[[Any], bool]) -> float | None:
    """Share of the rows that fit; none if they are too few."""
    return sum(map(fits, rows)) / len(rows) if len(rows) >= ENOUGH else None


def quantile(values: Sequence[float], level: float) -> float | None:
    """The value that ``level`` of all do not exceed; none if there are too few."""
    return sorted(values)[int(level * len(values))] if len(values) >= ENOUGH else None


def per(
    rows: Iterable[Any], key: Callable[[Any], Any], figure: Callable[[list[Any]], Any]
) -> dict[Any, Any]:
    """A figure per group, groups without one left out."""
    groups: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    found = {name: figure(group) for name, group in groups.items()}
    return {name: value for name, value in found.items() if value is not None}


def lows(uses: Iterable[Json]) -> set[tuple[str, int]]:
    """(stage, start of the hour) of hours that are worse than the whole week before."""
    counts: dict[str, dict[int, Counter[bool]]] = defaultdict(lambda: defaultdict(Counter))
    for use in uses:
        hour = use["event_time_ms"] // HOUR_MS * HOUR_MS
        counts[use["journey_stage"]][hour][use["outcome"] != "ok"] += 1
    found = set()
    for stage, hours in counts.items():
        rates = {hour: (one[True] / one.total(), one.total()) for hour, one in hours.items() if one.total() >= ENOUGH}
        for hour, (rate, uses_of) in rates.items():
            before = [rate for at, (rate, _) in rates.items() if hour - WEEK_MS <= at < hour]
            if len(before) >= 6 and _at_least(rate, uses_of) > max(before):
                found.add((stage, hour))
    return found


def _at_least(rate: float, size: int) -> float:
    """Lower end of Wilson's 95 % interval."""
    z = 1.96
    middle = rate + z * z / (2 * size)
    return (middle - z * math.sqrt(rate * (1 - rate) / size + z * z / (4 * size * size))) / (1 + z * z / size)
