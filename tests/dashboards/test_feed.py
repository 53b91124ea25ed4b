"""What the live board answers: freshness, failures, shared questions, shapes, variables; on a real ClickHouse."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from dashboards.boards import BOARDS, OPERATIONS, PIPELINE
from dashboards.lint import DATABASE
from dashboards.macros import Range, expand
from dashboards.model import Grid, Panel
from schemas.errors import SinkUnavailable
from streams.agents.store import Store
from streams.board.feed import Feed
from streams.board.questions import IDLE_FACTOR
from streams.board.shapes import Json, shape
from streams.board.views import HOURS, TimeRange, View
from streams.sinks.clickhouse import Answer, ClickHouse
from tests.dashboards.seed import MINUTE, NOW, SILENT_FROM, SILENT_TO
from tests.dashboards.test_panels import source_rows
from tests.sinks.examples import batch

SPAN = Range.ending(NOW, 6)
VIEW = View(OPERATIONS.uid, TimeRange(6))


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def panels_of(shown: Json) -> dict[str, Json]:
    """The panels of a view by slug."""
    return {panel["slug"]: panel for panel in shown["panels"]}


@pytest.mark.clickhouse
async def test_an_empty_database_is_called_empty(reader: ClickHouse) -> None:
    shown = await Feed(reader, lambda: 0.0, lambda: 0.0).collect(VIEW)
    assert (shown["state"], shown["event_now"]) == ("empty", None)


@pytest.mark.clickhouse
async def test_the_feed_says_stale_when_event_time_stands_still_and_live_when_it_moves(
    writer: ClickHouse, reader: ClickHouse
) -> None:
    clock = Clock()
    feed = Feed(reader, clock, clock)
    Store(writer).write([batch("source_count", source_rows("app-android", 9, range(3)))])
    assert (await feed.collect(VIEW))["state"] == "live"
    clock.now += 120
    assert (await feed.collect(VIEW))["state"] == "stale"
    Store(writer).write([batch("source_count", source_rows("app-android", 9, range(3, 4)))])
    clock.now += 10
    assert (await feed.collect(VIEW))["state"] == "live"


@pytest.mark.clickhouse
async def test_the_feed_keeps_the_last_figures_and_the_time_when_the_server_went(
    seeded: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    feed = Feed(seeded, clock, clock)
    before = await feed.collect(VIEW)
    monkeypatch.setattr(seeded, "query", _refuse)
    for _ in range(2):
        clock.now += 10
        after = await feed.collect(VIEW)
    assert (after["state"], after["since"]) == ("unreachable", "1970-01-01T00:16:50.000Z")
    assert [panel["content"] for panel in after["panels"]] == [panel["content"] for panel in before["panels"]]


@pytest.mark.clickhouse
async def test_a_panel_that_fails_says_so_and_the_others_go_on(
    seeded: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, unbroken = Clock(), seeded.query
    feed = Feed(seeded, clock, clock)

    def query(sql: str, parameters: dict[str, Any] | None = None) -> Answer:
        return _refuse() if "week_ago" in sql else unbroken(sql, parameters)

    wanted = {panel.slug for panel in OPERATIONS.panels if "week_ago" in panel.sql}
    assert wanted
    monkeypatch.setattr(seeded, "query", query)
    panels = panels_of(await feed.collect(VIEW))
    assert {slug for slug, panel in panels.items() if panel["error"]} == wanted


def _refuse(*_arguments: Any) -> Answer:
    raise SinkUnavailable("ClickHouse")


@pytest.mark.clickhouse
async def test_a_hundred_viewers_and_all_boards_ask_each_statement_once_a_period(
    seeded: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, unbroken, asked = Clock(), seeded.query, Counter[str]()
    feed = Feed(seeded, clock, clock)

    def query(sql: str, parameters: dict[str, Any] | None = None) -> Answer:
        asked[sql] += 1
        return unbroken(sql, parameters)

    monkeypatch.setattr(seeded, "query", query)
    views = [View(board.uid, TimeRange(6)) for board in BOARDS]
    await asyncio.gather(*(feed.collect(view) for view in views * 20))
    assert max(asked.values()) == 1
    assert sum(asked.values()) > len(OPERATIONS.panels) // 2
    await feed.questions.close()


@pytest.mark.clickhouse
async def test_a_slow_statement_is_asked_less_often(seeded: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, unbroken, asked = Clock(), seeded.query, Counter[str]()
    feed = Feed(seeded, clock, clock, refresh_s=1.0)

    def query(sql: str, parameters: dict[str, Any] | None = None) -> Answer:
        slow = "week_ago" in sql
        asked["slow" if slow else sql] += 1
        clock.now += 0.5 if slow else 0.0
        return unbroken(sql, parameters)

    monkeypatch.setattr(seeded, "query", query)
    await feed.collect(VIEW)
    clock.now += 0.5 * IDLE_FACTOR - 1
    await feed.collect(VIEW)
    assert asked["slow"] == 1
    clock.now += 2
    await feed.collect(VIEW)
    assert asked["slow"] == 2
    await feed.questions.close()


@pytest.mark.clickhouse
@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
async def test_every_panel_variable_and_mark_of_every_board_has_an_answer(seeded: ClickHouse, board: Any) -> None:
    feed = Feed(seeded, lambda: 0.0, lambda: 0.0, simulated=True)
    shown = await feed.collect(View(board.uid, TimeRange(6)))
    for panel in shown["panels"]:
        assert panel["kind"] == "text" or (panel["content"] is not None and panel["error"] == ""), panel["slug"]
    for other in (*shown["variables"], *shown["annotations"]):
        assert other["error"] == "", other["name"]
    await feed.questions.close()


@pytest.mark.clickhouse
@pytest.mark.parametrize("hours", HOURS)
async def test_every_offered_range_is_answered(seeded: ClickHouse, hours: int) -> None:
    shown = await Feed(seeded, lambda: 0.0, lambda: 0.0).collect(View(OPERATIONS.uid, TimeRange(hours)))
    assert [panel["slug"] for panel in shown["panels"] if panel["error"]] == []
    assert shown["span"] == [NOW - hours * 3_600_000, NOW]


HOSTILE = ("'", "\\", "\\'", "' OR 1=1 --", "') OR (1=1", "x'; DROP TABLE issue", "${issue:sqlstring}",
           "$__timeFilter(x)", "\0", "\u2019", "%(issue)s", "/*", "`")


@pytest.mark.clickhouse
async def test_no_value_of_a_variable_can_be_more_than_a_value(seeded: ClickHouse) -> None:
    found = 0
    for board in BOARDS:
        read = [variable for variable in board.variables if variable.name != DATABASE]
        feed = Feed(seeded, lambda: 0.0, lambda: 0.0, simulated=True)
        for value in HOSTILE if any(not variable.multi for variable in read) else HOSTILE[:1]:
            chosen = [(variable.name, HOSTILE if variable.multi else (value,)) for variable in read]
            shown = await feed.collect(View(board.uid, TimeRange(6), tuple(sorted(chosen))))
            found += len(read)
            for panel in shown["panels"]:
                assert panel["error"] == "", (panel["slug"], value)
        await feed.questions.close()
    literal = seeded.query(expand("SELECT [${v:sqlstring}]", SPAN, {"v": HOSTILE})).rows[0][0]
    assert list(literal) == list(HOSTILE)
    assert found or all(not board.variables for board in BOARDS)


@pytest.mark.clickhouse
def test_lanes_are_spans_of_each_state_cut_to_the_range(seeded: ClickHouse) -> None:
    panel = PIPELINE.panel("silence")
    lanes = {lane["name"]: [span[:2] for span in lane["spans"] if span[2] == "no data"]
             for lane in shape(panel, seeded.query(expand(panel.sql, SPAN)), SPAN)["lanes"]}  # fmt: skip
    assert lanes["telemetry · app-ios"] == [[SILENT_FROM, SILENT_TO]]
    assert lanes["order · carrier"] == [[NOW - MINUTE, NOW]]
    assert lanes["telemetry · app-android"] == []


def _panel(kind: Any, **more: Any) -> Panel:
    return Panel(1, "one", "One", kind, "count", "One.", Grid(0, 0, 1, 1), **more)


def test_a_series_has_a_gap_where_a_bin_is_missing_and_none_where_bins_are_wide() -> None:
    rows = [(0, "a", 1.0), (0, "wide", 5), (60_000, "a", 2.0), (240_000, "a", 3.0), (300_000, "wide", 6)]
    answer = Answer(("time", "series", "n"), ("Int64", "String", "Float64"), rows)
    first, wide = shape(_panel("timeseries"), answer, Range(0, 600_000, 10))["series"]
    assert list(zip(first["times"], first["values"], strict=True)) == [
        (0, 1.0), (60_000, 2.0), (120_000, None), (240_000, 3.0)]
    assert wide["values"] == [5, 6]


def test_a_band_lies_behind_a_series() -> None:
    answer = Answer(("time", "series", "n"), ("Int64", "String", "Float64"), [(0, "a", 1.0)])
    band = Answer(("time", "low", "high"), ("Int64",) * 3, [(0, 1, 3), (60_000, 1, 4)])
    shown = shape(_panel("timeseries"), answer, Range(0, 600_000, 10), band)
    assert shown["band"] == {"times": [0, 60_000], "low": [1, 1], "high": [3, 4]}


def test_lanes_with_words_keep_their_words() -> None:
    rows = [(0, "i", "open"), (50, "i", "open"), (100, "i", "recovering"), (300, "i", "")]
    answer = Answer(("time", "issue", "state"), ("Int64", "String", "String"), rows)
    (lane,) = shape(_panel("state"), answer, Range(10, 400, 10))["lanes"]
    assert lane["spans"] == [[10, 100, "open"], [100, 300, "recovering"]]


def test_a_missing_value_stays_missing() -> None:
    answer = Answer(("a", "b"), ("Nullable(Float64)", "Float64"), [(None, float("nan"))])
    assert shape(_panel("table"), answer, SPAN)["rows"] == [[None, None]]
