"""A worker that stands still ends itself with the reason in its log: because Kafka is stopped, and by itself."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.runtime.exits import LOG_S, ExitCode
from streams.runtime.state import Meta, state_records
from streams.runtime.transaction import Transaction, Write
from streams.runtime.watchdog import HARD_MARGIN_S
from streams.runtime.writer import TransactionWriter
from streams.settings import Settings
from streams.stack import UpOptions, down, status, up
from streams.stack.process import PidFile
from tests.integration.harness import Line, Worker, until
from tests.patience import patience

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

STALL_S = 15
"""Long enough for a start on any machine: only time that was lived counts. Well below the writer's limit of 60 s."""
LIMIT_S = 120.0
KAFKA = UpOptions(only=("kafka",), die_with_parent=True)


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[Settings]:
    """A Kafka that these tests may stop."""
    folder = Path(tempfile.mkdtemp(prefix="cxwatch-test-"))
    PidFile(folder / "owner").write(os.getpid())
    settings = Settings(state_dir=folder / "state")
    try:
        up(settings, options=KAFKA)
        yield settings
    finally:
        down(settings)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own_line(own_kafka: Settings, topic_prefix: str, tmp_path: Path) -> Iterator[Line]:
    """A line on that Kafka."""
    line = Line(up(own_kafka, options=KAFKA).kafka_bootstrap, topic_prefix, tmp_path)
    line.create_topics()
    yield line
    line.stop()


def broker_of(settings: Settings) -> int:
    """Process id of the broker."""
    (broker,) = [one for one in status(settings) if one.name == "kafka"]
    assert broker.pid is not None
    return broker.pid


@contextmanager
def continued(process: int) -> Iterator[None]:
    """However the block ends, the broker runs on."""
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


async def end_of(worker: Worker) -> tuple[int, str]:
    """Exit code and log of a worker that ends by itself within the limit."""
    code = await asyncio.to_thread(worker.process.wait, patience(LIMIT_S))
    return code, worker.log.read_text()


async def test_commits_and_fetches_that_are_not_answered(own_kafka: Settings, own_line: Line) -> None:
    worker, broker = own_line.start(CX_STALL_S=str(STALL_S)), broker_of(own_kafka)
    await until(worker.ready)
    async with own_line.producer() as producer:
        with continued(broker):
            feeding = asyncio.create_task(own_line.produce(producer, 3_000))
            await until(lambda: worker.metric('cx_runtime_written_total{room="join"}') > 0)
            os.kill(broker, signal.SIGSTOP)
            code, log = await end_of(worker)
        await feeding
    assert code == ExitCode.STALLED
    assert "room join cannot commit for" in log or "room join gets no answers to its fetches for" in log
    own_line.start()
    assert await own_line.wait_until_counted() == await own_line.truth()


async def test_recovery_that_does_not_move(own_kafka: Settings, own_line: Line) -> None:
    pairs: list[tuple[bytes, bytes | None]] = [(b"c:%06d" % number, b"{}" + b" " * 2_000) for number in range(6_000)]
    writer = TransactionWriter(own_line.bootstrap, own_line.prefix, "join", 0)
    await writer.open()
    for flush, at in enumerate(range(0, len(pairs), 500), 1):
        meta = Meta(1, flush, 4, {})
        records: list[Write] = [(key, value, ()) for key, value in state_records(pairs[at : at + 500], meta)]
        await writer.write(Transaction("join", 0, 1, flush, {("cx.join.state.v1", 0): records}, {}))
    await writer.close()
    broker = broker_of(own_kafka)
    (own_line.folder / "hold-broker").write_text(str(broker))
    with continued(broker):
        code, log = await end_of(own_line.start(CX_STALL_S=str(STALL_S)))
    assert code == ExitCode.STALLED
    assert "room join does not get on in recovery for" in log or "recovery of" in log
    (own_line.folder / "hold-broker").unlink()
    await until(own_line.start().ready)


async def test_a_member_that_reads_nothing_after_a_rejoin_although_there_is_something(line: Line) -> None:
    first = line.start("a", CX_STALL_S=str(STALL_S))
    await until(first.ready)
    async with line.producer() as producer:
        await line.produce(producer, 300)
        assert await line.wait_until_counted() == await line.truth()
        (line.folder / "deaf").touch()
        second = line.start("b", CX_STALL_S=str(STALL_S))
        await until(lambda: second.metric('cx_runtime_tasks{room="join"}') == 2)
        await line.produce(producer, 300)
        for worker in (first, second):
            code, log = await end_of(worker)
            assert code == ExitCode.STALLED
            assert "has records to read but none come for" in log or "gets no answers to its fetches for" in log
        (line.folder / "deaf").unlink()
        line.start("a")
        assert await line.wait_until_counted() == await line.truth()


@pytest.mark.parametrize(
    ("room", "code", "words"),
    [
        ("asleep", ExitCode.STALLED, "the event loop has been blocked for"),
        ("locked", 1, "Timeout (0:"),  # put off by as much as the machine was slow when it was last looked at
    ],
)
async def test_a_blocked_event_loop_even_if_no_other_thread_can_run(
    line: Line, room: str, code: int, words: str
) -> None:
    worker = line.start(rooms=(room,), CX_STALL_S=str(STALL_S))
    await until(worker.ready)
    async with line.producer() as producer:
        await line.produce(producer, 60)
    found, log = await end_of(worker)
    assert found == code
    assert words in log
    assert "counting_worker.py" in log or code != 1, "the last resort says where every thread stands"
    assert not any(one.customer_id in log for one in line.produced)
    assert STALL_S + LOG_S < STALL_S + HARD_MARGIN_S
