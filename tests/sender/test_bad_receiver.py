"""The sender under a receiver that is set up wrongly, in trouble or gone: nobody is given up for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from streams.core.outreach.breaker import TRIP
from streams.sender.partition import PartitionSender
from streams.sinks.channels import RenderedNotice, Sent
from tests.sender.world import (
    HOUR,
    House,
    Hurried,
    MemoryChannel,
    customer,
    house,
    order,
    send,
)  # fmt: skip

NO = Sent("retry", "http_401")
LATER = Sent("retry", "http_503", 3_600.0)


class Slow(Hurried):
    """Retries and probes wait as in life, on a clock that the test moves on."""

    def retry_s(self, attempts: int, asked_s: float | None) -> float:
        """Without jitter."""
        return max(asked_s or 0.0, min(60.0, 2.0 ** (attempts - 1)))

    def monotonic(self) -> float:
        """What the test says."""
        return seconds[0]


seconds = [0.0]


class Choosy(MemoryChannel):
    """Answers by what ``judge`` says about a letter; None accepts it."""

    judge: Judge = staticmethod(lambda _: None)

    async def send(self, notice: RenderedNotice) -> Sent:
        """Accept or not."""
        answer = self.judge(notice)
        self.posts.append(notice.id)
        if answer is None:
            self.accepted.setdefault(notice.id, notice)
        await asyncio.sleep(0)
        return answer or Sent("accepted", "accepted")


Judge = Callable[[RenderedNotice], Sent | None]


def slow_house(*rows: Any, **other: Any) -> House:
    """A house on the clock ``seconds``."""
    seconds[0] = 0.0
    return house(*rows, pace=Slow(), pause_s=(2.0, 60.0), channel=Choosy(), **other)


def answer_by(built: House, judge: Judge) -> None:
    """From now on the receiver answers so."""
    assert isinstance(built.channel, Choosy)
    built.channel.judge = judge


async def rounds(process: PartitionSender, count: int, step_s: float = 1.0) -> None:
    """So many rounds, a second apart."""
    for _ in range(count):
        await process.turn()
        for _ in range(6):
            await process._out.pace.sleep(0)
        seconds[0] += step_s


@pytest.mark.parametrize("reason", ["http_401", "http_403", "http_404", "http_409", "redirect"])
async def test_a_wrong_secret_or_address_burns_nothing_and_everything_goes_out_once_it_is_right(reason: str) -> None:
    built = slow_house(*(send(f"c-{number}") for number in range(40)))
    answer_by(built, lambda _: Sent("retry", reason) if seconds[0] < 200 else None)
    process = built.process()
    await process.open()
    await rounds(process, 200)
    assert len(built.channel.posts) <= TRIP + 3 + 10, "a few, then one probe at a time with growing pauses"
    assert process.ledger.claimed == {}
    assert process.ledger._charges.get("c-39", []) == []
    await rounds(process, 300)
    await process.finish()
    assert len(built.channel.accepted) == 40
    assert {row.outcome for row in built.broker.latest().values()} == {"delivered"}


async def test_while_the_channel_accepts_nothing_no_claim_uses_up_an_approval_or_a_budget() -> None:
    built = slow_house(*(send(f"c-{number}", f"i-{number % 2}") for number in range(60)))
    answer_by(built, lambda _: NO)
    process = built.process()
    await process.open()
    await rounds(process, 120)
    ledger = process.ledger
    assert [len(charges) for charges in ledger._charges.values() if charges] in ([], [1])
    assert sum(map(len, ledger._noticed.values())) <= 1
    assert len(ledger.pending) + len(ledger.claimed) == 60


async def test_notices_told_to_wait_an_hour_do_not_stand_in_the_way_of_another_issue() -> None:
    slow = [send(f"a-{number}", "i-a") for number in range(30)]
    fine = [send(f"b-{number}", "i-b") for number in range(10)]
    built = slow_house(*slow, *fine)
    answer_by(built, lambda letter: LATER if letter.data["issue_id"] == "i-a" and seconds[0] < 3_000 else None)
    process = built.process()
    await process.open()
    await rounds(process, 300)
    assert {built.outcome(row)[0] for row in fine} == {"delivered"}
    assert len(built.channel.posts) <= 30 + 10 + 8
    seconds[0] = 4_000
    await rounds(process, 60)
    assert {built.outcome(row)[0] for row in slow} == {"delivered"}
    await process.finish()


async def test_what_waits_for_the_receiver_is_muted_stopped_and_opted_out_as_anything_that_waits() -> None:
    muted, left, sent = send("c-1", "i-1"), send("c-2", "i-2"), send("c-3", "i-3")
    built = slow_house(muted, left, sent)
    answer_by(built, lambda _: LATER if seconds[0] < 10 else None)
    process = built.process()
    await process.open()
    await rounds(process, 10)
    built.broker.reference += [order("mute", "i-1"), customer("c-2", opted_out=True, updated_at_ms=built.clock.time_ms)]
    seconds[0] = 4_000
    await rounds(process, 20)
    await process.finish()
    assert built.outcome(muted) == ("waiting", "http_503")
    assert built.outcome(left) == ("suppressed", "opted_out")
    assert built.outcome(sent) == ("delivered", "accepted")


async def test_a_customer_whose_notice_waits_for_the_receiver_may_be_told_about_something_else() -> None:
    first, second = send("c-1", "i-1"), send("c-1", "i-2")
    built = slow_house(first)
    answer_by(built, lambda letter: LATER if letter.data["issue_id"] == "i-1" else None)
    process = built.process()
    await process.open()
    await rounds(process, 5)
    built.broker.decisions.append(second)
    await rounds(process, 20)
    assert built.outcome(second) == ("delivered", "accepted")
    seconds[0] = 4_000
    await rounds(process, 5)
    assert built.outcome(first)[0] == "suppressed", "the customer was told enough: nothing goes out twice"


async def test_an_attempt_that_may_have_been_accepted_keeps_its_place_in_the_budget() -> None:
    built = slow_house(send("c-1", "i-1"), send("c-1", "i-2"))
    answer_by(built, lambda _: Sent("retry", "http_504", maybe=True))
    process = built.process()
    await process.open()
    await rounds(process, 40)
    assert len(set(built.channel.posts)) == 1
    assert len(process.ledger.claimed) == 1


async def test_retry_after_zero_makes_no_storm() -> None:
    built = slow_house(send())
    answer_by(built, lambda _: Sent("retry", "http_429", 0.0))
    process = built.process()
    await process.open()
    await rounds(process, 600, step_s=0.5)
    assert len(built.channel.posts) <= 14


async def test_a_receiver_that_refuses_every_message_is_believed_a_few_times_only() -> None:
    built = slow_house(*(send(f"c-{number}") for number in range(50)))
    answer_by(built, lambda _: Sent("refused", "http_400") if seconds[0] < 100 else None)
    process = built.process()
    await process.open()
    await rounds(process, 400)
    await process.finish()
    outcomes = [row.outcome for row in built.broker.latest().values()]
    assert outcomes.count("failed") < TRIP
    assert outcomes.count("delivered") == 50 - outcomes.count("failed")


async def test_a_notice_whose_deadline_passes_while_the_channel_is_shut_expires_and_costs_no_budget() -> None:
    late, fresh = send("c-1", "i-1"), send("c-1", "i-2", deadline_ms=send().deadline_ms + 20 * HOUR)
    built = slow_house(late)
    answer_by(built, lambda _: NO if seconds[0] < 100 else None)
    process = built.process()
    await process.open()
    await rounds(process, 100)
    built.clock.time_ms = late.deadline_ms + 9 * HOUR
    built.broker.decisions.append(fresh)
    await rounds(process, 100)
    assert built.outcome(late) == ("expired", "deadline")
    assert built.outcome(fresh) == ("delivered", "accepted")


async def test_a_clean_end_gives_back_the_probe_and_what_was_never_offered() -> None:
    built = slow_house(send())
    process = built.process()
    await process.open()
    gate = process._out.gate
    for _ in range(TRIP):
        gate.saw(False, "http_401", "i-9", False, 0.0)
    seconds[0] = 10.0
    await process.turn()
    assert gate.state(10.0) == "half_open"
    await process.finish()
    assert process.ledger.claimed == {}
    assert gate.allow(1, 10.0) == 1


GONE = Sent("gone", "gone")


async def test_a_receiver_that_is_gone_pauses_the_channel_over_restarts_until_an_operator_resumes_it() -> None:
    built = slow_house(*(send(f"c-{number}") for number in range(8)))
    built.broker.reference.append(order("resume_channel", name="-old"))
    answer_by(built, lambda _: GONE)
    for _ in range(3):
        process = built.process()
        await process.open()
        await rounds(process, 50)
        await process.finish()
        assert len(built.channel.posts) <= 3, "what was on the wire when it became known"
    assert {row.outcome for row in built.broker.latest().values()} == {"waiting"}
    assert [(one.state, one.reason) for one in built.broker.channels] == [("closed", ""), ("paused", "gone")]
    answer_by(built, lambda _: None)
    built.broker.reference.append(order("resume_channel", name="-new"))
    process = built.process()
    await process.open()
    await rounds(process, 30)
    await process.finish()
    assert {row.outcome for row in built.broker.latest().values()} == {"delivered"}
    assert built.broker.channels[-1].state == "closed"


async def test_an_order_to_resume_is_obeyed_once_however_often_it_is_read() -> None:
    built = slow_house(*(send(f"c-{number}") for number in range(8)))
    answer_by(built, lambda _: GONE)
    await built.work()
    built.broker.reference.append(order("resume_channel"))
    posts = []
    for _ in range(3):
        await built.work()
        posts.append(len(built.channel.posts))
    assert posts[0] == posts[1] == posts[2], "one probe after the order, none after a restart"
    assert built.broker.channels[-1].state == "paused"


async def test_a_pause_is_known_to_every_partition_of_the_process_and_to_no_other_channel() -> None:
    one, two = slow_house(send("c-1")), slow_house(send("c-2"))
    answer_by(one, lambda _: GONE)
    first, second = one.process(), two.process()
    second._out.gate = first._out.gate
    await first.open()
    await rounds(first, 5)
    await second.open()
    await rounds(second, 5)
    assert two.channel.posts == []
    assert (two.broker.channels[-1].state, two.broker.channels[-1].reason) == ("paused", "gone")
    for built in (one, two):
        built.broker.reference.append(order("resume_channel", name="-a"))
    answer_by(one, lambda _: None)
    for _ in range(5):
        await rounds(first, 2)
        await rounds(second, 2)
    assert len(one.channel.accepted) == len(two.channel.accepted) == 1
