"""The back of a replay: match and outreach of one customer partition, led along the marks that detect wrote.

At every mark both inputs of match are fed exactly up to it, match is flushed, and what it wrote goes to outreach. Where
an order or a profile acts, the room is first led to the clocks that belong to it. Decisions are what would have been
done: nothing here can send.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streams.replay.acts import Act
from streams.replay.lanes import Lane
from streams.replay.unit import Unit
from streams.runtime.batch import RawBatch
from streams.runtime.limits import TaskRules
from streams.runtime.room import Room


class Back:
    """One customer partition. Rooms that are not asked for are left out."""

    def __init__(
        self, unit: Unit, rooms: Sequence[Room[Any]], lanes: Mapping[str, Lane], acts: Sequence[Act],
        partition: int, partitions: int, rules: TaskRules,
    ) -> None:  # fmt: skip
        """``lanes``: ``episode`` and ``issue`` for match; ``issue of outreach``, the same again, and ``affected`` if
        match is left out; ``steps``, the issues once more, for their marks."""
        self.unit, self.lanes, self.acts = unit, lanes, acts
        self.tasks = {room.name: unit.task(room, partition, partitions, rules) for room in rooms}
        self.acted = unit.positions.get("acted", 0)

    def run(self) -> None:
        """Lead the rooms to the end of their inputs."""
        marks = self.lanes["steps"]
        while True:
            marks.open()
            if marks.target_ms <= marks.reached_ms:
                break
            marks.mark(marks.target_ms)
            self._act(marks.reached_ms)
            self._to({"affected": marks.reached_ms, "issue": marks.reached_ms})
            self.unit.pause(self._positions)
        self._act(None)
        self._rest()
        self.unit.save(self._positions(), done=True)

    def _act(self, time_ms: int | None) -> None:
        """Feed what acts at or before a time (None: all that is left), each at its own clocks."""
        while self.acted < len(self.acts):
            act = self.acts[self.acted]
            if time_ms is not None and act.at_ms > time_ms:
                return
            self._to(act.clocks)
            self._take(act.batch)
            self.acted += 1

    def _take(self, batch: RawBatch) -> None:
        for task in self.tasks.values():
            if batch.topic in task.room.inputs:
                task.start_at(batch.topic, batch.start)
                task.feed(batch)
        self.unit.read(len(batch))

    def _to(self, clocks: Mapping[str, int]) -> None:
        """Lead match to the clock of ``affected``, and outreach to both."""
        if "match" in self.tasks:
            for noun in ("episode", "issue"):
                self.unit.feed("match", noun, self.lanes[noun].to(clocks["affected"]))
            self._flush_match()
        if "outreach" in self.tasks:
            if "match" not in self.tasks:
                self.unit.feed("outreach", "affected", self.lanes["affected"].to(clocks["affected"]))
            self.unit.feed("outreach", "issue", self.lanes["issue of outreach"].to(clocks["issue"]))
            self.unit.flush("outreach")

    def _flush_match(self) -> None:
        found = self.unit.flush("match")
        if "outreach" in self.tasks:
            self.unit.feed("outreach", "affected", found.get("affected", []))

    def _rest(self) -> None:
        if "match" in self.tasks:
            for noun in ("episode", "issue"):
                self.unit.feed("match", noun, self.lanes[noun].rest())
            self._flush_match()
        if "outreach" in self.tasks:
            if "match" not in self.tasks:
                self.unit.feed("outreach", "affected", self.lanes["affected"].rest())
            self.unit.feed("outreach", "issue", self.lanes["issue of outreach"].rest())
            self.unit.flush("outreach")

    def _positions(self) -> dict[str, int]:
        positions = {"acted": self.acted}
        for name, lane in self.lanes.items():
            positions |= {f"lane {name}": lane.position, f"reached {name}": lane.reached_ms}
        return positions
