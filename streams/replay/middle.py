"""The middle and the end of a replay: detect over the counts of all partitions, impact over what match counted.

detect is led through event time minute by minute while an issue goes on, so that its revisions are those of a live line
whose flushes fell on full minutes, however the counts were cut; where nothing goes on it goes straight to the next
count. It stops exactly at every moment at which something acts, here or in outreach.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from schemas.topics import MINUTE_MS
from streams.core.detect.state import DetectState
from streams.replay.acts import Act
from streams.replay.lanes import Lane, Rows, as_batch
from streams.replay.unit import Unit
from streams.runtime.limits import TaskRules
from streams.runtime.room import Room

COUNTS = "cohort_count"
STRETCH = 2_000
"""Records that impact takes in at a time."""


class Middle:
    """The detect room."""

    def __init__(
        self, unit: Unit, room: Room[Any], lanes: Sequence[Lane], acts: Sequence[Act], stops: Sequence[int],
        partitions: int, rules: TaskRules,
    ) -> None:  # fmt: skip
        """``lanes``: the counts of each partition; ``stops``: sorted moments to be at exactly, ms since 1970 UTC."""
        self.unit, self.lanes, self.acts = unit, lanes, acts
        self.task = unit.task(room, 0, partitions, rules)
        self.stops = stops
        state: DetectState = self.task.state
        self.clock_ms = unit.positions.get("clock_ms", state.clock_ms)
        for number, lane in enumerate(lanes):
            lane.reached_ms = max(lane.reached_ms, state.through.get(number, 0))
        self.acted = unit.positions.get("acted", 0)

    def run(self) -> None:
        """Lead the room to the end of its counts."""
        self._open()
        self._act(self.clock_ms)
        while (target_ms := min(lane.target_ms for lane in self.lanes)) > self.clock_ms:
            self._to(self._next(target_ms))
            self._act(self.clock_ms)
            self._open()
            self.unit.flush("detect")
            self.unit.pause(self._positions)
        for lane in self.lanes:
            self._feed(lane.rest())
        self._act(None)
        self.unit.flush("detect")
        self.unit.save(self._positions(), done=True)

    def _open(self) -> None:
        for lane in self.lanes:
            self._feed(lane.open())

    def _to(self, time_ms: int) -> None:
        for lane in self.lanes:
            self._feed(lane.mark(time_ms))
        self.clock_ms = time_ms

    def _next(self, target_ms: int) -> int:
        """The moment to go to: no further than the target and the next stop, and not past a minute that matters."""
        state: DetectState = self.task.state
        at = bisect_right(self.stops, self.clock_ms)
        until = min(target_ms, self.stops[at]) if at < len(self.stops) else target_ms
        if any(live.resolved_at_ms is None for live in state.book.issues.values()):
            first_ms = self.clock_ms
        elif state.bins:
            first_ms = max(self.clock_ms, state.bins[0])
        else:
            return until
        return min(until, first_ms - first_ms % MINUTE_MS + MINUTE_MS)

    def _act(self, time_ms: int | None) -> None:
        """Feed what acts at or before a time (None: all that is left)."""
        while self.acted < len(self.acts) and (time_ms is None or self.acts[self.acted].at_ms <= time_ms):
            batch = self.acts[self.acted].batch
            self.task.start_at(batch.topic, batch.start)
            self.task.feed(batch)
            self.acted += 1

    def _feed(self, rows: Rows) -> None:
        self.unit.feed("detect", COUNTS, rows)

    def _positions(self) -> dict[str, int]:
        positions = {"clock_ms": self.clock_ms, "acted": self.acted}
        for number, lane in enumerate(self.lanes):
            positions |= {f"lane {number}": lane.position, f"reached {number}": lane.reached_ms}
        return positions


def run_impact(unit: Unit, room: Room[Any], lanes: Sequence[Lane], partitions: int, rules: TaskRules) -> None:
    """Sum up what every partition counted; the sums after the last count do not depend on the order of partitions."""
    task = unit.task(room, 0, partitions, rules)
    for lane in lanes:
        rows = lane.rest()
        for low in range(0, len(rows), STRETCH):
            part = rows[low : low + STRETCH]
            task.feed(as_batch("affected_count", 0, task.positions["affected_count"], part))
            unit.read(len(part))
    unit.flush("impact")
    unit.save({}, done=True)
