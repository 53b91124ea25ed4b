"""The decision about one case at one time: refusals first, then the hold-out, then what only delays."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.drills import is_drill
from schemas.findings import Decision
from streams.core.outreach.cases import Case, OutreachRules, OutreachState, held_out
from streams.core.outreach.consent import Profile
from streams.core.outreach.due_times import repaired_intervals
from streams.core.outreach.intervals import right_at
from streams.core.outreach.policy import Way, fits, fits_from, way_to
from streams.core.outreach.wording import worded


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is decided at one time, and why; ``next_ms`` is when to decide again by itself.

    ``drawn``: nothing forbade to tell the customer, so it was drawn whether to do it.
    """

    decision: Decision
    reason: str
    next_ms: int | None = None
    way: Way | None = None
    drawn: bool = False


def judge(state: OutreachState, rules: OutreachRules, case: Case, at_ms: int) -> Verdict:
    """What the rules say about ``case`` at ``at_ms``; changes nothing."""
    over = _over(state, rules, case, at_ms)
    if over:
        return Verdict("refuse", over)
    profile = state.profiles.get(case.customer)
    if profile is None:
        return Verdict("hold", "no_profile")
    way = way_to(profile, rules.channels)
    if isinstance(way, str):
        return Verdict("hold" if way == "unreadable" else "refuse", way)
    return _budget(state, rules, case, at_ms) or _timing(state, rules, case, at_ms, (profile, way))


def _over(state: OutreachState, rules: OutreachRules, case: Case, at_ms: int) -> str | None:
    """Why a message would be useless or wrong by now, whoever the customer is."""
    if is_drill(case.customer):
        return "drill"
    right = right_at(repaired_intervals(state, case), at_ms)
    if case.stage == "notice":
        reason = _untold(state, rules, case, at_ms, right)
    else:
        reason = _unclear(state, case, at_ms, right)
    return reason or ("expired" if at_ms >= case.deadline_ms else None)


def _untold(state: OutreachState, rules: OutreachRules, case: Case, at_ms: int, right: bool) -> str | None:
    """Why no notice."""
    if not worded(case.signal):
        return "no_words"
    onset = case.onsets[case.issue]
    if onset.origin != "live" and not rules.replayed:
        return "replayed"
    if right:
        return "put_right"
    if _resolved(state, case, at_ms):
        return "resolved"
    return "already_contacted" if onset.contacted_ms is not None and onset.contacted_ms <= at_ms else None


def _unclear(state: OutreachState, case: Case, at_ms: int, right: bool) -> str | None:
    """Why no all-clear."""
    if _regressed(state, case, at_ms):
        return "regressed"
    return None if right else "unrepaired"


def _resolved(state: OutreachState, case: Case, at_ms: int) -> bool:
    issue = state.issues.get(case.issue)
    over = issue is not None and issue.resolved_ms is not None and issue.resolved_ms <= at_ms
    return over or state.orders.resolved(case, at_ms)


def _regressed(state: OutreachState, case: Case, at_ms: int) -> bool:
    """True while another onset of the same root goes on: "it works again" would be false."""
    onsets = (state.issues[name] for name in state.onsets.get(case.root, ()))
    return any(
        onset.issue != case.issue
        and onset.public_ms <= at_ms
        and (onset.resolved_ms is None or onset.resolved_ms > at_ms)
        for onset in onsets
    )


def _budget(state: OutreachState, rules: OutreachRules, case: Case, at_ms: int) -> Verdict | None:
    charges = state.charges.get(case.customer, [])
    if fits(charges, at_ms, rules.budgets):
        return None
    free = fits_from(charges, at_ms, rules.budgets)
    return Verdict("hold", "budget", free) if free < case.deadline_ms else Verdict("refuse", "budget")


def _timing(state: OutreachState, rules: OutreachRules, case: Case, at_ms: int, reach: tuple[Profile, Way]) -> Verdict:
    """The customer may be contacted: draw the hold-out, then look at what delays."""
    profile, way = reach
    opens = rules.quiet.opens_at(at_ms, profile.time_zone)
    if opens is None:
        return Verdict("refuse", "time_zone")
    drawn = case.stage == "notice" and rules.holdout_ratio > 0
    if drawn and held_out(case.root, case.customer, rules.holdout_ratio):
        return Verdict("hold_out", "hold_out", drawn=True)
    waits = _waits_for_operator(state, rules, case, at_ms)
    if waits:
        return Verdict("hold", waits, drawn=drawn)
    if opens > at_ms:
        return Verdict("hold" if opens < case.deadline_ms else "refuse", "quiet_hours", opens, drawn=drawn)
    return Verdict("send", "eligible", way=way, drawn=drawn)


def _waits_for_operator(state: OutreachState, rules: OutreachRules, case: Case, at_ms: int) -> str | None:
    if state.orders.stopped(at_ms):
        return "stopped"
    if state.orders.muted(case, at_ms):
        return "muted"
    if case.stage == "all_clear":
        return None
    many = len(state.noticed.get(case.root, ())) >= rules.unapproved(state.partitions)
    return "approval" if many and not state.orders.approved(case, at_ms) else None
