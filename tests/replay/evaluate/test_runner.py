"""Worlds side by side: one that goes wrong is reported and holds up no other; what is kept is not made again."""

from __future__ import annotations

from pathlib import Path

from streams.replay.evaluate import runner
from streams.replay.evaluate.results import OURS, WorldResult
from streams.replay.evaluate.runner import LOST, RunOptions
from streams.settings import Settings
from tests.replay.evaluate.made import Killed, Plain, Raises

SETTINGS = Settings()


def test_a_world_that_raises_and_one_whose_process_dies_hold_up_no_other() -> None:
    reported: list[tuple[str, int, int]] = []
    cases = [Plain("one"), Killed("dies"), Raises("raises"), Plain("two")]
    options = RunOptions(2, watch=lambda result, done, of: reported.append((result.world, done, of)))
    results = runner.run(cases, SETTINGS, options)
    assert [(result.world, result.error) for result in results] == [
        ("one", ""), ("dies", LOST), ("raises", "ValueError"), ("two", ""),
    ]  # fmt: skip
    assert results[0].events > 360
    assert results[0].reports.keys() >= {OURS, "never fires"}
    assert {world for world, _, _ in reported} == {"one", "dies", "raises", "two"}
    assert [(done, of) for _, done, of in reported] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_result_is_kept_and_used_again_until_world_or_configuration_differ(tmp_path: Path) -> None:
    options = RunOptions(1, tmp_path)
    (first,) = runner.run([Plain()], SETTINGS, options)
    (again,) = runner.run([Plain()], SETTINGS, options)
    assert again == first
    assert again.seconds == first.seconds
    other = Settings(detect_customers=SETTINGS.detect_customers + 1)
    assert runner.key_of(Plain(), other) != runner.key_of(Plain(), SETTINGS)
    assert runner.key_of(Plain("other"), SETTINGS) != runner.key_of(Plain(), SETTINGS)
    assert first.key == runner.key_of(Plain(), SETTINGS)


def test_what_is_kept_and_damaged_is_made_again(tmp_path: Path) -> None:
    options = RunOptions(1, tmp_path)
    (first,) = runner.run([Plain()], SETTINGS, options)
    (tmp_path / "worlds" / "plain.json").write_text("{")
    (again,) = runner.run([Plain()], SETTINGS, options)
    assert again.reports == first.reports
    assert isinstance(again, WorldResult)
