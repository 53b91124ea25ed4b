"""What the send-once ledger keeps of a notice, of what became of it and of a channel; and what its checks answer."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from schemas.events import Channel
from schemas.findings import ChannelCondition, DeliveryOutcome, Outreach, Stage


class Notice(msgspec.Struct, frozen=True):
    """A decision to send, reduced to what sending needs. ``id`` is the send key and the receiver's idempotency key."""

    id: str
    issue: str
    root: str
    customer: str
    stage: Stage
    channel: Channel
    address: str
    language: str
    time_zone: str
    template: str
    title: str
    cause_text: str
    decided_ms: int
    not_before_ms: int
    deadline_ms: int
    attempts: int = 0
    """Attempts of earlier claims, which surely came to nothing."""


class Entry(msgspec.Struct):
    """What became of one send key."""

    issue: str
    root: str
    customer: str
    stage: Stage
    channel: Channel
    outcome: DeliveryOutcome
    claimed_ms: int
    reason: str = ""
    attempts: int = 0
    done_ms: int | None = None


class ChannelMark(msgspec.Struct):
    """How a channel stands, and the orders about it that were executed: a pause outlives them and every restart."""

    state: ChannelCondition = "closed"
    reason: str = ""
    since_ms: int = 0
    heard: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now; look again at ``until_ms``."""

    reason: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class Close:
    """Never: ``outcome`` is suppressed or expired."""

    outcome: DeliveryOutcome
    reason: str


def notice_of(record: Outreach, channel: Channel) -> Notice:
    """A decision to send through ``channel``, reduced to what the ledger stores until it is settled."""
    return Notice(
        id=record.outreach_id, issue=record.issue_id, root=record.root_id, customer=record.customer_id,
        stage=record.stage, channel=channel, address=record.address, language=record.language,
        time_zone=record.time_zone, template=record.template, title=record.title, cause_text=record.cause_text,
        decided_ms=record.decided_at_ms, not_before_ms=record.not_before_ms, deadline_ms=record.deadline_ms,
    )  # fmt: skip


def entry_of(
    notice: Notice, outcome: DeliveryOutcome, now_ms: int, reason: str = "", done_ms: int | None = None
) -> Entry:
    """A new state of a notice, as of ``now_ms``; ``done_ms`` once it is settled."""
    return Entry(
        issue=notice.issue, root=notice.root, customer=notice.customer, stage=notice.stage, channel=notice.channel,
        outcome=outcome, claimed_ms=now_ms, reason=reason, attempts=notice.attempts, done_ms=done_ms,
    )  # fmt: skip
