"""outreach: nobody gets a notice about a failure that was put right by then; a new failure counts anew."""

from __future__ import annotations

import pytest

from schemas.findings import Affected
from streams.core.outreach.stage import OutreachStage
from tests.core.match.world import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    Runner,
    affected,
    customer,
    issue,
    mark,
)
from tests.core.outreach.world import NOBODY_HELD_OUT, command, decision, failing, play


def test_whoever_paid_after_the_failure_is_not_told_that_the_payment_did_not_go_through() -> None:
    assert decision(play(affected(put_right_ms=NOON - MINUTE))) == ("refuse", "put_right")
    assert decision(play(affected(put_right_ms=NOON))) == ("refuse", "put_right")
    assert decision(play(affected(put_right_ms=NOON + MINUTE))) == ("send", "eligible")


@pytest.mark.parametrize("known_at_once", [True, False])
def test_what_was_put_right_over_night_is_not_told_in_the_morning(known_at_once: bool) -> None:
    night = NOON + 11 * HOUR
    right = affected(known=night, put_right_ms=night + HOUR)
    rows = failing(*([right] if known_at_once else [affected(known=night), right]), until=night + DAY)
    assert decision(rows) == ("refuse", "put_right")
    assert rows[("c-1", "notice")].decided_at_ms == night + HOUR


@pytest.mark.parametrize("known_at_once", [True, False])
def test_a_repair_after_a_decision_does_not_move_its_time(known_at_once: bool) -> None:
    """Muted at noon, out of budget an hour later because of another notice, put right after that."""
    runner = Runner(OutreachStage(NOBODY_HELD_OUT))
    runner.feed("customer", customer())
    runner.feed("command", command("mute", NOON - MINUTE), command("unmute", NOON + HOUR))
    runner.feed("issue", issue(at=NOON - HOUR), issue("i-2", at=NOON - HOUR), mark(NOON + DAY))
    hits = [affected(), affected(issue_id="i-2", known=NOON + 5 * MINUTE), mark(NOON + 2 * HOUR)]
    right = [affected(put_right_ms=NOON + 2 * HOUR), mark(NOON + DAY)]
    for batch in [[*hits, *right]] if known_at_once else [hits, right]:
        runner.feed("affected", *batch)
        runner.restart()
    rows = runner.latest("outreach", "issue_id")
    assert rows[("i-2",)].decision == "send"
    refused = rows[("i-1",)]
    assert (refused.decision, refused.reason, refused.decided_at_ms) == ("refuse", "budget", NOON + HOUR)


@pytest.mark.parametrize("at", [NOON + 2 * HOUR, NOON + 11 * HOUR])
def test_a_new_failure_after_that_is_told_with_a_time_to_live_of_its_own(at: int) -> None:
    right = affected(put_right_ms=NOON - MINUTE)
    named = [{"since_ms": NOON - MINUTE, "until_ms": at}]
    row = failing(right, affected(last_failed_ms=at, respites=named), until=NOON + 2 * DAY)[("c-1", "notice")]
    assert (row.decision, row.deadline_ms) == ("send", at + 14 * HOUR)
    assert row.decided_at_ms == (at if at < NOON + 9 * HOUR else NOON + 20 * HOUR)
    again = affected(last_failed_ms=at, put_right_ms=at + MINUTE, respites=named)
    rows = failing(right, affected(last_failed_ms=at, respites=named), again, until=NOON + 2 * DAY)
    assert rows[("c-1", "notice")].decision == ("send" if at < NOON + 9 * HOUR else "refuse")


NIGHT = NOON + 10 * HOUR
"""22:00 in Berlin: what is known from then on is decided at once and told in the morning."""


def at_night(minute: int, *respites: tuple[int, int], right: int | None = None) -> Affected:
    """The revision that knows all until a minute of the night in which the first failure was at minute 0."""
    named = [{"since_ms": NIGHT + since * MINUTE, "until_ms": NIGHT + until * MINUTE} for since, until in respites]
    return affected(
        known=NIGHT, last_failed_ms=NIGHT + minute * MINUTE, respites=named,
        put_right_ms=None if right is None else NIGHT + right * MINUTE,
    )  # fmt: skip


FAILED, MENDED = at_night(0), at_night(0, right=20)
NEXT_HOUR = at_night(95, (20, 80))
ONE_HOUR = at_night(40)
"""It failed again in the hour of the first failure: the evidence of an hour has one first and one last failure."""


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(("revisions", "begins"), [
    ([FAILED, MENDED, at_night(80, (20, 80)), NEXT_HOUR], 80),
    ([FAILED, MENDED, NEXT_HOUR], 80),
    ([FAILED, MENDED, at_night(95, (20, 95)), NEXT_HOUR], 80),
    ([MENDED, NEXT_HOUR], 80),
    ([NEXT_HOUR], 80),
    ([FAILED, MENDED, ONE_HOUR], 0),
    ([MENDED, ONE_HOUR], 0),
    ([ONE_HOUR], 0),
    ([FAILED, MENDED, at_night(40, (20, 40)), ONE_HOUR], 0),
    ([FAILED, MENDED, ONE_HOUR, at_night(40, (20, 40))], 40),
])  # fmt: skip
def test_a_deadline_hangs_on_what_is_known_in_the_end(revisions: list[Affected], begins: int, early: bool) -> None:
    """Other flushes cut other revisions, and each may come before outreach's clock passes what it tells, or behind."""
    until = NOON + 2 * DAY
    runner = Runner(OutreachStage(NOBODY_HELD_OUT))
    runner.feed("customer", customer())
    runner.feed("issue", issue(at=NOON - HOUR), mark(until))
    for revision in revisions:
        runner.feed("affected", revision, *([] if early else [mark(NIGHT + 3 * HOUR)]))
        runner.restart()
    runner.feed("affected", mark(until))
    runner.flush()
    row = runner.latest("outreach", "customer_id")["c-1",]
    assert (row.decision, row.decided_at_ms) == ("send", NIGHT + 10 * HOUR)
    assert row.deadline_ms == NIGHT + begins * MINUTE + 14 * HOUR


def test_state_that_did_not_store_when_it_failed_again_gives_the_deadline_of_its_version() -> None:
    until = NOON + 2 * DAY
    runner = Runner(OutreachStage(NOBODY_HELD_OUT))
    runner.feed("customer", customer())
    runner.feed("issue", issue(at=NOON - HOUR), mark(until))
    runner.feed("affected", NEXT_HOUR, mark(NIGHT + MINUTE))
    runner.flush()
    for key, value in runner.durable.items():
        runner.durable[key] = value.replace(b',"again":[%d]' % (NIGHT + 80 * MINUTE), b"")
    assert not any(b"again" in value for value in runner.durable.values())
    runner.restart()
    runner.feed("affected", mark(until))
    runner.flush()
    assert runner.latest("outreach", "customer_id")["c-1",].deadline_ms == NIGHT + 80 * MINUTE + 14 * HOUR


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
