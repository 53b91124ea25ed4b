"""Which report is about which true incident.

A report is about an incident if line and signal fit, it was shown while the incident lasted or within ``after_ms`` of
its end (promises fall due and customers complain after the trouble), and it does not claim to have ended before the
incident began. Whether its cause is right is a figure of its own and decides only between two incidents that both fit.
The first report about an incident finds it, further ones are duplicates. A report about none is a false alarm, also if
nothing says that it would be wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from schemas.topics import HOUR_MS
from streams.replay.evaluate.reports import DetectorReport, Pairs
from streams.simulate.library.truth import TrueIncident, WorldTruth

UNEXPLAINED = "nothing was wrong there"
Cohort = Mapping[str, Sequence[str]]
"""Attribute -> values, of a true cause; empty: the whole line."""


class Grade(IntEnum):
    """How a reported cause compares with the true one."""

    WRONG = 0
    """Names something that the true cause does not contain, or a part where the whole line is hit, or nothing."""
    COMPATIBLE = 1
    """Names a part of the true cause and nothing else."""
    RIGHT = 2
    """Names the true cause, or another that says the same."""


@dataclass(frozen=True, slots=True)
class MatchingRules:
    """When a report counts."""

    after_ms: int = 3 * HOUR_MS
    """How long after the end of an incident a report is still about it; as long as contacts belong to a problem."""


@dataclass(frozen=True, slots=True)
class Matched:
    """One incident and the reports about it, in the order in which they were shown; none: it was missed."""

    incident: TrueIncident
    reports: tuple[DetectorReport, ...]

    @property
    def first(self) -> DetectorReport | None:
        """The report that found it."""
        return self.reports[0] if self.reports else None


@dataclass(frozen=True, slots=True)
class FalseAlarm:
    """A report about nothing that is true, and why it is wrong."""

    report: DetectorReport
    why: str


@dataclass(frozen=True, slots=True)
class Matching:
    """All incidents and all reports of one world."""

    incidents: tuple[Matched, ...]
    false_alarms: tuple[FalseAlarm, ...]


def match(truth: WorldTruth, reports: Iterable[DetectorReport], rules: MatchingRules | None = None) -> Matching:
    """Give every report to the one incident that it fits best, or call it a false alarm.

    Of several incidents the one whose cause fits best is taken, then one that nobody reported yet, then the latest.
    """
    chosen = rules or MatchingRules()
    found: dict[str, list[DetectorReport]] = {incident.id: [] for incident in truth.incidents}
    false: list[FalseAlarm] = []
    for report in sorted(reports, key=lambda one: (one.at_ms, one.since_ms)):
        fitting = [incident for incident in truth.incidents if fits(report, incident, chosen)]
        if fitting:
            best = max(fitting, key=lambda one: (grade(report.cause, one), not found[one.id], one.starts_ms, one.id))
            found[best.id].append(report)
        else:
            false.append(FalseAlarm(report, _why(truth, report)))
    pairs = tuple(Matched(incident, tuple(found[incident.id])) for incident in truth.incidents)
    return Matching(pairs, tuple(false))


def grade(cause: Pairs, incident: TrueIncident) -> Grade:
    """Compare a reported cause with that of an incident and with the others that say the same; the best counts."""
    return max(_grade(cause, cohort) for cohort in (incident.cohort, *incident.also))


def _grade(cause: Pairs, cohort: Cohort) -> Grade:
    if cause.keys() == cohort.keys() and all(value in cohort[name] for name, value in cause.items()):
        return Grade.RIGHT
    part = bool(cause) and all(value in cohort.get(name, ()) for name, value in cause.items())
    return Grade.COMPATIBLE if part else Grade.WRONG


def fits(report: DetectorReport, incident: TrueIncident, rules: MatchingRules) -> bool:
    """True if a report may be about an incident: line, signal and time."""
    if report.line != incident.line or (incident.signals and report.signal not in incident.signals):
        return False
    shown_in_time = incident.starts_ms <= report.at_ms < incident.ends_ms + rules.after_ms
    return shown_in_time and (report.until_ms is None or report.until_ms > incident.starts_ms)


def _why(truth: WorldTruth, report: DetectorReport) -> str:
    for wrong in truth.wrong:
        about = report.line == wrong.line and (not wrong.signals or report.signal in wrong.signals)
        if about and wrong.starts_ms <= report.at_ms < wrong.ends_ms:
            return wrong.why
    return UNEXPLAINED
