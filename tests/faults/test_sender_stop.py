"""A sender is stopped between its claim and its HTTP request while a new owner takes over."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from schemas.codec import encode, partition_of
from schemas.topics import BY_NOUN
from streams.runtime.exits import ExitCode
from streams.sinks.receiver import Accepted, Receiver
from tests.core.match.world import MINUTE, customer, mark
from tests.faults.conftest import Arena
from tests.faults.harness import SECRET, Deployment, Process, until
from tests.faults.oracle import count_accepts
from tests.faults.result import Result, size
from tests.patience import patience
from tests.sender.world import NOON, send

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
NOTICES = 40


async def put(line: Deployment, noun: str, records: list[Any], partition: int | None = None) -> None:
    """Append records, keyed by customer."""
    producer = AIOKafkaProducer(bootstrap_servers=line.straight.kafka_bootstrap)
    await producer.start()
    try:
        for record in records:
            key = getattr(record, "customer_id", "watermark").encode()
            number = partition_of(key, line.settings.partitions) if partition is None else partition
            await producer.send(line.prefix + BY_NOUN[noun].name, encode(record), key, number)
    finally:
        await producer.stop()


def stopped(process: Process) -> bool:
    """True once the process has stopped itself."""
    text = Path(f"/proc/{process.pid}/stat").read_text()
    return text.rpartition(")")[2].split()[0] == "T"


def keep(file: Path) -> Callable[[Accepted], None]:
    """Write down every accept, for the oracle."""

    def accept(accepted: Accepted) -> None:
        with file.open("a", encoding="utf-8") as out:
            out.write(f"{accepted.id}\n")

    return accept


@pytest.mark.long_fault
@pytest.mark.fault(8)
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc whether a process is stopped")
@pytest.mark.parametrize("kind", ["pause-claim", "pause-post"])
async def test_a_sender_wakes_up_after_another_took_over(kafka_arena: Arena, kind: str) -> None:
    stopped_s = size(2, 12)
    where = "the claim and the last check" if kind == "pause-claim" else "the last check and the HTTP request"
    result = Result(
        8, f"SIGSTOP of a sender between {where}",
        f"stopped for {stopped_s} s; a new owner takes the partitions over and sends all {NOTICES}; then it wakes up",
        "accepts per webhook-id at most 1; the woken one is fenced and ends", variant=kind,
    )  # fmt: skip
    with result.measured(), kafka_arena.deployment(stored=False) as line:
        file = line.folder / "accepts"
        file.touch()
        async with Receiver(SECRET, keep(file)) as receiver:
            names = [f"c-{number}" for number in range(NOTICES)]
            await put(line, "customer", [customer(name) for name in names])
            await put(line, "outreach", [send(name) for name in names])
            numbers = range(line.settings.partitions)
            for number in numbers:
                await put(line, "outreach", [mark(NOON + MINUTE, number)], number)
            (line.settings.state_dir / kind).touch()
            mine = {"CX_SENDER_PARTITIONS": ",".join(map(str, numbers))}
            stages = (sys.executable, "-m", "tests.faults.stages", kind, "sender")
            old = line.sender("old", receiver.url, stages, **mine)
            await until(lambda: stopped(old))
            before = len(receiver.accepted)
            line.sender("new", receiver.url, **mine)
            await receiver.wait_for(NOTICES, patience(90))
            await asyncio.sleep(stopped_s)
            old.resume()
            code = await asyncio.to_thread(old.wait, 60.0)
            await asyncio.sleep(1.0)
            result.duplicate_accepts = count_accepts(file)
            result.lost, result.diff = NOTICES - len(receiver.accepted), 0
            result.figures = {
                "accepted before the stop": before, "accepts": len(receiver.accepted),
                "requests that the receiver knew already": receiver.duplicates, "exit code": code,
            }  # fmt: skip
    assert (result.lost, result.duplicate_accepts) == (0, 0)
    assert code == ExitCode.FENCED
    if kind == "pause-claim":
        assert receiver.duplicates == 0, "the last check sees that its knowledge is old"
