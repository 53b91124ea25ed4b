"""Writing an order: one record, written to every customer partition of ``command`` and to ``control`` in one Kafka
transaction: either every task of every room sees it, or none does. How many partitions there are, the cluster says.
"""

from __future__ import annotations

import asyncio
import getpass
import time
import uuid
from dataclasses import dataclass
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.codec import decode, encode
from schemas.errors import ConfigError, SinkUnavailable
from schemas.events import Channel, Command
from schemas.issue_ids import find_id
from schemas.topics import BY_NOUN
from streams.orders.issue_ids import issue_ids
from streams.runtime.transaction import Transaction, Write
from streams.runtime.writer import TransactionWriter
from streams.security.brokers import connection
from streams.security.keyfile import order_rules
from streams.security.sanitized import LABEL_CHARACTERS, sanitized
from streams.security.signing import Keyring
from streams.settings import Settings
from streams.topics import need_topics, partition_counts

Action = Literal["approve", "mute", "unmute", "resolve", "stop", "resume", "resume_channel"]
_TAIL = 500
"""How far back from the end of a topic the newest watermark is looked for."""


@dataclass(frozen=True)
class WrittenOrder:
    """An order that was written."""

    command: Command
    placed: dict[int, int]
    """Partition of the command topic -> offset of the order."""
    notes: tuple[str, ...] = ()
    """What differs from what was asked for: text that was cut, settings that are not the cluster's."""


async def write_order(
    settings: Settings, bootstrap: str, action: Action, issue: str | None = None, reason: str = "",
    channel: Channel | None = None,
) -> WrittenOrder:
    """Write one order everywhere. Its time is the deployment's: the wall clock, or the stream's own if it is simulated.

    ``reason`` may be anything: what a record may not hold is left out. Raises ConfigError if the topics are not there,
    KafkaFailed if the order was not, or perhaps not, written: giving the same order again is harmless.
    """
    count, notes = await asyncio.to_thread(_partitions, settings, bootstrap)
    text = sanitized(reason)
    notes += _difference(reason, text)
    event_time = await stream_time_ms(settings, bootstrap, count) if settings.sender_clock == "event" else None
    rules = order_rules(settings)
    actor = actor_of(settings, rules.keyring)
    command = Command(
        command_id=f"cmd-{uuid.uuid4().hex}", issued_at_ms=event_time or time.time_ns() // 1_000_000, action=action,
        issue_id=issue, channel=channel, actor=actor, reason=text,
    )  # fmt: skip
    if rules.keyring is not None:
        command = rules.keyring.sign(command)
    return WrittenOrder(command, await _write(settings, bootstrap, command, count), tuple(notes))


async def known_issue(settings: Settings, bootstrap: str, wanted: str) -> str:
    """The full id of an issue. Raises UnknownIssue, ConfigError if there are no topics, IssuesUnread."""
    await asyncio.to_thread(need_topics, bootstrap, settings, ("command", "issue"))
    return find_id(sanitized(wanted), await issue_ids(settings, bootstrap))


def actor_of(settings: Settings, keyring: Keyring | None) -> str:
    """Who orders. Raises ConfigError if orders are signed here and this actor has no key: nobody would obey."""
    if keyring is None:
        return sanitized(settings.order_actor or "") or actor_here()
    if settings.order_actor is None and len(keyring.keys) == 1:
        return next(iter(keyring.keys))
    actor = settings.order_actor or actor_here()
    if actor not in keyring.keys:
        raise ConfigError(
            f"{sanitized(actor)!r} has no key in CX_ORDER_KEYS, so nobody would obey; CX_ORDER_ACTOR says who orders, "
            "`cxwatch keys list` shows who may"
        )
    return actor


def actor_here() -> str:
    """The user of this machine, ``unknown`` if it has no name; never fails."""
    try:
        return sanitized(getpass.getuser()) or "unknown"
    except (OSError, KeyError, ImportError):  # no name is set and the account has none
        return "unknown"


def _partitions(settings: Settings, bootstrap: str) -> tuple[int, list[str]]:
    """Partitions of the command topic as the cluster has them, and a note if the settings say otherwise."""
    need_topics(bootstrap, settings, ("command", "control", "outreach"))
    topic = settings.named(BY_NOUN["command"].name)
    count = partition_counts(bootstrap, [topic])[topic]
    if count == settings.partitions:
        return count, []
    return count, [f"CX_PARTITIONS is {settings.partitions}, the cluster has {count}: it goes to all {count}"]


def _difference(asked: str, stored: str) -> list[str]:
    if " ".join(asked.split()) == stored and "\n" not in asked:
        return []
    whole = sanitized(asked, len(asked) + 1)
    cut = f"cut to {LABEL_CHARACTERS} characters" if whole != stored else "put on one line without control characters"
    return [f"the reason was {cut}"]


async def _write(settings: Settings, bootstrap: str, command: Command, count: int) -> dict[int, int]:
    """One transaction for all partitions; returns partition -> offset."""
    row: Write = (command.command_id.encode(), encode(command), ())
    topic = BY_NOUN["command"].name
    writes = {(topic, number): [row] for number in range(count)}
    writes[(BY_NOUN["control"].name, 0)] = [row]
    writer = TransactionWriter(bootstrap, settings.topic_prefix, f"order.{command.command_id}", 0)
    await writer.open()
    try:
        placed = await writer.write(Transaction("order", 0, 1, 1, writes, {}))
    finally:
        await writer.close()
    return {number: offset for (name, number), offset in placed.items() if name == topic}


async def stream_time_ms(settings: Settings, bootstrap: str, partitions: int | None = None) -> int | None:
    """How far the stream has come: the newest watermark of outreach over all partitions; None before the first."""
    topic = settings.named(BY_NOUN["outreach"].name)
    tps = [TopicPartition(topic, number) for number in range(partitions or settings.partitions)]
    consumer = AIOKafkaConsumer(
        **connection(bootstrap), isolation_level="read_committed", enable_auto_commit=False
    )
    try:
        await consumer.start()
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        begins = await consumer.beginning_offsets(tps)
        for tp in tps:
            consumer.seek(tp, max(begins[tp], ends[tp] - _TAIL))
        return await _newest_watermark(consumer, ends)
    except KafkaError as error:
        raise SinkUnavailable(f"Kafka ({type(error).__name__})") from error
    finally:
        await consumer.stop()


async def _newest_watermark(consumer: Any, ends: dict[TopicPartition, int]) -> int | None:
    newest = 0
    while any([await consumer.position(tp) < end for tp, end in ends.items()]):
        for rows in (await consumer.getmany(timeout_ms=200)).values():
            decoded = decode("outreach", [row.value for row in rows])
            times = [record.through_ms for record in decoded.records if record.kind == "watermark"]
            newest = max([newest, *times])
    return newest or None
