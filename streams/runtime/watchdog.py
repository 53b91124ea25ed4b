"""Ends the process, with the reason, when it has stopped getting on. A thread: it also sees a blocked event loop.

How long a process that stands still can live, from the last sign of life (``stall_s``: CX_STALL_S, 90, at most 100):

    last sign of life                                  stall_s        stall_s + HARD_MARGIN_S
    |-- look -- look -- look -- look -- look -- look --|-- look       |-----------------------> seconds lived
       every LOOK_S, from a thread                        exit 75,    the last resort: exit 1,
                                                          reason      where each thread stands

| what stands still | seconds |
|---|---|
| recovery, group, fetches, reading, commits, event loop | stall_s + LOOK_S + at most LOG_S = 97, at most 107 |
| a transaction: the writer's own limit of 60 s comes first, with exit code 74 | flush interval + 60 |
| the interpreter itself (a C function that keeps the lock), so that no thread runs | stall_s + HARD_MARGIN_S = 100 |

Seconds are those in which the process could run (``lived``): on a free machine seconds of the wall clock, on one that
gives it a tenth of a processor up to ten times as many. The last resort knows only the wall clock; it is put off by as
many times as the process was last seen to live slower. Phases do not add up: losing the assignment starts no clock
anew, only an answer of the broker does (``status``).
"""

from __future__ import annotations

import faulthandler
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from streams.runtime.exits import Die, ExitCode
from streams.runtime.status import Status

LOOK_S = 2.0
HARD_MARGIN_S = 10.0
"""The last resort comes this much after the ordinary end would have come. It needs no interpreter: it writes where each
thread stands to standard error and ends the process with exit code 1."""


@dataclass
class Watchdog:
    """Looks every ``every_s`` seconds at the event loop's beat and at every room's status."""

    statuses: Sequence[Status]
    stall_s: float
    end: Die
    every_s: float = LOOK_S
    clock: Callable[[], float] = time.monotonic
    measure: Callable[[], float] = lambda: 1.0
    """Moves the clock on; returns how many times longer than on a free machine everything may take."""
    _beat_at: float = field(default=0.0, init=False)
    _stop: threading.Event = field(default_factory=threading.Event, init=False)

    def start(self) -> None:
        """Start looking."""
        self.beat()
        self._arm(1.0)
        threading.Thread(target=self._run, name="cx-watchdog", daemon=True).start()

    def beat(self) -> None:
        """The event loop is alive: call at least every few seconds."""
        self._beat_at = self.clock()

    def stop(self) -> None:
        """Stop looking."""
        self._stop.set()

    @property
    def alive(self) -> bool:
        """True while the event loop beats."""
        return self.clock() - self._beat_at <= self.stall_s

    def look(self) -> str | None:
        """The reason to end, None if there is none."""
        if not self.alive:
            return f"the event loop has been blocked for {self.clock() - self._beat_at:.0f} s"
        return next((found for status in self.statuses if (found := status.problem(self.stall_s))), None)

    def _arm(self, times: float) -> None:
        """Put the last resort off: from the start on, because the first thing that a room does may be what hangs."""
        faulthandler.dump_traceback_later((self.stall_s + HARD_MARGIN_S) * times, exit=True)

    def _run(self) -> None:
        while not self._stop.wait(self.every_s):
            self._arm(self.measure())
            reason = self.look()
            if reason is not None:
                self.end(ExitCode.STALLED, reason)
        faulthandler.cancel_dump_traceback_later()
