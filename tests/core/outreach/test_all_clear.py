"""outreach: an all-clear goes to those whose notice was sent, once the issue and their own failure are over."""

from __future__ import annotations

import pytest

from streams.core.outreach.policy import Budget
from streams.core.outreach.stage import OutreachRules, OutreachStage
from tests.core.match.world import (
    DAY,
    END,
    HOUR,
    MINUTE,
    NOON,
    Runner,
    affected,
    customer,
    issue,
    mark,
    resolved,
)
from tests.core.outreach.world import NOBODY_HELD_OUT, command, decision, failing, play


def test_the_all_clear_goes_to_exactly_those_whose_notice_was_sent() -> None:
    rules = OutreachRules(approval_above=10_000)
    names = [f"c-{number}" for number in range(300)]
    profiles = tuple(customer(name, opted_out=number % 7 == 0) for number, name in enumerate(names))
    over = resolved(issue(at=NOON - HOUR), NOON + HOUR)
    hits = [affected(name, put_right_ms=NOON + 2 * HOUR) for name in names]
    rows = play(*hits, rules=rules, profiles=profiles, one=over, until=NOON + 3 * DAY)
    contacted = {name for (name, stage), row in rows.items() if stage == "notice" and row.decision == "send"}
    cleared = {name for (name, stage), row in rows.items() if stage == "all_clear"}
    assert contacted == cleared
    assert 0 < len(contacted) < 300
    assert {rows[(name, "all_clear")].decided_at_ms for name in contacted} == {NOON + DAY}
    assert {rows[(name, "all_clear")].decision for name in contacted} == {"send"}


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


@pytest.mark.parametrize("early", [True, False])
def test_an_onset_counts_as_back_from_when_it_is_shown_whenever_its_record_is_read(early: bool) -> None:
    first, again = issue(at=NOON - HOUR), issue("i-1b", NOON - HOUR, root_id="i-1", onset=2)
    again = again.model_copy(update={"shown_at_ms": NOON + 5 * HOUR, "updated_at_ms": NOON + 5 * HOUR})
    runner = Runner(OutreachStage(OutreachRules(holdout_ratio=0.0, budgets=(Budget(2, DAY),))))
    runner.feed("customer", customer())
    runner.feed("issue", first, mark(NOON + HOUR), resolved(first, NOON + HOUR), *([again] if early else []))
    runner.feed("issue", mark(NOON + 5 * HOUR))
    runner.feed("affected", affected(put_right_ms=NOON + MINUTE), mark(NOON + 26 * HOUR))
    runner.restart()
    runner.feed("issue", *([] if early else [again]), mark(NOON + 26 * HOUR))
    runner.restart()
    row = runner.latest("outreach", "customer_id", "stage")[("c-1", "all_clear")]
    assert (row.decision, row.decided_at_ms) == ("send", NOON + HOUR)


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
    revisions = [affected(), affected(put_right_ms=NOON + 2 * HOUR), back]
    assert decision(failing(*revisions, one=over, until=NOON + 3 * DAY), stage="all_clear") == ("refuse", "unrepaired")
    right = back.model_copy(update={"put_right_ms": NOON + 4 * DAY})
    row = failing(*revisions, right, one=over, until=NOON + 6 * DAY)[("c-1", "all_clear")]
    assert (row.decision, row.decided_at_ms) == ("send", NOON + 4 * DAY)
