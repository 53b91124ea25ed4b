"""The broker dies and comes back under a worker: nothing is lost, nothing counted twice."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.settings import Settings
from streams.stack import UpOptions, down, status, up
from streams.stack.process import PidFile
from tests.integration.harness import Line, until

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
KAFKA = UpOptions(only=("kafka",), die_with_parent=True)


@pytest.fixture
def own_kafka() -> Iterator[Settings]:
    """A Kafka that this test may kill."""
    folder = Path(tempfile.mkdtemp(prefix="cxwatch-test-"))
    PidFile(folder / "owner").write(os.getpid())
    settings = Settings(state_dir=folder / "state")
    try:
        up(settings, options=KAFKA)
        yield settings
    finally:
        down(settings)
        shutil.rmtree(folder, ignore_errors=True)


async def test_kill_9_of_the_broker_under_load(own_kafka: Settings, topic_prefix: str, tmp_path: Path) -> None:
    line = Line(up(own_kafka, options=KAFKA).kafka_bootstrap, topic_prefix, tmp_path)
    line.create_topics()
    try:
        worker = line.start()
        await until(worker.ready)
        async with line.producer() as producer:
            feeding = asyncio.create_task(line.produce(producer, 4_000))
            await asyncio.sleep(0.5)
            (broker,) = [one for one in status(own_kafka) if one.name == "kafka"]
            assert broker.pid is not None
            os.kill(broker.pid, signal.SIGKILL)
            await asyncio.to_thread(up, own_kafka, None, KAFKA)
            await feeding
        if worker.process.poll() is not None:
            line.start()
        assert await line.wait_until_counted() == await line.truth()
    finally:
        line.stop()
