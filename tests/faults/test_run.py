"""A sparse year on a busy machine, and everything under ``cxwatch run`` while its parts and itself are killed."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.codec import decode
from schemas.rooms import WORKER_ROOMS
from schemas.topics import BY_NOUN
from streams.cli.worker import load_room
from streams.runtime.memory import MemoryLine
from streams.settings import Settings
from streams.sinks.receiver import Receiver
from streams.stack import supervised
from streams.stack.process import Launch, start, stop
from tests.faults.conftest import Arena
from tests.faults.harness import COMMAND, SECRET, Deployment, Process, until
from tests.faults.load import HOUR_MS, START_MS, LoadRules, Raw, heartbeats, make_load, profiles
from tests.faults.result import Result, size
from tests.faults.test_sender_stop import keep

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
DAY_MS = 24 * HOUR_MS
NICE = "import os; os.nice(19); " + COMMAND
LOOP = "import os, sys; os.nice(int(sys.argv[1]))\nwhile True: pass"
SPARSE_LINES = ("shop", "net", "tv", "mobile", "energy", "care", "parcels", "travel")


# ---- a sparse year -----------------------------------------------------------------------------------------------


def sparse(days: int) -> list[Raw]:
    """Three hours with an incident, then in each line an event or two a day; heartbeats come at the end only.

    So one closing opens up all of it: in the small size five seconds of work for a processor of its own.
    """
    dice = random.Random(75)
    found: list[Any] = []

    def event(at_ms: int, line: str, version: str, failed: bool) -> None:
        customer = f"c-{dice.randrange(400)}"
        body = {
            "event_id": f"e-{len(found)}", "event_time_ms": at_ms, "customer_id": customer, "source": "phones",
            "schema_version": 1, "product": line, "region": dice.choice(("DE", "FR")), "app_version": version,
            "platform": "ios", "component": "checkout", "event_name": "submit",
            "outcome": "failed" if failed else "ok",
        }  # fmt: skip
        found.append(Raw("telemetry", 0, customer.encode(), msgspec.json.encode(body)))

    for second in range(0, 3 * 3_600, 5):
        version = dice.choice(("5.1.0", "5.2.0"))
        bad = second > 2 * 3_600 and version == "5.2.0"
        event(START_MS + second * 1_000, "shop", version, dice.random() < (0.7 if bad else 0.02))
    for day, line in itertools.product(range(1, days), SPARSE_LINES):
        for _ in range(dice.randrange(1, 3)):
            event(START_MS + day * DAY_MS + dice.randrange(DAY_MS // 2), line, "5.1.0", dice.random() < 0.1)
    found.sort(key=lambda raw: msgspec.json.decode(raw.value or b"")["event_time_ms"])
    return found


def in_memory(settings: Settings, records: list[Raw]) -> MemoryLine:
    """The same records through the same rooms, without Kafka and without a clock."""
    rooms: list[Any] = [load_room(name, settings) for name in ("join", "detect")]
    line = MemoryLine(rooms, settings.partitions)
    for raw in records:
        line.produce(raw.noun, raw.value, raw.key, raw.partition)
    line.run()
    return line


def findings(entries: list[tuple[bytes | None, bytes | None]], noun: str) -> tuple[dict[str, str], int]:
    """Last version of every issue, and how far detection has come (for ``issue``)."""
    records = decode(noun, [value for _, value in entries], [key for key, _ in entries]).records
    issues = {one.issue_id: one.model_dump_json() for one in records if getattr(one, "kind", "") == "issue"}
    return issues, max((one.through_ms for one in records if getattr(one, "kind", "") == "watermark"), default=0)


async def lying_on(line: Deployment, noun: str) -> list[tuple[bytes | None, bytes | None]]:
    """Keys and values of what is committed on partition 0 of a topic."""
    tp = TopicPartition(line.settings.named(BY_NOUN[noun].name), 0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=line.straight.kafka_bootstrap, isolation_level="read_committed", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        end, found = (await consumer.end_offsets([tp]))[tp], list[tuple[bytes | None, bytes | None]]()
        while await consumer.position(tp) < end:
            for rows in (await consumer.getmany(timeout_ms=200)).values():
                found += [(row.key, row.value) for row in rows]
        return found
    finally:
        await consumer.stop()


@contextmanager
def busy(folder: Path, loops: int, nice: int) -> Iterator[None]:
    """Loops that want all there is of the processors."""
    command = (sys.executable, "-c", LOOP, str(nice))
    launch = Launch(command, folder, folder / "loop.log", dict(os.environ), die_with_parent=True)
    pids = [start(launch) for _ in range(loops)]
    try:
        yield
    finally:
        for pid in pids:
            stop(pid, 5.0)


@pytest.mark.fault(75)
@pytest.mark.parametrize("kills", [0, pytest.param(3, marks=pytest.mark.long_fault)])
async def test_a_sparse_year_through_a_worker_at_nice_19_on_a_busy_machine(kafka_arena: Arena, kills: int) -> None:
    days, nice = size(30, 365), size(10, 0)
    result = Result(
        75, "a sparse year in one go on a machine that is busy with something else",
        f"events of {days} days, hours and days apart, closed at once; worker at nice 19 beside a loop per core "
        f"at nice {nice}, CX_STALL_S=5; kill -9 in the middle of the work: {kills} times",
        "no stall; issues as of a run in memory", "killed" if kills else "",
    )  # fmt: skip
    with result.measured(), kafka_arena.deployment(stored=False, partitions=1, stall_s=5.0) as line:
        rules = LoadRules(partitions=1)
        records = sparse(days) + heartbeats(rules, START_MS + (days + 1) * DAY_MS)
        expected = in_memory(line.settings, records)
        async with line.producer() as producer:
            await producer.send(records)
        with busy(line.folder, os.cpu_count() or 1, nice):
            worker = line.worker("slow", "join,detect", (sys.executable, "-c", NICE, "worker"))
            wanted = findings([(entry.key, entry.value) for entry in expected.raw("issue")], "issue")

            async def reported() -> tuple[dict[str, str], int]:
                return findings(await lying_on(line, "issue"), "issue")

            async def through(share: float = 1.0) -> bool:
                assert worker.alive(), worker.tail()
                return (await reported())[1] >= START_MS + (wanted[1] - START_MS) * share

            for number in range(kills):
                await until(partial(through, (number + 1) / (kills + 1)), 3_600.0, 0.5)
                worker.kill()
                worker.start()
            result.seconds = round(await until(through, 3_600.0, 1.0), 1)
            found = await reported()
            result.diff = sum(found[0].get(name) != text for name, text in wanted[0].items())
            result.lost = len(wanted[0].keys() - found[0].keys())
            result.figures = {"issues": len(wanted[0]), "kills": kills}
        assert await asyncio.to_thread(worker.terminate, 120.0) == 0
    assert wanted[0]
    assert found == wanted
    assert worker.starts == 1 + kills


# ---- the keeper and its processes --------------------------------------------------------------------------------


def kept_of(line: Deployment) -> dict[str, dict[str, Any]]:
    """What ``cxwatch run`` says it keeps, as ``cxwatch status`` shows it."""
    return {row["name"]: row for row in supervised.shown(line.settings.state_dir)}


def everything_runs(line: Deployment) -> bool:
    """Both workers and the sender say that they are ready."""
    states = {name: row["state"] for name, row in kept_of(line).items()}
    return states == dict.fromkeys(("worker-1", "worker-2", "sender"), "ready")


async def end_with_9(line: Deployment, name: str) -> None:
    """kill -9 of a kept process; returns once it was started again and the file says why."""
    before = kept_of(line)[name]
    os.kill(before["pid"], signal.SIGKILL)

    def again() -> bool:
        row = kept_of(line).get(name, before)
        return bool(row["restarts"] > before["restarts"] and row["last_code"] == -signal.SIGKILL)

    await until(again)


def kill_the_keeper(run: Process, line: Deployment) -> list[supervised.ProcessIdentity]:
    """kill -9 of ``cxwatch run`` itself; returns what it kept."""
    file = line.settings.state_dir / f"run-{run.name}.json"
    processes = [supervised.known(entry) for entry in supervised.read(file)["processes"]]
    run.kill()
    return processes


@pytest.mark.fault(76)
async def test_kill_9_of_every_process_and_of_the_keeper_under_load(arena: Arena) -> None:
    rounds, rules = size(1, 6), LoadRules(events=size(12_000, 60_000), seed=76, incident_from=0.5)
    result = Result(
        76, "kill -9 under `cxwatch run`", f"{rounds} times each: both workers, the sender, then the run itself",
        "all started again, status tells why; nobody outlives the run; lost 0, diff 0, nobody told twice; exit 0",
    )  # fmt: skip
    with result.measured(), arena.deployment() as line:
        line.accepts = arena.folder / "accepts"
        line.accepts.touch()
        async with Receiver(SECRET, keep(line.accepts)) as hook, line.producer() as producer:
            run = line.launch(
                "kept", (sys.executable, "-c", COMMAND, "run"), CX_WEBHOOK_URL=hook.url, CX_WEBHOOK_SECRET=SECRET,
                CX_WEBHOOK_ALLOW_LOOPBACK="true",
            )  # fmt: skip
            await producer.send(profiles(rules))
            records = await asyncio.to_thread(make_load, rules)
            feeding = asyncio.create_task(producer.send(records, rate=rules.events / (25.0 * rounds)))
            kills = 0
            for _ in range(rounds):
                await until(lambda: everything_runs(line))
                for name in ("worker-1", "sender", "worker-2"):
                    await end_with_9(line, name)
                    kills += 1
                orphans = await asyncio.to_thread(kill_the_keeper, run, line)
                await until(lambda orphans=orphans: not any(one.alive for one in orphans))
                assert {row["state"] for row in kept_of(line).values()} == {"dead"}
                run.start()
                kills += 1
            await feeding
            await until(lambda: everything_runs(line))
            await line.settled(WORKER_ROOMS)
            result.take(verdict := await line.clean(60.0))
            code = await asyncio.to_thread(run.terminate, 240.0)
            result.figures = {"kills": kills, "accepts": len(line.accepts.read_text().split()), "exit code": code}
    assert verdict["clean"], verdict["examples"]
    assert code == 0
    assert kept_of(line) == {}


@pytest.mark.fault(76)
async def test_a_run_with_a_wrong_setting_ends_at_once_and_says_which(kafka_arena: Arena) -> None:
    with kafka_arena.deployment(stored=False) as line:
        run = line.launch(
            "kept", (sys.executable, "-c", COMMAND, "run", "--worker", "join"),
            CX_WEBHOOK_URL="http://example.com/", CX_WEBHOOK_SECRET=SECRET,
        )  # fmt: skip
        assert await asyncio.to_thread(run.wait, 60.0) == 78
        assert "sender ended: exit 78" in run.tail()
        assert kept_of(line) == {}
