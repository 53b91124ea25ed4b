"""Drills on real servers: through a line that lives, and through one that stands still. Nobody is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dashboards.boards import operations_sql
from dashboards.macros import Range, expand
from schemas.errors import ConfigError
from streams.drill.run import Venue, begin_ms, hold
from streams.drill.script import Drill
from streams.drill.stages import STAGES, DrillProgress
from streams.settings import Settings
from streams.sinks.receiver import Receiver
from streams.sources.arrivals import Arrival, heartbeats
from streams.sources.producer import Destination, PlaySpeed, play, writer
from streams.stack import Endpoints
from tests.core.join.world import T0, order, telemetry
from tests.drill.test_apart import at, beaten, company
from tests.faults.harness import SECRET, Deployment, deployment, until
from tests.patience import patience

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
ROOMS = "join,detect,match,impact,outreach,experience,store"
PARTITIONS = 2
REAL = """
SELECT uniqExact(i.issue_id), uniqExact(a.customer_id)
FROM
(
    SELECT issue_id FROM issue FINAL
    WHERE line = 'shop' AND state IN ('open', 'escalating', 'recovering', 'regressed')
) AS i
INNER JOIN affected AS a FINAL ON a.issue_id = i.issue_id
"""
"""Issues of the company that go on, and whom they hit, from the tables themselves."""


@asynccontextmanager
async def living(stack: Settings, kafka: str, clickhouse: Endpoints, folder: Path) -> AsyncIterator[Deployment]:
    """A line with every room and a sender that may tell of what was played; its receiver must stay empty."""
    servers = replace(clickhouse, kafka_bootstrap=kafka)
    more: dict[str, Any] = {
        "partitions": PARTITIONS, "sender_clock": "wall", "outreach_replayed": True, "webhook_allow_loopback": True,
    }  # fmt: skip
    with deployment(stack, servers, folder, **more) as line:
        async with Receiver(SECRET) as receiver:
            replayed = {"CX_OUTREACH_REPLAYED": "true"}
            worker = line.worker("w", ROOMS, CX_WEBHOOK_URL=receiver.url, CX_WEBHOOK_SECRET=SECRET, **replayed)
            sender = line.sender("s", receiver.url, **replayed)
            await until(lambda: worker.ready() and "partition 1: serving" in sender.tail(100))
            yield line
            assert receiver.requests == 0, "nobody was offered anything"


def venue_of(line: Deployment, alone: bool) -> Venue:
    return Venue(line.settings, line.straight.kafka_bootstrap, line.client(), alone)


def target_of(line: Deployment) -> Destination:
    return Destination(line.straight.kafka_bootstrap, line.prefix, PARTITIONS)


def board(line: Deployment, end_ms: int) -> tuple[str, list[dict[str, Any]]]:
    """What the headline says, and the rows of issues."""
    span = Range.ending(end_ms, 24)
    [headline] = line.client().query(expand(operations_sql.HEADLINE, span)).dicts()
    return str(headline["sentence"]), line.client().query(expand(operations_sql.ISSUES, span)).dicts()


def judge(progress: DrillProgress, noted: Sequence[DrillProgress]) -> None:
    assert progress.missing == []
    times = [progress.reached[stage.name] for stage in STAGES]
    assert times[0] == min(times)
    assert noted, "it was said while it went on"
    assert len(progress.affected) >= 5
    assert progress.refused <= progress.affected
    assert progress.refused
    assert (progress.contacted, progress.rejected) == (set(), 0)


async def trickle(line: Deployment, stop: asyncio.Event) -> None:
    """The company goes on: two customers a second, and the heartbeats of its sources."""
    async with writer(target_of(line)) as write:
        number = 0
        while not stop.is_set():
            now_ms = time.time_ns() // 1_000_000
            who = f"c{number % 40}"
            events = [telemetry(now_ms - T0, who), order(now_ms - T0, "paid", who, f"o{number}")]
            beats = heartbeats(now_ms, now_ms - 1_000, PARTITIONS, "app", ("telemetry", "order", "contact"))
            chunk: list[Arrival] = [*map(at, events), *beats]
            await write(chunk)
            number += 1
            await asyncio.sleep(0.5)


async def test_a_line_that_lives_shows_a_drill_and_tells_nobody(
    stack_settings: Settings, kafka: str, clickhouse: Endpoints, tmp_path: Path
) -> None:
    async with living(stack_settings, kafka, clickhouse, tmp_path) as line:
        stop, noted = asyncio.Event(), list[DrillProgress]()
        company_lives = asyncio.create_task(trickle(line, stop))
        venue = venue_of(line, alone=False)
        drill = Drill("payment", "e2e", await begin_ms(venue), customers=60, minutes=1.5)
        progress = await hold(venue, drill, patience(60), noted.append)
        judge(progress, noted)
        assert progress.resolved
        with pytest.raises(ConfigError, match="leave it out"):
            await begin_ms(replace(venue, alone=True))
        stop.set()
        await company_lives


async def test_a_line_that_stands_still_shows_a_drill_that_moves_time_and_no_figure_changes(
    stack_settings: Settings, kafka: str, clickhouse: Endpoints, tmp_path: Path
) -> None:
    async with living(stack_settings, kafka, clickhouse, tmp_path) as line:
        await play(beaten(company()), target_of(line), PlaySpeed())
        venue, noted = venue_of(line, alone=True), list[DrillProgress]()
        end_ms = company()[-1].at_ms
        await until(lambda: board(line, end_ms)[1])
        drill = Drill("delivery", "still", await begin_ms(venue), customers=60, minutes=2)
        progress = await hold(venue, drill, patience(60), noted.append, keep=True)
        judge(progress, noted)
        headline, issues = board(line, end_ms)
        [mine] = [row for row in issues if row["state"] == "drill"]
        assert mine["title"] == "DRILL: Deliveries are late with carrier drill-van"
        assert len(issues) > 1, "those of the company"
        assert "DRILL" not in headline
        assert (mine["all_issues"], mine["all_affected"]) == line.execute(REAL, "operator")[0]
        with pytest.raises(ConfigError, match="cxwatch resolve i-"):
            await hold(venue, drill, 1, noted.append)
