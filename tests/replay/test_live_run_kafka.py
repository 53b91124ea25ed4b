"""A live run on a real Kafka, with orders, changes, profiles, ticks and kill -9; its replay finds the same, and
leaves every topic and group as it was."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import encode
from schemas.events import Change, Customer
from schemas.rooms import WORKER_ROOMS
from streams.demo.session import Session
from streams.orders.writing import Action, write_order
from streams.replay.canonical import canonical, fingerprint
from streams.replay.engine import replay
from streams.replay.folder import read_manifest
from streams.replay.live import open_live
from streams.replay.snapshot import SnapshotFolder, SnapshotManifest, version_at
from streams.settings import Settings
from streams.simulate import Simulation, simulate
from streams.sinks.rows import version_of
from streams.sources.arrivals import Arrival
from streams.sources.producer import Destination, PlaySpeed, play
from streams.stack import endpoints
from streams.stack.supervisor import environment_of
from streams.topics import ensure_topics
from tests.integration.harness import is_ready, until
from tests.integration.hash_findings import topic_rows
from tests.integration.test_kill_nine import restarted, settle
from tests.integration.test_same_findings import short_day
from tests.replay.test_live_equals_replay import COMPARED
from tests.replay.test_live_kafka import groups_and_ends
from tests.replay.watched import watched

ROOMS = ",".join(room for room in WORKER_ROOMS if room != "store")
CHUNKS = 6
PATIENCE_S = 240.0
ORDERS: tuple[tuple[Action, ...], ...] = (
    (), (), ("approve", "stop"), ("mute", "approve"), ("resume", "unmute"), ("resolve",),
)  # fmt: skip
"""What is ordered after each chunk, about the newest issue."""


@contextmanager
def deployment(stack: Settings, partitions: int) -> Iterator[Session]:
    """Topics and settings of their own; every process ends with the block."""
    name = secrets.token_hex(4)
    settings = stack.model_copy(update={
        "topic_prefix": f"{name}.", "instance": name, "sender_clock": "event", "idle_ms": 1_000, "flush_ms": 200,
        "partitions": partitions, "approval_above": 3,
    })  # fmt: skip
    servers = endpoints(settings, ("kafka",))
    ensure_topics(servers.kafka_bootstrap, settings)
    run = Session(settings, servers)
    try:
        yield run
    finally:
        run.stop()


def findings(run: Session, noun: str) -> list[dict[str, Any]]:
    """All committed records of a topic."""
    return topic_rows(run.endpoints.kafka_bootstrap, f"{run.settings.topic_prefix}cx.{noun}.v1")


def decided_ms(run: Session) -> int:
    """Up to when every partition of outreach has decided."""
    reached: dict[int, int] = {}
    for row in findings(run, "outreach"):
        if row["kind"] == "watermark":
            reached[row["partition"]] = row["through_ms"]
    return min(reached.values()) if len(reached) == run.settings.partitions else 0


async def act(run: Session, actions: tuple[Action, ...], at_ms: int) -> None:
    """Give orders about the newest issue, withdraw somebody's consent who is affected, announce a change."""
    shown = [row for row in findings(run, "issue") if row["kind"] == "issue" and row["state"] != "suspected"]
    issues = [row["issue_id"] for row in shown]
    hit = sorted({row["customer_id"] for row in findings(run, "affected") if row["kind"] == "affected"})
    for action in actions if issues else ():
        issue = None if action in ("stop", "resume") else issues[-1]
        await write_order(run.settings, run.endpoints.kafka_bootstrap, action, issue)
    known = {row["customer_id"]: row for row in findings(run, "customer")}
    arrivals: list[Arrival] = []
    for who in hit[::3]:
        gone = Customer.model_validate(known[who] | {"opted_out": True, "updated_at_ms": at_ms})
        arrivals.append(Arrival(at_ms, "customer", who.encode(), None, encode(gone)))
    change = Change(change_id=f"rel-{at_ms}", changed_at_ms=at_ms, change_kind="release", product="shop", title="App")
    arrivals.append(Arrival(at_ms, "change", change.change_id.encode(), None, encode(change)))
    await play(iter(arrivals), destination(run), PlaySpeed(None, 0))


def destination(run: Session) -> Destination:
    return Destination(run.endpoints.kafka_bootstrap, run.settings.topic_prefix, run.settings.partitions)


async def command(run: Session, *arguments: str) -> None:
    """Run ``cxwatch`` with the settings of the deployment."""
    code = "import sys; from streams.cli.main import main; sys.exit(main())"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", code, *arguments, env=environment_of(run.settings),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    shown, _ = await process.communicate()
    assert process.returncode == 0, shown.decode()


async def live(run: Session, day: Simulation, kills: int, folder: Path) -> None:
    """Play a day piece by piece, act in between, take a snapshot on the way, wait until all is decided."""
    worker = run.launch("worker", ["worker", "--rooms", ROOMS])
    file = run.settings.state_dir / f"worker-{run.settings.instance}.json"
    arrivals = list(day.arrivals(run.settings.partitions))
    size = -(-len(arrivals) // CHUNKS)
    for number in range(CHUNKS):
        piece = arrivals[number * size : (number + 1) * size]
        await play(iter(piece), destination(run), PlaySpeed(None, 0))
        await until(lambda: is_ready(file), PATIENCE_S)
        await asyncio.sleep(0.5 + 0.3 * number)  # somewhere in the middle of the work
        await act(run, ORDERS[number], piece[-1].at_ms)
        if number == CHUNKS // 2:
            await command(run, "snapshot", "--out", str(folder))
        if number and number <= kills:
            worker.in_a_row = 0
            os.kill(worker.pid, signal.SIGKILL)
            await until(partial(restarted, run, worker, number - 1), PATIENCE_S)
    end_ms = day.truth.end_ms
    await until(lambda: decided_ms(run) >= end_ms, PATIENCE_S)
    await settle(lambda: {noun: len(findings(run, noun)) for noun in ("affected_count", "impact", "outreach", "tick")})
    run.stop()


def since(run: Session, snapshot: SnapshotManifest, noun: str) -> list[dict[str, Any]]:
    """Records that were written after a snapshot."""
    source = open_live(run.settings, run.endpoints.kafka_bootstrap, nouns=(noun,))
    found = []
    for number in range(source.partitions):
        for batch in source.batches(noun, number):
            for value, headers in zip(batch.values, batch.headers, strict=True):
                if value is not None and version_of(headers) > version_at(snapshot, noun, number, value):
                    found.append(json.loads(value))
    return found


async def compare(stack: Settings, day: Simulation, partitions: int, kills: int, folder: Path) -> None:
    with deployment(stack, partitions) as run:
        await live(run, day, kills, folder)
        bootstrap = run.endpoints.kafka_bootstrap
        before = groups_and_ends(bootstrap, run.settings)
        with watched() as connected:
            outcome = await asyncio.to_thread(lambda: replay(open_live(run.settings, bootstrap), run.settings))
        port = int(bootstrap.rpartition(":")[2])
        assert {at for _, at in connected} == {port}, "nothing but Kafka was connected to"
        assert groups_and_ends(bootstrap, run.settings) == before
        lines = {noun: canonical(noun, findings(run, noun)) for noun in COMPARED}
        assert all(lines.values())
        for noun in COMPARED:
            assert [line.decode() for line in outcome.canonical(noun)] == [line.decode() for line in lines[noun]], noun
        taken = SnapshotFolder(folder)
        out = folder.with_name("run")
        await command(run, "replay", "live", "--from-snapshot", str(folder), "--out", str(out), "--processes", "2")
        manifest = read_manifest(out)
        assert (manifest.start, manifest.source["begins"]) == ("snapshot", "snapshot")
        for noun in COMPARED:
            expected = canonical(noun, since(run, taken.contents, noun))
            assert manifest.findings[noun].sha256 == fingerprint(expected), noun


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize(("partitions", "kills"), [
    (4, 2), *(pytest.param(*run, marks=pytest.mark.long) for run in ((1, 0), (1, 2), (4, 0))),
])  # fmt: skip
async def test_a_replay_of_live_topics_finds_what_the_live_run_wrote(
    stack_settings: Settings, kafka: str, partitions: int, kills: int, tmp_path: Path
) -> None:
    del kafka
    await compare(stack_settings, short_day(), partitions, kills, tmp_path / "snapshot")


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.long
async def test_a_replay_of_the_whole_demo_finds_what_its_live_run_wrote(
    stack_settings: Settings, kafka: str, tmp_path: Path
) -> None:
    del kafka
    await compare(stack_settings, simulate(), 4, 1, tmp_path / "snapshot")
