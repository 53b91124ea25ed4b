"""Where every input is read from, and when that must not be trusted.

The source offsets of a task are part of its state (``state.Meta``): noun -> first offset that is not in the state yet.
So is the topic's epoch, the id that the broker gave the topic: one made anew under the same name has another id, and
its offsets start again. On assignment, for each topic partition (offsets ->)

    first                 stored                  end
    |-- in the state -----|-- read from here -----|        the usual case
    stored ~~~~~ first                            end      retention deleted records unread: counted, go on
    first                 end ~~~~~~~~~~~~~~~~ stored      not the topic that was read: refused
    another epoch                                          not the topic that was read, however long: refused

Group offsets follow committed transactions. They show lag and decide nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from faust.types import TP

from schemas.errors import ConfigError
from streams.topics import topic_ids

log = logging.getLogger("cx.room")

SHRUNK_LOOKS = 3
"""A topic that ends before our position at this many looks in a row was made anew, or has lost its end."""


class SourceTopics:
    """The input topics of one room, and what this process knows of them. Refuses those made anew with ConfigError."""

    def __init__(self, room: str, topics: Mapping[str, str]) -> None:
        """``topics``: noun -> name with prefix."""
        self._room = room
        self._topics = topics
        self.epochs: dict[str, str] = {}
        """Noun -> epoch of the topic that this process has read."""
        self._shrunk: dict[TP, int] = {}

    async def fetch_epochs(self, bootstrap: str) -> dict[str, str]:
        """Noun -> epoch of its topic, as the broker says now; without those that the broker does not know."""
        ids = await asyncio.to_thread(topic_ids, bootstrap, self._topics.values())
        return {noun: ids[topic] for noun, topic in self._topics.items() if topic in ids}

    def refuse_deleted(self, partitions_of: Callable[[str], int]) -> None:
        """A topic that vanishes under a running room: creating it again, as a first start asks for, helps nobody.

        ``partitions_of``: topic -> partitions in the client's metadata, 0 if it is unknown.
        """
        for noun in self.epochs:
            if not partitions_of(self._topics[noun]):
                raise ConfigError(
                    f"{self._topics[noun]} was deleted while room {self._room} read it; made anew, its offsets start "
                    "again: start with a new CX_TOPIC_PREFIX, or restore the topic"
                )

    def refuse_other_epochs(self, known: Mapping[str, str], now: Mapping[str, str]) -> None:
        """Compare epochs, both noun -> epoch: what lies below the source offsets in a new epoch would be skipped."""
        for noun, before in known.items():
            if now.get(noun, before) != before:
                raise ConfigError(
                    f"{self._topics[noun]} was made anew since room {self._room} read it (its id has changed): start "
                    "with a new CX_TOPIC_PREFIX, or restore the topic"
                )

    def refuse_shrunk(self, ends: Mapping[TP, tuple[int, int]]) -> None:
        """Look at (position, end) of each topic partition, again and again while the room runs.

        Offsets below our position are known ones: what is written there now would be skipped without a word.
        """
        short = {tp: found for tp, found in ends.items() if found[1] < found[0]}
        self._shrunk = {tp: self._shrunk.get(tp, 0) + 1 for tp in short}
        for tp, looks in self._shrunk.items():
            if looks >= SHRUNK_LOOKS:
                position, end = short[tp]
                raise ConfigError(
                    f"{tp.topic} partition {tp.partition} ends at {end}, room {self._room} has read to {position}: was "
                    "the topic made anew? Start with a new CX_TOPIC_PREFIX, or restore the topic"
                )

    def start_offset(self, tp: TP, stored: int, first: int, end: int) -> int:
        """Where to start reading: ``stored``, or ``first``, the first offset that is left, if that is later."""
        if stored > end:
            raise ConfigError(
                f"{tp.topic} partition {tp.partition} ends at {end}, the state of room {self._room} "
                f"has read to {stored}: was the topic made anew? Start with a new CX_TOPIC_PREFIX, or restore the topic"
            )
        return max(stored, first)


class GroupProgress:
    """Which group offsets are due: those that moved since they were last handed out."""

    def __init__(self) -> None:
        """Nothing is committed yet."""
        self._durable: dict[TP, int] = {}
        self._handed_out: dict[TP, int] = {}

    def add(self, tp: TP, offset: int) -> None:
        """A committed transaction holds everything before ``offset``."""
        self._durable[tp] = offset

    def due(self, passed: dict[TP, int]) -> dict[TP, int]:
        """What the last transactions hold, and ``passed``: other positions with nothing before them left to write."""
        offsets, self._durable = self._durable | passed, {}
        due = {tp: offset for tp, offset in offsets.items() if self._handed_out.get(tp) != offset}
        self._handed_out.update(due)
        return due

    def forget(self) -> None:
        """The assignment is over: somebody else may commit other offsets."""
        self._handed_out = {}
