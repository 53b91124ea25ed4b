"""outreach: who is told, when, and why not; the promises hold whatever comes in whatever order."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import canonical
from schemas.errors import ConfigError
from schemas.events import Command, Consent, Customer
from schemas.findings import Affected, Issue, Watermark
from schemas.partition import partition_of
from streams.core.outreach.cases import REASONS, held_out
from streams.core.outreach.policy import QuietHours
from streams.core.outreach.stage import OutreachRules, OutreachStage
from streams.core.stage import Idle
from tests.core.match.world import (
    DAY,
    END,
    HOUR,
    MINUTE,
    NOON,
    Runner,
    affected,
    cause,
    customer,
    interleave,
    issue,
    mark,
    resolved,
)

NOBODY_HELD_OUT = OutreachRules(holdout_ratio=0.0)
SPRING = 1_774_620_000_000 - 7 * HOUR
"""2026-03-27 07:00 UTC, two days before Berlin's clocks change."""


def command(action: str, at: int, issue_id: str | None = "i-1", name: str = "") -> Command:
    """An operator's order."""
    return Command.model_validate({
        "command_id": name or f"{action}-{at}-{issue_id}", "issued_at_ms": at, "action": action,
        "issue_id": None if action in ("stop", "resume") else issue_id,
    })  # fmt: skip


def play(
    *hits: Affected, rules: OutreachRules = NOBODY_HELD_OUT, until: int = NOON + DAY, one: Issue | None = None,
    profiles: tuple[Customer, ...] = (), orders: tuple[Command, ...] = (),
) -> dict[tuple[Any, ...], Any]:  # fmt: skip
    """One partition, everything in, clock at ``until``: latest decision per (customer, stage)."""
    runner = Runner(OutreachStage(rules))
    runner.feed("customer", *(profiles or {hit.customer_id: customer(hit.customer_id) for hit in hits}.values()))
    runner.feed("command", *orders)
    runner.feed("issue", issue(at=NOON - HOUR), *([one] if one else []), mark(until))
    runner.feed("affected", *hits, mark(until))
    runner.restart()
    runner.flush()
    return runner.latest("outreach", "customer_id", "stage")


def decision(found: dict[tuple[Any, ...], Any], name: str = "c-1", stage: str = "notice") -> tuple[str, str]:
    """Decision and reason."""
    return found[(name, stage)].decision, found[(name, stage)].reason


def test_an_affected_customer_who_agreed_is_told_why_in_their_language() -> None:
    row = play(affected())[("c-1", "notice")]
    assert (row.decision, row.reason, row.channel, row.address) == ("send", "eligible", "webhook", "a-c-1")
    assert (row.template, row.language) == ("app.notice@1", "de")
    assert row.cause_text == "ein Fehler in unserer App (Version 5.2.0)"
    assert row.decided_at_ms == row.not_before_ms == NOON
    assert row.deadline_ms == NOON + 14 * HOUR


def test_a_value_that_nobody_vouches_for_never_reaches_a_customer() -> None:
    offer = "refund 500 EUR guaranteed now"
    unknown = cause(app_version=offer).model_copy(update={"known": ()})
    row = play(affected(), one=issue(at=NOON, cause=unknown))[("c-1", "notice")]
    assert row.cause_text == "ein Fehler in unserer App"
    assert offer not in row.model_dump_json()


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        ({"opted_out": True}, "opted_out"),
        ({"consents": ()}, "no_consent"),
        ({"consents": (Consent(channel="email", granted=True),)}, "no_consent"),
        ({"addresses": ()}, "no_address"),
        ({"time_zone": ""}, "time_zone"),
    ],
)
def test_what_the_customer_does_not_allow_is_refused_with_its_reason(profile: dict[str, Any], reason: str) -> None:
    assert decision(play(affected(), profiles=(customer(**profile),))) == ("refuse", reason)


def test_a_customer_without_profile_waits_for_one_until_it_is_too_late() -> None:
    nobody = (customer("c-9"),)
    assert decision(play(affected(), profiles=nobody, until=NOON + HOUR)) == ("hold", "no_profile")
    assert decision(play(affected(), profiles=nobody)) == ("refuse", "expired")
    runner = Runner(OutreachStage(NOBODY_HELD_OUT))
    runner.feed("issue", issue(at=NOON - HOUR), mark(NOON + HOUR))
    runner.feed("affected", affected(), mark(NOON + HOUR))
    runner.restart()
    runner.feed("customer", customer())
    runner.flush()
    assert [row.decision for row in runner.records("outreach")] == ["hold", "send"]


def test_whoever_has_contacted_us_is_not_told_what_they_know() -> None:
    assert decision(play(affected(contacted_at_ms=NOON - 5 * MINUTE))) == ("refuse", "already_contacted")
    later = affected(contacted_at_ms=NOON + 5 * MINUTE)
    assert decision(play(later)) == ("send", "eligible")


def test_a_contact_during_the_night_takes_back_the_notice_for_the_morning() -> None:
    night = NOON + 11 * HOUR
    rows = play(affected(known=night), affected(known=night, contacted_at_ms=night + HOUR), until=night + DAY)
    assert decision(rows) == ("refuse", "already_contacted")


def test_nobody_is_told_about_an_issue_that_is_over() -> None:
    assert decision(play(affected(), one=resolved(issue(at=NOON - HOUR), NOON))) == ("refuse", "resolved")
    ordered = (command("resolve", NOON - MINUTE),)
    assert decision(play(affected(), orders=ordered)) == ("refuse", "resolved")


#  known 23:00 in Berlin -> 08:00; resolved at 03:00 -> useless
def test_at_night_a_notice_is_held_until_eight_and_dropped_if_the_issue_ends_before() -> None:
    night = NOON + 11 * HOUR
    held = play(affected(known=night), until=night + HOUR)[("c-1", "notice")]
    assert (held.decision, held.reason, held.not_before_ms) == ("hold", "quiet_hours", night + 9 * HOUR)
    sent = play(affected(known=night), until=night + DAY)[("c-1", "notice")]
    assert (sent.decision, sent.decided_at_ms) == ("send", night + 9 * HOUR)
    over = resolved(issue(at=NOON - HOUR), night + 4 * HOUR)
    assert decision(play(affected(known=night), until=night + DAY, one=over)) == ("refuse", "resolved")


def test_one_contact_a_day_over_all_issues() -> None:
    hits = affected(), affected(known=NOON + HOUR, issue_id="i-2", root_id="i-2")
    runner = Runner(OutreachStage(NOBODY_HELD_OUT))
    runner.feed("customer", customer())
    runner.feed("issue", issue(at=NOON - HOUR), issue("i-2", NOON - HOUR), mark(NOON + DAY))
    runner.feed("affected", *hits, mark(NOON + DAY))
    runner.flush()
    rows = runner.latest("outreach", "issue_id")
    assert [rows[(name,)].decision for name in ("i-1", "i-2")] == ["send", "refuse"]
    assert rows[("i-2",)].reason == "budget"


def test_a_notice_waits_for_the_budget_if_it_frees_in_time() -> None:
    runner = Runner(OutreachStage(NOBODY_HELD_OUT))
    runner.feed("customer", customer())
    later = NOON + 23 * HOUR
    runner.feed("issue", issue(at=NOON - HOUR), issue("i-2", NOON - HOUR), mark(NOON + 2 * DAY))
    runner.feed("affected", affected(), affected(known=later, issue_id="i-2"), mark(later + MINUTE))
    runner.flush()
    assert runner.latest("outreach", "issue_id")[("i-2",)].reason == "budget"
    runner.feed("affected", mark(NOON + 2 * DAY))
    runner.flush()
    row = runner.latest("outreach", "issue_id")[("i-2",)]
    assert (row.decision, row.decided_at_ms) == ("send", NOON + DAY)


@pytest.mark.parametrize("partitions", [1, 3, 4])
def test_beyond_the_limit_a_person_must_approve_and_the_partitions_need_not_ask_each_other(partitions: int) -> None:
    rules = OutreachRules(holdout_ratio=0.0, approval_above=10)
    names = [f"c-{number}" for number in range(60)]
    runners = []
    for number in range(partitions):
        mine = [name for name in names if partition_of(name.encode(), partitions) == number]
        runner = Runner(OutreachStage(rules), number, partitions)
        runner.feed("customer", *map(customer, mine))
        runner.feed("issue", issue(at=NOON - HOUR), mark(NOON + HOUR))
        runner.feed("affected", *map(affected, mine), mark(NOON + HOUR))
        runner.restart()
        runners.append(runner)
    before = [row for runner in runners for row in runner.latest("outreach", "customer_id").values()]
    counts = Counter((row.decision, row.reason) for row in before)
    assert counts[("send", "eligible")] <= 10
    assert counts[("send", "eligible")] + counts[("hold", "approval")] == 60
    for runner in runners:
        runner.feed("command", command("approve", NOON + 30 * MINUTE))
        runner.flush()
    after = [row for runner in runners for row in runner.latest("outreach", "customer_id").values()]
    assert Counter(row.decision for row in after) == {"send": 60}


def test_an_approval_is_for_one_onset_only() -> None:
    rules = OutreachRules(holdout_ratio=0.0, approval_above=0)
    orders = (command("approve", NOON - MINUTE, "i-0"),)
    assert decision(play(affected(), rules=rules, orders=orders, until=NOON + HOUR)) == ("hold", "approval")
    orders = (command("approve", NOON - MINUTE),)
    assert decision(play(affected(), rules=rules, orders=orders)) == ("send", "eligible")


@pytest.mark.parametrize(("put", "take", "reason"), [("mute", "unmute", "muted"), ("stop", "resume", "stopped")])
def test_a_muted_issue_and_the_kill_switch_hold_until_taken_back_or_too_late(put: str, take: str, reason: str) -> None:
    held = (command(put, NOON - MINUTE),)
    freed = (*held, command(take, NOON + HOUR))
    assert decision(play(affected(), orders=held, until=NOON + HOUR)) == ("hold", reason)
    assert decision(play(affected(), orders=held)) == ("refuse", "expired")
    assert play(affected(), orders=freed)[("c-1", "notice")].decided_at_ms == NOON + HOUR


def test_a_mute_is_for_one_issue() -> None:
    assert decision(play(affected(), orders=(command("mute", NOON - MINUTE, "i-9"),))) == ("send", "eligible")


def test_the_hold_out_is_a_tenth_drawn_by_hash_after_eligibility_and_logged() -> None:
    names = [f"c-{number}" for number in range(2_000)]
    rules = OutreachRules(approval_above=10_000)
    rows = play(*map(affected, names), rules=rules)
    out = {name for (name, _), row in rows.items() if row.decision == "hold_out"}
    assert out == {name for name in names if held_out("i-1", name, 0.1)}
    assert 150 < len(out) < 250
    profiles = tuple(customer(name, consents=()) for name in names)
    assert {row.decision for row in play(*map(affected, names), rules=rules, profiles=profiles).values()} == {"refuse"}
    assert {name for name in names if held_out("i-2", name, 0.1)} != out


def test_the_all_clear_goes_to_exactly_those_whose_notice_was_sent() -> None:
    rules = OutreachRules(approval_above=10_000)
    names = [f"c-{number}" for number in range(300)]
    profiles = tuple(customer(name, opted_out=number % 7 == 0) for number, name in enumerate(names))
    over = resolved(issue(at=NOON - HOUR), NOON + HOUR)
    hits = [affected(name, put_right_ms=NOON + 2 * HOUR) for name in names]
    rows = play(*hits, rules=rules, profiles=profiles, one=over, until=NOON + 3 * DAY)
    told = {name for (name, stage), row in rows.items() if stage == "notice" and row.decision == "send"}
    cleared = {name for (name, stage), row in rows.items() if stage == "all_clear"}
    assert told == cleared
    assert 0 < len(told) < 300
    assert {rows[(name, "all_clear")].decided_at_ms for name in told} == {NOON + DAY}
    assert {rows[(name, "all_clear")].decision for name in told} == {"send"}


def test_the_all_clear_waits_for_the_budget_of_its_own_notice() -> None:
    over = resolved(issue(at=NOON - HOUR), NOON + HOUR)
    row = play(affected(put_right_ms=NOON + MINUTE), one=over, until=NOON + 2 * HOUR)[("c-1", "all_clear")]
    assert (row.decision, row.reason, row.not_before_ms) == ("hold", "budget", NOON + DAY)


def test_whoever_opts_out_after_the_notice_gets_no_all_clear() -> None:
    runner = Runner(OutreachStage(NOBODY_HELD_OUT))
    runner.feed("customer", customer())
    runner.feed("issue", issue(at=NOON - HOUR), mark(NOON + HOUR))
    runner.feed("affected", affected(put_right_ms=NOON + MINUTE), mark(NOON + HOUR))
    runner.feed("customer", customer(opted_out=True, updated_at_ms=NOON + MINUTE))
    runner.feed("issue", resolved(issue(at=NOON - HOUR), NOON + HOUR), mark(END))
    runner.feed("affected", mark(END))
    runner.flush()
    assert decision(runner.latest("outreach", "customer_id", "stage"), stage="all_clear") == ("refuse", "opted_out")


#  i-1 |----told----| over        |--- all-clear after the second end
#  i-1b                   |again----|
def test_no_all_clear_while_the_issue_is_back_and_one_when_that_is_over_too() -> None:
    runner = Runner(OutreachStage(NOBODY_HELD_OUT))
    first, again = issue(at=NOON - HOUR), issue("i-1b", NOON + 5 * HOUR, root_id="i-1", onset=2)
    runner.feed("customer", customer())
    runner.feed("issue", first, mark(NOON + HOUR), resolved(first, NOON + HOUR), again, mark(NOON + 26 * HOUR))
    runner.feed("affected", affected(put_right_ms=NOON + MINUTE), mark(NOON + 26 * HOUR))
    runner.restart()
    assert decision(runner.latest("outreach", "customer_id", "stage"), stage="all_clear") == ("refuse", "regressed")
    runner.feed("issue", resolved(again, NOON + 26 * HOUR), mark(NOON + 3 * DAY))
    runner.feed("affected", mark(NOON + 3 * DAY))
    runner.restart()
    row = runner.latest("outreach", "customer_id", "stage")[("c-1", "all_clear")]
    assert (row.decision, row.issue_id, row.decided_at_ms) == ("send", "i-1b", NOON + 26 * HOUR)


def test_a_regression_does_not_tell_the_same_customer_twice_but_tells_one_who_was_refused() -> None:
    runner = Runner(OutreachStage(NOBODY_HELD_OUT))
    first, again = issue(at=NOON - HOUR), issue("i-1b", NOON + 2 * DAY, root_id="i-1", onset=2)
    runner.feed("customer", customer("told"), customer("late"))
    runner.feed("issue", first, resolved(first, NOON + HOUR), again, mark(END))
    hits = [affected("told"), affected("late", NOON + 2 * HOUR)]
    hits += [affected(name, NOON + 2 * DAY, issue_id="i-1b", root_id="i-1") for name in ("told", "late")]
    runner.feed("affected", *hits, mark(END))
    runner.flush()
    rows = runner.latest("outreach", "customer_id", "stage")
    assert rows[("told", "notice")].decided_at_ms == NOON
    assert (rows[("late", "notice")].decision, rows[("late", "notice")].issue_id) == ("send", "i-1b")


def test_every_reason_is_explained_in_the_glossary() -> None:
    page = (Path(__file__).parents[3] / "docs" / "glossary.md").read_text()
    assert [f"| `{word}` | {text} |" for word, text in REASONS.items() if f"| `{word}` | {text} |" not in page] == []


def test_idle_inputs_are_passed_and_the_watermark_is_the_slower_of_the_two() -> None:
    runner = Runner(OutreachStage())
    runner.stage.step(runner.state, Idle(NOON, ("affected",)))
    assert runner.flush().messages == []
    runner.feed("issue", mark(NOON - MINUTE))
    marks = [m.record for m in runner.flush().messages]
    assert [mark.through_ms for mark in marks if isinstance(mark, Watermark)] == [NOON - MINUTE]
    assert len(marks) == 1


def test_decisions_and_issues_are_forgotten_after_their_retention() -> None:
    rules = OutreachRules(holdout_ratio=0.0, retention_ms=8 * DAY, all_clear_wait_ms=8 * DAY)
    runner = Runner(OutreachStage(rules))
    runner.feed("customer", customer())
    runner.feed("issue", issue(at=NOON - HOUR), resolved(issue(at=NOON - HOUR), NOON + HOUR), mark(NOON + 20 * DAY))
    runner.feed("affected", affected(), mark(NOON + 20 * DAY))
    runner.flush()
    state = runner.state
    assert (state.cases, state.issues, state.by_customer, state.by_issue) == ({}, {}, {}, {})
    assert len(runner.durable) == 2


@pytest.mark.parametrize("wrong", [{"holdout_ratio": 0.6}, {"channels": ()}, {"approval_above": -1},
                                   {"notice_ttl_ms": 0}, {"retention_ms": DAY, "all_clear_wait_ms": DAY},
                                   {"retention_ms": 50 * DAY}, {"all_clear_wait_ms": -1}])  # fmt: skip
def test_rules_that_promise_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        OutreachRules(**wrong)


def failing(*revisions: Affected, rules: OutreachRules = NOBODY_HELD_OUT, until: int = NOON + DAY,
            one: Issue | None = None) -> dict[tuple[Any, ...], Any]:  # fmt: skip
    """One revision after the other, each followed by the time at which it came; then the clock at ``until``."""
    runner = Runner(OutreachStage(rules))
    runner.feed("customer", customer())
    runner.feed("issue", one or issue(at=NOON - HOUR), mark(until))
    for revision in revisions:
        runner.feed("affected", revision, mark(max(revision.last_failed_ms, revision.put_right_ms or 0) + MINUTE))
        runner.restart()
    runner.feed("affected", mark(until))
    runner.flush()
    return runner.latest("outreach", "customer_id", "stage")


def test_whoever_paid_after_the_failure_is_not_told_that_the_payment_did_not_go_through() -> None:
    assert decision(play(affected(put_right_ms=NOON - MINUTE))) == ("refuse", "put_right")
    assert decision(play(affected(put_right_ms=NOON))) == ("refuse", "put_right")
    assert decision(play(affected(put_right_ms=NOON + MINUTE))) == ("send", "eligible")


@pytest.mark.parametrize("told_at_once", [True, False])
def test_what_was_put_right_over_night_is_not_told_in_the_morning(told_at_once: bool) -> None:
    night = NOON + 11 * HOUR
    right = affected(known=night, put_right_ms=night + HOUR)
    rows = failing(*([right] if told_at_once else [affected(known=night), right]), until=night + DAY)
    assert decision(rows) == ("refuse", "put_right")
    assert rows[("c-1", "notice")].decided_at_ms == night + HOUR


@pytest.mark.parametrize("at", [NOON + 2 * HOUR, NOON + 11 * HOUR])
def test_a_new_failure_after_that_is_told_with_a_time_to_live_of_its_own(at: int) -> None:
    right = affected(put_right_ms=NOON - MINUTE)
    row = failing(right, affected(last_failed_ms=at), until=NOON + 2 * DAY)[("c-1", "notice")]
    assert (row.decision, row.deadline_ms) == ("send", at + 14 * HOUR)
    assert row.decided_at_ms == (at if at < NOON + 9 * HOUR else NOON + 20 * HOUR)
    again = affected(last_failed_ms=at, put_right_ms=at + MINUTE)
    rows = failing(right, affected(last_failed_ms=at), again, until=NOON + 2 * DAY)
    assert rows[("c-1", "notice")].decision == ("send" if at < NOON + 9 * HOUR else "refuse")


def test_a_failure_that_turns_out_never_to_have_been_put_right_is_told_after_all() -> None:
    rows = failing(affected(put_right_ms=NOON - MINUTE), affected(last_failed_ms=NOON - 2 * MINUTE))
    assert (decision(rows), rows[("c-1", "notice")].decided_at_ms) == (("send", "eligible"), NOON)


def test_a_notice_lives_from_when_the_issue_was_shown() -> None:
    shown = issue(at=NOON - 30 * HOUR, shown_at_ms=NOON, updated_at_ms=NOON)
    row = play(affected(known=NOON - 30 * HOUR), one=shown)[("c-1", "notice")]
    assert (row.decision, row.decided_at_ms, row.deadline_ms) == ("send", NOON, NOON + 14 * HOUR)
    late = play(affected(known=NOON + HOUR), one=shown)[("c-1", "notice")]
    assert (late.decided_at_ms, late.deadline_ms) == (NOON + HOUR, NOON + 15 * HOUR)


def test_nobody_is_told_before_outreach_has_heard_of_the_issue() -> None:
    runner = Runner(OutreachStage(NOBODY_HELD_OUT))
    runner.feed("customer", customer())
    runner.feed("affected", affected(), mark(NOON + HOUR))
    runner.feed("issue", mark(NOON + MINUTE))
    runner.restart()
    assert runner.records("outreach") == []
    runner.feed("issue", issue(at=NOON - HOUR, shown_at_ms=NOON + 5 * MINUTE, updated_at_ms=NOON + 5 * MINUTE),
                mark(NOON + HOUR))  # fmt: skip
    runner.flush()
    assert [row.decided_at_ms for row in runner.records("outreach")] == [NOON + 5 * MINUTE]


@pytest.mark.parametrize(("right", "due"), [(NOON + 40 * HOUR, NOON + 40 * HOUR), (NOON + MINUTE, NOON + 30 * HOUR),
                                            (NOON + 59 * DAY, NOON + 59 * DAY)])  # fmt: skip
def test_the_all_clear_is_due_when_both_the_issue_and_the_own_failure_are_over(right: int, due: int) -> None:
    over = resolved(issue(at=NOON - HOUR), NOON + 30 * HOUR)
    rows = failing(affected(), affected(put_right_ms=right), one=over, until=NOON + 70 * DAY)
    row = rows[("c-1", "all_clear")]
    assert (row.decision, row.deadline_ms) == ("send", due + 48 * HOUR)
    assert due <= row.decided_at_ms <= due + 11 * HOUR


@pytest.mark.parametrize("right", [None, NOON + 65 * DAY])
def test_no_all_clear_for_what_is_not_put_right_or_so_late_that_nobody_waits_for_it(right: int | None) -> None:
    over = resolved(issue(at=NOON - HOUR), NOON + 30 * HOUR)
    rows = failing(affected(), affected(put_right_ms=right), one=over, until=NOON + 80 * DAY)
    assert decision(rows) == ("send", "eligible")
    assert ("c-1", "all_clear") not in rows


@pytest.mark.parametrize(("end", "sent"), [("recovered", True), ("resolved", True), ("accepted", False),
                                           ("withdrawn", False), (None, False)])  # fmt: skip
def test_only_an_end_at_which_all_is_well_again_sends_all_clears(end: str | None, sent: bool) -> None:
    over = resolved(issue(at=NOON - HOUR), NOON + HOUR, end_reason=end)
    rows = failing(affected(), affected(put_right_ms=NOON + 2 * HOUR), one=over, until=NOON + 3 * DAY)
    assert decision(rows) == ("send", "eligible")
    assert (("c-1", "all_clear") in rows) == sent


def test_a_muted_issue_sends_no_all_clear() -> None:
    over = resolved(issue(at=NOON - HOUR), NOON + HOUR)
    hit = affected(put_right_ms=NOON + 2 * HOUR)
    muted = (command("mute", NOON + 90 * MINUTE),)
    assert decision(play(hit, one=over, orders=muted, until=NOON + 2 * DAY), stage="all_clear") == ("hold", "muted")
    assert decision(play(hit, one=over, orders=muted, until=NOON + 4 * DAY), stage="all_clear") == (
        "refuse", "expired")  # fmt: skip


@pytest.mark.parametrize("never", [True, False])
def test_no_all_clear_if_the_failure_is_back_before_it_went_out_and_one_when_it_is_put_right_again(never: bool) -> None:
    over = resolved(issue(at=NOON - HOUR), NOON + HOUR)
    back = affected(last_failed_ms=NOON - MINUTE if never else NOON + 5 * HOUR)
    told = [affected(), affected(put_right_ms=NOON + 2 * HOUR), back]
    assert decision(failing(*told, one=over, until=NOON + 3 * DAY), stage="all_clear") == ("refuse", "unrepaired")
    right = back.model_copy(update={"put_right_ms": NOON + 4 * DAY})
    row = failing(*told, right, one=over, until=NOON + 6 * DAY)[("c-1", "all_clear")]
    assert (row.decision, row.decided_at_ms) == ("send", NOON + 4 * DAY)


@pytest.mark.parametrize("origin", ["replay", "drill"])
def test_what_was_played_or_made_up_is_told_to_nobody_unless_a_rule_allows_it(origin: str) -> None:
    assert decision(play(affected(origin=origin))) == ("refuse", "replayed")
    allowed = replace(NOBODY_HELD_OUT, replayed=True)
    assert decision(play(affected(origin=origin), rules=allowed)) == ("send", "eligible")
    seen_live = failing(affected(origin=origin), affected(last_failed_ms=NOON + HOUR))
    assert decision(seen_live) == ("send", "eligible")


def test_what_an_earlier_version_kept_is_read() -> None:
    runner = Runner(OutreachStage(NOBODY_HELD_OUT))
    runner.feed("issue", issue(at=NOON - HOUR), mark(NOON + HOUR))
    runner.feed("affected", affected(), mark(NOON + HOUR))
    runner.flush()
    for key, value in runner.durable.items():
        packed = msgspec.json.decode(value)
        if msgspec.json.decode(key)[0] == "d":
            packed["onsets"] = {name: {"known_ms": onset["known_ms"]} for name, onset in packed["onsets"].items()}
        elif msgspec.json.decode(key)[0] == "i":
            del packed["shown_ms"], packed["end_reason"]
        runner.durable[key] = msgspec.json.encode(packed)
    runner.state = runner.stage.load(0, 1, runner.durable.items())
    runner.feed("customer", customer())
    runner.flush()
    assert decision(runner.latest("outreach", "customer_id", "stage")) == ("send", "eligible")


@dataclass
class Town:
    """Streams for outreach over a weekend on which clocks change."""

    profiles: list[Customer]
    hits: list[Any]
    issues: list[Any]
    orders: list[Command]


@st.composite
def towns(draw: st.DrawFn, late: bool = False) -> Town:
    """Up to 6 customers in odd zones, 4 issues of 2 roots, contacts, orders. ``late``: some come behind the mark."""
    minute = st.integers(0, 5 * 24 * 60).map(lambda number: SPRING + number * MINUTE)
    names = [f"c-{number}" for number in range(draw(st.integers(1, 6)))]
    zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "", "Not/AZone"]
    profiles = [
        customer(name, time_zone=draw(st.sampled_from(zones)), opted_out=draw(st.integers(0, 5)) == 0,
                 updated_at_ms=SPRING - DAY,
                 consents=(Consent(channel="webhook", granted=draw(st.integers(0, 5)) > 0),))
        for name in names
    ]  # fmt: skip
    issues = [_draw_issue(draw, number, minute) for number in range(draw(st.integers(1, 4)))]
    revisions = sorted((one for pair in issues for one in pair), key=lambda one: one.updated_at_ms)
    events = []
    pairs = [(name, pair[0]) for name in names for pair in issues]
    for number in draw(st.lists(st.integers(0, len(pairs) - 1), max_size=16, unique=True)):
        name, one = pairs[number]
        hit, contacted = _draw_hit(draw, name, one, minute)
        events.append((hit.known_at_ms + (draw(st.integers(0, 600)) * MINUTE if late else 0), hit))
        if contacted:
            events.append((max(contacted.contacted_at_ms or 0, hit.known_at_ms), contacted))
        events += _draw_repairs(draw, contacted or hit, max(time for time, _ in events[-2:]), late)
    events.sort(key=lambda event: event[0])
    actions = st.sampled_from(["approve", "mute", "unmute", "stop", "resume", "resolve"])
    orders = [
        command(draw(actions), draw(minute), draw(st.sampled_from(["i-0", "i-1", "i-2"])), f"k-{number}")
        for number in range(draw(st.integers(0, 5)))
    ]  # fmt: skip
    return Town(profiles, _marked(draw, events), _marked(draw, [(one.updated_at_ms, one) for one in revisions]), orders)


def _draw_issue(draw: st.DrawFn, number: int, minute: st.SearchStrategy[int]) -> list[Issue]:
    at = draw(minute)
    one = issue(f"i-{number}", at, root_id=f"i-{number % 2}", onset=1 + number // 2)
    one = one.model_copy(update={"shown_at_ms": draw(st.sampled_from([None, at, at + 5 * MINUTE, at + DAY]))})
    one = one.model_copy(update={"updated_at_ms": one.shown_at_ms or at})
    end = draw(st.sampled_from(["recovered", "recovered", "resolved", "accepted", None]))
    over = one.updated_at_ms + draw(st.integers(1, 3_000)) * MINUTE
    return [one, resolved(one, over, end_reason=end)] if draw(st.booleans()) else [one]


def _draw_hit(
    draw: st.DrawFn, name: str, one: Issue, minute: st.SearchStrategy[int]
) -> tuple[Affected, Affected | None]:
    known = max(one.detected_at_ms, draw(minute))
    hit = affected(name, known, issue_id=one.issue_id, root_id=one.root_id)
    if draw(st.integers(0, 3)):
        return hit, None
    return hit, hit.model_copy(update={"contacted_at_ms": known + draw(st.integers(-60, 1_000)) * MINUTE})


def _draw_repairs(draw: st.DrawFn, hit: Affected, after: int, late: bool) -> list[tuple[int, Affected]]:
    """Put right and failed again, in turns. ``late``: some come behind the mark."""
    revisions = []
    at = known = max(after, hit.known_at_ms)
    for turn in range(draw(st.integers(0, 3))):
        at += draw(st.integers(1, 2_000)) * MINUTE
        change = {"put_right_ms": None, "last_failed_ms": at} if turn % 2 else {"put_right_ms": at}
        hit = hit.model_copy(update=change)
        known = max(known, at + (draw(st.integers(0, 2)) * 300 * MINUTE if late else 0))
        revisions.append((known, hit))
    return revisions


def _marked(draw: st.DrawFn, events: list[tuple[int, Any]]) -> list[Any]:
    """The stream with watermarks in between, also with records given twice."""
    stream: list[Any] = []
    for time, record in events:
        if draw(st.booleans()):
            stream.append(mark(time))
        stream.append(record)
        if draw(st.integers(0, 4)) == 0:
            stream.append(record)
    return [*stream, mark(SPRING + 30 * DAY)]


def walk(draw: st.DrawFn, town: Town, rules: OutreachRules, first: tuple[str, ...] = ("customer", "command")) -> Runner:
    """The town through outreach: interleaved, cut, flushed and restarted as drawn; ``first`` is read in advance."""
    runner = Runner(OutreachStage(rules), 0, 1)
    streams: dict[str, list[Any]] = {
        "affected": town.hits, "issue": town.issues, "customer": town.profiles, "command": [*town.orders, *town.orders],
    }  # fmt: skip
    for noun in first:
        runner.feed(noun, *streams.pop(noun))
    for noun, records in interleave(draw, streams):
        runner.feed(noun, *records)
        match draw(st.integers(0, 2)):
            case 0:
                runner.restart()
            case 1:
                runner.flush()
            case _:
                pass
    runner.flush()
    return runner


RULES = OutreachRules(approval_above=2, quiet=QuietHours(served_zones=("Europe/Berlin", "Europe/London")))


FIRST = st.sampled_from([("customer", "command"), ("customer",), ("command",), ()])


@given(st.data(), st.booleans().flatmap(lambda late: towns(late=late)), FIRST)
@settings(max_examples=200, deadline=None)
def test_no_promise_to_a_customer_is_ever_broken(data: Any, town: Town, first: tuple[str, ...]) -> None:
    runner = walk(data.draw, town, RULES, first)
    profiles = {profile.customer_id: profile for profile in town.profiles}
    rows = runner.records("outreach")
    sent = [row for row in rows if row.decision == "send"]
    assert len({row.outreach_id for row in sent}) == len(sent), "a send key was decided twice"
    for name, profile in profiles.items():
        times = sorted(row.decided_at_ms for row in sent if row.customer_id == name)
        assert all(later - earlier >= DAY for earlier, later in itertools.pairwise(times))
        assert all(later - earlier >= 7 * DAY for earlier, later in zip(times, times[3:], strict=False))
        assert not times or (not profile.opted_out and profile.consents[0].granted)
        zones = [profile.time_zone] if "/" in profile.time_zone and profile.time_zone != "Not/AZone" else [
            "Europe/Berlin", "Europe/London"]  # fmt: skip
        for time in times:
            assert all(8 <= datetime.fromtimestamp(time / 1000, ZoneInfo(zone)).hour < 21 for zone in zones)
    for row in sent:
        assert not held_out(row.root_id, row.customer_id, 0.1) or row.stage == "all_clear"
    assert all(row.reason in REASONS for row in rows)
    told = {(row.root_id, row.customer_id) for row in sent if row.stage == "notice"}
    assert {(row.root_id, row.customer_id) for row in rows if row.stage == "all_clear"} <= told


def states_at(town: Town, root: str, name: str, at: int) -> dict[str, bool]:
    """Per onset of the root that has hit the customer by ``at``: was it right then?"""
    mine = [hit for hit in town.hits if hit.kind == "affected" and (hit.root_id, hit.customer_id) == (root, name)]
    past = [hit for hit in mine if max(hit.known_at_ms, hit.put_right_ms or hit.last_failed_ms) <= at]
    return {hit.issue_id: hit.put_right_ms is not None for hit in past}


@given(st.data(), towns())
@settings(max_examples=150, deadline=None)
def test_orders_and_the_end_of_an_issue_bind_every_decision(data: Any, town: Town) -> None:
    rows = walk(data.draw, town, RULES).records("outreach")
    ends = {one.issue_id: one.resolved_at_ms for one in town.issues if one.kind == "issue" and one.resolved_at_ms}
    mended = {one.issue_id for one in town.issues if getattr(one, "end_reason", None) in ("recovered", "resolved")}
    for row in rows:
        if row.decision != "send":
            continue
        at = row.decided_at_ms
        past = sorted((o for o in town.orders if o.issued_at_ms <= at), key=lambda o: (o.issued_at_ms, o.command_id))
        switch = [o.action for o in past if o.action in ("stop", "resume")]
        assert not switch or switch[-1] == "resume"
        mutes = [o.action for o in past
                 if o.action in ("mute", "unmute") and o.issue_id in (row.issue_id, row.root_id)]  # fmt: skip
        assert not mutes or mutes[-1] == "unmute"
        if row.stage == "all_clear":
            assert row.issue_id in mended
            assert all(states_at(town, row.root_id, row.customer_id, at).values())
            continue
        assert not (row.issue_id in ends and ends[row.issue_id] <= at)
        assert not states_at(town, row.root_id, row.customer_id, at)[row.issue_id]
        earlier = {r.customer_id for r in rows if r.root_id == row.root_id and r.stage == "notice"
                   and r.decision == "send" and (r.decided_at_ms, r.issue_id, r.customer_id)
                   < (at, row.issue_id, row.customer_id)}  # fmt: skip
        approved = any(o.action == "approve" and o.issue_id == row.issue_id for o in past)
        assert approved or len(earlier) < 2


@given(st.data(), towns(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_decisions_are_byte_equal_however_the_inputs_interleave_and_whenever_it_dies(
    data: Any, town: Town, scarce: bool
) -> None:
    """Profiles may come last as well, unless a few unapproved notices are dealt out in the order of decisions."""
    rules = RULES if scarce else replace(RULES, approval_above=100)
    runs = [walk(data.draw, town, rules, ("customer", "command") if scarce else ("command",)) for _ in range(2)]
    first, second = ({k: canonical(v) for k, v in run.latest("outreach", "outreach_id").items()} for run in runs)
    assert first == second
    marks = [m.record.through_ms for m in runs[0].messages if m.record.kind == "watermark"]
    assert marks == sorted(marks)
