"""The derived record that stands for one problem: an issue, with its cause and its evidence."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.events import Label, Record, TimeMs, Token
from schemas.fields import T0, Count, Line, RootId, SignalName
from schemas.signals import Element, Severity

_CAUSE = {"attributes": {"app_version": "5.2.0"}, "risk_ratio": 6.2, "risk_ratio_low": 4.1, "risk_ratio_high": 9.4,
          "support": 0.93, "exposed": 840, "failed": 130, "changes": ["rel-5.2.0"]}


class Cause(Record):
    """The simplest explanation that the counts support: up to 2 attributes with the highest shrunk risk ratio."""

    attributes: dict[Label, Label] = Field(
        description="Attribute = value pairs; empty = the whole service line", examples=[{"app_version": "5.2.0"}])
    risk_ratio: float = Field(description="Failure rate inside divided by outside, shrunk", examples=[6.2])
    risk_ratio_low: float = Field(description="Lower end of its 95 % interval", examples=[4.1])
    risk_ratio_high: float = Field(description="Upper end of its 95 % interval", examples=[9.4])
    support: float = Field(description="Share of the excess failures inside, 0-1", examples=[0.93])
    exposed: Count = Field(
        description="Customers inside who could have failed (counter-evidence included)", examples=[840])
    failed: Count = Field(description="Customers inside who failed", examples=[130])
    changes: Annotated[tuple[Token, ...], Field(strict=False)] = Field(
        default=(), description="Candidate change ids", examples=[["rel-5.2.0"]])
    known: Annotated[tuple[Label, ...], Field(strict=False)] = Field(
        default=(), examples=[["app_version"]],
        description="Attributes whose value at least 20 customers had before the onset, or a change event names: only "
        "these values may become words in a message",
    )


IssueState = Literal["suspected", "open", "escalating", "recovering", "resolved", "regressed"]
EndReason = Literal["recovered", "accepted", "resolved", "withdrawn"]
"""Why an issue ended: recovered = normal again, accepted = taken as the new normal, resolved = an operator said so,
withdrawn = a suspicion that came to nothing and was never shown."""


_EVIDENCE = {"topic": "telemetry", "signal": "app", "since_ms": T0, "expected": 21.5, "observed": 130.0}


class StreamEvidence(Record):
    """What one stream says about an issue."""

    topic: Label = Field(description="Noun of the stream's topic", examples=["telemetry"])
    signal: SignalName
    since_ms: TimeMs = Field(description="Since when it shows there, event time", examples=[T0])
    expected: float = Field(description="Expected there since then, in the unit of the signal", examples=[21.5])
    observed: float = Field(description="Observed there since then, in the unit of the signal", examples=[130.0])


class Issue(Record):
    """Something is failing more than it should. Natural key: issue_id. Broadcast: one copy per customer partition."""

    kind: Literal["issue"] = "issue"
    issue_id: Token = Field(
        description="Stable: hash of line, signal, first alarming cohort and bin", examples=["i-3f9a51c2"])
    root_id: RootId
    onset: Annotated[int, Field(ge=1)] = Field(
        default=1, description="Onset number; 2 and more are regressions", examples=[1])
    line: Line
    signal: SignalName
    state: IssueState = Field(description="Where the issue is in its life", examples=["open"])
    title: Label = Field(description="What fails, in plain words", examples=["Checkout fails on 5.2.0"])
    cause: Cause = Field(description="The simplest explanation that the counts support", examples=[_CAUSE])
    opened_at_ms: TimeMs = Field(description="Estimated onset, event time", examples=[T0])
    detected_at_ms: TimeMs = Field(description="End of the alarming bin, event time", examples=[T0 + 90_000])
    updated_at_ms: TimeMs = Field(description="End of the bin of this revision, event time", examples=[T0 + 90_000])
    resolved_at_ms: TimeMs | None = Field(default=None, description="Resolved, event time", examples=[T0 + 7_200_000])
    shown_at_ms: TimeMs | None = Field(
        default=None, description="First revision past suspected, event time; none = never shown",
        examples=[T0 + 120_000],
    )  # fmt: skip
    end_reason: EndReason | None = Field(
        default=None, description="Why it ended; none while it goes on", examples=["recovered"])
    scale_ms: Count = Field(description="Scale of the detector that alarmed, ms", examples=[10_000])
    expected: float = Field(description="Expected failures since onset", examples=[21.5])
    observed: float = Field(description="Observed failures since onset", examples=[130.0])
    ratio_low: float = Field(description="5 % quantile of the shrunk rate ratio", examples=[4.4])
    provisional: bool = Field(description="True while less than two reference weeks are known", examples=[True])
    element: Element | None = Field(
        default=None, description="Which part of the service fails; none = the signal does not tell",
        examples=["facility"],
    )  # fmt: skip
    severity: Severity = Field(default="medium", description="How much it matters to those hit", examples=["high"])
    evidence: Annotated[tuple[StreamEvidence, ...], Field(strict=False)] = Field(
        default=(), description="What each stream says about it", examples=[[_EVIDENCE]])
