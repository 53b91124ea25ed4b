"""The one shape of a pure room: feed batches, drain what changed.

A room's state lives as plain values per partition. ``step`` folds a batch into it, ``drain`` hands out what has to
become durable together (changed state keys and derived messages) and marks it clean, ``load`` rebuilds the state from
the key-value pairs that earlier drains handed out. Results must not depend on how the stream was cut into batches,
nor on how often ``drain`` was called: derived records are absolute, so fewer drains only skip intermediate versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import msgspec

from schemas.events import Record

S = TypeVar("S")

STORED = {"signal": "family"}
"""Field -> its name in stored state, which keeps the one of version 1, so that state is read both ways."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Decoded records of one topic partition, in offset order, duplicates by offset already removed.

    ``topic`` is the noun; ``records[i]`` was read at ``offsets[i]`` and appended at ``timestamps[i]`` (ms since 1970
    UTC; empty: nobody knows when, and nothing is ahead of it); rejects are not in it.
    ``records`` hold the record type of the topic (hot topics: objects with the same attributes as the pydantic model);
    on ``customer`` also ``core.context.Unreadable`` and ``Erasure``.
    """

    topic: str
    partition: int
    records: Sequence[Any]
    offsets: Sequence[int]
    timestamps: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Idle:
    """An idle input is passed: treat every named topic's own watermark as at least ``event_time_ms``."""

    event_time_ms: int
    topics: tuple[str, ...]


class Message(NamedTuple):
    """One derived record for topic ``noun``.

    ``partition`` None means: by key (Java's murmur2) for customer-keyed topics, 0 for one-partition topics, every
    partition for broadcast topics.
    """

    noun: str
    key: str
    record: Record | msgspec.Struct
    partition: int | None = None


Encoded = tuple[str, bytes, bytes, int]
"""A derived record ready for the wire: noun, key, value, partition."""


@dataclass(slots=True)
class Drained:
    """What one flush makes durable in one transaction: state changes (None = tombstone) and derived messages.

    A stage gives its messages as records or encoded, not both.
    """

    changes: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    encoded: list[Encoded] = field(default_factory=list)


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


@runtime_checkable
class LongStage(Protocol):
    """A stage that a single record can give hours of work, and that can be left in the middle of it.

    What it has read and how far it has worked are apart in its state, and a drain hands out both: what is made durable
    in between is whole, and a task that is loaded from it goes on without new input. Where the work is left can change
    no finding. ``step`` does everything at once.
    """

    def take(self, state: Any, batch: Batch, start: int) -> int:
        """Fold records in from index ``start`` on, until one leaves work; return the index behind the last taken.

        Nothing may be left when it is called.
        """

    def left(self, state: Any) -> bool:
        """True if there is work to do before the next record may be taken."""

    def go_on(self, state: Any, units: int) -> int:
        """Do some of the work that is left, about ``units`` of it and at least a piece; return how much was done.

        A unit is about what one signal needs for one block of time: some tenths of a millisecond.
        """


@runtime_checkable
class ArrivalStage(Protocol):
    """A stage with inputs that act when they arrive, so that it matters how far its clocks have come by then."""

    acts_on_arrival: tuple[str, ...]
    """Nouns of these inputs."""

    def clocks_ms(self, state: Any) -> dict[str, int]:
        """Noun of an input with a clock -> event time it has reached, ms since 1970 UTC; 0 if nothing was read."""


class RawPart(Protocol):
    """Undecoded messages of one topic partition, parallel lists, in offset order."""

    @property
    def topic(self) -> str: ...
    @property
    def offsets(self) -> Sequence[int]: ...
    @property
    def keys(self) -> Sequence[bytes | None]: ...
    @property
    def values(self) -> Sequence[bytes | None]: ...
    @property
    def timestamps(self) -> Sequence[int]: ...


class Fed(NamedTuple):
    """What became of the messages of a part from the start up to ``stop``."""

    stop: int
    """Index of the first message that the reference implementation has to decide, or the length of the part."""
    accepted: int
    unknown_fields: int
    future: list[int]
    """Indexes of events from the future: nothing was done with them."""
    foreign: list[int]
    """Indexes of events whose key is not their customer, or whose customer belongs to another partition: the same."""


@runtime_checkable
class Clocked(Protocol):
    """A stage that keeps a clock for each topic with event times."""

    def clock_ms(self, state: Any, topic: str) -> int:
        """How far the topic has come, ms since 1970 UTC; 0 if nothing was read."""

    def disorder_ms(self, topic: str) -> int:
        """How far behind its clock an event of the topic is on time."""


@runtime_checkable
class Led(Protocol):
    """A stage whose event topics may all be idle while others go on: another room says how far event time is."""

    def led_ms(self, state: Any) -> int:
        """How far event time has come by what another room says, ms since 1970 UTC; 0 if nothing was read."""


@runtime_checkable
class RawStage(Protocol):
    """A stage that also decodes and screens by itself."""

    def feed(self, state: Any, part: RawPart, start: int, max_bytes: int, future_ms: int) -> Fed:
        """Fold messages in from index ``start`` on, until the reference implementation has to decide one.

        Such are messages over ``max_bytes``, without a value, of heartbeats, and all that the stage leaves undecided.
        Events more than ``future_ms`` ahead of their arrival are from the future.
        """
