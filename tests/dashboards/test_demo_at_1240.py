"""The demo at 12:40: every board's statements run on it, and the figures are those of what the rooms found."""

from __future__ import annotations

import pytest

from streams.board.queries import list_issues
from streams.sinks.clickhouse import ClickHouse, login
from streams.stack import Endpoints
from tests.dashboards.demo_at import DemoAt

pytestmark = pytest.mark.clickhouse


def test_one_depot_still_stands_still(clickhouse: Endpoints, demo: DemoAt, demo_database: str) -> None:
    reader = ClickHouse(login(clickhouse, "reader", demo_database))
    (open_now,) = [row for row in list_issues(reader) if row.state == "open"]
    assert (open_now.signal, open_now.cause) == ("delivery", {"warehouse": "HAM-2"})
    hit = {row.customer_id for row in demo.line.records("affected") if getattr(row, "issue_id", "") == open_now.id}
    assert open_now.affected == len(hit)
