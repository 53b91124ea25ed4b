"""The incident library: every world by name, for replay, evaluation and tests."""

from __future__ import annotations

from streams.simulate.library import deliveries, devices, hostile_worlds, payments, quiet, releases, voices
from streams.simulate.library.counts import COUNT_WORLDS, CountWorld
from streams.simulate.library.declared import SEED, World

__all__ = ["COUNT_WORLDS", "SEED", "WORLDS", "CountWorld", "World"]

_FAMILIES = (releases, devices, payments, deliveries, voices, hostile_worlds, quiet)
WORLDS: dict[str, World] = {world.name: world for family in _FAMILIES for world in family.WORLDS}
"""Name -> world, in the order of the page about them."""
