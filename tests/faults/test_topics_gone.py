"""Topics that change or vanish under the line, and a stretch of nothing but bad messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions

from streams.runtime.exits import ExitCode
from streams.topics import ensure_topics
from tests.faults.conftest import Arena
from tests.faults.harness import Deployment, Process, until
from tests.faults.load import LoadRules, Raw, make_load, partition_of
from tests.faults.result import Result, size

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@contextmanager
def admin(line: Deployment) -> Iterator[Any]:
    """An administrator of the broker."""
    made = KafkaAdminClient(bootstrap_servers=line.straight.kafka_bootstrap)
    try:
        yield made
    finally:
        made.close()


def make_anew(line: Deployment, topic: str) -> None:
    """Delete a topic and create it again as the catalogue says."""
    with admin(line) as client:
        client.delete_topics([line.prefix + topic])
        while line.prefix + topic in client.list_topics():
            time.sleep(0.1)
    ensure_topics(line.straight.kafka_bootstrap, line.settings)


async def ended(process: Process, seconds: float = 90.0) -> int:
    """Wait for a process to end by itself; its exit code."""
    return await asyncio.to_thread(process.wait, seconds)


@pytest.mark.long_fault
@pytest.mark.fault(23)
@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
async def test_a_topic_is_deleted_and_made_anew(kafka_arena: Arena, running: bool) -> None:
    """Also when the new topic is already longer than what was read of the old one."""
    result = Result(23, "topic deleted and made anew", f"orders, worker {'running' if running else 'stopped'}",
                    "refused with the way out, no event silently skipped", variant="running" if running else "stopped")
    with kafka_arena.deployment(stored=False) as line, result.measured():
        worker = line.worker()
        await until(worker.ready)
        await line.load(LoadRules(events=2_000, seed=23))
        await line.settled(["join"])
        if not running:
            assert await asyncio.to_thread(worker.terminate) == ExitCode.CLEAN
        await asyncio.to_thread(make_anew, line, "cx.order.v1")
        if not running:
            async with line.producer() as producer:
                await producer.send([one for one in make_load(LoadRules(events=4_000)) if one.noun == "order"])
            worker.start()
        code = await ended(worker)
        result.figures |= {"exit code": code, "reason": worker.reason()[:200]}
        assert code == ExitCode.CONFIG
        assert "made anew" in worker.reason()
        assert "CX_TOPIC_PREFIX" in worker.reason()
        worker.start()
        assert await ended(worker) == ExitCode.CONFIG, "a restart does not get over it"


@pytest.mark.long_fault
@pytest.mark.fault(23)
async def test_more_partitions_are_refused(kafka_arena: Arena) -> None:
    result = Result(23, "partitions 4 -> 8", "telemetry, worker restarted", "refused with the way out", variant="more")
    with kafka_arena.deployment(stored=False) as line, result.measured():
        await line.load(LoadRules(events=600, seed=23))
        with admin(line) as client:
            client.create_partitions({f"{line.prefix}cx.telemetry.v1": NewPartitions(8)})
        worker = line.worker()
        code = await ended(worker)
        result.figures |= {"exit code": code, "reason": worker.reason()[:200]}
        assert code == ExitCode.CONFIG
        assert "has 8 partitions" in worker.reason()
        assert "CX_PARTITIONS" in worker.reason()


@pytest.mark.long_fault
@pytest.mark.fault(32)
async def test_a_thousand_bad_messages_in_a_row_page_and_never_blind(kafka_arena: Arena) -> None:
    """A bad stretch never stops the stream (decision of the protocol): page, degrade, continue."""
    count = 1_000
    result = Result(32, "bad stretch", f"{count} poison events in a row from several producers, good ones after them",
                    "pages while it lasts, every one a dead letter, the good ones counted; nothing stops")
    rules = LoadRules(events=size(1_500, 20_000), seed=32)
    bad = [
        Raw("order", partition_of(f"c-{number % 7}", 4), f"c-{number % 7}".encode(), b"{" + str(number).encode())
        for number in range(count)
    ]
    half = make_load(rules)
    with kafka_arena.deployment(stored=False) as line, result.measured():
        worker = line.worker()
        await until(worker.ready)
        async with line.producer() as producer:
            await producer.send(half[: len(half) // 2])
            begun = time.monotonic()
            await producer.send(bad)
            await until(lambda: worker.metric('cx_runtime_degraded{room="join"}') == 1)
            result.figures["page after s"] = round(time.monotonic() - begun, 1)
            assert worker.get("/livez")[0] == 200
            await producer.send(half[len(half) // 2 :])
        await line.settled(["join"])
        await until(lambda: worker.metric('cx_runtime_degraded{room="join"}') == 0)
        result.take(verdict := await line.clean(downstream=False))
        result.figures["dead letters"] = verdict["parts"]["topic.dead_letter"]["expected"]
        assert "PAGE" in worker.log.read_text()
        assert verdict["clean"], verdict["examples"]
        assert result.figures["dead letters"] >= count
        assert worker.alive()


@pytest.mark.long_fault
@pytest.mark.fault(33)
async def test_a_dead_letter_topic_that_takes_nothing(kafka_arena: Arena) -> None:
    result = Result(33, "dead-letter topic unwritable", "its largest message set to 100 bytes, then back",
                    "the worker halts; no progress past a bad message without its dead letter; lost 0")
    rules = LoadRules(events=size(1_500, 20_000), seed=33, malformed=0.0)
    with kafka_arena.deployment(stored=False) as line, result.measured():
        topic = f"{line.prefix}cx.order.v1.dlq"
        with admin(line) as client:
            client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": "100"})])
        worker = line.worker()
        await until(worker.ready)
        records = make_load(rules)
        async with line.producer() as producer:
            await producer.send(records[: len(records) // 2])
            await line.settled(["join"])
            await producer.send([Raw("order", 1, b"c-1", b"{" + b"x" * 200)])
            code = await ended(worker)
            before = await offset_of(line, "order", 1)
            await producer.send(records[len(records) // 2 :])
            worker.start()
            again = await ended(worker)
            after = await offset_of(line, "order", 1)
        result.figures |= {"exit codes": [code, again], "reason": worker.reason()[:160],
                         "offsets committed past it": after - before}
        with admin(line) as client:
            client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": "1114112"})])
        worker.start()
        await line.settled(["join"])
        result.take(verdict := await line.clean(downstream=False))
        assert (code, again) == (ExitCode.KAFKA, ExitCode.KAFKA)
        assert after == before
        assert verdict["clean"], verdict["examples"]
        assert verdict["parts"]["topic.dead_letter"]["expected"] == 1


async def offset_of(line: Deployment, noun: str, partition: int) -> int:
    """The join's group offset of one topic partition."""

    client = AIOKafkaAdminClient(bootstrap_servers=line.straight.kafka_bootstrap)
    await client.start()
    try:
        found = await client.list_consumer_group_offsets(f"{line.prefix}cx.join")
        return int(found[TopicPartition(f"{line.prefix}cx.{noun}.v1", partition)].offset)
    finally:
        await client.close()
