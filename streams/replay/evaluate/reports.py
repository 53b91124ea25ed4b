"""What a detector said, in the same form for ours and for every other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Pairs = Mapping[str, str]
"""Attribute = value pairs of a cause; empty: the whole service line."""


@dataclass(frozen=True, slots=True)
class DetectorReport:
    """One thing that a detector called wrong. Times are ms since 1970 UTC.

    ``at_ms``: when it was first shown to anybody. ``since_ms``: the onset it claims. ``until_ms``: when it called it
    over; None if it never did. ``first_cause`` is what was shown first, ``cause`` what it said last. ``affected`` are
    the customers it named; None if the detector names none.
    """

    line: str
    signal: str
    at_ms: int
    since_ms: int
    until_ms: int | None = None
    cause: Pairs = field(default_factory=dict)
    first_cause: Pairs | None = None
    affected: frozenset[str] | None = None

    @property
    def shown_cause(self) -> Pairs:
        """The cause that was shown first."""
        return self.cause if self.first_cause is None else self.first_cause


def reports_of_issues(
    issues: Iterable[Mapping[str, Any]], affected: Iterable[Mapping[str, Any]], arrived: Mapping[str, int]
) -> list[DetectorReport]:
    """Our issues as reports, in the order in which they were shown.

    ``issues``: every revision of every issue, decoded, in the order in which they were emitted. ``affected``: every
    revision of every affected record. ``arrived``: issue id -> when its first shown revision was there, which is later
    than its event time, because a bin closes only once the slowest topic has passed it; an issue that is not named
    there counts from ``shown_at_ms``. What was never more than a suspicion was shown to nobody and is left out.
    """
    first: dict[str, Mapping[str, Any]] = {}
    last: dict[str, Mapping[str, Any]] = {}
    for issue in issues:
        if issue.get("kind", "issue") != "issue" or issue.get("shown_at_ms") is None:
            continue
        first.setdefault(issue["issue_id"], issue)
        last[issue["issue_id"]] = issue
    hit: dict[str, set[str]] = {}
    for one in affected:
        if one.get("kind", "affected") == "affected":
            hit.setdefault(one["issue_id"], set()).add(one["customer_id"])
    found = [
        DetectorReport(
            issue["line"], issue["signal"], arrived.get(name, issue["shown_at_ms"]), issue["opened_at_ms"],
            issue.get("resolved_at_ms"), issue["cause"]["attributes"], first[name]["cause"]["attributes"],
            frozenset(hit.get(name, ())),
        )
        for name, issue in last.items()
    ]  # fmt: skip
    return sorted(found, key=lambda report: (report.at_ms, report.line, report.signal, sorted(report.cause.items())))
