"""The plan of the house holds: no circles, few loose modules, independent rooms, short files, one meaning per name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.draw import layers, nearest, svg, text
from tests.house.measure import House, circles

ROOT = Path(__file__).resolve().parents[2]
MOST_LOOSE, MODULE_LINES, FUNCTION_LINES = 5, 400, 45
TOO_LONG = {"streams/core/detect/family.py"}
"""Longer than that today: the signals replace detection as a whole. The list only shrinks."""



@pytest.fixture(scope="module")
def house() -> House:
    return House(ROOT)


def test_no_files_and_no_rooms_import_each_other_in_a_circle(house: House) -> None:
    assert house.circles == []
    assert circles(house.rooms) == []


def test_few_modules_lie_loose_in_streams(house: House) -> None:
    assert len(house.loose) <= MOST_LOOSE


def test_the_core_has_six_rooms_and_none_imports_another(house: House) -> None:
    names = [room.rpartition(".")[2] for room in house.core_rooms]
    assert names == ["detect", "experience", "impact", "join", "match", "outreach"]


def test_no_module_is_too_long(house: House) -> None:
    assert {one.name for one in house.files if one.lines > MODULE_LINES} == TOO_LONG


def test_no_function_is_too_long(house: House) -> None:
    assert [one for one in house.functions if one.lines > FUNCTION_LINES] == []


def test_a_class_name_has_one_meaning(house: House) -> None:
    assert house.shared_names == {}


def test_the_drawing_shows_the_imports_of_today(house: House) -> None:
    assert (ROOT / "docs" / "imports.svg").read_text(encoding="utf-8") == svg(house), "make house draws it anew"


def test_the_plan_names_every_room_and_every_number(house: House) -> None:
    plan = text(house)
    for line in ("circles of files: ", "loose modules in streams/: ", "independent rooms in the core: 6"):
        assert line in plan
    assert all(f">{room.removeprefix('streams.')}</text>" in svg(house) for room in house.rooms)


def test_circles_are_found_and_share_a_layer() -> None:
    edges = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set[str](), "e": {"d"}}
    frozen = {name: frozenset(imported) for name, imported in edges.items()}
    assert circles(frozen) == [["b", "c"]]
    assert layers(frozen) == [["a"], ["b", "c", "e"], ["d"]]


def test_an_arrow_that_a_longer_way_says_is_not_drawn() -> None:
    edges = {"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset[str]()}
    assert nearest(edges) == {"a": frozenset("b"), "b": frozenset("c"), "c": frozenset()}
