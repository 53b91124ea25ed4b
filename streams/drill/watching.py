"""What the line makes of a drill, read from its topics and tables while it goes on; in no group, nothing is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.codec import decode
from schemas.drills import PREFIX
from schemas.errors import SinkUnavailable
from schemas.topics import BY_NOUN, DLQ_SUFFIX, EVENT_NOUNS
from streams.drill.stages import DrillProgress
from streams.security.brokers import connection
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse
from streams.topics import need_topics, partition_counts

FINDINGS = ("cohort_count", "issue", "affected", "impact", "outreach", "delivery")

_STORED = """
SELECT
    (SELECT count() FROM affected_latest WHERE issue_id = %(issue)s) AS affected,
    (SELECT count() FROM outreach_latest WHERE issue_id = %(issue)s AND reason = 'drill') AS refused,
    (SELECT count() FROM issue_latest WHERE issue_id = %(issue)s) AS issues
"""
_SHOWN = "SELECT count() FROM issue_board WHERE issue_id = %(issue)s AND drill AND startsWith(title, 'DRILL: ')"
_GOING_ON = "SELECT issue_id FROM issue_overview WHERE drill AND ongoing AND line = %(line)s"


class Watch:
    """Reads what is new on the topics of findings, and the dead letters of one topic of events."""

    def __init__(self, consumer: AIOKafkaConsumer, nouns: Mapping[str, str]) -> None:
        """``nouns``: wire name -> noun; the consumer stands where the drill begins."""
        self._consumer = consumer
        self._nouns = nouns

    async def look(self, progress: DrillProgress, after_s: float, timeout_ms: int = 200) -> None:
        """Let ``progress`` take in what has come since the last look. Raises SinkUnavailable."""
        try:
            found = await self._consumer.getmany(timeout_ms=timeout_ms)
        except KafkaError as error:
            raise SinkUnavailable(f"Kafka ({type(error).__name__})") from error
        for tp, rows in sorted(found.items()):
            noun = self._nouns[tp.topic]
            if noun.endswith(DLQ_SUFFIX):
                progress.rejected += sum((row.key or b"").startswith(PREFIX.encode()) for row in rows)
                continue
            for record in decode(noun, [row.value for row in rows], [row.key for row in rows]).records:
                progress.note(noun, record, after_s)


@asynccontextmanager
async def watching(settings: Settings, bootstrap: str, events: str) -> AsyncIterator[Watch]:
    """A watch from now on; ``events``: noun of the events that are played. Raises ConfigError, SinkUnavailable."""
    await asyncio.to_thread(need_topics, bootstrap, settings, (*FINDINGS, *EVENT_NOUNS))
    nouns = {settings.named(BY_NOUN[noun].name): noun for noun in FINDINGS}
    nouns[settings.named(BY_NOUN[events].dlq)] = f"{events}{DLQ_SUFFIX}"
    tps = await asyncio.to_thread(_partitions, bootstrap, nouns)
    consumer = AIOKafkaConsumer(
        **connection(bootstrap), isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="latest"
    )
    try:
        await consumer.start()
        consumer.assign(tps)
        for tp, end in (await consumer.end_offsets(tps)).items():
            consumer.seek(tp, end)
        yield Watch(consumer, nouns)
    except KafkaError as error:
        raise SinkUnavailable(f"Kafka ({type(error).__name__})") from error
    finally:
        await consumer.stop()


def _partitions(bootstrap: str, nouns: Mapping[str, str]) -> list[TopicPartition]:
    """All partitions; of a topic that says the same on each, the first."""

    def found() -> Iterator[TopicPartition]:
        for name, count in sorted(partition_counts(bootstrap, nouns).items()):
            noun = nouns[name]
            once = noun in BY_NOUN and BY_NOUN[noun].broadcast
            yield from (TopicPartition(name, number) for number in range(1 if once else count))

    return list(found())


async def flowing(settings: Settings, bootstrap: str, within_s: float) -> bool:
    """True if any message comes on the topics of events within this time. Raises SinkUnavailable."""
    nouns = {settings.named(BY_NOUN[noun].name): noun for noun in EVENT_NOUNS}
    tps = await asyncio.to_thread(_partitions, bootstrap, nouns)
    consumer = AIOKafkaConsumer(**connection(bootstrap), enable_auto_commit=False)
    try:
        await consumer.start()
        before = await consumer.end_offsets(tps)
        await asyncio.sleep(within_s)
        return bool(await consumer.end_offsets(tps) != before)
    except KafkaError as error:
        raise SinkUnavailable(f"Kafka ({type(error).__name__})") from error
    finally:
        await consumer.stop()


def look_at_tables(client: ClickHouse, progress: DrillProgress, after_s: float) -> None:
    """Take in what ClickHouse holds of the drill's issue, and whether its board would show it."""
    asked: dict[str, Any] = {"issue": progress.issue_id}
    if all(client.query(_STORED, asked).rows[0]):
        progress.reach("stored", after_s)
    if client.query(_SHOWN, asked).rows[0][0]:
        progress.reach("board", after_s)


def going_on(client: ClickHouse, line: str) -> list[str]:
    """Issues of earlier drills of this line that were not ended."""
    return [str(row[0]) for row in client.query(_GOING_ON, {"line": line}).rows]
