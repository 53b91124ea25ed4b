"""Evidence of one customer in one issue, and the running totals of an issue: the values that the room joins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from schemas.currencies import OWN
from schemas.errors import ConfigError
from schemas.events import Origin
from schemas.fields import Signal
from streams.core.amounts import Amounts, largest, owned, require_currency
from streams.core.recovery import Intervals, all_put_right, gravest, merged
from streams.core.stage import STORED

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class MatchRules:
    """``slack_ms``: how far before the estimated onset evidence still counts; ``recent_ms``: window of the current
    rate; ``retention_ms``: how long evidence and resolved issues are kept, event time; ``unrepaired_ms``: the same for
    those with a failure that was not put right yet; ``currency``: the company's own, of amounts that name none."""

    slack_ms: int = 5 * MINUTE_MS
    recent_ms: int = 15 * MINUTE_MS
    retention_ms: int = 7 * DAY_MS
    unrepaired_ms: int = 68 * DAY_MS
    currency: str = "EUR"

    def __post_init__(self) -> None:
        """Refuse a retention shorter than failures and contacts are joined by time (47 h late, 1 h window)."""
        if self.retention_ms < 2 * DAY_MS:
            raise ConfigError("match: retention_ms must be at least 2 days: what is 47 h late is joined")
        if self.unrepaired_ms < self.retention_ms:
            raise ConfigError("match: unrepaired_ms must not be shorter than retention_ms")
        if self.slack_ms < 0 or self.recent_ms < MINUTE_MS or self.recent_ms % MINUTE_MS:
            raise ConfigError("match: slack_ms must not be negative; recent_ms must be whole minutes")
        require_currency(self.currency)


class RetainedLeaf(msgspec.Struct, frozen=True):
    """Failures of one customer in one leaf cohort: attribute values, first and last, when the last was put right."""

    values: tuple[str, ...]
    first_ms: int
    last_ms: int
    put_right_ms: int | None = None
    origin: Origin = "live"


class RetainedEpisode(msgspec.Struct, frozen=True, rename=STORED):
    """A retained episode, reduced to what matching needs."""

    customer: str
    line: str
    signal: Signal
    window_ms: int
    attributes: tuple[str, ...]
    leaves: tuple[RetainedLeaf, ...]
    last_ms: int
    contacted_ms: int | None
    amounts: Amounts

    @property
    def unrepaired(self) -> bool:
        """True while a failure in it has not been put right."""
        return any(leaf.put_right_ms is None for leaf in self.leaves)


Amounted = TypeVar("Amounted", RetainedEpisode, "Hit")


def stored(value: bytes, kind: type[Amounted]) -> Amounted:
    """Return what a room stored. An older build wrote one amount, hundredths of whatever currency."""
    try:
        return msgspec.json.decode(value, type=kind)
    except msgspec.ValidationError:
        fields = msgspec.json.decode(value)
        hundredths = fields.pop("amount_cents")
        return msgspec.convert({**fields, "amounts": [(OWN, hundredths)] if hundredths > 0 else []}, kind)


class RetainedIssue(msgspec.Struct, frozen=True, rename=STORED):
    """A retained issue, reduced to what matching needs. ``cause``: attribute -> value."""

    issue: str
    root: str
    line: str
    signal: Signal
    cause: dict[str, str]
    opened_ms: int
    detected_ms: int
    updated_ms: int
    resolved_ms: int | None


class Hit(msgspec.Struct, frozen=True):
    """One customer's evidence in one issue; merging is idempotent and commutative."""

    first_ms: int
    last_ms: int
    contacted_ms: int | None
    amounts: Amounts
    put_right_ms: int | None = None
    origin: Origin = "live"
    failing: Intervals = ()
    """When it was not put right: from the first failure of a part until that part was put right."""

    @property
    def suffered(self) -> Intervals:
        """The same, also for state of versions that did not store it."""
        return self.failing or ((self.first_ms, self.put_right_ms),)


class Worth(msgspec.Struct, frozen=True):
    """What is known of a customer's margin, as of ``updated_at_ms``; nothing if the customer was erased then."""

    updated_at_ms: int
    value_cents: int | None


EpisodeKey = tuple[str, str, Signal, int]
"""(customer, line, signal, window_ms)"""


@dataclass(slots=True)
class Member:
    """One customer in one issue: folded evidence of dropped episodes and of each retained window, what was emitted."""

    base: Hit | None = None
    parts: dict[int, Hit] = field(default_factory=dict)
    counted: tuple[Hit, int | None] | None = None

    def total(self) -> Hit | None:
        """All evidence merged, or None if there is none."""
        hits = [*self.parts.values(), *([self.base] if self.base else [])]
        return merge(hits) if hits else None


@dataclass(slots=True)
class IssueTotals:
    """Running totals of one issue; ``first`` counts customers by the minute of their first failure,
    ``unrepaired`` those for whom it was not put right yet."""

    affected: int = 0
    unrepaired: int = 0
    contacted: int = 0
    valued: int = 0
    value_cents: int = 0
    amounts: dict[str, int] = field(default_factory=dict)
    first: dict[int, int] = field(default_factory=dict)

    def add(self, hit: Hit, value: int | None, sign: int) -> None:
        """Count (+1) or take back (-1) one customer. A negative margin counts as 0: losing it is no gain to report."""
        self.affected += sign
        self.unrepaired += sign * (hit.put_right_ms is None)
        self.contacted += sign * (hit.contacted_ms is not None)
        self.valued += sign * (value is not None)
        self.value_cents += sign * max(value or 0, 0)
        for currency, minor in hit.amounts:
            self.amounts[currency] = self.amounts.get(currency, 0) + sign * minor
        minute = hit.first_ms // MINUTE_MS
        self.first[minute] = self.first.get(minute, 0) + sign


def merge(hits: Iterable[Hit]) -> Hit:
    """Earliest first failure and contact, latest last failure, largest amounts, latest repair, gravest origin."""
    rows = list(hits)
    contacts = [hit.contacted_ms for hit in rows if hit.contacted_ms is not None]
    return Hit(
        min(hit.first_ms for hit in rows),
        max(hit.last_ms for hit in rows),
        min(contacts) if contacts else None,
        largest(amount for hit in rows for amount in hit.amounts),
        all_put_right(hit.put_right_ms for hit in rows),
        gravest(hit.origin for hit in rows),
        merged(stretch for hit in rows for stretch in hit.suffered),
    )


def agrees(cause: dict[str, str], attributes: tuple[str, ...], values: tuple[str, ...]) -> bool:
    """True if the leaf has every attribute value of the cause (an empty cause is the whole service line)."""
    leaf = dict(zip(attributes, values, strict=False))
    return all(leaf.get(name) == value for name, value in cause.items())


def evidence(episode: RetainedEpisode, issue: RetainedIssue, before_ms: int, rules: MatchRules) -> Hit | None:
    """The episode's evidence in the issue, from failures that began before ``before_ms``; None if there is none.

    A leaf counts if it has the cause and its failures, first to last, reach into the issue's window::

        opened - slack   opened        detected      resolved, if it is
        ----[==============|==============|==============]-----> event time
          |--leaf--|               |--leaf--|           |--leaf--|      all three count

    An issue that was detected more than ``retention_ms`` after it opened begins at ``detected - retention_ms``.
    """
    leaves = [
        leaf
        for leaf in episode.leaves
        if leaf.first_ms < before_ms
        and leaf.last_ms >= max(issue.opened_ms - rules.slack_ms, issue.detected_ms - rules.retention_ms)
        and (issue.resolved_ms is None or leaf.first_ms <= issue.resolved_ms)
        and agrees(issue.cause, episode.attributes, leaf.values)
    ]
    if not leaves:
        return None
    first = min(leaf.first_ms for leaf in leaves)
    last = max(leaf.last_ms for leaf in leaves)
    right = all_put_right(leaf.put_right_ms for leaf in leaves)
    failing = merged((leaf.first_ms, leaf.put_right_ms) for leaf in leaves)
    origin = gravest(leaf.origin for leaf in leaves)
    amounts = largest(owned(episode.amounts, rules.currency))
    return Hit(first, last, episode.contacted_ms, amounts, right, origin, failing)
