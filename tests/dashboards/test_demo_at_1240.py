"""The demo at 12:40: every board's statements run on it, and the figures are those of what the rooms found."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboards.boards import OPERATIONS
from dashboards.macros import Range, expand
from streams.board.queries import list_issues
from streams.sinks.clickhouse import ClickHouse, login
from streams.stack import Endpoints
from tests.dashboards.demo_at import DemoAt

pytestmark = pytest.mark.clickhouse
ROOT = Path(__file__).parents[2]


def test_one_depot_still_stands_still(clickhouse: Endpoints, demo: DemoAt, demo_database: str) -> None:
    reader = ClickHouse(login(clickhouse, "reader", demo_database))
    (open_now,) = [row for row in list_issues(reader) if row.state == "open"]
    assert (open_now.signal, open_now.cause) == ("delivery", {"warehouse": "HAM-2"})
    hit = {row.customer_id for row in demo.line.records("affected") if getattr(row, "issue_id", "") == open_now.id}
    assert open_now.affected == len(hit)


def test_the_page_about_the_boards_reads_aloud_what_they_show(
    clickhouse: Endpoints, demo: DemoAt, demo_database: str
) -> None:
    reader = ClickHouse(login(clickhouse, "reader", demo_database))
    span = Range.ending(demo.until_ms, 6)
    written = " ".join((ROOT / "docs" / "boards.md").read_text(encoding="utf-8").split())
    ((_, sentence),) = reader.query(expand(OPERATIONS.panel("headline").sql, span)).rows
    answer = reader.query(expand(OPERATIONS.panel("issues").sql, span))
    row = dict(zip(answer.names, answer.rows[0], strict=True))
    for shown in (
        sentence.partition(" Not up to date")[0], row["title"], f"{row['affected']} by this one",
        f"{100 * row['silent_share']:.1f} %", f"{row['opened_at']:%H:%M}", row["last_hour"], row["sent"],
        row["per_minute"].removesuffix(" (assumed)"),
    ):  # fmt: skip
        assert shown in written
