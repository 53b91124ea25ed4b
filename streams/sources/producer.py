"""Messages into Kafka in arrival order: flat out, or as fast as a multiple of event time; whole batches per partition.

Order is kept per partition (one idempotent producer), which is all the line relies on. A customer's partition is Java's
murmur2 of the key; heartbeats carry theirs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.codec import partition_of
from schemas.errors import SinkUnavailable
from schemas.events import HEARTBEAT_KEY
from schemas.topics import BY_NOUN
from streams.security.brokers import connection
from streams.sources.arrivals import Arrival
from streams.sources.presence import ended, started, while_present

CHUNK = 2_000
"""Messages handed over at a stretch."""
TICK_S = 0.05
"""Paced play sends what is due this often."""
BATCH_BYTES = 262_144
_IN_FLIGHT = 64


@dataclass(frozen=True, slots=True)
class PlaySpeed:
    """``speed`` times event time (None: flat out), the part before ``flat_until_ms`` always flat out."""

    speed: float | None = None
    flat_until_ms: int = 0


@dataclass(slots=True)
class Played:
    """What was written: messages per topic (wire name without prefix), heartbeats apart."""

    events: dict[str, int] = field(default_factory=dict)
    dead_letters: int = 0
    heartbeats: int = 0
    first_ms: int = 0
    now_ms: int = 0
    """Arrival time reached."""
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """All messages but heartbeats and dead letters."""
        return sum(self.events.values())


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to: brokers, prefix of the topics, customer partitions."""

    bootstrap: str
    prefix: str
    partitions: int


Watch = Callable[[Played], None]


async def play(arrivals: Iterable[Arrival], target: Destination, pace: PlaySpeed, watch: Watch | None = None) -> Played:
    """Write all messages and return once the broker has them all. Raises SinkUnavailable if it does not take them."""
    played, started = Played(), time.monotonic()
    async with writer(target) as write:
        async for chunk in _paced(iter(arrivals), pace):
            await write(chunk)
            _count(played, chunk)
            played.seconds = time.monotonic() - started
            if watch is not None:
                watch(played)
    played.seconds = time.monotonic() - started
    return played


def _count(played: Played, chunk: list[Arrival]) -> None:
    for arrival in chunk:
        if arrival.headers:
            played.dead_letters += 1
        elif arrival.key == HEARTBEAT_KEY:
            played.heartbeats += 1
        else:
            played.events[arrival.noun] = played.events.get(arrival.noun, 0) + 1
    played.first_ms = played.first_ms or chunk[0].at_ms
    played.now_ms = chunk[-1].at_ms


async def _paced(arrivals: Iterator[Arrival], pace: PlaySpeed) -> AsyncIterator[list[Arrival]]:
    """Cut the stream into chunks of what is due."""
    chunk: list[Arrival] = []
    start_wall, start_ms, due_ms = 0.0, 0, 0
    for arrival in arrivals:
        flat = pace.speed is None or arrival.at_ms < pace.flat_until_ms
        if not flat and not start_ms:
            start_wall, start_ms = time.monotonic(), arrival.at_ms
        while not flat and arrival.at_ms > due_ms:
            due_ms = start_ms + int((time.monotonic() - start_wall) * 1000 * (pace.speed or 1.0))
            if arrival.at_ms <= due_ms:
                break
            if chunk:
                yield chunk
                chunk = []
            await asyncio.sleep(min(TICK_S, (arrival.at_ms - due_ms) / 1000 / (pace.speed or 1.0)))
        chunk.append(arrival)
        if len(chunk) >= CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class Write:
    """Writes lists of messages; they are acknowledged when :meth:`drain` returns."""

    def __init__(self, producer: AIOKafkaProducer, target: Destination) -> None:
        """``producer`` is started already."""
        self._producer = producer
        self._target = target
        self._pending: set[asyncio.Future[Any]] = set()

    async def __call__(self, chunk: list[Arrival]) -> None:
        """Hand over messages; waits only while too many are unacknowledged."""
        groups: dict[tuple[str, int], list[Arrival]] = {}
        for arrival in chunk:
            groups.setdefault(_route(arrival, self._target), []).append(arrival)
        for (topic, partition), messages in groups.items():
            await _send(self._producer, topic, partition, messages, self._pending)
        while len(self._pending) > _IN_FLIGHT:
            await _settle(self._pending, asyncio.FIRST_COMPLETED)

    async def drain(self) -> None:
        """Wait until everything is acknowledged."""
        while self._pending:
            await _settle(self._pending, asyncio.ALL_COMPLETED)


@asynccontextmanager
async def writer(target: Destination) -> AsyncIterator[Write]:
    """Something that writes messages; on leaving, everything is acknowledged.

    Raises SinkUnavailable if there is no Kafka, BrokerGone if it goes away while the block runs.
    """
    producer = AIOKafkaProducer(
        **connection(target.bootstrap), enable_idempotence=True, max_batch_size=BATCH_BYTES, linger_ms=0,
        max_request_size=4 * 1024 * 1024, request_timeout_ms=30_000,
    )  # fmt: skip
    try:
        await started(producer.start(), target.bootstrap)
        async with while_present(producer.client, target.bootstrap):
            write = Write(producer, target)
            yield write
            await write.drain()
    except KafkaError as error:
        raise SinkUnavailable(f"Kafka at {target.bootstrap} ({type(error).__name__})") from error
    finally:
        await ended(producer.stop())


async def _settle(pending: set[asyncio.Future[Any]], until: str) -> None:
    done, _ = await asyncio.wait(pending, return_when=until)
    pending.difference_update(done)
    for future in done:
        future.result()


def _route(arrival: Arrival, target: Destination) -> tuple[str, int]:
    """Topic on the wire and partition of a message."""
    topic = BY_NOUN[arrival.noun]
    name = target.prefix + (topic.dlq if arrival.headers else topic.name)
    if arrival.partition is not None:
        return name, arrival.partition
    if topic.partitioning == "one" or arrival.key is None or arrival.headers:
        return name, 0
    return name, partition_of(arrival.key, target.partitions)


async def _send(
    producer: AIOKafkaProducer, topic: str, partition: int, messages: list[Arrival], pending: set[asyncio.Future[Any]]
) -> None:
    """Whole batches: 10 times cheaper than a send per message. A message larger than a batch goes alone."""
    batch = producer.create_batch()
    for message in messages:
        fits = batch.append(timestamp=None, key=message.key, value=message.value, headers=list(message.headers))
        if fits is None:
            if batch.record_count():
                pending.add(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(timestamp=None, key=message.key, value=message.value, headers=list(message.headers))
    pending.add(await producer.send_batch(batch, topic, partition=partition))
