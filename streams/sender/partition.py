"""The sender of one partition: read, check, claim, send, record. The order is the promise.

1. ``open``: every earlier owner is fenced, the ledger is read to its end.
2. Profiles, orders and issues are read to their ends.
3. What may be sent is claimed; the claim is committed.
4. They are read to their ends again: whatever was appended before the claim was committed is known now.
5. Right before every attempt the claim is checked with everything known; then the bytes leave. Nothing leaves if the
   last proof that this process owns the partition is old: a commit proves it, for a newer owner would have fenced it.
6. The outcome is recorded.

A process that dies before 3 has sent nothing. One that dies after it leaves a claim without an outcome: its successor
checks it again and sends it again under the same id, which the receiver has seen or has not. A process that is frozen
before 5 and wakes up late has no fresh proof, asks for one and is fenced. One that is frozen after 5 sends under that
id too; only the receiver's memory covers this last window.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field

from schemas.findings import DeliveryOutcome
from streams.core.ledger import Close, Ledger, Notice, Wait
from streams.sender.ports import Clock, Log, Pace, Unreadable
from streams.sinks.channels import ChannelPort, Letter, Sent
from streams.sinks.messages import Library, TemplateRefused

log = logging.getLogger("cx.sender")


@dataclass(slots=True)
class Outside:
    """Everything a partition's sender talks to."""

    log: Log
    channel: ChannelPort
    clock: Clock
    library: Library
    pace: Pace = field(default_factory=Pace)


class PartitionSender:
    """Owns one partition's ledger; all its tasks run in one event loop."""

    def __init__(self, ledger: Ledger, outside: Outside) -> None:
        """Nothing is opened yet."""
        self.ledger = ledger
        self.outcomes: Counter[str] = Counter()
        self._out = outside
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._posting: set[str] = set()
        self._closing = False
        self._learnt_at = float("-inf")
        self._owned_at = float("-inf")
        self._proof_wanted = False
        self._ended: list[tuple[str, DeliveryOutcome, str]] = []

    async def open(self) -> None:
        """Steps 1 and 2, then take up the claims that the last owner left open."""
        asked_at = self._out.pace.monotonic()
        opened = await self._out.log.open()
        self._owned_at = asked_at
        self.ledger.load(opened.items, opened.next_offset)
        await self._learn()
        await self._commit()
        for notice in list(self.ledger.claimed.values()):
            self._start(notice, resumed=True)

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set; then finish what is on the wire, record it and let go."""
        try:
            await self.open()
            while not stopping.is_set():
                await self.turn()
            await self.finish()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await self._out.log.close()

    async def turn(self) -> None:
        """One round: steps 2 to 4 for what has come, step 6 for what has ended."""
        pace, ledger = self._out.pace, self.ledger
        for offset, record in await self._out.log.decisions(pace.poll_s):
            ledger.take(offset, record)
        await self._learn()
        self._record()
        room = 0 if self._out.channel.gone else pace.in_flight - len(self._tasks)
        claims = ledger.plan(self._out.clock.now_ms(ledger), room, self._out.clock.simulated)
        await self._commit()
        if claims:
            await self._learn()
        for notice in claims:
            self._start(notice, resumed=False)

    async def finish(self) -> None:
        """Stop trying, wait for the attempts on the wire and record them; other claims are left to the next owner."""
        self._closing = True
        waiting = [task for name, task in self._tasks.items() if name not in self._posting]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._record()
        await self._commit()

    async def _learn(self) -> None:
        """Know everything that customers and operators have said up to now."""
        asked_at = self._out.pace.monotonic()
        for record in await self._out.log.news():
            if isinstance(record, Unreadable):
                self.ledger.block(record.customer)
            else:
                self.ledger.learn(record)
        self._learnt_at = asked_at

    async def _commit(self) -> None:
        """Make the ledger's changes durable; also without any if an attempt waits for a proof of ownership."""
        drained = self.ledger.drain()
        if drained.changes or self._proof_wanted:
            asked_at = self._out.pace.monotonic()
            await self._out.log.commit(drained, self.ledger.next_offset)
            self._owned_at, self._proof_wanted = asked_at, False

    def _record(self) -> None:
        """Step 6: outcomes into the ledger, and errors of tasks out into the open."""
        for name, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[name]
                if not task.cancelled():
                    task.result()
        for name, outcome, reason in self._ended:
            self.ledger.finish(name, outcome, reason, self._out.clock.now_ms(self.ledger))
            self.outcomes[outcome] += 1
        if self._ended:
            log.info("partition %d: %s", self.ledger.partition, dict(self.outcomes))
        self._ended.clear()

    def _start(self, notice: Notice, resumed: bool) -> None:
        self._tasks[notice.id] = asyncio.create_task(self._deliver(notice, resumed))

    async def _deliver(self, notice: Notice, resumed: bool) -> None:
        """Step 5 until there is an outcome. ``maybe``: the receiver may have accepted it already."""
        try:
            letter = self._letter(notice)
        except TemplateRefused as error:
            log.error("partition %d: %s", self.ledger.partition, error)
            self._ended.append((notice.id, "unknown" if resumed else "failed", "template"))
            return
        attempts, maybe, tried_at = self.ledger.entries[notice.id].attempts, resumed, float("-inf")
        while True:
            verdict = self._verdict(notice, maybe, tried_at)
            if isinstance(verdict, Close):
                self._ended.append((notice.id, "unknown" if maybe else verdict.outcome, verdict.reason))
                return
            if isinstance(verdict, Wait):
                await self._out.pace.sleep(self._out.pace.poll_s)
                continue
            attempts += 1
            self.ledger.attempted(notice.id, attempts)
            sent = await self._post(letter)
            tried_at = self._out.pace.monotonic()
            maybe = maybe or sent.maybe
            if sent.outcome != "retry":
                self._ended.append((notice.id, _outcome(sent, maybe), sent.reason))
                return
            if self._closing:
                return
            await self._out.pace.sleep(self._out.pace.retry_s(attempts, sent.retry_after_s))

    def _verdict(self, notice: Notice, maybe: bool, tried_at: float) -> Wait | Close | None:
        """May the bytes leave now? Never on knowledge that is old, or older than the last attempt, and only as owner.

        Without an await between this and the attempt: a process that is frozen before it finds its proof old.
        """
        if maybe and not self._out.channel.idempotent:
            return Close("unknown", "unconfirmed")
        oldest = self._out.pace.monotonic() - self._out.pace.fresh_s
        if self._owned_at < oldest:
            self._proof_wanted = True
            return Wait("unproven", 0)
        if self._learnt_at < max(oldest, tried_at):
            return Wait("stale", 0)
        return self.ledger.veto(notice.id, self._out.clock.now_ms(self.ledger), self._out.clock.simulated)

    async def _post(self, letter: Letter) -> Sent:
        self._posting.add(letter.id)
        try:
            return await self._out.channel.send(letter)
        finally:
            self._posting.discard(letter.id)

    def _letter(self, notice: Notice) -> Letter:
        message = self._out.library.render(notice)
        data = {
            "outreach_id": notice.id, "issue_id": notice.issue, "stage": notice.stage, "customer_id": notice.customer,
            "address": notice.address, "language": notice.language, "template": notice.template,
            "subject": message.subject, "text": message.text,
        }  # fmt: skip
        return Letter(notice.id, notice.stage, notice.decided_ms, data)


def _outcome(sent: Sent, maybe: bool) -> DeliveryOutcome:
    if sent.outcome == "accepted":
        return "delivered"
    return "unknown" if maybe else "failed"
