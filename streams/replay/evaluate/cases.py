"""What is evaluated: worlds of the built-in library, or a folder of worlds that were written as files.

A folder holds one folder a world, each with a recording of its events (``manifest.json`` and logs) and ``truth.json``.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from typing import Protocol

import msgspec

from schemas.errors import ConfigError
from streams.replay.recording import MANIFEST
from streams.replay.source import RecordingSource
from streams.simulate.library.truth import WorldTruth
from streams.simulate.library.world import COUNT_WORLDS, SEED, WORLDS
from streams.sources.arrivals import Arrival

TRUTH = "truth.json"
QUICK = "quick"


class WorldCase(Protocol):
    """One world to be judged. It can be pickled, and gives the same every time, in every process."""

    @property
    def name(self) -> str:
        """Name of the world."""

    @property
    def identity(self) -> str:
        """Differs if its events or its truth may differ."""

    @property
    def counted(self) -> bool:
        """True if its messages are counts of the topic ``cohort_count``, for detection alone, and no events."""

    def truth(self) -> WorldTruth:
        """What is true about it."""

    def arrivals(self) -> Iterator[Arrival]:
        """Its messages in the order in which they arrive, for one customer partition."""


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A world of the library, made from a seed."""

    name: str
    seed: int = SEED
    counted: bool = False

    @property
    def identity(self) -> str:
        """Name and seed; the code that makes it belongs to the build."""
        return f"{self.name}:{self.seed}"

    def truth(self) -> WorldTruth:
        """What is true about it."""
        return WORLDS[self.name].truth(self.seed)

    def arrivals(self) -> Iterator[Arrival]:
        """Its messages in the order in which they arrive."""
        return WORLDS[self.name].play(self.seed, 1)


@dataclass(frozen=True, slots=True)
class CountsBuiltIn:
    """A null world of the library, made from a seed as counts."""

    name: str
    seed: int = SEED
    counted: bool = True

    @property
    def identity(self) -> str:
        """Name and seed; the code that makes it belongs to the build."""
        return f"{self.name}:{self.seed}"

    def truth(self) -> WorldTruth:
        """That there is nothing."""
        return COUNT_WORLDS[self.name].truth(self.seed)

    def arrivals(self) -> Iterator[Arrival]:
        """Its counts; each arrives when its bin ends."""
        for noun, body in COUNT_WORLDS[self.name].counts(self.seed):
            at_ms = body["through_ms"] if body["kind"] == "bin_closed" else body["bin_ms"] + body["width_ms"]
            yield Arrival(at_ms, noun, b"counts", 0, msgspec.json.encode(body))


@dataclass(frozen=True, slots=True)
class WorldFolder:
    """A world in a folder. Raises ConfigError from :meth:`truth` if its truth cannot be read."""

    folder: Path

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def counted(self) -> bool:
        """True if the recording holds counts only."""
        return set(RecordingSource(self.folder).nouns()) == {"cohort_count"}

    @property
    def identity(self) -> str:
        """Hash of the recording and of the truth."""
        described = RecordingSource(self.folder).describe()
        return f"{described['sha256']}:{hashlib.sha256((self.folder / TRUTH).read_bytes()).hexdigest()}"

    def truth(self) -> WorldTruth:
        """What is true about it."""
        try:
            return WorldTruth.read(self.folder / TRUTH)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.folder / TRUTH} cannot be read as a truth ({type(error).__name__})") from None

    def arrivals(self) -> Iterator[Arrival]:
        """Its messages in the order of their append times; messages of one time in the order of noun and partition.

        Raises ConfigError if nobody knows when they were appended.
        """
        source = RecordingSource(self.folder)
        if not source.appended:
            raise ConfigError(f"{self.folder}: nobody knows when its records were appended, so nobody was late or soon")
        logs = [(noun, number) for noun in sorted(source.nouns()) for number in range(source.partitions)]
        return merge(*(_arrivals(source, noun, number) for noun, number in logs), key=lambda arrival: arrival.at_ms)


def _arrivals(source: RecordingSource, noun: str, partition: int) -> Iterator[Arrival]:
    for batch in source.batches(noun, partition):
        for key, value, at_ms in zip(batch.keys, batch.values, batch.timestamps, strict=True):
            if value is not None:
                yield Arrival(at_ms, noun, key, None, value)


def choose(library: Path | None, worlds: Sequence[str], quick: bool, seed: int = SEED) -> list[WorldCase]:
    """The cases that are asked for, in the order of the library. Raises ConfigError for a world that there is not."""
    known: dict[str, WorldCase]
    if library is None:
        known = {name: BuiltIn(name, seed) for name, world in WORLDS.items() if not quick or QUICK in world.tags}
        if not quick:
            known |= {name: CountsBuiltIn(name, seed) for name in COUNT_WORLDS}
    else:
        known = {folder.name: WorldFolder(folder) for folder in sorted(library.iterdir()) if (folder / TRUTH).is_file()}
        if not known:
            raise ConfigError(f"{library} holds no world: one folder each, with {MANIFEST} and {TRUTH}")
    for name in worlds:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3) or sorted(known)
            raise ConfigError(f"there is no world {name}; did you mean {', '.join(near)}?")
    return [case for name, case in known.items() if not worlds or name in worlds]
