"""A sender's world in memory: a log that survives, a receiver that remembers, death at any chosen moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import Fenced
from schemas.events import Channel, Command, Customer
from schemas.findings import ChannelState, Delivery, Outreach, Watermark
from schemas.issues import Issue
from streams.core.context import Erasure, Unreadable
from streams.core.outreach.breaker import Breaker
from streams.core.outreach.cases import OutreachRules, outreach_id
from streams.core.outreach.ledger import Ledger
from streams.core.outreach.preferences import ReadUpdate
from streams.core.stage import Drained
from streams.sender.partition import Outside, PartitionSender
from streams.sender.ports import Opened, Pace
from streams.sinks.channels import RenderedNotice, Sent
from streams.sinks.messages import Library
from tests.core.match.world import DAY, HOUR, MINUTE, T0, customer

NOON = T0 + 11 * HOUR
LIBRARY = Library()


class Killed(BaseException):
    """kill -9."""


@dataclass
class Fate:
    """Counts the moments at which a process can die and strikes at one of them."""

    strike_at: int | None = None
    moments: int = 0
    dead: bool = False

    def moment(self) -> None:
        """A process may die here."""
        if self.dead:
            raise Killed
        self.moments += 1
        if self.moments == self.strike_at:
            self.dead = True
            raise Killed


@dataclass
class Broker:
    """What survives every process: decisions, reference records, the ledger's state, deliveries, the owner's epoch."""

    decisions: list[Any] = field(default_factory=list)
    reference: list[Any] = field(default_factory=list)
    state: dict[bytes, bytes] = field(default_factory=dict)
    position: int = 0
    heard: int = 0
    """How many reference records the owner has said to know."""
    deliveries: list[Delivery] = field(default_factory=list)
    channels: list[ChannelState] = field(default_factory=list)
    epoch: int = 0

    def latest(self) -> dict[str, Delivery]:
        """Latest delivery per send key."""
        return {row.outreach_id: row for row in self.deliveries}


def placed(record: Any, offset: int = 0) -> Any:
    """A record as the log hands it out: what is said about a customer has a place; everything was appended at noon."""
    return ReadUpdate(record, offset, NOON + MINUTE) if isinstance(record, Customer | Unreadable | Erasure) else record


@dataclass
class MemoryLog:
    """The log port over a broker; every call is two moments, before and after it takes effect."""

    broker: Broker
    fate: Fate = field(default_factory=Fate)
    on_commit: Callable[[], None] = lambda: None
    _epoch: int = 0
    _read: int = 0
    _learnt: int = 0
    _reported: int | None = None

    async def open(self) -> Opened:
        """Take the ledger over."""
        self.fate.moment()
        self.broker.epoch += 1
        self._epoch, self._read, self._learnt = self.broker.epoch, self.broker.position, 0
        return Opened(list(self.broker.state.items()), self.broker.position)

    async def decisions(self, wait_s: float) -> list[tuple[int, Any]]:
        """At most five at a time, so that claims come in several rounds."""
        self.fate.moment()
        await asyncio.sleep(0)
        found = list(enumerate(self.broker.decisions))[self._read : self._read + 5]
        self._read += len(found)
        return found

    @property
    def end(self) -> int | None:
        """All decisions that there are."""
        return len(self.broker.decisions)

    async def news(self) -> list[Any]:
        """Everything appended since."""
        self.fate.moment()
        await asyncio.sleep(0)
        found = list(enumerate(self.broker.reference))[self._learnt :]
        self._learnt += len(found)
        return [placed(record, offset) for offset, record in found]

    @property
    def must_report(self) -> bool:
        """Something was handed out that the broker was not told of."""
        return self._reported != self._learnt

    async def commit(self, drained: Drained, next_offset: int) -> None:
        """Atomic, and only for the newest owner."""
        self.fate.moment()
        await asyncio.sleep(0)
        if self._epoch != self.broker.epoch:
            raise Fenced("a newer owner exists")
        for key, value in drained.changes:
            if value is None:
                self.broker.state.pop(key, None)
            else:
                self.broker.state[key] = value
        self.broker.deliveries += [m.record for m in drained.messages if isinstance(m.record, Delivery)]
        self.broker.channels += [m.record for m in drained.messages if isinstance(m.record, ChannelState)]
        self.broker.position = next_offset
        self.broker.heard = self._reported = self._learnt
        self.on_commit()
        self.fate.moment()

    async def close(self) -> None:
        """Nothing is held."""


@dataclass
class MemoryChannel:
    """A receiver that knows ids; ``script`` replaces its answers in order, "lost" = accepted but the answer is lost."""

    fate: Fate = field(default_factory=Fate)
    script: list[Sent | str] = field(default_factory=list)
    accepted: dict[str, RenderedNotice] = field(default_factory=dict)
    posts: list[str] = field(default_factory=list)
    loopback: bool = True
    idempotent: bool = True
    name: Channel = "webhook"
    before: Callable[[RenderedNotice], None] = lambda _: None

    async def send(self, notice: RenderedNotice) -> Sent:
        """Accept once per id."""
        self.fate.moment()
        self.before(notice)
        await asyncio.sleep(0)
        self.posts.append(notice.id)
        answer = self.script.pop(0) if self.script else "ok"
        if answer in ("ok", "lost"):
            self.accepted.setdefault(notice.id, notice)
        self.fate.moment()
        await asyncio.sleep(0)
        if isinstance(answer, Sent):
            return answer
        return Sent("accepted", "accepted") if answer == "ok" else Sent("retry", "connection_lost", maybe=True)

    async def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class Hurried(Pace):
    """No waiting: sleeping is one turn of the loop, retries follow at once, and knowledge is never stale."""

    in_flight: int = 3
    poll_s: float = 0.0
    fresh_s: float = float("inf")
    first_retry_s: float = 0.0

    async def sleep(self, seconds: float) -> None:
        """One turn."""
        await asyncio.sleep(0)


@dataclass
class Hand:
    """A clock set by hand."""

    time_ms: int = NOON + MINUTE
    simulated: bool = False

    def now_ms(self, _ledger: Ledger) -> int:
        """What the hand says."""
        return self.time_ms


RULES = OutreachRules(approval_above=100)


@dataclass
class House:
    """One partition with its broker, receiver and clock; processes come and go."""

    broker: Broker = field(default_factory=Broker)
    channel: MemoryChannel = field(default_factory=MemoryChannel)
    clock: Hand = field(default_factory=Hand)
    rules: OutreachRules = RULES
    pace: Pace = field(default_factory=Hurried)
    on_commit: Callable[[], None] = lambda: None
    pause_s: tuple[float, float] = (0.0, 0.0)

    def process(self, fate: Fate | None = None) -> PartitionSender:
        """A new process."""
        fate = fate or Fate()
        self.channel.fate = fate
        log = MemoryLog(self.broker, fate, self.on_commit)
        outside = Outside(log, self.channel, self.clock, LIBRARY, self.pace, Breaker(*self.pause_s))
        return PartitionSender(Ledger(self.rules, 0, 1), outside)

    async def work(self, fate: Fate | None = None, rounds: int = 30) -> PartitionSender:
        """One process for some rounds, then a clean end; a struck one just vanishes."""
        process = self.process(fate)
        try:
            await process.open()
            for _ in range(rounds):
                await process.turn()
                for _ in range(5):
                    await asyncio.sleep(0)
            await process.finish()
        finally:
            for task in process._tasks.values():
                task.cancel()
            await asyncio.gather(*process._tasks.values(), return_exceptions=True)
        return process

    def outcome(self, row: Outreach) -> tuple[str, str]:
        """Latest outcome and reason of a decision."""
        found = self.broker.latest()[row.outreach_id]
        return found.outcome, found.reason


def send(name: str = "c-1", root: str = "i-1", stage: str = "notice", **other: Any) -> Outreach:
    """A decision to send."""
    fields = {
        "outreach_id": outreach_id(root, name, stage), "issue_id": root, "root_id": root, "customer_id": name,
        "stage": stage, "decision": "send", "reason": "eligible", "channel": "webhook", "address": f"a-{name}",
        "language": "de", "time_zone": "Europe/Berlin", "template": f"app.{stage}@1", "title": "Störung",
        "cause_text": "ein Fehler", "decided_at_ms": NOON, "not_before_ms": NOON, "deadline_ms": NOON + 14 * HOUR,
    }  # fmt: skip
    return Outreach.model_validate(fields | other)


def house(*rows: Any, profiles: tuple[Customer | Unreadable, ...] | None = None, **other: Any) -> House:
    """A house with these decisions and a profile for each customer in them."""
    built = House(**other)
    built.broker.decisions += rows
    names = {row.customer_id for row in rows if isinstance(row, Outreach)}
    built.broker.reference += profiles if profiles is not None else [customer(name) for name in sorted(names)]
    return built


def order(action: str, issue_id: str | None = None, name: str = "") -> Command:
    """An operator's order."""
    return Command.model_validate(
        {"command_id": f"k-{action}{name}", "issued_at_ms": NOON, "action": action, "issue_id": issue_id}
    )


__all__ = ["DAY", "HOUR", "MINUTE", "NOON", "Broker", "Command", "Erasure", "Fate", "Fenced", "Hand", "House",
           "Hurried", "Issue", "Killed", "MemoryChannel", "MemoryLog", "Pace", "Sent", "Unreadable", "Watermark",
           "customer", "house", "order", "placed", "send"]  # fmt: skip
