"""What is different between two runs: the issues, when they were seen, who was hit, who would be told, the money.

A is what is compared with, B what is compared: an issue of B alone is *added*, one of A alone *lost*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from streams.replay.findings import Decided, DecisionKey, FoundIssue, RunFindings, Sums
from streams.replay.pairing import Paired, pair_issues

UNDECIDED = Decided("none", "")
"""Nothing was decided: the run does not find the customer hit, or sent no notice that an all-clear could follow."""


class SettingChange(NamedTuple):
    """A setting that the two runs do not share; None: it was not in the configuration."""

    name: str
    a: Any
    b: Any


class DecisionChange(NamedTuple):
    """Customers about whom the two runs decide differently: from what to what."""

    stage: str
    a: Decided
    b: Decided
    customers: int


@dataclass(frozen=True, slots=True)
class IssueChange:
    """One problem in both runs, or in one of them."""

    a: FoundIssue | None
    b: FoundIssue | None

    @property
    def kind(self) -> str:
        """added, lost, changed or same."""
        if self.a is None or self.b is None:
            return "added" if self.a is None else "lost"
        return "same" if self.a == self.b else "changed"

    @property
    def issue(self) -> FoundIssue:
        """As B tells it, else as A does."""
        known = self.b or self.a
        assert known is not None
        return known

    @property
    def later_ms(self) -> int:
        """How much later B sees it; below 0: earlier. 0 for one that a run does not have."""
        return self.b.seen_ms - self.a.seen_ms if self.a and self.b else 0

    @property
    def cause_changed(self) -> bool:
        """Both runs have it, and give it different causes."""
        return self.a is not None and self.b is not None and self.a.cause != self.b.cause

    @property
    def customers_added(self) -> int:
        """Customers whom B finds hit by it and A does not."""
        return len(_customers(self.b) - _customers(self.a))

    @property
    def customers_removed(self) -> int:
        """Customers whom A finds hit by it and B does not."""
        return len(_customers(self.a) - _customers(self.b))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, side by side."""

    a: RunFindings
    b: RunFindings
    inputs: tuple[str, ...]
    """Sentences about what the two runs did not share as input; none: they had the same."""
    settings: tuple[SettingChange, ...]
    issues: tuple[IssueChange, ...]
    decisions: tuple[DecisionChange, ...]
    """The largest first."""
    different: tuple[str, ...]
    """Kinds of findings whose hashes differ."""

    @property
    def equal(self) -> bool:
        """Every finding is the same, byte for byte."""
        return not self.different

    def of_kind(self, kind: str) -> list[IssueChange]:
        """Issues that are added, lost, changed or same."""
        return [change for change in self.issues if change.kind == kind]

    @property
    def notices_added(self) -> int:
        """Notices that go in B and not in A."""
        return sum(
            one.customers for one in self.decisions
            if one.stage == "notice" and one.b.decision == "send" and one.a.decision != "send"
        )  # fmt: skip

    @property
    def notices_removed(self) -> int:
        """Notices that go in A and not in B."""
        return sum(
            one.customers for one in self.decisions
            if one.stage == "notice" and one.a.decision == "send" and one.b.decision != "send"
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON. Customers are counts."""
        return {
            "equal": self.equal,
            "different": list(self.different),
            "inputs": list(self.inputs),
            "settings": [change._asdict() for change in self.settings],
            "issues": [_issue_dict(change) for change in self.issues],
            "notices": {"added": self.notices_added, "removed": self.notices_removed,
                        "changes": [_decision_dict(change) for change in self.decisions]},
            "customers": {
                "added": len(self.b.customers - self.a.customers),
                "removed": len(self.a.customers - self.b.customers),
            },
            "totals": {name: _totals(run) for name, run in (("a", self.a), ("b", self.b))},
        }  # fmt: skip


def compare(a: RunFindings, b: RunFindings) -> Comparison:
    """Compare two runs."""
    pairs = pair_issues(a.issues, b.issues)
    kinds = sorted({*a.manifest.findings, *b.manifest.findings})
    return Comparison(
        a, b, tuple(_inputs(a, b)), tuple(setting_changes(a.manifest.configuration, b.manifest.configuration)),
        tuple(IssueChange(*pair) for pair in pairs), tuple(_decisions(a, b, pairs)),
        tuple(noun for noun in kinds if a.manifest.findings.get(noun) != b.manifest.findings.get(noun)),
    )  # fmt: skip


def setting_changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[SettingChange]:
    """Settings in which two configurations differ, by name."""
    return [SettingChange(name, a.get(name), b.get(name)) for name in sorted({*a, *b}) if a.get(name) != b.get(name)]


def _inputs(a: RunFindings, b: RunFindings) -> Iterable[str]:
    one, other = a.manifest, b.manifest
    hashed = "sha256" in one.source and "sha256" in other.source
    for name in sorted({*one.source, *other.source} - ({"name"} if hashed else set())):
        if one.source.get(name) != other.source.get(name):
            yield f"the sources differ in their {name}"
    if (one.from_ms, one.until_ms) != (other.from_ms, other.until_ms):
        yield "the runs read different stretches of time"
    if one.start != other.start:
        yield f"A started {_started(one.start)}, B {_started(other.start)}"
    if one.cuts != other.cuts:
        yield f"A kept to {one.cuts:,} recorded moments at which something acted on arrival, B to {other.cuts:,}"
    if one.rooms != other.rooms:
        yield f"A ran the rooms {', '.join(one.rooms)}, B {', '.join(other.rooms)}"


def _started(start: str) -> str:
    return "from a snapshot" if start == "snapshot" else start


def _decisions(a: RunFindings, b: RunFindings, pairs: Iterable[Paired]) -> list[DecisionChange]:
    renamed = {two.issue_id: one.issue_id for one, two in pairs if one is not None and two is not None}
    ours = a.decisions
    theirs = {DecisionKey(renamed.get(key.issue, key.issue), *key[1:]): decided for key, decided in b.decisions.items()}
    counted: Counter[tuple[str, Decided, Decided]] = Counter()
    for key in ours.keys() | theirs.keys():
        before, after = ours.get(key, UNDECIDED), theirs.get(key, UNDECIDED)
        if before != after:
            counted[key.stage, before, after] += 1
    ordered = sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    return [DecisionChange(*what, customers) for what, customers in ordered]


def _customers(issue: FoundIssue | None) -> frozenset[str]:
    return issue.customers if issue else frozenset()


def _issue_dict(change: IssueChange) -> dict[str, Any]:
    return {
        "change": change.kind,
        "title": change.issue.title,
        "line": change.issue.line,
        "signal": change.issue.signal,
        "later_ms": change.later_ms,
        "cause_changed": change.cause_changed,
        "customers_added": change.customers_added,
        "customers_removed": change.customers_removed,
        "a": _found_dict(change.a),
        "b": _found_dict(change.b),
    }


def _found_dict(issue: FoundIssue | None) -> dict[str, Any] | None:
    if issue is None:
        return None
    return {
        "issue_id": issue.issue_id, "cause": dict(issue.cause), "state": issue.state, "began_ms": issue.began_ms,
        "seen_ms": issue.seen_ms, "ended_ms": issue.ended_ms, "severity": issue.severity,
        "affected": len(issue.customers), "contacted": len(issue.complainants), "silent": issue.silent,
        **{name: money_list(sums) for name, sums in issue.money.items()},
    }  # fmt: skip


def _decision_dict(change: DecisionChange) -> dict[str, Any]:
    return {"stage": change.stage, "a": change.a._asdict(), "b": change.b._asdict(), "customers": change.customers}


def _totals(run: RunFindings) -> dict[str, Any]:
    return {
        "folder": str(run.folder), "issues": len(run.issues), "affected": len(run.customers), "notices": run.notices,
        **{name: money_list(sums) for name, sums in run.money.items()},
    }  # fmt: skip


def money_list(sums: Sums) -> list[dict[str, Any]]:
    """Money as findings carry it: one entry per currency, in minor units."""
    return [{"currency": currency, "minor": minor} for currency, minor in sums.items()]
