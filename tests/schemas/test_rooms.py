"""The catalogue of rooms fits the catalogue of topics and what the rooms do, and nothing else lists the rooms."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from schemas.rooms import BY_ROOM, ROOMS, WORKER_ROOMS, WORKERS
from schemas.topics import ABOUT_PROCESSES, BY_NOUN, FROM_COMPANIES, ORDERS, TOPICS
from streams.settings import Settings

HERE = Path(__file__).parents[2]
CATALOGUE = HERE / "schemas" / "rooms.py"


def texts(tree: ast.AST) -> Iterator[set[str]]:
    """The texts side by side in each list, tuple, set, dictionary or call; a text with commas is a list too."""
    for node in ast.walk(tree):
        parts: list[ast.expr] = []
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            parts = node.elts
        elif isinstance(node, ast.Dict):
            parts = [key for key in node.keys if key is not None]
        elif isinstance(node, ast.Call):
            parts = node.args
        yield {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield set(node.value.split(","))


def test_nothing_else_lists_the_rooms() -> None:
    nouns_too = {"impact", "outreach"}
    names = set(BY_ROOM) - nouns_too
    folders = ("streams", "schemas", "dashboards", "benchmarks", "deploy")
    files = [path for folder in folders for path in (HERE / folder).rglob("*.py") if path != CATALOGUE]
    lists = [
        (path.relative_to(HERE).as_posix(), sorted(found & names))
        for path in files
        for found in texts(ast.parse(path.read_text(encoding="utf-8")))
        if len(found & names) >= 2
    ]
    assert lists == [("benchmarks/cxwatch.py", ["join", "store"])], "derive it from schemas/rooms.py"


def test_every_topic_is_read_and_written_by_those_that_the_catalogue_names() -> None:
    assert {noun for room in ROOMS for noun in (*room.inputs, *room.outputs, *room.brings)} <= set(BY_NOUN)
    writers = Counter(noun for room in ROOMS for noun in room.outputs)
    outside = {*FROM_COMPANIES, *ORDERS, *ABOUT_PROCESSES}
    ticking = [room.name for room in ROOMS if "tick" in room.outputs]
    assert ticking == ["join", "experience", "detect", "outreach"]
    assert {**writers, "tick": 1} == Counter(topic.noun for topic in TOPICS if topic.noun not in outside)
    brought = [noun for room in ROOMS for noun in room.brings]
    assert len(set(brought)) == len(brought)


def test_a_room_emits_exactly_its_outputs() -> None:
    """Records are emitted as ``Message(noun, ...)``; ticks come from the runtime, the ledger is the sender's."""
    for room in ROOMS:
        folder = HERE / "streams" / "core" / room.name
        if not folder.is_dir():
            continue
        emitted = set()
        for path in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Message":
                    noun = node.args[0]
                    assert isinstance(noun, ast.Constant)
                    emitted.add(noun.value)
        senders = BY_ROOM["send"].outputs if room.name == "outreach" else ()
        assert emitted == {*room.outputs, *senders} - {"tick"}


def test_a_room_with_state_reads_topics_that_are_divided_as_its_work_is() -> None:
    for room in ROOMS:
        if room.state:
            assert {BY_NOUN[noun].partitioning for noun in room.inputs} == {room.tasks}


def test_workers_together_run_each_room_once_and_settings_know_them() -> None:
    assert sorted(",".join(WORKERS).split(",")) == sorted(WORKER_ROOMS)
    assert Settings().rooms == WORKER_ROOMS


def test_the_view_of_rooms_has_each_room_with_a_topic_that_it_writes() -> None:
    names = {"detection": "detect", "sender": "send"}
    view = (HERE / "schemas" / "ddl" / "011_room_status.sql").read_text(encoding="utf-8")
    rows = re.findall(r"\(\d, '(\w+)', '(\w+)'\)", view)
    assert len(rows) == 6
    for shown, topic in rows:
        room = BY_ROOM[names.get(shown, shown)]
        assert topic in room.outputs or (room.name, topic) == ("store", "store")


def test_nothing_else_lists_the_topics_that_come_from_outside() -> None:
    outside = {*FROM_COMPANIES, *ORDERS}
    catalogues = {HERE / "schemas" / name for name in ("rooms.py", "topics.py", "tables.py")}
    lists = [
        path.relative_to(HERE).as_posix()
        for folder in ("streams", "schemas", "dashboards")
        for path in (HERE / folder).rglob("*.py")
        if path not in catalogues
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.List | ast.Tuple | ast.Set)
        for found in texts(node)
        if len(found & outside) >= 3
    ]
    assert lists == [], "derive it from schemas/topics.py"
