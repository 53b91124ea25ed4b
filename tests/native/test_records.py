"""What the accelerator unpacks is what aiokafka unpacks, record for record; what it does not take, aiokafka gets."""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from streams.runtime.batch import RawBatch, join_batches
from streams.runtime.bulk import RecordsWithBytes, bulk_values, install, native_values
from tests.runtime.record_batch import APPEND_TIME, CONTROL, TRANSACTIONAL, as_sent

native = pytest.importorskip("cxwatch_native", reason="the accelerator is not installed")

CODECS = [1, 2, 3, 4]
"""gzip, snappy, lz4, zstd: aiokafka unpacks them."""
PRODUCERS = (3, 5)
small_bytes = st.none() | st.binary(max_size=200)
headers = st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3)
records = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 1 << 42), small_bytes, small_bytes, headers), min_size=1, max_size=8
)
"""Step to the next offset, timestamp, key, value, headers."""


def batch(base: int, found: list[Any], attributes: int, producer: int, codec: int = 0) -> tuple[bytes, int]:
    """A record batch as a broker sends it, and the offset after it."""
    builder = DefaultRecordBatchBuilder(2, codec, int(bool(attributes & TRANSACTIONAL)), producer, 0, 0, 1 << 20)
    index = -1
    for step, time_ms, key, value, some in found:
        index += step if index >= 0 else 1
        builder.append(index, time_ms, key, value, some)
    return as_sent(builder, base, attributes | codec), base + index + 1


@st.composite
def logs(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int]], int]:
    """Fetched bytes, aborted transactions (producer, first offset), an offset in the first batch that was asked for."""
    data, end, aborted = b"", draw(st.integers(0, 1 << 40)), []
    asked = 0
    for _ in range(draw(st.integers(1, 6))):
        producer = draw(st.sampled_from((-1, *PRODUCERS)))
        kind = draw(st.sampled_from(("plain", "append", "open", "abort", "commit")))
        if kind in ("abort", "commit") and producer >= 0:
            mark: Any = (1, 0, b"\x00\x00\x00" + bytes([kind == "commit"]), b"\x00" * 6, [])
            piece, after = batch(end, [mark], TRANSACTIONAL | CONTROL, producer)
        else:
            flags = {"append": APPEND_TIME, "open": TRANSACTIONAL}.get(kind, 0)
            piece, after = batch(end, draw(records), flags, producer, draw(st.sampled_from([0] * 28 + CODECS)))
            if kind == "open" and producer >= 0 and draw(st.booleans()):
                aborted.append((producer, end))
        asked = asked if data else draw(st.integers(end, after - 1))
        data, end = data + piece, after + draw(st.integers(0, 2))
    return data, aborted, asked


def unpack(data: bytes, start: int, aborted: list[tuple[int, int]], reader: Any, committed: bool) -> RawBatch | str:
    """Everything as one batch, or the name of the error."""
    install()
    level = fetcher.READ_COMMITTED if committed else fetcher.READ_UNCOMMITTED
    parts = fetcher.PartitionRecords(
        TopicPartition("t", 3), RecordsWithBytes(data), list(aborted), start, None, reader, True, level
    )
    try:
        found = list(parts)
    except CorruptRecordException:
        return "corrupt"
    whole = join_batches(found)
    assert parts.next_fetch_offset == whole.next
    return whole


def plain(found: RawBatch | str) -> Any:
    """The batch in Python's own types."""
    if isinstance(found, str):
        return found
    columns = (found.offsets, found.keys, found.values, found.timestamps)
    return (found.start, found.next, *map(list, columns), [[*map(tuple, some)] for some in found.headers])


@given(logs(), st.booleans())
def test_the_same_records(log: Any, committed: bool) -> None:
    data, aborted, start = log
    ours = unpack(data, start, aborted, native_values, committed)
    assert plain(ours) == plain(unpack(data, start, aborted, bulk_values, committed))
    assert isinstance(ours, RawBatch)
    assert ours.value_bytes == sum(len(value or b"") for value in ours.values)
    assert ours.has_headers == any(map(len, ours.headers))


@given(logs(), st.integers(1, 80))
def test_a_batch_that_the_broker_cut_short_is_read_next_time(log: Any, cut: int) -> None:
    data, aborted, start = log
    first = struct.unpack_from(">i", data, 8)[0] + 12
    kept = data[: max(first, len(data) - cut)]
    assert plain(unpack(kept, start, aborted, native_values, True)) == plain(
        unpack(kept, start, aborted, bulk_values, True)
    )


@given(logs(), st.data())
def test_a_flipped_bit_is_never_a_record(log: Any, data: st.DataObject) -> None:
    fetched, aborted, _ = log
    at = data.draw(st.integers(17, struct.unpack_from(">i", fetched, 8)[0] + 11))
    damaged = bytearray(fetched)
    damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    assert unpack(bytes(damaged), 0, aborted, native_values, True) == "corrupt"


@given(st.binary(max_size=200), st.integers(-3, 3))
def test_no_bytes_bring_it_down(rubbish: bytes, longer: int) -> None:
    head = struct.pack(">qiibI", 0, len(rubbish) + 9 + longer, 0, 2, 0)
    found = native.unpack_records(head + rubbish, 0, [], False)
    assert found is None or len(found) == 6


@given(logs(), st.integers(-12, 12), st.integers(-12, 12))
def test_columns_are_cut_like_lists(log: Any, low: int, high: int) -> None:
    found = native.unpack_records(log[0], 0, None, True)
    if found is None:
        return  # compressed
    for column in found[1:]:
        whole = list(column)
        assert len(column) == len(whole)
        assert list(column[low:high]) == whole[low:high]
        assert list(column[low:high][1:]) == whole[low:high][1:]
        assert list(column[::-2]) == whole[::-2]
        assert [column[index] for index in range(-len(whole), len(whole))] == whole * 2
        assert list(reversed(column)) == whole[::-1]
        for item in whole:
            assert item in column
            assert column.index(item) == whole.index(item)
            assert column.count(item) == whole.count(item)
        assert b"not in it" not in column
        if whole and isinstance(whole[0], int) and whole == sorted(whole):
            assert bisect_right(column, whole[0]) == bisect_right(whole, whole[0])
        with pytest.raises(IndexError):
            column[len(whole)]
