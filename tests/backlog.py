"""A company's topic that has been filling for hours, as the tests of ``follow`` need it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from schemas.topics import BY_NOUN
from tests.faults.harness import COMMAND, Deployment, Process, behind
from tests.faults.oracle import reading

EVENTS = 21_600
SEGMENT = """
name: segment
input: {format: ndjson}
source: segment
customer: "{userId}"
events:
  - to: telemetry
    when: {field: type, equals: track}
    time: {field: timestamp}
    id: "{messageId}"
    fields:
      product: shop
      event_name: "{event}"
      outcome: {field: event, table: {Checkout Failed: failed}, default: ok}
"""
_decode = msgspec.json.Decoder().decode


def tracked(number: int, at: datetime) -> tuple[bytes, bytes]:
    """Key and value of one message: one of 600 users does something, one time in 50 it fails."""
    user = f"u-{number % 600}"
    event = "Checkout Failed" if number % 50 == 0 else "Checkout Completed"
    body = {"type": "track", "userId": user, "messageId": f"b-{number}", "event": event, "timestamp": at.isoformat()}
    return user.encode(), json.dumps(body).encode()


def backlog(now: datetime, events: int = EVENTS) -> list[tuple[bytes, bytes]]:
    """One event a second, up to 90 s before ``now``."""
    return [tracked(number, now - timedelta(seconds=90 + events - number)) for number in range(events)]


async def create(bootstrap: str, topic: str, partitions: int) -> None:
    """Make a topic of the company."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1)])
    finally:
        await admin.close()


async def fill(bootstrap: str, topic: str, messages: Iterable[tuple[bytes, bytes]]) -> None:
    """Write messages, each to the partition of its key."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20)
    await producer.start()
    try:
        await asyncio.gather(*[await producer.send(topic, value, key=key) for key, value in messages])
    finally:
        await producer.stop()


def start_follower(line: Deployment, topic: str, name: str = "follow") -> Process:
    """``cxwatch follow`` as a process."""
    file = line.folder / "segment.yaml"
    file.write_text(SEGMENT)
    return line.launch(name, (sys.executable, "-c", COMMAND, "follow", str(file), topic))


def group_of(line: Deployment) -> str:
    """The followers' consumer group."""
    return f"{line.prefix}cx.source.segment"


async def lag(line: Deployment) -> int:
    """Messages that the followers have not yet written; -1 while that cannot be told."""
    try:
        return await behind(line.straight.kafka_bootstrap, group_of(line))
    except (KafkaError, OSError, TimeoutError):
        return -1


async def counted(line: Deployment) -> tuple[int, int, int]:
    """Events, late ones and duplicates that the join counted, from its own last word on every bin."""
    latest: dict[tuple[object, ...], dict[str, int]] = {}

    def take(record: Any) -> None:
        row = _decode(record.value or b"{}")
        if row.get("kind") == "source_count":
            latest[row["topic"], row["source"], row["partition"], row["bin_ms"]] = row

    async with reading(line.straight.kafka_bootstrap) as read:
        await read(line.prefix + BY_NOUN["source_count"].name, take)
    events, late, duplicates = (sum(row[name] for row in latest.values()) for name in ("events", "late", "duplicates"))
    return events, late, duplicates


async def heartbeats_of(line: Deployment, noun: str = "telemetry") -> list[int]:
    """Times vouched for on one topic."""
    found: list[int] = []

    def take(record: Any) -> None:
        if record.key == b"cx.heartbeat":
            found.append(_decode(record.value or b"{}")["event_time_ms"])

    async with reading(line.straight.kafka_bootstrap) as read:
        await read(line.prefix + BY_NOUN[noun].name, take)
    return found


async def written_to(line: Deployment, noun: str) -> int:
    """Records on one topic of the line."""
    found: list[Any] = []
    async with reading(line.straight.kafka_bootstrap) as read:
        await read(line.prefix + BY_NOUN[noun].name, found.append)
    return len(found)
