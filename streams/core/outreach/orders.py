"""Orders that a ledger has obeyed: each once, also after restarts, and whatever has become of the topic meanwhile.

The book is part of the ledger's state. It forgets an order long after the topic has (twice the retention), except for
those that hold without end: the last stop, and the last mute of an issue.
"""

from __future__ import annotations

import msgspec

from schemas.events import Command
from streams.core.outreach.policy import DAY_MS

ENDLESS = ("stop", "mute")
"""Orders that hold until somebody takes them back."""


class ExecutedOrder(msgspec.Struct, frozen=True):
    """One order, the ``turn``-th that was obeyed."""

    turn: int
    action: str
    issue: str
    issued_ms: int

    @property
    def subject(self) -> tuple[str, str] | None:
        """What it decides until the next order about the same; None if it decides something once."""
        if self.action in ("stop", "resume"):
            return "stop", ""
        return ("mute", self.issue) if self.action in ("mute", "unmute") else None


class OrderBook:
    """All orders that were obeyed and are not forgotten, by id."""

    def __init__(self) -> None:
        """Empty."""
        self.by_id: dict[str, ExecutedOrder] = {}
        self._turn = 0
        self._looked_on = 0

    def restore(self, name: str, order: ExecutedOrder) -> None:
        """Take back one order from durable state."""
        self.by_id[name] = order
        self._turn = max(self._turn, order.turn)

    def add(self, order: Command) -> ExecutedOrder | None:
        """The order as it is stored, None if it was executed before."""
        if order.command_id in self.by_id:
            return None
        self._turn += 1
        kept = ExecutedOrder(self._turn, order.action, order.issue_id or "", order.issued_at_ms)
        self.by_id[order.command_id] = kept
        return kept

    def in_turn(self) -> list[ExecutedOrder]:
        """All orders as they were obeyed, first to last."""
        return sorted(self.by_id.values(), key=lambda order: order.turn)

    def forget(self, before_ms: int) -> list[str]:
        """Drop orders of before that time that decide nothing any more, once a day; returns their ids."""
        if before_ms // DAY_MS <= self._looked_on:
            return []
        self._looked_on = before_ms // DAY_MS
        last = {order.subject: order.turn for order in self.in_turn()}
        gone = [
            name
            for name, order in self.by_id.items()
            if order.issued_ms < before_ms and not (order.action in ENDLESS and last[order.subject] == order.turn)
        ]
        for name in gone:
            del self.by_id[name]
        return gone
