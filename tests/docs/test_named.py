"""Every file, class and function that a page names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from schemas.rooms import ROOMS
from streams.core.join.rules import PromiseRule
from streams.core.outreach.policy import QuietHours
from tests.docs.words import ROOT

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
SUFFIXES = "py|rs|sql|md|json|txt|toml|yaml|csv|js|html|css|diff|sh|jinja"
_NAMED = re.compile(
    rf"`((?:[\w.@-]+/)+[\w.@{{}},-]*\.(?:{SUFFIXES})|[\w-]+\.toml|(?:streams|schemas|dashboards|tests|docs|native|deploy"
    rf"|benchmarks)/[\w./{{}},-]*?)(?:::([\w.-]+))?`"
)
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def prose(page: Path) -> str:
    """Return the text of a page without its code blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def named(page: Path) -> list[tuple[str, str]]:
    """Return (path, dotted name or "") for each reference of a page; ``{a,b}`` stands for both."""
    found = []
    for path, name in _NAMED.findall(prose(page)):
        pieces = [piece.split(",") for piece in re.split(r"[{}]", path)]
        found += [("".join(chosen), name) for chosen in product(*pieces)]
    return found


@cache
def defined(path: Path) -> frozenset[str]:
    """Return the dotted names that a Python file defines: classes, functions, methods, fields and constants."""
    return frozenset(_names(ast.parse(path.read_text(encoding="utf-8")), ""))


def _names(node: ast.AST, prefix: str) -> list[str]:
    names: list[str] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names += [prefix + child.name, *_names(child, f"{prefix}{child.name}.")]
        elif isinstance(child, ast.AnnAssign | ast.Assign):
            targets = [child.target] if isinstance(child, ast.AnnAssign) else child.targets
            names += [prefix + target.id for target in targets if isinstance(target, ast.Name)]
    return names


def problems(page: Path) -> list[str]:
    """What a page names that is not there."""
    wrong = []
    for at, name in named(page):
        path = ROOT / at
        if not path.exists():
            wrong.append(at)
        elif name and name not in (defined(path) if path.suffix == ".py" else path.read_text(encoding="utf-8")):
            wrong.append(f"{at}::{name}")
    links = _LINK.findall(prose(page))
    return wrong + [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_exists(page: Path) -> None:
    assert not problems(page)


def test_a_reference_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(
        "`streams/settings.py::Settings` `streams/settings.py::Setings` `streams/{settings,seatings}.py` [x](gone.md)"
    )
    wrong = ["streams/settings.py::Setings", "streams/seatings.py", "gone.md"]
    assert problems(tmp_path / "page.md") == wrong


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_a_newcomer_finds_the_file_to_change() -> None:
    questions = dict(
        re.findall(r"^\| (.+?) \| (.+?) \|$", ARCHITECTURE.partition("## Where do I change")[2], re.MULTILINE)
    )
    assert len(questions) >= 20
    asked = {
        "the default of quiet hours": ("streams/core/outreach/policy.py", "start_hour: int = 21"),
        "the attributes of delivery": ("streams/core/join/rules.py", '("carrier", "warehouse", "region")'),
        "wrong currency": ("schemas/events.py", "currency: "),
        "the text of a notice": ("streams/sinks/templates/delivery.notice@1.en.txt", "block apology"),
        "the panel of silent customers": ("dashboards/boards/operations_sql.py", "all_silent"),
    }
    for words, (path, contained) in asked.items():
        answers = [answer for question, answer in questions.items() if words in question]
        assert any(path in answer for answer in answers), words
        assert contained in (ROOT / path).read_text(encoding="utf-8"), path


def test_the_defaults_that_the_page_states_are_true() -> None:
    assert (QuietHours().start_hour, QuietHours().end_hour) == (21, 8)
    assert PromiseRule().attributes == ("carrier", "warehouse", "region")


def test_the_table_of_rooms_is_the_catalogue() -> None:
    table = ARCHITECTURE.partition("## What each room may touch")[2].partition("\n## ")[0]
    rows = {
        room: rest for room, *rest in re.findall(r"^\| (\w+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|", table, re.MULTILINE)
    }
    assert set(rows) == {room.name for room in ROOMS} | {"room"}
    for room in ROOMS:
        reads, writes, tasks = rows[room.name]
        assert reads.split(", ") == list(room.inputs or ("every topic and its dead letters",))
        assert writes.partition(";")[0].split(", ") == list(room.outputs or ("rows in ClickHouse",))
        assert tasks == {"customer": "one per customer partition", "one": "one"}[room.tasks] or not room.state
