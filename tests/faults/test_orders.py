"""Orders: given under another partition count, to senders that are dead, frozen or alive."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.codec import decode, encode
from schemas.issues import Issue
from schemas.topics import BY_NOUN
from streams.orders.acknowledgement import Senders, senders_of
from streams.runtime.exits import ExitCode
from streams.security.keyfile import new_key, order_rules
from streams.security.keyfile import put as put_key
from streams.sinks.receiver import Receiver
from streams.topics import admin_of
from tests.core.match.world import HOUR, MINUTE, customer, issue, mark
from tests.faults.conftest import Arena
from tests.faults.harness import COMMAND, SECRET, Deployment, until
from tests.faults.result import Result, size
from tests.faults.test_sender_stop import put
from tests.patience import patience
from tests.sender.world import NOON, send

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
WAIT_S = "600"
"""How long a test lets an order be heard on a slow machine; the command itself waits 5 s."""


def give(line: Deployment, *words: str, **env: str) -> tuple[int, str]:
    """Run ``cxwatch WORDS`` against the deployment; exit code and everything it said."""
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words], env=os.environ | line.environment() | env,
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False, timeout=patience(60),
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


async def order(line: Deployment, *words: str, **env: str) -> tuple[int, str]:
    """:func:`give` in a thread."""
    return await asyncio.to_thread(give, line, *words, **env)


async def seen(line: Deployment, *issues: Issue) -> None:
    """Issues on every partition of their topic."""
    for number in range(line.settings.partitions):
        await put(line, "issue", list(issues), number)


async def members(line: Deployment) -> Senders:
    """Which partitions live senders serve."""

    def ask() -> Senders:
        with admin_of(line.straight.kafka_bootstrap) as admin:
            return senders_of(admin, line.settings)

    return await asyncio.to_thread(ask)


async def served(line: Deployment, wanted: set[int]) -> None:
    """Wait until live senders serve exactly these partitions."""

    async def there() -> bool:
        return await members(line) == Senders(frozenset(wanted))

    await until(there)


async def notices(line: Deployment, names: list[str], at: int) -> None:
    """Notices that are due, and a clock that has passed them."""
    await put(line, "customer", [customer(name) for name in names])
    await put(line, "outreach", [send(name) for name in names])
    await tick(line, at)


async def tick(line: Deployment, at: int) -> None:
    """Move the stream's clock in every partition."""
    for number in range(line.settings.partitions):
        await put(line, "outreach", [mark(at, number)], number)


def contacted(receiver: Receiver) -> set[str]:
    """Customers whose notice was accepted."""
    return {accepted.payload["data"]["customer_id"] for accepted in receiver.accepted}


@pytest.mark.fault(69)
async def test_a_stop_holds_whatever_the_partition_count_says_and_tells_who_heard_it(kafka_arena: Arena) -> None:
    count = size(20, 200)
    first, second = ([f"{part}-{number}" for number in range(count)] for part in ("a", "b"))
    result = Result(
        69, "stop given with CX_PARTITIONS=1 on a cluster with four partitions; senders frozen and killed",
        f"{count} notices wait for resume, {count} more come after a stop that was heard; a sender runs, is frozen, "
        "ends, is killed",
        "nothing leaves between `heard` and resume; exit 0: heard, or no sender runs; 75: not heard",
    )  # fmt: skip
    with result.measured(), kafka_arena.deployment(stored=False) as line:
        codes: dict[str, int] = {}

        async def answers(when: str, code: int, *parts: str, wait_s: str = WAIT_S, **env: str) -> None:
            codes[when], text = await order(line, "stop", "--wait", wait_s, "--reason", "drill", **env)
            assert codes[when] == code, text
            assert all(part in text for part in parts), text

        async with Receiver(SECRET) as receiver:
            await answers("none", 0, "no sender runs", "CX_PARTITIONS is 1, the cluster has 4", CX_PARTITIONS="1")
            sender = line.sender("s", receiver.url, CX_SESSION_TIMEOUT_MS="120000")
            await notices(line, first, NOON + MINUTE)
            await served(line, {0, 1, 2, 3})
            await answers("running", 0, "heard by 4 of 4 senders' partitions", CX_PARTITIONS="1")
            assert contacted(receiver) == set()
            assert (await order(line, "resume", "--wait", WAIT_S, CX_PARTITIONS="1"))[0] == 0
            await tick(line, NOON + MINUTE + 2_000)
            await receiver.wait_for(count, patience(90))
            await answers("again", 0, "heard by 4 of 4 senders' partitions", CX_PARTITIONS="1")
            await notices(line, second, NOON + 2 * MINUTE)
            await asyncio.sleep(size(3, 10))
            assert contacted(receiver) == set(first), "a notice left after `heard`"
            sender.pause()
            await answers("frozen", ExitCode.STALLED, "heard by 0 of 4", "not by 0, 1, 2, 3", wait_s="1")
            sender.resume()
            await answers("woken", 0, "heard by 4 of 4 senders' partitions")
            assert sender.terminate() == 0
            await answers("ended", 0, "no sender runs")
            fixed = line.sender("f", receiver.url, CX_SENDER_PARTITIONS="0,1", CX_SESSION_TIMEOUT_MS="6000")
            await served(line, {0, 1})
            await answers("two of four", 0, "heard by 2 of 2 senders' partitions; no sender serves partitions 2, 3")
            fixed.kill()
            await served(line, set())
            await answers("killed", 0, "no sender runs")
            assert contacted(receiver) == set(first)
            result.lost, result.diff = count - len(contacted(receiver)), len(contacted(receiver) & set(second))
            result.duplicate_accepts = len(receiver.accepted) - len(contacted(receiver))
            result.figures = {"exit codes": codes}


async def test_orders_take_the_beginning_of_an_id_and_any_reason_and_refuse_what_no_issue_has(
    kafka_arena: Arena,
) -> None:
    with kafka_arena.deployment(stored=False) as line:
        code, text = await order(line, "mute", "i-77")
        assert (code, "there is no issue yet" in text) == (1, True), text
        await seen(line, *map(issue, ("i-3f9a01", "i-3f9b02", "i-77aa10")))
        code, text = await order(line, "mute", "i-77", "--reason", "rolled\nback \x1b[31m" + "x" * 200)
        assert code == 0, text
        assert "mute i-77aa10: ordered, no sender runs" in text
        assert "the reason was cut to 128 characters" in text
        code, text = await order(line, "approve", "i-3f")
        assert (code, "i-3f9a01, i-3f9b02" in text) == (1, True), text
        code, text = await order(line, "resolve", "i-77ab10")
        assert (code, "nearest: i-77aa10" in text) == (1, True), text
        code, text = await order(line, "stop", "--reason", "two\nlines", USER="nasty\n\x1b", LOGNAME="nasty\n\x1b")
        assert (code, "the reason was put on one line" in text) == (0, True), text
        code, text = await order(line, "stop", CX_TOPIC_PREFIX="elsewhere.")
        assert (code, "there is no topic elsewhere.cx.command.v1" in text) == (78, True), text


def zone_of_noon() -> str:
    """A zone in which it is about noon now, so that no night holds anything up."""
    ahead = 12 - time.gmtime().tm_hour
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


async def due_now(line: Deployment, names: list[str]) -> None:
    """Notices that may be sent by the clock on the wall."""
    now, zone = time.time_ns() // 1_000_000, zone_of_noon()
    await put(line, "customer", [customer(name, time_zone=zone) for name in names])
    times: dict[str, Any] = {"decided_at_ms": now, "not_before_ms": now, "deadline_ms": now + 10 * HOUR}
    await put(line, "outreach", [send(name, time_zone=zone, **times) for name in names])


async def everywhere(line: Deployment, value: bytes) -> None:
    """Write an order as ``cxwatch`` would: to every partition of command and to control."""
    producer = AIOKafkaProducer(bootstrap_servers=line.straight.kafka_bootstrap)
    await producer.start()
    try:
        for number in range(line.settings.partitions):
            await producer.send_and_wait(line.prefix + BY_NOUN["command"].name, value, partition=number)
        await producer.send_and_wait(line.prefix + BY_NOUN["control"].name, value, partition=0)
    finally:
        await producer.stop()


async def lying_on(line: Deployment, noun: str, dead: bool = False) -> list[Any]:
    """Every committed record of a noun's topic, or of its dead letters."""
    topic = BY_NOUN[noun]
    name = line.prefix + (topic.dlq if dead else topic.name)
    count = line.settings.partitions if topic.partitioning == "customer" else 1
    consumer = AIOKafkaConsumer(bootstrap_servers=line.straight.kafka_bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        tps = [TopicPartition(name, number) for number in range(count)]
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        ends, found = await consumer.end_offsets(tps), list[Any]()
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for rows in (await consumer.getmany(timeout_ms=200)).values():
                found += rows
        return found
    finally:
        await consumer.stop()


async def refused(line: Deployment, noun: str, reasons: Counter[str]) -> None:
    """Wait until exactly these dead letters lie on the topic of a noun."""

    async def there() -> bool:
        dead_letters = await lying_on(line, noun, dead=True)
        return Counter(dict(letter.headers)["dlq.reason"].decode() for letter in dead_letters) == reasons

    await until(there)


@pytest.mark.fault(70)
async def test_forged_repeated_and_stale_orders_are_dead_letters_and_nobody_obeys_them(kafka_arena: Arena) -> None:
    count = size(12, 120)
    first, second = ([f"{part}-{number}" for number in range(count)] for part in ("a", "b"))
    result = Result(
        70, "orders to resume that are unsigned, wrongly signed, copied or stale, by whoever may write the topic",
        f"{count} notices wait behind a signed stop; sender and worker are restarted in between, kill -9 the worker",
        "nothing leaves; four kinds of dead letters on command (every partition) and control; a signed resume works",
    )  # fmt: skip
    with result.measured(), kafka_arena.deployment(stored=False, sender_clock="wall") as line:
        file = line.folder / "keys.json"
        put_key(file, "alice", new_key(), "")
        line.settings = line.settings.model_copy(update={"order_keys": file})
        async with Receiver(SECRET) as receiver:
            worker = line.worker("w", "detect,outreach")
            sender = line.sender("s", receiver.url)
            await served(line, {0, 1, 2, 3})
            assert (await order(line, "resume", "--wait", WAIT_S))[0] == 0
            await due_now(line, first)
            await receiver.wait_for(count, patience(30))
            code, text = await order(line, "stop", "--wait", WAIT_S)
            assert (code, "heard by 4 of 4" in text) == (0, True), text
            good = (await lying_on(line, "control"))[0].value
            wrong = await attacks(line, good)
            await due_now(line, second)
            assert sender.terminate() == 0
            sender.start()
            worker.kill()
            worker.start()
            await served(line, {0, 1, 2, 3})
            await everywhere(line, good)
            wrong["repeated"] += 1
            await refused(line, "control", wrong)
            await refused(line, "command", Counter({reason: 4 * times for reason, times in wrong.items()}))
            code, text = await order(line, "stop", "--wait", WAIT_S)
            assert (code, "heard by 4 of 4" in text) == (0, True), text
            await asyncio.sleep(size(2, 10))
            result.diff = len(contacted(receiver) & set(second))
            assert result.diff == 0, "a forged order was obeyed"
            assert (await order(line, "resume", "--wait", WAIT_S))[0] == 0
            await receiver.wait_for(2 * count, patience(30))
            result.lost = 2 * count - len(contacted(receiver))
            result.duplicate_accepts = len(receiver.accepted) - len(contacted(receiver))
            result.figures = {"dead letters on control": dict(wrong), "on command": 4}
            secret = json.loads(file.read_text())["keys"]["alice"]["key"]
            assert secret not in sender.log.read_text() + worker.log.read_text()


async def attacks(line: Deployment, good: bytes) -> Counter[str]:
    """Write every kind of order that is none; returns what each is refused for."""
    given = decode("command", [good]).records[0]
    assert (given.action, len(given.signature)) == ("resume", 64)
    now = time.time_ns() // 1_000_000
    fresh = given.model_copy(update={"command_id": "cmd-forged", "issued_at_ms": now})
    ring = order_rules(line.settings).keyring
    assert ring is not None
    stale = ring.sign(fresh.model_copy(update={"command_id": "cmd-stale", "issued_at_ms": now - HOUR}))
    unsigned = fresh.model_copy(update={"signature": ""})
    stranger = fresh.model_copy(update={"actor": "eve", "signature": given.signature})
    for value in (encode(unsigned), encode(fresh), encode(stranger), encode(stale), good):
        await everywhere(line, value)
    return Counter(unsigned=1, wrong_signature=1, unknown_actor=1, stale=1, repeated=1)
