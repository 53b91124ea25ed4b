"""The live board: its HTTP manners, and the page in a real browser on a real ClickHouse."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Page, async_playwright, expect

from dashboards.boards import OPERATIONS
from schemas.errors import SinkUnavailable
from streams.agents.store import Store
from streams.board.server import FILES, BoardServer, start
from streams.sinks.clickhouse import Answer, ClickHouse
from tests.dashboards.progress import marks
from tests.dashboards.seed import BIN, NOW, batches
from tests.dashboards.test_panels import source_rows
from tests.patience import patience
from tests.sinks.examples import EXAMPLES, batch, impact, issue

CHROMIUM = Path("/usr/bin/chromium")


class Silent(ClickHouse):
    """A client whose server is down."""

    def __init__(self) -> None:
        pass

    def query(self, sql: str, parameters: dict[str, object] | None = None) -> Answer:
        raise SinkUnavailable("ClickHouse")

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
async def dark() -> AsyncIterator[BoardServer]:
    """A board whose database is down from the start."""
    server = await start(Silent(), refresh_s=0.2)
    yield server
    await server.close()


async def get(url: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One request."""
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as answer:
        return answer.status, dict(answer.headers), await answer.read()


@pytest.mark.loopback
async def test_page_files_and_content_are_served_with_a_closed_content_policy(dark: BoardServer) -> None:
    for path in ("", "api/board", *(f"static/{name}" for name in FILES)):
        status, headers, body = await get(dark.address + path)
        assert (status, bool(body)) == (200, True), path
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.loopback
async def test_a_board_without_database_says_so_and_since_when(dark: BoardServer) -> None:
    first = json.loads((await get(dark.address + "api/board"))[2])
    await asyncio.sleep(0.3)
    second = json.loads((await get(dark.address + "api/board"))[2])
    assert (first["state"], first["message"]) == ("unreachable", "ClickHouse unreachable")
    assert first["since"] == second["since"]
    assert len(first["panels"]) == len(OPERATIONS.panels)


@pytest.mark.loopback
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "", "[::1", "localhost@evil", ":80"],
)
async def test_a_request_that_names_another_host_is_refused(dark: BoardServer, host: str) -> None:
    port = dark.address.rsplit(":", 1)[1].strip("/")
    status, headers, _ = await get(dark.address + "api/board", Host=host.format(port=port))
    assert status == 403
    assert "default-src 'none'" in headers["Content-Security-Policy"]


@pytest.mark.loopback
@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST", "localhost.", "localhost:80", "[::1]:443"]
)
async def test_a_request_to_loopback_is_answered_whatever_port_it_names(dark: BoardServer, host: str) -> None:
    assert (await get(dark.address + "api/board", Host=host))[0] == 200


@pytest.mark.loopback
async def test_a_name_in_the_settings_is_answered_too() -> None:
    server = await start(Silent(), refresh_s=0.2, hosts=("board.example",))
    assert (await get(server.address, Host="Board.example"))[0] == 200
    assert (await get(server.address, Host="board.example.evil.example"))[0] == 403
    await server.close()


@pytest.mark.loopback
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_nothing_but_reading_is_allowed(dark: BoardServer, method: str) -> None:
    assert (await get(dark.address + "api/board", method))[0] == 405


@pytest.mark.loopback
@pytest.mark.parametrize("path", ["static/../board.py", "static/%2e%2e/boards.py", "static/README", "api/boards"])
async def test_only_the_pages_own_files_can_be_reached(dark: BoardServer, path: str) -> None:
    assert (await get(dark.address + path))[0] == 404


@pytest.mark.loopback
@pytest.mark.parametrize("hours", ["0", "-1", "7", "1e9", "x", "6;DROP"])
async def test_only_the_offered_ranges_are_answered(dark: BoardServer, hours: str) -> None:
    assert (await get(f"{dark.address}api/board?hours={hours}"))[0] == 400


def test_no_file_of_the_page_asks_for_anything_elsewhere() -> None:
    for name, file in FILES.items():
        if not name.startswith("vendor/"):
            text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert "http:" not in text, name
            assert "https:" not in text, name
            assert "innerHTML" not in text, name


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A page in a real Chromium that fails the test on any script error."""
    if not CHROMIUM.exists():
        pytest.skip("no Chromium on this machine")
    errors: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        made = await browser.new_page(viewport={"width": 1600, "height": 1000})
        made.set_default_timeout(patience(30_000))
        expect.set_options(timeout=patience(5_000))
        made.on("pageerror", lambda error: errors.append(str(error)))
        made.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        yield made
        await browser.close()
    assert [error for error in errors if "Failed to load resource" not in error] == []


@pytest.mark.browser
@pytest.mark.clickhouse
async def test_an_injected_issue_appears_without_reloading(
    page: Page, writer: ClickHouse, reader: ClickHouse
) -> None:
    server = await start(reader, refresh_s=0.3, simulated=True)
    try:
        await page.goto(server.address)
        await expect(page.locator("#banner")).to_contain_text("No data")
        store = Store(writer)
        store.write([batch("source_count", source_rows("app-android", 9, range(-400, 0))), *marks(NOW)])
        await expect(page.locator("#headline")).to_have_text("No open issue. Nobody is known to suffer right now.")
        await expect(page.locator("#streams tbody tr")).to_have_count(1)
        injected = issue(title="<b>Checkout</b> & pay", opened_at_ms=NOW - 40 * BIN, updated_at_ms=NOW)
        store.write([batch("issue", [injected]), batch("impact", [impact(as_of_ms=NOW - BIN)]),
                     batch("affected", EXAMPLES["affected"])])
        await expect(page.locator("#issues tbody tr")).to_have_count(1)
        await expect(page.locator("#issues tbody")).to_contain_text("<b>Checkout</b> & pay")
        await expect(page.locator("#issues .chip").first).to_have_text("app_version = 5.2.0")
        await expect(page.locator("#headline")).to_contain_text("1 open issue: 1 customer affected, 1 of them silent.")
        await expect(page.locator("#per_minute")).to_contain_text("99.00")
        assert await page.evaluate("performance.getEntriesByType('navigation').length") == 1
    finally:
        await server.close()
    await expect(page.locator("#banner")).to_contain_text("does not answer", timeout=patience(15_000))
    await expect(page.locator("#issues tbody tr")).to_have_count(1)


@pytest.mark.browser
@pytest.mark.clickhouse
async def test_the_whole_afternoon_is_drawn(page: Page, writer: ClickHouse, reader: ClickHouse) -> None:
    Store(writer).write(list(batches()))
    server = await start(reader, refresh_s=0.5)
    try:
        await page.goto(server.address)
        await expect(page.locator("#issues tbody tr")).to_have_count(3)
        await expect(page.locator("#streams .badge.bad")).to_have_text("no data")
        await expect(page.locator("canvas")).to_have_count(3)
        await expect(page.locator("#silence .lane span")).to_have_count(2)
        await page.get_by_role("button", name="1 h").click()
        await expect(page.locator("#issues tbody tr")).to_have_count(2)
        width = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert width == 0
    finally:
        await server.close()
