"""A room without state on a real Kafka: rows first, then its offsets; a sink that is down holds up nobody else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams.runtime.exits import ExitCode
from tests.integration.harness import Line, until

pytestmark = pytest.mark.kafka

Rows = list[tuple[str, int, int]]


def rows(folder: Path) -> Rows:
    file = folder / "rows.ndjson"
    return [tuple(json.loads(text)) for text in file.read_text().splitlines()] if file.exists() else []


async def in_kafka(line: Line) -> set[tuple[str, int, int]]:
    """Every committed record of the topics that the sink reads."""
    return {
        (noun, record.partition, record.offset)
        for noun, topic in [(noun, f"cx.{noun}.v1") for noun in ("telemetry", "order", "contact", "episode")]
        + [("order.dlq", "cx.order.v1.dlq")]
        for record in await line.read(topic)
    }


async def wait_for_rows(line: Line) -> Rows:
    for _ in range(200):
        if set(rows(line.folder)) == await in_kafka(line):
            break
        await asyncio.sleep(0.2)
    return rows(line.folder)


async def wait_for_vitals(line: Line, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Signs of life until one is as wanted, or for a long time."""
    for _ in range(200):
        vitals = [json.loads(record.value) for record in await line.read("cx.vital.v1")]
        if any(map(wanted, vitals)):
            return vitals
        await asyncio.sleep(0.2)
    raise AssertionError("no sign of life is as wanted")


async def test_a_sink_that_is_down_is_offered_the_same_batches_and_no_other_room_waits(line: Line) -> None:
    (line.folder / "sink-down").touch()
    worker = line.start(rooms=("join", "store"), CX_VITAL_MS="100")
    async with line.producer() as producer:
        await until(lambda: worker.metric('cx_runtime_tasks{room="store"}') > 0)
        await line.produce(producer, 900)
        await producer.send_and_wait(f"{line.prefix}cx.order.v1", b"{", b"k", 0)
        assert await line.wait_until_counted() == await line.truth()
        await until(lambda: worker.metric('cx_runtime_sink_retries_total{room="store"}') > 0)
        assert worker.get("/livez")[0] == 200, "waiting for a sink is no reason to restart"
        assert worker.get("/readyz")[0] == 503
        assert rows(line.folder) == []
        (line.folder / "sink-down").unlink()
        found = await wait_for_rows(line)
        assert set(found) == await in_kafka(line)
        assert len(found) == len(set(found)), "each batch was written once"
        await until(worker.ready)
        vitals = await wait_for_vitals(line, lambda one: one["room"] == "store" and one["ready"] and one["written"])
        assert worker.terminate() == ExitCode.CLEAN
    down = [one for one in vitals if one["room"] == "store" and one["refused"]]
    assert (down[0]["ready"], down[0]["written"]) == (False, 0)
    assert [one["ready"] for one in vitals if one["room"] == "join"][-1] is True, "no other room is concerned"


async def test_kill_9_repeats_rows_but_loses_none(line: Line) -> None:
    worker = line.start(rooms=("store",))
    async with line.producer() as producer:
        for _ in range(2):
            await until(worker.ready)
            feeding = asyncio.create_task(line.produce(producer, 1_500))
            await asyncio.sleep(0.4)
            worker.kill()
            await feeding
            worker = line.start(rooms=("store",))
        assert set(await wait_for_rows(line)) == await in_kafka(line)


async def test_a_clean_stop_repeats_nothing(line: Line) -> None:
    worker = line.start(rooms=("store",))
    async with line.producer() as producer:
        await until(worker.ready)
        await line.produce(producer, 600)
        await wait_for_rows(line)
        assert worker.terminate() == ExitCode.CLEAN
        await line.produce(producer, 300)
        line.start(rooms=("store",))
        found = await wait_for_rows(line)
        assert set(found) == await in_kafka(line)
        assert len(found) == len(set(found))


@pytest.mark.parametrize("bulk", ["true", "false"])
async def test_two_workers_share_the_partitions_and_the_totals_are_the_same(line: Line, bulk: str) -> None:
    rooms = ("join", "store")
    workers = [line.start(name, rooms, CX_BULK_FETCH=bulk) for name in ("a", "b")]
    async with line.producer() as producer:
        await until(lambda: [one.metric('cx_runtime_tasks{room="join"}') for one in workers] == [2, 2])
        await line.produce(producer, 1_500)
        assert await line.wait_until_counted() == await line.truth()
        assert set(await wait_for_rows(line)) == await in_kafka(line)
        for worker in workers:
            assert worker.metric('cx_runtime_written_total{room="join"}') > 0, "both worked"
            assert worker.terminate() == ExitCode.CLEAN
    found = rows(line.folder)
    assert len(found) == len(set(found)), "no row twice, although the second worker joined later"
