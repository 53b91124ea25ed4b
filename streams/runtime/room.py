"""What a room is: its name, its inputs and what it does with them. Pure rooms and rooms that write to a sink."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from schemas.rooms import BY_ROOM
from schemas.topics import BY_NOUN, DLQ_SUFFIX
from streams.core.stage import Stage
from streams.runtime.batch import RawBatch

S = TypeVar("S")


async def _nothing() -> None:
    """Nothing to close, nothing to check."""


def _none() -> int:
    """Rows of a sink that counts none."""
    return 0


@dataclass(frozen=True)
class Room(Generic[S]):
    """A pure room: the runtime makes it a Faust app, and a task of the in-memory driver."""

    name: str
    """For example ``join``; names the group ``cx.<name>``, the transactional ids and the state topic."""
    inputs: tuple[str, ...]
    """Nouns of the topics it reads; all have the same number of partitions."""
    stage: Stage[S]
    """The pure room."""
    tasks: Literal["customer", "one"]
    """One task per customer partition, or a single task."""
    brings: tuple[str, ...] = ()
    """Nouns, beside the event topics, whose records this room writes again where they belong. One room per noun."""
    shared: tuple[str, ...] = ()
    """Topics in which another room sets aside what is wrong: this one leaves it out."""

    def task_count(self, partitions: int) -> int:
        """How many tasks it has when there are ``partitions`` customer partitions."""
        return partitions if self.tasks == "customer" else 1


def room_of(name: str, stage: Stage[S]) -> Room[S]:
    """The room of this name as the catalogue says, with the stage that does its work."""
    spec = BY_ROOM[name]
    return Room(spec.name, spec.inputs, stage, spec.tasks, spec.brings, spec.shared)


@dataclass(frozen=True)
class SinkPace:
    """When a sink is written to: soon after a message came, in few rounds, and not at all while none comes."""

    linger_s: float = 0.05
    """A round takes in what comes within this time after the first message: partitions flush together."""
    least_s: float = 0.25
    """Least time between the starts of two rounds."""
    patient: frozenset[str] = frozenset()
    """Nouns whose messages start no round of their own before ``patience_s``: they go with others."""
    patience_s: float = 0.5


@dataclass(frozen=True)
class SinkRoom:
    """A room without state that writes whole batches somewhere: rows first, then its group offsets.

    ``write`` must be repeatable (absolute rows with a version, or rows keyed by topic, partition, offset): after a
    crash the same batches, cut elsewhere, come again. It raises ``SinkUnavailable`` if the sink is down; the same
    batches are then offered again, and only this room waits. Any other exception ends the process.
    """

    name: str
    inputs: tuple[str, ...]
    """Nouns, or ``<noun>.dlq`` for dead letters; their partition counts may differ."""
    write: Callable[[list[RawBatch]], Awaitable[None]]
    close: Callable[[], Awaitable[None]] = _nothing
    pace: SinkPace = SinkPace()
    check: Callable[[], Awaitable[None]] = _nothing
    """Once before the first write: ConfigError if the sink is not what rows need, SinkUnavailable if it is down."""
    rows: Callable[[], int] = _none
    """Rows written since the start."""


def wire_name(noun: str) -> str:
    """Topic name (without the deployment's prefix) of a noun or of ``<noun>.dlq``."""
    if noun.endswith(DLQ_SUFFIX):
        return BY_NOUN[noun.removesuffix(DLQ_SUFFIX)].dlq
    return BY_NOUN[noun].name
