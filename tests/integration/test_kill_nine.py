"""The worker is killed five times with -9 in one run: the findings equal those of a run that was left alone."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr

from streams.board.queries import counts
from streams.demo.session import Session
from streams.settings import Settings
from streams.sinks.migrations import migrate
from streams.sinks.receiver import Accepted, Receiver
from streams.sources.producer import Destination, PlaySpeed, play
from streams.stack import Endpoints
from streams.stack.supervisor import SupervisedProcess
from streams.topics import ensure_topics
from tests.integration.harness import is_ready, until
from tests.integration.test_same_findings import short_day
from tests.patience import patience

KILLS = 5
SECRET = "whsec_" + "Y3h3YXRjaC10ZXN0LXNlY3JldC0zMi1ieXRlcyEhISE="
PATIENCE_S = 150.0
_DONE = "SELECT count(), min(through) FROM watermark FINAL WHERE topic = 'outreach'"


@contextmanager
def deployment(stack: Settings, endpoints: Endpoints) -> Iterator[Session]:
    """Topics, database and settings of their own; every process ends with the block."""
    name = secrets.token_hex(4)
    settings = stack.model_copy(update={
        "topic_prefix": f"{name}.", "clickhouse_database": f"cx_{name}", "instance": name,
        "webhook_secret": SecretStr(SECRET), "webhook_allow_loopback": True, "sender_clock": "event", "idle_ms": 0,
        "flush_ms": 200,
    })
    ensure_topics(endpoints.kafka_bootstrap, settings)
    migrate(endpoints, settings.clickhouse_database)
    run = Session(settings, endpoints)
    try:
        yield run
    finally:
        run.stop()


def restarted(run: Session, worker: SupervisedProcess, before: int) -> bool:
    """True once the worker was started again more often than ``before``; looks whether it is due now."""
    run.supervise()
    return worker.restarts > before


async def one_run(stack: Settings, endpoints: Endpoints, kills: int) -> tuple[dict[str, Any], list[Accepted]]:
    """Play the short day, kill the worker ``kills`` times on the way, hash what came out."""
    accepted: list[Accepted] = []
    day = short_day()
    with deployment(stack, endpoints) as run:
        async with Receiver(SECRET, accepted.append) as hook:
            worker = run.launch("worker", ["worker"])
            file = run.settings.state_dir / f"worker-{run.settings.instance}.json"
            run.launch("sender", ["sender"], {"CX_WEBHOOK_URL": hook.url})
            target = Destination(endpoints.kafka_bootstrap, run.settings.topic_prefix, run.settings.partitions)
            arrivals = list(day.arrivals(run.settings.partitions))
            size = -(-len(arrivals) // (kills + 1))
            for number, start_at in enumerate(range(0, len(arrivals), size)):
                await play(iter(arrivals[start_at : start_at + size]), target, PlaySpeed(None, 0))
                if number < kills:
                    await until(lambda: is_ready(file), PATIENCE_S)
                    await asyncio.sleep(0.3 + 0.4 * number)
                    worker.in_a_row = 0  # no crash loop: it is we who kill it
                    os.kill(worker.pid, signal.SIGKILL)
                    await until(partial(restarted, run, worker, number), PATIENCE_S)
            client = run.reader()
            end_ms = day.truth.end_ms

            def done() -> bool:
                writers, through = client.query(_DONE).rows[0]
                passed = writers == run.settings.partitions and through.timestamp() * 1000 >= end_ms
                return bool(passed and counts(client).pending == 0)

            await until(done, PATIENCE_S)
            return await settle(lambda: hashes(run)), accepted


async def settle(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Look until two looks, a second apart, see the same; returns the last one."""
    before = await asyncio.to_thread(look)
    for _ in itertools.repeat(None, 30):
        await asyncio.sleep(1.0)
        now = await asyncio.to_thread(look)
        if now == before:
            break
        before = now
    return before


def hashes(run: Session) -> dict[str, Any]:
    """What a separate process sees of this deployment."""
    user, password = run.endpoints.account("operator")
    where = {
        "bootstrap": run.endpoints.kafka_bootstrap, "prefix": run.settings.topic_prefix,
        "host": run.endpoints.clickhouse_host, "port": run.endpoints.clickhouse_port, "user": user,
        "password": password.get_secret_value(), "database": run.settings.clickhouse_database,
    }
    command = [sys.executable, "-m", "tests.integration.hash_findings"]
    asked = subprocess.run(
        command, input=json.dumps(where), capture_output=True, text=True, timeout=patience(120), check=False
    )
    assert asked.returncode == 0, asked.stderr[-2000:]
    return dict(json.loads(asked.stdout))


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
async def test_five_kills_change_no_finding_and_send_nothing_twice(
    stack_settings: Settings, clickhouse: Endpoints, kafka: str
) -> None:
    endpoints = replace(clickhouse, kafka_bootstrap=kafka)
    undisturbed, notices = await one_run(stack_settings, endpoints, 0)
    killed, others = await one_run(stack_settings, endpoints, KILLS)
    assert undisturbed["lines"]["issue"] >= 1
    assert undisturbed["lines"]["delivery"] >= 1
    assert killed["lines"] == undisturbed["lines"]
    assert killed["topics"] == undisturbed["topics"]
    assert killed["tables"] == undisturbed["tables"]
    for accepted in (notices, others):
        assert len({notice.id for notice in accepted}) == len(accepted) > 0
