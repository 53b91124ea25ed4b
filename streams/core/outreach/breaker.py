"""The circuit breaker of one channel: closed, open, half-open, or paused because the other side said that it is gone.

    closed     everything may go out; ``trip`` answers in a row that accept nothing open it
    open       nothing is claimed until the pause is over; each failed probe doubles it
    half_open  the pause is over: one attempt, the probe, may go out; it closes the breaker or opens it again
    paused     410: nothing goes out until an operator says so, over restarts too (the ledgers keep it)

A wrong secret, a moved address, a proxy in the way or a receiver that is down says nothing about a customer, so nobody
is given up for it. A refusal of a message is believed only while the channel accepts others: a receiver that refuses
everything is set up wrongly. Probes go round the issues, so that one that the receiver will not take cannot keep the
channel closed to another. Pure: the caller passes its own monotonic seconds in.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

BreakerState = Literal["closed", "open", "half_open", "paused"]
TRIP = 5
"""Answers in a row, none of them an acceptance, that open the breaker."""


@dataclass(slots=True)
class Breaker:
    """Shared by all partitions of a process; ``first_s`` and ``longest_s`` bound the pause between probes, seconds."""

    first_s: float = 2.0
    longest_s: float = 60.0
    trip: int = TRIP
    paused: bool = False
    failures: int = 0
    """Answers in a row that accepted nothing."""
    reason: str = ""
    """The last of them."""
    tried: set[str] = field(default_factory=set)
    """Root issues of the probes that failed since the last round over all of them."""
    _pauses: int = 0
    _until_s: float = 0.0
    _probing: bool = False
    _resumed: set[str] = field(default_factory=set)

    def state(self, now_s: float) -> BreakerState:
        """Where it stands."""
        if self.paused:
            return "paused"
        if self.failures < self.trip:
            return "closed"
        return "half_open" if self._probing or now_s >= self._until_s else "open"

    def allow(self, wanted: int, now_s: float) -> int:
        """How many of ``wanted`` attempts may begin. A probe is over with :meth:`saw` or :meth:`unused`."""
        state = self.state(now_s)
        if state == "closed":
            return wanted
        if state != "half_open" or self._probing or wanted < 1:
            return 0
        self._probing = True
        return 1

    def unused(self) -> None:
        """The probe that was taken did not go out."""
        self._probing = False

    def saw(self, accepted: bool, reason: str, root: str, probe: bool, now_s: float) -> bool:
        """Learn from an answer about a notice of issue ``root``; True if a refusal in it may be believed."""
        if probe:
            self._probing = False
        if accepted:
            self.failures = self._pauses = 0
            self.reason = ""
            self.tried.clear()
            return True
        was_closed = self.failures < self.trip
        self.failures, self.reason = self.failures + 1, reason
        if probe or (was_closed and self.failures >= self.trip):
            self._pause(root, now_s)
        return self.failures < self.trip

    def _pause(self, root: str, now_s: float) -> None:
        self.tried.add(root)
        self._until_s = now_s + min(self.longest_s, self.first_s * 2.0 ** min(self._pauses, 16))
        self._pauses += 1

    def gone(self) -> None:
        """The other side said that it is gone for good."""
        self.paused, self.reason = True, "gone"

    def restore(self, heard: Collection[str]) -> None:
        """Take over a pause from a ledger, unless an order ended it that is not in ``heard``, what the ledger knows."""
        if self._resumed <= set(heard):
            self.gone()

    def resume(self, order: str) -> None:
        """Obey an operator's order, once, however many partitions hear it: begin again with one probe, now."""
        if order not in self._resumed:
            self._resumed.add(order)
            self.failures = self.trip if self.paused else self.failures
            self.paused, self._until_s, self._pauses = False, 0.0, 0
            self.tried.clear()
