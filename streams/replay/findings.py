"""What one run found, read from its folder into what people compare: issues, who was hit, who would be told, money.

Customers are held as the ids that the folder has, to tell who is in both of two runs; nothing that is written from here
on names one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from streams.replay.folder import Manifest, read_findings, read_manifest

Sums = Mapping[str, int]
"""Currency -> minor units."""
FIGURES = ("at_risk", "per_minute", "service", "amounts")
"""Money of an issue, as the impact record names it."""


class DecisionKey(NamedTuple):
    """Whom a decision is about."""

    issue: str
    """Issue by its id."""
    customer: str
    stage: str


class Decided(NamedTuple):
    """What was decided about one customer, and why."""

    decision: str
    reason: str


@dataclass(frozen=True, slots=True)
class FoundIssue:
    """An issue as a run left it. Times are event times, ms UTC."""

    issue_id: str
    line: str
    signal: str
    title: str
    cause: Mapping[str, str]
    state: str
    began_ms: int
    """Estimated onset."""
    seen_ms: int
    """From here on boards showed it, and notices could go."""
    ended_ms: int | None
    severity: str
    customers: frozenset[str]
    contacted: int
    money: Mapping[str, Sums]
    """By the names of :data:`FIGURES`."""
    assumed: tuple[str, ...]
    """Parameters behind the money that nobody has set."""

    @property
    def silent(self) -> int:
        """Customers who were hit and did not get in touch about it."""
        return len(self.customers) - self.contacted


@dataclass(frozen=True, slots=True)
class RunFindings:
    """One run folder."""

    folder: Path
    manifest: Manifest
    issues: tuple[FoundIssue, ...]
    """By their beginning."""
    decisions: Mapping[DecisionKey, Decided]
    """What was decided in the end about each customer. Nothing was sent."""

    @property
    def notices(self) -> int:
        """Notices that would have gone."""
        return sum(key.stage == "notice" and decided.decision == "send" for key, decided in self.decisions.items())

    @property
    def customers(self) -> frozenset[str]:
        """Everybody whom any issue hit."""
        return frozenset().union(*(issue.customers for issue in self.issues))

    @property
    def money(self) -> Mapping[str, Sums]:
        """The figures of all issues added up, per currency."""
        return {name: added(issue.money.get(name, {}) for issue in self.issues) for name in FIGURES}


def read_run(folder: Path) -> RunFindings:
    """Raises ConfigError if the folder holds no finished run, or is damaged."""
    manifest = read_manifest(folder)
    customers: dict[str, set[str]] = {}
    contacted: Counter[str] = Counter()
    for row in read_findings(folder, "affected"):
        customers.setdefault(row["issue_id"], set()).add(row["customer_id"])
        contacted[row["issue_id"]] += row.get("contacted_at_ms") is not None
    impacts = {row["issue_id"]: row for row in read_findings(folder, "impact")}
    issues = [
        _issue(row, frozenset(customers.get(row["issue_id"], ())), contacted[row["issue_id"]],
               impacts.get(row["issue_id"], {}))
        for row in read_findings(folder, "issue")
    ]  # fmt: skip
    decisions = {
        DecisionKey(row["issue_id"], row["customer_id"], row["stage"]): Decided(row["decision"], row["reason"])
        for row in read_findings(folder, "outreach")
    }
    return RunFindings(folder, manifest, tuple(sorted(issues, key=lambda one: (one.began_ms, one.issue_id))), decisions)


def _issue(row: Mapping[str, Any], customers: frozenset[str], contacted: int, impact: Mapping[str, Any]) -> FoundIssue:
    shown_ms = row.get("shown_at_ms")
    return FoundIssue(
        issue_id=row["issue_id"], line=printable(row["line"]), signal=row["signal"], title=printable(row["title"]),
        cause={printable(name): printable(value) for name, value in row["cause"]["attributes"].items()},
        state=row["state"], began_ms=row["opened_at_ms"],
        seen_ms=row["detected_at_ms"] if shown_ms is None else shown_ms, ended_ms=row.get("resolved_at_ms"),
        severity=row.get("severity", "medium"), customers=customers, contacted=contacted,
        money={name: {one["currency"]: one["minor"] for one in impact.get(name, ())} for name in FIGURES},
        assumed=tuple(one["name"] for one in impact.get("assumptions", ()) if one["assumed"]),
    )  # fmt: skip


def added(sums: Iterable[Sums]) -> Sums:
    """Add amounts up, each currency by itself.

    >>> added([{"EUR": 2}, {"EUR": 3, "JPY": 1}, {}])
    {'EUR': 5, 'JPY': 1}
    """
    total: Counter[str] = Counter()
    for one in sums:
        total.update(one)
    return dict(sorted(total.items()))


def printable(text: str) -> str:
    """A label without characters that steer a terminal: a run folder may come from somebody else.

    >>> printable("5.2.0\\x1b[2J")
    '5.2.0�[2J'
    """
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
