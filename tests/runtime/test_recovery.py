"""Recovery ends: by position, by an unreadable record, or because nothing moves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition

from schemas.errors import ConfigError
from streams.runtime.batch import RawBatch
from streams.runtime.exits import Stalled
from streams.runtime.recovery import StateReader
from streams.runtime.state import Meta, StateDamaged, state_records


class Client:
    async def _wait_on_metadata(self, _topic: str) -> set[int]:
        return {0, 1}


class Consumer:
    """Gives prepared batches; the position follows them, and stands still when there are none."""

    def __init__(self, end: int, batches: list[RawBatch]) -> None:
        self._client = Client()
        self.end = end
        self.batches = batches
        self.at = 0

    def assign(self, tps: Any) -> None:
        self.tps = tps

    async def seek_to_beginning(self, *tps: Any) -> None:
        pass

    async def end_offsets(self, tps: Any) -> dict[Any, int]:
        return dict.fromkeys(tps, self.end)

    async def position(self, _tp: Any) -> int:
        return self.at

    async def getmany(self, *_tps: Any, timeout_ms: int) -> dict[Any, list[RawBatch]]:
        await asyncio.sleep(0)
        if not self.batches:
            return {}
        batch = self.batches.pop(0)
        self.at = batch.next
        return {TopicPartition("t", 0): [batch]}


def batch(start: int, end: int, *records: tuple[bytes, bytes | None]) -> RawBatch:
    offsets = range(start, start + len(records))
    return RawBatch("t", 0, start, end, offsets, [k for k, _ in records], [v for _, v in records],
                    [()] * len(records), [0] * len(records))


def recover(consumer: Consumer, stall_s: float = 60.0) -> Any:
    reader = StateReader("nowhere:1", "t", stall_s)
    return asyncio.run(reader._read(consumer, [TopicPartition("t", 0)]))[0]


def test_an_empty_topic_is_recovered_at_once() -> None:
    assert recover(Consumer(0, [])).meta is None


def test_the_end_is_a_position_not_a_record_so_markers_and_compaction_do_not_matter() -> None:
    flush = state_records([(b"k", b"v")], Meta(1, 1, 4, {"order": 3}))
    found = recover(Consumer(90, [batch(0, 40, *flush), batch(40, 90)]))
    assert found.items == {b"k": b"v"}
    assert found.meta == Meta(1, 1, 4, {"order": 3})


def test_a_position_that_does_not_move_ends_recovery_with_the_partition_named() -> None:
    with pytest.raises(Stalled, match="does not move: partition 0 at 40 of 90"):
        recover(Consumer(90, [batch(0, 40)]), stall_s=0.0)


def test_an_unreadable_record_ends_recovery() -> None:
    with pytest.raises(StateDamaged):
        recover(Consumer(1, [batch(0, 1, (b"!", b"{"))]))


def test_a_topic_with_too_few_partitions_is_refused() -> None:
    reader = StateReader("nowhere:1", "t", 1.0)
    with pytest.raises(ConfigError, match="too few partitions"):
        asyncio.run(reader._read(Consumer(0, []), [TopicPartition("t", 7)]))
