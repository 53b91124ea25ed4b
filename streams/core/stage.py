"""The one shape of a pure room: feed batches, drain what changed.

A room's state lives as plain values per partition. ``step`` folds a batch into it, ``drain`` hands out what has to
become durable together (changed state keys and derived messages) and marks it clean, ``load`` rebuilds the state from
the key-value pairs that earlier drains handed out. Results must not depend on how the stream was cut into batches,
nor on how often ``drain`` was called: derived records are absolute, so fewer drains only skip intermediate versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec

from schemas.events import Record

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Batch:
    """Decoded records of one topic partition, in offset order, duplicates by offset already removed.

    ``topic`` is the noun; ``records[i]`` was read at ``offsets[i]``; rejects are not in it.
    ``records`` hold the record type of the topic (hot topics: objects with the same attributes as the pydantic model).
    """

    topic: str
    partition: int
    records: Sequence[Any]
    offsets: Sequence[int]


@dataclass(frozen=True, slots=True)
class Idle:
    """An idle input is passed: treat every named topic's own watermark as at least ``event_time_ms``."""

    event_time_ms: int
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One derived record for topic ``noun``.

    ``partition`` None means: by key (Java's murmur2) for customer-keyed topics, 0 for one-partition topics, every
    partition for broadcast topics.
    """

    noun: str
    key: str
    record: Record | msgspec.Struct
    partition: int | None = None


@dataclass(slots=True)
class Drained:
    """What one flush makes durable in one transaction: state changes (None = tombstone) and derived messages."""

    changes: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)


class Stage(Protocol[S]):
    """A pure room. ``partition`` is the task's partition, ``partitions`` the count of customer partitions."""

    def start(self, partition: int, partitions: int) -> S:
        """Return the state of a partition that has seen nothing."""

    def load(self, partition: int, partitions: int, items: Iterable[tuple[bytes, bytes]]) -> S:
        """Rebuild the state from the live pairs of its state topic, in any order."""

    def step(self, state: S, batch: Batch | Idle) -> None:
        """Fold one batch (or an idle passage) into the state."""

    def drain(self, state: S) -> Drained:
        """Return everything changed since the last drain and mark it clean. Deterministic order."""
