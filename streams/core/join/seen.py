"""What was seen of one topic, for as long as it accepts events: minutes while fresh, then hours, then days.

    | day | day | day | hour | hour ... hour | minute ... minute | ahead of the clock
                      ^ a day behind         ^ an hour behind the topic's clock

Contacts and orders come days late, so what was seen is remembered for weeks. 45 days are 64,800 minutes, too many keys
and objects for the few events in most of them: as they age, minutes are joined to hours and hours to days. What "seen"
means stays the same: same id, same customer, same minute of event time. In a bucket wider than a minute the hash of an
event is mixed with that of its minute, so an id that comes again in another minute is another event there, too.

Where an event belongs follows from the topic's clock as of the last flush, which is persisted with the buckets: a
restart asks in the same place. When exactly a bucket moves changes no answer.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xxhash

from schemas.topics import DAY_MS, HOUR_MS, MINUTE_MS
from streams.core.eventtime import floor_ms
from streams.core.join.dedup import Bucket, Memory

SliceKey = tuple[int, ...]
"""(bucket start in ms, first index of the slice), for buckets wider than a minute followed by their width in ms."""


def minute_mix(minute_ms: int) -> int:
    """Return what hashes of events in this minute are mixed with where buckets are wider."""
    return xxhash.xxh3_64_intdigest(minute_ms.to_bytes(8, "little"))


class SeenEvents:
    """Hashes of the accepted events of one topic and partition."""

    __slots__ = ("_days", "_days_before_ms", "_forgotten_ms", "_hours", "_hours_before_ms", "_minutes")

    def __init__(self) -> None:
        """Start empty."""
        self._minutes, self._hours, self._days = Memory(MINUTE_MS), Memory(HOUR_MS), Memory(DAY_MS)
        self._hours_before_ms = 0
        self._days_before_ms = 0
        self._forgotten_ms = 0

    def __len__(self) -> int:
        """Return how many events are remembered."""
        return len(self._minutes) + len(self._hours) + len(self._days)

    @property
    def buckets(self) -> int:
        """Return in how many buckets."""
        return sum(len(memory.buckets) for memory in (self._minutes, self._hours, self._days))

    def bucket_of(self, minute_ms: int) -> tuple[Bucket, int]:
        """Return the bucket for adding events of a minute, and what their hashes are mixed with there (xor)."""
        if minute_ms >= self._hours_before_ms:
            return self._minutes.bucket(minute_ms), 0
        if minute_ms >= self._days_before_ms:
            return self._hours.bucket(floor_ms(minute_ms, HOUR_MS)), minute_mix(minute_ms)
        return self._days.bucket(floor_ms(minute_ms, DAY_MS)), minute_mix(minute_ms)

    def age(self, newest_ms: int) -> None:
        """Join what has become old to wider buckets; ``newest_ms`` is the topic's clock."""
        hours_before_ms = floor_ms(max(0, newest_ms - HOUR_MS), MINUTE_MS)
        if hours_before_ms == self._hours_before_ms:
            return
        self._hours_before_ms = hours_before_ms
        self._days_before_ms = floor_ms(max(0, newest_ms - DAY_MS), HOUR_MS)
        for minute_ms in sorted(start for start in self._minutes.buckets if start < hours_before_ms):
            mixed = self._minutes.take(minute_ms) ^ np.uint64(minute_mix(minute_ms))
            self._hours.extend(floor_ms(minute_ms, HOUR_MS), mixed)
        for hour_ms in sorted(start for start in self._hours.buckets if start < self._days_before_ms):
            self._days.extend(floor_ms(hour_ms, DAY_MS), self._hours.take(hour_ms))

    def forget(self, before_ms: int) -> None:
        """Drop every bucket that ends at or before ``before_ms``."""
        if before_ms - self._forgotten_ms >= MINUTE_MS:
            self._forgotten_ms = floor_ms(before_ms, MINUTE_MS)
            for memory in (self._minutes, self._hours, self._days):
                memory.forget(before_ms)

    def drain(self, rest_before_ms: int) -> Iterator[tuple[SliceKey, bytes | None]]:
        """Yield what changed since the last drain; minutes that end by ``rest_before_ms`` take their compact form."""
        yield from self._minutes.drain(rest_before_ms)
        for memory in (self._hours, self._days):
            yield from (((*key, memory.width_ms), value) for key, value in memory.drain(rest_before_ms))

    def load(self, slices: dict[SliceKey, bytes], newest_ms: int) -> None:
        """Fill from everything that drains handed out and that was not deleted since, in any order."""
        for memory in (self._minutes, self._hours, self._days):
            width = (memory.width_ms,) if memory.width_ms > MINUTE_MS else ()
            memory.load({(key[0], key[1]): value for key, value in slices.items() if key[2:] == width})
        self.age(newest_ms)
