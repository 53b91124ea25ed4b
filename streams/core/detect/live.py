"""One issue: what it is, what its life cycle has to remember, and how it is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import xxhash

from schemas.events import Change
from schemas.fields import Signal
from schemas.issues import Cause, EndReason, Issue, IssueState
from schemas.signals import signal_spec
from streams.core.detect.cusum import eb05
from streams.core.detect.explain import Explanation
from streams.core.detect.lattice import Pairs
from streams.core.detect.rules import DetectRules

TITLES = {
    "app": "App failing",
    "payment": "Payments failing",
    "delivery": "Deliveries late",
    "contact": "Customers reporting problems",
}


@dataclass(slots=True)
class Live:
    """An issue and what its life cycle needs to know. Rates per exposure, times ms, ``recent``: (bin, y, m)."""

    issue_id: str
    root_id: str
    onset: int
    line: str
    family: Signal
    state: IssueState
    pairs: Pairs
    cause: Explanation
    cohort: Pairs
    opened_at_ms: int
    detected_at_ms: int
    updated_at_ms: int
    scale_ms: int
    provisional: bool
    resolved_at_ms: int | None = None
    expected: float = 0.0
    observed: int = 0
    rate: float = 0.0
    ratio: float = 1.0
    fading: float = 0.0
    normal: float = 0.0
    recovering_ms: int = 0
    last_failure_ms: int = 0
    settled_ms: int = 0
    settled_customers: int = 0
    muted: bool = False
    changes: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    """Attributes of the cause whose value enough customers had before the onset."""
    named: tuple[str, ...] = ()
    """Attributes of the cause whose value a change event names."""
    shown_at_ms: int | None = None
    end_reason: EndReason | None = None
    recent: list[tuple[int, int, float]] = field(default_factory=list)

    @property
    def shown(self) -> bool:
        """True once the issue has opened and until it is resolved."""
        return self.state != "suspected" and self.resolved_at_ms is None

    def record(self) -> Issue:
        """The finding, as it stands."""
        c = self.cause
        cause = Cause(
            attributes=dict(self.pairs),
            risk_ratio=_round(c.risk_ratio),
            risk_ratio_low=_round(c.low),
            risk_ratio_high=_round(c.high),
            support=_round(c.support),
            exposed=c.exposed,
            failed=c.failed,
            changes=self.changes,
            known=tuple(sorted({*self.seen, *self.named})),
        )
        return Issue(
            issue_id=self.issue_id,
            root_id=self.root_id,
            onset=self.onset,
            line=self.line,
            signal=self.family,
            state=self.state,
            title=title(self.line, self.family, self.pairs),
            cause=cause,
            opened_at_ms=self.opened_at_ms,
            detected_at_ms=self.detected_at_ms,
            updated_at_ms=self.updated_at_ms,
            resolved_at_ms=self.resolved_at_ms,
            shown_at_ms=self.shown_at_ms,
            end_reason=self.end_reason,
            scale_ms=self.scale_ms,
            expected=_round(self.expected),
            observed=float(self.observed),
            ratio_low=_round(eb05(self.observed, self.expected)),
            provisional=self.provisional,
            element=signal_spec(self.family).element,
            severity=signal_spec(self.family).severity,
        )


def _round(value: float) -> float:
    """Six significant digits: what a person reads, and the same text on every machine."""
    return float(f"{value:.6g}")


def title(line: str, family: str, pairs: Pairs) -> str:
    """Plain words for an issue.

    >>> title("shop", "payment", (("payment_provider", "paynow"), ("region", "IT")))
    'Payments failing: payment_provider=paynow, region=IT'
    >>> title("shop", "delivery", ())
    'Deliveries late: everywhere in shop'
    """
    what = ", ".join(f"{name}={value}" for name, value in pairs) or f"everywhere in {line}"
    return f"{TITLES.get(family, family)}: {what}"[:128]


def fingerprint(line: str, family: str, cohort: Pairs, bin_ms: int) -> str:
    """Stable id of an issue: hash of line, family, first alarming cohort and bin."""
    text = "\x1f".join([line, family, *(f"{name}={value}" for name, value in cohort), str(bin_ms)])
    return f"i-{xxhash.xxh3_64_hexdigest(text.encode())}"


def named_by(changes: Iterable[Change], live: Live) -> tuple[str, ...]:
    """Attributes of the cause whose value a change event has too: the company itself wrote it."""
    named = {item for change in changes for item in change.attributes.items()}
    return tuple(name for name, value in live.pairs if (name, value) in named)


def candidates(changes: list[Change], live: Live, rules: DetectRules) -> tuple[str, ...]:
    """Changes of this line near the onset whose attributes agree with the cause; nearest first, at most 5.

    A change agrees when no attribute both name has two values, and they share one, or one of them names none.
    """
    cause = dict(live.pairs)
    found = []
    for change in changes:
        near = live.opened_at_ms - rules.change_ms <= change.changed_at_ms <= live.detected_at_ms
        shared = cause.keys() & change.attributes.keys()
        agrees = all(cause[k] == change.attributes[k] for k in shared)
        if near and agrees and change.product in ("", live.line) and (shared or not cause or not change.attributes):
            found.append((-len(shared), abs(live.opened_at_ms - change.changed_at_ms), change.change_id))
    return tuple(change_id for _, _, change_id in sorted(found)[:5])
