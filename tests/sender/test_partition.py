"""The sender of one partition: never twice, nothing lost, nothing against a customer, wherever it dies."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Address, Consent
from streams.core.outreach.ledger import Ledger
from streams.sender.partition import PartitionSender
from streams.sender.ports import Pace, StreamClock, WallClock
from tests.core.match.world import affected, issue, resolved
from tests.sender.world import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    RULES,
    Fate,
    Fenced,
    Hurried,
    Killed,
    MemoryChannel,
    Sent,
    Unreadable,
    Watermark,
    customer,
    house,
    order,
    placed,
    send,
)  # fmt: skip

BUSY = Sent("retry", "http_503")


async def test_a_decision_is_claimed_sent_and_recorded() -> None:
    row = send()
    built = house(row)
    await built.work()
    assert built.channel.posts == [row.outreach_id]
    assert [delivery.outcome for delivery in built.broker.deliveries] == ["claimed", "delivered"]
    letter = built.channel.accepted[row.outreach_id]
    assert letter.data["address"] == "a-c-1"
    assert letter.data["text"].startswith("Es tut uns leid")


async def test_only_decisions_to_send_are_sent_and_each_key_once() -> None:
    row = send()
    held = send("c-2", decision="hold", reason="quiet_hours", channel=None)
    built = house(row, held, row, Watermark(partition=0, through_ms=NOON), row)
    await built.work()
    await built.work()
    assert built.channel.posts == [row.outreach_id]


#  open, news | decisions, news, commit (claim), news, POST, commit (record) ...   dies at every one of these moments
async def test_death_at_any_moment_loses_nothing_and_no_receiver_accepts_twice() -> None:
    rows = [send(f"c-{number}") for number in range(7)]
    moments = 0
    for strike in range(1, 10_000):
        built, fate = house(*rows), Fate(strike)
        try:
            await built.work(fate)
        except Killed:
            moments += 1
        else:
            if not fate.dead:
                break
            moments += 1
        await built.work()
        assert sorted(built.channel.accepted) == sorted(row.outreach_id for row in rows), f"moment {strike}"
        assert {built.outcome(row) for row in rows} == {("delivered", "accepted")}, f"moment {strike}"
        assert all(built.channel.posts.count(row.outreach_id) <= 2 for row in rows)
    assert moments > 60


@given(st.lists(st.integers(1, 40), max_size=6), st.lists(st.sampled_from(["ok", "lost", BUSY]), max_size=12))
@settings(max_examples=120, deadline=None)
def test_many_deaths_and_a_bad_receiver_still_mean_one_acceptance_each(deaths: list[int], script: list[Any]) -> None:
    async def play() -> None:
        rows = [send(f"c-{number}") for number in range(5)]
        built = house(*rows)
        built.channel.script = list(script)
        for strike in deaths:
            with contextlib.suppress(Killed):
                await built.work(Fate(strike))
        await built.work(rounds=60)
        assert sorted(built.channel.accepted) == sorted(row.outreach_id for row in rows)
        assert {built.broker.latest()[row.outreach_id].outcome for row in rows} == {"delivered"}

    asyncio.run(play())


async def test_an_older_owner_is_fenced_before_it_can_send() -> None:
    built = house()
    old, new = built.process(), built.process()
    await old.open()
    await new.open()
    built.broker.decisions.append(send())
    built.broker.reference.append(customer())
    with pytest.raises(Fenced):
        await old.turn()
    assert built.channel.posts == []
    await new.turn()
    await new.turn()
    await new.finish()
    assert len(built.channel.posts) == 1


class Watch(Hurried):
    """A clock that the test moves on; knowledge and proofs are fresh for 2 s."""

    def monotonic(self) -> float:
        """What the test says."""
        return seconds_of[0]


seconds_of = [0.0]


async def turns(process: PartitionSender, count: int) -> None:
    """So many rounds, each followed by one of its deliveries."""
    for _ in range(count):
        await process.turn()
        await asyncio.sleep(0)


#  old: claim committed, frozen ------------------ 30 s ------------------ wakes up, asks for a proof, is fenced
#  new:                          takes over, sends
async def test_a_process_frozen_between_claim_and_last_check_sends_nothing_after_another_took_over() -> None:
    rows = [send(f"c-{number}") for number in range(3)]
    built = house(*rows, pace=Watch(fresh_s=2.0))
    old = built.process()
    await old.open()
    await old.turn()
    seconds_of[0] += 30.0
    await built.work()
    assert sorted(built.channel.posts) == sorted(row.outreach_id for row in rows)
    with pytest.raises(Fenced):
        await turns(old, 10)
    assert len(built.channel.posts) == len(rows)


async def test_a_retry_long_after_the_last_commit_proves_the_ownership_first_and_goes_out() -> None:
    row = send()
    built = house(row, pace=Watch(fresh_s=2.0))
    commits = 0

    def count() -> None:
        nonlocal commits
        commits += 1

    built.on_commit = count
    built.channel.script = [BUSY] * 3
    process = built.process()
    await process.open()
    while row.outreach_id not in built.channel.accepted:
        seconds_of[0] += 1.5
        await process.turn()
        await asyncio.sleep(0)
    await process.turn()
    await process.turn()
    done = commits
    for _ in range(10):
        seconds_of[0] += 1.5
        await process.turn()
    assert commits == done, "nothing to send, nothing to prove"
    await process.finish()
    assert built.outcome(row) == ("delivered", "accepted")


async def test_an_opt_out_appended_until_the_claim_is_committed_is_obeyed() -> None:
    row = send()
    built = house(row)
    built.on_commit = lambda: built.broker.reference.append(customer(opted_out=True, updated_at_ms=NOON))
    await built.work()
    assert built.channel.posts == []
    assert built.outcome(row) == ("suppressed", "opted_out")


@given(st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_no_send_follows_a_claim_later_than_the_opt_out(moment: int) -> None:
    """The opt-out is appended at any moment; whatever was claimed afterwards was not sent."""

    class Sly(Fate):
        def moment(self) -> None:
            super().moment()
            if self.moments == moment:
                for name in names:
                    built.broker.reference.append(customer(name, opted_out=True, updated_at_ms=NOON))
                contacted.extend(built.broker.latest())

    names = [f"c-{number}" for number in range(4)]
    built, contacted = house(*(send(name) for name in names)), list[str]()
    asyncio.run(built.work(Sly()))
    if built.broker.reference[len(names) :]:
        assert set(built.channel.posts) <= set(contacted), "claimed after the opt-out, and sent"


async def test_an_unreadable_profile_stops_sends_to_that_customer_until_a_good_one_comes() -> None:
    first, second = send("c-1"), send("c-2")
    built = house(first, second)
    built.broker.reference.append(Unreadable("c-1"))
    await built.work()
    assert built.outcome(first) == ("suppressed", "unreadable")
    assert built.outcome(second) == ("delivered", "accepted")


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        ({"opted_out": True}, "opted_out"),
        ({"consents": ()}, "no_consent"),
        ({"consents": (Consent(channel="webhook", granted=False),)}, "no_consent"),
        ({"addresses": (Address(channel="webhook", token="moved"),)}, "no_address"),
        ({"time_zone": "Not/AZone"}, "time_zone"),
    ],
)
async def test_what_the_newest_profile_forbids_is_suppressed(profile: dict[str, Any], reason: str) -> None:
    row = send()
    built = house(row, profiles=(customer(**profile),))
    await built.work()
    assert built.channel.posts == []
    assert built.outcome(row) == ("suppressed", reason)


async def test_without_a_profile_nothing_is_sent() -> None:
    row = send()
    built = house(row, profiles=())
    await built.work()
    assert built.outcome(row) == ("suppressed", "no_profile")


async def test_the_kill_switch_holds_sends_and_retries_until_it_is_taken_back() -> None:
    row = send()
    built = house(row)
    built.broker.reference.append(order("stop"))
    await built.work()
    assert built.channel.posts == []
    built.broker.reference.append(order("resume"))
    await built.work()
    assert built.outcome(row) == ("delivered", "accepted")


async def test_the_kill_switch_stops_the_retries_of_what_is_claimed_already() -> None:
    built = house(send())
    built.channel.script = [BUSY] * 50

    def stop_after_three(_: Any) -> None:
        if len(built.channel.posts) == 2:
            built.broker.reference.append(order("stop"))

    built.channel.before = stop_after_three
    await built.work(rounds=40)
    assert 3 <= len(built.channel.posts) <= 12
    posts = len(built.channel.posts)
    await built.work(rounds=40)
    assert len(built.channel.posts) == posts


async def test_a_stop_survives_a_restart_even_if_its_record_is_gone() -> None:
    built = house()
    built.broker.reference.append(order("stop"))
    await built.work()
    built.broker.reference = [customer()]
    built.broker.decisions.append(send())
    await built.work()
    assert built.channel.posts == []


async def test_a_sender_that_cannot_hear_orders_sends_nothing() -> None:
    class Deaf(Hurried):
        """Time flies, so what was learnt is old at once."""

        def monotonic(self) -> float:
            ticks.append(len(ticks) * 100.0)
            return ticks[-1]

    ticks: list[float] = []
    built = house(send(), pace=Deaf(fresh_s=2.0))
    await built.work()
    assert built.channel.posts == []


@pytest.mark.parametrize(("action", "reason"), [("resolve", "resolved")])
async def test_a_resolved_issue_is_not_told_any_more(action: str, reason: str) -> None:
    row = send()
    by_order, by_detect = house(row), house(row)
    by_order.broker.reference.append(order(action, "i-1"))
    by_detect.broker.reference.append(resolved(issue(), NOON))
    for built in (by_order, by_detect):
        await built.work()
        assert built.outcome(row) == ("suppressed", reason)


async def test_a_muted_issue_waits_and_goes_out_when_unmuted() -> None:
    row = send()
    built = house(row)
    built.broker.reference.append(order("mute", "i-1"))
    await built.work()
    assert built.broker.deliveries == []
    built.broker.reference.append(order("unmute", "i-1"))
    built.clock.time_ms += HOUR
    await built.work()
    assert built.outcome(row) == ("delivered", "accepted")


async def test_beyond_the_limit_the_sender_itself_waits_for_the_approval() -> None:
    rows = [send(f"c-{number}") for number in range(9)]
    built = house(*rows, rules=replace(RULES, approval_above=4))
    await built.work()
    assert len(built.channel.accepted) == 4
    built.broker.reference.append(order("approve", "i-1"))
    built.clock.time_ms += MINUTE
    await built.work()
    assert len(built.channel.accepted) == 9


async def test_the_ledger_is_the_hard_limit_of_the_contact_budget() -> None:
    rows = [send(root=f"i-{number}") for number in range(5)]
    built = house(*rows)
    for hours in range(0, 30, 1):
        built.clock.time_ms = NOON + hours * HOUR
        await built.work(rounds=2)
    assert len(built.channel.accepted) == 1
    assert {built.outcome(row)[1] for row in rows} == {"accepted", "budget"}


async def test_a_contact_that_surely_did_not_arrive_costs_no_budget() -> None:
    first, second = send(root="i-1"), send(root="i-2")
    built = house(first)
    built.channel.script = [Sent("refused", "http_400")]
    await built.work()
    built.broker.decisions.append(second)
    await built.work()
    assert built.outcome(first) == ("failed", "http_400")
    assert built.outcome(second) == ("delivered", "accepted")


async def test_a_notice_decided_by_day_but_read_at_night_waits_for_the_morning() -> None:
    row = send(deadline_ms=NOON + 23 * HOUR)
    built = house(row)
    built.clock.time_ms = NOON + 10 * HOUR
    await built.work()
    assert built.channel.posts == []
    built.clock.time_ms = NOON + 20 * HOUR
    await built.work()
    assert built.outcome(row) == ("delivered", "accepted")


async def test_a_notice_that_would_only_be_useless_in_the_morning_expires() -> None:
    row = send(deadline_ms=NOON + 12 * HOUR)
    built = house(row)
    built.clock.time_ms = NOON + 10 * HOUR
    await built.work()
    assert built.outcome(row) == ("expired", "quiet_hours")


async def test_a_notice_past_its_deadline_expires() -> None:
    row = send()
    built = house(row)
    built.clock.time_ms = NOON + 14 * HOUR
    await built.work()
    assert built.outcome(row) == ("expired", "deadline")


async def test_an_all_clear_follows_only_a_notice_that_went_out() -> None:
    contacted, other = send("told"), send("untold")
    clears = [send(name, stage="all_clear", deadline_ms=NOON + 3 * DAY) for name in ("told", "untold")]
    built = house(contacted, other, *clears)
    built.broker.reference.append(customer("untold", consents=(), updated_at_ms=NOON))
    await built.work()
    built.broker.reference.append(customer("untold", updated_at_ms=NOON + 1))
    assert built.outcome(contacted) == ("delivered", "accepted")
    built.broker.reference += [affected(name, put_right_ms=NOON + HOUR) for name in ("told", "untold")]
    built.clock.time_ms = NOON + DAY + HOUR
    await built.work()
    assert built.outcome(clears[0]) == ("delivered", "accepted")
    assert built.outcome(clears[1])[0] == "suppressed"


async def test_what_the_receiver_may_have_accepted_is_never_called_unsent() -> None:
    row = send()
    built = house(row)
    built.channel.script = ["lost"]
    built.channel.before = lambda _: built.broker.reference.append(customer(opted_out=True, updated_at_ms=NOON))
    await built.work()
    assert len(built.channel.posts) == 1
    assert built.outcome(row) == ("unknown", "opted_out")


async def test_a_channel_that_knows_no_ids_is_not_asked_twice_when_the_outcome_is_unknown() -> None:
    row = send()
    built = house(row)
    built.channel.idempotent = False
    built.channel.script = ["lost"]
    await built.work()
    assert len(built.channel.posts) == 1
    assert built.outcome(row) == ("unknown", "unconfirmed")


async def test_a_refusal_is_final_and_counts_its_attempts() -> None:
    row = send()
    built = house(row)
    built.channel.script = [BUSY, BUSY, Sent("refused", "http_400")]
    await built.work()
    delivery = built.broker.latest()[row.outreach_id]
    assert (delivery.outcome, delivery.reason, delivery.attempts) == ("failed", "http_400", 3)


async def test_a_receiver_that_is_gone_is_not_asked_again_and_the_rest_waits() -> None:
    rows = [send(f"c-{number}") for number in range(10)]
    built = house(*rows)
    built.channel.script = [Sent("gone", "gone")] * 10
    await built.work()
    assert len(built.channel.posts) <= 3
    assert {delivery.outcome for delivery in built.broker.latest().values()} == {"waiting"}
    built.channel = MemoryChannel()
    await built.work()
    assert built.channel.posts == []
    built.broker.reference.append(order("resume_channel"))
    await built.work()
    assert len(built.channel.accepted) == 10


async def test_a_notice_without_a_usable_template_is_parked_and_the_rest_goes_on() -> None:
    broken, fine = send("c-1", template="app.notice@99"), send("c-2")
    built = house(broken, fine)
    await built.work()
    assert built.outcome(broken) == ("failed", "template")
    assert built.outcome(fine) == ("delivered", "accepted")


async def test_at_most_so_many_are_on_the_wire_at_a_time() -> None:
    built = house(*(send(f"c-{number}") for number in range(12)))
    most = 0

    def count(_: Any) -> None:
        nonlocal most
        most = max(most, len(process._tasks))

    built.channel.before = count
    process = built.process()
    await process.open()
    for _ in range(30):
        await process.turn()
    assert most <= 3


async def test_a_clean_end_records_what_is_on_the_wire_and_leaves_the_rest_to_the_next_owner() -> None:
    row = send()
    built = house(row)
    built.channel.script = [BUSY] * 3
    process = built.process()
    stopping = asyncio.Event()
    runner = asyncio.create_task(process.run(stopping))
    while not built.channel.posts:
        await asyncio.sleep(0)
    stopping.set()
    await runner
    await built.work()
    assert built.outcome(row) == ("delivered", "accepted")


async def test_a_crash_inside_a_delivery_ends_the_process() -> None:
    built = house(send())

    def explode(_: Any) -> None:
        raise ZeroDivisionError

    built.channel.before = explode
    with pytest.raises(ZeroDivisionError):
        await built.work()


def test_entries_are_forgotten_after_their_retention_and_the_position_guards_against_old_decisions() -> None:
    ledger = Ledger(RULES, 0, 1)
    ledger.learn(placed(customer()))
    ledger.take(0, send())
    [notice] = ledger.plan(NOON + MINUTE, 10)
    ledger.finish(notice.id, "delivered", "accepted", NOON + MINUTE)
    ledger.plan(NOON + 200 * DAY, 10)
    assert ledger.entries == {}
    ledger.take(0, send())
    assert ledger.pending == {}


def test_in_a_simulated_stream_a_notice_is_judged_at_the_moment_it_was_due_however_far_the_stream_has_run() -> None:
    late, in_time = Ledger(RULES, 0, 1), Ledger(RULES, 0, 1)
    for ledger in (late, in_time):
        ledger.learn(placed(customer()))
        ledger.learn(resolved(issue(), NOON + HOUR))
        ledger.take(0, send())
    assert late.plan(NOON + 20 * DAY, 10) == []  # the wall clock of a sender that was away
    [notice] = in_time.plan(NOON + 20 * DAY, 10, simulated=True)
    assert in_time.entries[notice.id].claimed_ms == NOON
    assert in_time.veto(notice.id, NOON + 20 * DAY, simulated=True) is None


def test_clocks_tell_the_wall_time_or_the_streams_own() -> None:
    ledger = Ledger(RULES, 0, 1)
    assert StreamClock().now_ms(ledger) == 0
    ledger.take(0, Watermark(partition=0, through_ms=NOON))
    assert StreamClock().now_ms(ledger) == NOON
    assert WallClock().now_ms(ledger) > NOON


@given(st.integers(1, 40), st.none() | st.floats(0, 3_600))
def test_retries_wait_longer_each_time_up_to_a_limit_or_as_long_as_asked(attempts: int, asked: float | None) -> None:
    waits = Pace().retry_s(attempts, asked)
    grown = min(60.0, 2.0 ** (attempts - 1))
    assert max(asked or 0.0, grown / 2) <= waits <= max(asked or 0.0, grown)


