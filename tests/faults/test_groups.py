"""Members come and go, stop and wake up, or hang: the group goes on, the zombie loses, the stuck one ends itself."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time

import pytest

from streams.runtime.exits import ExitCode
from tests.faults.conftest import Arena
from tests.faults.harness import Deployment, Process, until
from tests.faults.load import LoadRules, make_load
from tests.faults.result import Result, size
from tests.faults.test_kills import chunks, tasks

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
ROOMS = ("join", "store")
NEWEST = "cx_runtime_newest_event_ms"


@pytest.mark.fault(6)
async def test_a_storm_of_rebalances(arena: Arena) -> None:
    moves, rules = size(4, 24), LoadRules(events=size(10_000, 60_000), seed=7)
    result = Result(
        6, "rebalance storm", f"3 workers; every 5 s one leaves (SIGTERM) or joins, {moves} times in a row, under load",
        "progress goes on, diff 0, the lag falls afterwards",
    )  # fmt: skip
    with result.measured(), arena.deployment() as line:
        workers = [line.worker(name, "join,store") for name in ("a", "b", "c")]
        await until(workers[0].ready)
        records = await asyncio.to_thread(make_load, rules)
        async with line.producer() as producer:
            feeding = asyncio.create_task(producer.send(records, rate=rules.events / (moves * 5.0)))
            codes = await storm(workers, moves)
            await feeding
        result.figures = {"exit codes": sorted(set(codes)), "moves": moves}
        result.figures["all read after the storm s"] = round(await line.settled(ROOMS, keep=True), 1)
        result.take(verdict := await line.clean(downstream=False))
    assert verdict["clean"], verdict["examples"]


async def storm(workers: list[Process], moves: int) -> list[int]:
    """Every 5 s another member leaves, or the one that left comes back; exit codes of those that left."""
    codes = []
    for _, worker in zip(range(moves), itertools.cycle([workers[1], workers[1], workers[2], workers[2]]), strict=False):
        begun = time.monotonic()
        if worker.alive():
            codes.append(await asyncio.to_thread(worker.terminate))
        else:
            worker.start()
        await asyncio.sleep(max(0.0, 5.0 - (time.monotonic() - begun)))
    return codes


@pytest.mark.long_fault
@pytest.mark.fault(7)
async def test_a_worker_that_was_stopped_past_its_session_wakes_up(arena: Arena) -> None:
    stopped_s, rules = size(12, 90), LoadRules(events=size(8_000, 50_000), seed=8)
    result = Result(
        7, "SIGSTOP of a worker past its session, then CONT (a zombie)",
        f"stopped for {stopped_s} s in the middle of unflushed work; another worker takes over; then it wakes up",
        "the zombie is fenced by its transactional id and ends (76); its rows in ClickHouse lose by ver",
    )  # fmt: skip
    with result.measured(), arena.deployment() as line:
        pieces = list(chunks(await asyncio.to_thread(make_load, rules), 3))
        # Longer than it is stopped: its own watchdog must not be what ends it, the fencing is to be seen.
        zombie = line.worker("a", "join,store", CX_FLUSH_MS="15000", CX_STALL_S="100")
        async with line.producer() as producer:
            await until(zombie.ready)
            await producer.send(pieces[0])
            await line.settled(ROOMS)
            before = zombie.metric(NEWEST)
            await producer.send(pieces[1])
            await until(lambda: zombie.metric(NEWEST) > before, every_s=0.02)
            zombie.pause()
            wakes_at = time.monotonic() + stopped_s
            heir = line.worker("b", "join,store")
            await until(lambda: heir.ready() and tasks(heir) == 4)
            await line.settled(ROOMS)
            await asyncio.sleep(wakes_at - time.monotonic())
            zombie.resume()
            code = await asyncio.to_thread(zombie.wait, 60.0)
            await producer.send(pieces[2])
        await line.settled(ROOMS)
        result.take(verdict := await line.clean(downstream=False))
        stale = await asyncio.to_thread(stale_row_loses, line)
        result.figures = {"zombie's exit code": code, "reason": zombie.reason(), **stale}
    assert code == ExitCode.FENCED
    assert verdict["clean"], verdict["examples"]
    assert stale["rows of the older owner still stored"] > 0
    assert stale["stale rows winning"] == 0


def stale_row_loses(line: Deployment) -> dict[str, int]:
    """Write the zombie's row as it would have come late: the version of an older epoch, another count."""
    key, epoch = "customer_id, line, signal, window", "bitShiftRight(ver, 40)"
    newest = f"SELECT {key}, max(ver) AS newest FROM episode GROUP BY {key}"
    first, last = (f"(SELECT {which}({epoch}) FROM episode)" for which in ("min", "max"))
    ((kept,),) = line.execute(f"SELECT count() FROM episode WHERE {epoch} < {last}", "operator")
    stale = f"bitOr(bitShiftLeft({epoch} - 1, 40), 999999)"
    line.execute(
        f"INSERT INTO episode SELECT * REPLACE (999999 AS failures, toUInt64({stale}) AS ver)"
        f" FROM episode WHERE ({key}, ver) IN ({newest}) AND {epoch} > {first} LIMIT 50",
    )
    ((written,),) = line.execute("SELECT count() FROM episode WHERE failures = 999999", "operator")
    ((winning,),) = line.execute("SELECT count() FROM episode FINAL WHERE failures = 999999", "operator")
    return {
        "rows of the older owner still stored": int(kept), "stale rows written afterwards": int(written),
        "stale rows winning": int(winning),
    }  # fmt: skip


@pytest.mark.long_fault
@pytest.mark.fault(12)
async def test_a_blocked_loop_and_a_stuck_assignment_end_the_process(arena: Arena) -> None:
    stall_s = size(8, 60)
    rules = LoadRules(events=size(4_000, 20_000), seed=12)
    result = Result(
        12, "the event loop is blocked, or the group is stuck after a rejoin",
        f"blocked for 40 s; blocked for good; an assignment that never opens (CX_STALL_S={stall_s})",
        "40 s: goes on by itself; the others: the watchdog ends the process within 120 s, non-zero, with the reason",
    )  # fmt: skip
    with result.measured(), arena.deployment(stall_s=float(stall_s)) as line:
        stages = (sys.executable, "-m", "tests.faults.stages")
        state = line.settings.state_dir
        pieces = list(chunks(await asyncio.to_thread(make_load, rules), 3))
        worker = line.worker("a", "join,store", (*stages, "block", "worker"))
        async with line.producer() as producer:
            await until(worker.ready)
            await producer.send(pieces[0])
            if stall_s > 40:
                (state / "block").write_text("40")
                await until(lambda: not (state / "block").exists())
                await until(worker.ready)
                result.figures["after 40 s blocked"] = "goes on"
                assert worker.codes == []
            (state / "block").write_text("100000")
            await until(lambda: not (state / "block").exists())
            await producer.send(pieces[1])
            begun = time.monotonic()
            blocked = await asyncio.to_thread(worker.wait, 130.0)
            result.figures |= {"blocked: ended after s": round(time.monotonic() - begun, 1), "reason": worker.reason()}
            stuck = line.worker("b", "join,store", (*stages, "stuck", "worker"))
            await until(lambda: stuck.ready() and tasks(stuck) == 4)
            (state / "stuck").touch()
            worker.start()
            begun = time.monotonic()
            hung = await asyncio.to_thread(stuck.wait, 130.0)
            result.figures |= {"stuck: ended after s": round(time.monotonic() - begun, 1), "why": stuck.reason()}
            await producer.send(pieces[2])
        await line.settled(ROOMS)
        result.take(verdict := await line.clean(downstream=False))
    assert (blocked, hung) == (ExitCode.STALLED, ExitCode.STALLED)
    assert "the event loop has been blocked" in result.figures["reason"]
    assert "room join does not get on in recovery" in result.figures["why"]
    assert verdict["clean"], verdict["examples"]
