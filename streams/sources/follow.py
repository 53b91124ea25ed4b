"""A company's own topic -> our topics, through a mapping, for ever: ``cxwatch follow MAPPING TOPIC``.

Each message holds one JSON object or a list of them (the mapping's format is ndjson or json). Offsets of the source are
committed after the mapped events are acknowledged, so a crash repeats events and loses none; event ids are stable, so
the join counts each once. Partitions of the source are merged by event time (``streams.sources.merge``), and the
heartbeat vouches only for what was read and written; how far each partition came is kept beside its offset, for the
next owner.

One follower of a mapping reads, others of the same group stand by: two that read half of a backlog each could neither
merge it nor vouch for it.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, IllegalStateError, InconsistentGroupProtocolError, KafkaError

from schemas.errors import ConfigError, SinkUnavailable
from schemas.topics import BY_NOUN, EVENT_NOUNS, MINUTE_MS
from streams.security.brokers import connection
from streams.sources import Mapping, RowCounts, map_each
from streams.sources.arrivals import Arrival, heartbeats
from streams.sources.assignor import OneReads, client_name
from streams.sources.keying import FollowedCustomers, followed_customers
from streams.sources.merge import Merge, Read, read_of
from streams.sources.presence import ended, started
from streams.sources.producer import Destination, Write, writer

log = logging.getLogger("cx.source")
HEARTBEAT_S = 10.0
HEARTBEAT_MS = MINUTE_MS
"""Of a backlog a heartbeat follows every minute of event time, as when a file is played."""
IDLE_MS = 500
"""Wait for more where nothing is at hand."""
BLOCKED_MS = 50
"""Wait for a partition that holds the others back, before it is asked for its end."""
MOST_ROWS = 2_000
"""Rows fetched, and rows written, at a stretch."""
PROVEN_S = 3.0
"""A commit that the group accepted so recently proves that the partitions are still ours."""
AGAIN_S = 0.2
_APPEND_TIME = 1


@dataclass(frozen=True, slots=True)
class Followed:
    """What to follow. ``delay_ms``: an event reaches the company's topic at most this long after it happened."""

    mapping: Mapping
    topic: str
    delay_ms: int = MINUTE_MS
    links: Path | None = None
    """Where links between identifiers are kept; needed if the mapping lists several for one customer."""
    links_from: Path | None = None
    """A file of links that are known before anything is read."""

    @property
    def source(self) -> str:
        """Name of the heartbeats' producer."""
        return f"follow-{self.mapping.name}"

    @property
    def span_ms(self) -> int:
        """Event time written between two commits: what a crash writes twice is still known as duplicates."""
        nouns = [noun for noun in self.mapping.nouns if noun in EVENT_NOUNS]
        return min((BY_NOUN[noun].lateness_ms for noun in nouns), default=10 * MINUTE_MS) // 2


async def follow(what: Followed, target: Destination, tally: RowCounts, stopping: asyncio.Event) -> None:
    """Map until ``stopping`` is set. Raises ConfigError for an absent topic, SinkUnavailable if Kafka is away."""
    if what.mapping.shape.format == "csv":
        raise ConfigError(f"mapping {what.mapping.name}: input.format must be ndjson or json to follow a topic")
    if what.mapping.joins:
        raise ConfigError(f"mapping {what.mapping.name}: joins are for files (cxwatch play), not for a topic")
    group = f"{target.prefix}cx.source.{what.mapping.name}"
    consumer = AIOKafkaConsumer(
        **connection(target.bootstrap), group_id=group, client_id=client_name(),
        partition_assignment_strategy=(OneReads,), enable_auto_commit=False, auto_offset_reset="earliest",
        isolation_level="read_committed", request_timeout_ms=30_000,
    )  # fmt: skip
    try:
        await started(consumer.start(), target.bootstrap)
        if what.topic not in await consumer.topics():
            raise ConfigError(f"there is no topic {what.topic} on {target.bootstrap}")
        known = followed_customers(what.mapping, what.topic, what.links, target, what.links_from)
        async with known as customers, writer(target) as write:
            follower = Follower(consumer, group, what, target, customers)
            consumer.subscribe([what.topic], listener=follower)
            await follower.run(write, tally, stopping)
    except InconsistentGroupProtocolError as error:
        raise ConfigError(f"a follower of {what.mapping.name} by an older cxwatch still runs: end it first") from error
    except KafkaError as error:
        raise SinkUnavailable(f"Kafka at {target.bootstrap} ({type(error).__name__})") from error
    finally:
        await ended(consumer.stop())


class Follower:
    """Reads what it is given, merges, writes, commits, vouches."""

    def __init__(
        self, consumer: AIOKafkaConsumer, group: str, what: Followed, target: Destination,
        customers: FollowedCustomers | None = None,
    ) -> None:
        """``consumer`` is started and not yet subscribed; ``customers`` of a mapping that looks them up."""
        self._consumer = consumer
        self._group = group
        self._what = what
        self._target = target
        self._customers = customers
        self._merge: Merge | None = None
        self._next: dict[int, int] = {}
        """Offset behind what was written, per partition."""
        self._epoch = 0
        """Moves on with every change of what is ours."""
        self._busy = asyncio.Lock()
        self._proved_s = self._beat_s = 0.0
        self._vouched_ms = 0

    async def on_partitions_revoked(self, _revoked: object) -> None:
        """Wait for what is being written; what was read but not written is read again by the next owner."""
        self._epoch += 1
        async with self._busy:
            self._merge = None

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Begin anew, before anything of the new assignment can have been read."""
        self._epoch += 1
        self._merge = None
        role = f"reading {len(assigned)} partitions" if assigned else "standing by, another follower reads"
        log.info("%s: %s", self._what.topic, role)

    async def run(self, write: Write, tally: RowCounts, stopping: asyncio.Event) -> None:
        """Follow until ``stopping`` is set."""
        while not stopping.is_set():
            merge = self._merge or await self._begin()
            if merge is None:
                continue
            await self._fetch(merge)
            async with self._busy:
                if merge is self._merge:
                    await self._hand_on_what_is_ours(merge, write, tally)

    async def _begin(self) -> Merge | None:
        """Seek to where the last owner stopped; None while no partition is ours, or if that changes meanwhile."""
        epoch, tps = self._epoch, sorted(self._consumer.assignment())
        if not tps:
            await self._consumer.getmany(timeout_ms=IDLE_MS)  # stands by; who does not poll is put out of the group
            return None
        before = await self._written_before(tps)
        try:
            self._next = {tp.partition: await self._seek(tp, before[tp][0]) for tp in tps}
        except IllegalStateError:
            return None
        if epoch != self._epoch:
            return None
        if self._customers is not None:
            self._customers.begin({tp.partition: offset for tp, (offset, _) in before.items()})
        self._proved_s = 0.0
        self._merge = Merge({tp.partition: before[tp][1] for tp in tps}, self._what.delay_ms)
        return self._merge

    async def _written_before(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Offset (-1: none) and newest event time that owners before committed, per partition."""
        admin = AIOKafkaAdminClient(**connection(self._target.bootstrap))
        try:
            await started(admin.start(), self._target.bootstrap)
            found = await _committed(admin, self._group, list(tps))
        finally:
            await ended(admin.close())
        known = {tp: (committed.offset, committed.metadata or "") for tp, committed in found.items()}
        read = {tp: known.get(tp, (-1, "")) for tp in tps}
        return {tp: (offset, int(note) if note.isdecimal() else 0) for tp, (offset, note) in read.items()}

    async def _seek(self, tp: TopicPartition, offset: int) -> int:
        if offset < 0:
            await self._consumer.seek_to_beginning(tp)
        else:
            self._consumer.seek(tp, offset)
        return int(await self._consumer.position(tp))

    async def _fetch(self, merge: Merge) -> None:
        """Read more of the partitions that need it."""
        wanted = [self._tp(number) for number in merge.to_read()]
        if not wanted:
            return
        wait_ms = IDLE_MS if not merge.buffered else BLOCKED_MS if merge.blocking() else 0
        fetched = await self._consumer.getmany(*wanted, timeout_ms=wait_ms, max_records=MOST_ROWS)
        now_ms = _now_ms()
        if merge is not self._merge:
            return  # the next owner, perhaps this process, seeks back to what was committed
        for tp, records in fetched.items():
            rows = [(record.offset, record.value or b"") for record in records]
            latest = [record.timestamp if record.timestamp_type == _APPEND_TIME else now_ms for record in records]
            mapped = map_each(self._what.mapping, rows, f"{tp.topic}-{tp.partition}", RowCounts())
            read = (
                read_of(one.offset, one.arrivals, latest_ms, one.named)
                for one, latest_ms in zip(mapped, latest, strict=True)
            )
            merge.add(tp.partition, read, now_ms)

    async def _hand_on_what_is_ours(self, merge: Merge, write: Write, tally: RowCounts) -> None:
        try:
            for row in await self._hand_on(merge, write):
                _count(tally, row)
        except (CommitFailedError, IllegalStateError) as error:
            log.info("the partitions have gone to another follower (%s)", type(error).__name__)
            self._merge = None

    async def _hand_on(self, merge: Merge, write: Write) -> list[Read]:
        """Write what is next, commit it, vouch for it; returns what was written."""
        if blocking := merge.blocking():
            await self._ask(merge, blocking)
        rows = merge.take(MOST_ROWS, self._what.span_ms)
        if rows:
            if time.monotonic() - self._proved_s > PROVEN_S:
                await self._commit(merge)
            await write(self._arrivals(rows))
            await write.drain()
            self._next.update({number: row.offset + 1 for number, row in rows})
            await self._commit(merge)
        await self._vouch(merge, write)
        return [row for _, row in rows]

    def _arrivals(self, rows: list[tuple[int, Read]]) -> list[Arrival]:
        if self._customers is None:
            return [arrival for _, row in rows for arrival in row.arrivals]
        return self._customers.keyed(rows, self._next)

    async def _ask(self, merge: Merge, numbers: Iterable[int]) -> None:
        """Find those of the partitions that are read to their end; asked only now, so that the answer cannot be old."""
        asked_ms, tps = _now_ms(), [self._tp(number) for number in numbers]
        ends = await self._consumer.end_offsets(tps)
        done = [tp for tp in tps if await self._consumer.position(tp) >= ends[tp]]
        merge.at_end([tp.partition for tp in done if not self._undecided(tp)], asked_ms)

    def _undecided(self, tp: TopicPartition) -> bool:
        """True if a transaction of the company's own is open: what it holds can be older than what comes after it."""
        end, stable = self._consumer.highwater(tp), self._consumer.last_stable_offset(tp)
        return end is not None and stable is not None and 0 <= stable < end

    async def _commit(self, merge: Merge) -> None:
        """Offsets, each with the newest event time. Raises CommitFailedError if the group has gone on without us."""
        offsets = {self._tp(number): (offset, str(merge.newest_ms(number))) for number, offset in self._next.items()}
        await self._consumer.commit(offsets)
        self._proved_s = time.monotonic()

    async def _vouch(self, merge: Merge, write: Write) -> None:
        """A heartbeat if it says something new: every minute of a backlog, or every ten seconds."""
        due = time.monotonic() - self._beat_s >= HEARTBEAT_S
        if due:
            self._beat_s = time.monotonic()
            await self._ask(merge, merge.partitions)
            if self._customers is not None:
                await self._customers.carry_out_erasures(self._next)
        vouched_ms = merge.vouched_ms()
        if vouched_ms <= self._vouched_ms or not (due or vouched_ms - self._vouched_ms >= HEARTBEAT_MS):
            return
        self._vouched_ms = vouched_ms
        await write(list(heartbeats(_now_ms(), vouched_ms, self._target.partitions, self._what.source, EVENT_NOUNS)))
        await write.drain()

    def _tp(self, number: int) -> TopicPartition:
        return TopicPartition(self._what.topic, number)


ConsumerRebalanceListener.register(Follower)


def _count(tally: RowCounts, row: Read) -> None:
    """Count what became of a row, once it is written; what was read but not written is counted by the next owner."""
    tally.rows += 1
    tally.unmatched += not row.arrivals
    for arrival in row.arrivals:
        if arrival.headers:
            tally.rejected += 1
        else:
            tally.events[arrival.noun] = tally.events.get(arrival.noun, 0) + 1


async def _committed(admin: AIOKafkaAdminClient, group: str, tps: list[TopicPartition]) -> dict[TopicPartition, Any]:
    """What a group committed; waits for a coordinator that is just being made or moved."""
    while True:
        try:
            return dict(await admin.list_consumer_group_offsets(group, partitions=tps))
        except KafkaError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(AGAIN_S)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def until_signal(what: Followed, target: Destination, tally: RowCounts) -> None:
    """Follow until SIGTERM or Ctrl-C."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    log.info("following %s with mapping %s", what.topic, what.mapping.name)
    await follow(what, target, tally, stopping)
