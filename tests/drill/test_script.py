"""What a drill plays, and what it says of itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.errors import ConfigError
from streams.cli.main import main
from streams.drill.script import HEALTHY, KINDS, Drill
from streams.drill.stages import DrillProgress
from tests.core.join.world import T0


@pytest.mark.parametrize("kind", KINDS)
def test_a_drill_lies_between_its_times_and_is_the_same_each_time(kind: str) -> None:
    drill = Drill(kind, "a1", T0, customers=40, minutes=2)
    made = list(drill.arrivals())
    assert made == list(drill.arrivals())
    assert all(drill.start_ms <= one.at_ms < drill.end_ms for one in made)
    assert len({one.key for one in made}) == 40 * (1 + HEALTHY)
    assert all(one.key is not None and drill.is_mine(one.key.decode()) for one in made)
    assert not Drill(kind, "a", T0).is_mine((made[0].key or b"").decode()), "a run whose name begins alike"


def test_the_kinds_are_listed_and_what_cannot_be_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drill", "--list"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in KINDS)
    fine: dict[str, Any] = {"kind": "app", "run": "a1", "start_ms": T0}
    for name, wrong in {"kind": "pigeons", "customers": 3, "minutes": 0.5}.items():
        with pytest.raises(ConfigError, match="pigeons" if name == "kind" else f"--{name}"):
            Drill(**fine | {name: wrong})


def test_the_first_missing_stage_says_what_to_look_at() -> None:
    progress = DrillProgress(Drill("app", "a1", T0))
    progress.reach("accepted", 0.5)
    assert progress.missing[0].name == "counted"
    assert "--alone" in progress.missing[0].look
    assert json.dumps(progress.reached)
