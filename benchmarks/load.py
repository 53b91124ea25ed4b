"""Puts a set of events on real Kafka: topics as ``cxwatch topics create`` makes them, then every record, uncompressed.

The partition is the one that the key has by Java's murmur2 (the files are sorted by it). At the end every topic
partition gets one heartbeat, a minute of event time after the last event, so that the last bins close; readers that do
not know heartbeats skip records with key ``cx.heartbeat``.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiokafka import AIOKafkaProducer

from benchmarks.events import PARTITIONS, TOPICS, EventSet
from schemas.events import HEARTBEAT_KEY, Heartbeat
from schemas.topics import BY_NOUN, MINUTE_MS
from streams.settings import Settings
from streams.topics import ensure_topics

BATCH_BYTES = 400_000
"""Largest record batch: about 1,200 events, what a busy producer with a short linger writes."""


def topic_name(prefix: str, noun: str) -> str:
    """Name on the wire of one of the three topics."""
    return prefix + BY_NOUN[noun].name


def load(bootstrap: str, prefix: str, events: EventSet) -> None:
    """Create the topics under ``prefix`` and write the whole set and the heartbeats; returns when all is written."""
    logging.getLogger("aiokafka").setLevel(logging.ERROR)  # a new partition takes a moment to find its leader
    ensure_topics(bootstrap, Settings(topic_prefix=prefix, partitions=PARTITIONS))
    asyncio.run(_produce(bootstrap, prefix, events))


async def _produce(bootstrap: str, prefix: str, events: EventSet) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_batch_size=BATCH_BYTES, acks="all")
    await producer.start()
    try:
        logs = [(noun, partition) for noun in TOPICS for partition in range(PARTITIONS)]
        await asyncio.gather(*(_write_partition(producer, prefix, events, *log) for log in logs))
    finally:
        await producer.stop()


async def _write_partition(
    producer: AIOKafkaProducer, prefix: str, events: EventSet, noun: str, partition: int
) -> None:
    topic = topic_name(prefix, noun)
    sent: list[Any] = []
    batch = producer.create_batch()
    for lines in events.lines(noun, partition, 1 << 21):
        for line in lines:
            key, _, value = line.partition(b"\t")
            if batch.append(key=key, value=value, timestamp=None) is None:
                sent.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                batch.append(key=key, value=value, timestamp=None)
    sent.append(await producer.send_batch(batch, topic, partition=partition))
    await asyncio.gather(*sent)
    await producer.send_and_wait(topic, heartbeat(events), key=HEARTBEAT_KEY, partition=partition)


def heartbeat(events: EventSet) -> bytes:
    """The message that says: every event before a minute after the last one was sent."""
    return Heartbeat(event_time_ms=events.end_ms + MINUTE_MS, source="bench").model_dump_json().encode()
