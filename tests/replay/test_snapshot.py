"""A snapshot in the middle of a live run: a replay that goes on from it finds what the line found from then on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ConfigError
from streams.replay.canonical import canonical
from streams.replay.engine import ReplayOptions, replay
from streams.replay.snapshot import (
    MANIFEST,
    TAKEN,
    SnapshotDamaged,
    SnapshotFolder,
    SnapshotManifest,
    version_at,
    write_snapshot,
)
from streams.runtime.batch import RawBatch
from streams.runtime.memory import MemoryLine
from streams.sinks.rows import version_of
from tests.replay.test_live_equals_replay import COMPARED, MODULES, SETTINGS, LineSource, live


def take(line: MemoryLine, folder: Path) -> SnapshotManifest:
    """A snapshot of a line in memory, as it stands; what was not flushed is not in it."""
    states = {
        (room.name, number): line.state(room.name, number)
        for room in TAKEN for number in range(line.partitions if room.tasks == "customer" else 1)
    }  # fmt: skip

    def read(noun: str, partition: int, start: int) -> Iterator[RawBatch]:
        found = [one for one in line.raw(noun) if one.partition == partition and one.offset >= start]
        if found:
            yield RawBatch(
                noun, partition, start, found[-1].offset + 1, [one.offset for one in found],
                [one.key for one in found], [one.value for one in found], [one.headers for one in found],
                [0] * len(found),
            )  # fmt: skip

    return write_snapshot(folder, line.partitions, states, read, 0)


def since(line: MemoryLine, snapshot: SnapshotManifest, noun: str) -> list[dict[str, Any]]:
    """Records that were written after the snapshot."""
    return [
        json.loads(one.value)
        for one in line.raw(noun)
        if one.value is not None
        and version_of(one.headers) > version_at(snapshot, noun, one.partition, one.value)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("partitions", "seed", "at"), [(1, 1, 8_000), (4, 4, 7_000), (4, 3, 9_000)])
def test_a_replay_from_a_snapshot_finds_what_the_line_found_since(
    partitions: int, seed: int, at: int, tmp_path: Path
) -> None:
    taken: list[SnapshotManifest] = []

    def look(line: MemoryLine, number: int) -> None:
        if number >= at and not taken:
            taken.append(take(line, tmp_path))

    line = live(partitions, seed, look)
    outcome = replay(LineSource(line), SETTINGS, ReplayOptions(snapshot=tmp_path))
    for noun in COMPARED:
        expected = canonical(noun, since(line, taken[0], noun))
        assert expected, noun
        assert [one.decode() for one in outcome.canonical(noun)] == [one.decode() for one in expected], noun


def test_a_snapshot_of_nothing_and_one_of_other_partitions(tmp_path: Path) -> None:
    line = MemoryLine([module.room(SETTINGS) for module in MODULES], 2)
    contents = take(line, tmp_path)
    assert {task.version for task in contents.tasks} == {0}
    assert replay(LineSource(line), SETTINGS, ReplayOptions(snapshot=tmp_path)).canonical("issue") == []
    other = MemoryLine([module.room(SETTINGS) for module in MODULES], 3)
    with pytest.raises(ConfigError, match="the snapshot is of 2 customer partitions, memory has 3"):
        replay(LineSource(other), SETTINGS, ReplayOptions(snapshot=tmp_path))


def test_what_is_damaged_is_named(tmp_path: Path) -> None:
    take(MemoryLine([module.room(SETTINGS) for module in MODULES], 1), tmp_path)
    (tmp_path / "state" / "join-0.zst").write_bytes(b"no")
    with pytest.raises(SnapshotDamaged, match=r"join-0\.zst is missing or damaged"):
        SnapshotFolder(tmp_path).state("join", 0)
    (tmp_path / MANIFEST).write_text("{}")
    with pytest.raises(SnapshotDamaged, match="is no snapshot"):
        SnapshotFolder(tmp_path).offsets("join", 0)
