"""The host's clock is set an hour ahead, then an hour back, while everything runs: event time does not notice."""

from __future__ import annotations

import asyncio

import pytest

from schemas.rooms import WORKER_ROOMS
from streams.sinks.receiver import Receiver
from tests.faults.clock import Clock
from tests.faults.conftest import Arena
from tests.faults.harness import SECRET, until
from tests.faults.load import LoadRules, make_load, profiles
from tests.faults.result import Result, size
from tests.faults.test_sender_stop import keep

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
JUMPS_S = (3_600.0, -3_600.0, 0.0)


@pytest.mark.long_fault
@pytest.mark.fault(37)
async def test_the_clock_jumps_an_hour_ahead_and_an_hour_back(arena: Arena) -> None:
    rules = LoadRules(events=size(8_000, 60_000), seed=37, incident_from=0.4, customers=800)
    result = Result(37, "host clock +1 h, then -1 h", "wall clock of worker and sender set while they run (broker and "
                    "ClickHouse keep theirs)", "diff 0, duplicate accepts 0, nobody restarts")
    clock = Clock(arena.folder)
    shifted = clock.environment()
    with arena.deployment() as line, result.measured():
        line.accepts = arena.folder / "accepts"
        line.accepts.touch()
        async with Receiver(SECRET, keep(line.accepts)) as hook:
            worker = line.worker(rooms=",".join(WORKER_ROOMS), **shifted)
            sender = line.sender("s", hook.url, **shifted)
            await until(worker.ready)
            records = await asyncio.to_thread(make_load, rules)
            async with line.producer() as producer:
                await producer.send(profiles(rules))
                quarter = -(-len(records) // (len(JUMPS_S) + 1))
                for index, jump_s in enumerate((0.0, *JUMPS_S)):
                    clock.jump_to(jump_s)
                    await producer.send(records[index * quarter : (index + 1) * quarter], size(2_000, 4_000))
            await line.settled(WORKER_ROOMS)
            await until(lambda: bool(line.accepts and line.accepts.read_text()))
            result.take(verdict := await line.clean(40.0))
            result.figures |= {
                "accepts": len(line.accepts.read_text().split()), "worker restarts": worker.starts - 1,
                "sender restarts": sender.starts - 1,
            }
        assert verdict["clean"], verdict["examples"]
        assert verdict["parts"]["table.issue"]["expected"] > 0
        assert result.figures["accepts"] > 0
        assert worker.alive()
        assert sender.alive()
