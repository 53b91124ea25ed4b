"""What feeds the line is killed, paused, taken over, loses its broker: nothing lost, nothing late, and it says so."""

from __future__ import annotations

import asyncio
import re
import secrets
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from clickhouse_driver import Client
from kafka.admin import KafkaAdminClient
from pydantic import SecretStr

from streams.demo.session import session
from streams.settings import Settings
from streams.stack import Reporter
from tests.backlog import (
    SEGMENT,
    backlog,
    counted,
    create,
    fill,
    heartbeats_of,
    lag,
    start_follower,
    tracked,
    written_to,
)
from tests.faults.conftest import Arena
from tests.faults.harness import COMMAND, Deployment, Process, drop_topics, until
from tests.faults.result import Result, size
from tests.faults.test_broker import own_broker
from tests.patience import patience

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
LIVE_EVERY_S = 0.2
PAST_SESSION_S = 15.0


async def live(line: Deployment, topic: str, first: int, stopping: asyncio.Event) -> int:
    """The company goes on: an event now and then, as it happens; returns the number behind the last."""
    while not stopping.is_set():
        await fill(line.straight.kafka_bootstrap, topic, [tracked(first, datetime.now(UTC))])
        first += 1
        await asyncio.sleep(LIVE_EVERY_S)
    return first


async def halfway(line: Deployment, left: int) -> None:
    """Wait until a follower is at work: fewer than ``left`` messages to read."""

    async def read() -> bool:
        return 0 <= await lag(line) < left

    await until(read, every_s=0.02)


@pytest.mark.fault(77)
async def test_a_backlog_is_followed_through_a_kill_a_takeover_and_a_pause(kafka_arena: Arena) -> None:
    events = size(21_600, 216_000)
    result = Result(
        77, "follow on a backlog", f"{events // 3600} h of events on 3 partitions, live ones all the while; the "
        "follower is killed, its successor stopped past its session while a third takes over, then paused alone",
        "0 too late, 0 lost, 0 counted twice",
    )  # fmt: skip
    with kafka_arena.deployment(stored=False) as line, result.measured():
        bootstrap, topic, stopping = line.straight.kafka_bootstrap, f"{line.prefix}company.events", asyncio.Event()
        await create(bootstrap, topic, 3)
        await fill(bootstrap, topic, backlog(datetime.now(UTC), events))
        company = asyncio.create_task(live(line, topic, events, stopping))
        line.worker()
        first = start_follower(line, topic, "a")
        await halfway(line, events)
        first.kill()
        left = await lag(line)
        second = start_follower(line, topic, "b")
        await halfway(line, left)
        second.pause()
        left = await lag(line)
        third = start_follower(line, topic, "c")
        await halfway(line, min(left, 20))
        second.resume()  # a zombie: what it holds has been written by the third
        await until(lambda: "standing by" in third.log.read_text())  # it has run longer, so it reads again
        assert third.terminate(patience(30)) == 0, third.tail()
        second.pause()
        await asyncio.sleep(PAST_SESSION_S)
        second.resume()
        stopping.set()
        written = await company

        async def caught_up() -> bool:
            return await lag(line) == 0 and max(await heartbeats_of(line), default=0) > 0

        await until(caught_up)
        await line.settled(["join"])
        result.take(verdict := await line.clean(downstream=False))
        late = verdict["parts"]["topic.late"]["expected"]
        result.figures |= {"too late": late, "counted late": (await counted(line))[1]}
        result.figures["repeated"] = verdict["duplicates"]
        assert verdict["clean"], verdict["examples"]
        assert (verdict["accepted"], late) == (written, 0)
        assert result.figures["counted late"] == 0
        assert second.terminate(patience(30)) == 0, second.tail()


PLAYED = """
name: rows
input: {format: csv}
customer: "{who}"
events:
  - to: order
    time: {field: at}
    id: "{no}"
    fields: {order_id: "{no}", product: shop, status: placed}
"""


def feeders(line: Deployment, topic: str) -> dict[str, tuple[str, ...]]:
    """Command lines that write for longer than the test lasts."""
    (line.folder / "rows.yaml").write_text(PLAYED)
    rows = [f"c-{number},2026-03-10T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z,{number}"
            for number in range(36_000)]
    (line.folder / "rows.csv").write_text("who,at,no\n" + "\n".join(rows) + "\n")
    (line.folder / "segment.yaml").write_text(SEGMENT)
    program = (sys.executable, "-c", COMMAND)
    return {
        "play": (*program, "play", str(line.folder / "rows.yaml"), str(line.folder / "rows.csv"), "--speed", "10"),
        "simulate": (*program, "simulate", "--speed", "10"),
        "follow": (*program, "follow", str(line.folder / "segment.yaml"), topic),
    }


def sentence(process: Process) -> str:
    """What it said last, without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", process.tail(30)).split("cxwatch: ")[-1].strip()


@pytest.mark.fault(78)
async def test_play_simulate_and_follow_say_that_the_broker_is_gone_and_end(tmp_path: Path) -> None:
    result = Result(
        78, "the broker dies under play, simulate and follow", "kill -9 of the broker while all three write; then all "
        "three are started with nothing listening", "each says so in one sentence and ends, non-zero",
    )  # fmt: skip
    with own_broker(tmp_path) as (servers, line), result.measured():
        topic = f"{line.prefix}company.events"
        bootstrap = line.straight.kafka_bootstrap
        await create(bootstrap, topic, 3)
        await fill(bootstrap, topic, backlog(datetime.now(UTC), 2_000))
        running = [line.launch(name, command) for name, command in feeders(line, topic).items()]
        await halfway(line, 1)
        for noun in ("order", "customer"):  # of play and of simulate
            await until(lambda noun=noun: written_to(line, noun))
        servers.kill("kafka")
        for process in running:
            waited = await until(lambda process=process: not process.alive(), 60.0)
            code = process.wait(1.0)
            result.figures |= {f"{process.name} ended after s": round(waited, 1), f"{process.name} exit code": code}
            assert code == 1, process.tail()
            assert f"Kafka at {bootstrap}" in sentence(process), process.tail()
            assert "Traceback" not in process.log.read_text()
        for process in running:
            process.start()
        for process in running:
            await until(lambda process=process: not process.alive(), 60.0)
            assert process.wait(1.0) == 1
            assert "Kafka" in sentence(process), process.tail()
            assert "unavailable" in sentence(process)
            assert "Traceback" not in process.log.read_text()


class Heard(Reporter):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.text = ""

    def say(self, sentence: str) -> None:
        """Keep one sentence."""
        self.text += sentence + "\n"


def own_cluster(arena: Arena) -> Settings:
    """Another state folder, to which the session's servers are a cluster of one's own."""
    user, password = arena.endpoints.account("migrator")
    at = f"{arena.endpoints.clickhouse_host}:{arena.endpoints.clickhouse_port}"
    return Settings(
        state_dir=arena.folder / "another", kafka_bootstrap=arena.endpoints.kafka_bootstrap,
        clickhouse_url=SecretStr(f"clickhouse://{user}:{password.get_secret_value()}@{at}"),
        clickhouse_http_port=arena.endpoints.clickhouse_http_port,
    )  # fmt: skip


def clickhouse(arena: Arena, sql: str) -> list[Any]:
    """A statement as the user who may do most."""
    user, password = arena.endpoints.account("migrator")
    client = Client(arena.endpoints.clickhouse_host, port=arena.endpoints.clickhouse_port, user=user,
                    password=password.get_secret_value())  # fmt: skip
    try:
        return list(client.execute(sql))
    finally:
        client.disconnect()


def run_of_a_demo(settings: Settings, heard: Heard) -> tuple[str, str]:
    """What a demo makes before it starts its processes: prefix and database."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with session(settings, "demo", heard) as run:
        return run.settings.topic_prefix, run.settings.clickhouse_database


@pytest.mark.clickhouse
@pytest.mark.fault(79)
def test_topics_databases_and_folders_of_others_survive_demos_and_clean(arena: Arena) -> None:
    result = Result(
        79, "demos on a cluster of one's own", "the company has topics named demo-... and a database cx_demo; two "
        "demos are made, then make clean", "what this state folder did not make survives, and it says so",
    )  # fmt: skip
    foreign = ["demo-invoices", f"demo-{secrets.token_hex(3)}.cx.order.v1"]
    admin = KafkaAdminClient(bootstrap_servers=arena.endpoints.kafka_bootstrap)
    made = not clickhouse(arena, "SELECT 1 FROM system.databases WHERE name = 'cx_demo'")
    settings, heard = own_cluster(arena), Heard()
    second = (foreign[0], "cx_demo_none")
    try:
        with result.measured():
            spec = {"num_partitions": 1, "configs": {}}
            admin.create_topics({foreign[0]: spec, foreign[1]: spec}, wait_for_metadata=True)
            clickhouse(arena, "CREATE DATABASE IF NOT EXISTS cx_demo")
            clickhouse(arena, "CREATE TABLE cx_demo.invoices (n Int32) ENGINE = MergeTree ORDER BY n AS SELECT 7 AS n")
            first, second = run_of_a_demo(settings, heard), run_of_a_demo(settings, heard)
            topics = set(admin.list_topics())
            databases = {name for (name,) in clickhouse(arena, "SELECT name FROM system.databases")}
            result.figures = {"foreign topics left": len(topics & set(foreign)), "of": len(foreign)}
            assert set(foreign) <= topics
            assert clickhouse(arena, "SELECT n FROM cx_demo.invoices") == [(7,)]
            assert not any(name.startswith(first[0]) for name in topics)
            assert any(name.startswith(second[0]) for name in topics)
            assert first[1] not in databases
            assert second[1] in databases - {"cx_demo"}
            assert "were not made by this state folder" in heard.text
            assert "database cx_demo was not made by this state folder: it is left alone" in heard.text
            assert _left_by_clean(arena.folder / "checkout") == {"data", "notes.txt"}
    finally:
        drop_topics(arena.endpoints.kafka_bootstrap, foreign[0])
        drop_topics(arena.endpoints.kafka_bootstrap, foreign[1])
        drop_topics(arena.endpoints.kafka_bootstrap, second[0])
        clickhouse(arena, "DROP TABLE IF EXISTS cx_demo.invoices SYNC")
        clickhouse(arena, f"DROP DATABASE IF EXISTS {second[1]} SYNC")
        if made:
            clickhouse(arena, "DROP DATABASE IF EXISTS cx_demo SYNC")
        admin.close()


def _left_by_clean(checkout: Path) -> set[str]:
    """What ``make clean`` leaves in a folder that also holds things of others."""
    for folder in (".cxwatch/kafka", "data"):
        (checkout / folder).mkdir(parents=True)
    (checkout / "notes.txt").write_text("mine")
    makefile = Path(__file__).parents[2] / "Makefile"
    subprocess.run(["make", "-s", "-f", str(makefile), "clean"], cwd=checkout, check=True)
    return {entry.name for entry in checkout.iterdir()}
