"""What a partition's sender needs from outside: its log, a clock, a pace."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from streams.core.outreach.ledger import Ledger
from streams.core.stage import Drained


@dataclass(frozen=True, slots=True)
class Opened:
    """The ledger as its last owner left it."""

    items: Iterable[tuple[bytes, bytes]]
    next_offset: int


class Log(Protocol):
    """The durable side of one partition."""

    async def open(self) -> Opened:
        """Fence every earlier owner, then read the ledger to its end."""

    async def decisions(self, wait_s: float) -> list[tuple[int, Any]]:
        """The next decisions and watermarks of outreach with their offsets; waits at most ``wait_s``."""

    @property
    def end(self) -> int | None:
        """End of the decisions as of the last answer; None before the first."""

    async def news(self) -> list[Any]:
        """ReadUpdate, Astray, Home, Command, Issue, Affected: all appended up to now, in order, each returned once."""

    @property
    def must_report(self) -> bool:
        """True if the next commit reports for the first time that some orders were read."""

    async def commit(self, drained: Drained, next_offset: int) -> None:
        """Make changes, deliveries and the position durable together. Raises Fenced if there is a newer owner.

        It also reports how far :meth:`news` has handed out the orders: the ledger must know them by then. Also with
        nothing to write: that it returns proves that this process owned the partition when it was called.
        """

    async def close(self) -> None:
        """Let go of connections."""


class Clock(Protocol):
    """The time that deadlines, quiet hours and budgets are checked against."""

    simulated: bool
    """True if it runs faster than the wall clock: a notice is then judged at the moment it was due."""

    def now_ms(self, ledger: Ledger) -> int:
        """ms since 1970 UTC; 0 while it is not known."""


class WallClock:
    """The real time."""

    simulated = False

    def now_ms(self, _ledger: Ledger) -> int:
        """The host's clock."""
        return time.time_ns() // 1_000_000


class StreamClock:
    """Event time: how far outreach has decided. For simulated streams, which run faster than the wall clock."""

    simulated = True

    def now_ms(self, ledger: Ledger) -> int:
        """The newest watermark of the partition's decisions."""
        return ledger.clock_ms


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a sender works. Durations are wall time in seconds."""

    in_flight: int = 32
    """Notices of one partition that are being sent at a time."""
    poll_s: float = 0.2
    fresh_s: float = 2.0
    """Orders and profiles older than this send nothing: the kill switch holds within it plus one attempt. Nor does a
    proof of ownership that is older: far less than the group's session, so a successor finds its predecessor silent."""
    first_retry_s: float = 1.0
    longest_retry_s: float = 60.0

    def retry_s(self, attempts: int, asked_s: float | None) -> float:
        """Wait before the next attempt: doubling with jitter, and never shorter than what the receiver asked for."""
        doubled = min(self.longest_retry_s, self.first_retry_s * 2.0 ** min(attempts - 1, 16))
        return max(asked_s or 0.0, doubled * (0.5 + secrets.randbelow(1000) / 2000))

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back and counts the time in which process or machine stood still."""
        if sys.platform == "linux":
            return time.clock_gettime(time.CLOCK_BOOTTIME)  # CLOCK_MONOTONIC leaves out a suspended machine
        return time.monotonic()
