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
from streams.replay.recording import END_MS
from streams.replay.unit import Unit
from streams.runtime.task import PartitionTask

_CLOCKS = {
    "match": {"episode": "episode_ms", "issue": "issue_ms"},
    "outreach": {"affected": "affected_ms", "issue of outreach": "issue_ms"},
}
"""Room -> lane -> how far its state has come on it."""


class Back:
    """One customer partition. Rooms that are not asked for are left out."""

    def __init__(
        self, unit: Unit, tasks: Mapping[str, PartitionTask[Any]], lanes: Mapping[str, Lane], acts: Sequence[Act],
        seen: Mapping[str, Mapping[str, int]],
    ) -> None:  # fmt: skip
        """``lanes``: ``episode`` and ``issue`` for match; ``issue of outreach``, the same again, and ``affected``, what
        match does not write here; ``steps``, the issues once more, for their marks. ``seen``: of each room, noun ->
        offset before which its state contains what acts on arrival."""
        self.seen = seen
        self.unit, self.lanes, self.acts = unit, lanes, acts
        self.tasks = tasks
        self.acted = unit.positions.get("acted", 0)
        for room, clocks in _CLOCKS.items():
            for name, clock in clocks.items():
                if room in self.tasks and name in lanes:
                    lanes[name].reached_ms = max(lanes[name].reached_ms, getattr(self.tasks[room].state, clock))

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
            self._take(act)
            self.acted += 1

    def _take(self, act: Act) -> None:
        noun = act.batch.topic
        for room, task in self.tasks.items():
            seen = 0 if act.at_ms == END_MS else self.seen[room].get(noun, 0)  # what comes last was never read
            batch = act.batch.since(seen)
            if noun in task.room.inputs and len(batch):
                task.start_at(noun, batch.start)
                task.feed(batch)
        self.unit.read(len(act.batch))

    def _to(self, clocks: Mapping[str, int]) -> None:
        """Lead match to the clock of ``affected``, and outreach to both."""
        if "affected" in self.lanes:
            self.unit.feed("outreach", "affected", self.lanes["affected"].to(clocks["affected"]))
        if "match" in self.tasks:
            for noun in ("episode", "issue"):
                self.unit.feed("match", noun, self.lanes[noun].to(clocks["affected"]))
            self._flush_match()
        if "outreach" in self.tasks:
            self.unit.feed("outreach", "issue", self.lanes["issue of outreach"].to(clocks["issue"]))
            self.unit.flush("outreach")

    def _flush_match(self) -> None:
        found = self.unit.flush("match")
        if "outreach" in self.tasks:
            self.unit.feed("outreach", "affected", found.get("affected", []))

    def _rest(self) -> None:
        if "affected" in self.lanes:
            self.unit.feed("outreach", "affected", self.lanes["affected"].rest())
        if "match" in self.tasks:
            for noun in ("episode", "issue"):
                self.unit.feed("match", noun, self.lanes[noun].rest())
            self._flush_match()
        if "outreach" in self.tasks:
            self.unit.feed("outreach", "issue", self.lanes["issue of outreach"].rest())
            self.unit.flush("outreach")

    def _positions(self) -> dict[str, int]:
        positions = {"acted": self.acted}
        for name, lane in self.lanes.items():
            positions |= {f"lane {name}": lane.position, f"reached {name}": lane.reached_ms}
        return positions
