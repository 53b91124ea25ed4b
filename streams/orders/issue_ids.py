"""Which issues there are, read from the issue topic: an order never depends on ClickHouse being up."""

from __future__ import annotations

from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.errors import CxError
from schemas.topics import BY_NOUN
from streams.security.brokers import connection
from streams.settings import Settings

_STALL_S = 30.0


class IssuesUnread(CxError):
    """The issue topic cannot be read, so nobody knows whether there is such an issue."""


class _Named(msgspec.Struct):
    issue_id: str = ""


async def issue_ids(settings: Settings, bootstrap: str) -> set[str]:
    """Ids of every issue on the issue topic. Raises IssuesUnread."""
    topic = settings.named(BY_NOUN["issue"].name)
    tp = TopicPartition(topic, 0)  # every partition holds all of them
    consumer = AIOKafkaConsumer(
        **connection(bootstrap), isolation_level="read_committed", enable_auto_commit=False
    )
    try:
        await consumer.start()
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        return await _read(consumer, tp)
    except (KafkaError, TimeoutError) as error:
        raise IssuesUnread(f"no issue can be looked up: {topic} cannot be read ({type(error).__name__})") from error
    finally:
        await consumer.stop()


async def _read(consumer: Any, tp: TopicPartition) -> set[str]:
    found: set[str] = set()
    end, position, idle_ms = (await consumer.end_offsets([tp]))[tp], -1, 0
    while (now := await consumer.position(tp)) < end:
        idle_ms = idle_ms + 200 if now == position else 0
        position = now
        if idle_ms > _STALL_S * 1_000:
            raise TimeoutError
        for rows in (await consumer.getmany(tp, timeout_ms=200)).values():
            found.update(_id_of(row.value) for row in rows)
    return found - {""}


def _id_of(value: bytes | None) -> str:
    try:
        return msgspec.json.decode(value or b"{}", type=_Named).issue_id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
