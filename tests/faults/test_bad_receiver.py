"""Receivers that are set up wrongly, in trouble or gone, against a real sender: nobody is given up, nobody is in the
way of another, and a pause outlives the process."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from schemas.findings import Delivery
from schemas.topics import BY_NOUN
from streams.orders.newest_records import newest_records
from streams.orders.writing import write_order
from streams.sinks.receiver import Receiver
from tests.core.match.world import MINUTE, customer, mark
from tests.faults.conftest import Arena
from tests.faults.harness import COMMAND, SECRET, Deployment, until
from tests.faults.oracle import count_accepts
from tests.faults.result import Result, size
from tests.faults.test_sender_stop import keep, put
from tests.patience import patience
from tests.sender.world import NOON, send

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
OTHER = "whsec_" + "YW5vdGhlci1zZWNyZXQtb2YtYXQtbGVhc3QtMjQtYnl0ZXM="
WAIT_S = 120.0


async def decide(line: Deployment, rows: Sequence[Any]) -> dict[str, str]:
    """Profiles, decisions and the stream's time; returns the setting of a sender of every partition."""
    await put(line, "customer", [customer(name) for name in sorted({row.customer_id for row in rows})])
    await put(line, "outreach", list(rows))
    numbers = range(line.settings.partitions)
    for number in numbers:
        await put(line, "outreach", [mark(NOON + MINUTE, number)], number)
    return {"CX_SENDER_PARTITIONS": ",".join(map(str, numbers))}


async def outcomes(line: Deployment) -> dict[str, str]:
    """Customer -> what became of the notice."""
    topic = line.prefix + BY_NOUN["delivery"].name
    rows = await newest_records(line.straight.kafka_bootstrap, topic, "delivery")
    return {row.customer_id: row.outcome for row in rows if isinstance(row, Delivery)}


async def eventually(found: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(patience(WAIT_S)):
        while not await found():
            await asyncio.sleep(0.2)


@pytest.mark.fault(72)
async def test_a_secret_is_rotated_wrongly_and_put_right(kafka_arena: Arena) -> None:
    notices, wrong_s = 100, size(3, 30)
    result = Result(
        72, "the receiver does not know the sender's secret", f"{notices} notices to a receiver that answers 401 for "
        f"{wrong_s} s, then knows the secret", "0 given up, all accepted once; few requests meanwhile",
    )  # fmt: skip
    with result.measured(), kafka_arena.deployment(stored=False) as line:
        file = line.folder / "accepts"
        file.touch()
        async with Receiver(OTHER, keep(file)) as receiver:
            mine = await decide(line, [send(f"c-{number}") for number in range(notices)])
            line.sender("sender", receiver.url, **mine)
            await until(lambda: receiver.refused >= 5)
            await asyncio.sleep(wrong_s)
            meanwhile, given_up = receiver.requests, list((await outcomes(line)).values())
            receiver.secret = SECRET
            await receiver.wait_for(notices, patience(WAIT_S))

            async def settled() -> bool:
                found = await outcomes(line)
                return len(found) == notices and set(found.values()) == {"delivered"}

            await eventually(settled)
            result.lost, result.diff = notices - len(receiver.accepted), 0
            result.duplicate_accepts = count_accepts(file)
            result.figures = {"requests while the secret was wrong": meanwhile, "given up": given_up.count("failed")}
    assert (result.lost, result.duplicate_accepts, given_up.count("failed")) == (0, 0, 0)
    assert set(given_up) <= {"waiting", "claimed"}


@pytest.mark.fault(73)
async def test_one_issues_notices_wait_an_hour_and_anothers_go_out(kafka_arena: Arena) -> None:
    slow, fine = size(60, 400), size(20, 100)
    result = Result(
        73, "503 with Retry-After 3600 for one issue's notices, and the issue is muted",
        f"{slow} notices of one issue wait, {fine} of another are decided after them",
        "the other issue's all accepted once, none of the first",
    )  # fmt: skip

    async def busy(request: web.Request, _number: int) -> web.StreamResponse | None:
        waits = json.loads(await request.text())["data"]["issue_id"] == "i-slow"
        return web.Response(status=503, headers={"Retry-After": "3600"}) if waits else None

    with result.measured(), kafka_arena.deployment(stored=False) as line:
        file = line.folder / "accepts"
        file.touch()
        async with Receiver(SECRET, keep(file), misbehave=busy) as receiver:
            mine = await decide(line, [send(f"a-{number}", "i-slow") for number in range(slow)])
            line.sender("sender", receiver.url, **mine)
            await until(lambda: receiver.requests >= 5)
            await write_order(line.settings, line.straight.kafka_bootstrap, "mute", "i-slow")
            await decide(line, [send(f"b-{number}", "i-fine") for number in range(fine)])
            await receiver.wait_for(fine, patience(WAIT_S))

            async def settled() -> bool:
                return list((await outcomes(line)).values()).count("delivered") == fine

            await eventually(settled)
            found = await outcomes(line)
            result.lost, result.diff = fine - len(receiver.accepted), 0
            result.duplicate_accepts = count_accepts(file)
            result.figures = {"requests": receiver.requests}
    assert (result.lost, result.duplicate_accepts) == (0, 0)
    assert {outcome for name, outcome in found.items() if name.startswith("a-")} <= {"waiting", "claimed"}


@pytest.mark.fault(74)
async def test_a_receiver_is_gone_over_a_kill_9_until_an_operator_resumes_the_channel(kafka_arena: Arena) -> None:
    notices, quiet_s = 40, size(3, 20)
    result = Result(
        74, "410, then kill -9 of the sender", f"{notices} notices to a receiver that is gone; the sender is killed, "
        f"started again, {quiet_s} s pass; then `cxwatch channels resume`",
        "no request after the restart until the order, then all accepted once",
    )  # fmt: skip
    gone = True

    async def answer(_request: web.Request, _number: int) -> web.StreamResponse | None:
        return web.Response(status=410) if gone else None

    with result.measured(), kafka_arena.deployment(stored=False) as line:
        file = line.folder / "accepts"
        file.touch()
        async with Receiver(SECRET, keep(file), misbehave=answer) as receiver:
            mine = await decide(line, [send(f"c-{number}") for number in range(notices)])
            first = line.sender("first", receiver.url, **mine)

            async def reported() -> bool:
                found = await states(line)
                return [(one["state"], one["partitions"]) for one in found] == [("gone", line.settings.partitions)]

            await eventually(reported)
            await asyncio.to_thread(first.kill)
            before = receiver.requests
            second = line.sender("second", receiver.url, **mine)
            await until(lambda: "the channel is gone" in second.log.read_text(encoding="utf-8"))
            await asyncio.sleep(quiet_s)
            after, gone = receiver.requests - before, False
            code, output = await cxwatch(line, "channels", "resume", "webhook", "--reason", "back", "--wait", "60")
            await receiver.wait_for(notices, patience(WAIT_S))
            result.lost, result.diff = notices - len(receiver.accepted), 0
            result.duplicate_accepts = count_accepts(file)
            result.figures = {"requests until it was known": before, "requests between restart and order": after}
    assert (result.lost, result.duplicate_accepts, after) == (0, 0, 0)
    assert code == 0, output
    assert "resume channel webhook: ordered, heard by" in output


async def cxwatch(line: Deployment, *arguments: str) -> tuple[int, str]:
    """Run a command of this deployment; exit code and output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", COMMAND, *arguments, env={**line.environment(), "PATH": str(Path(sys.executable).parent)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def states(line: Deployment) -> list[dict[str, Any]]:
    """What ``cxwatch channels`` says."""
    _, output = await cxwatch(line, "channels", "--json")
    return [json.loads(text) for text in output.splitlines() if text.startswith("{")]
