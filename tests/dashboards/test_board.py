"""The live board: its HTTP manners, and the page in a real browser on a real ClickHouse."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Page, expect
from pydantic import SecretStr

from dashboards.boards import BOARDS, OPERATIONS
from schemas.errors import SinkUnavailable
from streams.agents.store import Store
from streams.board import viewers
from streams.board.server import FILES, BoardServer, start
from streams.sinks.clickhouse import Answer, ClickHouse, Login
from tests.dashboards.browsing import page
from tests.dashboards.progress import marks
from tests.dashboards.seed import BIN, NOW, batches
from tests.dashboards.test_panels import source_rows
from tests.patience import patience
from tests.sinks.examples import EXAMPLES, batch, impact, issue

__all__ = ["page"]


class Silent(ClickHouse):
    """A client whose server is down."""

    def __init__(self) -> None:
        super().__init__(Login("localhost", 1, "reader", SecretStr(""), "cx"))

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
    boards = [board.name for board in BOARDS]
    for path in (*boards, *(f"api/board/{name}" for name in boards), *(f"static/{name}" for name in FILES)):
        status, headers, body = await get(dark.address + path)
        assert (status, bool(body)) == (200, True), path
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.loopback
async def test_a_board_without_database_says_so_and_since_when(dark: BoardServer) -> None:
    first = json.loads((await get(dark.address + "api/board/operations"))[2])
    await asyncio.sleep(0.3)
    second = json.loads((await get(dark.address + "api/board/operations"))[2])
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
    status, headers, _ = await get(dark.address + "api/board/operations", Host=host.format(port=port))
    assert status == 403
    assert "default-src 'none'" in headers["Content-Security-Policy"]


@pytest.mark.loopback
@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST", "localhost.", "localhost:80", "[::1]:443"]
)
async def test_a_request_to_loopback_is_answered_whatever_port_it_names(dark: BoardServer, host: str) -> None:
    assert (await get(dark.address + "api/board/operations", Host=host))[0] == 200


@pytest.mark.loopback
async def test_a_name_in_the_settings_is_answered_too() -> None:
    server = await start(Silent(), refresh_s=0.2, hosts=("board.example",))
    assert (await get(server.address, Host="Board.example"))[0] == 200
    assert (await get(server.address, Host="board.example.evil.example"))[0] == 403
    await server.close()


@pytest.mark.loopback
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_nothing_but_reading_is_allowed(dark: BoardServer, method: str) -> None:
    assert (await get(dark.address + "api/board/operations", method))[0] == 405


@pytest.mark.loopback
@pytest.mark.parametrize(
    "path",
    ["static/../board.py", "static/%2e%2e/boards.py", "static/README", "api/boards", "api/board", "nothing",
     "api/stream/nothing"],
)
async def test_only_the_pages_own_files_can_be_reached(dark: BoardServer, path: str) -> None:
    assert (await get(dark.address + path))[0] == 404


@pytest.mark.loopback
@pytest.mark.parametrize(
    "query", ["from=now-7h", "from=0&to=x", "from=5&to=1", "hours=6", "var-nothing=1", "from=now-6h&to=7"]
)
@pytest.mark.parametrize("kind", ["board", "stream"])
async def test_only_ranges_and_variables_that_exist_are_answered(dark: BoardServer, kind: str, query: str) -> None:
    status, headers, body = await get(f"{dark.address}api/{kind}/operations?{query}")
    assert (status, headers["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert body


@pytest.mark.loopback
async def test_the_first_board_is_where_one_arrives_and_the_address_is_kept(dark: BoardServer) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{dark.address}?from=now-24h&to=now") as answer:
        assert str(answer.url) == f"{dark.address}{BOARDS[0].name}?from=now-24h&to=now"


async def next_event(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    """The next event of a stream."""
    while not (line := await answer.content.readline()).startswith(b"data: "):
        assert line, "the stream ended"
    return dict(json.loads(line.removeprefix(b"data: ")))


@pytest.mark.loopback
async def test_a_stream_begins_with_everything_and_goes_on_with_what_changed(dark: BoardServer) -> None:
    timeout = aiohttp.ClientTimeout(total=patience(20))
    async with (
        aiohttp.ClientSession(read_bufsize=2**22, timeout=timeout) as session,
        session.get(f"{dark.address}api/stream/operations") as answer,
    ):
        assert answer.content_type == "text/event-stream"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        first, second = await next_event(answer), await next_event(answer)
    assert len(first["panels"]) == len(OPERATIONS.panels)
    assert (second["panels"], second["number"], "board" in second) == ([], 2, False)


@pytest.mark.loopback
async def test_a_server_that_ends_lets_its_viewers_go(dark: BoardServer) -> None:
    async with (
        aiohttp.ClientSession(read_bufsize=2**22) as session,
        session.get(f"{dark.address}api/stream/operations") as answer,
    ):
        await next_event(answer)
        async with asyncio.timeout(patience(10)):
            await dark.runner.cleanup()


@pytest.mark.loopback
async def test_a_view_that_everybody_left_is_served_again(dark: BoardServer) -> None:
    async with aiohttp.ClientSession(read_bufsize=2**22) as session:
        for _ in range(3):
            async with session.get(f"{dark.address}api/stream/operations") as answer:
                await next_event(answer)
                await next_event(answer)
            await asyncio.sleep(0.5)  # longer than a refresh: nobody takes snapshots any more


@pytest.mark.loopback
async def test_one_viewer_or_one_view_too_many_is_refused(dark: BoardServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewers, "MOST_VIEWS", 1)
    monkeypatch.setattr(viewers, "MOST_VIEWERS", 1)
    async with (
        aiohttp.ClientSession(read_bufsize=2**22) as session,
        session.get(f"{dark.address}api/stream/operations") as answer,
    ):
        await next_event(answer)
        for path in ("api/stream/operations", "api/board/operations?from=now-1h"):
            status, headers, _ = await get(dark.address + path)
            assert (status, headers["Retry-After"]) == (503, "10"), path
        assert (await get(f"{dark.address}api/board/operations"))[0] == 200


def test_no_file_of_the_page_asks_for_anything_elsewhere() -> None:
    for name, file in FILES.items():
        if not name.startswith("vendor/"):
            text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert "http:" not in text, name
            assert "https:" not in text, name
            assert "innerHTML" not in text, name


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
        injected = issue(title="<b>Checkout</b> & pay", opened_at_ms=NOW - 40 * BIN, updated_at_ms=NOW)
        store.write([batch("issue", [injected]), batch("impact", [impact(as_of_ms=NOW - BIN)]),
                     batch("affected", EXAMPLES["affected"])])
        await expect(page.locator("#issues tbody tr")).to_have_count(1)
        await expect(page.locator("#issues tbody")).to_contain_text("<b>Checkout</b> & pay")
        await expect(page.locator("#headline")).to_contain_text("1 open issue:")
        await expect(page.locator("#headline")).to_contain_text("1 customer affected, 1 of them silent.")
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
        await expect(page.locator("canvas")).to_have_count(2)
        await page.get_by_role("link", name="1 h", exact=True).click()
        await expect(page.locator("#issues tbody tr")).to_have_count(2)
        await page.get_by_role("link", name="pipeline", exact=True).click()
        await expect(page.locator("#streams .badge.bad")).to_have_text("✗ no data")
        await page.get_by_role("link", name="6 h", exact=True).click()
        await expect(page.locator("#silence .lane span.bad")).to_have_count(2)
        width = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert width == 0
    finally:
        await server.close()
