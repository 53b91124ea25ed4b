"""How each contact of one customer went. The words are defined in ``schemas.experience``.

    k-1 chat, bot      opened 10:00 ... last event 10:02
    k-2 phone, human         repeats k-1: same order, 3 days later, another channel and mode
                             |<------- 7 days of quiet after its last event ------->| resolved
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from schemas.experience import MOST_SPAN_MS, CaseOutcome, ContactCase
from schemas.hotfindings import contact_case
from streams.core.experience import facts as read
from streams.core.experience.facts import CONTACT_STATUSES, KnownEvent, origin_of, stated_by, times_by_status
from streams.core.experience.rules import QUIET_MS

OPENED, ANSWERED, ABANDONED, TRANSFERRED, RESOLVED, REOPENED = range(len(CONTACT_STATUSES))


class OneContact:
    """One contact, read off its events. ``stated``: what they say in all, ``at``: their times by status."""

    __slots__ = (
        "at", "contact_id", "facts", "is_reported", "last_ms", "line", "opened_ms", "order_id", "reason", "stated",
        "subject_ids", "subjects",
    )  # fmt: skip

    def __init__(self, contact_id: str, facts: list[KnownEvent]) -> None:
        """``facts``: at least one, sorted."""
        self.contact_id = contact_id
        self.facts = facts
        self.opened_ms = facts[0].time_ms
        self.last_ms = facts[-1].time_ms
        self.stated = stated = stated_by(facts)
        self.at = times_by_status(facts)
        self.line: str = stated.get(read.LINE, "")
        self.reason: str = stated.get(read.REASON, "")
        self.order_id: str = stated.get(read.ORDER_ID, "")
        self.subject_ids: tuple[str, ...] = tuple(stated.get(read.SUBJECTS, ()))
        self.subjects = frozenset((*self.subject_ids, self.order_id) if self.order_id else self.subject_ids)
        self.is_reported = len(self.at) > 1 or REOPENED not in self.at
        """False if only reopenings are known: its beginning was forgotten long ago."""

    @property
    def rank(self) -> tuple[int, str]:
        """By what the contacts of a customer follow each other."""
        return self.opened_ms, self.contact_id

    @property
    def abandoned(self) -> bool:
        """True if the customer left before anybody answered."""
        left, answers = self.at.get(ABANDONED), self.at.get(ANSWERED)
        return left is not None and not (answers and answers[0] <= left[0])

    def is_about_what(self, other: OneContact) -> bool:
        """True if two contacts of one customer are about the same matter."""
        if self.subjects and other.subjects:
            return bool(self.subjects & other.subjects)
        lines_agree = self.line == other.line or not self.line or not other.line
        return bool(self.reason) and self.reason == other.reason and lines_agree

    def is_repeated_by(self, later: OneContact) -> bool:
        """True if a contact that began later is about the same matter, and not too late."""
        heard = max(fact.time_ms for fact in self.facts if fact.time_ms <= later.opened_ms)
        return later.opened_ms - heard <= QUIET_MS and self.is_about_what(later)


class RelatedContact(NamedTuple):
    """A contact in the company of the others."""

    case: OneContact
    before: OneContact | None = None
    repeated_at_ms: int | None = None

    @property
    def final_ms(self) -> int:
        """Nothing that happens later than this changes it; the watermark has to be past it."""
        return self.case.last_ms + QUIET_MS

    def outcome(self, watermark_ms: int) -> CaseOutcome:
        """What became of it."""
        case = self.case
        if case.abandoned:
            return "abandoned"
        if REOPENED in case.at:
            return "reopened"
        if self.repeated_at_ms is not None:
            return "repeated"
        if watermark_ms <= self.final_ms:
            return "pending"
        helped = ANSWERED in case.at or RESOLVED in case.at or read.HANDLE in case.stated
        return "resolved" if helped else "unknown"


def judge(cases: Iterable[OneContact]) -> list[RelatedContact]:
    """Relate the contacts of one customer to each other; in the order in which they began."""
    reported = [case for case in cases if case.is_reported]
    if len(reported) < 2:
        return [RelatedContact(case) for case in reported]
    found: list[RelatedContact] = []
    for case in sorted(reported, key=lambda case: case.rank):
        before = next((index for index in reversed(range(len(found))) if found[index].case.is_repeated_by(case)), None)
        if before is not None and found[before].repeated_at_ms is None:
            found[before] = found[before]._replace(repeated_at_ms=case.opened_ms)
        found.append(RelatedContact(case, None if before is None else found[before].case))
    return found


_RESOLVED_FIRST: dict[CaseOutcome, bool | None] = {"pending": None, "unknown": None, "resolved": True}


def finding(customer: str, judged: RelatedContact, watermark_ms: int, *, cut: bool) -> ContactCase:
    """What is reported of a contact."""
    case, before = judged.case, judged.before
    stated, at = case.stated, case.at
    answers, resolved, reopened = at.get(ANSWERED), at.get(RESOLVED, ()), at.get(REOPENED, ())
    wait = stated.get(read.WAIT, answers[0] - case.opened_ms if answers else None)
    handle = stated.get(read.HANDLE)
    holds = [time_ms for time_ms in resolved if not reopened or time_ms > reopened[-1]]
    outcome = judged.outcome(watermark_ms)
    return contact_case(
        customer, case.contact_id, case.line, stated.get(read.CHANNEL, ""), stated.get(read.MODE, ""),
        stated.get(read.LAST_MODE, ""), case.reason, stated.get(read.LANGUAGE, ""), stated.get(read.REGION, ""),
        case.order_id, case.subject_ids, case.opened_ms, case.last_ms, answers[0] if answers else None,
        None if wait is None else min(wait, MOST_SPAN_MS), None if handle is None else min(handle, MOST_SPAN_MS),
        case.abandoned, len(at.get(TRANSFERRED, ())), resolved[0] if resolved else None, holds[0] if holds else None,
        len(reopened), stated.get(read.CSAT), stated.get(read.EFFORT),
        before.contact_id if before else "", before.stated.get(read.CHANNEL, "") if before else "",
        before.stated.get(read.LAST_MODE, "") if before else "", judged.repeated_at_ms, outcome,
        _RESOLVED_FIRST.get(outcome, False), origin_of(case.facts), cut, False,
    )  # fmt: skip
