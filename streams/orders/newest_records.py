"""The newest record per key and partition of a small topic, for a command that shows how things stand."""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas.codec import decode
from schemas.errors import SinkUnavailable
from streams.security.brokers import connection


async def newest_records(bootstrap: str, topic: str, noun: str) -> list[Any]:
    """Read all of ``topic`` (wire name) that is committed; the last record per key and partition, in their order.

    Empty if there is no such topic yet. Raises SinkUnavailable if Kafka cannot be read.
    """
    try:
        tps = await _partitions(bootstrap, topic)
        return await _read(bootstrap, tps, noun) if tps else []
    except KafkaError as error:
        raise SinkUnavailable(f"Kafka ({type(error).__name__})") from error


async def _partitions(bootstrap: str, topic: str) -> list[TopicPartition]:
    """The topic's partitions as the broker lists them, none if there is no such topic.

    A consumer cannot be asked: it knows only topics that it reads, and retries for one that does not exist.
    """
    admin = AIOKafkaAdminClient(**connection(bootstrap))
    try:
        await admin.start()
        if topic not in await admin.list_topics():
            return []
        [found] = await admin.describe_topics([topic])
        return [TopicPartition(topic, number) for number in sorted(one["partition"] for one in found["partitions"])]
    finally:
        await admin.close()


async def _read(bootstrap: str, tps: list[TopicPartition], noun: str) -> list[Any]:
    consumer = AIOKafkaConsumer(
        **connection(bootstrap), isolation_level="read_committed", enable_auto_commit=False,
        auto_offset_reset="earliest",
    )  # fmt: skip
    found = dict[tuple[int, bytes], Any]()
    try:
        await consumer.start()
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        ends = await consumer.end_offsets(tps)
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for tp, rows in (await consumer.getmany(timeout_ms=200)).items():
                decoded = decode(noun, [row.value for row in rows])
                keys = [rows[index].key or b"" for index in decoded.index]
                found |= {(tp.partition, key): record for key, record in zip(keys, decoded.records, strict=True)}
    finally:
        await consumer.stop()
    return [record for _, record in sorted(found.items(), key=lambda item: item[0])]
