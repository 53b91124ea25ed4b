"""When a case has to be decided from the start, and since when its customer's failures are put right."""

from __future__ import annotations

from streams.core.outreach.cases import Case, OutreachRules, OutreachState, outreach_id
from streams.core.outreach.intervals import in_common
from streams.core.recovery import Intervals


def begins(state: OutreachState, rules: OutreachRules, case: Case, issue: str) -> list[int]:
    """Times from which one onset may be told of, each with a time to live of its own, earliest first.

    A notice: once customer and issue are known (nothing is decided before the issue is shown), and whenever it fails
    again after it was put right. An all-clear: once issue and failure are both over, the latter at most
    ``all_clear_wait_ms`` after the former.
    """
    onset, known = case.onsets[issue], state.issues.get(issue)
    if case.stage == "all_clear":
        due = [(max(since, onset.known_ms), until) for since, until in repaired(state, case)]
        latest = onset.known_ms + rules.all_clear_wait_ms
        return [at for at, until in due if at <= latest and (until is None or at < until)]
    if known is None:
        return []
    first = max(onset.known_ms, known.shown_ms or 0)
    return [first, *(until for _, until in onset.right if until is not None and until > first)]


def repaired(state: OutreachState, case: Case) -> Intervals:
    """When all is right: a notice is about one onset, an all-clear about every one that hit by then."""
    if case.stage == "notice":
        return case.onsets[case.issue].right
    notice = state.cases.get(outreach_id(case.root, case.customer, "notice"))
    return in_common(((0, onset.known_ms), *onset.right) for onset in notice.onsets.values()) if notice else ()


def turns(state: OutreachState, case: Case) -> set[int]:
    """Times at which a held case has to be looked at because the failure was put right or is back."""
    return {at for stretch in repaired(state, case) for at in stretch if at is not None}
