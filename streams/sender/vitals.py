"""The sender as a room that says how it stands (``streams.runtime.vitals``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streams.runtime.status import Status
from streams.runtime.tally import RoomTally, Standing, TaskTally


class SenderRoom:
    """What the partitions of this process have told of themselves at their last rounds."""

    def __init__(self, status: Status) -> None:
        """``status``: where the process stands towards its group."""
        self.name = "send"
        self.status = status
        self.tally = RoomTally()
        self._standings: dict[int, Standing] = {}
        self._tallies: dict[int, TaskTally] = {}

    def note(self, standing: Standing, tally: TaskTally) -> None:
        """A partition has done a round."""
        self._standings[standing.partition], self._tallies[standing.partition] = standing, tally

    def forget(self, partition: int) -> None:
        """A partition is let go: from now on its next owner speaks of it."""
        self._standings.pop(partition, None)
        self._tallies.pop(partition, None)

    def rows(self) -> int:
        """A sender gives ClickHouse nothing."""
        return 0

    def standings(self) -> Sequence[Standing]:
        """Where each partition stands in the topic of decisions."""
        return list(self._standings.values())

    def task_tallies(self) -> Mapping[int, TaskTally]:
        """What each partition has done since it was opened."""
        return self._tallies
