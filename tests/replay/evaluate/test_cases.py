"""What can be asked for: worlds of the library, all or some, and folders of worlds."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pytest

from schemas.errors import ConfigError
from streams.replay.evaluate.cases import BuiltIn, CountsBuiltIn, choose
from streams.replay.recording import RecordingWriter
from streams.replay.source import from_arrivals, targets
from streams.simulate.library.world import COUNT_WORLDS, WORLDS
from streams.sources.arrivals import Arrival
from tests.replay.evaluate.made import Plain


def record(folder: Path, arrivals: Iterable[Arrival]) -> None:
    """As ``cxwatch simulate --world`` does it."""
    with RecordingWriter(folder, 1) as writer:
        for arrival in arrivals:
            for target in targets(arrival, 1):
                writer.log(arrival.noun, target).append(arrival.key, arrival.value, (), arrival.at_ms)
    Plain().truth().write(folder / "truth.json")


def written(folder: Path) -> Plain:
    record(folder, Plain().arrivals())
    return Plain()


def test_the_whole_library_has_event_worlds_and_null_worlds_and_the_subset_only_quick_ones() -> None:
    every = choose(None, [], quick=False)
    assert [case.name for case in every] == [*WORLDS, *COUNT_WORLDS]
    assert {case.counted for case in every if isinstance(case, CountsBuiltIn)} == {True}
    quick = {case.name for case in choose(None, [], quick=True)}
    assert quick == {name for name, world in WORLDS.items() if "quick" in world.tags}
    assert quick


def test_a_world_that_there_is_not_is_refused_with_near_names() -> None:
    with pytest.raises(ConfigError, match=r"did you mean .*bad_release"):
        choose(None, ["bad_relaese"], quick=False)
    assert choose(None, ["bad_release"], quick=False, seed=3) == [BuiltIn("bad_release", 3)]


def test_a_folder_of_worlds_gives_the_same_messages_as_the_world_itself(tmp_path: Path) -> None:
    world = written(tmp_path / "plain")
    (found,) = choose(tmp_path, [], quick=False)
    assert found.name == "plain"
    assert found.truth() == world.truth()
    assert not found.counted
    arrivals = list(found.arrivals())
    assert [one.at_ms for one in arrivals] == sorted(one.at_ms for one in arrivals)
    assert sorted((one.at_ms, one.noun, one.value) for one in arrivals) == sorted(
        (one.at_ms, one.noun, one.value) for one in world.arrivals()
    )


def test_the_identity_of_a_folder_follows_its_events_and_its_truth(tmp_path: Path) -> None:
    world = written(tmp_path / "plain")
    (found,) = choose(tmp_path, [], quick=False)
    before = found.identity
    assert choose(tmp_path, [], quick=False)[0].identity == before
    (tmp_path / "plain" / "truth.json").write_bytes(b" " + (tmp_path / "plain" / "truth.json").read_bytes())
    assert choose(tmp_path, [], quick=False)[0].identity != before
    assert world.name == found.name


def test_a_folder_without_worlds_and_a_truth_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no world"):
        choose(tmp_path, [], quick=False)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "truth.json").write_text("{}")
    with pytest.raises(ConfigError, match="cannot be read as a truth"):
        choose(tmp_path, [], quick=False)[0].truth()


def test_a_recording_without_append_times_is_refused_and_one_of_counts_is_known(tmp_path: Path) -> None:
    from_arrivals("plain", "world", Plain().arrivals(), 1).write(tmp_path / "plain")
    Plain().truth().write(tmp_path / "plain" / "truth.json")
    with pytest.raises(ConfigError, match="nobody knows when"):
        list(choose(tmp_path, ["plain"], quick=False)[0].arrivals())
    record(tmp_path / "counts", islice(CountsBuiltIn("null_sparse_five_years").arrivals(), 50))
    assert choose(tmp_path, ["counts"], quick=False)[0].counted


def test_counts_arrive_when_their_bin_ends_in_order() -> None:
    world = CountsBuiltIn("null_sparse_five_years")
    times = [arrival.at_ms for arrival, _ in zip(world.arrivals(), range(500), strict=False)]
    assert times == sorted(times)
