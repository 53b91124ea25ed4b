"""Failures are put right while notices wait, are claimed, or are on their way."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.codec import decode
from schemas.events import Command
from schemas.topics import BY_NOUN
from streams.sinks.receiver import Accepted, Receiver
from tests.core.match.world import DAY, MINUTE, affected, customer
from tests.faults.conftest import Arena
from tests.faults.harness import SECRET, Deployment
from tests.faults.histories import History
from tests.faults.result import Result, size
from tests.faults.test_sender_stop import put
from tests.patience import Deadline
from tests.sender.world import send

SEEN = (
    "decided: eligible", "decided: put_right", "decided: quiet_hours", "decided: resolved", "sent: notice",
    "sent: all_clear", "stopped before the attempt: put_right", "stopped before the attempt: unrepaired",
)  # fmt: skip
"""What has to happen in the histories, or they show nothing."""


@pytest.mark.fault(65)
def test_in_random_histories_nobody_is_told_of_what_the_senders_partition_knew_to_be_put_right() -> None:
    number = size(600, 10_000)
    result = Result(
        65, "repairs race notices, in memory", f"{number:,} random histories of failures, repairs, nights, deaths",
        "0 notices after a repair that the sender's partition had passed; 0 all-clears before all is right",
    )  # fmt: skip
    figures, wrong = Counter[str](), []
    with result.measured():
        for seed in range(number):
            history = History(random.Random(seed)).run()
            figures.update(history.figures)
            wrong += [f"history {seed}: {each}" for each in history.wrong]
        result.lost, result.duplicate_accepts, result.diff = 0, 0, len(wrong)
        result.figures = dict(sorted(figures.items()))
    assert wrong == []
    assert [name for name in SEEN if not figures[name]] == []


async def broadcast(line: Deployment, action: str) -> None:
    """An operator's order, in every partition."""
    order = Command.model_validate({"command_id": f"k-{action}", "issued_at_ms": now(), "action": action})
    for number in range(line.settings.partitions):
        await put(line, "command", [order], number)


def now() -> int:
    """The sender's clock, ms."""
    return time.time_ns() // 1_000_000


def somewhere_at_noon() -> str:
    """A zone in which it is day for hours to come."""
    ahead = 12 - datetime.now(UTC).hour
    return f"Etc/GMT{-ahead:+d}"


async def settled(line: Deployment, names: set[str]) -> dict[str, tuple[str, str, int]]:
    """Customer -> outcome, reason and append time (ms) of the notice's end, once each has come to one."""
    topic = line.prefix + BY_NOUN["delivery"].name
    tps = [TopicPartition(topic, number) for number in range(line.settings.partitions)]
    found: dict[str, tuple[str, str, int]] = {}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=line.straight.kafka_bootstrap, isolation_level="read_committed", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        deadline = Deadline(90)
        while set(found) < names and not deadline.over:
            for rows in (await consumer.getmany(timeout_ms=100)).values():
                for row, record in zip(rows, decode("delivery", [row.value for row in rows]).records, strict=True):
                    if record.outcome not in ("claimed", "waiting"):
                        found[record.customer_id] = (record.outcome, record.reason, row.timestamp)
    finally:
        await consumer.stop()
    return found


async def open_notices(line: Deployment, names: list[str]) -> None:
    """Customers who were just hit, with a decision to tell each of them."""
    at, zone = now(), somewhere_at_noon()
    await put(line, "customer", [customer(name, updated_at_ms=at - DAY, time_zone=zone) for name in names])
    await put(line, "affected", [affected(name, at) for name in names])
    times: dict[str, Any] = {"decided_at_ms": at, "not_before_ms": at, "deadline_ms": at + DAY, "time_zone": zone}
    await put(line, "outreach", [send(name, **times) for name in names])


async def put_right(line: Deployment, names: list[str]) -> int:
    """Word that it was put right; returns when the broker had it, ms."""
    at = now()
    await put(line, "affected", [affected(name, at - MINUTE, put_right_ms=at) for name in names])
    return now()


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.fault(64)
async def test_repairs_land_while_notices_wait_and_while_the_sender_is_dead(kafka_arena: Arena) -> None:
    count = size(24, 300)
    names = ("waiting", "dead", "never", "race")
    parts = {part: [f"{part}-{number}" for number in range(count // 3)] for part in names}
    result = Result(
        64, "failures are put right while notices wait, while the sender is dead (kill -9), and while it sends",
        f"{count} notices are held by a stop; a third is put right, the sender is killed, a third is put right, a "
        f"sender starts, resume; then {count // 3} more are put right one by one while they go to a slow receiver",
        "those put right before the sender could send get nothing (suppressed, put_right), all others one notice",
    )  # fmt: skip
    began: dict[str, int] = {}
    accepted: dict[str, int] = {}

    def accept(one: Accepted) -> None:
        accepted[one.payload["data"]["customer_id"]] = now()

    with result.measured(), kafka_arena.deployment(stored=False, sender_clock="wall") as line:
        async with Receiver(SECRET, accept, slowly) as receiver:
            await broadcast(line, "stop")
            await open_notices(line, [*parts["waiting"], *parts["dead"], *parts["never"]])
            sender = line.sender("a", receiver.url, CX_SENDER_PARTITIONS="0,1,2,3")
            await put_right(line, parts["waiting"])
            await asyncio.sleep(size(2, 5))
            sender.kill()
            await put_right(line, parts["dead"])
            line.sender("b", receiver.url, CX_SENDER_PARTITIONS="0,1,2,3")
            await broadcast(line, "resume")
            held = await settled(line, {name for part in ("waiting", "dead", "never") for name in parts[part]})
            await open_notices(line, parts["race"])
            for name in parts["race"]:
                began[name] = await put_right(line, [name])
            raced = await settled(line, set(parts["race"]) | set(held))
            result.duplicate_accepts = len(receiver.accepted) - len(accepted)
            refused = sorted(raced[name][2] - began[name] for name in parts["race"] if name not in accepted)
            late = sorted(accepted[name] - began[name] for name in parts["race"] if name in accepted)
            contacted_late = [each for each in late if each > 0]
            result.lost = len(set(parts["never"]) - set(accepted))
            result.diff = len(set(accepted) & {*parts["waiting"], *parts["dead"]})
            result.figures = {
                "raced: told before the repair was on the log": len(late) - len(contacted_late),
                "raced: told after it": len(contacted_late),
                "latest of them after it, ms": max(contacted_late, default=0),
                "raced: refused": len(refused),
                "repair to refusal, ms, median": refused[len(refused) // 2] if refused else None,
                "repair to refusal, ms, longest": max(refused, default=0),
            }  # fmt: skip
    gone = {name: held[name][:2] for part in ("waiting", "dead") for name in parts[part]}
    assert set(gone.values()) == {("suppressed", "put_right")}
    assert {held[name][0] for name in parts["never"]} == {"delivered"}
    assert {raced[name][:2] for name in parts["race"]} <= {("delivered", "accepted"), ("suppressed", "put_right")}
    assert (result.lost, result.diff, result.duplicate_accepts) == (0, 0, 0)


async def slowly(_request: web.Request, _number: int) -> None:
    """A receiver that takes its time."""
    await asyncio.sleep(0.1)
