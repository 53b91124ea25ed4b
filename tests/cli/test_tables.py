"""What commands print at 80 and at 120 columns: nothing is cut, every id can be copied, one line an issue."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from schemas.issue_ids import UnknownIssue, find_id
from streams.board.queries import Amount
from streams.cli import issues
from streams.cli.listing import print_listing
from streams.cli.main import main

TITLES = {
    "i-780c487c06c23360": "App failing: app_version=5.2.0, device_model=Nova 8",
    "i-780c48aa00000001": "Payments failing: payment_provider=paynow, payment_method=direct debit, region=DE",
    "i-f05e159e40f9fc71": "Deliveries late: warehouse=HAM-2",
}


def _shown(width: int, *listing: Any, **how: Any) -> list[str]:
    out = io.StringIO()
    print_listing(Console(file=out, width=width), *listing, **how)
    return out.getvalue().splitlines()


def test_what_does_not_fit_goes_below_or_beside_and_is_never_cut() -> None:
    headings, words = ("Id", "Count", ""), "several words that say what is the matter here and there and everywhere"
    rows = [("a-very-long-id", "7", words), ("b", "1,000", "short")]
    assert _shown(120, headings, rows, right=("Count",), below=1) == [
        "Id              Count", f"a-very-long-id      7  {words}", "b               1,000  short",
    ]  # fmt: skip
    beside = _shown(70, headings, rows, right=("Count",), below=1)
    assert beside[1].startswith("a-very-long-id      7  several words")
    assert beside[2].startswith(" " * 23 + "and")
    assert _shown(50, headings, rows, right=("Count",), below=1)[2] == f"    {words[:46].rstrip()}"
    assert "a-very-long-id" in "".join(_shown(10, headings, rows, below=1))


def test_empty_cells_below_take_no_line_and_others_say_what_they_are() -> None:
    rows = [("x" * 40, "", ""), ("y", "1.2 s", "none")]
    shown = _shown(44, ("Name", "Delay", "Gaps"), rows, below=2)
    assert shown == ["Name", "x" * 40, "y", "    delay 1.2 s; gaps none"]


@pytest.fixture
def _three_issues(monkeypatch: pytest.MonkeyPatch) -> None:
    money = SimpleNamespace(per_minute=(Amount("EUR", 1_234_559, "12,345.59 EUR"),))
    found = [
        SimpleNamespace(id=name, title=title, state="recovering", opened_at="2026-03-11T09:08:10.000Z",
                        affected=12_345, silent=12_000, money=money)
        for name, title in TITLES.items()
    ]  # fmt: skip
    monkeypatch.setattr(issues, "reader", lambda: None)
    monkeypatch.setattr(issues, "list_issues", lambda _client, suspected: found)
    monkeypatch.setattr(issues, "event_now", lambda _client: None)


@pytest.mark.usefixtures("_three_issues")
@pytest.mark.parametrize("width", [80, 120])
def test_issues_say_each_cause_once_and_show_ids_that_name_them(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["issues"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    for name, title in TITLES.items():
        assert text.count(title) == 1
        [short] = [word for word in text.split() if word.startswith("i-") and name.startswith(word)]
        assert find_id(short, TITLES) == name


@pytest.mark.usefixtures("_three_issues")
def test_an_issue_takes_one_line_where_it_fits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    main(["issues"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(TITLES) + 1
    assert all(title in line for title, line in zip(TITLES.values(), lines[1:], strict=False))


def test_a_beginning_that_several_issues_have_is_refused_with_those() -> None:
    with pytest.raises(UnknownIssue, match="2 begin with it: i-780c487c06c23360, i-780c48aa00000001"):
        find_id("i-780c48", TITLES)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("command", [["settings"], ["tables", "list"], ["topics", "list"]])
def test_a_list_fits_the_terminal_and_cuts_no_name(
    command: list[str], width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
