"""The join room as it runs (tasks, flushes, state topic), disturbed in every way at once: no finding changes."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.events import Event, Heartbeat
from schemas.rooms import BY_ROOM
from streams.core.join.rules import JoinRules
from streams.replay.canonical import canonical
from streams.runtime.memory import Cadence, MemoryLine
from streams.runtime.room import Room
from tests.core.join.world import (
    DAY,
    IMPLEMENTATIONS,
    NOUNS,
    T0,
    TOPICS,
    Log,
    Player,
    arrive,
    choose_stage,
    findings,
    make_stage,
    repeated,
    within_disorder,
    worlds,
)
from tests.core.join.world import Cadence as PlainCadence

pytestmark = pytest.mark.usefixtures("stage")
SEEDS = st.integers(0, 2**32)


def line_of(log: Log, partitions: int, cadence: Cadence) -> MemoryLine:
    """A line of the join room alone whose topics hold a log, and a heartbeat days later."""
    room = Room("join", BY_ROOM["join"].inputs, make_stage(JoinRules()), "customer")
    line = MemoryLine([room], partitions, cadence)
    for topic in TOPICS:
        for event in log[topic]:
            line.produce(topic, event)
        line.produce(topic, Heartbeat(event_time_ms=T0 + 3 * DAY))
    return line


def crash_at_will(line: MemoryLine, dice: random.Random, chance: float) -> int:
    """Play to the end; after any step a task may die, also in the middle of a flush. Returns how many died."""
    crashes = 0
    while line.step():
        if dice.random() < chance:
            line.crash("join", dice.randrange(line.partitions), in_flush=dice.random() < 0.5)
            crashes += 1
    return crashes


def emitted(line: MemoryLine) -> dict[str, list[bytes]]:
    """Canonical findings on the line's topics."""
    return {
        noun: canonical(noun, [body for entry in line.raw(noun) if entry.value
                               for body in [json.loads(entry.value)] if body["kind"] == noun])
        for noun in NOUNS
    }


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    world=worlds(), seed=SEEDS, partitions=st.integers(1, 7), feed_events=st.sampled_from((1, 3, 40)),
    flush_chance=st.sampled_from((0.02, 0.3, 1.0)), crash_chance=st.sampled_from((0.0, 0.1, 0.4)),
)
def test_everything_at_once_changes_no_finding(
    world: list[Event], seed: int, partitions: int, feed_events: int, flush_chance: float, crash_chance: float
) -> None:
    # the same log, copies included: topics one after the other, never stopped | interleaved, cut, flushed, killed
    dice = random.Random(seed)
    log = {topic: repeated(events, dice) for topic, events in arrive(world, dice, within_disorder).items()}
    steady = PlainCadence(seed).play(Player(), log)
    line = line_of(log, partitions, Cadence(seed, feed_events=feed_events, flush_chance=flush_chance))
    crash_at_will(line, dice, crash_chance)
    assert emitted(line) == findings(steady)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(world=worlds(), seed=SEEDS, partitions=st.integers(1, 7))
def test_all_implementations_leave_the_same_bytes_everywhere(world: list[Event], seed: int, partitions: int) -> None:
    logs = []
    for name in (*sorted(IMPLEMENTATIONS), "python"):  # the same one twice: nothing depends on chance
        choose_stage(IMPLEMENTATIONS[name])
        dice = random.Random(seed)
        log = {topic: repeated(events, dice) for topic, events in arrive(world, dice, within_disorder).items()}
        line = line_of(log, partitions, Cadence(seed, feed_events=5))
        crash_at_will(line, dice, 0.1)
        state = [line.state("join", partition) for partition in range(partitions)]
        logs.append(({noun: line.raw(noun) for noun in NOUNS}, state))
    assert all(found == logs[0] for found in logs)
    rows = Counter(noun for noun in NOUNS for _ in logs[0][0][noun])
    assert rows["source_count"] >= 1
