"""What the sender hears of customers: astray, twice, erased while a notice waits, and kept over restarts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from schemas.codec import encode, partition_of
from schemas.events import Command
from streams.core.outreach.ledger import Ledger
from streams.core.outreach.preferences import Astray, Home, ReadUpdate
from streams.runtime.astray import REKEYED_HEADER
from streams.sender.astray import Elsewhere, own_news
from tests.core.match.world import HOUR, MINUTE, T0, customer, mark
from tests.sender.world import NOON, RULES, Erasure, Unreadable, house, placed, send

PARTITIONS = 4
HERE = [name for name in (f"c-{number}" for number in range(60)) if partition_of(name.encode(), PARTITIONS) == 0]
THERE = [name for name in (f"c-{number}" for number in range(60)) if partition_of(name.encode(), PARTITIONS) == 2]


@dataclass
class Row:
    """A record as aiokafka gives it."""

    key: bytes | None
    value: bytes | None
    offset: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = T0
    topic_partition: int = field(default=0)


def row(name: str, offset: int = 0, **other: Any) -> Row:
    """A profile under its own name."""
    return Row(name.encode(), encode(customer(name)), offset, **other)


def test_the_own_partition_says_what_is_said_what_lies_astray_and_what_has_come_home() -> None:
    copy = row(HERE[1], 1, headers=((REKEYED_HEADER, b"3/17"),))
    wrong_key = Row(b"somebody", encode(customer(HERE[2])), 2)
    news = own_news([row(HERE[0]), copy, wrong_key, row(THERE[0], 3), Row(HERE[3].encode(), None, 4)], 0, PARTITIONS)
    updates = [(one.update.customer_id, type(one.update).__name__) for one in news if isinstance(one, ReadUpdate)]
    assert updates == [(HERE[0], "Customer"), (HERE[1], "Customer"), (HERE[3], "Erasure")]
    assert [one for one in news if not isinstance(one, ReadUpdate)] == [Astray(HERE[2], 0, 2), Home(3, 17)]


def test_a_profile_of_2099_is_unreadable_for_the_sender_too() -> None:
    early = Row(HERE[0].encode(), encode(customer(HERE[0], updated_at_ms=T0 + 300_001)))
    timely = Row(HERE[0].encode(), encode(customer(HERE[0], updated_at_ms=T0 + 300_000)), 1)
    first, second = own_news([early, timely], 0, PARTITIONS)
    assert isinstance(first, ReadUpdate)
    assert first.update == Unreadable(HERE[0])
    assert isinstance(second, ReadUpdate)
    assert second.update.customer_id == HERE[0]


class Pages:
    """A consumer of one partition of ours: hands out these rows once."""

    def __init__(self, partition: int, rows: list[Row]) -> None:
        self.partition, self.rows, self.read, self.sought = partition, rows, 0, dict[Any, int]()

    def seek(self, tp: Any, offset: int) -> None:
        self.sought[tp.partition] = offset

    async def end_offsets(self, tps: list[Any]) -> dict[Any, int]:
        return {tp: len(self.rows) if tp.partition == self.partition else 0 for tp in tps}

    async def position(self, tp: Any) -> int:
        return self.read if tp.partition == self.partition else 0

    async def getmany(self, timeout_ms: int) -> dict[Any, list[Row]]:
        from aiokafka import TopicPartition

        found, self.read = self.rows[self.read :], len(self.rows)
        return {TopicPartition("customer", self.partition): found}


async def test_other_partitions_tell_of_our_customers_only_and_never_of_copies() -> None:
    copy = row(HERE[0], 2, headers=((REKEYED_HEADER, b"1/9"),))
    rows = [row(THERE[0], 0), row(HERE[1], 1), copy, Row(HERE[2].encode(), b"{", 3), Row(HERE[3].encode(), None, 4),
            Row(b"wrong key", encode(customer(HERE[4])), 5), Row(THERE[1].encode(), b"{", 6), Row(None, b"{", 7)]
    pages = Pages(2, rows)
    elsewhere = Elsewhere(pages, "customer", 0, PARTITIONS)
    found = await elsewhere.news()
    assert found == [Astray(HERE[1], 2, 1), Astray(HERE[2], 2, 3), Astray(HERE[3], 2, 4), Astray(HERE[4], 2, 5)]
    assert await elsewhere.news() == []


async def test_nothing_is_sent_to_a_customer_about_whom_something_lies_astray_until_it_is_home() -> None:
    first, second = send("c-1"), send("c-2")
    built = house(first, second)
    built.broker.reference.append(Astray("c-1", 3, 5))
    await built.work()
    assert set(built.channel.accepted) == {second.outreach_id}
    assert first.outreach_id not in built.broker.latest(), "it waits, and is not given up"
    out = customer("c-1", opted_out=True, updated_at_ms=NOON)
    built.broker.reference += [out, Home(3, 5)]
    await built.work()
    assert built.outcome(first) == ("suppressed", "opted_out")


async def test_what_comes_home_is_looked_at_although_the_time_of_a_simulated_stream_stands_still() -> None:
    due, later = send("c-1"), send("c-2", not_before_ms=NOON + HOUR)
    built = house(due, later)
    built.clock.simulated = True
    built.broker.reference += [Astray("c-1", 3, 5), Astray("c-2", 3, 6)]
    process = built.process()
    await process.open()
    for _ in range(5):
        await process.turn()
    assert built.channel.posts == []
    built.broker.reference.append(Home(3, 6))
    for _ in range(10):
        await process.turn()
        await asyncio.sleep(0)
    await process.finish()
    assert built.channel.posts == [due.outreach_id], "and nothing before its time"


async def test_a_notice_is_sent_once_what_lay_astray_allows_it() -> None:
    notice = send("c-1")
    built = house(notice)
    built.broker.reference += [Astray("c-1", 3, 5), customer("c-1", updated_at_ms=NOON), Home(3, 5)]
    await built.work()
    assert built.outcome(notice) == ("delivered", "accepted")


async def test_an_opt_out_that_compaction_dropped_holds_in_the_next_process() -> None:
    later = send("c-1", root="i-2")
    built = house(profiles=(customer("c-1"), customer("c-1", opted_out=True, updated_at_ms=NOON - HOUR)))
    await built.work()
    stale = customer("c-1", updated_at_ms=NOON - HOUR - MINUTE)
    built.broker.reference = [mark(T0), mark(T0), stale]  # the cleaner left the stale grant alone
    built.broker.decisions.append(later)
    await built.work()
    assert built.outcome(later) == ("suppressed", "opted_out")


async def test_an_unreadable_profile_blocks_in_the_next_process_until_a_newer_one() -> None:
    first, second = send("c-1", root="i-2"), send("c-1", root="i-3", decided_at_ms=NOON + MINUTE)
    built = house(profiles=(customer("c-1"), Unreadable("c-1"), customer("c-1")))
    await built.work()
    built.broker.decisions.append(first)
    await built.work()
    assert built.outcome(first) == ("suppressed", "unreadable")
    built.broker.reference.append(customer("c-1", updated_at_ms=T0))
    built.broker.decisions.append(second)
    await built.work()
    assert built.outcome(second) == ("delivered", "accepted")


@pytest.mark.parametrize("hour", [0, 12])
async def test_an_erasure_suppresses_what_waits_and_leaves_no_address(hour: int) -> None:
    notice = send("c-1", not_before_ms=NOON + hour * HOUR)
    built = house(notice)
    built.broker.reference.append(order_stop())
    await built.work()
    built.broker.reference.append(Erasure("c-1", NOON))
    await built.work()
    assert built.outcome(notice) == ("suppressed", "erased")
    assert built.channel.posts == []
    assert b"a-c-1" not in b"".join(built.broker.state.values())


def order_stop() -> Command:
    """Nothing leaves."""
    return Command(command_id="k-1", issued_at_ms=NOON, action="stop")


def test_a_claim_of_an_erased_customer_is_vetoed() -> None:
    ledger = Ledger(RULES, 0, 1)
    ledger.learn(placed(customer()))
    ledger.take(0, send())
    [notice] = ledger.plan(NOON + MINUTE, 10)
    ledger.learn(placed(Erasure("c-1", NOON), 1))
    veto = ledger.veto(notice.id, NOON + MINUTE)
    assert (getattr(veto, "outcome", ""), getattr(veto, "reason", "")) == ("suppressed", "erased")
