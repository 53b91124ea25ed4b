"""What was found against what was injected. It sees the truth, which no room ever does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from streams.board.queries import IssueRow
from streams.simulate import Injected, Truth


@dataclass(frozen=True, slots=True)
class Found:
    """One injected incident and the issues that name it."""

    incident: Injected
    issues: tuple[IssueRow, ...]

    @property
    def first(self) -> IssueRow | None:
        """The issue that was detected first."""
        return min(self.issues, key=lambda issue: issue.detected_at, default=None)

    @property
    def delay_s(self) -> float | None:
        """Detection minus the event time of the tenth affected customer; below 0: before the tenth was hit."""
        if self.first is None or self.incident.tenth_affected_ms is None:
            return None
        return (to_ms(self.first.detected_at) - self.incident.tenth_affected_ms) / 1000


@dataclass(frozen=True, slots=True)
class Score:
    """The whole judgement."""

    found: tuple[Found, ...]
    false_issues: tuple[IssueRow, ...] = field(default=())

    @property
    def all_found(self) -> bool:
        """True if every incident has an issue."""
        return all(one.issues for one in self.found)


def judge(truth: Truth, issues: Iterable[IssueRow]) -> Score:
    """An issue is true if its cause contains every pair of an incident and the intervals overlap; else it is false."""
    opened = [issue for issue in issues if issue.state != "suspected"]
    found = tuple(
        Found(incident, tuple(issue for issue in opened if names(issue, incident))) for incident in truth.incidents
    )
    true_ids = {issue.id for one in found for issue in one.issues}
    return Score(found, tuple(issue for issue in opened if issue.id not in true_ids))


def names(issue: IssueRow, incident: Injected) -> bool:
    """True if the issue's cause contains the injected attributes and values, and both were at the same time."""
    if issue.line != incident.line or not incident.attributes.items() <= issue.cause.items():
        return False
    ended = to_ms(issue.resolved_at) if issue.resolved_at else None
    return to_ms(issue.opened_at) < incident.end_ms and (ended is None or ended > incident.start_ms)


def to_ms(text: str) -> int:
    """ISO 8601 -> ms UTC."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
