"""What the room experience says about a batch, made from the batch itself."""

from __future__ import annotations

from typing import Any

from schemas.experience import CaseOutcome, ContactCase, OrderOutcome
from tests.experience.oracle import Ordered, Related

_RESOLVED: dict[CaseOutcome, bool | None] = {"resolved": True, "pending": None, "unknown": None}
_RIGHT = {"right": True, "wrong": False}


def case_row(one: Related) -> ContactCase:
    """A contact case as a finding."""
    case, before = one.case, one.repeats
    outcome: Any = one.outcome
    return ContactCase(
        customer_id=case.customer, contact_id=case.events[0]["contact_id"], line=case.stated("product"),
        channel=case.stated("channel"), mode=case.stated("mode"), last_mode=case.events[-1]["mode"],
        reason=case.stated("reason"), language="", region=case.stated("region"), order_id=case.stated("order_id"),
        subject_ids=tuple(case.stated("subject_ids", [])), opened_at_ms=case.opened, last_at_ms=case.last,
        answered_at_ms=min(case.times("answered"), default=None),
        wait_ms=None if case.wait is None else int(case.wait), abandoned=case.abandoned,
        transfers=len(case.times("transferred")), first_resolved_at_ms=min(case.times("resolved"), default=None),
        resolved_at_ms=case.resolved, reopened=len(case.times("reopened")),
        csat=case.stated("csat", None, latest=True), effort=case.stated("effort", None, latest=True),
        repeat_of=before.events[0]["contact_id"] if before else "",
        channel_before=before.stated("channel") if before else "",
        mode_before=before.events[-1]["mode"] if before else "",
        outcome=outcome, first_contact_resolved=_RESOLVED.get(outcome, False), origin="live",
    )  # fmt: skip


def order_row(one: Ordered, number: int) -> OrderOutcome:
    """An order as a finding."""
    outcome: Any = one.outcome
    reasons: Any = tuple(sorted(one.reasons))
    return OrderOutcome(
        customer_id=one.customer, order_id=f"o-{number}", line=one.line, region=one.region, placed_at_ms=one.placed,
        done_at_ms=one.done, ended="", contacts=0, replaced_by="", reasons=reasons, outcome=outcome,
        first_time_right=_RIGHT.get(outcome), origin="live",
    )  # fmt: skip
