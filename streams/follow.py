"""A company's own topic -> our topics, through a mapping, for ever: ``cxwatch follow MAPPING TOPIC``.

Each message holds one JSON object (the mapping's format is ndjson). Offsets of the source are committed after the
mapped events are acknowledged, so a crash repeats events and loses none; event ids are stable, so the join counts each
once. Time passes with the wall clock: the source's heartbeat vouches for everything older than its allowed delay.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from schemas.errors import ConfigError, SinkUnavailable
from schemas.topics import MINUTE_MS
from streams.arrivals import EVENT_NOUNS, Arrival, heartbeats
from streams.brokers import connection
from streams.play import Target, Write, writer
from streams.sources import Mapping, Span, Tally, map_messages

log = logging.getLogger("cx.source")
HEARTBEAT_S = 10.0
POLL_MS = 500


@dataclass(frozen=True, slots=True)
class Followed:
    """What to follow. ``delay_ms``: an event reaches the company's topic at most this long after it happened."""

    mapping: Mapping
    topic: str
    delay_ms: int = MINUTE_MS

    @property
    def source(self) -> str:
        """Name of the heartbeats' producer."""
        return f"follow-{self.mapping.name}"


async def follow(what: Followed, target: Target, tally: Tally, stopping: asyncio.Event) -> None:
    """Map until ``stopping`` is set. Raises ConfigError for an absent topic, SinkUnavailable if Kafka is away."""
    if what.mapping.shape.format != "ndjson":
        raise ConfigError(f"mapping {what.mapping.name}: input.format must be ndjson to follow a topic")
    consumer = AIOKafkaConsumer(
        **connection(target.bootstrap), group_id=f"{target.prefix}cx.source.{what.mapping.name}",
        enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed",
    )  # fmt: skip
    try:
        await consumer.start()
        if what.topic not in await consumer.topics():
            raise ConfigError(f"there is no topic {what.topic} on {target.bootstrap}")
        consumer.subscribe([what.topic])
        async with writer(target) as write:
            await _run(consumer, what, target, (write, tally), stopping)
    except KafkaError as error:
        raise SinkUnavailable(f"Kafka at {target.bootstrap} ({type(error).__name__})") from error
    finally:
        await consumer.stop()


async def _run(
    consumer: AIOKafkaConsumer, what: Followed, target: Target, out: tuple[Write, Tally], stopping: asyncio.Event
) -> None:
    """Poll, map, write, commit; a heartbeat now and then, also when nothing comes."""
    write, tally = out
    beat = 0.0
    while not stopping.is_set():
        fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=2_000)
        for place, records in fetched.items():
            rows = [(record.offset, record.value or b"") for record in records]
            mapped = list(map_messages(what.mapping, rows, f"{place.topic}-{place.partition}", tally, Span()))
            if mapped:
                await write(mapped)
        if fetched:
            await write.drain()
            await consumer.commit()
        if time.monotonic() - beat >= HEARTBEAT_S:
            beat = time.monotonic()
            await write(list(_beats(what, target.partitions)))


def _beats(what: Followed, partitions: int) -> Iterable[Arrival]:
    now_ms = time.time_ns() // 1_000_000
    return heartbeats(now_ms, now_ms - what.delay_ms, partitions, what.source, EVENT_NOUNS)


async def until_signal(what: Followed, target: Target, tally: Tally) -> None:
    """Follow until SIGTERM or Ctrl-C."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    log.info("following %s with mapping %s", what.topic, what.mapping.name)
    await follow(what, target, tally, stopping)
