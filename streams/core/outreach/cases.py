"""The values that the room works on: its rules, one case per (root issue, customer, stage), orders, issues."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import xxhash

from schemas.errors import ConfigError
from schemas.events import Origin
from schemas.fields import Signal
from schemas.findings import Affected, Decision, Stage
from schemas.issues import EndReason
from schemas.words import words_of
from streams.core.outreach.consent import Profile
from streams.core.outreach.intervals import changed_from, revised
from streams.core.outreach.policy import DAY_MS, DEFAULT_BUDGETS, HOUR_MS, Budget, QuietHours
from streams.core.outreach.wording import Names
from streams.core.recovery import Intervals
from streams.core.stage import STORED

_CODES = (
    "eligible", "hold_out", "opted_out", "no_consent", "no_address", "no_profile", "unreadable", "erased",
    "already_contacted", "no_words", "put_right", "resolved", "regressed", "unrepaired", "replayed", "drill", "expired",
    "time_zone", "quiet_hours", "budget", "approval", "muted", "stopped",
)
REASONS: dict[str, str] = {code: words_of("reason", code) for code in _CODES}
"""Every reason of a decision, in words. The same reason stands for a hold if the obstacle may pass in time, else for a
refusal."""


@dataclass(frozen=True, slots=True)
class OutreachRules:
    """Who may be contacted, when, how often. ``approval_above``: notices per issue that need no approval, over all
    partitions; ``holdout_ratio``: share of the eligible who are not contacted; ``channels``: those we can send on."""

    budgets: tuple[Budget, ...] = DEFAULT_BUDGETS
    quiet: QuietHours = field(default_factory=QuietHours)
    approval_above: int = 1_000
    holdout_ratio: float = 0.10
    channels: tuple[str, ...] = ("webhook",)
    notice_ttl_ms: int = 14 * HOUR_MS
    """A notice is useless later; longer than a night (11 h), so that the evening's are sent in the morning."""
    all_clear_ttl_ms: int = 48 * HOUR_MS
    """An all-clear waits for the budget of its own notice (24 h) and then for the night (11 h)."""
    all_clear_wait_ms: int = 60 * DAY_MS
    """How long after the end of an issue a repair of the customer's own failure still brings an all-clear."""
    replayed: bool = False
    """Send also about what was played from a file or made up; only for receivers on this machine."""
    retention_ms: int = 90 * DAY_MS
    """How long a decision is remembered after its deadline: nobody is contacted twice about it within this time."""
    template_version: int = 1
    names: Names = field(default_factory=dict)
    """The company's own words for values of attributes."""

    def __post_init__(self) -> None:
        """Refuse rules that promise nothing or cannot hold."""
        if not 0 <= self.holdout_ratio <= 0.5:
            raise ConfigError("outreach: holdout_ratio must lie between 0 and 0.5")
        if self.approval_above < 0 or not self.budgets or not self.channels:
            raise ConfigError("outreach: approval_above must not be negative; budgets and channels must not be empty")
        if min(self.notice_ttl_ms, self.all_clear_ttl_ms) <= 0:
            raise ConfigError("outreach: a time to live must be positive")
        if not 0 <= self.all_clear_wait_ms <= self.retention_ms:
            raise ConfigError("outreach: decisions must be remembered as long as an all-clear is waited for")
        if self.retention_ms < max(budget.window_ms for budget in self.budgets):
            raise ConfigError("outreach: decisions must be remembered as long as the longest budget")

    def unapproved(self, partitions: int) -> int:
        """Notices per issue that one of ``partitions`` may send before approval, without asking the others."""
        return self.approval_above // partitions


def outreach_id(root: str, customer: str, stage: str) -> str:
    """The send key: equal for every onset of an issue, every revision, every restart."""
    return "o-" + xxhash.xxh3_128_hexdigest(f"{root}\x1f{customer}\x1f{stage}".encode())


def state_key(*parts: str) -> bytes:
    """Key of a pair of the stage's state."""
    return msgspec.json.encode(parts)


def held_out(root: str, customer: str, ratio: float) -> bool:
    """True for the ``ratio`` of customers who are not contacted about this root issue.

    The draw is a hash of root issue and customer: the same on every partition and after every restart, drawn anew for
    every root issue, and independent of what is decided later::

        hash 0 |== hold-out ==|------------- may be contacted -------------| 2**64
                              ratio * 2**64
    """
    return xxhash.xxh3_64_intdigest(f"hold-out\x1f{root}\x1f{customer}".encode()) < ratio * 2**64


class Onset(msgspec.Struct, frozen=True):
    """One onset of a root issue as it hit one customer: when known, when the customer contacted us about it, when it
    was put right. Of an all-clear: ``known_ms`` is the end of the issue."""

    known_ms: int
    contacted_ms: int | None = None
    right: Intervals = ()
    origin: Origin = "live"
    again: tuple[int, ...] | None = None
    """When it failed again, as the newest revision names it; None in state of versions that did not store it.

    ``right`` also keeps what only an earlier revision knew. Which revisions there are hangs on when they are flushed.
    """

    def revised(self, record: Affected) -> Onset:
        """After one more revision. Evidence and contacts are only ever added, so the earliest of both counts."""
        contacts = [at for at in (self.contacted_ms, record.contacted_at_ms) if at is not None]
        respites = [(each.since_ms, each.until_ms) for each in record.respites]
        return Onset(
            min(self.known_ms, record.known_at_ms), min(contacts) if contacts else None,
            revised(self.right, record.put_right_ms, record.last_failed_ms, respites), record.origin,
            tuple(until for _, until in respites),
        )  # fmt: skip

    def changed_from(self, old: Onset) -> int | None:
        """The earliest time, ms, about which an older revision said something else of repairs; None: it did not."""
        right = changed_from(old.right, self.right)
        named = set(self.again or ()) ^ set(old.again) if old.again is not None else set()
        return min([*named, *([] if right is None else [right])], default=None)


class Case(msgspec.Struct, rename=STORED):
    """The decision about one (root issue, customer, stage). Undecided while ``decision`` is None."""

    root: str
    customer: str
    stage: Stage
    signal: Signal
    issue: str
    known_ms: int
    deadline_ms: int
    onsets: dict[str, Onset]
    decision: Decision | None = None
    reason: str = ""
    decided_ms: int = 0
    not_before_ms: int = 0
    next_ms: int | None = None
    channel: str | None = None
    address: str = ""
    language: str = "en"
    time_zone: str = ""
    drawn_ms: int | None = None
    """When this customer was first drawn: to be told, or to be held out."""

    @property
    def id(self) -> str:
        """The send key."""
        return outreach_id(self.root, self.customer, self.stage)

    @property
    def final(self) -> bool:
        """True once it was sent or drawn into the hold-out: never decided again."""
        return self.decision in ("send", "hold_out")


class KnownIssue(msgspec.Struct, frozen=True, rename=STORED):
    """What outreach keeps of an issue."""

    issue: str
    root: str
    signal: Signal
    cause: dict[str, str]
    detected_ms: int
    updated_ms: int
    resolved_ms: int | None
    shown_ms: int | None = None
    end_reason: EndReason | None = None
    known: tuple[str, ...] = ()
    """Attributes of the cause whose value may be shown to customers."""

    @property
    def public_ms(self) -> int:
        """From when on decisions know of it: once it is shown. A detection may lie before what its topic has passed."""
        return max(self.detected_ms, self.shown_ms or 0)

    @property
    def mended(self) -> bool:
        """True if it ended because all is well again, so that an all-clear may go out."""
        return self.resolved_ms is not None and self.end_reason in ("recovered", "resolved")


class OperatorOrder(msgspec.Struct, frozen=True, order=True):
    """An operator's order, in force from ``issued_ms``."""

    issued_ms: int
    id: str
    action: Literal["approve", "mute", "unmute", "resolve", "stop", "resume"]
    issue: str | None = None


def _slot(order: OperatorOrder) -> tuple[str, str | None]:
    """What an order decides about until the next of the same kind."""
    if order.action in ("stop", "resume"):
        return "stop", None
    return ("mute" if order.action in ("mute", "unmute") else order.action), order.issue


@dataclass(slots=True)
class Orders:
    """All orders by id; what is in force at a time depends on their times only, not on their arrival."""

    by_id: dict[str, OperatorOrder] = field(default_factory=dict)

    def last(self, actions: tuple[str, ...], at_ms: int, names: Iterable[str | None] = (None,)) -> str | None:
        """The latest of these actions on one of these issues, issued at or before ``at_ms``."""
        wanted = set(names)
        found = [
            order
            for order in self.by_id.values()
            if order.action in actions and order.issued_ms <= at_ms and (wanted == {None} or order.issue in wanted)
        ]
        return max(found).action if found else None

    def forget(self, before_ms: int) -> list[str]:
        """Drop orders of before that time that decide nothing about any later one; returns their ids.

        The last stop stays until it is taken back, the last mute of an issue too.
        """
        old = sorted(order for order in self.by_id.values() if order.issued_ms < before_ms)
        last = {_slot(order): order.id for order in old}
        gone = [order.id for order in old if order.action not in ("stop", "mute") or last[_slot(order)] != order.id]
        for name in gone:
            del self.by_id[name]
        return gone

    def stopped(self, at_ms: int) -> bool:
        """True while every send is stopped."""
        return self.last(("stop", "resume"), at_ms) == "stop"

    def muted(self, case: Case, at_ms: int) -> bool:
        """True while the case's issue is muted (by its own id or its root's)."""
        return self.last(("mute", "unmute"), at_ms, (case.issue, case.root)) == "mute"

    def approved(self, case: Case, at_ms: int) -> bool:
        """True once this very onset was approved."""
        return self.last(("approve",), at_ms, (case.issue,)) is not None

    def resolved(self, case: Case, at_ms: int) -> bool:
        """True once an operator called this very onset over."""
        return self.last(("resolve",), at_ms, (case.issue,)) is not None


@dataclass(slots=True)
class OutreachState:
    """State of one customer partition; everything but cases, profiles, issues, orders and marks is an index."""

    partition: int
    partitions: int
    cases: dict[str, Case] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    issues: dict[str, KnownIssue] = field(default_factory=dict)
    orders: Orders = field(default_factory=Orders)
    affected_ms: int = 0
    issue_ms: int = 0
    emitted_ms: int = 0
    stored_marks: tuple[int, int, int] = (0, 0, 0)
    queue: list[tuple[int, str, str, str, str]] = field(default_factory=list)
    """What to decide when: (time, issue, customer, stage, case id)."""
    ends: list[tuple[int, str]] = field(default_factory=list)
    ended_issues: list[tuple[int, str]] = field(default_factory=list)
    charges: dict[str, list[int]] = field(default_factory=dict)
    noticed: dict[str, set[str]] = field(default_factory=dict)
    """Root issue -> cases whose notice was sent."""
    onsets: dict[str, set[str]] = field(default_factory=dict)
    """Root issue -> ids of its issues."""
    by_customer: dict[str, set[str]] = field(default_factory=dict)
    by_issue: dict[str, set[str]] = field(default_factory=dict)
    dirty: set[str] = field(default_factory=set)
    changed: dict[bytes, bytes | None] = field(default_factory=dict)
    forgot_on: int = 0
    """Day of event time up to which old orders are forgotten."""

    @property
    def clock_ms(self) -> int:
        """Everything before this time is known: both inputs have passed it."""
        return min(self.affected_ms, self.issue_ms)

    def charge(self, case: Case, rules: OutreachRules) -> None:
        """Count a case that was sent against its customer's budget and, if it is a notice, for its issue's approval.

        Charges older than any budget window can reach are dropped; the two days more are for decisions about earlier
        times, which late events bring.
        """
        charges = self.charges.setdefault(case.customer, [])
        bisect.insort(charges, case.decided_ms)
        longest = max(budget.window_ms for budget in rules.budgets)
        del charges[: bisect.bisect_left(charges, case.decided_ms - longest - 2 * DAY_MS)]
        if case.stage == "notice":
            self.noticed.setdefault(case.root, set()).add(case.id)
