"""docs/replay.md holds: its commands run and show what the page shows, and its figures are those of the runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streams.replay.folder import read_findings, verify
from tests.docs.replay_page import PAGE, play, steady, steps

MINUTE_MS = 60_000
NOON_MS = 1_366_128_000_000
"""2013-04-16 16:00 UTC."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def screens(folder: Path) -> list[str]:
    return play(folder)


def shown(folder: Path, run: str) -> dict[str, int]:
    """Cause of each issue that began on the day of the page -> when it was shown, ms."""
    issues = [row for row in read_findings(folder / run, "issue") if row["detected_at_ms"] > NOON_MS]
    return {"+".join(sorted(row["cause"]["attributes"].values())): row["shown_at_ms"] for row in issues}


@pytest.mark.slow
def test_the_commands_show_what_the_page_shows(screens: list[str]) -> None:
    assert [steady(screen) for screen in screens] == [step.screen for step in steps()], (
        "python -m tests.docs.replay_page writes it anew"
    )


@pytest.mark.slow
@pytest.mark.usefixtures("screens")
def test_the_figures_of_the_page_are_those_of_the_runs(folder: Path) -> None:
    today, ten = (shown(folder, run) for run in ("today", "ten"))
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(r"seen both (\d+) to (\d+) minutes earlier, with the same causes", text)
    assert found
    assert {*today} == {*ten} == {"AA", "MQ"}
    assert sorted((today[name] - ten[name]) // MINUTE_MS for name in today) == [int(found[1]), int(found[2])]


@pytest.mark.slow
@pytest.mark.usefixtures("screens")
def test_each_run_is_whole_and_has_a_report(folder: Path) -> None:
    for run in ("today", "ten"):
        verify(folder / run)
        assert (folder / run / "report.html").is_file()
