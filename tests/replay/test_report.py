"""The report of a run and of two: it loads nothing, escapes what it shows, names no customer and stays small."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from schemas.events import Record
from streams.replay.compare import compare
from streams.replay.findings import read_run
from streams.replay.report import assets
from streams.replay.report.bars import MOST_BARS, TimeAxis
from streams.replay.report.page import MOST_COHORTS, comparison_page, run_page, write_report
from streams.replay.report.series import MOST_POINTS, cohort_curves, volume
from streams.replay.report.tables import MOST_ROWS
from tests.dashboards.browsing import chromium
from tests.patience import patience
from tests.replay.made_run import MINUTE_MS, T0, MadeIssue, cohort_count, plain, source_count, write_run

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'"
COUNTS = [
    *(cohort_count(minute, 100, 40 if 10 <= minute < 50 else 2) for minute in range(90)),
    *(source_count(minute, 500 + minute) for minute in range(90)),
]
PAYMENTS = MadeIssue("i-pay")
AXE = files("axe_playwright_python").joinpath("axe.min.js")


def data_of(page: str) -> dict[str, Any]:
    """What the page's curves are drawn from."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def hostile_run(folder: Path) -> Path:
    """A run whose labels would be markup and scripts if they were not escaped."""
    issue = replace(PAYMENTS, cause={"payment_provider": HOSTILE})
    counts: list[Record] = [cohort_count(minute, 100, 40, HOSTILE) for minute in range(10, 50)]
    counts += [source_count(minute, 5, topic=HOSTILE) for minute in range(10, 50)]
    return write_run(folder, [issue], counts, notes=(HOSTILE,), source={"kind": "recording", "name": HOSTILE})


def two_runs(folder: Path) -> str:
    a = write_run(folder / "a", [PAYMENTS, MadeIssue("i-2", "delivery", {"warehouse": "HAM-2"}, ended=None)], COUNTS)
    b = write_run(folder / "b", [replace(PAYMENTS, name="i-3", seen=12)], COUNTS, configuration={"approval_above": 5})
    return comparison_page(compare(read_run(a), read_run(b)))


def test_curves_are_the_cohort_beside_the_rest_and_events_per_minute(tmp_path: Path) -> None:
    axis = TimeAxis(T0, T0 + 90 * MINUTE_MS)
    drawn = volume(plain(one) for one in COUNTS if one.model_dump()["kind"] == "source_count")
    assert drawn is not None
    assert (drawn.events, drawn.from_ms) == (sum(500 + minute for minute in range(90)), T0)
    assert (drawn.curves[0].values[0], drawn.curves[0].values[1]) == (1_000.0, 0.0)
    issue = read_run(write_run(tmp_path, [PAYMENTS])).issues[0]
    rows = [plain(one) for one in COUNTS if one.model_dump()["kind"] == "cohort_count"]
    inside, outside = cohort_curves(rows, {"i-pay": (issue, "Acme")}, axis)["i-pay"].curves
    assert (inside.name, max(value for value in inside.values if value is not None)) == ("Acme", 0.4)
    assert {value for value in outside.values if value is not None} == {0.0}


def test_curves_are_thinned_to_what_a_screen_shows() -> None:
    minutes = range(0, 60 * 24 * 30, 3)
    drawn = volume(plain(source_count(minute, 60)) for minute in minutes)
    assert drawn is not None
    assert len(drawn.curves[0].values) <= MOST_POINTS
    assert drawn.events == 60 * len(minutes)
    middle = drawn.curves[0].values[len(drawn.curves[0].values) // 2]
    assert middle == pytest.approx(20.0)


def test_the_report_of_one_run_is_written_into_its_folder(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [PAYMENTS], COUNTS, notes=("Orders could not be checked.",))
    text = write_report(folder).read_text(encoding="utf-8")
    for part in ("1 issue hit 3 customers, 2 of them silent", "Orders could not be checked.", "may be told, and is",
                 "Payments fail at payment provider Acme",
                 "Assumed, not measured: margin = 120 EUR.", "seen 04-01 00:00, 10 min after the onset",
                 "cold: from nothing", "50.00 EUR"):  # fmt: skip
        assert part in text, part
    assert 'class="banner"' not in text
    assert [panel["slug"] for panel in data_of(text)["panels"]] == ["volume", "cohort-0"]


def test_nothing_is_loaded_and_no_customer_named(tmp_path: Path) -> None:
    page = two_runs(tmp_path)
    assert re.search(r"""(src|href)=["']?(https?:)?//""", page) is None
    assert re.search(r"\bc-[123]\b", page) is None
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1]


def test_modules_become_one_script() -> None:
    text = assets.bundled()
    assert re.search(r"^\s*(import|export)\b", text, re.MULTILINE) is None
    for script in (text, assets.scripts().uplot, assets.scripts().theme):
        assert "</script" not in script
    assert "</style" not in assets.style()


def test_many_issues_are_bounded_and_counted(tmp_path: Path) -> None:
    made = [MadeIssue(f"i-{number:04}", line=f"line-{number}", customers=[f"c-{one}" for one in range(1 + number % 7)])
            for number in range(MOST_ROWS + 20)]  # fmt: skip
    page = run_page(read_run(write_run(tmp_path, made, COUNTS)))
    assert page.count('class="run"') == MOST_BARS
    assert f"{len(made) - MOST_BARS} more issues are not drawn" in page
    assert "20 more rows are not shown here" in page
    assert len(data_of(page)["panels"]) <= 1 + MOST_COHORTS
    assert len(page.encode()) < 600_000


def test_a_run_that_found_nothing_has_a_report(tmp_path: Path) -> None:
    page = run_page(read_run(write_run(tmp_path, [])))
    assert "No issue was found." in page
    assert data_of(page)["panels"] == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser for this module."""
    async with chromium() as made:
        yield made


async def grave(page: Page) -> list[str]:
    """Serious and critical faults that axe-core finds."""
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{one['id']}: {node['html'][:160]}" for one in found["violations"]
            if one["impact"] in ("serious", "critical") for node in one["nodes"]]  # fmt: skip


def listening(page: Page) -> list[str]:
    """What the page complains of from now on."""
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("dialog", lambda dialog: heard.append(dialog.message))
    return heard


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("width", "theme"), [(1440, "dark"), (390, "light")])
async def test_everybody_can_read_it_from_the_file_system(
    browser: Browser, tmp_path: Path, theme: Literal["dark", "light"], width: int
) -> None:
    (tmp_path / "two.html").write_text(two_runs(tmp_path), encoding="utf-8")
    for file in (tmp_path / "two.html", write_report(hostile_run(tmp_path / "c"))):
        async with await browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme) as context:
            page = await context.new_page()
            heard = listening(page)
            await page.goto(file.as_uri())
            await page.wait_for_function("document.querySelectorAll('.uplot canvas').length === 2",
                                         timeout=patience(20_000))  # fmt: skip
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert await page.locator("img").count() == 0
            assert await page.evaluate("document.documentElement.dataset.theme") == theme
            await page.evaluate(AXE.read_text(encoding="utf-8"))
            assert await grave(page) == []
            assert heard == []
