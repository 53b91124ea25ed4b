"""What was put right, under load, through real workers that die: the oracle says the same of every episode."""

from __future__ import annotations

import asyncio
import random
from itertools import groupby
from typing import Any

import msgspec
import pytest

from tests.faults.conftest import Arena
from tests.faults.harness import Deployment, until
from tests.faults.load import LoadRules, Raw, make_load
from tests.faults.result import Result, size
from tests.faults.test_kills import Killer, chunks, restarted, second_worker

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


def counted(line: Deployment) -> dict[str, Any]:
    """Episodes of each signal that were put right, and all of them."""
    sql = "SELECT signal, countIf(put_right_at IS NOT NULL), count() FROM episode FINAL GROUP BY signal ORDER BY signal"
    return {signal: f"{right} of {count}" for signal, right, count in line.execute(sql, "operator")}


def right(line: Deployment) -> dict[str, int]:
    """Signal -> how many episodes were put right."""
    sql = "SELECT signal, countIf(put_right_at IS NOT NULL) FROM episode FINAL GROUP BY signal"
    return dict(line.execute(sql, "operator"))


async def judged(line: Deployment, result: Result) -> None:
    """The oracle finds nothing wrong, and something of each signal was put right."""
    await line.settled(("join", "store"))
    result.take(verdict := await line.clean(downstream=False))
    result.figures["put right"] = counted(line)
    assert verdict["clean"], verdict["examples"]
    found = right(line)
    assert min(found[signal] for signal in ("app", "payment", "delivery")) > 0, "the load has something of each"


@pytest.mark.fault(60)
async def test_what_is_put_right_while_the_join_dies_again_and_again(arena: Arena) -> None:
    kills, rules = size(4, 60), LoadRules(events=size(12_000, 100_000), seed=60, failing=0.05, repaired=0.7)
    result = Result(
        60, "kill -9 of the join while failures are put right",
        f"{kills} times; 70 % of failed payments and broken promises are put right, most app failures too",
        "put right at the time of the first repair after the last failure, as the oracle has it: diff 0",
    )  # fmt: skip
    with result.measured(), arena.deployment() as line:
        store = line.worker("b", "store")
        killer = Killer(line, line.worker("a", "join"), "join", random.Random(60))
        records = await asyncio.to_thread(make_load, rules)
        async with line.producer() as producer:
            running = asyncio.create_task(killer.run(kills))
            await producer.send(records, rate=rules.events / (kills * 4.0))
            await running
        await judged(line, result)
        result.figures["kills"] = killer.process.starts - 1
        assert store.alive()


def turned(records: list[Raw], span_ms: int) -> list[Raw]:
    """The records of each stretch of event time turned round: what puts right comes before what failed."""
    found: list[Raw] = []
    beats = [one for one in records if one.key == b"cx.heartbeat"]
    events = [one for one in records if one.key != b"cx.heartbeat"]

    def stretch(one: Raw) -> int:
        try:
            return int(msgspec.json.decode(one.value or b"")["event_time_ms"]) // span_ms
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError):
            return 0

    for _, group in groupby(sorted(events, key=stretch), key=stretch):
        found += reversed(list(group))
    return found + beats


@pytest.mark.fault(61)
async def test_what_puts_right_comes_before_what_failed_and_the_join_dies_in_between(arena: Arena) -> None:
    rules = LoadRules(events=size(8_000, 40_000), seed=61, failing=0.05, repaired=0.9, malformed=0.0)
    result = Result(
        61, "repairs arrive before their failures, and the join is killed and moves in between",
        "each ten minutes of events arrive backwards; kill -9 after each quarter, the last on a second worker",
        "what went well is remembered in the state and found by the failure that comes later: diff 0",
    )  # fmt: skip
    with result.measured(), arena.deployment() as line:
        records = turned(await asyncio.to_thread(make_load, rules), 10 * 60_000)
        first = line.worker("a", "join,store")
        async with line.producer() as producer:
            for piece in chunks(records[: len(records) * 3 // 4], 3):
                await producer.send(piece)
                await until(first.ready)
                await line.settled(("join",))
                await restarted(first)
            await second_worker(line, "join,store")
            await producer.send(records[len(records) * 3 // 4 :])
        await judged(line, result)
