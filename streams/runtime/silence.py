"""Which inputs of a task are at their end and silent, by the wall clock. What follows from it is a recorded tick."""

from __future__ import annotations

from collections.abc import Mapping


class Silence:
    """Remembers when each input last moved. Times are monotonic seconds."""

    def __init__(self, idle_s: float) -> None:
        """``idle_s`` 0: nothing is ever silent."""
        self._idle_s = idle_s
        self._seen: dict[str, tuple[int, float]] = {}

    def look(self, ends: Mapping[str, tuple[int, int]], now: float) -> set[str]:
        """Silent nouns. ``ends``: noun -> (position, end of its partition as of the newest fetch)."""
        for noun, (position, _end) in ends.items():
            known = self._seen.get(noun)
            if known is None or known[0] != position:
                self._seen[noun] = (position, now)
        if not self._idle_s:
            return set()
        return {
            noun
            for noun, (position, end) in ends.items()
            if position >= end and now - self._seen[noun][1] >= self._idle_s
        }
