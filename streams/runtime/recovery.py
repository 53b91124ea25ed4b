"""Reads a state topic to its end, read_committed. Faust's own recovery reads uncommitted records and can hang.

It cannot hang here: a record that cannot be read raises, a position that does not move for ``stall_s`` raises, and an
empty or compacted topic ends by position, not by a record count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.errors import ConfigError
from streams.runtime.bulk import install, reader
from streams.runtime.exits import KafkaFailed, Stalled
from streams.runtime.state import Recovered
from streams.security.brokers import connection


@dataclass(frozen=True)
class StateReader:
    """Where and how to read state."""

    bootstrap: str
    topic: str
    """Wire name with prefix."""
    stall_s: float
    bulk: bool = True
    native: bool = False
    moved: Callable[[], None] = lambda: None
    """Called whenever the position moved."""
    clock: Callable[[], float] = time.monotonic

    async def read(self, partitions: Sequence[int]) -> dict[int, Recovered]:
        """Live pairs of every partition, up to the end that is committed now.

        Call after ``init_transactions`` of these partitions' writers. Raises Stalled, StateDamaged, KafkaFailed, and
        ConfigError if the topic does not exist or has too few partitions.
        """
        install()
        consumer = AIOKafkaConsumer(
            **connection(self.bootstrap),
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=50,
            value_deserializer=reader(self.bulk, self.native),
        )
        try:
            await consumer.start()
            return await self._read(consumer, [TopicPartition(self.topic, number) for number in partitions])
        except KafkaError as error:
            raise KafkaFailed(f"reading {self.topic} failed ({type(error).__name__})") from error
        finally:
            await consumer.stop()

    async def _read(self, consumer: Any, tps: list[Any]) -> dict[int, Recovered]:
        known = await consumer._client._wait_on_metadata(self.topic)
        if not {tp.partition for tp in tps} <= set(known or ()):
            raise ConfigError(f"topic {self.topic} has too few partitions: run `cxwatch topics create`")
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        ends = await consumer.end_offsets(tps)
        found = {tp.partition: Recovered() for tp in tps}
        positions = {tp: await consumer.position(tp) for tp in tps}
        moved_at = self.clock()
        while any(positions[tp] < ends[tp] for tp in tps):
            for tp, parts in (await consumer.getmany(*tps, timeout_ms=200)).items():
                for key, value in self._pairs(parts):
                    found[tp.partition].apply(key, value)
            now = {tp: await consumer.position(tp) for tp in tps}
            if now != positions:
                positions, moved_at = now, self.clock()
                self.moved()
            elif self.clock() - moved_at > self.stall_s:
                stuck = ", ".join(f"{tp.partition} at {positions[tp]} of {ends[tp]}" for tp in tps)
                raise Stalled(f"recovery of {self.topic} does not move: partition {stuck}")
        for recovered in found.values():
            recovered.check()
        return found

    def _pairs(self, parts: Sequence[Any]) -> Iterable[tuple[bytes | None, bytes | None]]:
        if not self.bulk:
            return [(record.key, record.value) for record in parts]
        return [pair for part in parts for pair in zip(part.keys, part.values, strict=True)]
