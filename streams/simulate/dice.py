"""Repeatable chance: the same seed and name give the same numbers on every machine."""

from __future__ import annotations

import math
import zlib
from bisect import bisect
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")
_BLOCK = 16_384


class Dice:
    """Uniform numbers from a named PCG64 stream, drawn in blocks; everything else is derived from them.

    Only ``Generator.random`` is used: numpy keeps that stream fixed, but not those of its other distributions.
    """

    def __init__(self, seed: int, name: str) -> None:
        """Each ``name`` is a stream of its own, so one part can change without moving the rest."""
        sequence = np.random.SeedSequence([seed, zlib.crc32(name.encode())])
        self._generator = np.random.Generator(np.random.PCG64(sequence))
        self._block: list[float] = []

    def unit(self) -> float:
        """A number in [0, 1)."""
        if not self._block:
            self._block = self._generator.random(_BLOCK).tolist()
        return self._block.pop()

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.unit() < probability

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.unit()

    def whole(self, low: int, high: int) -> int:
        """A whole number in [low, high)."""
        return low + int((high - low) * self.unit())

    def pick(self, choices: Sequence[T]) -> T:
        """One of ``choices``, all equally likely."""
        return choices[int(len(choices) * self.unit())]

    def wait(self, mean: float) -> float:
        """An exponential waiting time."""
        return -mean * math.log(1.0 - self.unit())


class Weighted(Generic[T]):
    """A choice with unequal odds."""

    def __init__(self, weights: Mapping[T, float]) -> None:
        """Keep the values in the order given; weights need not add up to 1."""
        self._values = list(weights)
        self._upto = list(accumulate(weights.values()))

    def pick(self, dice: Dice) -> T:
        """Draw one value."""
        return self._values[bisect(self._upto, dice.unit() * self._upto[-1])]
