"""A board never looks well while it is blind: sentence and line of rooms, on a real ClickHouse and a real page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from dashboards.boards import OPERATIONS
from dashboards.boards.operations_sql import HEADLINE
from dashboards.grafana import dashboard
from dashboards.macros import Range
from dashboards.model import LAG_BAD_S, LAG_WARN_S
from dashboards.palette import TONES
from streams.agents.store import Store
from streams.board.feed import Feed
from streams.board.server import start
from streams.board.views import TimeRange, View
from streams.sinks.clickhouse import ClickHouse, login
from streams.sinks.migrations import DDL
from streams.stack import Endpoints
from tests.dashboards.browsing import page
from tests.dashboards.progress import MARKED, marks
from tests.dashboards.seed import MINUTE, NOW
from tests.dashboards.test_feed import Clock
from tests.dashboards.test_panels import ask
from tests.sinks.examples import EXAMPLES, batch, impact, issue

__all__ = ["page"]

ALL_CLEAR = "No open issue. Nobody is known to suffer right now."


def headline(reader: ClickHouse, at_ms: int = NOW) -> tuple[str, str]:
    """Tone and sentence at a time of day."""
    ((tone, sentence),) = ask(reader, "headline", Range.ending(at_ms, 6)).rows
    return tone, sentence


def age(clickhouse: Endpoints, database: str, seconds: int, topics: tuple[str, ...] = ()) -> None:
    """Let everything stored (or that of some topics) look ``seconds`` older, as if the store had stood still since."""
    chosen = f"topic IN ({', '.join(map(repr, topics))})" if topics else "1"
    ClickHouse(login(clickhouse, "migrator", database)).query(
        f"ALTER TABLE watermark UPDATE ingest_time = ingest_time - {seconds} WHERE {chosen} SETTINGS mutations_sync = 1"
    )


@pytest.mark.clickhouse
def test_all_is_well_only_if_every_room_is_up_to_date(writer: ClickHouse, reader: ClickHouse) -> None:
    Store(writer).write(marks(NOW))
    assert headline(reader) == ("good", ALL_CLEAR)


@pytest.mark.clickhouse
def test_an_empty_database_knows_nothing(reader: ClickHouse) -> None:
    assert headline(reader) == ("bad", "Nothing is known: no event has arrived yet.")


@pytest.mark.clickhouse
@pytest.mark.parametrize("room", MARKED)
def test_a_room_that_is_behind_takes_the_all_clear_away(
    writer: ClickHouse, reader: ClickHouse, room: str
) -> None:
    Store(writer).write(marks(NOW, {room: MINUTE}))
    assert headline(reader) == ("good", ALL_CLEAR)
    Store(writer).write(marks(NOW + 2 * MINUTE, {room: 3 * MINUTE}, ver=2))
    assert headline(reader, NOW + 2 * MINUTE) == (
        "warn", f"No open issue as far as is known. Not up to date: {room} is 3 minutes behind.")
    Store(writer).write(marks(NOW + 1_474 * MINUTE, {room: 1_474 * MINUTE}, ver=3))
    assert headline(reader, NOW + 1_474 * MINUTE) == (
        "bad", f"Nobody can say whether all is well. Not up to date: {room} is 24 hours and 34 minutes behind.")


@pytest.mark.clickhouse
@pytest.mark.parametrize("room", MARKED)
def test_a_room_that_was_never_heard_of_is_unknown_and_so_is_one_with_a_partition_missing(
    writer: ClickHouse, reader: ClickHouse, room: str
) -> None:
    others = [mark for mark in marks(NOW) if mark.topic != MARKED[room]]
    Store(writer).write(others)
    assert headline(reader)[0] == "bad"
    if room not in ("join", "detection"):
        (first, *_) = [mark for mark in marks(NOW, partitions=1) if mark.topic == MARKED[room]]
        Store(writer).write([first])
        sentence = f"Nobody can say whether all is well. Not up to date: {room} was never heard of."
        assert headline(reader) == ("bad", sentence)


@pytest.mark.clickhouse
def test_a_store_that_stands_still_is_noticed_although_nothing_is_behind(
    clickhouse: Endpoints, database: str, writer: ClickHouse, reader: ClickHouse
) -> None:
    Store(writer).write(marks(NOW))
    age(clickhouse, database, 180)
    assert headline(reader)[0] == "warn"
    assert dict(ask(reader, "status").rows)["store"] == "! has not got on for 3 minutes"
    age(clickhouse, database, 600)
    assert headline(reader)[0] == "bad"


@pytest.mark.clickhouse
def test_one_partition_that_stands_still_is_enough(
    clickhouse: Endpoints, database: str, writer: ClickHouse, reader: ClickHouse
) -> None:
    Store(writer).write(marks(NOW))
    age(clickhouse, database, 700, ("affected",))
    tone, sentence = headline(reader)
    assert tone == "bad"
    assert "match has not got on for 11 minutes" in sentence


@pytest.mark.clickhouse
async def test_old_events_are_called_old_and_simulated_ones_are_not(writer: ClickHouse, reader: ClickHouse) -> None:
    Store(writer).write(marks(NOW))
    assert headline(reader, NOW + 3 * MINUTE)[0] == "warn"
    assert headline(reader, NOW + 11 * MINUTE) == (
        "bad", "Nobody can say whether all is well. Not up to date: the newest event is 11 minutes old.")
    clock = Clock()
    view = View(OPERATIONS.uid, TimeRange(6))
    for simulated, tone in ((True, "good"), (False, "bad")):
        clock.now = NOW / 1000 + 3_600
        shown = (await Feed(reader, clock, clock, simulated=simulated).collect(view))["panels"]
        (sentence,) = [panel["content"] for panel in shown if panel["slug"] == "headline"]
        assert sentence["tone"] == tone


@pytest.mark.clickhouse
def test_what_is_wrong_is_still_said_while_a_room_is_behind(writer: ClickHouse, reader: ClickHouse) -> None:
    Store(writer).write([batch("issue", [issue(opened_at_ms=NOW - MINUTE, updated_at_ms=NOW)]),
                         batch("impact", [impact(as_of_ms=NOW)]), batch("affected", EXAMPLES["affected"]),
                         *marks(NOW, {"match": 4 * MINUTE})])
    tone, sentence = headline(reader)
    assert tone == "bad"
    assert sentence == ("1 open issue: App 5.2.0 fails on android. 1 customer affected, 1 of them silent. Every minute "
                        "costs 99.00 EUR. No notice was sent. Not up to date: match is 4 minutes behind.")


@pytest.mark.clickhouse
def test_the_sentence_names_the_first_two_parts_that_are_not_up_to_date_and_counts_the_others(
    writer: ClickHouse, reader: ClickHouse
) -> None:
    Store(writer).write(marks(NOW, {"match": 4 * MINUTE, "outreach": 4 * MINUTE, "sender": 4 * MINUTE}))
    assert headline(reader)[1].endswith("match is 4 minutes behind, outreach is 4 minutes behind and 1 more.")


def test_the_thresholds_are_the_same_in_every_place() -> None:
    views = (DDL / "011_room_status.sql").read_text(encoding="utf-8")
    for text in (views, HEADLINE):
        assert set(map(int, re.findall(r">= (\d{3})\b", text))) == {LAG_WARN_S, LAG_BAD_S}


def test_grafana_shows_the_sentence_green_only_for_the_all_clear() -> None:
    panels: dict[str, Any] = {panel["title"]: panel for panel in dashboard(OPERATIONS)["panels"]}
    defaults = panels["In one sentence"]["fieldConfig"]["defaults"]
    rules = [(one["options"]["pattern"], one["options"]["result"]["color"]) for one in defaults["mappings"]]
    assert defaults["thresholds"]["steps"] == [{"color": TONES["bad"], "value": None}]

    def colour(sentence: str) -> str:
        return next((color for pattern, color in rules if re.search(pattern, sentence)), TONES["bad"])

    assert colour(ALL_CLEAR) == TONES["good"]
    assert colour(ALL_CLEAR + " Not up to date: match is 4 minutes behind.") == TONES["warn"]
    assert colour("Nobody can say whether all is well. Not up to date: sender was never heard of.") == TONES["bad"]


@pytest.mark.browser
@pytest.mark.clickhouse
async def test_the_page_takes_the_all_clear_back_when_a_room_falls_behind_and_when_nobody_answers(
    page: Page, writer: ClickHouse, reader: ClickHouse
) -> None:
    Store(writer).write(marks(NOW))
    server = await start(reader, refresh_s=0.3, simulated=True)
    try:
        await page.goto(server.address)
        await expect(page.locator("#headline")).to_have_text(ALL_CLEAR)
        await expect(page.locator("#headline b")).to_have_class("good")
        await expect(page.locator("#rooms li.good", has_text="detection")).to_have_count(1)
        await expect(page.locator("#rooms li.bad")).to_have_count(0)
        Store(writer).write(marks(NOW + 30 * MINUTE, {"detection": 30 * MINUTE}, ver=2))
        await expect(page.locator("#headline b")).to_have_class("bad")
        await expect(page.locator("#headline")).to_contain_text("detection is 30 minutes behind")
        await expect(page.locator("#rooms li.bad", has_text="detection")).to_contain_text("30 minutes behind")
    finally:
        await server.close()
    await expect(page.locator("#headline")).to_have_text(
        "Nobody can say whether all is well: the figures cannot be read.")
