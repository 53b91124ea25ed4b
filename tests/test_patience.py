"""Waits of tests: wider where the machine is slower, and never the reason of a verdict."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests import patience as module
from tests.patience import Deadline, patience, slowness

TESTS = Path(__file__).parent
BOUNDED = {"wait": 0, "settimeout": 0, "timeout": 0, "wait_for": 1}
"""Calls that give up after a number of seconds, and where the number stands."""
SHORT_S = 2.0
"""Shorter bounds are pauses: nothing fails when they end."""


class Gauge:
    """A machine of a given slowness."""

    def __init__(self, found: float) -> None:
        self.found = found

    def read(self) -> float:
        return self.found


def test_a_slow_machine_waits_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CX_TEST_PATIENCE", "2")
    monkeypatch.setattr(module, "_gauge", Gauge(5.0))
    assert patience(10) == 100.0


def test_a_deadline_moves_away_when_the_machine_becomes_slow_while_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    gauge = Gauge(1.0)
    monkeypatch.setattr(module, "_gauge", gauge)
    monkeypatch.setenv("CX_TEST_PATIENCE", "1")
    deadline = Deadline(0.0)
    assert deadline.over
    later = Deadline(1.0)
    gauge.found = 50.0
    assert not later.over
    assert later._bound == 50.0


def test_the_machine_is_never_faster_than_quiet() -> None:
    assert 1.0 <= slowness() <= module.MOST


def test_no_bound_of_a_wait_is_a_bare_number() -> None:
    bare = [f"{path.relative_to(TESTS)}:{call.lineno}" for path in sorted(TESTS.rglob("*.py"))
            for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(call, ast.Call) and _is_bare(call)]
    assert bare == []


def _is_bare(call: ast.Call) -> bool:
    """True if the call gives up after a number of seconds that does not know the machine."""
    named = [word.value for word in call.keywords if word.arg == "timeout" and _name(call) != "create_connection"]
    at = BOUNDED.get(_name(call))
    given = call.args[at : at + 1] if at is not None else []
    return any(isinstance(value, ast.Constant) and isinstance(value.value, int | float) and value.value > SHORT_S
               for value in [*named, *given])


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
