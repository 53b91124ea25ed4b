"""impact: what an issue costs. Sums the absolute counts of all customer partitions and puts money on them.

Customers are partitioned, so the sums are exact, and the same for any number of partitions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.currencies import to_minor
from schemas.errors import ConfigError
from schemas.fields import MOST_MINOR, Money, Signal
from schemas.findings import Impact
from streams.core.amounts import Amounts, amounts_of, as_records, owned, require_currency, summed
from streams.core.impact.money import DEFAULTS, Exposure, Parameters, assumptions, damage
from streams.core.stage import STORED, Batch, Drained, Idle, Message

DAY_MS = 24 * 60 * 60_000


@dataclass(frozen=True, slots=True)
class ImpactRules:
    """``currency``: the company's own, of margins and all figures; ``recent_minutes``: window of ``recent``."""

    parameters: Parameters = DEFAULTS
    currency: str = "EUR"
    recent_minutes: float = 15.0
    retention_ms: int = 7 * DAY_MS

    def __post_init__(self) -> None:
        """Refuse what would divide by zero or is no currency."""
        if self.recent_minutes <= 0 or self.retention_ms < DAY_MS:
            raise ConfigError("impact: recent_minutes must be positive, retention_ms at least one day")
        require_currency(self.currency)


class Part(msgspec.Struct, frozen=True, rename=STORED):
    """The newest count of one issue from one partition."""

    issue: str
    partition: int
    line: str
    signal: Signal
    open: bool
    affected: int
    contacted: int
    recent: int
    valued: int
    value_cents: int
    as_of_ms: int
    amounts: Amounts = ()
    """As counted; an older build did not store them."""


@dataclass(slots=True)
class ImpactState:
    """Newest counts by issue and partition; ``latest_ms`` is the newest ``as_of_ms`` of all issues."""

    parts: dict[str, dict[int, Part]] = field(default_factory=dict)
    latest_ms: int = 0
    dirty: set[str] = field(default_factory=set)
    changed: dict[bytes, bytes | None] = field(default_factory=dict)


def _key(part: Part) -> bytes:
    return msgspec.json.encode((part.issue, part.partition))


class ImpactStage:
    """The stage: AffectedCount in, one Impact per changed issue out. State keys are JSON (issue, partition)."""

    def __init__(self, rules: ImpactRules | None = None) -> None:
        """Keep the rules."""
        self.rules = rules or ImpactRules()

    def start(self, partition: int, partitions: int) -> ImpactState:
        """Nothing seen; a single task serves all partitions."""
        del partition, partitions
        return ImpactState()

    def load(self, partition: int, partitions: int, items: Iterable[tuple[bytes, bytes]]) -> ImpactState:
        """Rebuild from the newest counts."""
        state = self.start(partition, partitions)
        for _, value in items:
            self._put(state, msgspec.json.decode(value, type=Part))
        return state

    def step(self, state: ImpactState, batch: Batch | Idle) -> None:
        """Keep the newest count per issue and partition; time that passes without counts changes nothing."""
        if isinstance(batch, Idle):
            return
        for record in batch.records:
            part = _part(record)
            self._put(state, part)
            state.dirty.add(part.issue)
            state.changed[_key(part)] = msgspec.json.encode(part)

    def drain(self, state: ImpactState) -> Drained:
        """One Impact per changed issue, by issue id; then issues that ended long ago are dropped."""
        messages = [Message("impact", issue, self._impact(state.parts[issue])) for issue in sorted(state.dirty)]
        state.dirty.clear()
        self._evict(state)
        changes = sorted(state.changed.items())
        state.changed = {}
        return Drained(changes, messages)

    def _put(self, state: ImpactState, part: Part) -> None:
        state.parts.setdefault(part.issue, {})[part.partition] = part
        state.latest_ms = max(state.latest_ms, part.as_of_ms)

    def _impact(self, by_partition: dict[int, Part]) -> Impact:
        """Sum the partitions; a partition that has seen the end of the issue ends it for all."""
        parts = list(by_partition.values())
        exposure = Exposure(
            affected=sum(part.affected for part in parts),
            contacted=sum(part.contacted for part in parts),
            recent=sum(part.recent for part in parts),
            valued=sum(part.valued for part in parts),
            value_cents=sum(part.value_cents for part in parts),
            open=all(part.open for part in parts),
        )
        cost = damage(exposure, self.rules.parameters, self.rules.recent_minutes)
        return Impact(
            issue_id=parts[0].issue, line=parts[0].line, signal=parts[0].signal, affected=exposure.affected,
            contacted=exposure.contacted, silent=exposure.affected - exposure.contacted,
            at_risk=self._figure(cost.at_risk), at_risk_low=self._figure(cost.low),
            at_risk_high=self._figure(cost.high), per_minute=self._figure(cost.per_minute),
            service=self._figure(cost.service), amounts=self._amounts(parts),
            assumptions=assumptions(exposure, self.rules.parameters), as_of_ms=max(part.as_of_ms for part in parts),
        )  # fmt: skip

    def _figure(self, hundredths: int) -> tuple[Money, ...]:
        """What the model says, in the company's currency."""
        own = self.rules.currency
        return as_records([(own, min(to_minor(hundredths, own), MOST_MINOR))])

    def _amounts(self, parts: list[Part]) -> tuple[Money, ...]:
        """Order amounts at stake, added up per currency."""
        stated = owned((amount for part in parts for amount in part.amounts), self.rules.currency)
        return as_records(summed(stated))

    def _evict(self, state: ImpactState) -> None:
        cutoff = state.latest_ms - self.rules.retention_ms
        for issue, parts in list(state.parts.items()):
            if all(not part.open and part.as_of_ms < cutoff for part in parts.values()):
                del state.parts[issue]
                state.changed |= {_key(part): None for part in parts.values()}


def _part(record: Any) -> Part:
    return Part(
        issue=record.issue_id, partition=record.partition, line=record.line, signal=record.signal, open=record.open,
        affected=record.affected, contacted=record.contacted, recent=record.recent, valued=record.valued,
        value_cents=record.value_cents, as_of_ms=record.as_of_ms, amounts=amounts_of(record.amounts),
    )  # fmt: skip
