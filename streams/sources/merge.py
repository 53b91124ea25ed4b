"""Several partitions of a company's own topic -> one stream in order of event time, with bounded memory. Pure.

A partition is in order as far as its producers are; two partitions of a backlog are read at two speeds. So nothing of a
partition is handed out before every other one has either shown something newer or was read to its end. A partition at
its end counts as read up to the moment at which it was asked for it.

    partition 0   ...written | head  next  next ...             behind the head: a look-ahead of a few rows
    partition 1   ...written |                 (at its end)     holds the others back at the moment it was asked
    partition 2   ...written |                 (not asked yet)  holds everything back

A row whose clock runs ahead of what follows it waits for nobody, so that one wrong clock cannot hold up its partition;
nor does a straggler, which is behind its own partition already.

Rows that are older than the company promised show that a backlog is being filled in or worked off elsewhere. While they
come, an empty partition is trusted to be at its end only after five quiet seconds: more of its past may be on the way.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import NamedTuple

from streams.sources.arrivals import Arrival, is_event
from streams.sources.identity import Identifier

LOOK_AHEAD = 16
"""Rows of other customers by which a row's clock is judged."""
_WIDEST = 256
"""Rows that are looked at for that at most."""
_AHEAD = 12
"""A row that is newer than so many of them runs ahead."""
AT_ONCE = -1
"""Key of a row that waits for nobody."""
CALM_MS = 5_000
"""While a backlog comes in, a partition is at its end only after so long without a row."""
_OBJECTS_BYTES = 1_000


class Named(NamedTuple):
    """A row of a message that names a customer; ``first`` and ``end`` bound its arrivals among the message's."""

    first: int
    end: int
    identifiers: tuple[Identifier, ...]
    """Strongest first; its arrivals are keyed by the first of them so far."""
    links: bool
    """True if it links what it names."""


class Read(NamedTuple):
    """One message of the source, mapped."""

    offset: int
    arrivals: tuple[Arrival, ...]
    size: int
    """Bytes that it takes in memory, roughly."""
    at_ms: int
    """Newest event in it; 0: it made no event."""
    latest_ms: int
    """No event in it can be newer than this: when it was appended, else when it was fetched."""
    customer: bytes
    named: tuple[Named, ...] = ()
    """Its rows whose customer is looked up when they are handed out."""


def read_of(offset: int, arrivals: Iterable[Arrival], latest_ms: int, named: tuple[Named, ...] = ()) -> Read:
    """Make a :class:`Read` of what a message was mapped to."""
    mapped = tuple(arrivals)
    events = [arrival for arrival in mapped if is_event(arrival)]
    customer = events[0].key if events else None
    newest_ms = max((arrival.at_ms for arrival in events), default=0)
    size = _OBJECTS_BYTES + sum(len(arrival.value) for arrival in mapped)
    return Read(offset, mapped, size, newest_ms, latest_ms, customer or b"", named)


class _Partition:
    """What was read of one partition and is not yet handed out."""

    __slots__ = ("bytes", "complete", "end_ms", "fetched_ms", "newest_ms", "passes_ms", "rows", "top_ms")

    def __init__(self, newest_ms: int) -> None:
        self.rows: deque[Read] = deque()
        self.bytes = 0
        self.newest_ms = newest_ms
        """Newest event time handed out, no later than what bounds it; 0: no event yet."""
        self.top_ms = newest_ms
        """Newest event time read."""
        self.fetched_ms = 0
        """When rows came last."""
        self.complete = False
        """Nothing more was there when it was asked, and nothing has come since."""
        self.end_ms = 0
        """It was read to its end as of this time, and that is trusted; 0: not known, or there has come more since."""
        self.passes_ms = 0
        """Without rows it lets others pass up to here: what had been fetched by then, whatever the clock said."""

    @property
    def known(self) -> bool:
        """True if enough was read to judge the head, or there is no more."""
        return self.complete or len(self.rows) > LOOK_AHEAD

    def key(self) -> int:
        """Time of the head, by which it is merged."""
        head = self.rows[0]
        if head.at_ms <= self.newest_ms or self._runs_ahead(head):
            return AT_ONCE
        return min(head.at_ms, head.latest_ms)

    def _runs_ahead(self, head: Read) -> bool:
        """True if most of what follows, by other customers, is older."""
        others = (row.at_ms for row in islice(self.rows, 1, _WIDEST) if row.at_ms and row.customer != head.customer)
        return sum(time_ms < head.at_ms for time_ms in islice(others, LOOK_AHEAD)) >= _AHEAD


class Merge:
    """The partitions that one process owns. ``newest`` holds what was handed out of each before, by earlier owners."""

    def __init__(self, newest: Mapping[int, int], delay_ms: int, budget_bytes: int = 64 * 1024 * 1024) -> None:
        """``delay_ms``: an event reaches the source at most this long after it happened."""
        self._delay_ms = delay_ms
        self._share = max(65_536, budget_bytes // max(1, len(newest)))
        self._parts = {partition: _Partition(time_ms) for partition, time_ms in sorted(newest.items())}
        self._latest_ms = 0
        self._backlog_ms = self._spell_ms = 0
        """When a row that was older than promised came last, and when the first of the present ones did."""

    @property
    def partitions(self) -> Collection[int]:
        """The partitions."""
        return self._parts.keys()

    @property
    def buffered(self) -> int:
        """Rows in memory."""
        return sum(len(part.rows) for part in self._parts.values())

    def add(self, partition: int, rows: Iterable[Read], now_ms: int) -> None:
        """Rows of one partition, in its order, fetched now; its end has to be asked for anew."""
        part = self._parts[partition]
        for row in rows:
            part.rows.append(row)
            part.bytes += row.size
            part.complete, part.end_ms, part.passes_ms, part.fetched_ms = False, 0, 0, now_ms
            self._latest_ms = max(self._latest_ms, row.latest_ms)
            if row.at_ms > part.top_ms:
                part.top_ms = row.at_ms
                self._note_age(row, now_ms)

    def _note_age(self, row: Read, now_ms: int) -> None:
        """Take note of a row that is older than promised; with the first of them no end is trusted any more."""
        if row.at_ms >= now_ms - self._delay_ms:
            return
        if not _just(self._backlog_ms, now_ms):
            self._spell_ms = now_ms
            for part in self._parts.values():
                part.end_ms = part.passes_ms = 0
        self._backlog_ms = now_ms

    def to_read(self) -> list[int]:
        """Partitions of which more should be read; the others wait, so that memory stays bounded."""
        return [
            partition
            for partition, part in self._parts.items()
            if part.bytes < self._share or len(part.rows) <= LOOK_AHEAD
        ]

    def blocking(self) -> list[int]:
        """Partitions that hold the others back until it is known whether they are at their end."""
        if self._alone:
            return []
        unknown = [partition for partition, part in self._parts.items() if not part.known]
        if unknown or not self.buffered:
            return unknown
        first_ms = min(part.key() for part in self._parts.values() if part.rows)
        return [partition for partition, part in self._parts.items() if not part.rows and part.passes_ms < first_ms]

    def at_end(self, partitions: Iterable[int], asked_ms: int) -> None:
        """These partitions held nothing more when they were asked, and all of it was added."""
        for partition in partitions:
            part = self._parts[partition]
            part.complete = True
            if not _just(self._backlog_ms, asked_ms) or not _just(max(part.fetched_ms, self._spell_ms), asked_ms):
                part.end_ms, part.passes_ms = max(1, asked_ms), max(asked_ms, self._latest_ms)

    def take(self, most: int, span_ms: int) -> list[tuple[int, Read]]:
        """The next rows, (partition, row), in order; at most so many, and of so much event time."""
        heads, until_ms = self._heads()
        taken: list[tuple[int, Read]] = []
        first_ms = 0
        while heads and len(taken) < most:
            key, partition = heads[0]
            first_ms = first_ms or max(0, key)
            if key > min(until_ms, first_ms + span_ms):
                break
            part = self._parts[partition]
            taken.append((partition, _pop(part, key)))
            if self._alone or part.known:
                until_ms = self._next_head(heads, part, until_ms)
            else:
                break
        return taken

    @property
    def _alone(self) -> bool:
        return len(self._parts) == 1

    def _heads(self) -> tuple[list[tuple[int, int]], float]:
        """A heap of (key, partition), and up to which time partitions without rows let the others pass."""
        if not self._alone and not all(part.known for part in self._parts.values()):
            return [], 0
        heads = [(part.key(), partition) for partition, part in self._parts.items() if part.rows]
        heapq.heapify(heads)
        return heads, min((part.passes_ms for part in self._parts.values() if not part.rows), default=float("inf"))

    def _next_head(self, heads: list[tuple[int, int]], part: _Partition, until_ms: float) -> float:
        """Replace the head that was handed out; returns up to which time may be read now."""
        if part.rows:
            heapq.heapreplace(heads, (part.key(), heads[0][1]))
            return until_ms
        heapq.heappop(heads)
        return min(until_ms, part.passes_ms)

    def newest_ms(self, partition: int) -> int:
        """Newest event time handed out of a partition; 0: none."""
        return self._parts[partition].newest_ms

    def vouched_ms(self) -> int:
        """Every event before this was handed out; 0 if nothing can be said, as before the first event.

        The slowest partition decides: up to its newest event, or up to the moment it was found at its end; less the
        time that an event may take to get there.
        """
        if not any(part.newest_ms for part in self._parts.values()):
            return 0
        reached = [
            part.newest_ms if part.rows or not part.end_ms else max(part.newest_ms, part.end_ms)
            for part in self._parts.values()
        ]
        return max(0, min(reached) - self._delay_ms)


def _just(then_ms: int, now_ms: int) -> bool:
    """True if that was a moment ago. A clock that was set back says no."""
    return 0 <= now_ms - then_ms < CALM_MS


def _pop(part: _Partition, key: int) -> Read:
    row = part.rows.popleft()
    part.bytes -= row.size
    part.newest_ms = max(part.newest_ms, key)
    return row
