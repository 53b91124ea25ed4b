"""What every room has under Kafka: a Faust app, its group, the life cycle of an assignment, and its sign of life.

Life of an assignment: join -> ``_open`` (recover, decide positions) -> seek -> batches and flushes -> revocation or
stop -> last flush -> ``_close``. Aiokafka rebalances eagerly: every rebalance revokes everything, and every assignment
opens everything anew, so no state in memory ever outlives the assignment it belongs to.
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError
from faust.types import TP

from schemas.errors import ConfigError
from schemas.topics import STEADY
from streams.metrics import Metrics
from streams.runtime.batch import RawBatch
from streams.runtime.exits import Die, Guard
from streams.runtime.limits import TaskRules
from streams.runtime.lived import Lived
from streams.runtime.offsets import SourceTopics
from streams.runtime.room import wire_name
from streams.runtime.status import Status
from streams.runtime.tally import RoomTally, Standing, TaskTally
from streams.runtime.transport import (
    QUEUE_FETCHES,
    BatchConsumer,
    BatchSchema,
    BatchTransport,
    Fetched,
    FetchOptions,
    RoomApp,
)
from streams.security.brokers import faust_credentials

log = logging.getLogger("cx.room")

OFFSETS_EVERY_S = 1.0
LOOK_EVERY_S = 1.0
TOPICS_S = 5.0
"""Topics that were just made are not known to every member of a group at once; after that they are missing."""
TOPICS_LOOKS = 5
"""So many looks at least, however slow the machine is."""
BURST_WAIT_MS = 250
"""A room whose inputs come in bursts is answered at the end of each, and asks for nothing in between."""
UNDECIDED_S = 120.0
"""The broker itself ends a transaction that is left alone after 60 s and a few; one that stays longer is forgotten."""


@dataclass(frozen=True)
class Context:
    """What the shells of one worker share. Decided once at the edge."""

    bootstrap: str
    prefix: str
    partitions: int
    instance: str
    folder: Path
    """Where Faust may make its (empty) data folders."""
    metrics: Metrics
    end: Die
    rules: TaskRules = field(default_factory=TaskRules)
    flush_ms: int = 400
    idle_ms: int = 0
    max_skew_ms: int = 3_600_000
    stall_s: float = 90.0
    session_timeout_ms: int = 10_000
    fetch_max_wait_ms: int = 50
    fetch_min_bytes: int = 1_048_576
    fetch_max_bytes: int = 6_291_456
    bulk: bool = True
    native: bool = False
    lived: Lived = field(default_factory=Lived)
    """The clock by which stalls are judged."""


@dataclass
class OpenTransaction:
    """A topic partition whose newest records lie behind an open transaction."""

    end: int
    """Where its readers stand."""
    since: float
    """Monotonic time, s."""
    reported: bool = False


class Shell(ABC):
    """One room under Kafka."""

    def __init__(self, name: str, inputs: Sequence[str], context: Context) -> None:
        """Build the app; nothing is connected before :meth:`start`."""
        self.name = name
        self.context = context
        self.status = Status(name, context.lived)
        self.tally = RoomTally()
        self.nouns = {context.prefix + wire_name(noun): noun for noun in inputs}
        self.topics = {noun: topic for topic, noun in self.nouns.items()}
        self.sources = SourceTopics(name, self.topics)
        lingers = not STEADY.isdisjoint(inputs)
        self.fetch_options = FetchOptions(
            group=f"{context.prefix}cx.{name}",
            instance=context.instance,
            nouns=self.nouns,
            bootstrap=context.bootstrap,
            session_timeout_ms=context.session_timeout_ms,
            fetch_max_wait_ms=context.fetch_max_wait_ms if lingers else BURST_WAIT_MS,
            fetch_min_bytes=context.fetch_min_bytes if lingers else 1,
            fetch_max_bytes=context.fetch_max_bytes,
            partition_bytes=min(1_048_576, context.fetch_max_bytes),
            bulk=context.bulk,
            native=context.native,
        )
        self.app = self._build_app()
        self._accepting = False
        self._opening: asyncio.Task[None] | None = None
        self._loops: list[asyncio.Task[None]] = []
        self._offsets: dict[TP, int] = {}
        self._offsets_at = 0.0
        self._open_transactions: dict[TP, OpenTransaction] = {}

    async def start(self) -> None:
        """Join the group and start working; returns after the first assignment is open."""
        with Guard(self.context.end, f"room {self.name}"):
            self._loops = [
                asyncio.create_task(self._flush_in_time()),
                asyncio.create_task(self._repeat(LOOK_EVERY_S, "look", self._look)),
            ]
            await self.app.start()

    async def drain(self) -> None:
        """Stop reading, flush, let go, and leave the group when the app stops."""
        with Guard(self.context.end, f"draining room {self.name}"):
            await self._let_go()
            self.status.enter("draining")
            if self.consumer.started:
                self.consumer.thread.leave_on_stop()

    async def stop(self) -> None:
        """Stop the app; call after :meth:`drain`."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self.app.stop()

    async def before_revoke(self) -> None:
        """Called by the consumer when a rebalance starts."""
        with Guard(self.context.end, f"revocation in room {self.name}"):
            await self._let_go()
            if self.status.phase != "draining":
                self.status.enter("joining")

    @abstractmethod
    def positions(self) -> Mapping[TP, int]:
        """Where to read on, for every topic partition assigned."""

    @abstractmethod
    def unflushed_bytes(self) -> int:
        """Bytes of records that were read and are not durable yet."""

    @abstractmethod
    def task_tallies(self) -> Mapping[int, TaskTally]:
        """What each partition has done since it was opened."""

    def rows(self) -> int:
        """Rows given to a sink since the start."""
        return 0

    @abstractmethod
    async def flush(self) -> None:
        """Make everything durable that was read so far."""

    @abstractmethod
    async def _open(self, assigned: Mapping[int, set[str]]) -> None:
        """Take over partitions: partition -> nouns."""

    @abstractmethod
    async def _close(self) -> None:
        """Flush and let go of everything."""

    @abstractmethod
    async def _take(self, batch: RawBatch) -> int | None:
        """Work on a batch; an offset to seek back to if the batch does not follow the one before."""

    @property
    def consumer(self) -> BatchConsumer:
        """The room's consumer."""
        found: Any = self.app.consumer
        assert isinstance(found, BatchConsumer)
        return found

    def tp(self, noun: str, partition: int) -> TP:
        """Topic partition of a noun."""
        return TP(self.topics[noun], partition)

    async def commit_offsets(self, offsets: Mapping[TP, int], now: bool = False) -> None:
        """Commit group offsets, at most once a second. They show lag; failing to write them harms nothing."""
        self._offsets.update(offsets)
        if not self._offsets or not (now or time.monotonic() - self._offsets_at >= OFFSETS_EVERY_S):
            return
        chosen, self._offsets, self._offsets_at = self._offsets, {}, time.monotonic()
        try:
            await asyncio.wait_for(self.consumer.thread.commit_group(chosen), 5.0)
            self.context.metrics.offset_commits.labels(self.name, "done").inc()
        except (KafkaError, TimeoutError, AssertionError) as error:
            self.context.metrics.offset_commits.labels(self.name, "failed").inc()
            log.warning("room %s: group offsets not committed (%s)", self.name, type(error).__name__)

    def ends(self) -> dict[TP, tuple[int, int]]:
        """Topic partition -> (position, end as of the newest fetch), where the end is known."""
        thread = self.consumer.thread
        found = {tp: (position, thread.end_of(tp)) for tp, position in self.positions().items()}
        return {tp: (position, end) for tp, (position, end) in found.items() if end is not None}

    def standings(self) -> list[Standing]:
        """Where the inputs stand, of those whose end is known."""
        ends, thread = self.ends(), self.consumer.thread
        return [Standing(self.nouns[tp.topic], tp.partition, *ends[tp], thread.undecided(tp)) for tp in ends]

    def _build_app(self) -> RoomApp:
        app = RoomApp(
            self.fetch_options.group,
            broker=[f"kafka://{address.strip()}" for address in self.context.bootstrap.split(",")],
            broker_credentials=faust_credentials(self.context.bootstrap),
            store="memory://",
            autodiscover=False,
            datadir=str(self.context.folder / self.name),
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            topic_partitions=self.context.partitions,
            topic_replication_factor=1,
            stream_buffer_maxsize=QUEUE_FETCHES,
            stream_wait_empty=False,
            stream_recovery_delay=0.0,
            broker_commit_interval=3_600.0,
            broker_session_timeout=self.context.session_timeout_ms / 1_000,
            broker_request_timeout=40.0,
        )
        app.hooks = self
        app.transport = BatchTransport(app.conf.broker_consumer, app)
        schema = BatchSchema(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        source = app.topic(*self.nouns, schema=schema, acks=False)

        async def read(stream: Any) -> None:
            async for event in stream.noack().events():
                await self._on_message(event.message)

        app.agent(source, name=f"cx.{self.name}.read")(read)
        app.on_rebalance_complete.connect(self._on_assigned, weak=False)
        return app

    async def _on_assigned(self, *_sender: Any, **_signal: Any) -> None:
        """Faust's hook between an assignment and the first fetch: open everything we hold."""
        with Guard(self.context.end, f"assignment in room {self.name}"):
            generation = self.app.consumer_generation_id
            assigned: dict[int, set[str]] = {}
            for tp in self.consumer.assignment():
                assigned.setdefault(tp.partition, set()).add(self.nouns[tp.topic])
            self.status.enter("recovering")
            started = time.monotonic()
            self._opening = asyncio.create_task(self._open(assigned))
            await asyncio.wait([self._opening])
            if self._opening.cancelled():  # by before_revoke: the next rebalance came first
                await self._wait_for_another_generation(generation)
                return
            self._opening.result()
            self.context.metrics.recovery.labels(self.name).set(time.monotonic() - started)
            self.context.metrics.tasks.labels(self.name).set(len(assigned))
            self.status.enter("running")
            self._accepting = True
            log.info("room %s: running with partitions %s", self.name, sorted(assigned))

    async def _wait_for_another_generation(self, generation: int) -> None:
        """A rebalance came during recovery: do not let Faust start the old assignment."""
        while self.app.consumer_generation_id == generation and not self.app.should_stop:
            await asyncio.sleep(0.05)

    async def _let_go(self) -> None:
        """Take no more batches, give up a recovery in progress, flush and close."""
        self._accepting = False
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await asyncio.wait([self._opening])
        await self._close()
        self.context.metrics.forget(self.name)

    async def _on_message(self, message: Any) -> None:
        """Work on the batches of one fetch, in order. Any exception ends the process."""
        with Guard(self.context.end, f"room {self.name}"):
            fetched: Fetched = message.value
            for batch in fetched:
                if not self._accepting or message.generation_id != self.app.consumer_generation_id:
                    return
                back = await self._take(batch)
                if back is None:
                    self.status.saw_batch()
                else:  # no progress: a batch refused again and again is a stall
                    self.context.metrics.lost_ranges.labels(self.name).inc()
                    await self.consumer.seek_wait({self.tp(batch.topic, batch.partition): back})

    async def _look(self) -> None:
        """Once a second: where we stand, for the watchdog, the metrics, ticks and skew."""
        if not self._accepting:
            return
        metrics, ends = self.context.metrics, self.ends()
        for tp, (position, end) in ends.items():
            metrics.lag.labels(self.name, self.nouns[tp.topic], str(tp.partition)).set(max(0, end - position))
        self.sources.refuse_shrunk(ends)
        self._report_undecided(ends)
        metrics.ready.labels(self.name).set(int(self.status.ready))
        metrics.unflushed.labels(self.name).set(self.unflushed_bytes())
        self.status.moved(self.consumer.thread.fetched_ago_s() or 0.0)
        unread = any(position < end for tp, (position, end) in ends.items() if tp not in self.paused())
        if not unread:
            self.status.unread_since = None
        elif self.status.unread_since is None:
            self.status.unread_since = self.status.clock()

    def _report_undecided(self, ends: Mapping[TP, tuple[int, int]]) -> None:
        """What waits behind an open transaction is no lag: readers are at the end as they see it."""
        before, self._open_transactions = self._open_transactions, {}
        for tp, (_, end) in ends.items():
            records = self.consumer.thread.undecided(tp)
            noun, partition = self.nouns[tp.topic], str(tp.partition)
            self.context.metrics.undecided.labels(self.name, noun, partition).set(records)
            if not records:
                continue
            found = before.get(tp)
            if found is None or found.end != end:
                found = OpenTransaction(end, time.monotonic())
            self._open_transactions[tp] = found
            open_s = time.monotonic() - found.since
            if open_s >= UNDECIDED_S and not found.reported:
                found.reported = True
                log.error(
                    "room %s: %d records of %s partition %d cannot be read: the broker has not ended the transaction "
                    "at offset %d for %.0f s (see docs/reliability.md, Defects of the broker)",
                    self.name, records, tp.topic, tp.partition, end, open_s,
                )  # fmt: skip

    def paused(self) -> set[TP]:
        """Topic partitions that are paused on purpose."""
        return set()

    async def await_topics(self, require: Callable[[], None]) -> None:
        """Repeat a check for a while, with fresh metadata; a change of them brings a rebalance, which cancels this.

        ``require`` raises ConfigError, and so does this once the time is over.
        """
        end, looks = time.monotonic() + TOPICS_S, 0
        while True:
            try:
                require()
            except ConfigError:
                looks += 1
                if looks >= TOPICS_LOOKS and time.monotonic() >= end:
                    raise
            else:
                return
            await self.consumer.thread.refresh_topics()
            await asyncio.sleep(TOPICS_S / 10)

    def check_topics(self, expected: Mapping[str, int]) -> None:
        """Raise ConfigError if a topic (noun -> partitions) is missing or has another number of partitions."""
        for noun, wanted in expected.items():
            found = self.consumer.thread.partitions_of(self.topics[noun])
            if found != wanted:
                state = "does not exist" if not found else f"has {found} partitions"
                raise ConfigError(
                    f"topic {self.topics[noun]} {state}, room {self.name} needs {wanted}: "
                    "run `cxwatch topics create`, or set CX_PARTITIONS to what the topics have"
                )

    async def _flush_in_time(self) -> None:
        """Flush for as long as the room runs."""
        await self._repeat(self.context.flush_ms / 1_000, "flush", self.flush)

    async def _repeat(self, every_s: float, doing: str, work: Any) -> None:
        """Call ``work`` again and again; any exception ends the process."""
        with Guard(self.context.end, f"{doing} in room {self.name}"):
            while True:
                await asyncio.sleep(every_s)
                await work()
