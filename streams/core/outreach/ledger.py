"""The send-once ledger of one customer partition: what may be claimed, and what became of it.

The last check before a message leaves: every rule of ``core.outreach.stage`` that protects a customer is checked again,
with the newest profile and orders and the sender's own clock, against what was really claimed. Pure: the sender passes
the time in, writes what :meth:`Ledger.drain` returns in one transaction, and only then sends.

One send key passes::

    waiting --> claimed --> delivered | failed | unknown | suppressed | expired
       |  ^        |
       |  +--------+ surely not accepted: the contact is given back to the budget
       +--> suppressed | expired

A claim goes back to "waiting" only if the notice was surely not accepted, and every rule is checked again before it is
claimed anew. A claim without an outcome (the process died, or nobody knows what became of the attempt) stays claimed
and is sent again under the same id.
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Collection, Iterable
from typing import Any, get_args

import msgspec

from schemas.events import Channel, Command
from schemas.findings import Affected, ChannelCondition, ChannelState, Delivery, DeliveryOutcome, Outreach, Watermark
from schemas.issues import Issue
from streams.core.outreach.cases import OutreachRules, outreach_id
from streams.core.outreach.knowledge import RECHECK_MS, Knowledge
from streams.core.outreach.ledger_records import ChannelMark, Close, Entry, Notice, Wait, entry_of, notice_of
from streams.core.outreach.orders import ExecutedOrder
from streams.core.outreach.policy import fits, fits_from
from streams.core.outreach.preferences import Astray, Home, ReadUpdate, StoredProfile
from streams.core.stage import Drained, Message

MAX_CHANNEL_ORDERS = 1_000
"""Orders about a channel that are remembered; far more than an operator gives while they are on the topic."""
SPENT: tuple[DeliveryOutcome, ...] = ("claimed", "delivered", "unknown")
"""Outcomes that count as a contact: the customer was reached, or may have been."""


class Ledger:
    """The state of one partition. Not shared between threads or tasks that await in between its calls."""

    def __init__(self, rules: OutreachRules, partition: int, partitions: int) -> None:
        """Empty; ``rules`` are those of outreach, ``partitions`` share the number of unapproved notices."""
        self.rules, self.partition, self.partitions = rules, partition, partitions
        self.next_offset = 0
        self.clock_ms = 0
        self.knowledge = Knowledge(rules)
        self.pending: dict[str, Notice] = {}
        self.claimed: dict[str, Notice] = {}
        self.entries: dict[str, Entry] = {}
        self.channels: dict[str, ChannelMark] = {}
        self.resumed: list[str] = []
        """Orders to resume a channel that were executed since the sender last took them from here."""
        self._queue: list[tuple[int, int, str]] = []
        self._unread: dict[str, str] = {}
        """Pending notice -> its customer, of whom an update lies on a wrong partition."""
        self._ends: list[tuple[int, str]] = []
        self._charges: dict[str, list[int]] = {}
        self._noticed: dict[str, set[str]] = {}
        self._changes: dict[bytes, bytes | None] = {}
        self._deliveries: list[Delivery] = []
        self._emitted_ms = 0
        self._states: list[ChannelState] = []

    def load(self, items: Iterable[tuple[bytes, bytes]], next_offset: int = 0) -> None:
        """Rebuild from what earlier drains made durable; ``next_offset`` is the first decision that is not in it."""
        self.next_offset = next_offset
        notices: dict[str, Notice] = {}
        stopped = False
        for key, value in items:
            match msgspec.json.decode(key):
                case ["n", str(name)]:
                    notices[name] = msgspec.json.decode(value, type=Notice)
                case ["s", str(name)]:
                    self._enter(name, msgspec.json.decode(value, type=Entry))
                case ["c", str(name)]:
                    self.channels[name] = msgspec.json.decode(value, type=ChannelMark)
                case ["o", str(customer)]:
                    self.knowledge.preferences.restore(customer, msgspec.json.decode(value, type=StoredProfile))
                case ["k", str(name)]:
                    self.knowledge.orders.restore(name, msgspec.json.decode(value, type=ExecutedOrder))
                case ["w"]:
                    self.clock_ms, stopped = msgspec.json.decode(value, type=tuple[int, bool])
        self.knowledge.replay_orders()
        self.knowledge.stopped = stopped
        for name, notice in notices.items():
            if name in self.entries:
                self.claimed[name] = notice
            else:
                self._enqueue(notice)

    def _enter(self, name: str, entry: Entry) -> None:
        self.entries[name] = entry
        heapq.heappush(self._ends, (entry.claimed_ms + self.rules.retention_ms, name))
        if entry.outcome in SPENT:
            bisect.insort(self._charges.setdefault(entry.customer, []), entry.claimed_ms)
            if entry.stage == "notice":
                self._noticed.setdefault(entry.root, set()).add(name)

    def _enqueue(self, notice: Notice) -> None:
        self.pending[notice.id] = notice
        heapq.heappush(self._queue, (notice.not_before_ms, notice.decided_ms, notice.id))

    def _mark(self) -> None:
        self._changes[_key("w")] = msgspec.json.encode((self.clock_ms, self.knowledge.stopped))

    def learn(self, record: ReadUpdate | Astray | Home | Command | Issue | Affected | Watermark) -> None:
        """Take in an update of a customer, an order or an issue. Orders are in force from their arrival on."""
        if isinstance(record, ReadUpdate):
            self._take_update(record)
        elif isinstance(record, Astray):
            self.knowledge.preferences.await_home(record)
        elif isinstance(record, Home):
            self._enqueue_read(self.knowledge.preferences.came_home(record))
        elif isinstance(record, Issue):
            self.knowledge.follow(record)
        elif isinstance(record, Command):
            self._execute(record)
        elif record.kind == "affected":  # issue and affected carry watermarks too
            self.knowledge.affected.learn(record)

    def _take_update(self, read: ReadUpdate) -> None:
        customer = read.update.customer_id
        kept = self.knowledge.preferences.take(read)
        if kept is None:
            return
        self._changes[_key("o", customer)] = msgspec.json.encode(kept)
        if kept.erased:  # what is pending for the morning holds an address: check it now
            for notice in self.pending.values():
                if notice.customer == customer:
                    heapq.heappush(self._queue, (0, notice.decided_ms, notice.id))

    def _enqueue_read(self, customers: Collection[str]) -> None:
        """Check again what was pending for these customers only because an update had not been read yet."""
        for name in [name for name in self._unread if self._unread[name] in customers]:
            del self._unread[name]
            if name in self.pending:
                self._enqueue(self.pending[name])

    def _execute(self, order: Command) -> None:
        """Execute an order once: a copy of it changes nothing, also after a restart."""
        kept = self.knowledge.orders.add(order)
        if kept is not None:
            self._changes[_key("k", order.command_id)] = msgspec.json.encode(kept)
            self.knowledge.apply(kept)
            self._mark()
        if order.action == "resume_channel":  # the mark of a channel remembers by itself which orders it has executed
            for channel in [order.channel] if order.channel else get_args(Channel):
                self._resume_channel(channel, order.command_id)

    def _resume_channel(self, channel: Channel, order: str) -> None:
        """Execute an order once: it is read again at every start, also after a later pause."""
        mark = self.channels.setdefault(channel, ChannelMark())
        if order not in mark.heard:
            mark.heard = (*mark.heard[-MAX_CHANNEL_ORDERS:], order)
            mark.state = "open" if mark.state == "paused" else mark.state
            self.resumed.append(order)
            self._changes[_key("c", channel)] = msgspec.json.encode(mark)

    def note_channel(self, channel: Channel, state: ChannelCondition, reason: str, now_ms: int) -> None:
        """Store how a channel stands, and report it when that changes; not before the clock is known."""
        mark = self.channels.setdefault(channel, ChannelMark())
        if now_ms <= 0 or (mark.since_ms and (mark.state, mark.reason) == (state, reason)):
            return
        since_ms = mark.since_ms if mark.since_ms and mark.state == state else now_ms
        self.channels[channel] = ChannelMark(state, reason, since_ms, mark.heard)
        self._changes[_key("c", channel)] = msgspec.json.encode(self.channels[channel])
        self._states.append(ChannelState(
            channel=channel, partition=self.partition, state=state, reason=reason, since_ms=since_ms,
        ))  # fmt: skip

    def take(self, offset: int, record: Any) -> None:
        """Take in one record of the outreach topic. A send key that is known already changes nothing."""
        if offset < self.next_offset:
            return
        self.next_offset = offset + 1
        if not isinstance(record, Outreach):
            self.clock_ms = max(self.clock_ms, record.through_ms)
            self._mark()
        elif record.decision == "send" and record.channel is not None and not self._knows(record.outreach_id):
            notice = notice_of(record, record.channel)
            self._changes[_key("n", notice.id)] = msgspec.json.encode(notice)
            self._enqueue(notice)

    def _knows(self, name: str) -> bool:
        return name in self.entries or name in self.pending

    def plan(
        self, now_ms: int, limit: int, simulated: bool = False, avoid: Collection[str] = ()
    ) -> list[Notice]:
        """Claim at most ``limit`` notices that may be sent now and close those that never may. Drain, then send.

        Notices of the root issues in ``avoid`` are left where they are.

        ``simulated``: ``now_ms`` is how far a stream has come that runs faster than the clock; every notice is then
        judged at the moment it was due, in order, as a sender would have that kept up with the stream.
        """
        claims: list[Notice] = []
        later: list[tuple[int, int, str]] = []
        while self._queue and self._queue[0][0] <= now_ms:
            due_ms, decided_ms, name = heapq.heappop(self._queue)
            notice = self.pending.get(name)
            if notice is None:  # it was queued twice
                continue
            at_ms = max(due_ms, decided_ms) if simulated else now_ms
            verdict = self._check(notice, at_ms, at_ms if simulated else None)
            if isinstance(verdict, Wait):
                if verdict.reason == "astray":
                    self._unread[name] = notice.customer
                again = verdict.until_ms if verdict.until_ms > at_ms + RECHECK_MS else max(verdict.until_ms, now_ms + 1)
                later.append((again, decided_ms, name))
            elif isinstance(verdict, Close):
                self._settle(notice, entry_of(notice, verdict.outcome, at_ms, verdict.reason, at_ms))
            elif notice.root in avoid:
                later.append((due_ms, decided_ms, name))
            elif len(claims) >= limit:
                later.append((due_ms, decided_ms, name))
                break
            else:
                self._settle(notice, entry_of(notice, "claimed", at_ms))
                claims.append(notice)
        for item in later:
            heapq.heappush(self._queue, item)
        self._forget(now_ms)
        return claims

    def _settle(self, notice: Notice, entry: Entry) -> None:
        """Move a pending notice on: to claimed, or to its end."""
        del self.pending[notice.id]
        self._unread.pop(notice.id, None)
        self._enter(notice.id, entry)
        if entry.outcome == "claimed":
            self.claimed[notice.id] = notice
        else:
            self._changes[_key("n", notice.id)] = None
        self._write(notice.id, entry)

    def _write(self, name: str, entry: Entry) -> None:
        self._changes[_key("s", name)] = msgspec.json.encode(entry)
        self._report(name, entry)

    def _report(self, name: str, entry: Entry) -> None:
        self._deliveries.append(Delivery(
            outreach_id=name, issue_id=entry.issue, customer_id=entry.customer, stage=entry.stage,
            channel=entry.channel, outcome=entry.outcome, reason=entry.reason, attempts=entry.attempts,
            claimed_at_ms=entry.claimed_ms, done_at_ms=entry.done_ms,
        ))  # fmt: skip

    def _check(self, notice: Notice, now_ms: int, known_ms: int | None) -> Wait | Close | None:
        """What stands against claiming this pending notice now; None if nothing does."""
        if now_ms >= notice.deadline_ms:
            return Close("expired", "deadline")
        known = self.knowledge
        blocked = known.forbidden(notice, now_ms) or self._follows(notice, now_ms) or known.over(notice, known_ms)
        blocked = blocked or known.delayed(notice, now_ms)
        if blocked:
            return blocked
        charges = self._charges.get(notice.customer, [])
        if not fits(charges, now_ms, self.rules.budgets):
            free = fits_from(charges, now_ms, self.rules.budgets)
            return Wait("budget", free) if free < notice.deadline_ms else Close("suppressed", "budget")
        many = len(self._noticed.get(notice.root, ())) >= self.rules.unapproved(self.partitions)
        if notice.stage == "notice" and many and notice.issue not in self.knowledge.approved:
            return Wait("approval", now_ms + RECHECK_MS)
        return None

    def _follows(self, notice: Notice, now_ms: int) -> Wait | Close | None:
        """An all-clear goes to exactly those whose notice went out."""
        if notice.stage == "notice":
            return None
        name = outreach_id(notice.root, notice.customer, "notice")
        entry = self.entries.get(name)
        if name in self.pending or (entry and entry.outcome == "claimed"):
            return Wait("notice", now_ms + RECHECK_MS)
        return None if entry and entry.outcome in SPENT else Close("suppressed", "no_notice")

    def veto(self, name: str, now_ms: int, simulated: bool = False) -> Wait | Close | None:
        """The check right before the bytes of a claimed notice leave, with everything learnt since the claim.

        ``simulated``: judged at the moment of the claim, see :meth:`plan`.
        """
        notice = self.claimed[name]
        now_ms = self.entries[name].claimed_ms if simulated else now_ms
        if now_ms >= notice.deadline_ms:
            return Close("expired", "deadline")
        over = self.knowledge.over(notice, now_ms if simulated else None)
        return self.knowledge.forbidden(notice, now_ms) or over or self.knowledge.delayed(notice, now_ms)

    def release(self, name: str, reason: str) -> None:
        """Take back a claim of which surely nothing was accepted. It is pending, but not queued until :meth:`wake`."""
        entry, notice = self.entries.pop(name), self.claimed.pop(name)
        self._give_back(name, entry)
        notice = msgspec.structs.replace(notice, attempts=entry.attempts)
        self.pending[name] = notice
        self._changes[_key("n", name)] = msgspec.json.encode(notice)
        self._changes[_key("s", name)] = None
        self._report(name, msgspec.structs.replace(entry, outcome="waiting", reason=reason))

    def wake(self, name: str) -> None:
        """Queue a released notice again, by the time for which it was due."""
        if name in self.pending:
            self._enqueue(self.pending[name])

    def _give_back(self, name: str, entry: Entry) -> None:
        """The contact of an entry counts no more."""
        self._charges[entry.customer].remove(entry.claimed_ms)
        self._noticed.get(entry.root, set()).discard(name)

    def attempted(self, name: str, attempts: int) -> None:
        """Remember how often a claimed notice was offered to its channel."""
        self.entries[name].attempts = attempts

    def finish(self, name: str, outcome: DeliveryOutcome, reason: str, now_ms: int) -> None:
        """Record the end of a claimed notice. One that surely was not sent gives its contact back to the budget."""
        entry = self.entries[name]
        entry.outcome, entry.reason, entry.done_ms = outcome, reason, now_ms
        del self.claimed[name]
        if outcome not in SPENT:
            self._give_back(name, entry)
        self._changes[_key("n", name)] = None
        self._write(name, entry)

    def _forget(self, now_ms: int) -> None:
        """Drop entries whose retention has passed (the decisions themselves are gone from their topic by then)."""
        self.knowledge.affected.forget(now_ms)
        for name in self.knowledge.orders.forget(now_ms - 2 * self.rules.retention_ms):
            self._changes[_key("k", name)] = None
        while self._ends and self._ends[0][0] < now_ms:
            _, name = heapq.heappop(self._ends)
            entry = self.entries.get(name)
            if entry is None or entry.outcome == "claimed":
                continue
            del self.entries[name]
            self._changes[_key("s", name)] = None
            self._noticed.get(entry.root, set()).discard(name)
            if entry.outcome in SPENT:
                self._charges[entry.customer].remove(entry.claimed_ms)

    def drain(self) -> Drained:
        """What must become durable together: the ledger's changes and the deliveries they stand for."""
        changes = sorted(self._changes.items())
        messages = [Message("delivery", record.customer_id, record, self.partition) for record in self._deliveries]
        if self.clock_ms > self._emitted_ms:
            self._emitted_ms = self.clock_ms
            mark = Watermark(partition=self.partition, through_ms=self.clock_ms)
            messages.append(Message("delivery", "watermark", mark, self.partition))
        messages += [Message("channel", state.channel, state, self.partition) for state in self._states]
        self._changes, self._deliveries, self._states = {}, [], []
        return Drained(changes, messages)


def _key(*parts: str) -> bytes:
    return msgspec.json.encode(parts)
