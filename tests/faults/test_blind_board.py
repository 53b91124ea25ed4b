"""Each room in turn is stopped while event time goes on: no board may look well; all-clear comes back afterwards."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from schemas.topics import EVENT_NOUNS, HOUR_MS, MINUTE_MS
from streams.board.server import start
from streams.sinks.receiver import Receiver
from streams.sources.arrivals import heartbeats
from streams.sources.producer import Destination, writer
from tests.dashboards.browsing import page
from tests.faults.conftest import Arena
from tests.faults.harness import SECRET, Deployment, Process
from tests.faults.result import Result
from tests.patience import patience

__all__ = ["page"]

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.browser, pytest.mark.slow]

BEGIN = 1_772_442_000_000
ALL_CLEAR = "No open issue. Nobody is known to suffer right now."
CALLED = {"join": "join", "detect": "detection", "match": "match", "outreach": "outreach",
          "experience": "experience", "send": "sender", "store": "store"}
"""Room -> what the board calls it."""
STILL = ("join", "store")
"""Without these nothing that the board can see goes on: it knows by the time of day only."""
LONG_S = 700


async def beat(line: Deployment, at_ms: int) -> None:
    """Every source vouches for everything before ``at_ms``."""
    target = Destination(line.straight.kafka_bootstrap, line.prefix, line.settings.partitions)
    async with writer(target) as write:
        await write(list(heartbeats(at_ms, at_ms, target.partitions, "test", EVENT_NOUNS)))


async def all_clear(line: Deployment, shown: Page, at_ms: int) -> None:
    """Everybody comes to ``at_ms``, and the page says so."""
    await beat(line, at_ms)
    wait = patience(60_000)
    await expect(shown.locator("#headline")).to_have_text(ALL_CLEAR, timeout=wait)
    await expect(shown.locator("#rooms li.bad")).to_have_count(0)


def start_all(line: Deployment, url: str) -> dict[str, Process]:
    """A process per room, and the sender."""
    rooms = {room: line.worker(room, rooms=room) for room in CALLED if room != "send"}
    return rooms | {"send": line.sender("send", url)}


@pytest.mark.fault(80)
async def test_no_board_looks_well_while_a_room_is_stopped(arena: Arena, page: Page) -> None:
    result = Result(
        80, "every room in turn is stopped while event time goes on", "SIGTERM, event time 30 minutes on, page read",
        "never all-clear; the room is named; all-clear again once it is back",
    )  # fmt: skip
    with result.measured(), arena.deployment(idle_ms=0) as line:
        async with Receiver(SECRET) as receiver:
            processes = start_all(line, receiver.url)
            server = await start(line.client(), refresh_s=0.3, simulated=True)
            try:
                await page.goto(server.address)
                now_ms = BEGIN
                await all_clear(line, page, now_ms)
                for room, called in CALLED.items():
                    processes[room].terminate()
                    now_ms += 30 * MINUTE_MS
                    await beat(line, now_ms)
                    if room in STILL:
                        line.execute(f"ALTER TABLE watermark UPDATE ingest_time = ingest_time - {LONG_S} WHERE 1"
                                     " SETTINGS mutations_sync = 1")
                    await expect(page.locator("#headline b")).to_have_class("bad", timeout=patience(60_000))
                    if room != "store":  # with it all rooms seem to stand still, and the sentence names two
                        await expect(page.locator("#headline")).to_contain_text(called)
                    await expect(page.locator("#rooms li.bad").filter(has_text=called)).to_have_count(1)
                    processes[room].start()
                    now_ms += HOUR_MS
                    await all_clear(line, page, now_ms)
                result.figures = {"rooms stopped": len(CALLED)}
                result.lost = result.diff = 0
            finally:
                await server.close()
