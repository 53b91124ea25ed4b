"""Whose clocks move a topic: never one customer's, and nobody's past the arrival of what it sent."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.events import Event, Heartbeat
from streams.core.eventtime import Bounds, TopicClock
from streams.core.join.rules import JoinRules
from tests.core.join.world import (
    MINUTE,
    SECOND,
    T0,
    TOPICS,
    Cadence,
    Player,
    arrive,
    findings,
    telemetry,
    topic_of,
    with_stragglers,
    within_disorder,
    worlds,
)

pytestmark = pytest.mark.usefixtures("stage")
SEEDS = st.integers(0, 2**32)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
HEARD = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 40)), max_size=60)
"""(customer, time); customer 0 is a heartbeat."""
LIARS = ("liar-1", "liar-2")


@given(HEARD, st.integers(1, 5))
def test_the_clock_is_the_newest_time_of_the_nth_newest_customer_and_never_goes_back(
    heard: list[tuple[int, int]], customers: int
) -> None:
    clock = TopicClock(Bounds(0, 0), customers)
    newest: dict[int, int] = {}
    reached = 0
    for customer, time_ms in heard:
        if customer:
            clock.follow(customer, time_ms)
            newest[customer] = max(newest.get(customer, 0), time_ms)
        else:
            clock.hear(time_ms)
            reached = max(reached, time_ms)
        reached = max([reached, *sorted(newest.values(), reverse=True)[customers - 1 : customers]])
        assert clock.newest_ms == reached
        assert len(clock.ahead) < customers
        assert all(ahead_ms > reached for ahead_ms in clock.ahead.values())


def of_liars(dice: random.Random) -> list[Event]:
    """What two customers with arbitrary clocks send: hours behind, years ahead."""
    spread = (SECOND, MINUTE, 10_000 * MINUTE)
    return [
        telemetry(dice.randrange(-MINUTE, dice.choice(spread)), dice.choice(LIARS), event_id=f"liar{number}",
                  source="liar")
        for number in range(dice.randrange(1, 40))
    ]


@quick
@given(worlds(), SEEDS)
def test_two_customers_with_arbitrary_clocks_make_nothing_late(world: list[Event], seed: int) -> None:
    dice = random.Random(seed)
    log = arrive(world, dice, within_disorder)
    for event in of_liars(dice):
        log["telemetry"].insert(dice.randint(0, len(log["telemetry"])), event)
    player = Cadence(seed, restart_ratio=0.3).play(Player(rules=JoinRules()), log, end=20_000 * MINUTE)
    assert all(late.source == "liar" for late in player.emitted("late"))
    assert not [count for count in player.emitted("source_count") if count.late and count.source != "liar"]


def arriving(world: list[Event], dice: random.Random, fast: str) -> tuple[dict[str, list[Event]], dict[str, int]]:
    """The world in order of arrival with append times; everything of source ``fast`` claims to be minutes newer."""
    sent = [(event.event_time_ms + dice.randrange(10 * SECOND), event) for event in world]
    stamps = {event.event_id: arrival_ms for arrival_ms, event in sent}
    log: dict[str, list[Event]] = {topic: [] for topic in TOPICS}
    for _, event in sorted(sent, key=lambda pair: (pair[0], pair[1].event_id)):
        ahead = dice.randrange(5 * MINUTE) if event.source == fast else 0
        moved = event.model_copy(update={"event_time_ms": event.event_time_ms + ahead})
        log[topic_of(event)].append(moved)
    return log, stamps


@quick
@given(worlds(), SEEDS)
def test_a_whole_source_with_a_fast_clock_moves_the_topic_no_further_than_its_arrivals(
    world: list[Event], seed: int
) -> None:
    log, stamps = arriving(world, random.Random(seed), "ios")
    player = Player(rules=JoinRules(clock_customers=1))
    newest = 0
    for event in log["telemetry"]:
        player.play("telemetry", [event], [stamps[event.event_id]])
        newest = max(newest, stamps[event.event_id])
        assert player.clock_ms("telemetry") <= newest
    player.reach(20_000 * MINUTE)
    assert not player.emitted("late")
    assert not [count for count in player.emitted("source_count") if count.late]


@quick
@given(worlds(), SEEDS, SEEDS)
def test_cuts_restarts_and_interleaving_change_nothing_where_clocks_are_fast(
    world: list[Event], one: int, two: int
) -> None:
    log, stamps = arriving(world, random.Random(one), "web")
    steady = Cadence(one).play(Player(rules=JoinRules()), log, stamps=stamps)
    stopped = Cadence(two, batch=3, drain_ratio=0.7, restart_ratio=0.7).play(
        Player(rules=JoinRules()), log, stamps=stamps
    )
    assert findings(steady) == findings(stopped)


def test_an_event_that_is_ahead_counts_in_its_own_bin_once_the_clock_has_passed_it() -> None:
    player = Player(rules=JoinRules())
    player.play("telemetry", [telemetry(4 * MINUTE, "fast", "failed")], [T0])
    player.play("telemetry", [telemetry(SECOND * n, f"c{n}") for n in range(4)], [T0 + SECOND * n for n in range(4)])
    player.reach(MINUTE)
    assert {count.bin_ms - T0 for count in player.emitted("cohort_count") if count.closed} == {0}
    player.reach(5 * MINUTE)
    assert {count.bin_ms - T0 for count in player.emitted("cohort_count") if count.closed} == {0, 4 * MINUTE}
    assert not any(count.late for count in player.emitted("source_count"))


def test_a_heartbeat_moves_the_clock_no_further_than_its_arrival() -> None:
    player = Player(rules=JoinRules())
    player.play("telemetry", [Heartbeat(event_time_ms=T0 + 4 * MINUTE)], [T0 + MINUTE])
    player.play("telemetry", [telemetry(MINUTE)], [T0 + MINUTE])
    player.reach(10 * MINUTE)
    assert not any(count.late for count in player.emitted("source_count"))


def test_an_event_that_brings_its_arrival_along_moves_the_clock_no_further_than_that() -> None:
    player = Player(rules=JoinRules(clock_customers=1))
    player.play("telemetry", [telemetry(3 * MINUTE, "fast", arrived_at_ms=T0)], [T0 + 60 * MINUTE])
    player.play("telemetry", [telemetry(SECOND, "c1")], [T0 + 60 * MINUTE])
    player.reach(60 * MINUTE)
    assert not any(count.late for count in player.emitted("source_count"))


@quick
@given(worlds(), SEEDS)
def test_clocks_of_the_version_before_are_read(world: list[Event], seed: int) -> None:
    log = arrive(world, random.Random(seed), with_stragglers)
    player = Cadence(seed).play(Player(), log, end=MINUTE)
    key = msgspec.msgpack.encode(("w",))
    new = player.store[key]
    newest, closed_ms, through_ms, ahead = msgspec.msgpack.decode(new)
    assert not any(ahead.values()), "one event moved the clock alone"
    player.store[key] = msgspec.msgpack.encode((newest, closed_ms, through_ms))
    player.restart(random.Random(seed))
    player.reach(600 * MINUTE)
    after = msgspec.msgpack.decode(player.store[key])
    assert after[0] == {topic: max(newest[topic], T0 + 600 * MINUTE) for topic in TOPICS}
    assert len(after) == 4
