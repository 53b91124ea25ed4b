"""What a world of the library is: a name, what it says, and how its events and its truth are made from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from schemas.errors import ConfigError
from streams.simulate.library.firm import Firm
from streams.simulate.library.make import Made, make
from streams.simulate.library.truth import WorldTruth
from streams.sources.arrivals import Arrival

SEED = 7
"""The seed of the published tables."""


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """A company for some time. The same name, seed and scale give the same bytes on every machine."""

    name: str
    family: str
    says: str
    """One sentence: what happens, or what only looks like it."""
    firms: tuple[Firm, ...]
    tags: frozenset[str] = frozenset()
    """``quick``: belongs to the subset that runs with the tests."""

    def made(self, seed: int = SEED, scale: float = 1.0) -> Made:
        """All events in columns, and what is true. The last one made is remembered."""
        if not 0 <= seed < 2**32:
            raise ConfigError(f"seed must be 0 to 4294967295, not {seed}")
        if scale <= 0:
            raise ConfigError(f"scale must be above 0, not {scale}")
        return _made(self, seed, scale)

    def play(self, seed: int = SEED, partitions: int = 4, scale: float = 1.0) -> Iterator[Arrival]:
        """Messages in arrival order with heartbeats, ready to be played."""
        return self.made(seed, scale).arrivals(partitions)

    def truth(self, seed: int = SEED, scale: float = 1.0) -> WorldTruth:
        """What is true about it, for whoever judges."""
        made = self.made(seed, scale)
        return WorldTruth(
            world=self.name, family=self.family, seed=seed, starts_ms=self.firms[0].starts_ms,
            ends_ms=self.firms[0].ends_ms, incidents=made.incidents, wrong=made.wrong,
        )  # fmt: skip


@lru_cache(maxsize=1)
def _made(world: World, seed: int, scale: float) -> Made:
    return make(world.firms, seed, scale)
