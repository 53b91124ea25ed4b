"""The sender of one partition: read, check, claim, send, record. The order is the promise.

1. ``open``: every earlier owner is fenced, the ledger is read to its end.
2. Profiles, orders and issues are read to their ends.
3. What may be sent is claimed; the claim is committed.
4. They are read to their ends again: whatever was appended before the claim was committed is known now.
5. Right before every attempt the claim is checked with everything known; then the bytes leave. Nothing leaves if the
   last proof that this process owns the partition is old: a commit proves it, for a newer owner would have fenced it.
6. The outcome is recorded. What was surely not accepted is no claim any more: it is pending again, counts against
   no budget, and goes back to 3 when its retry is due. What may have been accepted stays claimed until then.

While the channel's breaker is open, nothing is claimed but one probe at a time (:mod:`streams.core.outreach.breaker`).

A process that dies before 3 has sent nothing. One that dies after it leaves a claim without an outcome: its successor
checks it again and sends it again under the same id, which the receiver has seen or has not. A process that is frozen
before 5 and wakes up late has no fresh proof, asks for one and is fenced. One that is frozen after 5 sends under that
id too; only the receiver's memory covers this last window.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from schemas.findings import ChannelCondition, DeliveryOutcome
from streams.core.outreach.breaker import Breaker
from streams.core.outreach.ledger import Ledger
from streams.core.outreach.ledger_records import Close, Notice, Wait
from streams.runtime.status import Status
from streams.runtime.tally import Standing, StateSize, TaskTally
from streams.sender.metrics import STATES, SenderMetrics, Statuses
from streams.sender.ports import Clock, Log, Pace
from streams.sender.vitals import SenderRoom
from streams.sinks.channels import ChannelPort, RenderedNotice, Sent
from streams.sinks.messages import Library, TemplateRefused

log = logging.getLogger("cx.sender")

PAUSED = "the channel is gone (410): nothing is sent until `cxwatch channels resume`"
OURS = ("unproven", "stale")
"""Reasons to wait that end by themselves with the next round."""


@dataclass(slots=True)
class Outside:
    """Everything a partition's sender talks to. Channel and breaker are shared by the partitions of a process."""

    log: Log
    channel: ChannelPort
    clock: Clock
    library: Library
    pace: Pace = field(default_factory=Pace)
    gate: Breaker = field(default_factory=Breaker)
    metrics: SenderMetrics = field(default_factory=SenderMetrics)
    statuses: Statuses = field(default_factory=Statuses)
    room: SenderRoom = field(default_factory=lambda: SenderRoom(Status("send")))


@dataclass(frozen=True, slots=True)
class Offer:
    """One attempt. ``maybe``: the receiver may know the notice already; ``probe``: it is the breaker's only one."""

    notice: Notice
    maybe: bool
    probe: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """What a delivery came to: an outcome, or none if it is to be offered again after ``wait_s``.

    ``maybe``: the receiver may have accepted, so the claim stands meanwhile.
    """

    name: str
    outcome: DeliveryOutcome | None
    reason: str
    wait_s: float = 0.0
    maybe: bool = False


class PartitionSender:
    """Owns one partition's ledger; all its tasks run in one event loop."""

    def __init__(self, ledger: Ledger, outside: Outside) -> None:
        """Nothing is opened yet."""
        self.ledger = ledger
        self.outcomes: Counter[str] = Counter()
        self._tally = TaskTally(0)
        self._out = outside
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._offers: dict[str, Offer] = {}
        self._posting: set[str] = set()
        self._learnt_at = float("-inf")
        self._owned_at = float("-inf")
        self._proof_wanted = False
        self._ended: list[Ended] = []
        self._unconfirmed: dict[str, float] = {}
        """Claims whose last attempt may have been accepted -> when to ask again, on the pace's clock."""
        self._backing_off: dict[str, float] = {}
        """Released notices -> when to put them into the line again."""

    async def open(self) -> None:
        """Steps 1 and 2, then take up the claims that the last owner left open."""
        asked_at = self._out.pace.monotonic()
        opened = await self._out.log.open()
        self._owned_at, items = asked_at, list(opened.items)
        self._tally = TaskTally(time.time_ns() // 1_000_000, {"accepted": 0}, StateSize(items))
        self.ledger.load(items, opened.next_offset)
        await self._learn()
        held_back = self.ledger.knowledge.preferences.counts()
        log.info("partition %d: customers held back: %s", self.ledger.partition, held_back)
        mark = self.ledger.channels.get(self._out.channel.name)
        if mark is not None and mark.state == "paused":
            self._out.gate.restore(mark.heard)
            log.error("partition %d: %s", self.ledger.partition, PAUSED)
        await self._commit()
        self._unconfirmed = dict.fromkeys(self.ledger.claimed, float("-inf"))

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set; then finish what is on the wire, record it and let go."""
        status = self._out.statuses.enter(self.ledger.partition)
        try:
            await self.open()
            status.enter("running")
            age = self._out.metrics.news_age.labels(str(self.ledger.partition))
            age.set_function(lambda: self._out.pace.monotonic() - self._learnt_at)
            while not stopping.is_set():
                await self.turn()
                status.moved()
                self._measure()
            await self.finish()
        finally:
            self._out.statuses.leave(self.ledger.partition)
            self._out.metrics.forget(self.ledger.partition)
            self._out.room.forget(self.ledger.partition)
            for task in self._tasks.values():
                task.cancel()
            await self._out.log.close()

    async def turn(self) -> None:
        """One round: steps 2 to 4 for what has come, step 6 for what has ended."""
        for offset, record in await self._out.log.decisions(self._out.pace.poll_s):
            self.ledger.take(offset, record)
            self._tally.records["accepted"] += 1
        await self._learn()
        self._record()
        for name in _due(self._backing_off, self._out.pace.monotonic()):
            del self._backing_off[name]
            self.ledger.wake(name)
        offers = self._choose()
        self._note()
        await self._commit()
        if offers:
            await self._learn()
        for offer in offers:
            name = offer.notice.id
            self._offers[name], self._tasks[name] = offer, asyncio.create_task(self._deliver(offer))

    def _measure(self) -> None:
        """Set the gauges of this partition."""
        metrics, partition, now_s = self._out.metrics, str(self.ledger.partition), self._out.pace.monotonic()
        metrics.pending.labels(partition).set(len(self.ledger.pending))
        metrics.claimed.labels(partition).set(len(self.ledger.claimed))
        for reason, customers in self.ledger.knowledge.preferences.counts().items():
            metrics.held_back.labels(partition, reason).set(customers)
        metrics.breaker.set(STATES[self._out.gate.state(now_s)])
        self._tally.pending, self._tally.claimed = len(self.ledger.pending), len(self.ledger.claimed)
        position, end = self.ledger.next_offset, self._out.log.end
        standing = Standing("outreach", self.ledger.partition, position, max(position, end or 0))
        self._out.room.note(standing, self._tally)

    def _note(self) -> None:
        """Store and report how the channel stands; the breaker is shared, so every partition of the process agrees."""
        gate = self._out.gate
        state = gate.state(self._out.pace.monotonic())
        reported: ChannelCondition = "open" if state == "half_open" else state
        reason = "" if reported == "closed" else gate.reason
        self.ledger.note_channel(self._out.channel.name, reported, reason, self._out.clock.now_ms(self.ledger))

    def _choose(self) -> list[Offer]:
        """What to offer now. Probes go round the issues: first those of which none failed lately."""
        gate, now_s = self._out.gate, self._out.pace.monotonic()
        probe = gate.state(now_s) != "closed"
        capacity = gate.allow(self._out.pace.in_flight - len(self._tasks), now_s)
        chosen = self._pick(capacity, gate.tried if probe else ())
        if probe and capacity and not chosen:
            gate.tried.clear()
            chosen = self._pick(capacity, ())
        if probe and capacity and not chosen:
            gate.unused()
        return [Offer(notice, maybe, probe) for notice, maybe in chosen]

    def _pick(self, capacity: int, avoid: Collection[str]) -> list[tuple[Notice, bool]]:
        """Unconfirmed claims whose time has come, then new claims; none of the root issues in ``avoid``."""
        claimed = self.ledger.claimed
        due = [name for name in _due(self._unconfirmed, self._out.pace.monotonic()) if claimed[name].root not in avoid]
        chosen = [(claimed[name], True) for name in due[: max(capacity, 0)]]
        for notice, _ in chosen:
            del self._unconfirmed[notice.id]
        clock, left = self._out.clock, max(capacity - len(chosen), 0)
        fresh = self.ledger.plan(clock.now_ms(self.ledger), left, clock.simulated, avoid)
        return chosen + [(notice, False) for notice in fresh]

    async def finish(self) -> None:
        """Stop trying, wait for the attempts on the wire and record them; unconfirmed claims go to the next owner."""
        self._record()
        for name in [name for name in self._tasks if name not in self._posting]:
            self._tasks.pop(name).cancel()
            offer = self._offers.pop(name)
            self._ended.append(Ended(name, None, "stopping", maybe=offer.maybe))
            if offer.probe:
                self._out.gate.unused()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._record()
        await self._commit()

    async def _learn(self) -> None:
        """Read every profile, order, issue and affected customer appended up to now."""
        asked_at = self._out.pace.monotonic()
        for record in await self._out.log.news():
            self.ledger.learn(record)
        while self.ledger.resumed:
            self._out.gate.resume(self.ledger.resumed.pop(0))
        self._learnt_at = asked_at

    async def _commit(self) -> None:
        """Make the ledger's changes durable; also without any if an attempt needs a proof of ownership, or if an
        order was read that nobody has been told is in force."""
        drained = self.ledger.drain()
        if drained.changes or self._proof_wanted or self._out.log.must_report:
            asked_at = self._out.pace.monotonic()
            await self._out.log.commit(drained, self.ledger.next_offset)
            self._owned_at, self._proof_wanted = asked_at, False
            self._tally.size.change(drained.changes)
            written = len(drained.changes) + len(drained.messages)
            self._out.room.tally.flushed(self._out.pace.monotonic() - asked_at, written, time.time())
            self._out.metrics.recorded(message.record for message in drained.messages)

    def _record(self) -> None:
        """Step 6: outcomes into the ledger, and errors of tasks out into the open."""
        for name, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[name], self._offers[name]
                if not task.cancelled():
                    task.result()
        for ended in self._ended:
            self._settle(ended)
        if any(ended.outcome for ended in self._ended):
            log.info("partition %d: %s", self.ledger.partition, dict(self.outcomes))
        self._ended.clear()

    def _settle(self, ended: Ended) -> None:
        """One delivery into the ledger."""
        again_s, now_ms = self._out.pace.monotonic() + ended.wait_s, self._out.clock.now_ms(self.ledger)
        if ended.outcome is not None:
            self.ledger.finish(ended.name, ended.outcome, ended.reason, now_ms)
            self.outcomes[ended.outcome] += 1
        elif ended.maybe:
            self._unconfirmed[ended.name] = again_s
        else:
            self.ledger.release(ended.name, ended.reason)
            self._backing_off[ended.name] = again_s

    async def _deliver(self, offer: Offer) -> None:
        """Step 5, once."""
        try:
            self._ended.append(await self._attempt(offer))
        finally:
            if offer.probe:
                self._out.gate.unused()

    async def _attempt(self, offer: Offer) -> Ended:
        notice, maybe, pace = offer.notice, offer.maybe, self._out.pace
        try:
            letter = self._letter(notice)
        except TemplateRefused as error:
            log.error("partition %d: %s", self.ledger.partition, error)
            return Ended(notice.id, "unknown" if maybe else "failed", "template")
        while (verdict := self._verdict(offer)) is not None:
            if isinstance(verdict, Close):
                return Ended(notice.id, "unknown" if maybe else verdict.outcome, verdict.reason)
            if verdict.reason not in OURS:
                return Ended(notice.id, None, verdict.reason, pace.first_retry_s if maybe else 0.0, maybe)
            await pace.sleep(pace.poll_s)
        self.ledger.attempted(notice.id, self.ledger.entries[notice.id].attempts + 1)
        return self._judge(offer, await self._post(letter))

    def _judge(self, offer: Offer, sent: Sent) -> Ended:
        """What an answer means for the notice and for the channel."""
        gate, pace, notice, maybe = self._out.gate, self._out.pace, offer.notice, offer.maybe or sent.maybe
        self._out.metrics.answered(sent)
        before = gate.state(pace.monotonic())
        believed = gate.saw(sent.outcome == "accepted", sent.reason, notice.root, offer.probe, pace.monotonic())
        if sent.outcome == "gone":
            gate.gone()
        self._tell(before, sent.reason)
        if sent.outcome == "accepted":
            return Ended(notice.id, "delivered", sent.reason)
        if sent.verdict and believed:
            return Ended(notice.id, "unknown" if maybe else "failed", sent.reason)
        attempts = self.ledger.entries[notice.id].attempts
        return Ended(notice.id, None, sent.reason, pace.retry_s(attempts, sent.retry_after_s), maybe)

    def _tell(self, before: str, reason: str) -> None:
        """Say in the log when the channel stops or goes on."""
        after = self._out.gate.state(self._out.pace.monotonic())
        if after == "paused" and before != "paused":
            log.error(PAUSED)
        elif after == "closed" and before != "closed":
            log.warning("the channel accepts again")
        elif after != "closed" and before == "closed":
            log.error("the channel accepts nothing (%s): only probes are sent, nobody is given up for it", reason)

    def _verdict(self, offer: Offer) -> Wait | Close | None:
        """May the bytes leave now? Never on knowledge that is old, only as owner, and only a probe unless all is well.

        Without an await between this and the attempt: a process that is frozen before it finds its proof old.
        """
        if offer.maybe and not self._out.channel.idempotent:
            return Close("unknown", "unconfirmed")
        now_s = self._out.pace.monotonic()
        state = self._out.gate.state(now_s)
        if state == "paused" or (state != "closed" and not offer.probe):
            return Wait("channel", 0)
        if self._owned_at < now_s - self._out.pace.fresh_s:
            self._proof_wanted = True
            return Wait("unproven", 0)
        if self._learnt_at < now_s - self._out.pace.fresh_s:
            return Wait("stale", 0)
        return self.ledger.veto(offer.notice.id, self._out.clock.now_ms(self.ledger), self._out.clock.simulated)

    async def _post(self, letter: RenderedNotice) -> Sent:
        self._posting.add(letter.id)
        try:
            return await self._out.channel.send(letter)
        finally:
            self._posting.discard(letter.id)

    def _letter(self, notice: Notice) -> RenderedNotice:
        message = self._out.library.render(notice)
        data = {
            "outreach_id": notice.id, "issue_id": notice.issue, "stage": notice.stage, "customer_id": notice.customer,
            "address": notice.address, "language": notice.language, "template": notice.template,
            "subject": message.subject, "text": message.text,
        }  # fmt: skip
        return RenderedNotice(notice.id, notice.stage, notice.decided_ms, data)


def _due(times: dict[str, float], now_s: float) -> list[str]:
    """Names whose time has come, in its order."""
    return sorted((name for name, at_s in times.items() if at_s <= now_s), key=lambda name: (times[name], name))
