"""outreach: who gets a notice, when, and why not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.errors import ConfigError
from schemas.events import Consent
from schemas.findings import Watermark
from schemas.partition import partition_of
from streams.core.outreach.cases import REASONS, held_out
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
    issue,
    mark,
    resolved,
)
from tests.core.outreach.world import NOBODY_HELD_OUT, command, decision, failing, play


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


def test_nobody_is_told_of_a_signal_that_has_no_words_yet() -> None:
    assert decision(play(affected(signal="returns"))) == ("refuse", "no_words")


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


def test_whoever_is_drawn_stays_so_whatever_becomes_of_it_and_whoever_is_refused_before_is_not() -> None:
    rules, night = OutreachRules(), NOON + 11 * HOUR
    names = [f"c-{number}" for number in range(200)]
    hits = [affected(name, night) for name in names]
    called = [hit.model_copy(update={"contacted_at_ms": night + 2 * HOUR}) for hit in hits]
    rows = play(*hits, *called, rules=rules, until=night + DAY).values()
    assert {(row.decision, row.reason) for row in rows} == {("hold_out", "hold_out"), ("refuse", "already_contacted")}
    assert {row.drawn_at_ms for row in rows} == {night}
    before = [hit.model_copy(update={"contacted_at_ms": night - MINUTE}) for hit in hits]
    assert {row.drawn_at_ms for row in play(*before, rules=rules).values()} == {None}
    assert play(affected())[("c-1", "notice")].drawn_at_ms is None, "nobody is held out: there is no draw"


def test_a_hold_of_a_version_that_kept_no_draws_gets_none_later() -> None:
    runner = Runner(OutreachStage(OutreachRules(approval_above=0)))
    names = [f"c-{number}" for number in range(50)]
    runner.feed("customer", *map(customer, names))
    runner.feed("issue", issue(at=NOON - HOUR), mark(END))
    runner.feed("affected", *map(affected, names), mark(NOON + HOUR))
    for case in runner.state.cases.values():
        case.drawn_ms = None
    runner.feed("command", command("approve", NOON + 2 * HOUR))
    runner.feed("affected", mark(END))
    runner.flush()
    sent = [row for row in runner.latest("outreach", "customer_id").values() if row.decision == "send"]
    assert len(sent) > 30
    assert {row.drawn_at_ms for row in sent} == {None}


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


@pytest.mark.parametrize("restarts", [True, False])
def test_a_restart_while_a_notice_is_muted_does_not_change_when_it_is_decided_again(restarts: bool) -> None:
    """Known at night, muted before its end; in the morning another notice takes the budget."""
    night = NOON + 11 * HOUR
    runner = Runner(OutreachStage(NOBODY_HELD_OUT))
    runner.feed("customer", customer())
    runner.feed("command", command("mute", night + MINUTE, "i-2"), command("approve", night + 2 * MINUTE, "i-2"))
    runner.feed("issue", issue(at=NOON), issue("i-2", at=NOON), mark(NOON + 2 * DAY))
    runner.feed("affected", affected(known=night), affected(known=night, issue_id="i-2"), mark(night + HOUR))
    if restarts:
        runner.restart()
    runner.feed("affected", mark(NOON + 2 * DAY))
    runner.flush()
    rows = {row.issue_id: (row.decision, row.reason, row.decided_at_ms) for row in runner.records("outreach")}
    assert rows["i-1"] == ("send", "eligible", NOON + 20 * HOUR)
    assert rows["i-2"] == ("refuse", "expired", night + 14 * HOUR)
