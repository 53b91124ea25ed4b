"""Case 01: a topic with six hours of backlog was followed, and 88 % of its events came too late. None may.

In memory the follower's own merging is driven with fetches of one partition at a time, as a broker gives them; on the
real stack ``cxwatch follow`` and a worker do the same work.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from schemas.findings import SourceCount
from schemas.partition import partition_of
from schemas.topics import EVENT_NOUNS
from streams.agents import join
from streams.runtime.memory import Cadence, MemoryLine
from streams.settings import Settings
from streams.sources import RowCounts, map_each, parse_mapping
from streams.sources.arrivals import heartbeats
from streams.sources.merge import Merge, read_of
from streams.stack import Endpoints
from tests.backlog import EVENTS, SEGMENT, backlog, counted, create, fill, heartbeats_of, lag, start_follower
from tests.faults.harness import deployment, until

FETCH = 2_000
DELAY_MS = 60_000
MAPPING = parse_mapping(yaml.safe_load(SEGMENT))


class InMemory:
    """A follower without Kafka: the same merge, fetches of one partition after another, and time that goes on."""

    def __init__(self, partitions: int, line: MemoryLine) -> None:
        self.now = datetime(2026, 11, 28, 5, 20, tzinfo=UTC)
        self.parts: list[list[bytes]] = [[] for _ in range(partitions)]
        for key, value in backlog(self.now):
            self.parts[partition_of(key, partitions)].append(value)
        self.read = [0] * partitions
        self.merge = Merge(dict.fromkeys(range(partitions), 0), DELAY_MS)
        self.line, self.vouched = line, [0]

    @property
    def now_ms(self) -> int:
        return round(self.now.timestamp() * 1000)

    def fetch(self, partition: int) -> None:
        chunk = self.parts[partition][self.read[partition] : self.read[partition] + FETCH]
        mapped = map_each(MAPPING, enumerate(chunk, self.read[partition]), "t-0", RowCounts())
        self.merge.add(partition, [read_of(one.offset, one.arrivals, self.now_ms) for one in mapped], self.now_ms)
        self.read[partition] += len(chunk)

    def beat(self) -> None:
        vouched_ms = self.merge.vouched_ms()
        if vouched_ms > self.vouched[-1]:
            self.vouched.append(vouched_ms)
            for one in heartbeats(self.now_ms, vouched_ms, self.line.partitions, "follow-segment", EVENT_NOUNS):
                self.line.produce(one.noun, one.value, key=one.key, partition=one.partition)

    def ask(self) -> None:
        partitions = [partition for partition, rows in enumerate(self.parts) if self.read[partition] == len(rows)]
        self.merge.at_end(partitions, self.now_ms)

    def run(self, early: bool) -> None:
        turn = 0
        if early:
            self.beat()
        while self.merge.buffered or any(read < len(rows) for read, rows in zip(self.read, self.parts, strict=True)):
            self.now += timedelta(seconds=1)
            turn += 1
            if turn % len(self.parts) in self.merge.to_read():
                self.fetch(turn % len(self.parts))
            self.ask()
            for _, row in self.merge.take(FETCH, 300_000):
                for one in row.arrivals:
                    self.line.produce(one.noun, one.value, key=one.key)
            if early:
                self.beat()
        self.now += timedelta(seconds=10)
        self.ask()
        self.beat()


@pytest.mark.parametrize("early", [False, True], ids=["heartbeats at the end", "heartbeats all the while"])
@pytest.mark.parametrize("partitions", [1, 3])
def test_no_event_of_a_backlog_is_late_whatever_its_partitions(partitions: int, early: bool) -> None:
    line = MemoryLine([join.room(Settings())], partitions=4, cadence=Cadence())
    follower = InMemory(partitions, line)
    follower.run(early)
    line.run()
    counts: dict[tuple[object, ...], SourceCount] = {}
    for row in line.records("source_count"):
        counts[row.topic, row.source, row.partition, row.bin_ms] = row
    assert line.records("late") == []
    assert sum(row.events for row in counts.values()) == EVENTS
    assert sum(row.late for row in counts.values()) == 0
    assert follower.vouched[-1] == follower.now_ms - DELAY_MS
    assert len(follower.vouched) > (5 if early else 1)


def test_before_the_first_event_was_written_nothing_is_vouched_for() -> None:
    follower = InMemory(3, MemoryLine([join.room(Settings())], partitions=4))
    assert follower.merge.vouched_ms() == 0
    for partition in range(3):
        follower.fetch(partition)
    assert follower.merge.vouched_ms() == 0


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize(("partitions", "follows_first"), [(1, False), (3, False), (3, True)])
async def test_on_the_real_stack_all_of_a_backlog_is_counted_and_none_is_late(
    partitions: int, follows_first: bool, stack_settings: Settings, kafka: str, tmp_path: Path
) -> None:
    endpoints = replace(Endpoints("", "", 0, 0, {}), kafka_bootstrap=kafka)
    with deployment(stack_settings, endpoints, tmp_path, stored=False) as line:
        topic = f"{line.prefix}company.events"
        await create(kafka, topic, partitions)
        if follows_first:  # the follower is there first, and finds the topic empty
            follower = start_follower(line, topic)
            await until(lambda: "reading" in follower.log.read_text())
        now = datetime.now(UTC)
        await fill(kafka, topic, backlog(now))
        line.worker()
        if not follows_first:
            follower = start_follower(line, topic)

        async def followed() -> bool:
            vouched_ms = max(await heartbeats_of(line), default=0)
            return await lag(line) == 0 and vouched_ms > (now.timestamp() - 80) * 1000

        await until(followed)
        await line.settled(["join"])
        assert follower.terminate() == 0, follower.tail()
        verdict = await line.judge(downstream=False)
        assert (verdict["lost"], verdict["accepted"]) == (0, EVENTS), verdict["examples"]
        assert verdict["parts"]["topic.late"] == {"expected": 0, "lost": 0, "diff": 0}
        assert await counted(line) == (EVENTS, 0, 0)
        assert f"rows {EVENTS:,}: events {EVENTS:,}" in follower.tail()
