"""Live topics as a source of a replay: read, never written, in no group.

What is read is fixed when the source is opened, as offsets: committed ends, or the first offsets that were appended at
a time. Profiles, changes and orders hold until something replaces them, so those of before the stretch are read too.

    telemetry, order, contact            from ============ to
    customer, change, command, control   beginning ======= to
    tick (ticks and cuts)                beginning ======= end

Records that a line wrote into the same topics again (brought to their customer's partition, dead letters that were fed
back) are read as the line read them: the first copy was set aside by it, and is by the replay. Erased customers stay
erased: their tombstones are read, and what the broker has compacted away is gone.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as Read
from aiokafka.errors import KafkaError as ReadError
from aiokafka.errors import OffsetOutOfRangeError
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from schemas.errors import ConfigError, CxError, SinkUnavailable
from schemas.topics import BY_NOUN, EVENT_NOUNS, FROM_COMPANIES, ORDERS
from streams.core.join.native import find
from streams.replay.cuts import TICKS
from streams.replay.source import SourceKind
from streams.runtime.batch import RawBatch
from streams.runtime.bulk import install, reader
from streams.security.brokers import connection
from streams.settings import Settings
from streams.topics import need_topics, partition_counts, topic_ids

NOUNS = (*FROM_COMPANIES, *ORDERS, TICKS)
"""What a replay reads of a line: everything that came from outside, and where it acted. Ticks are last: a cut is
written after the records that it tells of."""
FETCH_BYTES = 8 * 1024 * 1024
AHEAD = 4
"""Fetches that wait to be worked on."""
STALL_S = 30.0
"""A read that does not move for so long has failed."""


class LiveUnreadable(CxError):
    """Topics could not be read to the end that was fixed."""


@dataclass(frozen=True)
class Bound:
    """Where a stretch begins or ends: at a time of appending, or at offsets."""

    time_ms: int | None = None
    """ms since 1970 UTC."""
    offsets: Mapping[str, int] = field(default_factory=dict)
    """``<noun>-<partition>`` -> offset."""

    @classmethod
    def at_offsets(cls, text: str) -> Bound:
        """Read ``telemetry-0=120,order-0=17``. Raises ConfigError."""
        found = {}
        for part in text.split(","):
            name, _, offset = part.strip().partition("=")
            noun, _, number = name.rpartition("-")
            if noun not in NOUNS or not number.isdigit() or not offset.isdigit():
                raise ConfigError(f"{part.strip()!r} is no place in a topic: write telemetry-0=120,order-0=17")
            found[name] = int(offset)
        return cls(offsets=found)


@dataclass
class LiveSource:
    """Topics of a deployment, between fixed offsets. Opens a connection for every log that is read."""

    bootstrap: str
    prefix: str
    partitions: int
    logs: dict[tuple[str, int], tuple[int, int]]
    """(noun, partition) -> first offset and the one after the last."""
    ids: dict[str, str] = field(default_factory=dict)
    """Noun -> id that the broker gave the topic; empty for brokers that give none."""
    name: str = "live"
    kind: SourceKind = "live"
    complete: bool = True
    """A line has read it: what lay on a wrong partition is there a second time."""

    def nouns(self) -> Collection[str]:
        """Nouns that hold records."""
        return {noun for (noun, _), (start, end) in self.logs.items() if start < end}

    def batches(self, noun: str, partition: int, start: int = 0) -> Iterator[RawBatch]:
        """The committed records of a topic partition from an offset on. Raises LiveUnreadable."""
        first, end = self.logs.get((noun, partition), (0, 0))
        first = max(first, start)
        if first >= end:
            return
        topic = self.prefix + BY_NOUN[noun].name
        with closing(read_ahead(self.bootstrap, topic, partition, first, end)) as found:
            for batch in found:
                named = replace(batch, topic=noun)
                yield named if named.next <= end else _before(named, end)

    def records(self, noun: str, partition: int) -> int:
        """Offsets between the bounds: not every one has a record."""
        start, end = self.logs.get((noun, partition), (0, 0))
        return end - start

    def describe(self) -> dict[str, Any]:
        """Offsets per topic partition, and which topics they belong to: one made anew has another id.

        ``begins``: ``empty`` if every event is read that there ever was, as a line began, else ``cold``: the live line
        knew more than the replay does at its start.
        """
        offsets = {f"{noun}-{number}": list(found) for (noun, number), found in sorted(self.logs.items())}
        cold = any(start > 0 for (noun, _), (start, _) in self.logs.items() if noun in EVENT_NOUNS)
        return {
            "kind": self.kind, "name": self.name, "begins": "cold" if cold else "empty", "prefix": self.prefix,
            "offsets": offsets, "topics": self.ids,
        }  # fmt: skip


def open_live(
    settings: Settings, bootstrap: str, since: Bound | None = None, until: Bound | None = None,
    nouns: Sequence[str] = NOUNS,
) -> LiveSource:  # fmt: skip
    """Fix what is read: ends are looked at in the order of ``nouns``.

    Raises ConfigError if a topic is missing or an offset lies outside, SinkUnavailable.
    """
    need_topics(bootstrap, settings, nouns)
    names = {noun: settings.named(BY_NOUN[noun].name) for noun in nouns}
    counts = partition_counts(bootstrap, names.values())
    try:
        with closing(
            KafkaConsumer(**connection(bootstrap), group_id=None, isolation_level="read_committed")
        ) as consumer:
            logs = {
                (noun, number): _stretch(consumer, noun, number, names[noun], since or Bound(), until or Bound())
                for noun in nouns
                for number in range(counts[names[noun]])
            }
    except KafkaError as error:
        raise SinkUnavailable(f"Kafka at {bootstrap}") from error
    ids = topic_ids(bootstrap, names.values())
    known = {noun: ids[name] for noun, name in names.items() if name in ids}
    return LiveSource(bootstrap, settings.topic_prefix, max(counts.values()), logs, known)


def _stretch(consumer: Any, noun: str, partition: int, topic: str, since: Bound, until: Bound) -> tuple[int, int]:
    """First offset and the one after the last."""
    tp = TopicPartition(topic, partition)
    first, last = consumer.beginning_offsets([tp])[tp], consumer.end_offsets([tp])[tp]
    start, end, name = first, last, f"{noun}-{partition}"
    if noun in EVENT_NOUNS or name in since.offsets:
        start = _offset_of(consumer, tp, name, since, first, (first, last))
    if noun != TICKS or name in until.offsets:
        end = _offset_of(consumer, tp, name, until, last, (first, last))
    return start, max(start, end)


def _offset_of(consumer: Any, tp: Any, name: str, bound: Bound, otherwise: int, there: tuple[int, int]) -> int:
    """The offset where a bound lies in a topic partition; ``otherwise`` if it says nothing about it."""
    first, last = there
    if name in bound.offsets:
        offset = bound.offsets[name]
        if not first <= offset <= last:
            raise ConfigError(f"{name}={offset} is not on the topic: it holds offsets {first} to {last}")
        return offset
    if bound.time_ms is None:
        return otherwise
    found = consumer.offsets_for_times({tp: bound.time_ms})[tp]
    return last if found is None else min(max(int(found.offset), first), last)


def _before(batch: RawBatch, end: int) -> RawBatch:
    """The part before an offset."""
    size = next((at for at, offset in enumerate(batch.offsets) if offset >= end), len(batch))
    part = batch.pick(range(size))
    return replace(part, next=end)


def read_ahead(bootstrap: str, topic: str, partition: int, start: int, end: int) -> Generator[RawBatch, None, None]:
    """Whole record batches from ``start`` to ``end`` or a little more, fetched in a thread of its own."""
    fetched: queue.Queue[RawBatch | None] = queue.Queue(AHEAD)
    left = threading.Event()

    def put(item: RawBatch | None) -> None:
        while not left.is_set():
            try:
                fetched.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    async def fetch() -> None:
        async for batch in _fetch(bootstrap, topic, partition, start, end):
            put(batch)
            if left.is_set():
                return

    def run() -> None:
        try:
            asyncio.run(fetch())
        finally:
            put(None)

    with ThreadPoolExecutor(1, thread_name_prefix=f"read {topic}-{partition}") as threads:
        reading = threads.submit(run)
        try:
            while (found := fetched.get()) is not None:
                yield found
            reading.result()
        except OffsetOutOfRangeError as error:
            raise LiveUnreadable(
                f"{topic}, partition {partition}: retention has deleted what was to be read; begin later with --from"
            ) from error
        except (ReadError, TimeoutError, OSError) as error:
            raise LiveUnreadable(
                f"{topic}, partition {partition} could not be read to offset {end} ({type(error).__name__})"
            ) from error
        finally:
            left.set()


async def _fetch(bootstrap: str, topic: str, partition: int, start: int, end: int) -> AsyncIterator[RawBatch]:
    install()
    consumer = AIOKafkaConsumer(
        **connection(bootstrap), isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="none",
        max_partition_fetch_bytes=FETCH_BYTES, value_deserializer=reader(True, find() is not None),
    )  # fmt: skip
    try:
        await consumer.start()
        tp = Read(topic, partition)
        consumer.assign([tp])
        consumer.seek(tp, start)
        while (position := await consumer.position(tp)) < end:
            found = await asyncio.wait_for(_more(consumer, tp, position), STALL_S)
            for batch in found:
                yield batch
    finally:
        await consumer.stop()


async def _more(consumer: Any, tp: Any, position: int) -> list[RawBatch]:
    """Batches, or nothing if only markers were passed."""
    while True:
        found = (await consumer.getmany(tp, timeout_ms=200)).get(tp, [])
        if found or await consumer.position(tp) > position:
            return list(found)
