"""The catalogue of rooms: name, inputs, outputs, key, state and process, each said once.

A room is one stage of the stream with a consumer group of its own (``cx.<name>``). What it reads and writes are nouns
of ``schemas.topics``. Topics, rights, settings and processes are derived from this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class RoomSpec:
    """One room. The sender is one too: it has inputs, outputs and state, but a process of its own."""

    name: str
    meaning: str
    inputs: tuple[str, ...]
    """Nouns it reads; empty for the store, which reads every topic and every dead-letter topic."""
    outputs: tuple[str, ...]
    """Nouns it writes, beside dead letters."""
    key: Literal["customer_id", ""]
    """By what its work is divided: a task per customer partition, or ("") a single task that sees everything."""
    state: bool = True
    """True if it has a compacted state topic, ``cx.<name>.state.v1``, with one partition per task."""
    worker: int = 0
    """Number of the worker that runs it under ``cxwatch run``; 0: no worker does."""
    brings: tuple[str, ...] = ()
    """Nouns, beside the event topics, whose records it writes again where they belong. One room per noun."""
    shared: tuple[str, ...] = ()
    """Topics that another room reads as well, which sets aside what is wrong in them: dead letters, and copies on
    the right partition. This one leaves such records out."""

    @property
    def tasks(self) -> Literal["customer", "one"]:
        """One task per customer partition, or a single one."""
        return "customer" if self.key else "one"


ROOMS: tuple[RoomSpec, ...] = (
    RoomSpec("join", "Counts per cohort and bin, and each customer's failures as episodes",
             ("telemetry", "order", "contact"), ("cohort_count", "source_count", "episode", "late", "tick"),
             "customer_id", worker=1),
    RoomSpec("experience", "How each contact and each order went for its customer", ("order", "contact", "episode"),
             ("contact_case", "order_outcome", "tick"), "customer_id", worker=2,
             shared=("order", "contact", "episode")),
    RoomSpec("detect", "Counts become issues", ("cohort_count", "change", "control"), ("issue", "tick"), "",
             worker=2),
    RoomSpec("match", "Which customers an issue hits", ("episode", "customer", "issue"),
             ("affected", "affected_count"), "customer_id", worker=2),
    RoomSpec("impact", "What an issue costs", ("affected_count",), ("impact",), "", worker=2),
    RoomSpec("outreach", "Who is to be told, by rules; it cannot send",
             ("affected", "customer", "command", "issue"), ("outreach", "tick"), "customer_id", worker=2,
             brings=("customer",)),
    RoomSpec("store", "Copies every topic to ClickHouse", (), (), "", state=False, worker=2),
    RoomSpec("send", "Sends what outreach decided: `cxwatch sender`",
             ("outreach", "customer", "command", "issue", "affected"), ("delivery", "channel"), "customer_id"),
)  # fmt: skip
"""Every room, in the order in which an event passes them."""

BY_ROOM: dict[str, RoomSpec] = {room.name: room for room in ROOMS}

WORKER_ROOMS: tuple[str, ...] = tuple(room.name for room in ROOMS if room.worker)
"""Names of the rooms that ``cxwatch worker`` runs."""

WORKERS: tuple[str, ...] = tuple(
    ",".join(room.name for room in ROOMS if room.worker == number)
    for number in sorted({room.worker for room in ROOMS if room.worker})
)
"""Rooms of each worker of ``cxwatch run``, separated by commas: the join, which works most, and all others."""
