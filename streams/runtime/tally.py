"""What a room counts about its own work, for its signs of life: flushes, writes, and how large its state is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from zlib import crc32

MOST_KEPT = 4_096
"""Keys of a state whose size is known one by one; beyond, every second, fourth, ... key stands for the others."""
_MINUTE_S = 60


@dataclass
class RoomTally:
    """Counts of one room since the process started."""

    flushes: int = 0
    flush_s: float = 0.0
    written: int = 0
    refused: int = 0
    """Writes that a sink refused."""
    degraded: bool = False
    """True during a run of dead letters from several emitters."""
    _minute: int = 0
    _longest_s: float = 0.0

    def flushed(self, seconds: float, written: int, wall_s: float) -> None:
        """Count one flush that ended at ``wall_s``, seconds since 1970 UTC."""
        self.flushes += 1
        self.flush_s += seconds
        self.written += written
        self._longest_s = max(self.longest_s(wall_s), seconds)
        self._minute = int(wall_s // _MINUTE_S)

    def longest_s(self, wall_s: float) -> float:
        """The longest flush that has ended in the minute of ``wall_s``, 0 if none has."""
        return self._longest_s if self._minute == int(wall_s // _MINUTE_S) else 0.0


class StateSize:
    """How many keys and bytes a state has, from its changes.

    Exact up to ``MOST_KEPT`` keys. Beyond, it keeps those whose hash ends in some zeros, which is as good as chance:
    every further zero halves what is kept and doubles what it stands for. Bytes are those of keys and values.
    """

    def __init__(self, items: Iterable[tuple[bytes, bytes | None]] = ()) -> None:
        """Start with the live pairs that recovery found."""
        self._mask = 0
        self._sizes: dict[bytes, int] = {}
        self.change(items)

    def change(self, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Follow the changes of one flush; a value of None deletes its key."""
        sizes, mask = self._sizes, self._mask
        for key, value in changes:
            if mask and crc32(key) & mask:
                continue
            if value is None:
                sizes.pop(key, None)
                continue
            sizes[key] = len(key) + len(value)
            if len(sizes) > MOST_KEPT:
                mask = self._thin()
                sizes = self._sizes

    @property
    def keys(self) -> int:
        """About how many keys there are."""
        return len(self._sizes) * (self._mask + 1)

    @property
    def size_bytes(self) -> int:
        """About how many bytes they and their values have."""
        return sum(self._sizes.values()) * (self._mask + 1)

    def _thin(self) -> int:
        self._mask = self._mask << 1 | 1
        self._sizes = {key: size for key, size in self._sizes.items() if not crc32(key) & self._mask}
        return self._mask


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one topic partition that a room reads stands."""

    noun: str
    partition: int
    position: int
    end: int
    undecided: int = 0
    """Records behind a transaction without an end."""


@dataclass(slots=True)
class TaskTally:
    """What one partition of a room has done since it was opened."""

    opened_ms: int
    records: dict[str, int] = field(default_factory=dict)
    """Outcome -> records read."""
    size: StateSize = field(default_factory=StateSize)
    pending: int = 0
    claimed: int = 0
