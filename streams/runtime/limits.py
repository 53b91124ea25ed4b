"""Knobs of a task: how much it does before others get their turn, and what it accepts from outside."""

from __future__ import annotations

from dataclasses import dataclass, field

from streams.security.signing import OrderRules

GC_THRESHOLDS = (50_000, 20, 100)
"""Records live for one slice; the default thresholds scan them again and again (a quarter of the unpacking time)."""


@dataclass(frozen=True)
class TaskRules:
    """Knobs of a task; none of them changes a finding."""

    slice_events: int = 300
    """Events decoded and stepped together (fits the CPU cache)."""
    work_units: int = 100
    """Units of work of a long stage before others get their turn (``core.stage.LongStage``)."""
    encode_messages: int = 500
    """Derived messages that a flush encodes before others get their turn."""
    max_event_bytes: int = 65_536
    """Larger messages from outside are dead letters."""
    future_ms: int = 300_000
    """Events whose time lies more than this after their arrival never reach a room."""
    quarantine_future: bool = False
    """True: such events are dead letters with ``dlq.not_before_ms`` (to be put back then) and are no bad run. Not those
    whose own arrival time is before their event time: they are of the future whenever they are put back."""
    bad_run: int = 100
    """Dead letters in a row, from at least two emitters, that are worth a page."""
    orders: OrderRules = field(default_factory=OrderRules)
    """Who may order."""
    build: str = "0"
    """Version of cxwatch, written into dead letters."""
