"""The incident library: every world by name, for replay, evaluation and tests."""

from __future__ import annotations

from streams.simulate.library import payments, quiet, releases
from streams.simulate.library.declared import SEED, World

__all__ = ["SEED", "WORLDS", "World"]

_FAMILIES = (quiet, releases, payments)
WORLDS: dict[str, World] = {world.name: world for family in _FAMILIES for world in family.WORLDS}
"""Name -> world, in the order of the page about them."""
