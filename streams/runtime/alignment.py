"""Is a record where its customer lives? Checked for every record of the event topics.

A producer whose partitioner is not Java's murmur2, or whose key is not the customer, would break the join without a
sound: the record is well-formed, only in the wrong place.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from schemas.events import HEARTBEAT_KEY
from schemas.partition import partition_of, partitions_of

_customer_of = attrgetter("customer_id")
_REMEMBERED = 100_000
"""Keys remembered per task, about 20 MB; the memory starts anew when it is full."""


class Keys:
    """Remembers the keys that were found in the right place, so that the check costs one look-up per record."""

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
