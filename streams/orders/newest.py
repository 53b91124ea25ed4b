"""The newest record per key and partition of a small topic, for a command that shows how things stand."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.codec import decode
from schemas.errors import SinkUnavailable
from streams.security.brokers import connection
from streams.topics import partition_counts


async def newest(bootstrap: str, topic: str, noun: str) -> list[Any]:
    """Read all of ``topic`` (wire name) that is committed; the last record per key and partition, in their order.

    Empty if there is no such topic yet. Raises SinkUnavailable if Kafka cannot be read.
    """
    # a consumer asked for a topic that is not there tries again and again, and knows no topic that it was not asked for
    count = (await asyncio.to_thread(partition_counts, bootstrap, [topic])).get(topic, 0)
    if not count:
        return []
    tps = [TopicPartition(topic, number) for number in range(count)]
    consumer = AIOKafkaConsumer(
        **connection(bootstrap), isolation_level="read_committed", enable_auto_commit=False,
        auto_offset_reset="earliest",
    )  # fmt: skip
    try:
        await consumer.start()
        consumer.assign(tps)
        return await _read(consumer, tps, noun)
    except KafkaError as error:
        raise SinkUnavailable(f"Kafka ({type(error).__name__})") from error
    finally:
        await consumer.stop()


async def _read(consumer: Any, tps: list[TopicPartition], noun: str) -> list[Any]:
    await consumer.seek_to_beginning(*tps)
    ends, found = await consumer.end_offsets(tps), dict[tuple[int, bytes], Any]()
    while any([await consumer.position(tp) < ends[tp] for tp in tps]):
        for tp, rows in (await consumer.getmany(timeout_ms=200)).items():
            decoded = decode(noun, [row.value for row in rows])
            keys = [rows[index].key or b"" for index in decoded.index]
            found |= {(tp.partition, key): record for key, record in zip(keys, decoded.records, strict=True)}
    return [record for _, record in sorted(found.items(), key=lambda item: item[0])]
