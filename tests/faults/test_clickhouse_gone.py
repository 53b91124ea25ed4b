"""ClickHouse goes away, slows down, dies, fills up, or changes under the writer: rows wait, none is lost or wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import SinkUnavailable
from streams.agents.store import Store
from streams.runtime.exits import ExitCode
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse, login
from streams.stack import down
from streams.stack.ports import LOOPBACK
from tests.faults.conftest import Arena
from tests.faults.harness import Deployment, Servers, deployment, until
from tests.faults.load import LoadRules, make_load
from tests.faults.proxy import Proxy, insert_applied
from tests.faults.result import Result, size
from tests.faults.small_disk import small_disk
from tests.faults.watch import Memory
from tests.sinks.examples import batch, issue

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]
ROOMS = "join,store"
PAUSED_MB = 100.0
CAUGHT_UP_S = 600.0


@contextmanager
def own_clickhouse(kafka: str, folder: Path) -> Iterator[tuple[Servers, Deployment]]:
    """A ClickHouse that this test may kill, beside the session's Kafka."""
    with Servers.own(("clickhouse",)) as servers:
        here = replace(servers.endpoints, kafka_bootstrap=kafka)
        with deployment(servers.settings, here, folder) as line:
            yield servers, line


async def dead_letters_of_ours(line: Deployment) -> int:
    """Dead letters beyond those that the load itself holds: what a sink that is down might have caused."""
    verdict = await line.judge(downstream=False)
    return int(verdict["parts"]["topic.dead_letter"]["diff"])


@pytest.mark.long_fault
@pytest.mark.fault(14)
@pytest.mark.slow
async def test_clickhouse_is_down_and_comes_back(kafka: str, tmp_path: Path) -> None:
    down_s, rate = size(20.0, 600.0), size(600.0, 330.0)
    result = Result(14, "ClickHouse down", f"stopped for {down_s:.0f} s under {rate:.0f} events/s, then started",
                    f"store waits, join goes on; growth <= {PAUSED_MB:.0f} MB; caught up <= {CAUGHT_UP_S:.0f} s; "
                    "lost 0")
    with own_clickhouse(kafka, tmp_path) as (servers, line), result.measured():
        worker = line.worker(rooms=ROOMS)
        await until(worker.ready)
        warm = LoadRules(events=2_000, seed=13)
        await line.load(replace(warm, start_ms=warm.start_ms - 4 * 3_600_000))
        await line.settled(["join", "store"])
        memory = Memory(worker)
        servers.stop("clickhouse")
        feeding = asyncio.create_task(line.load(LoadRules(events=int(down_s * rate), seed=14), rate))
        await until(lambda: worker.metric('cx_runtime_sink_retries_total{room="store"}') > 0)
        await asyncio.sleep(down_s / 2)
        assert worker.get("/livez")[0] == 200, "waiting for a sink is no reason to restart"
        assert worker.get("/readyz")[0] == 503
        await feeding
        await line.settled(["join"])  # no other room waits
        result.figures["memory growth MB"] = memory.growth_mb()
        servers.up()
        result.seconds = round(await line.settled(["store"], CAUGHT_UP_S), 1)
        result.take(verdict := await line.clean())
        result.figures["caught up s"] = result.seconds
        result.figures["worker restarts"] = worker.starts - 1
        result.figures["dead letters of ours"] = await dead_letters_of_ours(line)
        assert verdict["clean"], verdict["examples"]
        assert result.figures["dead letters of ours"] == 0
        assert result.figures["worker restarts"] == 0
        assert result.figures["memory growth MB"] <= PAUSED_MB


@pytest.mark.long_fault
@pytest.mark.fault(15)
@pytest.mark.slow
async def test_a_slow_clickhouse_causes_no_rebalance(arena: Arena) -> None:
    slow_s, slower_s = size((2.0, 8.0), (5.0, 30.0))
    result = Result(15, "ClickHouse slow", f"{slow_s:.0f} s, then {slower_s:.0f} s before every answer to an insert",
                    "no rebalance, join goes on, lost 0")
    with arena.deployment(session_timeout_ms=6_000) as line, result.measured():
        with Proxy(line.endpoints.clickhouse_host, line.endpoints.clickhouse_port) as proxy:
            line.over(clickhouse_host=LOOPBACK, clickhouse_port=proxy.port)
            worker = line.worker(rooms=ROOMS)
            await until(worker.ready)
            opened = worker.log.read_text().count("running with partitions")
            for number, pause_s in enumerate((slow_s, slower_s)):
                proxy.delay(pause_s / 2)  # one chunk there, one back
                rules = LoadRules(events=size(3_000, 20_000), seed=15 + number)
                await line.load(replace(rules, start_ms=rules.start_ms + number * 3 * 3_600_000))
                await until(lambda: line.committed("join"))
                await asyncio.sleep(2 * pause_s)
                result.figures[f"store behind while {pause_s:.0f} s"] = not await line.committed("store")
            proxy.heal()
            await line.settled(["join", "store"])
            result.take(verdict := await line.clean())
            result.figures["rebalances"] = worker.log.read_text().count("running with partitions") - opened
            result.figures["worker restarts"] = worker.starts - 1
        assert verdict["clean"], verdict["examples"]
        assert result.figures["rebalances"] == 0
        assert result.figures["worker restarts"] == 0


@pytest.mark.fault(16)
@pytest.mark.slow
async def test_the_connection_is_cut_after_the_insert_was_applied(arena: Arena) -> None:
    cuts = size(50, 1_000)
    result = Result(16, "answer to an applied insert lost",
                    f"{cuts} cuts: each insert stored, its answer never arrived",
                    "the same rows come again and change nothing")
    with arena.deployment() as line, result.measured():
        with Proxy(line.endpoints.clickhouse_host, line.endpoints.clickhouse_port) as proxy:
            behind = replace(login(line.endpoints, "writer", line.settings.clickhouse_database), host=LOOPBACK,
                             port=proxy.port)
            store = Store(ClickHouse(behind, timeout_s=10))
            proxy.steal(insert_applied)
            applied = await asyncio.to_thread(_cut_and_repeat, store, line, proxy, cuts)
            proxy.heal()
        rows = line.client().query("SELECT count(), uniqExact(issue_id), max(ver) FROM issue FINAL").rows[0]
        copies = int(line.client().query("SELECT count() FROM issue").rows[0][0])
        result.figures |= {"cuts": proxy.stolen, "applied before the cut": applied, "rows": rows[0]}
        result.lost, result.diff = max(0, cuts - rows[1]), rows[0] - rows[1]
        assert proxy.stolen == cuts
        assert applied == cuts, "every cut lost an answer, never an insert"
        assert tuple(rows) == (cuts, cuts, cuts)
        assert copies >= cuts


def _cut_and_repeat(store: Store, line: Deployment, proxy: Proxy, cuts: int) -> int:
    """Write one issue per cut: refused with its answer stolen, seen in the table, written again; returns how many."""
    reader, applied = line.client(), 0
    for number in range(1, cuts + 1):
        rows = [batch("issue", [issue(issue_id=f"i-{number:04d}")], ver=number)]
        proxy.steal(insert_applied)
        with pytest.raises(SinkUnavailable):
            store.write(rows)
        proxy.steal(None)
        seen = reader.query("SELECT count() FROM issue WHERE issue_id = %(id)s", {"id": f"i-{number:04d}"}).rows
        applied += int(seen[0][0] == 1)
        store.write(rows)
    return applied


@pytest.mark.fault(16)
@pytest.mark.slow
async def test_cuts_after_applied_inserts_under_load_leave_no_trace(arena: Arena) -> None:
    result = Result(16, "answer to an applied insert lost", "under load, every second insert", "diff 0", variant="load")
    with arena.deployment() as line, result.measured():
        with Proxy(line.endpoints.clickhouse_host, line.endpoints.clickhouse_port) as proxy:
            line.over(clickhouse_host=LOOPBACK, clickhouse_port=proxy.port)
            worker = line.worker(rooms=ROOMS)
            await until(worker.ready)
            proxy.steal(every_other(insert_applied))
            await line.load(LoadRules(events=size(5_000, 50_000), seed=16), size(1_000, 2_500))
            await until(lambda: proxy.stolen >= size(3, 20))
            proxy.heal()
            await line.settled(["join", "store"])
            result.take(verdict := await line.clean())
            result.figures |= {"cuts": proxy.stolen, "worker restarts": worker.starts - 1}
        assert verdict["clean"], verdict["examples"]
        assert worker.alive()


def every_other(thief: Any) -> Any:
    """A thief that lets every second one go, so that something gets on."""
    seen = [0]

    def steal(chunk: bytes) -> bool:
        if not thief(chunk):
            return False
        seen[0] += 1
        return seen[0] % 2 == 1

    return steal


@pytest.mark.long_fault
@pytest.mark.fault(17)
@pytest.mark.slow
async def test_clickhouse_is_killed_during_inserts(kafka: str, tmp_path: Path) -> None:
    kills = size(2, 10)
    result = Result(17, "ClickHouse kill -9 during inserts", f"{kills} times under load", "diff 0")
    with own_clickhouse(kafka, tmp_path) as (servers, line), result.measured():
        worker = line.worker(rooms=ROOMS)
        await until(worker.ready)
        rate = size(1_000, 2_000)
        feeding = asyncio.create_task(line.load(LoadRules(events=kills * rate * 3, seed=17), rate))
        for number in range(kills):
            await asyncio.sleep(1.3 + 0.37 * number % 1)
            servers.kill("clickhouse")
            await asyncio.to_thread(servers.up)
        await feeding
        await line.settled(["join", "store"])
        result.take(verdict := await line.clean())
        result.figures |= {"kills": kills, "worker restarts": worker.starts - 1}
        assert verdict["clean"], verdict["examples"]
        assert worker.alive()


@pytest.mark.long_fault
@pytest.mark.fault(18)
@pytest.mark.slow
async def test_the_disk_of_clickhouse_is_full(kafka: str, tmp_path: Path) -> None:
    result = Result(18, "ClickHouse disk full", "a disk of 160 MB filled under load, then relieved",
                    "backs off, says so, no dead letters, lost 0", variant="disk")
    with small_disk(tmp_path / "disk", 160) as disk, result.measured():
        settings = Settings(state_dir=disk.path / "state", local_min_free_mb=0)
        servers = Servers(settings, ("clickhouse",))
        try:
            servers.up()
            with deployment(settings, replace(servers.endpoints, kafka_bootstrap=kafka), tmp_path) as line:
                worker = line.worker(rooms=ROOMS)
                await until(worker.ready)
                disk.fill()
                await line.load(LoadRules(events=size(3_000, 20_000), seed=18))
                await until(lambda: "disk full" in worker.log.read_text())
                result.figures["said"] = "disk full"
                result.figures["refusals"] = worker.metric('cx_runtime_sink_retries_total{room="store"}')
                disk.relieve()
                await asyncio.to_thread(servers.up)  # it may have ended itself
                await line.settled(["join", "store"])
                result.take(verdict := await line.clean())
                assert verdict["clean"], verdict["examples"]
                assert worker.alive()
        finally:
            down(settings, patience_s=5.0)  # or its disk cannot be unmounted


@pytest.mark.long_fault
@pytest.mark.fault(18)
@pytest.mark.slow
@pytest.mark.parametrize("refusal", ["every row", "too many parts"])
async def test_a_table_that_takes_no_rows(arena: Arena, refusal: str) -> None:
    result = Result(18, f"ClickHouse refuses: {refusal}", "one table refuses inserts for a while", "backs off, lost 0",
                    variant=refusal.replace(" ", "-"))
    shut, open_ = {
        "every row": ("ADD CONSTRAINT shut CHECK 0", "DROP CONSTRAINT shut"),
        "too many parts": ("MODIFY SETTING parts_to_throw_insert = 1, parts_to_delay_insert = 1",
                           "RESET SETTING parts_to_throw_insert, parts_to_delay_insert"),
    }[refusal]
    with arena.deployment() as line, result.measured():
        worker = line.worker(rooms=ROOMS)
        await until(worker.ready)
        await line.load(LoadRules(events=1_000, seed=180))
        await line.settled(["join", "store"])
        line.execute(f"ALTER TABLE episode {shut}")
        rules = LoadRules(events=size(2_000, 20_000), seed=18)
        await line.load(replace(rules, start_ms=rules.start_ms + 3 * 3_600_000))
        retries = 'cx_runtime_sink_retries_total{room="store"}'
        await until(lambda: worker.metric(retries) >= 2)
        result.figures["refusals"] = worker.metric(retries)
        result.figures["said"] = "too many parts" if refusal == "too many parts" else "refused, code 469"
        assert result.figures["said"] in worker.log.read_text()
        line.execute(f"ALTER TABLE episode {open_}")
        await line.settled(["join", "store"])
        result.take(verdict := await line.clean())
        assert verdict["clean"], verdict["examples"]
        assert worker.alive()


@pytest.mark.fault(19)
@pytest.mark.parametrize(
    ("drift", "word"),
    [("DROP COLUMN amounts", "amounts"), ("RENAME COLUMN failures TO failings", "failures"),
     ("MODIFY COLUMN contacts String", "contacts")],
)
async def test_a_schema_that_drifted_is_refused_at_the_start(arena: Arena, drift: str, word: str) -> None:
    result = Result(19, "schema drift", f"ALTER TABLE episode {drift}", "refused at the start with the reason",
                    variant=word)
    with arena.deployment() as line, result.measured():
        line.execute(f"ALTER TABLE episode {drift}")
        rules = LoadRules(events=300, seed=19)
        records = make_load(rules)
        async with line.producer() as producer:
            await producer.send(records)
        worker = line.worker(rooms=ROOMS)
        begun = time.monotonic()
        code = await asyncio.to_thread(worker.wait, 60.0)
        result.seconds = round(time.monotonic() - begun, 1)
        result.figures |= {"exit code": code, "reason": worker.reason()[:200]}
        assert code == ExitCode.CONFIG
        assert word in worker.reason()
        assert "cxwatch tables" in worker.reason()
        written = line.execute("SELECT count() FROM episode")[0][0]
        result.figures["rows written"] = written
        assert written == 0


