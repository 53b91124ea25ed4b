"""Records that act when they arrive (orders, changes, profiles): when a replay feeds them.

Where the live line recorded it (``streams.replay.cuts``), exactly where it fed them. Otherwise each acts when the
room's clock has come to its own time, and not before an earlier record of the same key; what is later than the end of
the input acts there. A record without a time that can be read acts at once: the room sets it aside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from streams.replay.cuts import Logs, anchored
from streams.replay.recording import END_MS
from streams.replay.source import Source
from streams.runtime.batch import RawBatch

OWN_TIME: Mapping[str, str] = {
    "change": "changed_at_ms",
    "command": "issued_at_ms",
    "control": "issued_at_ms",
    "customer": "updated_at_ms",
}
"""Noun -> field with the time of the record itself."""
CLOCKS: Mapping[str, tuple[str, ...]] = {"detect": ("cohort_count",), "outreach": ("affected", "issue")}
"""Room with inputs that act on arrival -> its inputs with a clock."""
ACTING: Mapping[str, tuple[str, ...]] = {"detect": ("change", "control"), "outreach": ("customer", "command")}
"""The same rooms -> the inputs that act on arrival."""
STEP_MS: Mapping[str, int] = {"customer": 10_000}
"""Noun -> own times are rounded up to multiples of this, so that many records are fed together. Others: exactly."""


@dataclass(frozen=True)
class Act:
    """Records that are fed together, once the room has come so far."""

    batch: RawBatch
    clocks: Mapping[str, int]
    """Noun of an input with a clock -> event time, ms since 1970 UTC, that it has to have reached, and no more."""

    @property
    def at_ms(self) -> int:
        """The slowest of the clocks."""
        return min(self.clocks.values())


def acts_of(source: Source, room: str, partition: int, begin_ms: int) -> list[Act]:
    """What acts on arrival in a room, in the order in which it is fed; ``begin_ms``: when its clock begins to move."""
    found = anchored(source, room, partition)
    if found is None:
        return by_own_time(source, room, partition, begin_ms)
    recorded = [Act(one.batch, one.clocks) for one in found.slices]
    first_ms = min((act.at_ms for act in recorded), default=END_MS)
    early = by_own_time(found.before(source), room, partition, begin_ms)
    late = by_own_time(found.behind(source), room, partition, begin_ms)
    return [
        *(replace(act, clocks=dict.fromkeys(act.clocks, min(act.at_ms, first_ms))) for act in early),
        *recorded,
        *(replace(act, clocks=dict.fromkeys(act.clocks, END_MS)) for act in late),
    ]


def by_own_time(source: Logs, room: str, partition: int, begin_ms: int) -> list[Act]:
    """Each record at its own time. Offsets are counted anew per noun, in the order of feeding."""
    acts = [act for noun in ACTING[room] for act in _acts(source, room, noun, partition, begin_ms)]
    acts.sort(key=lambda act: act.at_ms)
    return acts


def _acts(source: Logs, room: str, noun: str, partition: int, begin_ms: int) -> Iterator[Act]:
    timed = sorted(_timed(noun, source.batches(noun, partition), begin_ms), key=lambda one: one[0])
    start = 0
    while start < len(timed):
        stop, at_ms = start, timed[start][0]
        while stop < len(timed) and timed[stop][0] == at_ms:
            stop += 1
        rows = [row for _, row in timed[start:stop]]
        columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
        yield Act(
            RawBatch(noun, partition, start, stop, range(start, stop), *columns), dict.fromkeys(CLOCKS[room], at_ms)
        )
        start = stop


def _timed(noun: str, batches: Iterable[RawBatch], begin_ms: int) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """(its own time, no earlier than that of a record of its key before it; (key, value, headers, append time))."""
    newest: dict[bytes | None, int] = {}
    for batch in batches:
        for row in zip(batch.keys, batch.values, batch.headers, batch.timestamps, strict=True):
            at_ms = max(_own_time(noun, row[1]), newest.get(row[0], 0))
            newest[row[0]] = at_ms
            yield (at_ms if at_ms >= begin_ms else 0), row


def _own_time(noun: str, value: bytes | None) -> int:
    try:
        found = msgspec.json.decode(value or b"null")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0
    at_ms = found.get(OWN_TIME[noun]) if isinstance(found, dict) else None
    step = STEP_MS.get(noun, 1)
    return -(-at_ms // step) * step if isinstance(at_ms, int) and at_ms > 0 else 0
