"""Contact cases and order outcomes worked out anew from all raw events at once, by the words of ``schemas.experience``.

It shares no code with the room: plain loops over plain events, no state, no clock but the watermark it is given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, TypeVar

from schemas.events import Contact, Order

WEEK = 7 * 24 * 3_600_000
DAY = 24 * 3_600_000
GRAVITY = {"live": 0, "drill": 1, "replay": 2}
E = TypeVar("E", Order, Contact)


def distinct(events: Iterable[E]) -> list[E]:
    """Each event once, by customer, subject and event id, in order of time."""
    found = {(event.customer_id, getattr(event, "order_id" if isinstance(event, Order) else "contact_id"),
              event.event_id): event for event in events}  # fmt: skip
    return sorted(found.values(), key=lambda event: event.event_time_ms)


def first(events: list[Any], name: str) -> Any:
    """The earliest value that is not empty, "" if there is none."""
    return next((value for event in events if (value := getattr(event, name)) not in (None, "", ())), "")


def last(events: list[Any], name: str) -> Any:
    """The latest value that is not empty, "" if there is none."""
    return first(events[::-1], name)


def at(events: list[Any], *statuses: str) -> list[int]:
    """Times of the events with one of these statuses."""
    return [event.event_time_ms for event in events if event.status in statuses]


def whole(value: Any) -> int | None:
    """A number as it is told, None if nothing says it."""
    return None if value == "" else int(value)


def contact_cases(contacts: Iterable[Contact], watermark_ms: int) -> list[dict[str, Any]]:
    """All contact cases, as the fields of the record."""
    by_customer: dict[str, dict[str, list[Contact]]] = defaultdict(lambda: defaultdict(list))
    for event in distinct(contacts):
        by_customer[event.customer_id][event.contact_id].append(event)
    found = []
    for customer, cases in sorted(by_customer.items()):
        rows = [_case(customer, name, events) for name, events in cases.items()
                if at(events, "opened", "answered", "abandoned", "transferred", "resolved")]  # fmt: skip
        rows.sort(key=lambda row: (row["opened_at_ms"], row["contact_id"]))
        for index, row in enumerate(rows):
            earlier = [one for one in rows[:index] if _repeats(row, one, cases[one["contact_id"]])]
            if earlier:
                before = earlier[-1]
                row |= {"repeat_of": before["contact_id"], "channel_before": before["channel"],
                        "mode_before": before["last_mode"]}  # fmt: skip
                before["repeated_at_ms"] = before["repeated_at_ms"] or row["opened_at_ms"]
        for row in rows:
            row["outcome"] = _case_outcome(row, watermark_ms)
            row["first_contact_resolved"] = {"resolved": True, "pending": None, "unknown": None}.get(
                row["outcome"], False)  # fmt: skip
        found += rows
    return found


def _case(customer: str, name: str, events: list[Contact]) -> dict[str, Any]:
    answered, abandoned, resolved = at(events, "answered"), at(events, "abandoned"), at(events, "resolved")
    reopened = at(events, "reopened")
    opened_ms = events[0].event_time_ms
    stated = whole(first(events, "wait_ms"))
    return {
        "customer_id": customer, "contact_id": name, "line": first(events, "product"),
        "channel": events[0].channel, "mode": events[0].mode, "last_mode": events[-1].mode,
        "reason": first(events, "reason"), "language": first(events, "language"), "region": first(events, "region"),
        "order_id": first(events, "order_id"), "subject_ids": tuple(first(events, "subject_ids")),
        "opened_at_ms": opened_ms, "last_at_ms": events[-1].event_time_ms,
        "answered_at_ms": min(answered, default=None),
        "wait_ms": stated if stated is not None else answered[0] - opened_ms if answered else None,
        "handle_ms": whole(last(events, "handle_ms")),
        "abandoned": bool(abandoned) and not any(time_ms <= abandoned[0] for time_ms in answered),
        "transfers": len(at(events, "transferred")), "first_resolved_at_ms": min(resolved, default=None),
        "resolved_at_ms": min((one for one in resolved if one > max(reopened, default=0)), default=None),
        "reopened": len(reopened), "csat": whole(last(events, "csat")), "effort": whole(last(events, "effort")),
        "repeat_of": "", "channel_before": "", "mode_before": "", "repeated_at_ms": None,
        "origin": min((event.origin for event in events), key=GRAVITY.__getitem__), "cut": False, "gone": False,
    }  # fmt: skip


def _repeats(row: dict[str, Any], one: dict[str, Any], events: list[Contact]) -> bool:
    until = max(event.event_time_ms for event in events if event.event_time_ms <= row["opened_at_ms"])
    if row["opened_at_ms"] - until > WEEK:
        return False
    mine, its = ({*each["subject_ids"], each["order_id"]} - {""} for each in (row, one))
    if mine and its:
        return not mine.isdisjoint(its)
    return row["reason"] == one["reason"] != "" and ("" in (row["line"], one["line"]) or row["line"] == one["line"])


def _case_outcome(row: dict[str, Any], watermark_ms: int) -> str:
    if row["abandoned"]:
        return "abandoned"
    if row["reopened"]:
        return "reopened"
    if row["repeated_at_ms"] is not None:
        return "repeated"
    if not watermark_ms > row["last_at_ms"] + WEEK:
        return "pending"
    known = (row["answered_at_ms"], row["handle_ms"], row["first_resolved_at_ms"])
    return "resolved" if any(value is not None for value in known) else "unknown"


def order_outcomes(orders: Iterable[Order], contacts: Iterable[Contact], watermark_ms: int) -> list[dict[str, Any]]:
    """All order outcomes, as the fields of the record."""
    cases: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for case in contact_cases(contacts, watermark_ms):
        cases[case["customer_id"]].append(case)
    by_customer: dict[str, dict[str, list[Order]]] = defaultdict(lambda: defaultdict(list))
    for event in distinct(orders):
        by_customer[event.customer_id][event.order_id].append(event)
    found = []
    for customer, placed in sorted(by_customer.items()):
        known = {name: events for name, events in placed.items()
                 if {event.status for event in events} - {"returned", "refunded"}}  # fmt: skip
        found += [_outcome(customer, name, known, cases[customer], watermark_ms) for name in sorted(known)]
    return found


def _done(events: list[Order]) -> tuple[int | None, str]:
    if delivered := at(events, "delivered"):
        return delivered[0], "delivered"
    if cancelled := at(events, "cancelled"):
        return cancelled[0], "cancelled"
    paid = at(events, "paid")
    if paid and not at(events, "packed", "shipped", "late") and not first(events, "promised_at_ms"):
        return paid[0], "paid"
    return None, ""


def _promise(events: list[Order], watermark_ms: int) -> tuple[int | None, int | None]:
    """(promised time that holds or was broken, when it was broken)."""
    promised: int | None = None
    for event in events:
        now = event.event_time_ms
        if promised is not None and promised < now:
            return promised, promised
        if event.promised_at_ms is not None and now - DAY <= event.promised_at_ms <= now + 60 * DAY:
            promised = event.promised_at_ms
            if promised < now:
                return promised, promised
        if event.status in ("delivered", "late", "cancelled", "returned"):
            return promised, None
    return promised, promised if promised is not None and promised < watermark_ms else None


def _outcome(
    customer: str, name: str, known: dict[str, list[Order]], cases: list[dict[str, Any]], watermark_ms: int
) -> dict[str, Any]:
    events = known[name]
    placed_ms, (done_ms, ended) = events[0].event_time_ms, _done(events)
    until = 1 << 60 if done_ms is None else done_ms + WEEK
    promised, broken = _promise(events, watermark_ms)
    company = [event.event_time_ms for event in events
               if event.status == "cancelled" and event.cancelled_by == "company"]  # fmt: skip
    bad = {"payment_failed": at(events, "payment_failed"), "late": at(events, "late"), "cancelled_by_company": company,
           "promise_broken": [] if broken is None else [broken]}  # fmt: skip
    bad = {reason: [one for one in times if one <= until] for reason, times in bad.items()}
    failed = min((one for times in bad.values() for one in times), default=None)
    reasons = {reason for reason, times in bad.items() if times}
    reasons |= {status for status in ("refunded", "returned") if any(one <= until for one in at(events, status))}
    about = [case["opened_at_ms"] for case in cases if name in {*case["subject_ids"], case["order_id"]}
             and placed_ms <= case["opened_at_ms"] <= until]  # fmt: skip
    sku, line = last(events, "sku"), last(events, "product")
    others = sorted((rest[0].event_time_ms, other) for other, rest in known.items() if other != name
                    and (last(rest, "sku"), last(rest, "product")) == (sku, line))  # fmt: skip
    replaced = [other for time_ms, other in others if sku and failed is not None and failed < time_ms <= failed + WEEK]
    reasons |= {"contacted"} if about else set()
    reasons |= {"replaced"} if replaced else set()
    outcome = ("wrong" if reasons else "open" if done_ms is None else "withdrawn" if ended == "cancelled"
               else "right" if watermark_ms > done_ms + WEEK else "pending")  # fmt: skip
    return {
        "customer_id": customer, "order_id": name, "line": line, "region": last(events, "region"),
        "placed_at_ms": placed_ms, "promised_at_ms": promised, "done_at_ms": done_ms, "ended": ended,
        "failed_at_ms": failed, "put_right_at_ms": _put_right(events, bad), "contacted_at_ms": min(about, default=None),
        "contacts": len(about), "replaced_by": replaced[0] if replaced else "", "reasons": tuple(sorted(reasons)),
        "outcome": outcome, "first_time_right": {"right": True, "wrong": False}.get(outcome),
        "origin": min((event.origin for event in events), key=GRAVITY.__getitem__), "cut": False, "gone": False,
    }  # fmt: skip


def _put_right(events: list[Order], bad: dict[str, list[int]]) -> int | None:
    """When the last failure was put right, None while one is not."""
    mends = []
    if unpaid := bad["payment_failed"]:
        paid = [one for one in at(events, "paid", "delivered", "cancelled", "refunded") if one >= max(unpaid)]
        mends.append(paid)
    rest = [one for reason, times in bad.items() if reason != "payment_failed" for one in times]
    if rest:
        own = {event.event_time_ms for event in events if event.status in ("delivered", "refunded")
               or (event.status == "cancelled" and event.cancelled_by != "company")}  # fmt: skip
        mends.append(sorted(one for one in own if one >= max(rest)))
    return max(one[0] for one in mends) if mends and all(mends) else None
