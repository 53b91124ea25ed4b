"""The end of a demo: found against injected, notices, events in and lost; for people and as ``.cxwatch/demo.json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streams.board.queries import Gap, NoticeCounts
from streams.core.outreach.cases import REASONS
from streams.demo.reconcile import TopicCount
from streams.demo.score import Found, Score


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything the demo comes to."""

    score: Score
    totals: NoticeCounts
    reasons: list[tuple[str, str, int]]
    """Why notices were not sent: status, reason, number."""
    topics: list[TopicCount]
    gap: Gap | None
    """The stretch without data that covers the injected outage of a producer."""
    seconds: float

    @property
    def lost(self) -> int:
        """Events that were produced and are nowhere."""
        return sum(topic.lost for topic in self.topics)

    @property
    def passed(self) -> bool:
        """All found, nothing false, nothing lost, the silent producer seen."""
        fine = self.score.all_found and not self.score.false_issues and self.lost == 0
        return fine and self.gap is not None

    def as_dict(self) -> dict[str, Any]:
        """What ``demo.json`` holds."""
        gap = {"from": self.gap.started, "to": self.gap.ended} if self.gap else None
        return {
            "passed": self.passed,
            "injected": len(self.score.found),
            "found": sum(1 for one in self.score.found if one.issues),
            "false_issues": len(self.score.false_issues),
            "delay_s": [one.delay_s for one in self.score.found],
            "notices": {
                "sent": self.totals.sent,
                "held": self.totals.held + self.totals.pending,
                "refused": self.totals.refused,
                "held_out": self.totals.held_out,
            },
            "not_sent_because": [{"status": s, "reason": r, "number": n} for s, r, n in self.reasons],
            "events_in": sum(topic.produced for topic in self.topics),
            "dead_letters": sum(topic.dead_letters for topic in self.topics),
            "late": sum(topic.too_late for topic in self.topics),
            "duplicates": sum(topic.duplicates for topic in self.topics),
            "events_lost": self.lost,
            "silent_producer": gap,
            "incidents": [_incident(one) for one in self.score.found],
            "seconds": round(self.seconds, 1),
        }

    def lines(self) -> list[str]:
        """For people, with rich's markup."""
        figures = self.as_dict()
        shown = [_found_line(one) for one in self.score.found]
        for issue in self.score.false_issues:
            shown.append(f"[red]false[/]  {issue.title}, seen at {short(issue.detected_at)}")
        if self.gap is None:
            shown.append("[red]silent producer not seen[/]")
        else:
            began, ended = short(self.gap.started), short(self.gap.ended or "")
            shown.append(f"[green]no data[/]  silent producer seen from {began} to {ended}, no issue")
        notices = figures["notices"]
        shown.append(f"notices  {notices['sent']} sent, {notices['held']} held, {notices['refused']} refused, "
                     f"{notices['held_out']} held out for comparison")
        shown += [f"    {status}: {reason} {number}{_words(reason)}" for status, reason, number in self.reasons]
        if self.totals.pending:
            shown.append(f"    held by the sender until the customer's night or budget allows: {self.totals.pending}")
        shown.append(f"events  {figures['events_in']:,} in, {figures['dead_letters']} dead letters, "
                     f"{figures['late']} too late, {figures['duplicates']} duplicates, "
                     f"[bold]{figures['events_lost']} lost[/]")
        shown.append(f"{'[green]passed[/]' if self.passed else '[red]failed[/]'} in {self.seconds:.0f} s")
        return shown


def _words(reason: str) -> str:
    """What the reason means; nothing for an outcome of the sender that is no reason of outreach."""
    return f" [dim]({REASONS[reason]})[/]" if reason in REASONS else ""


def _incident(one: Found) -> dict[str, Any]:
    return {
        "name": one.incident.name,
        "cause": one.incident.attributes,
        "issues": [issue.id for issue in one.issues],
        "delay_s": one.delay_s,
        "really_affected": len(one.incident.affected),
        "affected": one.first.affected if one.first else 0,
        "silent": one.first.silent if one.first else 0,
    }


def _found_line(one: Found) -> str:
    pairs = ", ".join(f"{name} = {value}" for name, value in one.incident.attributes.items())
    if one.first is None:
        return f"[red]not found[/]  {one.incident.name} ({pairs})"
    delay = "delay unknown" if one.delay_s is None else f"{one.delay_s:+,.0f} s from the tenth customer hit"
    return (f"[green]found[/]  {one.incident.name} ({pairs}): {delay}; {one.first.affected} affected "
            f"({len(one.incident.affected)} really), {one.first.silent} silent")


def short(text: str) -> str:
    """A time for people."""
    return text[:19].replace("T", " ")
