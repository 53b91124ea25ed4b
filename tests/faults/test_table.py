"""docs/faults.md is what the results say."""

from __future__ import annotations

from tests.faults.table import PAGE, load, page

ONE = {
    "number": 7, "variant": "", "fault": "a | b", "done": "c", "expected": "d", "events": 200_000, "lost": 0,
    "diff": None, "duplicate_accepts": 0, "seconds": 1.5, "figures": {"codes": [70, 70], "most": 3}, "machine": "m",
}  # fmt: skip


def test_the_page_is_made_from_the_results() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(load())


def test_a_row_shows_what_was_measured_and_what_was_not() -> None:
    row = page([ONE]).splitlines()[-1]
    assert row == "| 7 | a \\| b | c | d | 200,000 | 0 | - | 0 | 1.5 | codes: 70, 70; most: 3 |"
