"""What holds for every stream: order, duplicates, cuts, restarts and partitions change nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.events import Event, Order
from schemas.findings import BinClosed, CohortCount, Watermark
from streams.core.join.rules import JoinRules
from tests.core.join.world import (
    ALONE,
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    T0,
    Cadence,
    Log,
    Player,
    arrive,
    by_partition,
    findings,
    naive,
    repeated,
    telemetry,
    with_stragglers,
    within_disorder,
    worlds,
)

pytestmark = pytest.mark.usefixtures("stage")
SEEDS = st.integers(0, 2**32)
RULES = st.sampled_from((ALONE, JoinRules()))
"""One event moves a clock, or three customers do."""
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def orders_on_time(event: Event, dice: random.Random) -> int:
    """Only telemetry and contacts straggle."""
    return within_disorder(event, dice) if isinstance(event, Order) else with_stragglers(event, dice)


@quick
@given(worlds(), RULES, SEEDS, SEEDS)
def test_any_order_within_the_disorder_bound_gives_the_same_findings(
    world: list[Event], rules: JoinRules, one: int, two: int
) -> None:
    first = Cadence(one).play(Player(rules=rules), arrive(world, random.Random(one), within_disorder))
    second = Cadence(two).play(Player(rules=rules), arrive(world, random.Random(two), within_disorder))
    assert findings(first) == findings(second)
    assert not first.emitted("late")


@quick
@given(worlds(), RULES, SEEDS)
def test_the_findings_equal_a_naive_join_over_the_whole_list(world: list[Event], rules: JoinRules, seed: int) -> None:
    log = arrive(world, random.Random(seed), orders_on_time)
    found = findings(Cadence(seed).play(Player(rules=rules), log))
    for noun, expected in naive(log, rules.clock_customers).items():
        assert found[noun] == expected, noun


@quick
@given(worlds(), RULES, SEEDS, SEEDS)
def test_how_topics_interleave_and_how_batches_and_flushes_are_cut_changes_nothing(
    world: list[Event], rules: JoinRules, one: int, two: int
) -> None:
    log = arrive(world, random.Random(one), with_stragglers)
    rarely = Cadence(one, batch=50, drain_ratio=0.0).play(Player(rules=rules), log)
    often = Cadence(two, batch=1, drain_ratio=1.0).play(Player(rules=rules), log)
    assert findings(rarely) == findings(often)


@quick
@given(worlds(), RULES, SEEDS, SEEDS)
def test_stopping_anywhere_and_loading_in_any_order_equals_never_stopping(
    world: list[Event], rules: JoinRules, one: int, two: int
) -> None:
    log = arrive(world, random.Random(one), with_stragglers)
    steady = Cadence(one).play(Player(rules=rules), log)
    stopped = Cadence(two, batch=3, drain_ratio=0.7, restart_ratio=0.7).play(Player(rules=rules), log)
    assert findings(steady) == findings(stopped)


@quick
@given(worlds(), RULES, SEEDS)
def test_duplicates_change_nothing_but_their_own_count(world: list[Event], rules: JoinRules, seed: int) -> None:
    dice = random.Random(seed)
    log = arrive(world, dice, within_disorder)
    doubled: Log = {topic: repeated(events, dice) for topic, events in log.items()}
    plain, noisy = (
        findings(Cadence(seed, restart_ratio=0.2).play(Player(rules=rules), played)) for played in (log, doubled)
    )
    assert plain["cohort_count"] == noisy["cohort_count"]
    assert plain["episode"] == noisy["episode"]
    assert noisy["source_count"] == naive(doubled, rules.clock_customers)["source_count"]


@quick
@given(worlds(), RULES, SEEDS, st.sampled_from((4, 7)))
def test_the_number_of_partitions_changes_nothing(
    world: list[Event], rules: JoinRules, seed: int, partitions: int
) -> None:
    log = arrive(world, random.Random(seed), within_disorder)
    alone = Cadence(seed).play(Player(rules=rules), log)
    parts = [
        Cadence(seed + number, restart_ratio=0.2).play(Player(number, partitions, rules), part)
        for number, part in enumerate(by_partition(log, partitions))
    ]
    assert findings(alone) == findings(*parts)


@quick
@given(worlds(), RULES, SEEDS)
def test_progress_never_goes_back_and_a_closed_bin_stays_closed(
    world: list[Event], rules: JoinRules, seed: int
) -> None:
    log = arrive(world, random.Random(seed), with_stragglers)
    player = Cadence(seed, restart_ratio=0.3).play(Player(rules=rules), log)
    closed_ms = through_ms = 0
    closed: set[tuple[str, str, int]] = set()
    for message in player.messages:
        record = message.record
        if isinstance(record, Watermark):
            assert record.through_ms > through_ms
            through_ms = record.through_ms
        elif isinstance(record, BinClosed):
            assert record.through_ms > closed_ms
            closed_ms = record.through_ms
        elif isinstance(record, CohortCount):
            assert record.bin_ms >= closed_ms, "a count after its BinClosed"
            if record.closed:
                assert (record.line, record.signal, record.bin_ms) not in closed
                closed.add((record.line, record.signal, record.bin_ms))
    assert through_ms == T0 + 3 * DAY - 10 * SECOND


@quick
@given(worlds(), RULES, SEEDS)
def test_state_is_bounded_everything_expires_but_the_clocks(world: list[Event], rules: JoinRules, seed: int) -> None:
    log = arrive(world, random.Random(seed), with_stragglers)
    player = Cadence(seed, restart_ratio=0.3).play(Player(rules=rules), log, end=2 * DAY)
    player.reach(60 * DAY)
    assert all(key[:2] in (b"\x91\xa1", b"\x92\xa1") for key in player.store)
    kinds = {key[2:3] for key in player.store} - {b"w"}
    assert kinds <= {b"c"}, "only who waits for something to be put right is remembered"
    player.reach(120 * DAY)
    assert len(player.store) == 1
    player.restart(random.Random(seed))
    assert len(player.store) == 1


@quick
@given(worlds(), RULES, SEEDS)
def test_events_that_are_too_old_go_to_late_and_change_nothing(world: list[Event], rules: JoinRules, seed: int) -> None:
    # T0 ........ T0+5h | 60 days later: one event moves the clocks |  then the old ones again: all too old
    log = arrive(world, random.Random(seed), within_disorder)
    mover = telemetry(60 * DAY, "mover")
    player = Cadence(seed).play(Player(rules=rules), log, end=60 * DAY - HOUR)
    player.reach(60 * DAY - MINUTE)
    before = findings(player)
    player.play("telemetry", [mover.model_copy(update={"outcome": "abandoned", "source": "mover"})])
    old = {topic: [e.model_copy(update={"event_id": f"again-{e.event_id}"}) for e in log[topic]] for topic in log}
    for topic, events in old.items():
        player.play(topic, events)
    player.reach(60 * DAY + MINUTE)
    after = findings(player)
    assert after["cohort_count"] == before["cohort_count"]
    assert after["episode"] == before["episode"]
    assert [row for row in after["source_count"] if b'"mover"' not in row] == before["source_count"]
    assert len(player.emitted("late")) == len(world)


@quick
@given(worlds(), RULES, SEEDS)
def test_every_order_has_at_most_one_outcome_even_with_late_events(
    world: list[Event], rules: JoinRules, seed: int
) -> None:
    # one customer per order, so that outcomes can be counted from outside
    alone = [e.model_copy(update={"customer_id": f"{e.customer_id}-{e.order_id}"}) for e in world
             if isinstance(e, Order)]
    log = arrive(alone, random.Random(seed), with_stragglers)
    player = Cadence(seed, restart_ratio=0.3).play(Player(rules=rules), log)
    customers = [e.customer_id for e in player.emitted("episode") if e.signal == "delivery"]
    latest = {(e.customer_id, e.window_ms): e.failures for e in player.emitted("episode") if e.signal == "delivery"}
    assert len(latest) == len(set(customers))
    assert all(failures == 1 for failures in latest.values())
    exposed = sum(leaf.exposed for c in player.emitted("cohort_count") if c.closed and c.signal == "delivery"
                  for leaf in c.leaves)
    assert exposed <= len({e.customer_id for e in alone})
