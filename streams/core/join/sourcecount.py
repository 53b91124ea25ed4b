"""Who spoke: accepted, late and repeated events per topic, producer and bin, by event time.

A bin's counts are sent once the bin is closed, and again, absolute, if a straggler or a duplicate changes them; they
are kept as long as the topic accepts events of that bin. A producer that said nothing in a bin has no row: no data is
not zero. Nor has a drill, which is no producer of the company. Duplicates count in the bin of their event time, so the
sums do not depend on the number of partitions.

State: one value per topic and minute with everything counted in it; minutes an hour behind the topic's clock are joined
to hours, because contacts come weeks late. An hour is kept as it is written, packed, except while it is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from schemas.drills import SOURCE
from schemas.findings import SourceCount
from schemas.hotfindings import source_count
from schemas.topics import HOUR_MS, MINUTE_MS
from streams.core.eventtime import floor_ms

ACCEPTED, LATE, DUPLICATE = 0, 1, 2
"""Positions in the counts of one producer in one bin. Late events are accepted too."""

CellKey = tuple[int, str]
"""(start of the bin in ms, producer)."""
Cells = dict[CellKey, list[int]]
Row = tuple[int, str, list[int]]
"""Start of the bin, producer, counts."""

_pack = msgspec.msgpack.Encoder().encode
_rows = msgspec.msgpack.Decoder(list[Row]).decode


class TopicSources:
    """Counts of one topic and partition."""

    def __init__(self, topic: str, partition: int, width_ms: int) -> None:
        """Start empty. ``width_ms`` is the width of a bin and divides a minute."""
        self._topic = topic
        self._partition = partition
        self._width_ms = width_ms
        self._minutes: dict[int, Cells] = {}
        self._hours: dict[int, bytes] = {}
        self._open: dict[int, Cells] = {}  # hours that were touched since the last drain; they win over the packed ones
        self._hours_before_ms = 0
        self._forgotten_ms = 0
        self._changed: set[int] = set()
        self._unsent: set[CellKey] = set()
        self._gone: list[tuple[int, ...]] = []

    def count(self, kind: int, cells: Mapping[CellKey, int]) -> None:
        """Add counts of one kind (accepted, late or duplicate) per bin and producer."""
        for key, events in cells.items():
            found = self._cells(key[0])
            counts = found.get(key)
            if counts is None:
                counts = found[key] = [0, 0, 0]
            counts[kind] += events
            self._unsent.add(key)

    def _cells(self, bin_ms: int) -> Cells:
        """The cells of a bin's minute or hour, to be changed."""
        minute_ms = floor_ms(bin_ms, MINUTE_MS)
        if minute_ms < self._hours_before_ms:
            return self._hour(floor_ms(bin_ms, HOUR_MS))
        self._changed.add(minute_ms)
        return self._minutes.setdefault(minute_ms, {})

    def _hour(self, hour_ms: int) -> Cells:
        if hour_ms not in self._open:
            packed = self._hours.get(hour_ms)
            self._open[hour_ms] = {} if packed is None else _cells_of(_rows(packed))
        return self._open[hour_ms]

    def messages(self, through_ms: int) -> Iterator[SourceCount]:
        """Yield counts that changed since they were last sent, of bins that end at or before ``through_ms``."""
        ready = sorted(key for key in self._unsent if key[0] + self._width_ms <= through_ms)
        self._unsent.difference_update(ready)
        for key in ready:
            if key[1] == SOURCE:
                continue
            counts = self._counts(key)
            yield source_count(self._topic, key[1], self._partition, key[0], self._width_ms, *counts)

    def _counts(self, key: CellKey) -> list[int]:
        minute_ms = floor_ms(key[0], MINUTE_MS)
        if minute_ms >= self._hours_before_ms:
            return self._minutes[minute_ms][key]
        return self._hour(floor_ms(key[0], HOUR_MS))[key]

    def forget(self, oldest_ms: int) -> None:
        """Drop what ended at or before ``oldest_ms``: no accepted event can lie in it. Call after messages.

        ``oldest_ms`` must not be ahead of what :meth:`messages` was last called with.
        """
        if oldest_ms - self._forgotten_ms < MINUTE_MS:
            return
        self._forgotten_ms = floor_ms(oldest_ms, MINUTE_MS)
        for minute_ms in [start for start in self._minutes if start + MINUTE_MS <= oldest_ms]:
            self._drop_minute(minute_ms)
        for hour_ms in [start for start in self._open.keys() | self._hours.keys() if start + HOUR_MS <= oldest_ms]:
            self._open.pop(hour_ms, None)
            self._hours.pop(hour_ms, None)
            self._gone.append((hour_ms, HOUR_MS))

    def _drop_minute(self, minute_ms: int) -> Cells:
        self._changed.discard(minute_ms)
        self._gone.append((minute_ms,))
        return self._minutes.pop(minute_ms)

    def age(self, newest_ms: int) -> None:
        """Join minutes of hours that ended an hour before ``newest_ms``, the topic's clock, to those."""
        hours_before_ms = floor_ms(max(0, newest_ms - HOUR_MS), HOUR_MS)
        if hours_before_ms == self._hours_before_ms:
            return
        self._hours_before_ms = hours_before_ms
        for minute_ms in [start for start in self._minutes if start < hours_before_ms]:
            self._hour(floor_ms(minute_ms, HOUR_MS)).update(self._drop_minute(minute_ms))

    def drain(self) -> Iterator[tuple[tuple[int, ...], bytes | None]]:
        """Yield (key, counts) that changed since the last drain, None for what is gone.

        A key is a minute, or an hour and its width.
        """
        yield from ((key, None) for key in self._gone)
        self._gone = []
        for minute_ms in sorted(self._changed):
            yield (minute_ms,), _packed(self._minutes[minute_ms])
        self._changed.clear()
        opened, self._open = self._open, {}
        for hour_ms in sorted(opened):
            packed = _packed(opened[hour_ms])
            if packed != self._hours.get(hour_ms):
                self._hours[hour_ms] = packed
                yield (hour_ms, HOUR_MS), packed

    def load(self, key: tuple[int, ...], rows: Iterable[Row], sent_through_ms: int) -> None:
        """Take back one minute or hour; bins that end after ``sent_through_ms`` were not sent yet."""
        cells = _cells_of(rows)
        if len(key) == 1:
            self._minutes[key[0]] = cells
        else:
            self._hours[key[0]] = _packed(cells)
        self._unsent.update(cell for cell in cells if cell[0] + self._width_ms > sent_through_ms)


def _cells_of(rows: Iterable[Row]) -> Cells:
    return {(bin_ms, source): list(counts) for bin_ms, source, counts in rows}


def _packed(cells: Cells) -> bytes:
    return _pack([(*key, counts) for key, counts in sorted(cells.items())])
