"""Counts from outside the rooms: is every event that was produced stored, rejected, late or a duplicate?

Reads Kafka with a plain consumer and ClickHouse as user reader; uses no code of the rooms.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import BY_NOUN, EVENT_NOUNS
from streams.security.brokers import connection
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse

_RAW = """
SELECT count() FROM (SELECT DISTINCT `partition`, `offset` FROM {table})
"""
_JOINED = """
SELECT sum(events) AS accepted, sum(duplicates) AS duplicates
FROM source_count FINAL
WHERE topic = %(topic)s AND source != %(player)s
"""


@dataclass(frozen=True, slots=True)
class TopicCount:
    """Where the events of one topic are."""

    noun: str
    produced: int
    """Written by the player, heartbeats not counted."""
    in_kafka: int
    raw: int
    dead_letters: int
    accepted: int
    """By the join, late ones within the lateness included."""
    duplicates: int
    too_late: int

    @property
    def lost(self) -> int:
        """Events that are nowhere: not on the topic, not stored, or not seen by the join."""
        unstored = self.in_kafka - self.raw - self.dead_letters
        unjoined = self.in_kafka - self.dead_letters - self.accepted - self.duplicates - self.too_late
        return max(0, self.produced - self.in_kafka, unstored, unjoined)


@dataclass(slots=True)
class ProducedCounts:
    """What the player wrote per topic."""

    events: dict[str, int] = field(default_factory=dict)
    heartbeats: int = 0


async def count(bootstrap: str, settings: Settings, client: ClickHouse, produced: ProducedCounts) -> list[TopicCount]:
    """Count every event topic."""
    consumer = AIOKafkaConsumer(**connection(bootstrap), enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        found = []
        for noun in EVENT_NOUNS:
            topic = BY_NOUN[noun]
            written = await _records(consumer, settings.named(topic.name), settings.partitions)
            dead_letters = await _read(consumer, settings.named(topic.dlq), settings.partitions)
            late = await _read(consumer, settings.named(BY_NOUN["late"].name), settings.partitions, noun)
            joined = client.query(_JOINED, {"topic": noun, "player": "player"}).rows[0]
            beats = produced.heartbeats // len(EVENT_NOUNS)
            found.append(
                TopicCount(
                    noun,
                    produced.events.get(noun, 0),
                    written - beats,
                    int(client.query(_RAW.format(table=f"{noun}_raw")).rows[0][0]),
                    dead_letters,
                    int(joined[0]),
                    int(joined[1]),
                    late,
                )
            )
        return found
    finally:
        await consumer.stop()


async def _records(consumer: AIOKafkaConsumer, topic: str, partitions: int) -> int:
    """Number of records of a topic that is written without transactions: offsets have no holes."""
    tps = [TopicPartition(topic, partition) for partition in range(partitions)]
    first, end = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
    return sum(end[tp] - first[tp] for tp in tps)


async def _read(consumer: AIOKafkaConsumer, topic: str, partitions: int, noun: str = "") -> int:
    """Number of records of a topic with transactions, by reading it; with ``noun`` only late records of that topic."""
    tps = [TopicPartition(topic, partition) for partition in range(partitions)]
    end = await consumer.end_offsets(tps)
    consumer.assign(tps)
    await consumer.seek_to_beginning(*tps)
    records = 0
    wanted = f'"topic":"{noun}"'.encode()
    while any([await consumer.position(tp) < end[tp] for tp in tps]):
        for found in (await consumer.getmany(timeout_ms=500)).values():
            records += sum(1 for record in found if wanted in record.value or not noun)
    return records
