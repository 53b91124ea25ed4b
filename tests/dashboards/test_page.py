"""The page of every board in a real Chromium: accessible, in the address, on a phone, printed; one server for all."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from dashboards.boards import BOARDS
from schemas.errors import SinkUnavailable
from streams.board.server import BoardServer, start
from streams.sinks.clickhouse import Answer, ClickHouse, login
from streams.stack import Endpoints
from tests.dashboards.browsing import chromium, clean_page
from tests.patience import patience

pytestmark = [pytest.mark.browser, pytest.mark.clickhouse, pytest.mark.asyncio(loop_scope="module")]
AXE = files("axe_playwright_python").joinpath("axe.min.js")
GRAVE = ("serious", "critical")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser for this module."""
    async with chromium() as made:
        yield made


class Breakable(ClickHouse):
    """A client that a test can break: everything, or statements that contain a text."""

    broken = ""

    def query(self, sql: str, parameters: dict[str, Any] | None = None) -> Answer:
        if self.broken and self.broken in sql:
            raise SinkUnavailable("ClickHouse")
        return super().query(sql, parameters)


@pytest.fixture(scope="module")
def client(clickhouse: Endpoints, afternoon: str) -> Breakable:
    """A reader of the made-up afternoon."""
    return Breakable(login(clickhouse, "reader", afternoon))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(client: Breakable) -> AsyncIterator[BoardServer]:
    """All boards of that afternoon."""
    made = await start(client, refresh_s=0.5, simulated=True)
    yield made
    await made.close()


async def shown(page: Page, address: str) -> None:
    """Go there and wait until the figures are drawn."""
    await page.goto(address)
    await expect(page.locator("#grid")).to_have_attribute("aria-busy", "false", timeout=patience(20_000))


async def too_wide(page: Page) -> list[str]:
    """What is wider than the window, if anything is."""
    return list(await page.evaluate("""() => document.documentElement.scrollWidth <= innerWidth ? [] :
        [...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
            .map((one) => `${one.tagName} ${one.className} ${one.closest('section')?.id}`)"""))


async def grave(page: Page) -> list[str]:
    """Serious and critical faults that axe-core finds."""
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{one['id']}: {node['html'][:160]} {node['any'][0]['message'] if node['any'] else ''}"
            for one in found["violations"] if one["impact"] in GRAVE for node in one["nodes"]]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
async def test_every_board_can_be_read_by_everybody(browser: Browser, server: BoardServer, board: Any) -> None:
    async with clean_page(browser, 1440, 900) as page:
        await shown(page, f"{server.address}{board.name}?theme=dark")
        assert await too_wide(page) == []
        assert await grave(page) == []
        await page.get_by_role("button", name="Light").click()
        await expect(page.locator("html")).to_have_attribute("data-theme", "light")
        await page.set_viewport_size({"width": 390, "height": 844})
        await page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
        assert await grave(page) == []


async def test_a_phone_shows_customers_and_cost_first_below_a_short_headline(
    browser: Browser, server: BoardServer
) -> None:
    async with clean_page(browser, 390, 844) as page:
        await shown(page, f"{server.address}operations")
        headline = await page.locator("#headline").bounding_box()
        assert headline is not None
        assert headline["y"] + headline["height"] < 844 / 2
        first = page.locator("#issues tbody tr").first
        labels = await first.evaluate("""(row) => [...row.cells].filter((cell) => cell.offsetHeight > 0)
            .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
            .map((cell) => cell.className)""")
        assert labels
        after_title = [label for label in labels if "title" not in label]
        assert "first" in after_title[0]


async def test_links_keep_range_and_variables_and_back_goes_back(browser: Browser, server: BoardServer) -> None:
    async with clean_page(browser) as page:
        await shown(page, f"{server.address}operations?from=now-24h&to=now&var-product=shop&theme=dark")
        link = page.locator("#issues tbody a[href*='var-issue']").first
        issue = dict(parse_qsl(urlsplit(await link.get_attribute("href") or "").query))["var-issue"]
        await link.click()
        await expect(page).to_have_url(re.compile(r"/issue\?"))
        query = dict(parse_qsl(urlsplit(page.url).query))
        assert query == {"from": "now-24h", "to": "now", "var-product": "shop", "var-issue": issue, "theme": "dark"}
        await expect(page.locator("#boards a[aria-current]")).to_have_text("issue")
        await expect(page.locator(".ranges a[aria-current]")).to_have_text("24 h")
        await page.get_by_role("link", name="7 d", exact=True).click()
        await expect(page.locator(".ranges a[aria-current]")).to_have_text("7 d")
        await page.go_back()
        await expect(page.locator(".ranges a[aria-current]")).to_have_text("24 h")
        await page.go_back()
        await expect(page.locator("#boards a[aria-current]")).to_have_text("operations")
        await expect(page.locator("#issues tbody tr").first).to_be_visible()
        assert await page.evaluate("performance.getEntriesByType('navigation').length") == 1


async def test_a_failed_query_looks_failed_and_clickhouse_may_go_and_come_back(
    browser: Browser, server: BoardServer, client: Breakable, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with clean_page(browser) as page:
        await shown(page, f"{server.address}operations")
        text = await page.locator("#issues tbody").inner_text()
        monkeypatch.setattr(client, "broken", "issue_board")
        await expect(page.locator("#issues .fault")).to_contain_text("query failed", timeout=patience(30_000))
        assert await page.locator("#issues tbody").inner_text() == text
        await expect(page.locator("#headline b")).to_have_class("bad")
        monkeypatch.setattr(client, "broken", "SELECT")
        await expect(page.locator("#banner")).to_contain_text("ClickHouse unreachable")
        await expect(page.locator("#grid")).to_have_class("old")
        await expect(page.locator("#headline")).to_contain_text("Nobody can say whether all is well")
        monkeypatch.setattr(client, "broken", "")
        await expect(page.locator("#banner")).not_to_contain_text("unreachable")
        await expect(page.locator("#issues .fault")).to_have_text("", timeout=patience(30_000))
        await expect(page.locator("#headline")).not_to_contain_text("Nobody can say")


async def test_a_page_whose_server_starts_again_goes_on_by_itself(browser: Browser, client: Breakable) -> None:
    first = await start(client, refresh_s=0.5, simulated=True)
    port = int(first.address.rsplit(":", 1)[1].strip("/"))
    async with clean_page(browser) as page:
        await shown(page, f"{first.address}operations")
        await first.close()
        await expect(page.locator("#banner")).to_contain_text("does not answer")
        await expect(page.locator("#headline b")).to_have_class("bad")
        second = await start(Breakable(client.login), port=port, refresh_s=0.5, simulated=True)
        try:
            await expect(page.locator("#fresh")).to_have_text("live", timeout=patience(20_000))
            await expect(page.locator("#banner")).not_to_contain_text("does not answer")
            assert await page.evaluate("performance.getEntriesByType('navigation').length") == 1
        finally:
            await second.close()


async def test_a_chart_is_high_enough_and_answers_to_the_keys(browser: Browser, server: BoardServer) -> None:
    async with clean_page(browser) as page:
        await shown(page, f"{server.address}operations")
        charts = page.locator(".chart")
        heights = await charts.evaluate_all("(all) => all.map((one) => one.clientHeight)")
        assert heights
        assert min(heights) >= 160
        await charts.first.focus()
        await page.keyboard.press("ArrowLeft")
        await expect(page.locator(".tip:visible").first).to_contain_text("UTC")
        words = await page.locator("p[id$='-words']").first.text_content()
        assert words
        assert "UTC" in words


async def test_a_view_that_does_not_exist_is_refused_in_words(browser: Browser, server: BoardServer) -> None:
    async with clean_page(browser) as page:
        await page.goto(f"{server.address}operations?from=now-5h&to=now")
        await expect(page.locator("#banner")).to_contain_text("This view is not shown: from is one of now-1h")


async def test_paper_is_light_and_has_no_controls(browser: Browser, server: BoardServer) -> None:
    async with clean_page(browser) as page:
        await shown(page, f"{server.address}operations?theme=dark")
        await page.emulate_media(media="print")
        await expect(page.locator("html")).to_have_attribute("data-theme", "light")
        await expect(page.locator("#controls")).to_be_hidden()
        await page.emulate_media(media="screen")
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")


async def test_the_wall_is_one_screen_without_controls(browser: Browser, server: BoardServer) -> None:
    async with clean_page(browser, 1920, 1080) as page:
        await shown(page, f"{server.address}operations?wall=1")
        assert await page.evaluate("document.documentElement.scrollHeight") <= 1080
        await expect(page.locator("#controls")).to_be_hidden()
        size = await page.locator("h1").evaluate("(one) => parseFloat(getComputedStyle(one).fontSize)")
        assert size >= 30
