"""Workers die, are told to go, or meet a defect, under load; and two workers give what one gives."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from streams.runtime.exits import ExitCode
from tests.faults.conftest import Arena
from tests.faults.harness import Deployment, Process, behind, until
from tests.faults.load import LoadRules, Raw, make_load, profiles
from tests.faults.result import Result, size

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
REST = "detect,match,impact,outreach,store"
ALL = ("join", "experience", "detect", "match", "impact", "outreach", "store")
EACH_S = 4.0
"""About what passes between two kills of one process."""
KILLING_S = 300.0
"""After this long no kill waits any more for its process to be ready: on a busy machine 200 kills have to end too."""
READY_S = 30.0


def chunks(records: list[Raw], count: int) -> Iterator[list[Raw]]:
    """``records`` in ``count`` pieces, in order."""
    piece = -(-len(records) // count)
    return (records[start : start + piece] for start in range(0, len(records), piece))


@dataclass
class Killer:
    """Kills one process again and again and starts it at once."""

    line: Deployment
    process: Process
    room: str
    """The room whose group offsets tell what a kill has hit."""
    dice: random.Random
    in_flight: int = 0
    """Kills that hit it at work: records that are on the topics were not committed."""
    starting: int = 0
    """Kills that hit it before it was ready: recovery is killed too."""
    recovery_s: list[float] = field(default_factory=list)
    """Start to ready of those that were allowed to get ready."""

    async def run(self, count: int) -> None:
        """Every other time it may get ready first, so that both work and recovery are hit."""
        begun = time.monotonic()
        for number in range(count):
            if number % 2 and time.monotonic() - begun < KILLING_S:
                with suppress(TimeoutError):
                    self.recovery_s.append(await until(self.process.ready, READY_S))
                await asyncio.sleep(self.dice.uniform(0.1, 2.0))
            else:
                await asyncio.sleep(self.dice.uniform(1.0, 5.0))
            working = await asyncio.to_thread(self.process.ready)
            self.process.kill()
            if working:
                group = f"{self.line.prefix}cx.{self.room}"
                self.in_flight += await behind(self.line.straight.kafka_bootstrap, group) > 0
            else:
                self.starting += 1
            self.process.start()


async def restarted(process: Process) -> None:
    """Kill it once it is ready, and start it at once on the same disk."""
    await until(process.ready)
    process.kill()
    process.start()


async def second_worker(line: Deployment, rooms: str) -> Process:
    """A worker with a folder of its own, once it has taken over half of the partitions."""
    folder = line.folder / "other"
    folder.mkdir()
    worker = line.worker("b", rooms, CX_STATE_DIR=str(folder))
    await until(lambda: worker.ready() and tasks(worker) == 2)
    return worker


@pytest.mark.long_fault
@pytest.mark.fault(1)
async def test_kill_9_again_and_again_under_load(arena: Arena) -> None:
    kills, rules = size(10, 200), LoadRules(events=size(20_000, 200_000), incident_from=0.5)
    result = Result(
        1, "kill -9 of a worker in the middle of its work",
        f"{kills} times in one run, 1-5 s apart, two workers (the join; every other room) under load",
        "resumes from the last transaction: lost 0, diff 0",
    )  # fmt: skip
    with result.measured(), arena.deployment() as line:
        killers = [
            Killer(line, line.worker("a", "join"), "join", random.Random(1)),
            Killer(line, line.worker("b", REST), "store", random.Random(2)),
        ]  # fmt: skip
        records = await asyncio.to_thread(make_load, rules)
        async with line.producer() as producer:
            await producer.send(profiles(rules))
            running = asyncio.gather(*(killer.run(kills // 2) for killer in killers))
            # Spread over all kills, so that each finds work: a worker reads what comes at once in a moment.
            await producer.send(records, rate=rules.events / (kills / 2 * EACH_S))
            await running
        caught_up = await line.settled(ALL)
        result.take(verdict := await line.clean())
        recovery = sorted(killers[0].recovery_s + killers[1].recovery_s)
        result.figures = {
            "kills": sum(killer.process.starts - 1 for killer in killers),
            "of these at work": sum(killer.in_flight for killer in killers),
            "of these while starting": sum(killer.starting for killer in killers),
            "start to ready p50 s": round(recovery[len(recovery) // 2], 1),
            "start to ready p95 s": round(recovery[int(len(recovery) * 0.95)], 1),
            "caught up after the last kill s": round(caught_up, 1),
        }
    assert result.figures["kills"] == kills
    assert result.figures["of these at work"] >= kills // 10  # the others hit a start, or a moment after a commit
    assert verdict["clean"], verdict["examples"]
    assert verdict["parts"]["table.issue"]["expected"] > 0


@pytest.mark.fault(2)
async def test_restart_on_the_same_disk_and_then_a_move_of_partitions(arena: Arena) -> None:
    rules = LoadRules(events=size(8_000, 30_000), seed=2)
    result = Result(
        2, "kill -9, restart on the same disk, then the partitions move to another worker and back",
        "a is killed and restarted in its folder; b (another folder) takes half, then all as a is killed; a returns",
        "state lives in Kafka only, nothing on a disk can be stale: diff 0",
    )  # fmt: skip
    with result.measured(), arena.deployment() as line:
        pieces = list(chunks(await asyncio.to_thread(make_load, rules), 4))
        first = line.worker("a", "join,store")
        async with line.producer() as producer:
            await producer.send(pieces[0])
            await restarted(first)
            await producer.send(pieces[1])
            await until(first.ready)
            second = await second_worker(line, "join,store")
            await producer.send(pieces[2])
            first.kill()
            result.figures["seconds until b had all partitions"] = round(await until(lambda: tasks(second) == 4), 1)
            first.start()
            await producer.send(pieces[3])
            await until(lambda: first.ready() and tasks(first) == 2)
        await line.settled(("join", "store"))
        result.take(verdict := await line.clean(downstream=False))
    assert verdict["clean"], verdict["examples"]


def tasks(worker: Process) -> float:
    """Partitions of the join that a worker holds."""
    return worker.metric('cx_runtime_tasks{room="join"}')


@pytest.mark.long_fault
@pytest.mark.fault(4)
async def test_a_handler_that_raises_ends_the_process_and_skips_nothing(arena: Arena) -> None:
    rules = LoadRules(events=size(5_000, 20_000), seed=4)
    result = Result(
        4, "a handler raises ValueError on one event", "the join raises on one event; started 3 times, then mended",
        "exit 70 each time, nothing committed past it, nothing skipped after the repair",
    )  # fmt: skip
    with result.measured(), arena.deployment() as line:
        records = await asyncio.to_thread(make_load, rules)
        broken = next(one.value for one in records[len(records) // 2 :] if one.noun == "order" and one.value)
        mine = broken.split(b'"event_id":"', 1)[1].split(b'"', 1)[0].decode()
        (line.settings.state_dir / "raise").write_text(mine)
        worker = line.worker("a", "join", (sys.executable, "-m", "tests.faults.stages", "raise", "worker"))
        store = line.worker("b", "store")
        async with line.producer() as producer:
            await producer.send(records)
        codes = []
        for _ in range(3):
            codes.append(await asyncio.to_thread(worker.wait, 90.0))
            worker.start()
        reason = worker.reason()
        (line.settings.state_dir / "raise").unlink()
        worker.kill()
        worker.start()
        await line.settled(("join", "store"))
        result.take(verdict := await line.clean(downstream=False))
        result.figures = {"exit codes": codes, "reason": reason}
        assert store.alive()
    assert codes == [ExitCode.UNKNOWN] * 3
    assert "ValueError at" in reason
    assert mine not in reason
    assert verdict["clean"], verdict["examples"]


@pytest.mark.long_fault
@pytest.mark.fault(5)
async def test_sigterm_under_load(arena: Arena) -> None:
    times, rules = size(3, 12), LoadRules(events=size(10_000, 60_000), seed=5)
    result = Result(
        5, "SIGTERM under load", f"{times} times to a worker with all rooms, started again each time",
        "drains, flushes, leaves the group: exit 0 within 25 s, nothing read twice",
    )  # fmt: skip
    with result.measured(), arena.deployment() as line:
        worker = line.worker("a", ",".join(ALL))
        took, skipped, codes = [], 0.0, []
        async with line.producer() as producer:
            for piece in chunks(await asyncio.to_thread(make_load, rules), times):
                await until(worker.ready)
                skipped += worker.metric('cx_runtime_records_total{outcome="skipped"')
                feeding = asyncio.create_task(producer.send(piece))
                await asyncio.sleep(0.4)
                begun = time.monotonic()
                codes.append(await asyncio.to_thread(worker.terminate))
                took.append(time.monotonic() - begun)
                await feeding
                worker.start()
        await line.settled(ALL)
        skipped += worker.metric('cx_runtime_records_total{outcome="skipped"')
        result.take(verdict := await line.clean())
        result.figures = {
            "exit codes": sorted(set(codes)), "longest exit s": round(max(took), 1), "records read twice": int(skipped),
        }  # fmt: skip
    assert codes == [ExitCode.CLEAN] * times
    assert skipped == 0, "everything read was flushed before the process left"
    assert verdict["clean"], verdict["examples"]


@pytest.mark.long_fault
@pytest.mark.fault(1)
@pytest.mark.parametrize("workers", [2])
async def test_two_workers_share_the_partitions_and_give_the_same_totals(arena: Arena, workers: int) -> None:
    rules = LoadRules(events=size(5_000, 20_000), seed=6)
    records = await asyncio.to_thread(make_load, rules)
    totals = []
    for count in (1, workers):
        folder = arena.folder / str(count)
        folder.mkdir()
        with Arena(arena.settings, arena.endpoints, folder).deployment() as line:
            started = [line.worker(f"w{number}", "join,store") for number in range(count)]
            await until(lambda here=started: all(worker.ready() for worker in here))
            if count > 1:
                await until(lambda here=started: [tasks(worker) for worker in here] == [2.0, 2.0])
            async with line.producer() as producer:
                await producer.send(records)
            await line.settled(("join", "store"))
            verdict = await line.clean(downstream=False)
            assert verdict["clean"], verdict["examples"]
            totals.append(await asyncio.to_thread(sums, line))
    assert totals[0] == totals[1]
    assert totals[0][0][0] > 0


def sums(line: Deployment) -> list[tuple[int, ...]]:
    """What a board would add up."""
    found = []
    for what in (
        "sum(exposed), sum(failed) FROM cohort_count FINAL WHERE closed", "count(), sum(failures) FROM episode FINAL",
        "sum(events), sum(late), sum(duplicates) FROM source_count FINAL", "count() FROM dead_letter FINAL",
    ):  # fmt: skip
        found += line.execute(f"SELECT {what}", "operator")
    return found

