"""Pictures of every board at 12:40 of the demo, in both themes and four forms, for looking at them.

``python -P -m tests.dashboards.screenshots [BOARD...]``. What is cut, ugly or cannot be read is seen there first.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, async_playwright, expect

from dashboards.boards import BOARDS
from streams.board.server import start
from streams.replay.engine import replay
from streams.replay.into import messages, span_of
from streams.replay.shadow import Origin, Shadows
from streams.replay.source import from_arrivals
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse, login
from streams.stack import Endpoints, UpOptions, down, up
from tests.dashboards.demo_at import PARTITIONS, demo_at
from tests.patience import patience
from tests.sinks.conftest import migrated

CHROMIUM = Path("/usr/bin/chromium")
FOLDER = Path(".cxwatch/screenshots")
THEMES = ("dark", "light")


@dataclass(frozen=True)
class Form:
    """A screen, and how the board is shown on it."""

    name: str
    width: int
    height: int
    wall: bool = False


FORMS = (Form("1440", 1440, 900), Form("1920", 1920, 1080), Form("390", 390, 844), Form("wall", 1920, 1080, wall=True))


def address(board: str, theme: str, form: Form, hours: int = 6) -> str:
    """Path and query of a board in a theme and a form."""
    return f"{board}?from=now-{hours}h&to=now&theme={theme}{'&wall=1' if form.wall else ''}"


async def _take(browser: Browser, base: str, board: str, theme: str, form: Form) -> Path:
    page = await browser.new_page(viewport={"width": form.width, "height": form.height})
    await page.goto(base + address(board, theme, form))
    await expect(page.locator("#grid")).to_have_attribute("aria-busy", "false", timeout=patience(30_000))
    await page.wait_for_timeout(300)  # fonts and charts settle
    file = FOLDER / f"{board}-{form.name}-{theme}.png"
    await page.screenshot(path=file, full_page=not form.wall)
    await page.close()
    return file


async def take(client: ClickHouse, names: Iterable[str]) -> None:
    """Write the pictures of these boards into the folder."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    server = await start(client, refresh_s=1.0, simulated=True)
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
            for name in names:
                for theme in THEMES:
                    for form in FORMS:
                        print(await _take(browser, server.address, name, theme, form))
            await browser.close()
    finally:
        await server.close()


def add_replays(endpoints: Endpoints, database: str) -> None:
    """The same day replayed once as it was, and once with a budget of one false alarm in twenty days."""
    shadows = Shadows(endpoints, database)
    arrivals = demo_at().arrivals
    for name, settings in (("as-it-was", Settings()), ("careful", Settings(detect_false_alarms_per_day=0.05))):
        found = replay(from_arrivals("demo", "simulation", arrivals, PARTITIONS, appended=True), settings)
        shadows.fill(name.replace("-", "_"), Origin("simulation demo", name.encode().hex(), *span_of(found)),
                     messages(found))  # fmt: skip
    shadows.close()


def main() -> None:
    """Take them on a ClickHouse of their own."""
    names = sys.argv[1:] or [board.name for board in BOARDS]
    with tempfile.TemporaryDirectory(prefix="cxwatch-pictures-") as folder:
        settings = Settings(state_dir=Path(folder) / "state")
        endpoints = up(settings, options=UpOptions(only=("clickhouse",), die_with_parent=True))
        try:
            with migrated(endpoints) as database:
                demo_at().store(ClickHouse(login(endpoints, "writer", database)))
                if "replay" in names:
                    add_replays(endpoints, database)
                asyncio.run(take(ClickHouse(login(endpoints, "reader", database)), names))
        finally:
            down(settings, patience_s=1.0)


if __name__ == "__main__":
    main()
