"""Repeatable chance in arrays: the same seed and name give the same numbers on every machine."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
_NORMAL_FROM = 30.0
"""From this mean on a Poisson number is drawn as a rounded normal one."""


class Draws:
    """Arrays from a named PCG64 stream. Everything is derived from ``Generator.random``, which numpy keeps fixed."""

    def __init__(self, seed: int, name: str) -> None:
        """Each ``name`` is a stream of its own, so one part of a world can change without moving the rest."""
        sequence = np.random.SeedSequence([seed, zlib.crc32(name.encode())])
        self._generator = np.random.Generator(np.random.PCG64(sequence))

    def unit(self, count: int) -> Floats:
        """Numbers in [0, 1)."""
        return self._generator.random(count)

    def chance(self, probability: float | Floats, count: int) -> Mask:
        """True with this probability, one for all or one each."""
        return np.asarray(self.unit(count) < probability, dtype=np.bool_)

    def between(self, low: float, high: float, count: int) -> Floats:
        """Numbers in [low, high)."""
        return low + (high - low) * self.unit(count)

    def whole(self, low: int, high: int, count: int) -> Ints:
        """Whole numbers in [low, high)."""
        return low + ((high - low) * self.unit(count)).astype(np.int64)

    def waits(self, mean: float, count: int) -> Floats:
        """Exponential waiting times."""
        return -mean * np.log1p(-self.unit(count))

    def pick(self, weights: Sequence[float], count: int) -> Ints:
        """Index of one of the weights, as often as they say; they need not add up to 1."""
        upto = np.cumsum(np.asarray(weights, dtype=np.float64))
        return np.asarray(np.searchsorted(upto, self.unit(count) * upto[-1], side="right"), dtype=np.int64)

    def poisson(self, means: Floats) -> Ints:
        """Poisson numbers with these means, by inversion; large ones by a rounded normal."""
        unit, count = self.unit(len(means)), np.zeros(len(means), dtype=np.int64)
        small = np.where(means < _NORMAL_FROM, means, 0.0)
        term, k = np.exp(-small), 0
        upto = term.copy()
        while np.any(over := (unit >= upto) & (small > 0.0)) and k < 10 * _NORMAL_FROM:
            k += 1
            count += over
            term = term * small / k
            upto = upto + term
        normal = np.sqrt(-2.0 * np.log1p(-unit)) * np.cos(2.0 * np.pi * self.unit(len(means)))
        large = np.rint(means + np.sqrt(means) * normal).astype(np.int64)
        return np.where(means < _NORMAL_FROM, count, np.maximum(large, 0))
