"""Memory does not grow with the backlog: what is read and not durable is bounded, whatever waits in Kafka."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import encode
from schemas.partition import partition_of
from streams.runtime.application import MAX_UNFLUSHED_BYTES
from streams.runtime.transport import FetchOptions
from tests.integration.harness import Line
from tests.runtime.example import INPUTS, event

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

RECORDS, PADDING = 6_000, 50_000
BACKLOG_BYTES = RECORDS * PADDING
BATCH_BYTES = FetchOptions("", "", {}).partition_bytes
MOST_UNFLUSHED = 2 * (MAX_UNFLUSHED_BYTES + BATCH_BYTES)
"""One lot being written, one being fed; a batch is never cut by the bound."""
MOST_RESIDENT = 150_000_000 + 2 * MOST_UNFLUSHED
"""The interpreter and its libraries, and what is in flight twice over: bytes and their objects."""


async def fill(line: Line, producer: Any) -> None:
    """Three topics full of wide records; the field nobody knows makes them wide."""
    padding = b',"zz_padding":"' + b"x" * PADDING + b'"}'
    sent = []
    for number in range(RECORDS):
        noun = INPUTS[number % 3]
        one = event(noun, number, 40)
        key = one.customer_id.encode()
        value = encode(one)[:-1] + padding
        target = partition_of(key, line.partitions)
        sent.append(await producer.send(f"{line.prefix}cx.{noun}.v1", value, key, target))
        line.produced.append(one)
    await asyncio.gather(*sent)


def peak_bytes(process: int) -> int:
    """Largest resident memory that a process ever had."""
    rows = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("VmHWM:"))


@pytest.mark.parametrize("max_fetch", ["6291456", "52428800"])
async def test_a_late_start_and_a_slow_flush_hold_no_more_than_the_bound(line: Line, max_fetch: str) -> None:
    async with line.producer() as producer:
        await fill(line, producer)
    worker = line.start(rooms=("slow",), CX_FETCH_MAX_BYTES=max_fetch, CX_IDLE_MS="0")
    most = 0.0
    done = asyncio.create_task(line.wait_until_counted())
    while not done.done():
        found = await asyncio.to_thread(worker.metric, 'cx_runtime_unflushed_bytes{room="join"}')
        most = max(most, found)
        await asyncio.sleep(0.2)
    assert await done == await line.truth()
    assert BATCH_BYTES < most <= MOST_UNFLUSHED < BACKLOG_BYTES
    assert peak_bytes(worker.process.pid) <= MOST_RESIDENT
