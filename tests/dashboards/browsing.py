"""A page in a real Chromium for tests of the live board."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.patience import patience

CHROMIUM = Path("/usr/bin/chromium")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser; the test is left out where there is none."""
    if not CHROMIUM.exists():
        pytest.skip("no Chromium on this machine")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        expect.set_options(timeout=patience(5_000))
        yield browser
        await browser.close()


@asynccontextmanager
async def clean_page(browser: Browser, width: int = 1600, height: int = 1000) -> AsyncIterator[Page]:
    """A page that fails the test on any script error."""
    errors: list[str] = []
    made = await browser.new_page(viewport={"width": width, "height": height})
    made.set_default_timeout(patience(30_000))
    made.on("pageerror", lambda error: errors.append(str(error)))
    made.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield made
    await made.close()
    assert [error for error in errors if "Failed to load resource" not in error] == []


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A page in a browser of its own."""
    async with chromium() as browser, clean_page(browser) as made:
        yield made
