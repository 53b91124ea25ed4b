"""outreach: who is contacted, when, or why not. Policy only; the sender acts on it and checks again.

A simulation in event time. Each case (root issue, customer, stage) is decided when it becomes known and again whenever
an obstacle may have passed: the night ends, an operator approves, the budget frees. Decisions are taken in the order
(time, issue, customer) and only for times that both inputs, affected and issue, have passed, so neither budgets nor
approvals depend on interleaving, restarts or flushes. Orders count from their own time on; of a customer the newest
profile that has arrived counts. What was decided before the first one arrived, or about times for which it was not yet
known that a failure was put right or is back, is decided again from the start, unless it is final.

Every decision has a reason (``cases.REASONS``), refusals first. A decision to send charges the budget at once. The
hold-out is drawn after eligibility, before anything that only delays, so that both groups are drawn alike.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Any

import msgspec

from schemas.findings import Watermark
from streams.core.context import CustomerUpdate, Erasure, Sweep
from streams.core.outreach.cases import (
    Case,
    KnownIssue,
    Onset,
    OperatorOrder,
    OutreachRules,
    OutreachState,
    outreach_id,
    state_key,
)
from streams.core.outreach.consent import Profile, profile_after
from streams.core.outreach.decide import Verdict, judge
from streams.core.outreach.due_times import RELEASES, agenda, alive_from, decision_times
from streams.core.outreach.policy import DAY_MS
from streams.core.outreach.record import record_of
from streams.core.outreach.wording import speak
from streams.core.stage import Batch, Drained, Idle, Message

__all__ = ["OutreachRules", "OutreachStage", "OutreachState"]

HELD_AFTER_DRAW = {("hold", reason) for reason in ("stopped", "muted", "approval", "quiet_hours")}
"""Holds of somebody who was drawn already. Where they lack the time of it, a version that did not keep it decided: the
held out of that time lack it too, so those to be told must not get a later one."""


class OutreachStage:
    """The stage. State keys are JSON arrays: d case, p profile, i issue, k order, w marks."""

    acts_on_arrival = ("customer", "command")

    def __init__(self, rules: OutreachRules | None = None) -> None:
        """Keep the rules."""
        self.rules = rules or OutreachRules()

    def start(self, partition: int, partitions: int) -> OutreachState:
        """An empty partition out of ``partitions``, which share the number of unapproved notices."""
        return OutreachState(partition, partitions)

    def load(self, partition: int, partitions: int, items: Iterable[tuple[bytes, bytes]]) -> OutreachState:
        """Rebuild the state with its indexes and everything that is still to be decided."""
        state = self.start(partition, partitions)
        for key, value in items:
            self._restore(state, msgspec.json.decode(key), value)
        for case in state.cases.values():
            self._index(state, case)
        for case in state.cases.values():
            for at_ms, issue in agenda(state, self.rules, case):
                if at_ms >= state.clock_ms:
                    self._push(state, at_ms, issue, case)
        return state

    def clocks_ms(self, state: OutreachState) -> dict[str, int]:
        """The watermarks of both inputs; the slower one is the clock."""
        return {"affected": state.affected_ms, "issue": state.issue_ms}

    def _restore(self, state: OutreachState, key: list[Any], value: bytes) -> None:
        match key:
            case ["d", str(name)]:
                state.cases[name] = msgspec.json.decode(value, type=Case)
            case ["p", str(customer)]:
                state.profiles[customer] = msgspec.json.decode(value, type=Profile)
            case ["i", *_]:
                self._keep_issue(state, msgspec.json.decode(value, type=KnownIssue))
            case ["k", str(order)]:
                state.orders.by_id[order] = msgspec.json.decode(value, type=OperatorOrder)
            case ["w"]:
                state.stored_marks = msgspec.json.decode(value, type=tuple[int, int, int])
                state.affected_ms, state.issue_ms, state.emitted_ms = state.stored_marks

    def _index(self, state: OutreachState, case: Case) -> None:
        """Put a case into every index."""
        name = case.id
        state.by_customer.setdefault(case.customer, set()).add(name)
        for issue in case.onsets:
            state.by_issue.setdefault(issue, set()).add(name)
        heapq.heappush(state.ends, (case.deadline_ms + self.rules.retention_ms, name))
        if case.decision == "send":
            state.charge(case, self.rules)

    def _push(self, state: OutreachState, at_ms: int, issue: str, case: Case) -> None:
        heapq.heappush(state.queue, (at_ms, issue, case.customer, case.stage, case.id))

    def _wake(self, state: OutreachState, names: Iterable[str], at_ms: int) -> None:
        """Decide cases on hold again, at ``at_ms`` but not before the decision that put them on hold."""
        for name in names:
            case = state.cases[name]
            if case.decision == "hold":
                self._push(state, max(at_ms, case.decided_ms), case.issue, case)

    def step(self, state: OutreachState, batch: Batch | Idle) -> None:
        """Take in one batch, then decide everything whose time has come."""
        if isinstance(batch, Idle):
            self._advance(state, batch.event_time_ms, batch.topics)
        else:
            self._take(state, batch)
        self._decide_due(state)

    def _take(self, state: OutreachState, batch: Batch) -> None:
        takers = {"affected": self._affected, "issue": self._issue, "command": self._command}
        for index, record in enumerate(batch.records):
            if batch.topic == "customer":
                self._customer(state, record, batch.timestamps[index] if batch.timestamps else None)
            elif getattr(record, "kind", "") == "watermark":
                self._advance(state, record.through_ms, (batch.topic,))
            else:
                takers[batch.topic](state, record)

    def _advance(self, state: OutreachState, time_ms: int, topics: Iterable[str]) -> None:
        if "affected" in topics:
            state.affected_ms = max(state.affected_ms, time_ms)
        if "issue" in topics:
            state.issue_ms = max(state.issue_ms, time_ms)

    def _affected(self, state: OutreachState, record: Any) -> None:
        """A new customer, a new onset for a known one, or news about one onset (earlier evidence, a contact)."""
        name = outreach_id(record.root_id, record.customer_id, "notice")
        known_ms = record.known_at_ms
        case = state.cases.get(name) or Case(
            root=record.root_id, customer=record.customer_id, stage="notice", signal=record.signal,
            issue=record.issue_id, known_ms=known_ms, deadline_ms=known_ms + self.rules.notice_ttl_ms, onsets={},
        )  # fmt: skip
        old = case.onsets.get(record.issue_id)
        onset = (old or Onset(known_ms)).revised(record)
        if old == onset:
            return
        case.onsets[record.issue_id] = onset
        if name not in state.cases:
            state.cases[name] = case
            self._index(state, case)
        state.by_issue.setdefault(record.issue_id, set()).add(name)
        self._keep(state, case)
        since_ms = onset.changed_from(old) if old else known_ms
        if old is None or case.decision is None:
            self._begin(state, case, record.issue_id)
        elif old.origin != onset.origin:
            self._reopen(state, (name,))
        else:
            self._revise(state, (name,), since_ms)
            if onset.contacted_ms not in (None, old.contacted_ms) and case.issue == record.issue_id:
                self._wake(state, [name], onset.contacted_ms)
        after = outreach_id(record.root_id, record.customer_id, "all_clear")
        self._revise(state, (after,) if after in state.cases else (), since_ms)

    def _begin(self, state: OutreachState, case: Case, issue: str) -> int:
        """Line an onset up to be decided from each of its begins; returns how many there are."""
        times = decision_times(state, self.rules, case, issue)
        for at_ms in times:
            self._push(state, at_ms, issue, case)
        return len(times)

    def _issue(self, state: OutreachState, record: Any) -> None:
        old = state.issues.get(record.issue_id)
        if record.state == "suspected" or (old and record.updated_at_ms < old.updated_ms):
            return
        known = KnownIssue(
            record.issue_id, record.root_id, record.signal, dict(record.cause.attributes), record.detected_at_ms,
            record.updated_at_ms, record.resolved_at_ms, record.shown_at_ms, record.end_reason, record.cause.known,
        )  # fmt: skip
        self._keep_issue(state, known)
        state.changed[state_key("i", known.issue)] = msgspec.json.encode(known)
        if old is None or old.shown_ms != known.shown_ms:
            for name in sorted(state.by_issue.get(known.issue, ())):
                self._begin(state, state.cases[name], known.issue)
        if known.resolved_ms is not None:
            if old is None or old.resolved_ms != known.resolved_ms:
                self._wake(state, sorted(state.by_issue.get(known.issue, ())), known.resolved_ms)
            for name in sorted(state.noticed.get(known.root, ())):
                self._all_clear(state, state.cases[name], known)

    def _keep_issue(self, state: OutreachState, known: KnownIssue) -> None:
        state.issues[known.issue] = known
        state.onsets.setdefault(known.root, set()).add(known.issue)
        if known.resolved_ms is not None:
            heapq.heappush(state.ended_issues, (known.resolved_ms + self.rules.retention_ms, known.issue))

    def _customer(self, state: OutreachState, update: CustomerUpdate | Sweep, appended_ms: int | None) -> None:
        """A profile, or that the customer was erased, or an update that cannot be read."""
        customer = update.customer_id
        if isinstance(update, Sweep):
            if state.profiles.pop(customer, None) is not None:
                state.changed[state_key("p", customer)] = None
            return
        old = state.profiles.get(customer)
        profile = profile_after(old, update, appended_ms)
        if profile == old:
            return
        state.profiles[customer] = profile
        state.changed[state_key("p", customer)] = msgspec.json.encode(profile)
        names = sorted(state.by_customer.get(customer, ()))
        if isinstance(update, Erasure):
            self._erase(state, names)
        elif old is None or not (old.updated_at_ms or profile.unreadable):
            self._reopen(state, names)
        else:
            self._wake(state, names, profile.updated_at_ms)

    def _erase(self, state: OutreachState, names: Iterable[str]) -> None:
        """Take out of every case what came from the profile, and decide anew what was on hold: nobody is there."""
        for case in (state.cases[name] for name in names):
            case.address, case.language, case.time_zone = "", "en", ""
            self._keep(state, case)
        self._wake(state, names, 0)

    def _revise(self, state: OutreachState, names: Iterable[str], since_ms: int | None) -> None:
        """Follow a change of when a failure was put right, from ``since_ms`` on (None: nothing changed).

        What was decided about earlier times stands: decided again now, it would meet what was sent after those times.
        """
        if since_ms is None:
            return
        if since_ms < state.clock_ms:
            self._reopen(state, names)
            return
        for case in (state.cases[name] for name in names):
            for at_ms, issue in agenda(state, self.rules, case):
                if at_ms >= state.clock_ms:
                    self._push(state, at_ms, issue, case)

    def _reopen(self, state: OutreachState, names: Iterable[str]) -> None:
        """Decide from the start what is not final, as if what is known of the customer by now had come first.

        Otherwise the order in which two topics are read would decide. It is safe: the sender checks the real time.
        """
        for case in (state.cases[name] for name in names if not state.cases[name].final):
            if sum(self._begin(state, case, issue) for issue in case.onsets):
                case.decision = None
                self._keep(state, case)
            else:
                self._wake(state, (case.id,), case.decided_ms)

    def _command(self, state: OutreachState, record: Any) -> None:
        if record.command_id in state.orders.by_id or record.action == "resume_channel":
            return
        order = OperatorOrder(record.issued_at_ms, record.command_id, record.action, record.issue_id)
        state.orders.by_id[order.id] = order
        state.changed[state_key("k", order.id)] = msgspec.json.encode(order)
        if order.action in RELEASES:
            self._wake(state, sorted(state.cases), order.issued_ms)

    def _keep(self, state: OutreachState, case: Case) -> None:
        state.changed[state_key("d", case.id)] = msgspec.json.encode(case)

    def _decide_due(self, state: OutreachState) -> None:
        """Decide, in order of time, everything before the clock."""
        clock = state.clock_ms
        while state.queue and state.queue[0][0] < clock:
            at_ms, issue, _, _, name = heapq.heappop(state.queue)
            case = state.cases.get(name)
            if case is None or case.final:
                continue
            fresh = case.decision is None or at_ms > case.known_ms
            if fresh and at_ms in decision_times(state, self.rules, case, issue):
                self._adopt(state, case, issue, at_ms)
            elif case.decision != "hold" or issue != case.issue:
                continue
            elif at_ms != case.decided_ms and (at_ms, issue) not in agenda(state, self.rules, case):
                continue  # queued for an earlier hold, of which nothing is known after a restart
            self._settle(state, case, at_ms, judge(state, self.rules, case, at_ms))
        self._evict(state)

    def _adopt(self, state: OutreachState, case: Case, issue: str, at_ms: int) -> None:
        """Decide about this onset from ``at_ms`` on."""
        ttl = self.rules.notice_ttl_ms if case.stage == "notice" else self.rules.all_clear_ttl_ms
        case.issue, case.known_ms, case.deadline_ms = issue, at_ms, alive_from(state, case, issue, at_ms) + ttl
        case.decision = None

    def _settle(self, state: OutreachState, case: Case, at_ms: int, verdict: Verdict) -> None:
        """Write the decision into the case; a hold that goes on for the same reason is no new decision."""
        if (case.decision, case.reason) == (verdict.decision, verdict.reason) and case.next_ms == verdict.next_ms:
            return
        profile = state.profiles.get(case.customer)
        if verdict.drawn and case.drawn_ms is None and (case.decision, case.reason) not in HELD_AFTER_DRAW:
            case.drawn_ms = at_ms
        case.decision, case.reason, case.decided_ms, case.next_ms = (
            verdict.decision, verdict.reason, at_ms, verdict.next_ms,
        )  # fmt: skip
        case.not_before_ms = verdict.next_ms or at_ms
        if profile:
            case.language, case.time_zone = speak(profile.language), profile.time_zone
        if verdict.way:
            case.channel, case.address = verdict.way.channel, verdict.way.address
        self._keep(state, case)
        state.dirty.add(case.id)
        if case.decision == "hold":
            for when, issue in agenda(state, self.rules, case):
                if when > at_ms:
                    self._push(state, when, issue, case)
        elif case.decision == "send":
            state.charge(case, self.rules)
            for name in sorted(state.onsets.get(case.root, ())):
                self._all_clear(state, case, state.issues[name])

    def _all_clear(self, state: OutreachState, notice: Case, known: KnownIssue) -> None:
        """Open the all-clear of a notice that was sent, once an onset of its issue is mended after it.

        Called when the notice is sent and when the end becomes known, so the order of the two does not matter. It is
        decided once the customer's own failure is put right too.
        """
        sent = notice.stage == "notice" and notice.decision == "send"
        if not sent or known.resolved_ms is None or not known.mended or known.resolved_ms < notice.decided_ms:
            return
        name = outreach_id(notice.root, notice.customer, "all_clear")
        case = state.cases.get(name) or Case(
            root=notice.root, customer=notice.customer, stage="all_clear", signal=notice.signal, issue=known.issue,
            known_ms=known.resolved_ms, deadline_ms=known.resolved_ms + self.rules.all_clear_ttl_ms, onsets={},
        )  # fmt: skip
        if case.final or known.issue in case.onsets:
            return
        case.onsets[known.issue] = Onset(known.resolved_ms)
        if name not in state.cases:
            state.cases[name] = case
            self._index(state, case)
        self._keep(state, case)
        self._begin(state, case, known.issue)

    def _evict(self, state: OutreachState) -> None:
        """Forget decisions and issues whose retention has passed; everything about them is long decided.

        Orders are forgotten after twice the time, once a day: long after their topic has, so that none comes again.
        """
        day = (state.clock_ms - 2 * self.rules.retention_ms) // DAY_MS
        if day > state.forgot_on:
            state.forgot_on = day
            for order in state.orders.forget(day * DAY_MS):
                state.changed[state_key("k", order)] = None
        while state.ends and state.ends[0][0] < state.clock_ms:
            _, name = heapq.heappop(state.ends)
            case = state.cases.get(name)
            if case is None:
                continue
            if case.deadline_ms + self.rules.retention_ms >= state.clock_ms:
                heapq.heappush(state.ends, (case.deadline_ms + self.rules.retention_ms, name))
                continue
            self._forget(state, name)
        while state.ended_issues and state.ended_issues[0][0] < state.clock_ms:
            _, issue = heapq.heappop(state.ended_issues)
            known = state.issues.pop(issue, None)
            if known:
                state.onsets[known.root].discard(issue)
                state.changed[state_key("i", issue)] = None

    def _forget(self, state: OutreachState, name: str) -> None:
        case = state.cases.pop(name)
        state.changed[state_key("d", name)] = None
        state.dirty.discard(name)
        indexes = [(state.by_customer, case.customer), (state.noticed, case.root)]
        indexes += [(state.by_issue, issue) for issue in case.onsets]
        for index, key in indexes:
            index.get(key, set()).discard(name)
            if not index.get(key):
                index.pop(key, None)

    def drain(self, state: OutreachState) -> Drained:
        """New decisions by (time, issue, customer, stage), then the watermark: the sender's simulated clock."""
        cases = sorted(
            (case for name in state.dirty if (case := state.cases[name]).decision is not None),
            key=lambda case: (case.decided_ms, case.issue, case.customer, case.stage),
        )
        state.dirty.clear()
        records = [record_of(case, state.issues.get(case.issue), self.rules) for case in cases]
        messages = [Message("outreach", record.customer_id, record, state.partition) for record in records]
        messages += self._watermark(state)
        changes, state.changed = sorted(state.changed.items()), {}
        return Drained(changes, messages)

    def _watermark(self, state: OutreachState) -> list[Message]:
        advanced = state.clock_ms > state.emitted_ms
        state.emitted_ms = max(state.clock_ms, state.emitted_ms)
        marks = (state.affected_ms, state.issue_ms, state.emitted_ms)
        if marks != state.stored_marks:
            state.stored_marks = marks
            state.changed[state_key("w")] = msgspec.json.encode(marks)
        if not advanced:
            return []
        record = Watermark(partition=state.partition, through_ms=state.emitted_ms)
        return [Message("outreach", "watermark", record, state.partition)]
