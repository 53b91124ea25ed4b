"""Boards of a replay: they say that it is one, only registered ones can be chosen; and two runs side by side."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest

from dashboards.boards import BOARDS, OPERATIONS, REPLAY, operations_sql, pipeline_sql, replay_sql
from dashboards.boards import common_sql as common
from dashboards.macros import Range, expand
from schemas.views import VIEWS
from streams.board.feed import Feed
from streams.board.shapes import Json
from streams.board.views import TimeRange, View, read_view
from streams.sinks.clickhouse import ClickHouse, login
from streams.stack import Endpoints
from tests.dashboards.seed import HISTORY_MIN, MINUTE, NOW
from tests.dashboards.test_feed import Clock, panels_of

SPAN = Range.ending(NOW, 7)


def compared(client: ClickHouse, sql: str, other: str) -> list[dict[str, Any]]:
    """Rows of a statement of the board, the database of the login as A."""
    return client.query(expand(sql, SPAN, {"a": (client.login.database,), "b": (other,)})).dicts()


@pytest.mark.clickhouse
def test_the_sentence_says_what_differs(seeded_board: ClickHouse, replayed: str) -> None:
    (row,) = compared(seeded_board, replay_sql.HEADLINE, replayed)
    assert row["sentence"].startswith(
        "2 of 4 issues are in both runs: 1 is only in A, 1 is only in B, 1 has another cause. B sees 1 earlier than A, "
        "by 12 minutes. Customers affected: A 813, B 603. Notices that would go: A 559, B 404.")
    (same,) = compared(seeded_board, replay_sql.HEADLINE, seeded_board.login.database)
    assert same["sentence"].startswith("Both runs see the same 3 issues, each at the same time. ")


@pytest.mark.clickhouse
def test_issues_stand_side_by_side_with_what_is_different(seeded_board: ClickHouse, replayed: str) -> None:
    rows = {row["id_a"] or row["id_b"]: row for row in compared(seeded_board, replay_sql.ISSUES, replayed)}
    assert {name: (row["found"], row["b_is"]) for name, row in rows.items()} == {
        "i-pay": ("both", "the same"), "i-depot": ("only A", ""), "i-app": ("both", "12 minutes earlier"),
        "i-calls": ("only B", "")}
    assert (rows["i-app"]["hit_a"], rows["i-app"]["hit_b"]) == (412, 430)
    assert (rows["i-app"]["risk_a"], rows["i-app"]["risk_b"]) == ("12,318.80 EUR", "12,857.00 EUR")
    assert (rows["i-depot"]["seen_in_b"], rows["i-depot"]["hit_b"]) == (None, None)
    assert rows["i-pay"]["cause"] == "at payment provider paynow in FR; in B: at payment provider paynow"
    assert {row["database_b"] for row in rows.values()} == {replayed}


@pytest.mark.clickhouse
def test_lanes_of_one_problem_lie_together_and_say_who_saw_it_when(seeded_board: ClickHouse, replayed: str) -> None:
    lanes: dict[str, list[tuple[int, str]]] = {}
    for row in compared(seeded_board, replay_sql.LANES, replayed):
        turn = (int(row["time"].timestamp() * 1_000) - NOW) // MINUTE, row["state"]
        lanes.setdefault(row["lane"].partition(" ")[2].partition(":")[2][3:], []).append(turn)
    assert [name[-1] for name in lanes] == ["A", "B"] * 4
    app = "Android app 5.2.0 fails at checkout · "
    assert lanes[app + "A"][1:3] == [(-95, "suspected"), (-91, "open")]
    assert lanes[app + "B"][1:3] == [(-107, "suspected"), (-103, "open")]
    assert {state for _, state in lanes["Promises break at depot HAM-2 · B"]} == {""}
    assert lanes["paynow declines cards in FR · A"][-2:] == [(-180, ""), (0, "")]


@pytest.mark.clickhouse
def test_decisions_and_totals_add_up_to_what_each_run_has(seeded_board: ClickHouse, replayed: str) -> None:
    decisions = compared(seeded_board, replay_sql.DECISIONS, replayed)
    assert [sum(row[name] for row in decisions) for name in ("of_a", "of_b")] == [813, 603]
    assert all(row["difference"] == row["of_b"] - row["of_a"] for row in decisions)
    totals = {row["measure"]: (row["in_a"], row["in_b"]) for row in compared(seeded_board, replay_sql.TOTALS, replayed)}
    assert totals["Issues"] == ("3", "3")
    assert totals["Customers affected"] == ("813", "603")
    assert totals["Events accepted"][0] == totals["Events accepted"][1] != "0"
    assert totals["Money at risk"][1] == "18,029.70 EUR"
    sent = {row["of_b"] for row in decisions if (row["decision"], row["message"]) == ("send", "notice")}
    assert totals["Notices that would go"][1] == str(sum(sent))


@pytest.mark.clickhouse
def test_customers_known_to_be_affected_only_grow(seeded_board: ClickHouse, replayed: str) -> None:
    rows = compared(seeded_board, replay_sql.AFFECTED, replayed)
    for run, total in (("A", 813), ("B", 603)):
        figures = {int(row["time"].timestamp()): row["affected"] for row in rows if row["run"] == run}
        assert list(figures.values()) == sorted(figures.values())
        assert figures[max(figures)] == total
        assert {late - early for early, late in pairwise(figures)} == {SPAN.interval_s}


@pytest.mark.clickhouse
def test_a_status_of_a_replay_says_only_that_it_is_one(
    clickhouse: Endpoints, seeded_board: ClickHouse, replayed: str
) -> None:
    shown = ClickHouse(login(clickhouse, "reader", replayed))
    assert shown.query(expand(common.STATUS, SPAN)).rows == [
        ("not live", "! Replay wider of recording afternoon")]
    late = Range.ending(NOW + 3_600 * MINUTE, 6)
    ((tone, sentence),) = shown.query(expand(operations_sql.HEADLINE, late)).rows
    assert sentence.startswith("Replay wider of recording afternoon, not live. 2 open issues: ")
    assert (tone, "up to date" in sentence) == ("bad", False)
    assert "Not up to date" in seeded_board.query(expand(operations_sql.HEADLINE, late)).rows[0][1]
    items = dict(compared_rows(seeded_board, replayed))
    assert items["A"] == "! the live database: it goes on"
    assert items["B"] == "✓ Replay wider of recording afternoon"


def compared_rows(client: ClickHouse, other: str) -> list[tuple[str, str]]:
    """The status line of the board."""
    return [(row["item"], row["text"]) for row in compared(client, replay_sql.TRUST, other)]


@pytest.mark.clickhouse
def test_no_process_is_missed_where_none_runs(clickhouse: Endpoints, seeded_board: ClickHouse, replayed: str) -> None:
    shown = ClickHouse(login(clickhouse, "reader", replayed))
    for sql in (pipeline_sql.ROOMS_NOW, pipeline_sql.WATERMARK_AGE, pipeline_sql.SENDER):
        assert seeded_board.query(expand(sql, SPAN)).rows
        assert shown.query(expand(sql, SPAN)).rows == []


@pytest.mark.clickhouse
async def test_the_live_board_shows_a_registered_replay_and_nothing_else(
    seeded_board: ClickHouse, replayed: str
) -> None:
    clock = Clock()
    feed = Feed(seeded_board, clock, clock)
    live = await feed.collect(View(OPERATIONS.uid, TimeRange(6)))
    shown = await feed.collect(View(OPERATIONS.uid, TimeRange(6), (("database", (replayed,)),)))
    assert (live["state"], shown["state"]) == ("live", "replay")
    assert shown["message"] == "This is the replay wider, not live."
    assert shown["event_now"] == live["event_now"]
    texts = [panels_of(one)["headline"]["content"]["text"] for one in (live, shown)]
    assert [text.startswith("Replay wider of recording afternoon, not live. ") for text in texts] == [False, True]
    assert ids(live) == {"i-app", "i-depot"}
    assert ids(shown) == {"i-app-earlier", "i-calls"}
    choices = next(one for one in live["variables"] if one["name"] == "database")
    assert choices["options"] == [[seeded_board.login.database, "live"], [replayed, "replay wider"]]
    await feed.questions.close()


def ids(shown: Json) -> set[str]:
    """Issues of the list of operations that are open."""
    content = panels_of(shown)["issues"]["content"]
    at, state = content["columns"].index("issue_id"), content["columns"].index("state")
    return {row[at] for row in content["rows"] if row[state] != "resolved"}


@pytest.mark.clickhouse
@pytest.mark.parametrize("wanted", ["system", "cx_replay_none", "x; DROP TABLE issue", "information_schema`.`tables"])
async def test_a_database_that_is_not_offered_is_never_asked(
    seeded_board: ClickHouse, replayed: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    unbroken = seeded_board.query

    def query(sql: str, parameters: dict[str, Any] | None = None) -> Any:
        asked.append(sql)
        return unbroken(sql, parameters)

    monkeypatch.setattr(seeded_board, "query", query)
    clock = Clock()
    feed = Feed(seeded_board, clock, clock)
    for board, name in ((OPERATIONS, "database"), (REPLAY, "b")):
        shown = await feed.collect(View(board.uid, TimeRange(6), ((name, (wanted,)),)))
        assert shown["state"] == "gone"
        assert not any(panel["content"] for panel in shown["panels"])
    assert not any(wanted in sql for sql in asked)
    await feed.questions.close()


@pytest.mark.clickhouse
async def test_the_board_of_two_runs_compares_live_with_the_newest_replay_at_first(
    seeded_board: ClickHouse, replayed: str
) -> None:
    clock = Clock()
    feed = Feed(seeded_board, clock, clock)
    shown = await feed.collect(View(REPLAY.uid, TimeRange(24)))
    assert {one["name"]: one["chosen"] for one in shown["variables"]} == {
        "a": [seeded_board.login.database], "b": [replayed]}
    assert {panel["slug"]: panel["error"] for panel in shown["panels"] if panel["error"]} == {}
    assert shown["event_now"] == "2026-01-02T12:00:00.000Z"
    (run,) = panels_of(shown)["runs"]["content"]["rows"]
    assert {"B", "wider", "recording afternoon", NOW - HISTORY_MIN * MINUTE} <= set(run)
    await feed.questions.close()


@pytest.mark.parametrize("value", ["", "a b", "a`", "a.b", "A", "é", "a" * 129, "a\n"])
def test_a_database_is_an_identifier_or_the_statement_is_not_made(value: str) -> None:
    with pytest.raises(ValueError, match="names a database"):
        expand("SELECT 1 FROM ${a:raw}.issue_overview", SPAN, {"a": (value,)})


def test_only_one_database_can_be_named() -> None:
    for chosen in ({}, {"a": ()}, {"a": ("cx", "cx_replay_x")}):
        with pytest.raises(ValueError, match="names a database"):
            expand("SELECT 1 FROM ${a:raw}.issue_overview", SPAN, chosen)


def test_the_two_runs_are_read_through_views_only() -> None:
    found = {name for panel in REPLAY.panels for name in re.findall(r":raw\}\.(\w+)", panel.sql)}
    assert found
    assert found <= set(VIEWS)


def test_every_board_that_shows_what_happened_can_show_a_replay() -> None:
    without = {board.uid for board in BOARDS if not any(variable.strict for variable in board.variables)}
    assert without == {"cx-definitions"}
    view = read_view(OPERATIONS, [("var-database", "cx_replay_x"), ("var-a", "cx"), ("var-b", "cx_replay_x")])
    assert view.chosen == (("database", ("cx_replay_x",)),)
