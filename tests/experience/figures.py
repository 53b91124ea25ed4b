"""Every definition of the experience chapter, computed from a world's raw events: name -> (group -> figure)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from schemas.topics import DAY_MS, HOUR_MS
from tests.experience.oracle import ENOUGH, Json, Ordered, Related, lows, ordered, per, quantile, related, share

Figures = dict[Any, Any]
LEAF = ("app_version", "platform", "device_model", "region", "component")
"""Attributes of the leaf cohorts of telemetry."""


@dataclass
class Batch:
    """What was sent, each event once: contacts and orders as they stand at a time, and uses."""

    events: dict[str, list[Json]]
    too_late: set[str]
    """Ids of telemetry that came behind the watermark: no bin counts it."""
    now: int
    cases: list[Related] = field(init=False)
    orders: list[Ordered] = field(init=False)

    def __post_init__(self) -> None:
        """Relate all events once."""
        self.cases = related(self.events["contact"], self.now)
        self.orders = ordered(self.events["order"], self.events["contact"], self.now)

    def figures(self, name: str, start: int, end: int) -> Figures:
        """A definition's figure per group, of ``[start, end]``, ms UTC; groups of too few left out."""
        return _BY_NAME[name](self, lambda at: at is not None and start <= at <= end)

    def opened(self, inside: Inside) -> list[Related]:
        """Cases that were opened then."""
        return [one for one in self.cases if inside(one.case.opened)]

    @property
    def uses(self) -> list[Json]:
        """Events of telemetry."""
        return self.events["telemetry"]

    @cached_property
    def staged(self) -> list[Json]:
        """Events of telemetry that name a stage of the journey."""
        return [use for use in self.uses if use.get("journey_stage")]

    @cached_property
    def uses_of(self) -> dict[str, list[Json]]:
        """The same by customer."""
        found: dict[str, list[Json]] = defaultdict(list)
        for use in self.staged:
            found[use["customer_id"]].append(use)
        return found


Inside = Callable[[int | None], bool]
Fits = Callable[[Related], bool]


def _access(one: Related) -> tuple[str, str]:
    return one.case.access


def _case_share(fits: Fits, among: Fits, batch: Batch, inside: Inside) -> Figures:
    rows = [one for one in batch.opened(inside) if among(one)]
    return per(rows, _access, lambda group: share(group, fits))


def _case_quantile(value: Callable[[Related], float | None], level: float, batch: Batch, inside: Inside) -> Figures:
    def seconds(group: list[Related]) -> float | None:
        found = quantile([known for known in map(value, group) if known is not None], level)
        return None if found is None else found / 1_000

    return per(batch.opened(inside), _access, seconds)


def _resolution_ms(one: Related) -> int | None:
    return None if one.case.resolved is None else one.case.resolved - one.case.opened


def _first_contact_resolution(batch: Batch, inside: Inside) -> Figures:
    rows = [one for one in batch.cases if one.settled and inside(one.case.last + 7 * DAY_MS)
            and one.repeats is None and one.outcome != "unknown"]  # fmt: skip
    return per(rows, _access, lambda group: share(group, lambda one: one.outcome == "resolved"))


def _first_time_right(batch: Batch, inside: Inside) -> Figures:
    rows = [one for one in batch.orders if one.settled and inside(one.settled_at)]
    return per(rows, lambda one: (one.line,), lambda group: share(group, lambda one: one.outcome == "right"))


def _right_so_far(batch: Batch, inside: Inside) -> Figures:
    rows = [one for one in batch.orders if inside(one.placed) and one.outcome != "withdrawn"]
    return per(rows, lambda one: (one.line,), lambda group: share(group, lambda one: one.outcome != "wrong"))


def _wrong_reasons(batch: Batch, inside: Inside) -> Figures:
    reasons = [reason for one in batch.orders if inside(one.placed) for reason in one.reasons]
    return per(reasons, lambda reason: (reason,), len)


def _use_without_failure(batch: Batch, inside: Inside) -> Figures:
    bins: dict[tuple[Any, ...], set[str]] = {}
    failed: dict[tuple[Any, ...], set[str]] = {}
    for use in batch.uses:
        start = use["event_time_ms"] // 10_000 * 10_000
        if use["event_id"] in batch.too_late or use["outcome"] == "abandoned" or not inside(start):
            continue
        key = (use["product"], start, *(use.get(name, "") for name in LEAF))
        bins.setdefault(key, set()).add(use["customer_id"])
        if use["outcome"] == "failed":
            failed.setdefault(key, set()).add(use["customer_id"])
    sizes = [(key[0], len(found), len(failed.get(key, ()))) for key, found in bins.items()]

    def whole(group: list[tuple[str, int, int]]) -> float | None:
        exposed = sum(size for _, size, _ in group)
        return 1 - sum(lost for *_, lost in group) / exposed if exposed >= ENOUGH else None

    return per(sizes, lambda row: (row[0],), whole)


def _stage_failure(batch: Batch, inside: Inside) -> Figures:
    uses = [use for use in batch.staged if inside(use["event_time_ms"] // HOUR_MS * HOUR_MS)]
    return per(uses, lambda use: (use["product"], use["journey_stage"]),
               lambda group: share(group, lambda use: use["outcome"] != "ok"))  # fmt: skip


def _stage_low(batch: Batch, inside: Inside) -> Figures:
    return per([low for low in lows(batch.staged) if inside(low[1])], lambda low: ("shop", low[0]), len)


def _stage_score(name: str, batch: Batch, inside: Inside) -> Figures:
    def stage(one: Related) -> str | None:
        seen = [use for use in batch.uses_of[one.case.customer]
                if one.case.opened - DAY_MS <= use["event_time_ms"] <= one.case.opened]  # fmt: skip
        return max(seen, key=lambda use: use["event_time_ms"])["journey_stage"] if seen else None

    scored = [(stage(one), one.case.stated(name, None, latest=True)) for one in batch.opened(inside)]
    known = [(at, score) for at, score in scored if at is not None and score is not None]
    return per(known, lambda row: ("shop", row[0]),
               lambda group: sum(score for _, score in group) / len(group) if len(group) >= ENOUGH else None)


_BY_NAME: dict[str, Callable[[Batch, Inside], Figures]] = {
    "first_time_right": _first_time_right,
    "right_so_far": _right_so_far,
    "wrong_reasons": _wrong_reasons,
    "use_without_failure": _use_without_failure,
    "contacts": lambda batch, inside: per(batch.opened(inside), _access, len),
    "wait": partial(_case_quantile, lambda one: one.case.wait, 0.5),
    "wait_p90": partial(_case_quantile, lambda one: one.case.wait, 0.9),
    "abandon_rate": partial(_case_share, lambda one: one.case.abandoned, lambda _: True),
    "transfer_rate": partial(_case_share, lambda one: bool(one.case.times("transferred")), lambda _: True),
    "repeat_rate": partial(_case_share, lambda one: one.repeats is not None, lambda _: True),
    "switch_rate": partial(_case_share, lambda one: one.switched, lambda _: True),
    "first_contact_resolution": _first_contact_resolution,
    "held_so_far": partial(_case_share, lambda one: one.outcome not in ("abandoned", "repeated", "reopened"),
                           lambda one: one.repeats is None),
    "pending_cases": lambda batch, inside: per(
        [one for one in batch.opened(inside) if one.repeats is None and one.outcome == "pending"], _access, len),
    "time_to_resolution": partial(_case_quantile, _resolution_ms, 0.5),
    "reopening": partial(_case_share, lambda one: bool(one.case.times("reopened")),
                         lambda one: bool(one.case.times("resolved"))),
    "contact_reasons": lambda batch, inside: per(
        batch.opened(inside), lambda one: (one.case.stated("reason") or "no reason given",), len),
    "stage_failure": _stage_failure,
    "stage_effort": partial(_stage_score, "effort"),
    "stage_satisfaction": partial(_stage_score, "csat"),
    "stage_low": _stage_low,
}  # fmt: skip
NAMES = tuple(_BY_NAME)
