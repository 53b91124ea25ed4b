"""Record batches made at a stretch are those that aiokafka's builder makes, byte for byte."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from streams.runtime.writer import _batches

native = pytest.importorskip("cxwatch_native", reason="the accelerator is not installed")

NOW_MS = 1_790_000_000_123
stamp = (("cx.ver", b"12"),)
headers = st.sampled_from([(), stamp]) | st.lists(
    st.tuples(st.text(max_size=200), st.none() | st.binary(max_size=200)), max_size=3
).map(tuple)
writes = st.lists(
    st.tuples(st.none() | st.binary(max_size=200), st.none() | st.binary(max_size=20_000), headers),
    min_size=1, max_size=30,
)  # fmt: skip


class Producer:
    """Makes builders as a transactional producer does, with a clock that stands."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def create_batch(self) -> Any:
        """An empty batch."""
        return Standing(self.limit)


class Standing:
    """A builder of aiokafka's that appends at the moment of the test."""

    def __init__(self, limit: int) -> None:
        self._builder: Any = BatchBuilder(limit, 0, is_transactional=1)

    def append(self, *, timestamp: Any, **rest: Any) -> Any:
        """Append at the moment of the test."""
        return self._builder.append(timestamp=NOW_MS, **rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._builder, name)


def finish(batch: Any) -> tuple[int, int, bytes]:
    """What the sender does with a closed batch."""
    assert batch.closed()
    batch._set_producer_state(1 << 40, 7, 1 << 20)
    count, size, data = batch.record_count(), batch.size(), bytes(batch._build())
    assert size == len(data)
    assert bytes(batch._build()) == data
    return count, size, data


@given(writes, st.sampled_from([100, 1_000, 30_000, 1 << 20]))
def test_the_same_batches(found: list[Any], limit: int) -> None:
    ours = [*map(finish, native.ready_batches(found, limit, NOW_MS))]
    rest = iter(found)
    theirs = [[next(rest) for _ in range(count)] for count, _, _ in ours]
    assert ours == [finish(one) for some in theirs for one in _batches(Producer(1 << 30), some)]
    assert [*rest] == []
    assert all(size <= limit or count == 1 for count, size, _ in ours)


def test_nothing_to_write_is_no_batch() -> None:
    assert native.ready_batches([], 1_000, NOW_MS) == []


@pytest.mark.parametrize("write", [("text", b"", ()), (b"", 1, ()), (b"", b"", (("a", "text"),)), (b"", b"")])
def test_what_is_not_bytes_is_refused(write: Any) -> None:
    with pytest.raises((TypeError, IndexError)):
        native.ready_batches([write], 1_000, NOW_MS)
