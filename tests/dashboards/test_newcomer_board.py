"""The board of operations alone answers a newcomer, for the demo at 12:40, from what the page says in words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Page, expect

from streams.board.queries import IssueRow, list_issues
from streams.board.server import start
from streams.sinks.clickhouse import ClickHouse, login
from streams.stack import Endpoints
from tests.dashboards.demo_at import DemoAt
from tests.dashboards.test_board import page

__all__ = ["page"]
pytestmark = [pytest.mark.browser, pytest.mark.clickhouse]


@pytest.fixture
def demo_reader(clickhouse: Endpoints, demo_database: str) -> ClickHouse:
    """The reader on the demo at 12:40."""
    return ClickHouse(login(clickhouse, "reader", demo_database))


@pytest.fixture
async def board(page: Page, demo_reader: ClickHouse) -> AsyncIterator[Page]:
    """The live board's first page."""
    server = await start(demo_reader, refresh_s=0.5, simulated=True)
    try:
        await page.goto(server.address)
        await expect(page.locator("#headline")).to_contain_text("open issue")
        yield page
    finally:
        await server.close()


def found(demo: DemoAt, issue: IssueRow) -> dict[str, Any]:
    """What the rooms found out about an issue, counted from their records: customers by id, and those who were sent
    a notice."""
    rows = {row.customer_id: row for row in demo.line.records("affected") if getattr(row, "issue_id", "") == issue.id}
    notices = [row for row in demo.deliveries() if row.issue_id == issue.id and row.stage == "notice"]
    silent = [name for name, row in rows.items() if row.contacted_at_ms is None]
    return {"affected": len(rows), "silent": len(silent), "sent": len(notices)}


async def test_the_page_says_what_is_wrong_who_suffers_since_when_what_it_costs_what_was_sent_and_whether_to_trust_it(
    board: Page, demo: DemoAt, demo_reader: ClickHouse
) -> None:
    active = [issue for issue in list_issues(demo_reader) if issue.active]
    (depot,) = [issue for issue in active if issue.state == "open"]
    counted = found(demo, depot)
    headline = (await board.locator("#headline").inner_text()).replace("\n", " ")
    row = (await board.locator("#issues tbody tr", has_text="HAM-2").inner_text()).replace("\n", " ")
    for text in (headline, row):
        assert "Deliveries are late at warehouse HAM-2" in text  # what is wrong
        assert depot.money.per_minute[0].text in text.replace("\u00a0", " ")  # what a minute costs
    everybody = {row.customer_id for row in demo.line.records("affected")
                 if getattr(row, "issue_id", "") in {issue.id for issue in active}}  # fmt: skip
    assert f"{len(everybody)} customers affected" in headline  # who suffers
    assert str(counted["affected"]) in row
    assert depot.opened_at[11:16] in row  # since when
    assert f"{sum(found(demo, issue)['sent'] for issue in active)} notices were sent" in headline  # what was sent
    assert str(counted["sent"]) in row
    status = (await board.locator("#rooms").inner_text()).replace("\n", " ")
    for part in ("newest event", "join", "match", "outreach", "sender", "store", "dead letters", "channel webhook"):
        assert part in status  # whether the figures can be trusted
