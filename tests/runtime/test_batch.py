"""Batches: ranges lie end to end, whatever is cut or left out; the bulk reader sees what aiokafka's own sees."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from streams.core.join.native import find
from streams.runtime.batch import RawBatch, join_batches
from streams.runtime.bulk import RecordsWithBytes, bulk_values, install, native_values
from streams.runtime.transport import batch_of_records
from tests.runtime.record_batch import APPEND_TIME, CONTROL, TRANSACTIONAL, as_sent

ABORT, COMMIT = b"\x00\x00\x00\x00", b"\x00\x00\x00\x01"
WITHOUT = pytest.mark.skipif(find() is None, reason="the accelerator is not installed")
NATIVE = pytest.param(native_values, marks=WITHOUT)
whole = pytest.mark.parametrize("reader", [bulk_values, NATIVE])
"""The readers of whole record batches."""


def record_batch(
    base: int, count: int, attributes: int = 0, producer: int = -1, key: bytes = b"k", gaps: int = 1, codec: int = 0
) -> bytes:
    """A record batch as the broker would send it; ``gaps`` 2: every second offset was compacted away."""
    builder = DefaultRecordBatchBuilder(2, codec, int(bool(attributes & TRANSACTIONAL)), producer, 0, 0, 1 << 20)
    for number in range(count):
        builder.append(number * gaps, 1_000 + number, key, b"v%d" % (base + number * gaps), [("h", b"x")])
    return as_sent(builder, base, attributes | codec)


def unpack(
    data: bytes, start: int = 0, aborted: Any = (), reader: Any = bulk_values, committed: bool = True
) -> list[Any]:
    """What aiokafka's fetcher gives for fetched bytes; ``reader`` None: one object a record."""
    install()
    level = fetcher.READ_COMMITTED if committed else fetcher.READ_UNCOMMITTED
    tp, log = TopicPartition("t", 3), RecordsWithBytes(data)
    return list(fetcher.PartitionRecords(tp, log, list(aborted), start, None, reader, True, level))


def pairs(parts: list[Any], reader: Any) -> list[tuple[int, bytes]]:
    if reader is not None:
        return [pair for part in parts for pair in zip(part.offsets, part.values, strict=True)]
    return [(record.offset, record.value) for record in parts]


@whole
def test_a_record_batch_becomes_one_batch_with_its_range(reader: Any) -> None:
    (found,) = unpack(record_batch(7, 3), start=7, reader=reader)
    assert (found.start, found.next, found.offsets) == (7, 10, range(7, 10))
    assert list(found.values) == [b"v7", b"v8", b"v9"]
    assert list(found.keys) == [b"k"] * 3
    assert [list(headers) for headers in found.headers] == [[("h", b"x")]] * 3
    assert list(found.timestamps) == [1_000, 1_001, 1_002]
    assert found.partition == 3


@whole
def test_append_time_is_the_timestamp_of_every_record(reader: Any) -> None:
    (found,) = unpack(record_batch(0, 3, APPEND_TIME), reader=reader)
    assert list(found.timestamps) == [1_002] * 3


@whole
@pytest.mark.parametrize("codec", [1, 2, 3, 4], ids=["gzip", "snappy", "lz4", "zstd"])
def test_producers_may_compress(reader: Any, codec: int) -> None:
    """A producer's ``compression.type`` is its own business; ours do not compress."""
    log = record_batch(0, 40, codec=codec) + record_batch(40, 2)
    assert len(log) < len(record_batch(0, 40)), "it is compressed"
    joined = join_batches(unpack(log, reader=reader))
    assert pairs([joined], reader) == [(offset, b"v%d" % offset) for offset in range(42)]


@whole
def test_records_before_the_fetch_position_are_left_out(reader: Any) -> None:
    (found,) = unpack(record_batch(0, 5), start=3, reader=reader)
    assert (found.start, found.next, list(found.offsets)) == (3, 5, [3, 4])


@whole
def test_compacted_offsets_are_holes_in_the_range(reader: Any) -> None:
    (found,) = unpack(record_batch(0, 3, gaps=2), reader=reader)
    assert (found.start, found.next, found.offsets) == (0, 5, [0, 2, 4])


@pytest.mark.parametrize("reader", [None, bulk_values, NATIVE])
def test_control_batches_and_aborted_transactions_are_never_seen(reader: Any) -> None:
    log = (
        record_batch(0, 2, TRANSACTIONAL, producer=9)
        + record_batch(2, 2, TRANSACTIONAL, producer=5)
        + record_batch(4, 1, TRANSACTIONAL | CONTROL, producer=9, key=ABORT)
        + record_batch(5, 1, TRANSACTIONAL | CONTROL, producer=5, key=COMMIT)
        + record_batch(6, 2, TRANSACTIONAL, producer=9)
        + record_batch(8, 1, TRANSACTIONAL | CONTROL, producer=9, key=COMMIT)
    )
    found = unpack(log, aborted=[(9, 0)], reader=reader)
    assert pairs(found, reader) == [(2, b"v2"), (3, b"v3"), (6, b"v6"), (7, b"v7")]
    everything = unpack(log, aborted=[(9, 0)], reader=reader, committed=False)
    assert [offset for offset, _ in pairs(everything, reader)] == [0, 1, 2, 3, 6, 7]


@whole
def test_ranges_lie_end_to_end_over_everything_that_is_left_out(reader: Any) -> None:
    log = record_batch(0, 2, TRANSACTIONAL, producer=9) + record_batch(2, 1, TRANSACTIONAL | CONTROL, 9, ABORT)
    log += record_batch(3, 2)
    joined = join_batches(unpack(log, aborted=[(9, 0)], reader=reader))
    assert (joined.start, joined.next, list(joined.offsets)) == (0, 5, [3, 4])


@whole
def test_a_damaged_batch_is_an_error_not_a_hole(reader: Any) -> None:
    data = bytearray(record_batch(0, 2))
    data[-3] ^= 1
    with pytest.raises(CorruptRecordException):
        unpack(bytes(data), reader=reader)


def test_other_consumers_of_the_process_get_aiokafkas_own_records() -> None:
    assert type(unpack(record_batch(0, 1), reader=None)[0]).__name__ == "ConsumerRecord"


@whole
def test_the_per_record_path_gives_the_same_batch(reader: Any) -> None:
    class Position:
        has_valid_position, position = True, 12

    log = record_batch(7, 3) + record_batch(10, 1, TRANSACTIONAL | CONTROL, 9, COMMIT)
    bulk = join_batches(unpack(log, start=7, reader=reader))
    single = batch_of_records("t", unpack(log, start=7, reader=None), 7, Position())
    assert (single.start, single.offsets, single.values) == (bulk.start, bulk.offsets, list(bulk.values))
    assert (single.keys, single.timestamps) == (list(bulk.keys), list(bulk.timestamps))
    assert single.next == 12, "the position after, so that the marker is not read again"


@st.composite
def batches(draw: st.DrawFn) -> RawBatch:
    start = draw(st.integers(0, 5))
    offsets = sorted(draw(st.sets(st.integers(start, start + 20), max_size=12)))
    end = (offsets[-1] if offsets else start) + draw(st.integers(1, 4))
    values = [b"%d" % offset for offset in offsets]
    return RawBatch("t", 0, start, end, offsets, values, values, [()] * len(values), offsets)


@given(batches(), st.integers(1, 13))
def test_slices_joined_are_the_batch(batch: RawBatch, size: int) -> None:
    parts = list(batch.slices(size))
    assert all(left.next == right.start for left, right in itertools.pairwise(parts))
    joined = join_batches(parts)
    assert (joined.start, joined.next, list(joined.offsets)) == (batch.start, batch.next, list(batch.offsets))
    assert list(joined.values) == list(batch.values)


@given(batches(), st.data())
def test_picked_records_keep_their_parts_together(batch: RawBatch, data: st.DataObject) -> None:
    index = sorted(data.draw(st.sets(st.integers(0, len(batch) - 1)))) if len(batch) else []
    picked = batch.pick(index)
    assert list(picked.offsets) == [batch.offsets[at] for at in index]
    assert list(picked.values) == list(picked.keys) == [b"%d" % offset for offset in picked.offsets]
    assert list(picked.timestamps) == list(picked.offsets)
    assert (picked.start, picked.next) == (batch.start, batch.next)


@given(batches(), st.integers(0, 30))
def test_since_keeps_exactly_what_is_at_or_after_the_offset(batch: RawBatch, offset: int) -> None:
    rest = batch.since(offset)
    assert list(rest.offsets) == [seen for seen in batch.offsets if seen >= offset]
    assert list(rest.values) == [b"%d" % seen for seen in rest.offsets]
    assert rest.next == batch.next
    assert rest.start == min(max(offset, batch.start), batch.next)
