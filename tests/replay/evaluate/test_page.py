"""The page gets its figures between its marks, and pictures hold every world and detector."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from schemas.errors import ConfigError
from streams.replay.evaluate import page, plots
from streams.replay.evaluate.results import OURS
from streams.replay.evaluate.rivals import RIVALS, installed
from tests.docs.words import ROOT
from tests.replay.evaluate.test_tables import FAILED, FOUND

SVG = "{http://www.w3.org/2000/svg}"


def test_figures_are_written_between_the_marks_and_nowhere_else(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(f"# Head\n\n{page.BEGIN}\nold\n{page.END}\n\nfoot\n")
    page.write(file, [FOUND, FAILED], 61.0)
    once = file.read_text()
    assert once.startswith(f"# Head\n\n{page.BEGIN}\nMeasured ")
    assert once.endswith(f"\n{page.END}\n\nfoot\n")
    assert "1 of 2 worlds, 1,234 messages, 2 incidents, in 61 s." in once
    assert "old" not in once
    page.write(file, [FOUND, FAILED], 61.0)
    assert file.read_text() == once


def test_a_page_without_marks_is_refused_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("# Head\n")
    with pytest.raises(ConfigError, match="has no marks"):
        page.write(file, [FOUND], 1.0)
    assert file.read_text() == "# Head\n"
    with pytest.raises(ConfigError, match="cannot be read"):
        page.write(tmp_path / "none.md", [FOUND], 1.0)


def test_the_page_of_the_documentation_has_the_marks() -> None:
    text = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    assert text.index(page.BEGIN) < text.index(page.END)


def test_a_curve_rises_by_one_incident_at_its_delay() -> None:
    """One of two incidents found after ten minutes: the line of ours rises once, to half the height."""
    picture = ElementTree.fromstring(plots.delays([FOUND, FAILED]))
    ours = picture.findall(f"{SVG}polyline")[0].attrib["points"].split()
    heights = [float(point.partition(",")[2]) for point in ours]
    assert sorted(set(heights)) == [170.0, 320.0]
    names = {text.text for text in picture.findall(f"{SVG}text")}
    assert {OURS, *filter(installed, RIVALS)} <= names


def test_a_strip_shows_what_is_true_what_is_right_and_what_is_not() -> None:
    picture = ElementTree.fromstring(plots.strips([FOUND, FAILED]))
    fills = [bar.attrib["fill"] for bar in picture.findall(f"{SVG}rect")]
    assert fills.count(plots.TRUE) == 2
    assert fills.count(plots.FALSE) == 1
    assert fills.count(plots.COLOURS[0]) == 2  # one report, one mark of the legend
    assert "worked" in {text.text for text in picture.findall(f"{SVG}text")}
