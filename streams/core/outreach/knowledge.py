"""What the sender knows beside its ledger, and what follows from it for a notice.

What customers allow, what operators ordered, what became of issues and of each customer's own failure: read from the
topics anew at every start, except for orders and withdrawals, which the ledger stores. Each question about a notice is
answered with :class:`Close` (never), :class:`Wait` (not now) or None (nothing in the way).
"""

from __future__ import annotations

from schemas.drills import is_drill
from schemas.issues import Issue
from streams.core.outreach.affected import AffectedCustomers
from streams.core.outreach.cases import OutreachRules
from streams.core.outreach.ledger_records import Close, Notice, Wait
from streams.core.outreach.orders import ExecutedOrder, OrderBook
from streams.core.outreach.policy import way_to
from streams.core.outreach.preferences import Preferences

RECHECK_MS = 1_000
"""A notice that waits for an operator, or for another notice, is looked at again after this time."""


class Knowledge:
    """Of one customer partition; the ledger feeds it. Not shared between threads."""

    def __init__(self, rules: OutreachRules) -> None:
        """Nothing is known."""
        self.rules = rules
        self.preferences = Preferences()
        self.orders = OrderBook()
        self.affected = AffectedCustomers(rules.retention_ms)
        self.stopped = False
        """True while an operator has stopped every send."""
        self.muted: set[str] = set()
        """Issues."""
        self.approved: set[str] = set()
        """Issues."""
        self.resolved: dict[str, int] = {}
        """Issue -> when it was resolved, ms; 0 if an operator resolved it."""
        self.onsets: dict[str, dict[str, int]] = {}
        """Root issue -> its issues that were shown -> when each was detected, ms."""

    def follow(self, issue: Issue) -> None:
        """Take in a revision of an issue."""
        if issue.state != "suspected":
            self.onsets.setdefault(issue.root_id, {})[issue.issue_id] = issue.detected_at_ms
        if issue.resolved_at_ms is not None:
            self.resolved[issue.issue_id] = issue.resolved_at_ms

    def apply(self, order: ExecutedOrder) -> None:
        """Let an order take effect."""
        name = order.issue
        match order.action:
            case "stop" | "resume":
                self.stopped = order.action == "stop"
            case "mute":
                self.muted.add(name)
            case "unmute":
                self.muted.discard(name)
            case "approve":
                self.approved.add(name)
            case "resolve":
                self.resolved[name] = 0

    def replay_orders(self) -> None:
        """Let all restored orders take effect, in the order in which they were executed."""
        for order in self.orders.in_turn():
            self.apply(order)

    def forbidden(self, notice: Notice, now_ms: int) -> Close | None:
        """What the customer, or the end of the issue, forbids for good."""
        if is_drill(notice.customer):
            return Close("suppressed", "drill")
        profile = self.preferences.profiles.get(notice.customer)
        if profile is None:
            return Close("suppressed", "no_profile")
        way = way_to(profile, (notice.channel,))
        if isinstance(way, str):
            return Close("suppressed", way)
        if (notice.channel, notice.address) not in profile.addresses:
            return Close("suppressed", "no_address")
        over = notice.stage == "notice" and notice.issue in self.resolved and self.resolved[notice.issue] <= now_ms
        return Close("suppressed", "resolved") if over else None

    def over(self, notice: Notice, known_ms: int | None) -> Close | None:
        """What became of the failure itself: of all that is known, or (simulated time) of what was so at ``known_ms``.

            known_ms None   everything that was read counts, whatever its time
            known_ms t      <-- put right, regressed by now -->|t|<-- happens later: does not count yet -->
        """
        issue, customer = notice.issue, notice.customer
        if self.affected.played(issue, customer) and not self.rules.replayed:
            return Close("suppressed", "replayed")
        if notice.stage == "notice":
            return Close("suppressed", "put_right") if self.affected.right(issue, customer, known_ms) else None
        if self._regressed(notice, known_ms):
            return Close("suppressed", "regressed")
        repaired = self.affected.all_right(notice.root, customer, known_ms)
        return None if repaired else Close("suppressed", "unrepaired")

    def _regressed(self, notice: Notice, known_ms: int | None) -> bool:
        """True while another onset of the same root goes on."""
        others = [each for each in self.onsets.get(notice.root, {}).items() if each[0] != notice.issue]
        if known_ms is None:
            return any(issue not in self.resolved for issue, _ in others)
        return any(since <= known_ms < self.resolved.get(issue, known_ms + 1) for issue, since in others)

    def delayed(self, notice: Notice, now_ms: int) -> Wait | Close | None:
        """What only delays: an update of the customer that was not read yet, the kill switch, a mute, the night."""
        if self.preferences.awaits(notice.customer):
            return Wait("astray", now_ms + RECHECK_MS)
        if self.stopped:
            return Wait("stopped", now_ms + RECHECK_MS)
        if notice.issue in self.muted or notice.root in self.muted:
            return Wait("muted", now_ms + RECHECK_MS)
        opens = self.rules.quiet.opens_at(now_ms, self.preferences.profiles[notice.customer].time_zone)
        if opens is None:
            return Close("suppressed", "time_zone")
        if opens > now_ms:
            return Wait("quiet_hours", opens) if opens < notice.deadline_ms else Close("expired", "quiet_hours")
        return None
