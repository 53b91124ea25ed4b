"""Issues as bars over the time of a run: from the estimated onset on thin, from when it was seen on thick."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.words import words_of
from streams.replay.canonical import Row
from streams.replay.compare import IssueChange
from streams.replay.findings import FoundIssue
from streams.replay.wording import clock, length

MOST_BARS = 40
_KEPT = ("open", "escalating", "regressed", "recovering")

States = Mapping[str, Sequence[tuple[int, str]]]
"""Issue -> (event time ms, state from then on), in order."""


class Segment(NamedTuple):
    """A stretch of a bar, in per cent of the whole run."""

    left: float
    width: float
    style: str
    """onset (not seen yet), one of the states in which an issue is shown, or the letter of a run."""


@dataclass(frozen=True, slots=True)
class RunBar:
    """One issue in one run. ``run``: A, B, or empty if there is one run only."""

    run: str
    segments: tuple[Segment, ...]
    words: str


@dataclass(frozen=True, slots=True)
class IssueBars:
    """One problem: its title, what changed, and a bar for each run that has it."""

    title: str
    change: str
    bars: tuple[RunBar, ...]


def states_of(revisions: Iterable[Row]) -> States:
    """When each issue went from state to state, from every revision of all of them."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in revisions:
        if row.get("kind") == "issue" and (not found[row["issue_id"]] or found[row["issue_id"]][-1][1] != row["state"]):
            found[row["issue_id"]].append((row["updated_at_ms"], row["state"]))
    return found


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """The time of a run, ms UTC."""

    from_ms: int
    until_ms: int

    def segment(self, begin_ms: int, end_ms: int, style: str) -> Segment:
        """A stretch of time, cut to the axis."""
        whole = max(self.until_ms - self.from_ms, 1)
        left = (min(max(begin_ms, self.from_ms), self.until_ms) - self.from_ms) / whole
        right = (min(max(end_ms, self.from_ms), self.until_ms) - self.from_ms) / whole
        return Segment(round(100 * left, 3), round(100 * max(right - left, 0), 3), style)

    def bar(self, issue: FoundIssue, run: str, states: States) -> RunBar:
        """One issue: the letter of the run is its style where two are compared, else the states it went through."""
        end_ms = self.until_ms if issue.ended_ms is None else issue.ended_ms
        segments = [self.segment(issue.began_ms, issue.seen_ms, "onset")]
        if run:
            segments.append(self.segment(issue.seen_ms, end_ms, run))
        else:
            segments += self._states(issue, end_ms, states.get(issue.issue_id, ()))
        return RunBar(run, tuple(segments), _words(issue))

    def _states(self, issue: FoundIssue, end_ms: int, states: Sequence[tuple[int, str]]) -> Iterable[Segment]:
        shown = [(time, state) for time, state in states if state in _KEPT] or [(issue.seen_ms, "open")]
        ends = [*(time for time, _ in shown[1:]), end_ms]
        for (time, state), end in zip(shown, ends, strict=True):
            yield self.segment(time, end, state)


def _words(issue: FoundIssue) -> str:
    over = f"over {clock(issue.ended_ms)[5:]}" if issue.ended_ms is not None else words_of("state", issue.state)
    after = issue.seen_ms - issue.began_ms
    return f"seen {clock(issue.seen_ms)[5:]}, {length(max(after, 0))} after the onset, {over}"


def in_words(change: IssueChange) -> str:
    """What became of an issue between two runs."""
    if change.kind in ("added", "lost"):
        return change.kind
    parts = []
    if change.later_ms:
        parts.append(f"{length(abs(change.later_ms))} {'later' if change.later_ms > 0 else 'earlier'}")
    if change.cause_changed:
        parts.append("another cause")
    if change.customers_added or change.customers_removed:
        parts.append("other customers")
    return ", ".join(parts) or ("unchanged" if change.kind == "same" else "other details")


def most_affected(changes: Sequence[IssueChange], most: int) -> list[IssueChange]:
    """The issues that hit most customers, in their order of time."""
    def hit(change: IssueChange) -> int:
        return max(len(issue.customers) for issue in (change.a, change.b) if issue)

    chosen = sorted(changes, key=hit, reverse=True)[:most]
    return [change for change in changes if change in chosen]
