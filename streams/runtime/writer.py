"""One transaction per flush: whole record batches, explicit partitions, any error is the end of the process.

Order: begin, send every batch, wait for every acknowledgement, commit, and only then group offsets (the caller). A
producer whose ``transactional.id`` was taken over is fenced: its open writes are never seen by a reader of committed
records. The producer is never reused after an error, because the outcome of its transaction may be unknown.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from schemas.errors import Fenced
from streams.core.join.native import require
from streams.runtime.exits import KafkaFailed
from streams.runtime.transaction import Transaction, Write
from streams.security.brokers import connection

BATCH_BYTES = 262_144
"""Size at which a record batch is closed; a larger single record travels alone."""
REQUEST_BYTES = 64 * 1024 * 1024
"""Largest record the client lets pass: the topic's own limit decides, not the client."""
TRANSACTION_TIMEOUT_MS = 60_000
"""The broker aborts a transaction that takes longer; its open writes hold up readers for at most this long.

A worker that was killed holds them up only until its successor fences it. Shorter is not better: on a machine that is
busy with something else a flush of a large backlog was seen to take 20 s."""


@dataclass(frozen=True, slots=True)
class GroupOffsets:
    """Offsets of a consumer group that become visible with a transaction, or never: no fenced owner commits them."""

    group: str
    """Without the deployment's prefix."""
    offsets: Mapping[TopicPartition, int]
    note: str = ""
    """Their metadata; at most 4096 bytes (``offset.metadata.max.bytes`` of the broker)."""


class TransactionWriter:
    """The transactional producer of one (room, partition)."""

    def __init__(self, bootstrap: str, prefix: str, room: str, partition: int, native: bool = False) -> None:
        """``prefix`` is the deployment's topic prefix; ``native``: the accelerator builds the record batches.

        Nothing is opened yet.
        """
        self._bootstrap = bootstrap
        self._prefix = prefix
        self.transactional_id = f"{prefix}cx.{room}.{partition}"
        self._native = require() if native else None
        self._producer: Any = None

    async def open(self) -> None:
        """Connect and ``init_transactions``: from here on no other process can commit under this id.

        Returns once a transaction that a predecessor left open is aborted, so that a read_committed reader's end offset
        is the end of everything the predecessor committed. Raises KafkaFailed.
        """
        self._producer = AIOKafkaProducer(
            **connection(self._bootstrap),
            client_id=self.transactional_id,
            transactional_id=self.transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_batch_size=BATCH_BYTES,
            max_request_size=REQUEST_BYTES,
            acks="all",
            linger_ms=0,
        )
        try:
            await self._producer.start()
        except KafkaError as error:
            raise self._failed("could not start", error) from error

    async def write(
        self, transaction: Transaction, group_offsets: GroupOffsets | None = None
    ) -> dict[tuple[str, int], int]:
        """Commit a flush and, in the same transaction, ``group_offsets``.

        Returns (wire name without prefix, partition) -> offset of the first record of the last batch written there.
        Raises Fenced if a newer owner exists, KafkaFailed for everything else.
        """
        producer = self._producer
        try:
            async with asyncio.timeout(TRANSACTION_TIMEOUT_MS / 1_000):
                await producer.begin_transaction()
                targets = list(transaction.writes)
                offsets = await asyncio.gather(
                    *(self._send(topic, number, transaction.writes[topic, number]) for topic, number in targets)
                )
                if group_offsets is not None:
                    await self._send_group_offsets(group_offsets)
                await producer.commit_transaction()
                return dict(zip(targets, offsets, strict=True))
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise Fenced(f"{self.transactional_id} has a newer owner, or its transaction timed out") from error
        except (KafkaError, TimeoutError, AssertionError) as error:
            raise self._failed("transaction failed", error) from error

    async def close(self) -> None:
        """Disconnect. Only between transactions."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()

    async def _send(self, topic: str, partition: int, writes: Sequence[Write]) -> int:
        """Send all records of one topic partition in order; returns where, when all are acknowledged."""
        producer, name = self._producer, self._prefix + topic
        if self._native is not None:
            batches = self._native.ready_batches(writes, BATCH_BYTES, time.time_ns() // 1_000_000)
        else:
            batches = _batches(producer, writes)
        sent = [await producer.send_batch(batch, name, partition=partition) for batch in batches]
        return max(int(found.offset) for found in await asyncio.gather(*sent))

    async def _send_group_offsets(self, chosen: GroupOffsets) -> None:
        noted = {tp: OffsetAndMetadata(offset, chosen.note) for tp, offset in chosen.offsets.items()}
        await self._producer.send_offsets_to_transaction(noted, self._prefix + chosen.group)

    def _failed(self, what: str, error: BaseException) -> KafkaFailed:
        """Name the kind of error; its text may hold a record."""
        return KafkaFailed(f"{self.transactional_id}: {what} ({type(error).__name__})")


def _batches(producer: Any, writes: Sequence[Write]) -> Iterator[Any]:
    """The records as closed batches, in order."""
    batch = producer.create_batch()
    for key, value, headers in writes:
        pairs = list(headers)
        if batch.append(key=key, value=value, timestamp=None, headers=pairs) is None:
            batch.close()
            yield batch
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None, headers=pairs)
    batch.close()
    yield batch
