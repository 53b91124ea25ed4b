"""Whole record batches out of aiokafka's fetcher instead of one ``ConsumerRecord`` per record.

aiokafka unpacks a fetch answer record by record into objects of eleven fields, which makes a whole job 1.6 times as
expensive. Here a consumer that asks for it (``value_deserializer=bulk_values``) gets one ``RawBatch`` per record batch.
Control batches and aborted transactions are left out as in the original (same order of checks) but their offsets stay
in the range of the batch, so that ranges lie end to end.

With the accelerator (``native_values``) a whole fetch of a partition becomes one ``RawBatch`` of columns: sequences
that make a Python object only where somebody asks for one. What the accelerator leaves alone (compressed batches, old
formats, damage of any kind) takes the way above.

Private parts used: ``aiokafka.consumer.fetcher.PartitionRecords`` is replaced by a factory that builds the original and
swaps its iterator, ``MemoryRecords`` by a proxy that keeps the fetched bytes at hand; every other consumer in the
process gets the original behaviour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords

from streams.core.join.native import require
from streams.runtime.batch import RawBatch

_ORIGINAL = fetcher.PartitionRecords


def bulk_values(value: Any) -> Any:
    """Marker instead of a value deserializer: this consumer takes whole record batches. Never called."""
    return value


def native_values(value: Any) -> Any:
    """The same marker for a consumer that takes them from the accelerator where it can. Never called."""
    return value


def reader(bulk: bool, native: bool) -> Callable[[Any], Any] | None:
    """The marker for a consumer; None for aiokafka's objects, one a record. Install first."""
    return (native_values if native else bulk_values) if bulk else None


class RecordsWithBytes:
    """aiokafka's ``MemoryRecords``, with the fetched bytes still at hand."""

    def __init__(self, data: bytes) -> None:
        """Index the record batches in ``data``."""
        self.data = data
        records = MemoryRecords(data)
        self.has_next, self.next_batch, self.size_in_bytes = records.has_next, records.next_batch, records.size_in_bytes


def install() -> None:
    """Let consumers ask for whole batches. Idempotent."""
    fetcher.PartitionRecords = _partition_records
    fetcher.MemoryRecords = RecordsWithBytes


@wraps(_ORIGINAL)
def _partition_records(*arguments: Any) -> Any:
    """Build aiokafka's ``PartitionRecords``; swap its iterator if the consumer asked for whole batches."""
    records = _ORIGINAL(*arguments)
    if records._value_deserializer is native_values:
        records._records_iterator = _columns(records)
    elif records._value_deserializer is bulk_values:
        records._records_iterator = _batches(records)
    return records


def _columns(records: Any) -> Iterator[RawBatch]:
    """One RawBatch for everything that was fetched, from the accelerator; as :func:`_batches` what it leaves alone."""
    start, aborted = records.next_fetch_offset, None
    if records._isolation_level == fetcher.READ_COMMITTED:
        aborted = [(first, producer) for producer, first in records._aborted_transactions]
    unpacked = require().unpack_records(records._records.data, start, aborted, records._check_crcs)
    if unpacked is None:
        yield from _batches(records)
        return
    records.next_fetch_offset, offsets, *columns = unpacked
    size = len(offsets)
    dense = size > 0 and offsets[-1] - offsets[0] + 1 == size
    yield RawBatch(
        records._tp.topic,
        records._tp.partition,
        start,
        records.next_fetch_offset,
        range(offsets[0], offsets[-1] + 1) if dense else list(offsets),
        *columns,
    )


def _batches(records: Any) -> Iterator[RawBatch]:
    """One RawBatch per record batch; an empty one where a batch holds nothing for this reader."""
    log = records._records
    while log.has_next():
        batch = log.next_batch()
        if records._check_crcs and not batch.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {records._tp}")
        start = records.next_fetch_offset
        unpacked = _empty(records, start, batch) if _is_skipped(records, batch) else _unpack(records, start, batch)
        records.next_fetch_offset = batch.next_offset
        yield unpacked


def _is_skipped(records: Any, batch: Any) -> bool:
    """True for control batches and, under read_committed, for batches of aborted transactions."""
    if records._isolation_level == fetcher.READ_COMMITTED and batch.producer_id is not None:
        records._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and records._contains_abort_marker(batch):
            records._aborted_producers.discard(batch.producer_id)
        if batch.is_transactional and batch.producer_id in records._aborted_producers:
            return True
    return bool(batch.is_control_batch)


def _empty(records: Any, start: int, batch: Any) -> RawBatch:
    return RawBatch(records._tp.topic, records._tp.partition, start, batch.next_offset, (), (), (), (), ())


def _unpack(records: Any, start: int, batch: Any) -> RawBatch:
    """The records of one batch as parallel lists; those before the fetch position are left out."""
    found = list(batch)
    if found and found[0].offset < start:
        found = [record for record in found if record.offset >= start]
    if not found:
        return _empty(records, start, batch)
    first, last = found[0].offset, found[-1].offset
    dense = last - first + 1 == len(found)
    appended = batch.timestamp_type == 1
    return RawBatch(
        records._tp.topic,
        records._tp.partition,
        start,
        batch.next_offset,
        range(first, last + 1) if dense else [record.offset for record in found],
        [record.key for record in found],
        [record.value for record in found],
        [record.headers for record in found],
        [batch.max_timestamp] * len(found) if appended else [record.timestamp for record in found],
    )
