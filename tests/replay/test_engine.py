"""A replay finds what the in-memory line finds, byte for byte, however it is cut, shared out, left and taken up."""

from __future__ import annotations

import itertools
import json
from functools import cache, partial
from pathlib import Path

import pytest

from schemas.errors import ConfigError
from streams.agents import detect, experience, impact, join, match, outreach
from streams.core.join import native
from streams.replay import front, unit
from streams.replay.canonical import NOUNS, canonical, fingerprint
from streams.replay.engine import Progress, ReplayOptions, ReplayOutcome, replay, summary
from streams.replay.spool import FileSpool
from streams.replay.unit import Stopped
from streams.runtime.memory import MemoryLine
from streams.settings import Settings
from tests.replay.small_company import company, source


@cache
def expected() -> dict[str, str]:
    """Hashes of what the in-memory line finds."""
    rooms = [module.room(Settings()) for module in (join, experience, detect, match, impact, outreach)]
    line = MemoryLine(rooms, partitions=4)
    for arrival in company().arrivals(4):
        line.produce(arrival.noun, arrival.value, key=arrival.key, partition=arrival.partition)
    line.run()
    found = {noun: [json.loads(entry.value) for entry in line.raw(noun) if entry.value] for noun in NOUNS}
    assert all(found[noun] for noun in ("cohort_count", "episode", "issue", "affected", "impact", "outreach"))
    return {noun: fingerprint(canonical(noun, rows)) for noun, rows in found.items()}


def hashes(outcome: ReplayOutcome) -> dict[str, str]:
    return {noun: fingerprint(outcome.canonical(noun)) for noun in outcome.nouns}


def events(outcome: ReplayOutcome) -> dict[str, int]:
    """What was read from outside, by what became of it."""
    return {name: count for name, count in summary(outcome).items() if name.startswith(("join", "dead"))}


@pytest.mark.parametrize("partitions", [1, 4, 7])
def test_the_number_of_partitions_changes_no_finding(partitions: int) -> None:
    assert hashes(replay(source(partitions), Settings())) == expected()


def test_the_reference_implementation_finds_the_same() -> None:
    if native.find() is None:
        pytest.skip("there is no native code here: every other test runs the reference implementation")
    assert hashes(replay(source(4), Settings(native="off"))) == expected()


@pytest.mark.parametrize(("stretch", "flush"), [(40, 300), (16_384, 5_000_000)])
def test_the_length_of_stretches_and_the_moments_of_flushes_change_no_finding(
    stretch: int, flush: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "MOST", stretch)
    monkeypatch.setattr(front, "FLUSH_RECORDS", flush)
    monkeypatch.setattr(front, "FLUSH_AT_MOST", flush)
    monkeypatch.setattr(front, "FLUSH_MS", flush * 1_000)
    assert hashes(replay(source(4), Settings())) == expected()


def test_two_processes_find_the_same_as_one(tmp_path: Path) -> None:
    seen: list[Progress] = []
    outcome = replay(source(4), Settings(), ReplayOptions(processes=2, folder=tmp_path, watch=seen.append))
    assert hashes(outcome) == expected()
    assert max(one.read for one in seen if one.phase == "front") == seen[0].total > 0


def test_a_replay_that_is_left_again_and_again_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "FLUSH_RECORDS", 1_000)
    times = 0
    for patience in itertools.count(3, 90):
        left = iter([False] * patience)
        try:
            outcome = replay(source(4), Settings(), ReplayOptions(folder=tmp_path, stop=partial(next, left, True)))
            break
        except Stopped:
            times += 1
    assert times > 3
    assert hashes(outcome) == expected()
    assert events(outcome) == events(replay(source(4), Settings()))


def test_what_was_done_after_the_last_checkpoint_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after kill -9: files reach further than the checkpoint knows."""
    monkeypatch.setattr(front, "FLUSH_RECORDS", 1_000)
    monkeypatch.setattr(unit, "EVERY_S", 0.0)
    pauses = itertools.count()
    saved = unit.Unit.save

    def save_twice(self: unit.Unit, positions: dict[str, int], done: bool = False) -> None:
        if next(pauses) < 2:
            saved(self, positions, done)
        elif next(pauses) > 30:
            assert isinstance(self.spool, FileSpool)
            self.spool.close()
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(unit.Unit, "save", save_twice)
        with pytest.raises(KeyboardInterrupt):
            replay(source(4), Settings(), ReplayOptions(folder=tmp_path))
    assert hashes(replay(source(4), Settings(), ReplayOptions(folder=tmp_path))) == expected()


def test_rooms_can_be_left_out(tmp_path: Path) -> None:
    outcome = replay(source(1), Settings(), ReplayOptions(rooms=("join", "detect")))
    assert hashes(outcome) == {noun: expected()[noun] for noun in outcome.nouns}
    assert "affected" not in outcome.nouns
    with pytest.raises(ConfigError, match="rooms: send; allowed are join"):
        replay(source(1), Settings(), ReplayOptions(rooms=("send",)))
    with pytest.raises(ConfigError, match="several processes need a folder"):
        replay(source(1), Settings(), ReplayOptions(processes=2))
