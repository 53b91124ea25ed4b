"""Who spoke: accepted, late and repeated events per topic, producer and bin, by event time.

A bin's counts are sent once the bin is closed, and again, absolute, if a straggler or a duplicate changes them; they
are kept as long as the topic accepts events of that bin. A producer that said nothing in a bin has no row: no data is
not zero. Duplicates count in the bin of their event time, so the sums do not depend on the number of partitions.

State: one value per topic and minute with everything counted in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from schemas.findings import SourceCount
from schemas.hotfindings import source_count
from schemas.topics import MINUTE_MS
from streams.core.eventtime import floor_ms

ACCEPTED, LATE, DUPLICATE = 0, 1, 2
"""Positions in the counts of one producer in one bin. Late events are accepted too."""

CellKey = tuple[int, str]
"""(start of the bin in ms, producer)."""


class TopicSources:
    """Counts of one topic and partition."""

    def __init__(self, topic: str, partition: int, width_ms: int) -> None:
        """Start empty. ``width_ms`` is the width of a bin and divides a minute."""
        self._topic = topic
        self._partition = partition
        self._width_ms = width_ms
        self.minutes: dict[int, dict[CellKey, list[int]]] = {}
        self._changed: set[int] = set()
        self._unsent: set[CellKey] = set()
        self._gone: list[int] = []

    def count(self, kind: int, cells: Mapping[CellKey, int]) -> None:
        """Add counts of one kind (accepted, late or duplicate) per bin and producer."""
        for key, events in cells.items():
            minute_ms = floor_ms(key[0], MINUTE_MS)
            minute = self.minutes.setdefault(minute_ms, {})
            counts = minute.get(key)
            if counts is None:
                counts = minute[key] = [0, 0, 0]
            counts[kind] += events
            self._changed.add(minute_ms)
            self._unsent.add(key)

    def messages(self, through_ms: int) -> Iterator[SourceCount]:
        """Yield counts that changed since they were last sent, of bins that end at or before ``through_ms``."""
        ready = sorted(key for key in self._unsent if key[0] + self._width_ms <= through_ms)
        self._unsent.difference_update(ready)
        for bin_ms, source in ready:
            counts = self.minutes[floor_ms(bin_ms, MINUTE_MS)][bin_ms, source]
            yield source_count(self._topic, source, self._partition, bin_ms, self._width_ms, *counts)

    def forget(self, oldest_ms: int) -> None:
        """Drop minutes that ended at or before ``oldest_ms``: no accepted event can lie in them. Call after messages.

        ``oldest_ms`` must not be ahead of what :meth:`messages` was last called with.
        """
        for minute_ms in [start for start in self.minutes if start + MINUTE_MS <= oldest_ms]:
            del self.minutes[minute_ms]
            self._changed.discard(minute_ms)
            self._gone.append(minute_ms)

    def drain(self) -> Iterator[tuple[int, list[tuple[int, str, list[int]]] | None]]:
        """Yield (minute, counts) that changed since the last drain, None for forgotten ones."""
        yield from ((minute_ms, None) for minute_ms in self._gone)
        self._gone = []
        for minute_ms in sorted(self._changed):
            yield minute_ms, [(*key, counts) for key, counts in sorted(self.minutes[minute_ms].items())]
        self._changed.clear()

    def load(self, minute_ms: int, rows: Iterable[tuple[int, str, list[int]]], sent_through_ms: int) -> None:
        """Take back one minute; bins that end after ``sent_through_ms`` were not sent yet."""
        self.minutes[minute_ms] = {(bin_ms, source): list(counts) for bin_ms, source, counts in rows}
        self._unsent.update(key for key in self.minutes[minute_ms] if key[0] + self._width_ms > sent_through_ms)
