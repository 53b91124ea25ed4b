"""Looks at a running deployment from outside: memory, what lies on its topics, and how long an event took."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

from tests.faults.harness import Deployment, Process
from tests.faults.oracle import reading


class Memory:
    """Watches a process's memory while something else goes on. Make it inside a running loop."""

    def __init__(self, process: Process) -> None:
        """Begin at what it has now."""
        self.process = process
        self.first = self.peak = process.memory_mb()
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, self.process.memory_mb())
            await asyncio.sleep(0.25)

    def growth_mb(self) -> float:
        """Most that it grew; ends the watch."""
        self._task.cancel()
        return round(self.peak - self.first, 1)


async def each(line: Deployment, take: Callable[[Any], None], *topics: str) -> None:
    """Hand every committed record of some topics (names without prefix) to ``take``."""
    async with reading(line.straight.kafka_bootstrap) as read:
        for topic in topics:
            await read(line.prefix + topic, take)


async def closed_through(line: Deployment) -> dict[int, int]:
    """Source partition -> time through which the join has closed its bins (ms)."""
    through: dict[int, int] = {}

    def take(record: Any) -> None:
        body = json.loads(record.value)
        if body.get("kind") == "bin_closed":
            through[body["partition"]] = max(through.get(body["partition"], 0), body["through_ms"])

    await each(line, take, "cx.cohort_count.v1")
    return through


async def largest(line: Deployment, *topics: str) -> int:
    """Bytes of the largest value on some topics."""
    sizes = [0]
    await each(line, lambda record: sizes.append(len(record.value or b"")), *topics)
    return max(sizes)


async def latencies_ms(line: Deployment, nouns: Iterable[str]) -> dict[int, list[int]]:
    """Partition -> for every raw record, ms from its append to that of the transaction it became durable in.

    Broker timestamps on both sides: the state topic's meta record names the offsets that its transaction covers.
    """
    metas: dict[int, list[tuple[int, dict[str, int]]]] = {}
    found: dict[int, list[int]] = {}

    def meta(record: Any) -> None:
        if record.key == b"!":
            metas.setdefault(record.partition, []).append((record.timestamp, json.loads(record.value)["offsets"]))

    await each(line, meta, "cx.join.state.v1")
    for noun in nouns:
        next_flush = dict.fromkeys(metas, 0)

        def take(record: Any, noun: str = noun, next_flush: dict[int, int] = next_flush) -> None:
            flushes = metas.get(record.partition, [])
            at = next_flush[record.partition]
            while at < len(flushes) and flushes[at][1].get(noun, 0) <= record.offset:
                at += 1
            next_flush[record.partition] = at
            if at < len(flushes):
                found.setdefault(record.partition, []).append(flushes[at][0] - record.timestamp)

        await each(line, take, f"cx.{noun}.v1")
    return found


def p99(values: list[int]) -> int:
    """99 % quantile; 0 of nothing."""
    return sorted(values)[int(len(values) * 0.99)] if values else 0
