"""The broker is restarted, killed, unreachable, slow, or its disk is full, under load: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.stack import Endpoints
from tests.faults.harness import Deployment, Process, Servers, behind, deployment, until
from tests.faults.load import LoadRules, make_load
from tests.faults.proxy import ProxiedKafka, proxied_kafka
from tests.faults.result import Result, size
from tests.faults.small_disk import small_disk
from tests.faults.test_kills import chunks
from tests.patience import Deadline

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
ROOMS = ("join",)
MEMORY_MB = 100


@contextmanager
def own_broker(folder: Path, **settings: Any) -> Iterator[tuple[Servers, Deployment]]:
    """A broker that the test may kill, and a deployment on it (Kafka only)."""
    with (
        Servers.own(("kafka",), **settings) as servers,
        deployment(servers.settings, servers.endpoints, folder, stored=False) as line,
    ):
        yield servers, line


async def offsets_of(line: Deployment, room: str = "join") -> dict[TopicPartition, int]:
    """Group offsets of a room."""
    admin = AIOKafkaAdminClient(bootstrap_servers=line.straight.kafka_bootstrap)
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(f"{line.prefix}cx.{room}")
        return {tp: entry.offset for tp, entry in found.items()}
    finally:
        await admin.close()


async def advanced(line: Deployment, since: int) -> float:
    """Seconds until the join has committed more than ``since`` (the sum of its group offsets)."""
    deadline = Deadline(120.0)
    while not deadline.over:
        try:
            if sum((await offsets_of(line)).values()) > since:
                return deadline.waited_s
        except (KafkaError, OSError, TimeoutError):
            pass  # it is just coming back
        await asyncio.sleep(0.2)
    raise TimeoutError("no progress after the broker came back")


async def break_broker(
    result: Result, servers: Servers, line: Deployment, rules: LoadRules, times: int, clean: bool
) -> dict[str, Any]:
    """Take the broker away ``times`` times under a paced load; the oracle's verdict."""
    line.worker("a", "join")
    records = await asyncio.to_thread(make_load, rules)
    recovery = []
    async with line.producer() as producer, line.supervised():
        await until(line.processes[0].ready)
        for piece in chunks(records, times):
            feeding = asyncio.create_task(producer.send(piece, rate=len(piece) / 4.0))
            await asyncio.sleep(2.0)
            since = sum((await offsets_of(line)).values())
            if clean:
                await asyncio.to_thread(servers.stop, "kafka")
            else:
                servers.kill("kafka")
            await asyncio.to_thread(servers.up)
            recovery.append(await advanced(line, since))
            await feeding
        await line.settled(ROOMS)
    verdict = await line.clean(downstream=False)
    result.take(verdict)
    worker = line.processes[0]
    result.figures = {
        "broker back to progress, longest s": round(max(recovery), 1), "worker exits": sorted(worker.codes),
        "batches that the load had to send again": producer.resent,
    }  # fmt: skip
    return verdict


@pytest.mark.fault(9)
@pytest.mark.long_fault
async def test_clean_restarts_of_the_broker(tmp_path: Path) -> None:
    times, rules = size(2, 10), LoadRules(events=size(5_000, 60_000), seed=9)
    result = Result(
        9, "clean restart of the broker under load",
        f"{times} times, a load all the while; a supervisor restarts what ends",
        "clients reconnect, lost 0; progress again within 60 s, unattended",
    )  # fmt: skip
    with result.measured(), own_broker(tmp_path) as (servers, line):
        verdict = await break_broker(result, servers, line, rules, times, clean=True)
    assert verdict["clean"], verdict["examples"]
    assert result.figures["broker back to progress, longest s"] <= 60


@pytest.mark.fault(10)
async def test_kill_9_of_the_broker_under_load(tmp_path: Path) -> None:
    times, rules = size(1, 4), LoadRules(events=size(5_000, 50_000), seed=10)
    result = Result(
        10, "kill -9 of the broker under load", f"{times} times, a load all the while; a supervisor restarts what ends",
        "unacknowledged batches are sent again, or the worker ends and recovers: lost 0, diff 0",
    )  # fmt: skip
    with result.measured(), own_broker(tmp_path) as (servers, line):
        verdict = await break_broker(result, servers, line, rules, times, clean=False)
    assert verdict["clean"], verdict["examples"]


def through(kafka: ProxiedKafka) -> Endpoints:
    """Where load and oracle connect: past the proxy."""
    return Endpoints(kafka.direct, "", 0, 0, {})


@contextmanager
def proxied(folder: Path) -> Iterator[tuple[ProxiedKafka, Deployment]]:
    """A deployment whose processes reach their broker through a proxy only."""
    with proxied_kafka() as kafka, deployment(kafka.settings, through(kafka), folder, stored=False) as line:
        line.over(kafka_bootstrap=kafka.proxied)
        yield kafka, line


@pytest.mark.fault(11)
@pytest.mark.long_fault
async def test_an_unreachable_broker(tmp_path: Path) -> None:
    away_s, rules = size(40, 60), LoadRules(events=size(10_000, 100_000), seed=11)
    result = Result(
        11, "the broker cannot be reached", f"a proxy swallows everything for {away_s} s while the load goes on",
        f"buffers stay bounded (memory +{MEMORY_MB} MB at most), not ready but alive, lost 0 afterwards",
    )  # fmt: skip
    with result.measured(), proxied(tmp_path) as (kafka, line):
        worker = line.worker("a", "join")
        pieces = list(chunks(await asyncio.to_thread(make_load, rules), 3))
        async with line.producer() as producer:
            await until(worker.ready)
            await producer.send(pieces[0])
            await line.settled(ROOMS)
            before = worker.memory_mb()
            feeding = asyncio.create_task(producer.send(pieces[1], rate=len(pieces[1]) / 5.0))
            await asyncio.sleep(1.0)
            kafka.proxy.black_hole()
            most, answers = await watch(worker, away_s)
            kafka.proxy.heal()
            await feeding
            await producer.send(pieces[2])
            result.figures["caught up after s"] = round(await line.settled(ROOMS, keep=True), 1)
        result.take(verdict := await line.clean(downstream=False))
        result.figures |= {
            "memory growth MB": round(most - before, 1), "worker exits": worker.codes, "answers": sorted(answers),
        }  # fmt: skip
    assert verdict["clean"], verdict["examples"]
    assert most - before <= MEMORY_MB
    assert "alive, ready" not in {answers[-1]}
    assert not any(answer.startswith("dead") for answer in answers)


async def watch(worker: Process, seconds: float) -> tuple[float, list[str]]:
    """Largest memory, and every answer of livez and readyz in order of their first appearance."""
    answers: list[str] = []
    most, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end and worker.alive():
        most = max(most, worker.memory_mb())
        live, ready = worker.get("/livez")[0], worker.get("/readyz")[0]
        answer = f"{'alive' if live == 200 else 'dead'}, {'ready' if ready == 200 else 'not ready'}"
        answers = [known for known in answers if known != answer] + [answer]
        await asyncio.sleep(1.0)
    return most, answers


@pytest.mark.fault(3)
async def test_kill_9_while_what_is_produced_is_stalled(tmp_path: Path) -> None:
    kills, delay_s, rules = size(2, 6), size(1.0, 5.0), LoadRules(events=size(4_000, 30_000), seed=3)
    result = Result(
        3, "kill -9 around the commit while everything produced is stalled",
        f"a proxy holds every chunk for {delay_s:g} s; {kills} kills at random moments, offsets looked at each time",
        "no group offset is ever ahead of the state: commits with unsent state 0",
    )  # fmt: skip
    dice, ahead, open_flushes = random.Random(3), 0, 0
    with result.measured(), proxied(tmp_path) as (kafka, line):
        worker = line.worker("a", "join")
        async with line.producer() as producer:
            for piece in chunks(await asyncio.to_thread(make_load, rules), kills):
                await until(worker.ready)
                kafka.proxy.delay(delay_s)
                await producer.send(piece)
                await asyncio.sleep(dice.uniform(0.5, 4 * delay_s))
                worker.kill()
                open_flushes += await behind(line.straight.kafka_bootstrap, f"{line.prefix}cx.join") != 0
                ahead += await offsets_ahead_of_state(line)
                kafka.proxy.heal()
                worker.start()
        await line.settled(ROOMS)
        result.take(verdict := await line.clean(downstream=False))
        result.figures = {
            "commits with unsent state": ahead, "kills": kills, "of these with work not committed": open_flushes,
        }  # fmt: skip
    assert ahead == 0
    assert open_flushes > 0
    assert verdict["clean"], verdict["examples"]


async def offsets_ahead_of_state(line: Deployment) -> int:
    """Group offsets beyond the source offsets of the last committed state: plain JSON, no code of the runtime."""
    stored: dict[int, dict[str, int]] = {}
    consumer = AIOKafkaConsumer(bootstrap_servers=line.straight.kafka_bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        topic = f"{line.prefix}cx.join.state.v1"
        tps = [TopicPartition(topic, number) for number in range(line.settings.partitions)]
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        ends = await consumer.end_offsets(tps)
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                stored |= {one.partition: json.loads(one.value)["offsets"] for one in records if one.key == b"!"}
    finally:
        await consumer.stop()
    ahead = 0
    for tp, offset in (await offsets_of(line)).items():
        noun = tp.topic.removeprefix(f"{line.prefix}cx.").removesuffix(".v1")
        ahead += offset > stored.get(tp.partition, {}).get(noun, 0)
    return ahead


@pytest.mark.fault(13)
@pytest.mark.long_fault
async def test_the_brokers_disk_is_full(tmp_path: Path) -> None:
    rules = LoadRules(events=size(5_000, 30_000), seed=13)
    result = Result(
        13, "the broker's disk is full", "a small disk is filled to the last byte under load, then relieved",
        "writes fail, the worker ends with nothing committed past it; lost 0 once there is room again",
    )  # fmt: skip
    with (
        result.measured(), small_disk(tmp_path / "disk", 400) as disk,
        own_broker(tmp_path, state_dir=disk.path / "state", local_min_free_mb=0) as (servers, line),
    ):  # fmt: skip
        line.settings = line.settings.model_copy(update={"state_dir": tmp_path / "state"})
        worker = line.worker("a", "join")
        pieces = list(chunks(await asyncio.to_thread(make_load, rules), 2))
        async with line.producer() as producer:
            await until(worker.ready)
            await producer.send(pieces[0])
            await line.settled(ROOMS)
            disk.fill()
            feeding = asyncio.create_task(producer.send(pieces[1]))
            full_s = await until(lambda: not worker.alive(), 150.0)
            alive = _runs(servers)
            disk.relieve()
            await asyncio.to_thread(servers.up)
            await feeding
        result.figures = {
            "worker ended after s": round(full_s, 1), "exit code": worker.wait(1.0), "reason": worker.reason(),
            "broker": "still ran" if alive else "ended by itself", "batches sent again": producer.resent,
        }  # fmt: skip
        worker.start()
        await line.settled(ROOMS, keep=True)
        result.take(verdict := await line.clean(downstream=False))
    assert result.figures["exit code"] != 0
    assert verdict["clean"], verdict["examples"]


def _runs(servers: Servers) -> bool:
    try:
        return servers.pid("kafka") > 0
    except LookupError:
        return False

