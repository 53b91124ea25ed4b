"""Orders: given under another partition count, to senders that are dead, frozen or alive."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.findings import Issue
from streams.hearing import Senders, senders_of
from streams.runtime.exits import ExitCode
from streams.sinks.receiver import Receiver
from streams.topics import admin_of
from tests.core.match_world import MINUTE, customer, issue, mark
from tests.faults.conftest import Arena
from tests.faults.harness import COMMAND, SECRET, Deployment, Result, size, until
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


def told(receiver: Receiver) -> set[str]:
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

        async def said(when: str, code: int, *parts: str, wait_s: str = WAIT_S, **env: str) -> None:
            codes[when], text = await order(line, "stop", "--wait", wait_s, "--reason", "drill", **env)
            assert codes[when] == code, text
            assert all(part in text for part in parts), text

        async with Receiver(SECRET) as receiver:
            await said("none", 0, "no sender runs", "CX_PARTITIONS is 1, the cluster has 4", CX_PARTITIONS="1")
            sender = line.sender("s", receiver.url, CX_SESSION_TIMEOUT_MS="120000")
            await notices(line, first, NOON + MINUTE)
            await served(line, {0, 1, 2, 3})
            await said("running", 0, "heard by 4 of 4 senders' partitions", CX_PARTITIONS="1")
            assert told(receiver) == set()
            assert (await order(line, "resume", "--wait", WAIT_S, CX_PARTITIONS="1"))[0] == 0
            await tick(line, NOON + MINUTE + 2_000)
            await receiver.wait_for(count, patience(90))
            await said("again", 0, "heard by 4 of 4 senders' partitions", CX_PARTITIONS="1")
            await notices(line, second, NOON + 2 * MINUTE)
            await asyncio.sleep(size(3, 10))
            assert told(receiver) == set(first), "a notice left after `heard`"
            sender.pause()
            await said("frozen", ExitCode.STALLED, "heard by 0 of 4", "not by 0, 1, 2, 3", wait_s="1")
            sender.resume()
            await said("woken", 0, "heard by 4 of 4 senders' partitions")
            assert sender.terminate() == 0
            await said("ended", 0, "no sender runs")
            fixed = line.sender("f", receiver.url, CX_SENDER_PARTITIONS="0,1", CX_SESSION_TIMEOUT_MS="6000")
            await served(line, {0, 1})
            await said("two of four", 0, "heard by 2 of 2 senders' partitions; no sender serves partitions 2, 3")
            fixed.kill()
            await served(line, set())
            await said("killed", 0, "no sender runs")
            assert told(receiver) == set(first)
            result.lost, result.diff = count - len(told(receiver)), len(told(receiver) & set(second))
            result.duplicate_accepts = len(receiver.accepted) - len(told(receiver))
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
