"""The last check before a message leaves: was the failure put right, is it still put right, did it happen at all?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from schemas.findings import Outreach
from streams.core.outreach.affected import AffectedCustomers
from tests.core.match.world import affected, issue, resolved
from tests.sender.world import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    RULES,
    Hurried,
    Sent,
    house,
    order,
    send,
)  # fmt: skip


async def test_a_failure_that_was_put_right_before_the_claim_is_not_told() -> None:
    row, other = send(), send("c-2")
    built = house(row, other)
    built.broker.reference += [affected(), affected("c-2"), affected(put_right_ms=NOON + MINUTE)]
    await built.work()
    assert built.outcome(row) == ("suppressed", "put_right")
    assert built.channel.posts == [other.outreach_id]


async def test_nor_is_one_that_was_put_right_between_the_claim_and_the_request() -> None:
    row = send()
    built = house(row)
    built.on_commit = lambda: built.broker.reference.append(affected(put_right_ms=NOON + MINUTE))
    await built.work()
    assert built.outcome(row) == ("suppressed", "put_right")
    assert built.channel.posts == []


async def test_nor_before_a_later_attempt() -> None:
    row = send()
    built = house(row)
    built.channel.script = [Sent("retry", "http_503")]
    built.channel.before = lambda _: built.broker.reference.append(affected(put_right_ms=NOON + MINUTE))
    await built.work()
    assert built.outcome(row) == ("suppressed", "put_right")
    assert len(built.channel.posts) == 1


async def test_a_repair_ahead_of_the_senders_clock_counts_as_well_but_not_in_simulated_time() -> None:
    right = affected(put_right_ms=NOON + 3 * HOUR)
    for simulated, outcome in ((False, "suppressed"), (True, "delivered")):
        row = send()
        built = house(row)
        built.clock.simulated = simulated
        built.broker.reference.append(right)
        await built.work()
        assert built.outcome(row)[0] == outcome


async def test_a_failure_that_is_back_is_told() -> None:
    row = send()
    built = house(row)
    built.broker.reference += [affected(put_right_ms=NOON - HOUR), affected(last_failed_ms=NOON)]
    await built.work()
    assert built.outcome(row) == ("delivered", "accepted")


def notice_and_all_clear(**other: Any) -> tuple[Outreach, Outreach]:
    """A notice of noon and an all-clear of the next day."""
    at = NOON + DAY + HOUR
    return send(**other), send(stage="all_clear", decided_at_ms=at, not_before_ms=at, deadline_ms=at + 2 * DAY, **other)


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        ([], ("suppressed", "unrepaired")),
        ([affected()], ("suppressed", "unrepaired")),
        ([affected(put_right_ms=NOON + HOUR)], ("delivered", "accepted")),
        ([affected(put_right_ms=NOON + HOUR), affected(last_failed_ms=NOON + 2 * HOUR)], ("suppressed", "unrepaired")),
        ([affected(put_right_ms=NOON + HOUR), affected(issue_id="i-2", root_id="i-1")], ("suppressed", "unrepaired")),
        ([affected(put_right_ms=NOON + HOUR), issue(at=NOON), issue("i-2", NOON + HOUR, root_id="i-1")],
         ("suppressed", "regressed")),
        ([affected(put_right_ms=NOON + HOUR), issue("i-2", NOON + HOUR, root_id="i-1"),
          resolved(issue("i-2", NOON + HOUR, root_id="i-1"), NOON + 2 * HOUR)], ("delivered", "accepted")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("simulated", [False, True])
async def test_an_all_clear_goes_only_to_those_for_whom_all_is_right(
    words: list[Any], outcome: tuple[str, str], simulated: bool
) -> None:
    notice, clear = notice_and_all_clear()
    built = house(notice)
    await built.work()
    assert built.outcome(notice) == ("delivered", "accepted")
    built.broker.decisions.append(clear)
    built.broker.reference += words
    built.clock.time_ms, built.clock.simulated = NOON + DAY + 2 * HOUR, simulated
    await built.work()
    assert built.outcome(clear) == outcome


async def test_an_all_clear_is_taken_back_if_the_failure_is_back_after_its_claim() -> None:
    notice, clear = notice_and_all_clear()
    built = house(notice, clear)
    await built.work()
    built.broker.reference.append(affected(put_right_ms=NOON + HOUR))
    built.on_commit = lambda: built.broker.reference.append(affected(last_failed_ms=NOON + 2 * HOUR))
    built.clock.time_ms = NOON + DAY + 2 * HOUR
    await built.work()
    assert built.outcome(clear) == ("suppressed", "unrepaired")


async def test_a_muted_issue_sends_no_all_clear() -> None:
    notice, clear = notice_and_all_clear()
    built = house(notice, clear)
    await built.work()
    built.broker.reference += [affected(put_right_ms=NOON + HOUR), order("mute", "i-1")]
    built.clock.time_ms = NOON + DAY + 2 * HOUR
    await built.work()
    assert built.channel.posts == [notice.outreach_id]


@pytest.mark.parametrize("origin", ["replay", "drill"])
@pytest.mark.parametrize("allowed", [True, False])
async def test_what_was_played_is_told_only_if_the_senders_own_rules_allow_it(origin: str, allowed: bool) -> None:
    row = send()
    built = house(row, rules=replace(RULES, replayed=allowed))
    built.broker.reference.append(affected(origin=origin))
    await built.work()
    assert built.outcome(row) == (("delivered", "accepted") if allowed else ("suppressed", "replayed"))


def test_the_memory_of_repairs_is_bounded() -> None:
    words = AffectedCustomers(10 * DAY)
    for day in range(100):
        words.learn(affected(f"c-{day}", NOON + day * DAY))
        words.learn(affected("c-0", NOON + day * DAY, put_right_ms=NOON + day * DAY))
        words.forget(NOON + day * DAY)
    assert len(words) <= 12
    assert words.right("i-1", "c-0")
    assert not words.right("i-1", "c-99")
    assert not words.all_right("i-1", "c-50")


async def test_a_sender_that_comes_back_knows_again_what_was_put_right() -> None:
    row = send()
    built = house(row, pace=Hurried(in_flight=0))
    await built.work()
    built.broker.reference.append(affected(put_right_ms=NOON + MINUTE))
    built.pace = Hurried()
    await built.work()
    assert built.outcome(row) == ("suppressed", "put_right")
