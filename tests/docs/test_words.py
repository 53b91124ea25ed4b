"""Words that only this house used stay retired."""

from collections import Counter
from pathlib import Path

import pytest

from tests.docs.words import LOOKED_AT, ROOT, Finding, files, findings, in_name, in_prose, retired

REMAINING: dict[str, int] = {
    "native/src": 2,  # test vectors of a hash function
}
"""Folder -> retired words left in it. A number may only get smaller; a folder that is not here has none."""


def _folder(path: str) -> str:
    parts = path.split("/")[:-1]
    return "/".join(parts[:3] if parts[:2] == ["streams", "core"] else parts[:2])


def _all_findings() -> list[Finding]:
    return [finding for start in LOOKED_AT for path in files(ROOT / start) for finding in findings(path)]


def test_retired_words_only_get_fewer() -> None:
    found = _all_findings()
    counted = Counter(_folder(finding.path) for finding in found)
    grown = {folder: number for folder, number in counted.items() if number > REMAINING.get(folder, 0)}
    assert not grown, "\n".join(str(finding) for finding in found if _folder(finding.path) in grown)


@pytest.mark.parametrize(
    ("name", "is_retired"),
    [
        ("seat_of", True),
        ("SeatPlan", True),
        ("seattle", False),
        ("_Held", True),
        ("held", False),
        ("promises_kept", False),
        ("dead_letters", False),
        ("DeadLetters", False),
        ("letters", True),
        ("max_lead_ms", False),
        ("lead_ms", True),
        ("test_a_customer_in_place_is_told", False),
        ("test_a_minted_id_is_stable", True),
    ],
)
def test_names_are_taken_apart(name: str, is_retired: bool) -> None:
    assert bool(list(in_name(name))) is is_retired


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A seat\nis minted", [(0, "seat"), (1, "minted")]),
        ("the offset\nvector of a task", [(0, "offset vector")]),
        ("`incarnation` and ``twin`` are code", []),
        ("dead letters and dead-letters, no letters", [(0, "letters")]),
        ("```text\nfriction\n```\nfriction", [(3, "friction")]),
    ],
)
def test_prose_is_read_without_code(text: str, found: list[tuple[int, str]]) -> None:
    assert [(line, word) for line, word, _ in in_prose(text)] == found


def test_a_room_is_no_number(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text("def grow(room: int, rooms: int, name: str) -> None: ...\n")
    assert [finding.word for finding in findings(tmp_path / "sample.py", tmp_path)] == ["room: int"]


def test_every_row_of_the_table_is_read() -> None:
    words = retired()
    assert {"seat", "place", "minted", "waiting", "said", "told", "honest", "friction", "lead"} <= words.names.keys()
    assert {"incarnation", "vector", "letters", "twin", "in doubt"} <= words.prose.keys()
    assert {"Held", "Kept"} == words.classes.keys()
