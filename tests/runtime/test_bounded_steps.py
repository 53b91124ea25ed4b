"""A slice that brings days of work is left and gone on with: flushed, crashed, cut anywhere, it gives the same."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from streams.core.detect.stage import DetectStage
from streams.runtime.exits import ExitCode
from streams.runtime.limits import TaskRules
from streams.runtime.lived import Lived
from streams.runtime.memory import Cadence, MemoryLine
from streams.runtime.room import Room, wire_name
from streams.runtime.status import Status
from streams.runtime.watchdog import Watchdog
from tests.core.detect.test_long_work import RULES, sparse

BAD = (5, 400, 401)
"""Messages in front of which one lies that cannot be read."""


def room() -> Room[Any]:
    return Room("detect", ("cohort_count", "change", "control"), DetectStage(RULES), "one")


def filled(cadence: Cadence, rules: TaskRules) -> MemoryLine:
    line = MemoryLine([room()], partitions=1, cadence=cadence, rules=rules)
    for number, record in enumerate(sparse()):
        if number in BAD:
            line.produce("cohort_count", b"{", key=b"shop", partition=0)
        line.produce("cohort_count", record, key=b"cx.progress", partition=0)
    return line


def outcome(line: MemoryLine) -> tuple[list[bytes], dict[bytes, bytes], list[tuple[bytes | None, bytes | None]]]:
    """Final issues, the whole state, and every dead letter."""
    last = {entry.key: entry.value for entry in line.raw("issue") if entry.value is not None}
    dead_letters = [(entry.key, entry.value) for entry in line.raw("cohort_count.dlq")]
    return sorted(last.values()), line.state("detect", 0).whole(), dead_letters


@cache
def reference() -> Any:
    line = filled(Cadence(), TaskRules())
    line.run()
    return outcome(line)


def test_what_is_compared_here_is_not_nothing() -> None:
    issues, state, dead_letters = reference()
    assert len(issues) > 1
    assert len(state) > 10
    assert len(dead_letters) == len(BAD)


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(
    units=st.sampled_from((1, 3, 20, 100, 1 << 40)),
    cut=st.sampled_from((7, 300, 2_000)),
    seed=st.integers(0, 99),
    crashes=st.sampled_from((0.0, 0.05)),
)
def test_budgets_cuts_flushes_and_crashes_in_the_middle_of_work_change_nothing(
    units: int, cut: int, seed: int, crashes: float
) -> None:
    line = filled(Cadence(seed, cut, flush_chance=0.3, leave_chance=0.1), TaskRules(work_units=units))
    dice = np.random.default_rng(seed)
    while line.step():
        if dice.random() < crashes:
            line.crash("detect", 0, in_flush=bool(dice.random() < 0.5))
    assert outcome(line) == reference()


def test_work_that_is_left_goes_on_after_a_restart_without_new_input() -> None:
    line = filled(Cadence(seed=1), TaskRules(work_units=5))
    task = line.task("detect", 0)
    steps = task.feed_steps(line._logs[wire_name("cohort_count")].read("cohort_count", 0, 0, 100_000))
    next(steps)
    line.flush()
    line.crash("detect", 0)
    fresh = line.task("detect", 0)
    assert fresh.left
    reached = fresh.positions["cohort_count"]
    assert 0 < reached < len(sparse())
    for _ in fresh.rest_steps():
        pass
    assert not fresh.left
    assert fresh.dirty
    assert fresh.positions["cohort_count"] == reached
    line.run()
    assert outcome(line) == reference()


def test_every_step_of_a_feed_is_about_as_long_as_asked_for() -> None:
    line = filled(Cadence(), TaskRules(work_units=10))
    task = line.task("detect", 0)
    stage: Any = task.room.stage
    worked = 0
    go_on = stage.go_on

    def counted(state: Any, units: int) -> int:
        nonlocal worked
        done: int = go_on(state, units)
        worked += done
        return done

    stage.go_on = counted
    most = 0
    for _ in task.feed_steps(line._logs[wire_name("cohort_count")].read("cohort_count", 0, 0, 100_000)):
        most, worked = max(most, worked), 0
    assert 10 <= most <= 20


class Machine:
    """A wall clock, and how long one thread has waited for a processor."""

    def __init__(self) -> None:
        self.now, self.waited = 1_000.0, 0.0

    def passes(self, seconds: float, starved: float = 0.0) -> None:
        self.now += seconds
        self.waited += starved

    def lived(self) -> Lived:
        return Lived(4.0, lambda: self.now, lambda: {"7": self.waited, "8": 0.0})


def test_time_without_a_processor_is_not_lived() -> None:
    machine = Machine()
    lived = machine.lived()
    machine.passes(2.0, starved=1.8)
    assert lived.look() == pytest.approx(10.0)
    assert lived() == pytest.approx(1_000.2)
    machine.passes(2.0)
    assert lived.look() == 1.0
    assert lived() == pytest.approx(1_002.2)


def test_a_process_that_was_stopped_lived_no_longer_than_between_two_looks() -> None:
    machine = Machine()
    lived = machine.lived()
    machine.passes(300.0)
    assert lived.look() == 50.0
    assert lived() == pytest.approx(1_004.0)


def test_a_room_on_a_starved_machine_is_not_called_stuck_but_a_stuck_one_is() -> None:
    machine = Machine()
    lived = machine.lived()
    status, reasons = Status("detect", lived), list[tuple[ExitCode, str]]()
    status.enter("running")
    dog = Watchdog([status], 90.0, lambda code, why: reasons.append((code, why)), clock=lived, measure=lived.look)
    dog.beat()
    for _ in range(200):
        machine.passes(2.0, starved=1.9)
        lived.look()
    assert dog.look() is None
    for _ in range(46):
        machine.passes(2.0)
        lived.look()
    assert dog.look() is not None
