"""What a replay hands to a shadow database: the events it read, and every revision of what it found.

Both go through the row makers of the store. Findings get the number of their batch as version, so that of two revisions
of one finding the later one stays, as with the flush numbers of the live line. Nothing is there of what only a running
line says: deliveries, channels, lags.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from schemas.rooms import BY_ROOM
from schemas.topics import FROM_COMPANIES, ORDERS, VERSION_HEADER
from streams.replay.engine import ReplayOutcome
from streams.replay.plan import NAMES
from streams.runtime.batch import RawBatch

READ = (*FROM_COMPANIES, *ORDERS)
"""Nouns of a source that are copied; what a recorded line had found is not."""


def messages(outcome: ReplayOutcome) -> Iterator[RawBatch]:
    """Everything that the store would have read, topic by topic, each in the order of its partitions."""
    yield from _read(outcome)
    versions = count(1)
    for phase in NAMES:
        nouns = [noun for room in outcome.line.rooms_of(phase) for noun in BY_ROOM[room].outputs]
        for partition in outcome.line.units(phase):
            spool = outcome.line.spool(phase, partition)
            for noun in dict.fromkeys(nouns):
                for batch in spool.batches(noun, partition):
                    header = ((VERSION_HEADER, b"%d" % next(versions)),)
                    yield replace(batch, headers=[header] * len(batch))


def _read(outcome: ReplayOutcome) -> Iterator[RawBatch]:
    source = outcome.line.source
    for noun in READ:
        if noun in source.nouns():
            for partition in range(source.partitions):
                yield from source.batches(noun, partition)


def span_of(outcome: ReplayOutcome) -> tuple[int, int]:
    """From the first bin with an event to the end of the last, event time, ms UTC; 0 and 0 if nothing was counted."""
    counts = [row for row in outcome.records("source_count") if row["kind"] == "source_count"]
    if not counts:
        return 0, 0
    return min(row["bin_ms"] for row in counts), max(row["bin_ms"] + row["width_ms"] for row in counts)
