"""The quick subset of the library through detection as everybody gets it: its figures are those that were agreed to."""

from __future__ import annotations

import copy

import pytest

from streams.replay.evaluate.cases import choose
from tests.patience import patience
from tests.replay.evaluate import golden


@pytest.mark.slow
@pytest.mark.timeout(patience(600))
def test_the_figures_of_the_subset_are_those_that_were_agreed_to() -> None:
    results = golden.play()
    assert [(result.world, result.error) for result in results if result.error] == []
    changed = list(golden.differences(golden.read()["worlds"], golden.figures(results)))
    assert changed == [], (
        "the figures of detection changed; if that is meant, say why: "
        'python -P -m tests.replay.evaluate.golden "why they change"'
    )


def test_the_figures_that_were_agreed_to_have_a_reason() -> None:
    agreed = golden.read()
    assert set(agreed["worlds"]) == {case.name for case in choose(None, [], quick=True)}
    assert agreed["reasons"][-1]["digest"] == golden.digest(agreed["worlds"])
    assert all(len(one["why"].split()) >= 3 for one in agreed["reasons"])


def test_every_figure_that_differs_is_named() -> None:
    agreed = golden.read()["worlds"]
    assert list(golden.differences(agreed, agreed)) == []
    found = copy.deepcopy(agreed)
    found["bad_release"]["cxwatch"]["duplicates"] += 3
    del found["campaign"]
    first, second = golden.differences(agreed, found)
    before = agreed["bad_release"]["cxwatch"]["duplicates"]
    assert first == f"bad_release, cxwatch, duplicates: {before} -> {before + 3}"
    assert second == "campaign: gone"


def test_no_reason_no_change(capsys: pytest.CaptureFixture[str]) -> None:
    assert golden.main(["because"]) == 2
    assert "say in a sentence" in capsys.readouterr().err
