"""How each order of one customer went. The words are defined in ``schemas.experience``.

    placed  payment_failed  paid            promised 15:00          delivered 15:40
    |-------x---------------|---------------!-----------------------|-------- 7 days --------|
            reasons: payment_failed, promise_broken                 done                     contacts count until here
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from schemas.experience import OrderOutcome, OrderResult
from schemas.hotfindings import order_outcome
from streams.core.experience import facts as read
from streams.core.experience.cases import OneContact
from streams.core.experience.facts import ORDER_STATUSES, KnownEvent, origin_of, stated_by, times_by_status
from streams.core.experience.rules import OPEN_MS, PROMISED_AHEAD_MS, PROMISED_BEFORE_MS, QUIET_MS
from streams.core.recovery import all_put_right

PLACED, PAID, PAYMENT_FAILED, PACKED, SHIPPED, DELIVERED, LATE, CANCELLED, RETURNED, REFUNDED = range(
    len(ORDER_STATUSES)
)
_ENDS = frozenset({DELIVERED, LATE, CANCELLED, RETURNED})
"""Statuses after which no promise is waited for."""
_AFTERWARDS = frozenset({RETURNED, REFUNDED})
_FAIL = frozenset({PAYMENT_FAILED, LATE, CANCELLED})
_UNDER_WAY = frozenset({PACKED, SHIPPED, LATE})
"""Statuses of what has to be delivered."""
_PAYS = frozenset({PAID, DELIVERED, CANCELLED, REFUNDED})
_FOREVER = 1 << 62


class PromiseState(NamedTuple):
    """What the events say of promises. ``waits_ms``: a promised time that may still be broken."""

    stated_ms: int | None = None
    broken_ms: int | None = None
    waits_ms: int | None = None


_NO_PROMISE = PromiseState()


def promise_of(facts: Iterable[KnownEvent], watermark_ms: int) -> PromiseState:
    """Follow the promise through the events, in order of time; the latest statement holds until it is decided."""
    due: int | None = None
    for fact in facts:
        if due is not None and due < fact.time_ms:
            return PromiseState(due, due)
        stated = fact.details.get(read.PROMISED)
        if stated is not None and fact.time_ms - PROMISED_BEFORE_MS <= stated <= fact.time_ms + PROMISED_AHEAD_MS:
            due = stated
            if due < fact.time_ms:
                return PromiseState(due, due)
        if fact.status in _ENDS:
            return PromiseState(due)
    if due is not None and due < watermark_ms:
        return PromiseState(due, due)
    return PromiseState(due, None, due)


class OneOrder:
    """One order, read off its events. ``stated``: what they say in all, ``at``: their times by status."""

    __slots__ = (
        "at",
        "done_ms",
        "ended",
        "facts",
        "is_reported",
        "last_ms",
        "line",
        "order_id",
        "placed_ms",
        "sku",
        "stated",
        "until_ms",
    )  # fmt: skip

    def __init__(self, order_id: str, facts: list[KnownEvent]) -> None:
        """``facts``: at least one, sorted."""
        self.order_id = order_id
        self.facts = facts
        self.placed_ms = facts[0].time_ms
        self.last_ms = facts[-1].time_ms
        self.stated = stated_by(facts)
        self.at = times_by_status(facts)
        self.line: str = self.stated.get(read.ORDER_LINE, "")
        self.sku: str = self.stated.get(read.SKU, "")
        self.is_reported = not self.at.keys() <= _AFTERWARDS
        """False if only returns and refunds are known: how it went was forgotten long ago."""
        self.done_ms, self.ended = self._done()
        self.until_ms = _FOREVER if self.done_ms is None else self.done_ms + QUIET_MS
        """What happens later than this does not count."""

    def _done(self) -> tuple[int | None, str]:
        for status in (DELIVERED, CANCELLED):
            if found := self.at.get(status):
                return found[0], ORDER_STATUSES[status]
        paid = self.at.get(PAID)
        if not paid or read.PROMISED in self.stated or not _UNDER_WAY.isdisjoint(self.at):
            return None, ""
        return paid[0], ORDER_STATUSES[PAID]


class RelatedOrder(NamedTuple):
    """An order in the company of the customer's contacts and other orders. ``failures``: (time, reason), sorted."""

    order: OneOrder
    promise: PromiseState
    failures: tuple[tuple[int, str], ...]
    contacts: Sequence[OneContact]
    replaced_by: OneOrder | None

    @property
    def final_ms(self) -> int | None:
        """When something about it is decided next: the watermark has to be past it. None if only events decide."""
        waits_ms = self.promise.waits_ms
        if self.order.done_ms is None:
            return waits_ms
        return self.order.until_ms if waits_ms is None else min(waits_ms, self.order.until_ms)

    def kept_ms(self, keep_ms: int) -> int:
        """How long it is remembered: until the watermark is past this."""
        if self.order.done_ms is not None:
            return self.order.last_ms + keep_ms
        return max(self.order.last_ms, self.promise.waits_ms or 0) + max(keep_ms, OPEN_MS)

    def reasons(self) -> list[str]:
        """Why it was not right the first time."""
        order, found = self.order, {reason for _, reason in self.failures}
        for status in _AFTERWARDS:
            if status in order.at and order.at[status][0] <= order.until_ms:
                found.add(ORDER_STATUSES[status])
        if self.contacts:
            found.add("contacted")
        if self.replaced_by:
            found.add("replaced")
        return sorted(found)

    def put_right_ms(self) -> int | None:
        """When the last failure was put right, None while any is not, or if there is none."""
        if not self.failures:
            return None
        facts = self.order.facts
        paying = [time_ms for time_ms, reason in self.failures if reason == "payment_failed"]
        others = [time_ms for time_ms, reason in self.failures if reason != "payment_failed"]
        pays = (fact.time_ms for fact in facts if fact.status in _PAYS)
        ends = (fact.time_ms for fact in facts if fact.status in (DELIVERED, REFUNDED)
                or (fact.status == CANCELLED and not _by_company(fact)))  # fmt: skip
        parts = [_first(pays, max(paying))] if paying else []
        parts += [_first(ends, max(others))] if others else []
        return all_put_right(parts)

    def outcome(self, reasons: list[str], watermark_ms: int) -> OrderResult:
        """What became of it."""
        if reasons:
            return "wrong"
        if self.order.done_ms is None:
            return "open"
        if self.order.ended == ORDER_STATUSES[CANCELLED]:
            return "withdrawn"
        return "pending" if watermark_ms <= self.order.until_ms else "right"


def _by_company(fact: KnownEvent) -> bool:
    return fact.details.get(read.CANCELLED_BY) == "company"


def _first(found: Iterable[int], since_ms: int) -> int | None:
    return next((time_ms for time_ms in found if time_ms >= since_ms), None)


def _failures(order: OneOrder, promise: PromiseState) -> tuple[tuple[int, str], ...]:
    if promise.broken_ms is None and _FAIL.isdisjoint(order.at):
        return ()
    found = [(time_ms, "payment_failed") for time_ms in order.at.get(PAYMENT_FAILED, ())]
    found += [(time_ms, "late") for time_ms in order.at.get(LATE, ())]
    if CANCELLED in order.at:
        found += [(fact.time_ms, "cancelled_by_company") for fact in order.facts
                  if fact.status == CANCELLED and _by_company(fact)]  # fmt: skip
    if promise.broken_ms is not None:
        found.append((promise.broken_ms, "promise_broken"))
    return tuple(sorted(pair for pair in found if pair[0] <= order.until_ms))


def judge(orders: Iterable[OneOrder], cases: Collection[OneContact], watermark_ms: int) -> list[RelatedOrder]:
    """Relate the orders of one customer to the customer's contacts and to each other; earliest first."""
    reported = [order for order in orders if order.is_reported]
    if not reported:
        return []
    if len(reported) > 1:
        reported.sort(key=lambda order: (order.placed_ms, order.order_id))
    opened = sorted([case for case in cases if case.is_reported], key=lambda case: case.rank) if cases else []
    found = []
    for order in reported:
        promise = promise_of(order.facts, watermark_ms) if read.PROMISED in order.stated else _NO_PROMISE
        failures = _failures(order, promise)
        contacts = [case for case in opened
                    if order.order_id in case.subjects and order.placed_ms <= case.opened_ms <= order.until_ms]
        replaced_by = _replacement(order, failures, reported) if failures and order.sku else None
        found.append(RelatedOrder(order, promise, failures, contacts, replaced_by))
    return found


def _replacement(
    order: OneOrder, failures: tuple[tuple[int, str], ...], reported: Iterable[OneOrder]
) -> OneOrder | None:
    """The first order of the same within 7 days of the first of the failures, of which there is one."""
    since_ms = failures[0][0]
    for other in reported:
        is_same = (other.sku, other.line) == (order.sku, order.line) and other is not order
        if is_same and since_ms < other.placed_ms <= since_ms + QUIET_MS:
            return other
    return None


_RIGHT: dict[OrderResult, bool] = {"right": True, "wrong": False}


def finding(customer: str, judged: RelatedOrder, watermark_ms: int, *, cut: bool) -> OrderOutcome:
    """What is reported of an order."""
    order, promise, contacts = judged.order, judged.promise, judged.contacts
    reasons = judged.reasons()
    failed_ms = judged.failures[0][0] if judged.failures else None
    outcome = judged.outcome(reasons, watermark_ms)
    return order_outcome(
        customer, order.order_id, order.line, order.stated.get(read.ORDER_REGION, ""), order.placed_ms,
        promise.stated_ms, order.done_ms, order.ended, failed_ms, judged.put_right_ms(),
        contacts[0].opened_ms if contacts else None, len(contacts),
        judged.replaced_by.order_id if judged.replaced_by else "", tuple(reasons), outcome, _RIGHT.get(outcome),
        origin_of(order.facts), cut, False,
    )  # fmt: skip
