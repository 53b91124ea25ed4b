"""Where a room stands, and what of it is a reason to end the process. Written by the room, read by the watchdog."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Phase = Literal["joining", "recovering", "running", "draining"]


@dataclass
class Status:
    """Times are seconds of the ``clock``. Plain attributes: read from another thread without a lock, one at a time."""

    room: str
    clock: Callable[[], float] = time.monotonic
    phase: Phase = "joining"
    moved_at: float = 0.0
    """Last sign of life of the broker: assigned, recovered a piece, answered a fetch, committed a transaction."""
    dirty_since: float | None = None
    """Since when something waits to be committed."""
    unread_since: float | None = None
    """Since when there has been something to read without a batch coming."""
    retrying: bool = False
    """True while the room waits for its sink: nothing else is expected to move."""

    def __post_init__(self) -> None:
        self.moved_at = self.clock()

    def enter(self, phase: Phase) -> None:
        """Go to another phase.

        Losing an assignment is no sign of life: a broker that went silent is the usual reason for it, and a clock that
        started anew would let the process live twice as long as it may.
        """
        self.phase = phase
        self.dirty_since = self.unread_since = None
        if phase != "joining":
            self.moved()

    def moved(self, seconds_ago: float = 0.0) -> None:
        """Something moved, now or some time ago."""
        self.moved_at = max(self.moved_at, self.clock() - max(0.0, seconds_ago))

    def saw_batch(self) -> None:
        """A batch was folded in."""
        self.unread_since = None
        self.moved()

    def resumed(self) -> None:
        """A sink that was waited for is back: what stood still meanwhile is no stall. The flag goes last, because the
        watchdog looks from another thread."""
        self.dirty_since = self.unread_since = None
        self.moved()
        self.retrying = False

    @property
    def ready(self) -> bool:
        """True if the room is assigned, recovered, and its commits and its sink work."""
        return self.phase == "running" and not self.retrying and self.problem(30.0) is None

    def problem(self, stall_s: float) -> str | None:
        """What has not moved for ``stall_s`` seconds, in one sentence; None if all is well."""
        now = self.clock()
        if self.phase == "draining" or self.retrying:
            return None
        since, what = {
            "joining": (self.moved_at, "has no assignment: the group is stuck"),
            "recovering": (self.moved_at, "does not get on in recovery"),
            "running": (self.moved_at, "gets no answers to its fetches"),
        }[self.phase]
        candidates = [(since, what)]
        if self.dirty_since is not None:
            candidates.append((self.dirty_since, "cannot commit"))
        if self.unread_since is not None:
            candidates.append((self.unread_since, "has records to read but none come"))
        oldest, sentence = min(candidates)
        return f"room {self.room} {sentence} for {now - oldest:.0f} s" if now - oldest > stall_s else None
