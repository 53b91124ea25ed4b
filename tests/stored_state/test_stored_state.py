"""State and topics that an earlier version wrote are read, and give what that version found from them.

``before_the_rooms_moved`` was stored by the last version in which the core's rooms were flat modules (November 2026),
in version 1 of the findings: half of what is read here lies in the topics in that form.
A change that means to break with old state replaces the file (``make.py``) and says so in a decision.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from streams.runtime.memory import MemoryLine
from tests.stored_state.line import SENDER, Ending, StoredLine, finish, read, restore
from tests.stored_state.version_1 import as_stored, comparable, standing, today

FILE = Path(__file__).parent / "before_the_rooms_moved.msgpack.xz"


@cache
def stored() -> StoredLine:
    return read(FILE)


@cache
def ended(native: str) -> Ending:
    """The second half, played by this version from what is stored."""
    line, ledgers = restore(stored(), native)
    return finish(line, ledgers, stored().parts, stored().rest, as_stored)


def latest(noun: str, kind: str = "") -> list[dict[str, object]]:
    pairs = [pair for name, pairs in stored().ending.emitted.items() if name.startswith(f"{noun}/") for pair in pairs]
    rows = [json.loads(value) for _, value in pairs if value is not None]
    return [row for row in rows if row["kind"] == (kind or noun)]


def deliveries() -> list[dict[str, object]]:
    return latest(SENDER, "delivery")


def test_the_stored_story_has_something_of_everything() -> None:
    assert {row["decision"] for row in latest("outreach")} >= {"send", "refuse", "hold_out"}
    assert {row["reason"] for row in latest("outreach")} >= {"put_right"}
    assert {row["stage"] for row in latest("outreach")} >= {"notice", "all_clear"}
    assert {row["state"] for row in latest("issue")} >= {"open", "resolved"}
    assert all(latest(noun) for noun in ("cohort_count", "source_count", "episode", "affected", "impact", "late"))
    assert {row["outcome"] for row in deliveries()} >= {"claimed", "delivered", "suppressed"}
    unread = {part.noun for part in stored().parts if part.rows}
    assert unread & {"telemetry", "order", "cohort_count", "episode"}, "the rooms stood at different places"


@pytest.mark.parametrize("native", ["auto", "off"])
def test_what_is_emitted_after_old_state_was_read_is_the_same(native: str) -> None:
    expected = {
        name: standing([(key, today(value)) for key, value in pairs])
        for name, pairs in stored().ending.emitted.items()
    }
    emitted = {
        name: standing([(key, comparable(value)) for key, value in pairs])
        for name, pairs in ended(native).emitted.items()
    }
    assert emitted == expected


@pytest.mark.parametrize("native", ["auto", "off"])
def test_the_state_that_grows_from_old_state_is_the_same(native: str) -> None:
    assert ended(native).state == stored().ending.state


def test_every_task_has_state_to_read_and_detect_has_work_left() -> None:
    line: MemoryLine = restore(stored(), "off")[0]
    assert all(line.state(room, 0).items for room in line.rooms)
    assert line.task("detect", 0).left
    assert any(key.startswith(b'["n"') for key, _ in stored().state[f"{SENDER}/1"]), "notices that were not sent yet"
