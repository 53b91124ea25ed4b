"""Faust agents on whole fetches: one Faust message = everything one fetch brought, a batch per topic partition.

Faust's path costs about 75 us a message, so it is paid once per fetch. What Faust gives stays stock: group membership
and rebalancing, the agent, flow control, start and stop. What changes:

- a message's value is a ``Fetched``; the schema hands it through undecoded;
- no acknowledgements (``acks=False``): Faust's ack list, its gap rule and its offset commits never run. Positions
  belong to the tasks (``Hooks.positions``), progress to their transactions;
- before a revocation the room flushes (``Hooks.before_revoke``), and every seek goes to the tasks' positions;
- back-pressure is the bounded queue between fetch and agent: a full queue stops the fetching of all topics.

Every private part used here is listed in ``overrides``, and a test checks it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, cast

import aiokafka
import faust
from aiokafka import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.runtime.assignor import CoPartitioned
from streams.runtime.astray import BROUGHT
from streams.runtime.batch import RawBatch, join_batches
from streams.runtime.bulk import install, reader
from streams.security.brokers import connection

REBALANCE_TIMEOUT_MS = 60_000
REQUEST_TIMEOUT_MS = 40_000
POLL_INTERVAL_MS = 86_400_000
"""A room that waits for its sink keeps its partitions; our own watchdog judges whether it is stuck."""
QUEUE_FETCHES = 1
"""Fetches between fetcher and agent; more would only hold more bytes, the fetcher asks for the next one meanwhile."""

Fetched = tuple[RawBatch, ...]
"""At most one batch of each topic partition."""


@dataclass(frozen=True)
class FetchOptions:
    """How a room reads."""

    group: str
    instance: str
    nouns: Mapping[str, str]
    """Wire name with prefix -> noun."""
    bootstrap: str = ""
    """Where the brokers are, with the access to them."""
    session_timeout_ms: int = 10_000
    fetch_max_wait_ms: int = 50
    fetch_min_bytes: int = 1_048_576
    fetch_max_bytes: int = 6_291_456
    partition_bytes: int = 1_048_576
    bulk: bool = True
    """False: aiokafka's per-record objects, 1.6 times the cost, without the private part of its fetcher."""
    native: bool = False
    """True: the accelerator unpacks what it can; needs ``bulk``."""


class Hooks(Protocol):
    """What the shell of a room is asked."""

    fetch_options: FetchOptions

    async def before_revoke(self) -> None:
        """Partitions are about to go: flush, then let go of everything."""

    def positions(self) -> Mapping[TP, int]:
        """Where to read on, for every topic partition of the room's tasks."""


class RoomApp(faust.App):
    """A Faust app that knows its room."""

    hooks: Hooks


class BatchSchema(faust.Schema[Any, Any]):
    """Hands the batch through: the value is decoded by the task, never by Faust."""

    def compile(self, app: Any, **_options: Any) -> Any:
        """Return the function that makes an event of a message."""
        create_event = app.create_event

        async def decode(message: Any, **_propagate: bool) -> Any:
            return create_event(None, message.value, None, message)

        return decode


class BatchThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread with our aiokafka consumer and whole batches."""

    @property
    def fetch_options(self) -> FetchOptions:
        """How the room reads."""
        return cast(RoomApp, self.app).hooks.fetch_options

    def _create_worker_consumer(self, _transport: Any) -> Any:
        """Faust fixes the fetch wait at 1500 ms, which starves batches, and reads uncommitted records."""
        options = self.fetch_options
        if options.bulk:
            install()
        return aiokafka.AIOKafkaConsumer(
            **connection(options.bootstrap),
            client_id=f"{options.group}.{options.instance}",
            group_id=options.group,
            group_instance_id=options.instance,
            partition_assignment_strategy=[CoPartitioned],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            value_deserializer=reader(options.bulk, options.native),
            fetch_max_wait_ms=options.fetch_max_wait_ms,
            fetch_min_bytes=options.fetch_min_bytes,
            fetch_max_bytes=options.fetch_max_bytes,
            max_partition_fetch_bytes=options.partition_bytes,
            session_timeout_ms=options.session_timeout_ms,
            heartbeat_interval_ms=max(500, options.session_timeout_ms // 4),
            rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            max_poll_interval_ms=POLL_INTERVAL_MS,
            metadata_max_age_ms=60_000,
        )

    async def _fetch_records(
        self, consumer: Any, active_partitions: Any, timeout: Any = None, max_records: Any = None
    ) -> Any:
        """One ``RawBatch`` per topic partition instead of a list of records."""
        before = {} if self.fetch_options.bulk else _positions_of(consumer)
        found = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        return {
            TP(tp.topic, tp.partition): self._batch(tp, parts, before.get(tp), consumer) for tp, parts in found.items()
        }

    def _batch(self, tp: Any, parts: list[Any], before: int | None, consumer: Any) -> RawBatch:
        noun = self.fetch_options.nouns[tp.topic]
        if self.fetch_options.bulk:
            return replace(join_batches(parts), topic=noun)
        return batch_of_records(noun, parts, before, consumer._subscription.subscription.assignment.state_value(tp))

    async def commit_group(self, offsets: Mapping[TP, int]) -> None:
        """Commit group offsets; raises aiokafka's errors (Faust's own commit ends the app on most of them)."""
        plain = {TopicPartition(tp.topic, tp.partition): (offset, BROUGHT) for tp, offset in offsets.items()}
        await self.call_thread(self._ensure_consumer().commit, plain)

    async def committed_group(self, tps: list[TP]) -> dict[TP, int]:
        """Committed group offsets of those topic partitions that have one."""
        consumer = self._ensure_consumer()

        async def ask() -> list[Any]:
            return await asyncio.gather(*[consumer.committed(TopicPartition(*tp)) for tp in tps])

        found = dict(zip(tps, await self.call_thread(ask), strict=True))
        return {tp: offset for tp, offset in found.items() if offset is not None}

    def end_of(self, tp: TP) -> int | None:
        """Last stable offset as of the newest fetch; None before the first."""
        state = self._state_of(tp)
        return None if state is None else cast("int | None", state.lso)

    def undecided(self, tp: TP) -> int:
        """Records behind the last stable offset, as of the newest fetch."""
        state = self._state_of(tp)
        return 0 if state is None or state.lso is None else max(0, (state.highwater or 0) - state.lso)

    def _state_of(self, tp: TP) -> Any:
        """What aiokafka keeps about a topic partition; None if it is not assigned."""
        assignment = self._ensure_consumer()._subscription.subscription.assignment
        key = TopicPartition(*tp)
        return assignment.state_value(key) if assignment is not None and key in assignment.tps else None

    def fetched_ago_s(self) -> float | None:
        """Seconds since the last answer to a fetch; None if nothing is assigned."""
        assignment = self._ensure_consumer()._subscription.subscription.assignment
        stamps = [assignment.state_value(tp).timestamp or 0 for tp in assignment.tps] if assignment else []
        return time.time() - max(stamps) / 1_000 if stamps else None

    def partitions_of(self, topic: str) -> int:
        """How many partitions a topic has, as of the client's metadata; 0 if it is unknown."""
        return len(self._ensure_consumer()._client.cluster.partitions_for_topic(topic) or ())

    async def refresh_topics(self) -> None:
        """Ask for the topics' metadata now; a leader of the group that sees a change shares out anew."""
        await self.call_thread(self._ensure_consumer()._client.force_metadata_update)

    def leave_on_stop(self) -> None:
        """Let the stop leave the group although the member is static: others must not wait for its session to end."""
        self._ensure_consumer()._coordinator._group_instance_id = None

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust would look for acknowledgements; our watchdog looks at positions."""

    def close(self) -> None:
        """Faust closes parts of the client from the wrong thread here; stopping the thread closes all of it."""


def _positions_of(consumer: Any) -> dict[Any, int]:
    """Fetch positions before records are taken, for the per-record path."""
    assignment = consumer._subscription.subscription.assignment
    if assignment is None:
        return {}
    states = {tp: assignment.state_value(tp) for tp in assignment.tps}
    return {tp: state.position for tp, state in states.items() if state.has_valid_position}


def batch_of_records(noun: str, records: list[Any], before: int | None, state: Any) -> RawBatch:
    """The per-record path: a ``RawBatch`` out of aiokafka's ``ConsumerRecord`` objects.

    The range starts at the fetch position before they were taken (a seek in between can only have moved it back to the
    first record) and ends at the position after.
    """
    first, last = records[0].offset, records[-1].offset
    dense = last - first + 1 == len(records)
    after = state.position if state.has_valid_position else last + 1
    return RawBatch(
        noun,
        records[0].partition,
        first if before is None else min(before, first),
        max(after, last + 1),
        range(first, last + 1) if dense else [record.offset for record in records],
        [record.key for record in records],
        [record.value for record in records],
        [record.headers for record in records],
        [record.timestamp for record in records],
    )


class BatchConsumer(driver.Consumer):
    """Faust's consumer: batches as messages, positions from the tasks, a flush before every revocation."""

    @property
    def hooks(self) -> Hooks:
        """The shell of the room."""
        return cast(RoomApp, self.app).hooks

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def thread(self) -> BatchThread:
        """The thread that owns the aiokafka consumer."""
        return cast(BatchThread, self._thread)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """At most one message: all that was fetched; nothing while Faust has stopped the flow.

        It carries the topic and partition of its first batch. Faust drops it if it starts below a seek there: then it
        was fetched before the seek of an assignment, which is one of all partitions, and everything in it comes again.
        """
        records, _active = await self._wait_next_records(timeout)
        generation = cast(faust.App, self.app).consumer_generation_id
        if not records or self.should_stop or not self.flow_active:
            return
        fetched = cast("Mapping[TP, RawBatch]", records)
        first = next(iter(fetched))
        yield first, _message(first, tuple(fetched.values()), generation)

    async def perform_seek(self) -> None:
        """Seek to the tasks' positions; group offsets decide nothing."""
        positions = {tp: offset for tp, offset in self.hooks.positions().items() if tp in self.assignment()}
        if positions:
            await self.seek_wait(positions)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Flush while everything is still there; Faust clears its queues only afterwards."""
        await self.hooks.before_revoke()
        await super().on_partitions_revoked(revoked)

    def on_buffer_full(self, tp: TP) -> None:
        """Faust would take the partition out of the fetch and then sleep a second when all are out."""

    def on_buffer_drop(self, tp: TP) -> None:
        """See :meth:`on_buffer_full`."""


def _message(tp: TP, fetched: Fetched, generation: int) -> ConsumerMessage:
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        fetched[0].start,
        0.0,
        0,
        None,
        None,
        cast(Any, fetched),
        None,
        0,
        0,
        tp,
        generation_id=generation,
    )


class BatchTransport(driver.Transport):
    """Faust's Kafka transport with our consumer."""

    Consumer: ClassVar[Any] = BatchConsumer
