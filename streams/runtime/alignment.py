"""How the topics of one partition are kept in step: which run ahead, which are idle, which records lie elsewhere.

Skew. A topic is paused while its newest event is more than ``max_skew_ms`` ahead of the slowest topic that still has
something to read. This bounds memory in a replay and is never needed for correctness. Event time ->

    contact    ========|                         the slowest: never paused, so something always moves
    order      ==============|                   within max_skew_ms of it: goes on
    telemetry  ========|-- max_skew_ms --|===|   beyond: paused until contact has come closer, or is at its end

Idleness. A topic is idle once it is at its end and its clock has not moved for ``idle_s``. The others go on without it;
what follows from that is a recorded tick (``task.PartitionTask.idle``). Wall clock ->

    clock moves |   clock stands still    |  idle  | clock moves
    ------------+-------------------------+--------+------------
                |<------- idle_s -------->|

Home. A producer whose partitioner is not Java's murmur2, or whose key is not the customer, would break the join without
a sound: the record is well-formed, only in the wrong partition. Checked for every record of the event topics.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any

from schemas.events import HEARTBEAT_KEY
from schemas.partition import partition_of, partitions_of

_customer_of = attrgetter("customer_id")
_REMEMBERED = 100_000
"""Keys remembered per task, about 20 MB; the memory starts anew when it is full."""


def ahead(newest: Mapping[str, int], unread: Collection[str], max_skew_ms: int) -> set[str]:
    """Nouns that should wait. ``newest``: newest event time per noun, ms; ``unread``: nouns not at their end.

    A noun that has shown no event yet holds up nobody: its first batch comes with the next fetch. ``max_skew_ms`` 0:
    no topic ever waits.
    """
    behind = [newest[noun] for noun in unread if noun in newest]
    if not behind or max_skew_ms <= 0:
        return set()
    slowest = min(behind)
    return {noun for noun, reached in newest.items() if reached - slowest > max_skew_ms}


class Idleness:
    """Remembers when each input's clock last moved. Times are monotonic seconds.

    The clock counts, not the records: one customer alone moves no clock, and a topic that hears nobody else must not
    hold up the others.
    """

    def __init__(self, idle_s: float) -> None:
        """``idle_s`` 0: nothing is ever idle."""
        self._idle_s = idle_s
        self._moved: dict[str, tuple[int, float]] = {}
        """Noun -> its clock, and since when it stands there."""

    def look(self, ends: Mapping[str, tuple[int, int]], clocks: Mapping[str, int], now: float) -> set[str]:
        """Idle nouns.

        ``ends``: noun -> (position, end of its partition as of the newest fetch); ``clocks``: noun -> how far it has
        come, ms, of those that were heard.
        """
        for noun in ends:
            known = self._moved.get(noun)
            if known is None or known[0] != clocks.get(noun, 0):
                self._moved[noun] = (clocks.get(noun, 0), now)
        if not self._idle_s:
            return set()
        return {
            noun
            for noun, (position, end) in ends.items()
            if position >= end and now - self._moved[noun][1] >= self._idle_s
        }


class Keys:
    """Remembers the keys that were found where they belong, so that the check costs one look-up per record."""

    def __init__(self, partition: int, partitions: int) -> None:
        """``partition`` is where the records are read, ``partitions`` how many customer partitions there are."""
        self._partition = partition
        self.partitions = partitions
        self._right: dict[bytes | None, str | None] = {HEARTBEAT_KEY: None}

    def home(self, key: bytes) -> int:
        """The partition where the records of a key live."""
        return partition_of(key, self.partitions)

    def foreign(self, keys: Sequence[bytes | None], records: Sequence[Any]) -> list[int]:
        """Indexes of records whose key is not their customer, or whose customer lives on another partition.

        Heartbeats have no customer and are never foreign.
        """
        right = self._right
        heartbeats = HEARTBEAT_KEY in keys
        if not heartbeats and list(map(right.get, keys)) == list(map(_customer_of, records)):
            return []
        if heartbeats:
            unknown = [
                here
                for here, (key, record) in enumerate(zip(keys, records, strict=True))
                if key != HEARTBEAT_KEY and right.get(key) != record.customer_id
            ]
        else:
            unknown = [
                here
                for here, (key, record) in enumerate(zip(keys, records, strict=True))
                if right.get(key) != record.customer_id
            ]
        return self._learn(keys, records, unknown) if unknown else unknown

    def _learn(self, keys: Sequence[bytes | None], records: Sequence[Any], unknown: list[int]) -> list[int]:
        """Look up keys not met before; return those of ``unknown`` that are really foreign."""
        if len(self._right) + len(unknown) > _REMEMBERED:
            self._right = {HEARTBEAT_KEY: None}
        customers = [records[here].customer_id.encode() for here in unknown]
        foreign: list[int] = []
        for here, customer, home in zip(unknown, customers, partitions_of(customers, self.partitions), strict=True):
            if home == self._partition and keys[here] == customer:
                self._right[customer] = records[here].customer_id
            else:
                foreign.append(here)
        return foreign
