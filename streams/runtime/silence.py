"""Which inputs of a task are at their end and silent, by the wall clock. What follows from it is a recorded tick.

Silent is an input whose clock stands still, whoever may speak: one customer alone moves no clock, and a topic that
hears nobody else must not hold up the others.
"""

from __future__ import annotations

from collections.abc import Mapping


class Silence:
    """Remembers when each input's clock last moved. Times are monotonic seconds."""

    def __init__(self, idle_s: float) -> None:
        """``idle_s`` 0: nothing is ever silent."""
        self._idle_s = idle_s
        self._seen: dict[str, tuple[int, float]] = {}

    def look(self, ends: Mapping[str, tuple[int, int]], clocks: Mapping[str, int], now: float) -> set[str]:
        """Silent nouns.

        ``ends``: noun -> (position, end of its partition as of the newest fetch); ``clocks``: noun -> how far it has
        come, of those that were heard.
        """
        for noun in ends:
            known = self._seen.get(noun)
            if known is None or known[0] != clocks.get(noun, 0):
                self._seen[noun] = (clocks.get(noun, 0), now)
        if not self._idle_s:
            return set()
        return {
            noun
            for noun, (position, end) in ends.items()
            if position >= end and now - self._seen[noun][1] >= self._idle_s
        }
