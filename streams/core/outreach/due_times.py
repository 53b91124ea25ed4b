"""When a case has to be decided: from the start, or again because its customer's failure was put right or is back.

A notice has a time to live from when the failure that it tells of began; an all-clear is decided once both ends are
known::

    notice      issue detected   issue shown     put right      fails again
                ----|----------------|---------------|--------------|---------> event time
                                     ^ decided                      ^ decided anew
    all-clear   issue over                      own failure put right
                ----|--------------------------------|------------------------>
                    |<-- all_clear_wait_ms at most -->|
                                                      ^ decided
"""

from __future__ import annotations

from streams.core.outreach.cases import Case, OutreachRules, OutreachState, outreach_id
from streams.core.outreach.intervals import in_common
from streams.core.recovery import Intervals

RELEASES = ("approve", "unmute", "resume", "resolve")
"""Orders that may end a hold."""


def decision_times(state: OutreachState, rules: OutreachRules, case: Case, issue: str) -> list[int]:
    """Times from which one onset may be decided, ms, earliest first (:func:`alive_from`: their time to live).

    A notice: once customer and issue are known (nothing is decided before the issue is shown), and whenever it fails
    again after it was put right. An all-clear: once issue and failure are both over, the latter at most
    ``all_clear_wait_ms`` after the former.
    """
    onset, known = case.onsets[issue], state.issues.get(issue)
    if case.stage == "all_clear":
        due = [(max(since, onset.known_ms), until) for since, until in repaired_intervals(state, case)]
        latest = onset.known_ms + rules.all_clear_wait_ms
        return [at for at, until in due if at <= latest and (until is None or at < until)]
    if known is None:
        return []
    first = max(onset.known_ms, known.shown_ms or 0)
    return [first, *(until for _, until in onset.right if until is not None and until > first)]


def alive_from(state: OutreachState, case: Case, issue: str, at_ms: int) -> int:
    """From when on the time to live of a decision that begins at ``at_ms`` counts, ms.

    A notice: since the failure began that is told at ``at_ms``, by the newest revision alone. That it was put right for
    a while before can have been seen by an earlier revision only, and whether there was one hangs on the flushes.
    """
    onset, known = case.onsets[issue], state.issues.get(issue)
    if case.stage == "all_clear" or onset.again is None:
        return at_ms
    first = max(onset.known_ms, (known.shown_ms if known else None) or 0)
    return max((since for since in (first, *onset.again) if first <= since <= at_ms), default=at_ms)


def repaired_intervals(state: OutreachState, case: Case) -> Intervals:
    """When all is right: a notice is about one onset, an all-clear about every one that hit by then."""
    if case.stage == "notice":
        return case.onsets[case.issue].right
    notice = state.cases.get(outreach_id(case.root, case.customer, "notice"))
    return in_common(((0, onset.known_ms), *onset.right) for onset in notice.onsets.values()) if notice else ()


def recheck_times(state: OutreachState, case: Case) -> set[int]:
    """Times at which a case on hold has to be decided again because the failure was put right or is back, ms."""
    return {at for interval in repaired_intervals(state, case) for at in interval if at is not None}


def agenda(state: OutreachState, rules: OutreachRules, case: Case) -> list[tuple[int, str]]:
    """Every time at which this case has to be looked at: new onsets, and whatever may end a hold."""
    starts = [
        (at_ms, issue)
        for issue in case.onsets
        for at_ms in decision_times(state, rules, case, issue)
        if case.decision is None or at_ms > case.known_ms
    ]
    if case.decision != "hold":
        return starts
    issue, profile, onset = state.issues.get(case.issue), state.profiles.get(case.customer), case.onsets[case.issue]
    times = {case.deadline_ms, case.next_ms, onset.contacted_ms, *recheck_times(state, case)}
    times |= {issue.resolved_ms} if issue else set()
    times |= {profile.updated_at_ms} if profile else set()
    times |= {order.issued_ms for order in state.orders.by_id.values() if order.action in RELEASES}
    return starts + [(max(time, case.decided_ms), case.issue) for time in times if time is not None]
