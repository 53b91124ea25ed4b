"""An operator's orders: ``cxwatch approve | mute | unmute | resolve ISSUE`` and ``cxwatch stop | resume``.

An order is one record, written to every customer partition of ``command`` and to ``control`` in one Kafka transaction:
either every task of every room sees it, or none does.
"""

from __future__ import annotations

import asyncio
import getpass
import time
import uuid
from typing import Annotated, Any, Literal

import typer
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.codec import decode, encode
from schemas.errors import SinkUnavailable
from schemas.events import Command
from schemas.topics import BY_NOUN
from streams.runtime.task import Transaction, Write
from streams.runtime.writer import TransactionWriter
from streams.settings import Settings, load_settings
from streams.stack import endpoints

Action = Literal["approve", "mute", "unmute", "resolve", "stop", "resume"]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the order.")]
IssueId = Annotated[str, typer.Argument(help="Id of the issue, as `cxwatch issues` prints it.")]
_TAIL = 500
"""How far back from the end of a topic the newest watermark is looked for."""


def register(app: typer.Typer) -> None:
    """Add the operator's commands."""
    for name, command in (
        ("approve", approve_command), ("mute", mute_command), ("unmute", unmute_command),
        ("resolve", resolve_command), ("stop", stop_command), ("resume", resume_command),
    ):  # fmt: skip
        app.command(name)(command)


def approve_command(issue: IssueId, reason: Reason = "") -> None:
    """Let every affected customer of an issue be told, also beyond the number that needs no approval."""
    _order("approve", issue, reason)


def mute_command(issue: IssueId, reason: Reason = "") -> None:
    """Tell nobody about an issue until it is unmuted; counting goes on."""
    _order("mute", issue, reason)


def unmute_command(issue: IssueId, reason: Reason = "") -> None:
    """Take back `cxwatch mute`; what was held is decided again."""
    _order("unmute", issue, reason)


def resolve_command(issue: IssueId, reason: Reason = "") -> None:
    """Call an issue over: no more notices; those who were told get the all-clear."""
    _order("resolve", issue, reason)


def stop_command(reason: Reason = "") -> None:
    """Stop every send, at once and until `cxwatch resume`."""
    _order("stop", None, reason)


def resume_command(reason: Reason = "") -> None:
    """Take back `cxwatch stop`."""
    _order("resume", None, reason)


def _order(action: Action, issue: str | None, reason: str) -> None:
    settings = load_settings()
    bootstrap = endpoints(settings, ("kafka",)).kafka_bootstrap
    command = asyncio.run(order(settings, bootstrap, action, issue, reason))
    typer.echo(f"{action}{f' {issue}' if issue else ''}: ordered ({command.command_id})")


async def order(
    settings: Settings, bootstrap: str, action: Action, issue: str | None = None, reason: str = ""
) -> Command:
    """Write one order everywhere. Its time is the deployment's: the wall clock, or the stream's own if it is simulated.

    Raises KafkaFailed if it was not, or perhaps not, written: giving the same order again is harmless.
    """
    event_time = await stream_time_ms(settings, bootstrap) if settings.sender_clock == "event" else None
    command = Command(
        command_id=f"cmd-{uuid.uuid4().hex}", issued_at_ms=event_time or time.time_ns() // 1_000_000, action=action,
        issue_id=issue, actor=getpass.getuser()[:128], reason=reason,
    )  # fmt: skip
    row: Write = (command.command_id.encode(), encode(command), ())
    writes = {(BY_NOUN["command"].name, number): [row] for number in range(settings.partitions)}
    writes[(BY_NOUN["control"].name, 0)] = [row]
    writer = TransactionWriter(bootstrap, settings.topic_prefix, f"order.{command.command_id}", 0)
    await writer.open()
    try:
        await writer.write(Transaction("order", 0, 1, 1, writes, {}))
    finally:
        await writer.close()
    return command


async def stream_time_ms(settings: Settings, bootstrap: str) -> int | None:
    """How far the stream has come: the newest watermark of outreach over all partitions; None before the first."""
    topic = settings.named(BY_NOUN["outreach"].name)
    tps = [TopicPartition(topic, number) for number in range(settings.partitions)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False
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
