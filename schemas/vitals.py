"""What a process says about itself: one small record per room, again and again, by the clock of its machine.

Everything in it is absolute, so that a lost record costs nothing: what it counts, it counts since the process started
or, for a task, since the task was opened. No decision reads it, no state is made of it, no run is compared by it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.events import Label, Record, TimeMs
from schemas.fields import T0, Count

Phase = Literal["joining", "recovering", "running", "draining"]
"""joining: waits for its share of the group; recovering: reads its state; running; draining: is about to end."""


class TaskVital(Record):
    """One partition of a room. Counts are since the task was opened: at the start, and after every rebalance."""

    partition: Count = Field(description="Customer partition; 0 in a room that is not divided", examples=[0])
    opened_ms: TimeMs = Field(description="When the task was opened, the process's clock", examples=[T0])
    position: Count = Field(description="Next offsets to read, added up over the topics it reads", examples=[18_122])
    end: Count = Field(description="Ends of these topics as of the last fetch, added up", examples=[18_150])
    behind: dict[Label, Count] = Field(
        description="Topic -> records between position and end; topics that are read to their end are left out",
        examples=[{"order": 28}],
    )
    undecided: Count = Field(default=0, description="Records behind a transaction without an end", examples=[0])
    records: dict[Label, Count] = Field(
        description="Outcome (see `schemas.metrics`) -> records read", examples=[{"accepted": 18_000, "dead": 3}],
    )
    state_keys: Count = Field(
        default=0, description="Keys of the state, exact up to 4,096, beyond within some per cent", examples=[2_310])
    state_bytes: Count = Field(default=0, description="Bytes of these keys with their values", examples=[412_000])
    pending: Count = Field(default=0, description="Notices that wait for their time (sender)", examples=[0])
    claimed: Count = Field(default=0, description="Notices claimed and not settled (sender)", examples=[0])


class Vital(Record):
    """One room of one process. Natural key: (room, process, started_ms, minute of at_ms); the latest counts."""

    kind: Literal["vital"] = "vital"
    room: Label = Field(description="The room", examples=["join"])
    process: Label = Field(description="The process: worker or sender, and its CX_INSTANCE", examples=["worker-a"])
    started_ms: TimeMs = Field(description="When the process started, its clock; another one: it was restarted",
                               examples=[T0 - 3_600_000])
    at_ms: TimeMs = Field(description="When this was said, the process's clock", examples=[T0 + 40_000])
    phase: Phase = Field(description="Where the room stands", examples=["running"])
    ready: bool = Field(description="Assigned, recovered, and its commits and its sink work", examples=[True])
    degraded: bool = Field(default=False, description="In a run of dead letters from several emitters",
                           examples=[False])
    flushes: Count = Field(default=0, description="Flushes, since the start of the process", examples=[812])
    flush_ms: Count = Field(default=0, description="Duration of all of them together, ms", examples=[9_744])
    flush_max_ms: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Longest flush that ended in the minute of at_ms so far, ms", examples=[31])
    written: Count = Field(default=0, description="Records (store: messages) written since the start", examples=[4_200])
    rows: Count = Field(default=0, description="Rows given to ClickHouse, since the start (store)", examples=[0])
    refused: Count = Field(default=0, description="Writes that the sink refused, since the start (store)", examples=[0])
    tasks: Annotated[tuple[TaskVital, ...], Field(strict=False)] = Field(
        description="Partitions that this process has now, in their order",
        examples=[[{"partition": 0, "opened_ms": T0, "position": 18_122, "end": 18_150, "behind": {"order": 28},
                    "records": {"accepted": 18_000, "dead": 3}, "state_keys": 2_310, "state_bytes": 412_000}]],
    )
