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

from schemas.words import title_words
from streams.replay.folder import Manifest, read_findings, read_manifest

Sums = Mapping[str, int]
"""Currency -> minor units."""
FIGURES = ("at_risk", "at_risk_low", "at_risk_high", "per_minute", "service", "amounts")
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
    """In words, as the boards have it."""
    cause: Mapping[str, str]
    state: str
    began_ms: int
    """Estimated onset."""
    seen_ms: int
    """From here on boards showed it, and notices could go."""
    ended_ms: int | None
    severity: str
    customers: frozenset[str]
    complainants: frozenset[str]
    """Of these, who got in touch about it."""
    money: Mapping[str, Sums]
    """By the names of :data:`FIGURES`."""
    assumed: Mapping[str, str]
    """Parameters behind the money that nobody has set: name -> value with its unit."""

    @property
    def silent(self) -> int:
        """Customers who were hit and did not get in touch about it."""
        return len(self.customers) - len(self.complainants)


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
    def silent(self) -> int:
        """Customers who were hit and got in touch about no issue at all."""
        return len(self.customers - frozenset().union(*(issue.complainants for issue in self.issues)))

    @property
    def money(self) -> Mapping[str, Sums]:
        """The figures of all issues added up, per currency."""
        return {name: added(issue.money[name] for issue in self.issues) for name in FIGURES}

    @property
    def assumed(self) -> Mapping[str, str]:
        """Parameters behind the money that nobody has set."""
        return {name: value for issue in self.issues for name, value in sorted(issue.assumed.items())}


def read_run(folder: Path) -> RunFindings:
    """Raises ConfigError if the folder holds no finished run, or is damaged."""
    manifest = read_manifest(folder)
    customers: dict[str, set[str]] = {}
    complainants: dict[str, set[str]] = {}
    for row in read_findings(folder, "affected"):
        customers.setdefault(row["issue_id"], set()).add(row["customer_id"])
        if row.get("contacted_at_ms") is not None:
            complainants.setdefault(row["issue_id"], set()).add(row["customer_id"])
    impacts = {row["issue_id"]: row for row in read_findings(folder, "impact")}
    issues = [
        _issue(row, impacts.get(row["issue_id"], {}),
               *(frozenset(found.get(row["issue_id"], ())) for found in (customers, complainants)))
        for row in read_findings(folder, "issue")
    ]  # fmt: skip
    decisions = {
        DecisionKey(row["issue_id"], row["customer_id"], row["stage"]): Decided(row["decision"], row["reason"])
        for row in read_findings(folder, "outreach")
    }
    return RunFindings(folder, manifest, tuple(sorted(issues, key=lambda one: (one.began_ms, one.issue_id))), decisions)


def _issue(
    row: Mapping[str, Any], impact: Mapping[str, Any], customers: frozenset[str], complainants: frozenset[str]
) -> FoundIssue:
    shown_ms, line = row.get("shown_at_ms"), printable(row["line"])
    cause = {printable(name): printable(value) for name, value in row["cause"]["attributes"].items()}
    return FoundIssue(
        issue_id=row["issue_id"], line=line, signal=row["signal"], title=title_words(row["signal"], cause, line),
        cause=cause, state=row["state"], began_ms=row["opened_at_ms"],
        seen_ms=row["detected_at_ms"] if shown_ms is None else shown_ms, ended_ms=row.get("resolved_at_ms"),
        severity=row.get("severity", "medium"), customers=customers, complainants=complainants,
        money={name: {one["currency"]: one["minor"] for one in impact.get(name, ())} for name in FIGURES},
        assumed={one["name"]: f"{one['value']:g} {one['unit']}" for one in impact.get("assumptions", ())
                 if one["assumed"]},
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
