"""Both join rooms under the runtime's task: the same messages, dead letters and state, byte for byte, every flush."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.codec import encode
from schemas.events import HEARTBEAT_KEY, Event, Heartbeat
from schemas.rooms import BY_ROOM
from schemas.topics import state_topic
from streams.core.join.native import NativeJoinStage, find
from streams.core.join.rules import JoinRules, Limits
from streams.core.join.stage import JoinStage
from streams.core.stage import Stage
from streams.runtime.batch import RawBatch
from streams.runtime.intake import TopicCounts
from streams.runtime.limits import TaskRules
from streams.runtime.room import Room
from streams.runtime.state import Recovered
from streams.runtime.task import PartitionTask
from streams.runtime.transaction import Write
from tests.core.join.world import T0, TOPICS, arrive, telemetry, with_stragglers, worlds
from tests.native.fetched import as_fetched

pytestmark = pytest.mark.skipif(find() is None, reason="the accelerator is not installed: make native")

PARTITIONS = 2
SEEDS = st.integers(0, 2**32)
TIGHT = Limits(
    leaves=2, episode_leaves=2, episode_leaves_shown=1, evidence=2, contacts=2, obligations=1, old_episodes=1
)  # fmt: skip
RULES = (JoinRules(), JoinRules(limits=TIGHT), JoinRules(clock_customers=1))
BAD = (
    b"", b"{", b"[]", b'{"event_id":"x"}', b"\xff\xfe", b'{"event_id":1}', b'{"schema_version":9}',
    b'{"event_id":"e","event_time_ms":1,"customer_id":"c"}',
)
Part = tuple[bytes | None, bytes | None, int]
"""Key, value and append time of one message."""


def messages(world: list[Event], dice: random.Random) -> dict[str, list[Part]]:
    """The logs of the three topics: events, repeated ones, heartbeats, and what breaks the contract."""
    logs: dict[str, list[Part]] = {topic: [] for topic in TOPICS}
    log = arrive(world, dice, with_stragglers)
    for topic, events in log.items():
        for event in events:
            logs[topic] += disturb(event, dice)
        end = Heartbeat(event_time_ms=T0 + 40 * 3_600_000)
        logs[topic].append((HEARTBEAT_KEY, encode(end), end.event_time_ms))
    return logs


def disturb(event: Event, dice: random.Random) -> Iterator[Part]:
    """One event as it may lie in a topic."""
    value, key, at = encode(event), event.customer_id.encode(), event.event_time_ms
    chance = dice.random()
    if chance < 0.05:
        yield key, dice.choice((*BAD, None)), at
    if 0.05 < chance < 0.1:
        yield b"somebody else", value, at
    elif 0.1 < chance < 0.15:
        yield key, value, at - dice.choice((400_000, 200_000, 5_000))  # claims to be from the future, or a fast clock
    elif 0.15 < chance < 0.25:
        yield key, value.replace(b'{"', b'{"a new field":[{"deep":"\\u00e4"}],"', 1), at
    elif 0.3 < chance < 0.4:
        own = event.model_copy(update={"arrived_at_ms": at - dice.choice((400_000, 200_000, 0, -5_000))})
        yield key, encode(own), at
    elif 0.25 < chance < 0.3:
        yield key, value.replace(b'"shop"', b'"sh\\u006fp \\"x\\""'), at
    else:
        yield key, value, at
    if dice.random() < 0.2:
        yield key, value, at


def batches(logs: dict[str, list[Part]], dice: random.Random) -> Iterator[RawBatch]:
    """The logs cut at random, topics interleaved."""
    at = dict.fromkeys(logs, 0)
    while any(at[topic] < len(parts) for topic, parts in logs.items()):
        topic = dice.choice([topic for topic in logs if at[topic] < len(logs[topic])])
        start = at[topic]
        parts = logs[topic][start : start + dice.randint(1, 12)]
        at[topic] = stop = start + len(parts)
        keys, values, stamps = (list(column) for column in zip(*parts, strict=True))
        yield RawBatch(topic, 0, start, stop, range(start, stop), keys, values, [()] * len(parts), stamps)


class Side:
    """One of the two rooms on partition 0, and everything its flushes left behind."""

    def __init__(self, stage: Stage[Any]) -> None:
        self.room = Room("join", BY_ROOM["join"].inputs, stage, "customer")
        self.durable = Recovered()
        self.task = self.start()

    def start(self) -> PartitionTask[Any]:
        """A task from what is durable."""
        return PartitionTask(self.room, 0, PARTITIONS, self.durable, TaskRules(slice_events=5))

    def flush(self) -> dict[tuple[str, int], list[Write]]:
        """What a flush writes; its state changes become durable."""
        found = self.task.flush(T0)
        if found is None:
            return {}
        for key, value, _ in found.writes[state_topic("join"), 0]:
            self.durable.apply(key, value)
        # Dead letters of a slice lie in the order in which they were found: contract first, or as they came.
        return {
            tp: sorted(writes, key=offset_of) if tp[0].endswith(".dlq") else writes
            for tp, writes in found.writes.items()
        }


def offset_of(letter: Write) -> int:
    """Offset of the message that a dead letter was."""
    return int(dict(letter[2])["dlq.offset"] or 0)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), SEEDS, st.sampled_from(RULES))
def test_both_rooms_write_the_same_bytes_also_when_one_takes_over_the_others_state(
    world: list[Event], seed: int, rules: JoinRules
) -> None:
    dice = random.Random(seed)
    one, two = Side(JoinStage(rules)), Side(NativeJoinStage(rules))
    for batch in batches(messages(world, dice), dice):
        one.task.feed(batch)
        two.task.feed(as_fetched(batch) if dice.random() < 0.5 else batch)
        if dice.random() < 0.3:
            assert one.flush() == two.flush()
            assert counted(one) == counted(two)
            if dice.random() < 0.3:
                one.durable, two.durable = two.durable, one.durable
                one.task, two.task = one.start(), two.start()
    assert one.flush() == two.flush()
    assert one.task.newest == two.task.newest
    assert one.durable == two.durable


def counted(side: Side) -> list[TopicCounts]:
    """What became of the messages; unknown fields are estimated by one room and exact in the other."""
    return [replace(counts, unknown_fields=0) for counts in side.task.counts.values()]


@pytest.mark.parametrize(("leaves", "customers"), [(6_000, 6_000), (3, 60_000)], ids=["many leaves", "many failed"])
def test_a_count_that_would_outgrow_its_record_is_cut_alike(leaves: int, customers: int) -> None:
    wide = "\u00e4" * 120
    events = [
        telemetry(number % 900, f"c{number}", "failed", event_id=f"e{number}", app_version=f"{number % leaves}{wide}",
                  region="" if number % 7 else wide, platform="__other__")
        for number in range(customers)
    ]
    part = [(event.customer_id.encode(), encode(event), event.event_time_ms) for event in events]
    keys, values, stamps = (list(column) for column in zip(*part, strict=True))
    batch = RawBatch("telemetry", 0, 0, len(part), range(len(part)), keys, values, [()] * len(part), stamps)
    one, two = Side(JoinStage(JoinRules())), Side(NativeJoinStage(JoinRules()))
    for side in (one, two):
        side.task.feed(batch)
        side.task.tick(T0 + 60_000)
    left, right = one.flush(), two.flush()
    assert left == right
    counts = [value for _, value, _ in left["cx.cohort_count.v1", 0] if value and b'"cohort_count"' in value]
    assert counts
    assert max(map(len, counts)) < 1_000_000
