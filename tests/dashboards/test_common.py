"""What every board has: the status line, variables, annotations, money in words; on a real ClickHouse."""

from __future__ import annotations

import time

import pytest

from dashboards.boards import common_sql as sql
from dashboards.boards.common import ANNOTATIONS, status_panel, variables
from dashboards.lint import problems
from dashboards.macros import Range, expand
from dashboards.model import Board, Grid
from schemas import findings
from schemas.currencies import money_text
from schemas.events import Command
from streams.agents.store import Store
from streams.sinks.clickhouse import ClickHouse
from tests.dashboards.progress import marks
from tests.dashboards.seed import BIN, MINUTE, NOW, appended
from tests.sinks.examples import batch

pytestmark = pytest.mark.clickhouse
SPAN = Range.ending(NOW, 6)
DAY = 24 * 60 * MINUTE
SIGNS = ("✓ ", "! ", "✗ ")


def status(client: ClickHouse, at_ms: int = NOW) -> dict[str, str]:
    """The status line: item -> text."""
    return {str(item): str(text) for item, text in client.query(expand(sql.STATUS, Range.ending(at_ms, 6))).rows}


def counted(events: int) -> findings.SourceCount:
    """Events of one bin."""
    return findings.SourceCount(topic="order", source="web-shop", partition=0, bin_ms=NOW, width_ms=BIN, events=events)


def test_the_status_line_names_every_room_and_is_well_only_if_all_are(writer: ClickHouse, reader: ClickHouse) -> None:
    Store(writer).write([*marks(NOW), batch("channel", [
        findings.ChannelState(channel="webhook", partition=0, state="closed", since_ms=NOW)])])
    lines = status(reader)
    assert list(lines) == ["newest event", "join", "detection", "match", "outreach", "experience", "sender", "store",
                           "lag", "dead letters, last hour", "sending", "channel webhook"]
    assert {text[:2] for text in lines.values()} == {"✓ "}
    assert lines["sender"].endswith("s behind")


def test_an_empty_database_has_no_good_news_about_rooms_or_channels(reader: ClickHouse) -> None:
    lines = status(reader)
    assert lines["newest event"] == "✗ none has arrived yet"
    assert lines["join"] == lines["sender"] == "✗ never heard of"
    assert (lines["lag"], lines["channels"]) == ("✗ unknown", "! nothing known of any")


def test_what_is_late_old_gone_and_stopped_is_said_with_its_sign(writer: ClickHouse, reader: ClickHouse) -> None:
    Store(writer).write([
        *marks(NOW, {"match": 5 * MINUTE, "detection": 60 * MINUTE}),
        appended(batch("command", [Command(command_id="c-1", issued_at_ms=NOW - MINUTE, action="stop")])),
        batch("channel", [findings.ChannelState(channel="webhook", partition=0, state="paused", since_ms=NOW)]),
    ])
    lines = status(reader, NOW + 3 * MINUTE)
    assert lines["newest event"] == "! 3 minutes old"
    assert (lines["match"], lines["detection"]) == ("! 5 minutes behind", "✗ 60 minutes behind")
    assert lines["lag"] == "✗ at most 60 minutes"
    assert lines["sending"] == "! stop ordered 2 Jan 11:59"
    assert lines["channel webhook"] == "✗ gone since 2 Jan 12:00"
    Store(writer).write([appended(batch("command", [
        Command(command_id="c-2", issued_at_ms=NOW, action="resume")]))])
    assert status(reader)["sending"] == "✓ not stopped"


def test_dead_letters_are_said_with_their_share_of_all_messages(writer: ClickHouse, reader: ClickHouse) -> None:
    letter = batch("order.dlq", [b"{}"], headers=[[("dlq.reason", b"schema")]])
    Store(writer).write([appended(letter, time.time_ns() // 1_000_000)])
    for ver, (events, text) in enumerate((
        (49, "✗ 1, 2 % of the messages"), (399, "! 1, 0.25 % of the messages"),
        (99_999, "! 1, below 0.01 % of the messages"),
    ), 1):
        Store(writer).write([batch("source_count", [counted(events)], ver=ver)])
        assert status(reader)["dead letters, last hour"] == text


def test_the_clock_is_that_of_the_counts_until_join_has_spoken_and_of_the_newest_then(
    writer: ClickHouse, reader: ClickHouse
) -> None:
    def clock() -> tuple[int, ...]:
        (row,) = reader.query(
            "SELECT toUnixTimestamp64Milli(now), toUnixTimestamp64Milli(closed_through) FROM event_clock").rows
        return tuple(row)

    store, later = Store(writer), NOW + 3 * DAY
    assert clock() == (0, 0)
    store.write([batch("source_count", [counted(1)])])
    assert clock() == (NOW + BIN, NOW + BIN)
    store.write([batch("affected", [findings.Watermark(partition=0, through_ms=later)])])
    assert clock() == (later, NOW + BIN)
    closed = [findings.BinClosed(partition=0, partitions=1, through_ms=NOW - MINUTE)]
    store.write([batch("cohort_count", closed)])
    assert clock() == (later, NOW - MINUTE)
    store.write([batch("source_count", [counted(1).model_copy(update={"bin_ms": later})])])
    assert clock() == (later + BIN, NOW - MINUTE)


def test_variables_offer_what_there_is(seeded: ClickHouse) -> None:
    def choices(statement: str) -> list[tuple[object, ...]]:
        return [tuple(row) for row in seeded.query(statement).rows]

    assert choices(sql.PRODUCTS) == [("shop",)]
    assert choices(sql.SIGNALS) == [("app",), ("delivery",), ("payment",)]
    assert choices(sql.REGIONS) == [("DE",), ("FR",)]
    assert choices(sql.SEGMENTS) == [("business",), ("family",)]
    assert [value for value, _ in choices(sql.ISSUES)] == ["i-app", "i-depot", "i-pay"]
    assert len(choices(sql.DATABASES)) == 1


def test_annotations_say_what_happened_in_the_range(seeded: ClickHouse) -> None:
    def texts(statement: str, span: Range = SPAN) -> list[str]:
        return [str(row[1]) for row in seeded.query(expand(statement, span)).rows]

    assert texts(sql.CHANGES) == ["Android 5.2.0"]
    assert [text.partition(":")[0] for text in texts(sql.TURNS)] == [
        "Issue opened", "Issue opened", "Issue resolved", "Issue opened"]
    assert len(texts(sql.FIRST_NOTICES)) == 3
    assert texts(sql.DRILLS) == []
    hour = Range.ending(NOW - 120 * MINUTE, 1)
    assert texts(sql.CHANGES, hour) == texts(sql.FIRST_NOTICES, hour) == []
    assert [text.partition(":")[0] for text in texts(sql.TURNS, hour)] == ["Issue resolved"]


def test_a_range_of_money_names_its_currency_once(seeded: ClickHouse) -> None:
    lists = "[('EUR', 8000), ('JPY', -7)], [('EUR', 24000), ('JPY', -7)]"
    (row,) = seeded.query(
        f"WITH {sql.MONEY_TEXT}, [{lists}]::Array(Array(Tuple(currency String, minor Int64))) AS both"
        " SELECT money_ranges(both[1], both[2])"
    ).rows
    assert row[0] == f"80.00 to {money_text(24_000, 'EUR')} + {money_text(-7, 'JPY')}"


def test_the_status_line_is_a_panel_that_breaks_no_rule() -> None:
    board = Board("cx-any", "Any", "Any.", (status_panel(7, Grid(0, 0, 24, 2)),), variables(), ANNOTATIONS)
    assert problems(board) == []
    assert board.panel("status").id == 7
