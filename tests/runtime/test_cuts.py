"""What acts when it arrives is recorded with how far the room's clocks had come."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.codec import encode
from schemas.events import Command
from schemas.findings import Cut
from streams.agents import detect, match, outreach
from streams.runtime import task as task_module
from streams.runtime.limits import TaskRules
from streams.runtime.memory import MemoryLine
from streams.settings import Settings
from tests.core.match.world import HOUR, MINUTE, T0, customer, episode, issue, mark

NOON = T0 + 11 * HOUR


def order(number: int, action: str = "stop") -> Command:
    return Command.model_validate({
        "command_id": f"cmd-{number}", "issued_at_ms": NOON, "action": action, "actor": "ops", "issue_id": None,
    })  # fmt: skip


def line(rules: TaskRules | None = None) -> MemoryLine:
    settings = Settings()
    rooms: list[Any] = [module.room(settings) for module in (detect, match, outreach)]
    return MemoryLine(rooms, 1, rules=rules)


def cuts(built: MemoryLine) -> list[Cut]:
    return [record for record in built.records("tick") if isinstance(record, Cut)]


def pass_time(built: MemoryLine, to_ms: int) -> None:
    built.produce("issue", mark(to_ms), key="watermark")
    built.produce("episode", mark(to_ms, 0), key="watermark", partition=0)
    built.run()


def test_a_cut_tells_slices_clocks_and_positions_before_the_records_act() -> None:
    built = line()
    built.produce("customer", customer("c-1"))
    built.run()
    pass_time(built, NOON)
    built.produce("command", order(1))
    built.run()
    first, second = cuts(built)
    assert (first.topic, first.steps, first.clocks) == ("customer", (1,), {"affected": 0, "issue": 0})
    assert (second.room, second.partition, second.topic) == ("outreach", 0, "command")
    assert second.clocks == {"affected": NOON, "issue": NOON}
    assert (second.offsets["command"], second.offsets["customer"], second.steps) == (0, 1, (1,))
    assert second.offsets["issue"] > 0


def test_slices_in_a_row_at_the_same_time_are_one_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_module, "MOST_STEPS", 3)
    built = line(TaskRules(slice_events=2))
    for number in range(9):
        built.produce("customer", customer(f"c-{number}"))
    built.run()
    assert [found.steps for found in cuts(built)] == [(2, 4, 6), (8, 9)]


def test_orders_that_are_not_let_in_are_named() -> None:
    built = line()
    for value in (encode(order(1)), encode(order(1)), b"{", encode(order(2, "resume"))):
        built.produce("command", value, key="cmd")
    built.run()
    (found,) = cuts(built)
    assert (found.steps, found.refused) == ((4,), (1, 2))


def test_detect_tells_how_far_it_has_stepped_and_join_match_and_impact_tell_nothing() -> None:
    built = line()
    built.produce("control", order(1, "resolve"))
    built.produce("episode", episode("c-1", NOON - MINUTE))
    built.produce("issue", issue(at=NOON), key="i-1")
    pass_time(built, NOON)
    reported = [(found.room, found.topic, found.clocks) for found in cuts(built)]
    assert reported == [("detect", "control", {"cohort_count": 0})]
