"""How far a drill has come: each stage of the line that has shown it, and when. Pure: it is fed what was read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from schemas.issues import Issue
from streams.drill.script import Drill


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One stage: its name, what has happened once it is reached, and what to look at if it does not come."""

    name: str
    says: str
    look: str


STAGES: tuple[StageSpec, ...] = (
    StageSpec("accepted", "the brokers have taken the first events",
              "`cxwatch status` shows whether Kafka answers"),
    StageSpec("counted", "join has counted them in a closed bin",
              "does the worker run join (`cxwatch status`)? Were the events refused (`cxwatch letters`)? A bin closes "
              "when event time passes it: if nothing else flows, use --alone"),
    StageSpec("suspected", "detect suspects an issue",
              "does the worker run detect? Fewer customers, or more minutes, give less evidence in the same time"),
    StageSpec("shown", "the issue is open",
              "detect waits until the cause has stayed the same: give it more minutes or more customers"),
    StageSpec("affected", "match has found customers who are hit",
              "does the worker run match, for every partition?"),
    StageSpec("impact", "impact has put money to it",
              "does the worker run impact?"),
    StageSpec("refused", "outreach has refused to tell them, because it is a drill",
              "does the worker run outreach, for every partition?"),
    StageSpec("stored", "issue, customers and decisions are in ClickHouse",
              "does the worker run store? Its lag is on the board of the pipeline"),
    StageSpec("board", "the board of operations lists it as a drill",
              "`cxwatch tables migrate` brings the views up to date"),
)  # fmt: skip
"""Every stage, in the order in which a finding passes them."""


@dataclass(slots=True)
class DrillProgress:
    """What was seen of one drill so far. Seconds count from its first event."""

    drill: Drill
    reached: dict[str, float] = field(default_factory=dict)
    issue_id: str | None = None
    passed_ms: int = 0
    """How far detect has come, event time."""
    affected: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    contacted: set[str] = field(default_factory=set)
    """Customers whom somebody decided to tell, or told: never one."""
    rejected: int = 0
    """Events that became dead letters."""
    resolved: bool = False

    @property
    def complete(self) -> bool:
        """True once every stage is reached."""
        return len(self.reached) == len(STAGES)

    @property
    def missing(self) -> list[StageSpec]:
        """Stages that are not reached, in order."""
        return [stage for stage in STAGES if stage.name not in self.reached]

    def reach(self, stage: str, after_s: float) -> None:
        """Note when a stage was first seen."""
        self.reached.setdefault(stage, after_s)

    def note(self, noun: str, record: Any, after_s: float) -> None:
        """Take in one record of a topic of findings; what is not this drill's is left alone."""
        kind = getattr(record, "kind", "")
        if noun == "issue" and kind == "watermark":
            self.passed_ms = max(self.passed_ms, record.through_ms)
        elif isinstance(record, Issue):
            self._issue(record, after_s)
        elif kind == "cohort_count":
            if record.line == self.drill.line and record.closed and record.bin_ms + record.width_ms > self._start_ms:
                self.reach("counted", after_s)
        elif kind == "impact":
            if record.issue_id == self.issue_id and record.affected:
                self.reach("impact", after_s)
        elif self.drill.is_mine(getattr(record, "customer_id", "")):
            self._customer(kind, record, after_s)

    @property
    def _start_ms(self) -> int:
        return self.drill.start_ms

    def _issue(self, issue: Issue, after_s: float) -> None:
        """A suspicion may be older than the drill; what counts is that the issue was not shown before."""
        if issue.line != self.drill.line or issue.updated_at_ms <= self._start_ms:
            return
        shown_ms = issue.shown_at_ms
        if issue.resolved_at_ms is None and (shown_ms is None or shown_ms > self._start_ms):
            self.reach("suspected", after_s)
        if issue.resolved_at_ms is None and shown_ms is not None and shown_ms > self._start_ms:
            self.issue_id = self.issue_id or issue.issue_id
            self.reach("shown", after_s)
        if issue.issue_id == self.issue_id and issue.resolved_at_ms is not None:
            self.resolved = True

    def _customer(self, kind: str, record: Any, after_s: float) -> None:
        if kind == "affected":
            self.affected.add(record.customer_id)
            self.reach("affected", after_s)
        elif kind == "outreach" and (record.decision, record.reason) == ("refuse", "drill"):
            self.refused.add(record.customer_id)
            self.reach("refused", after_s)
        elif kind == "outreach" or (kind == "delivery" and record.outcome != "suppressed"):
            self.contacted.add(record.customer_id)
