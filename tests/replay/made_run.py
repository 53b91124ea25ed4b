"""Run folders made by hand: what a replay leaves, from a few issues, each with its customers and what was decided."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.codec import encode
from schemas.events import Record
from schemas.fields import Money
from schemas.findings import Affected, Assumption, CohortCount, Decision, Impact, LeafCount, Outreach, SourceCount
from schemas.issues import Cause, Issue
from streams.replay.folder import Manifest, write_findings, write_manifest

T0 = 1_775_000_400_000
"""2026-03-31T23:40:00Z, the start of the hour below."""
MINUTE_MS = 60_000


@dataclass(frozen=True)
class MadeIssue:
    """One issue of a made-up run. Times are minutes after T0."""

    name: str
    signal: str = "payment"
    cause: dict[str, str] = field(default_factory=lambda: {"payment_provider": "Acme"})
    began: int = 10
    seen: int = 20
    ended: int | None = 50
    customers: Sequence[str] = ("c-1", "c-2", "c-3")
    contacted: int = 1
    decision: Decision = "send"
    reason: str = "eligible"
    at_risk: int = 5_000
    currency: str = "EUR"
    line: str = "shop"


def write_run(folder: Path, issues: Iterable[MadeIssue], counts: Iterable[Record] = (), **manifest: Any) -> Path:
    """Write a folder with these issues and what hangs on them; ``counts``: cohort and source counts."""
    found: dict[str, list[dict[str, Any]]] = {"issue": [], "affected": [], "impact": [], "outreach": []}
    for made in issues:
        found["issue"] += [plain(_issue(made, "suspected")), plain(_issue(made, "open"))]
        if made.ended is not None:
            found["issue"].append(plain(_issue(made, "resolved")))
        found["affected"] += [plain(_affected(made, at, name)) for at, name in enumerate(made.customers)]
        found["impact"].append(plain(_impact(made)))
        found["outreach"] += [plain(_outreach(made, name)) for name in made.customers]
    for record in counts:
        found.setdefault(record.model_dump()["kind"], []).append(plain(record))
    given: dict[str, Any] = {
        "source": {"kind": "recording", "name": "week", "sha256": "ab12"}, "configuration": {"approval_above": 1_000},
        "rooms": ("join", "detect"), "partitions": 1, "native": False, **manifest,
    }  # fmt: skip
    write_manifest(folder, Manifest(findings=write_findings(folder, found), **given))
    return folder


def plain(record: Record) -> dict[str, Any]:
    """A record as it lies on its topic."""
    return dict(json.loads(encode(record)))


def cohort_count(minute: int, exposed: int, failed: int, provider: str = "Acme") -> CohortCount:
    """Payments of two providers in one bin: Other never fails."""
    hashes = tuple(range(minute * 1_000 + 1, minute * 1_000 + 1 + failed))
    leaves = (LeafCount(values=(provider, "DE"), exposed=exposed, failed=hashes),
              LeafCount(values=("Other", "DE"), exposed=100, failed=()))  # fmt: skip
    return CohortCount(
        line="shop", signal="payment", bin_ms=T0 + minute * MINUTE_MS, width_ms=10_000, partition=0,
        attributes=("payment_provider", "region"), leaves=leaves, closed=True,
    )


def source_count(minute: int, events: int, topic: str = "order", source: str = "erp") -> SourceCount:
    """Events of one producer in one bin."""
    return SourceCount(
        topic=topic, source=source, partition=0, bin_ms=T0 + minute * MINUTE_MS, width_ms=10_000, events=events
    )


def _at(minute: int) -> int:
    return T0 + minute * MINUTE_MS


def _issue(made: MadeIssue, state: Any) -> Issue:
    cause = Cause(attributes=made.cause, risk_ratio=6.0, risk_ratio_low=4.0, risk_ratio_high=9.0, support=0.9,
                  exposed=100, failed=len(made.customers))  # fmt: skip
    updated = {"suspected": made.began, "open": made.seen, "resolved": made.ended or made.seen}[state]
    return Issue(
        issue_id=made.name, root_id=made.name, line=made.line, signal=made.signal, state=state, title="made up",
        cause=cause, opened_at_ms=_at(made.began), detected_at_ms=_at(made.seen), updated_at_ms=_at(updated),
        shown_at_ms=None if state == "suspected" else _at(made.seen),
        resolved_at_ms=_at(made.ended) if state == "resolved" and made.ended is not None else None,
        scale_ms=10_000, expected=2.0, observed=9.0, ratio_low=3.0, provisional=False,
    )  # fmt: skip


def _affected(made: MadeIssue, at: int, customer: str) -> Affected:
    return Affected(
        issue_id=made.name, root_id=made.name, customer_id=customer, line=made.line, signal=made.signal,
        known_at_ms=_at(made.seen), first_failed_ms=_at(made.began), last_failed_ms=_at(made.began),
        contacted_at_ms=_at(made.seen) if at < made.contacted else None,
    )


def _impact(made: MadeIssue) -> Impact:
    def money(minor: int) -> tuple[Money, ...]:
        return (Money(currency=made.currency, minor=minor),)

    assumed = Assumption(name="margin", value=120.0, unit="EUR", source="default", assumed=True)
    hit = len(made.customers)
    return Impact(
        issue_id=made.name, line=made.line, signal=made.signal, affected=hit, contacted=made.contacted,
        silent=hit - made.contacted, at_risk=money(made.at_risk), at_risk_low=money(made.at_risk // 2),
        at_risk_high=money(2 * made.at_risk), per_minute=money(100), service=money(200), amounts=money(4_990),
        assumptions=(assumed,), as_of_ms=_at(made.seen),
    )


def _outreach(made: MadeIssue, customer: str) -> Outreach:
    return Outreach(
        outreach_id=f"o-{made.name}-{customer}", issue_id=made.name, root_id=made.name, customer_id=customer,
        stage="notice", decision=made.decision, reason=made.reason, decided_at_ms=_at(made.seen),
        not_before_ms=_at(made.seen), deadline_ms=_at(made.seen + 600),
    )
