"""What the detect room remembers between batches, and which of it changed since the last drain."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.fields import Signal
from schemas.findings import CohortCount
from streams.core.detect.admission import Waiting
from streams.core.detect.family import Family
from streams.core.detect.issues import Book
from streams.core.detect.rules import DetectRules

Line = tuple[str, Signal]


@dataclass(slots=True)
class Kept:
    """What changed since the last drain."""

    meta: bool = False
    pending: set[tuple[int, str, Signal, int]] = field(default_factory=set)
    families: set[Line] = field(default_factory=set)
    lines: bool = False
    changes: set[str] = field(default_factory=set)


class DetectState:
    """Live values of the room; see :mod:`streams.core.detect.store` for what of it is kept."""

    def __init__(self, rules: DetectRules, partitions: int) -> None:
        """Have seen nothing from any of ``partitions`` source partitions."""
        self.rules = rules
        self.partitions = partitions
        self.through: dict[int, int] = {}
        self.pending: dict[int, dict[Line, dict[int, CohortCount]]] = {}
        self.bins: list[int] = []
        """Heap of the bins that are pending."""
        self.families: dict[Line, Family] = {}
        self.waiting: Waiting[Line] = Waiting()
        """Lines that wait for a place."""
        self.book = Book(rules)
        self.clock_ms = 0
        self.minted = 0
        self.announced_ms = 0
        self.kept = Kept()
