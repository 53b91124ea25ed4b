"""What was seen, for weeks: the same answers as a set that forgets nothing, whatever is joined, restarted or cut."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.codec import encode
from schemas.events import Contact, Event
from streams.core.join.seen import SeenEvents
from streams.core.join.stage import JoinStage
from tests.core.join.world import (
    ALONE,
    DAY,
    HOUR,
    MINUTE,
    T0,
    Cadence,
    Player,
    arrive,
    contact,
    findings,
    order,
    telemetry,
    worlds,
)

SEEDS = st.integers(0, 2**32)
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LATE = st.lists(st.tuples(st.integers(0, 20 * 24), st.integers(0, 3), st.integers(0, 9)), max_size=60)
"""(hours behind the clock, minutes, id)."""


def add(seen: SeenEvents, time_ms: int, item: int) -> bool:
    bucket, mix = seen.bucket_of(time_ms - time_ms % MINUTE)
    return bucket.add(item ^ mix)


@quick
@given(LATE, SEEDS)
def test_an_id_is_known_in_its_minute_and_no_other_however_old_the_minute_is(
    events: list[tuple[int, int, int]], seed: int
) -> None:
    dice = random.Random(seed)
    seen, store, known = SeenEvents(), dict[tuple[int, ...], bytes](), set[tuple[int, int]]()
    clock_ms = T0 + 20 * DAY
    for hours, minutes, item in events:
        minute_ms = clock_ms - hours * HOUR - minutes * MINUTE
        if minute_ms < clock_ms - 20 * DAY:
            continue
        assert add(seen, minute_ms, item) == ((minute_ms, item) not in known)
        known.add((minute_ms, item))
        if dice.random() < 0.5:
            clock_ms += dice.choice((0, 30 * MINUTE, 5 * HOUR))
            known = {(at, one) for at, one in known if at >= clock_ms - 21 * DAY}
            seen.age(clock_ms)
            seen.forget(clock_ms - 21 * DAY)
            for key, value in list(seen.drain(clock_ms)):
                if value is None:
                    store.pop(key, None)
                else:
                    store[key] = value
            if dice.random() < 0.5:
                seen = SeenEvents()
                seen.load(store, clock_ms)
    assert len(seen) == len(known)


def test_weeks_of_few_events_take_a_bucket_a_day_not_one_a_minute() -> None:
    seen, start = SeenEvents(), T0
    for minute in range(45 * 24 * 60):
        add(seen, start + minute * MINUTE, minute)
        if minute % 30 == 0:
            seen.age(start + minute * MINUTE)
            list(seen.drain(start))
    assert len(seen) == 45 * 24 * 60
    assert seen.buckets < 160


def test_an_event_that_is_old_takes_nine_bytes() -> None:
    dice = random.Random(1)
    seen, store = SeenEvents(), dict[tuple[int, ...], bytes]()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for minute in range(3 * 24 * 60):
        for _ in range(100):
            add(seen, T0 + minute * MINUTE, dice.getrandbits(64))
        if minute % 60 == 0:
            seen.age(T0 + minute * MINUTE)
            list(seen.drain(T0 + minute * MINUTE))
    seen.age(T0 + 6 * DAY)
    list(seen.drain(T0 + 6 * DAY))
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert not store
    assert used / len(seen) < 9


# -- in the room ---------------------------------------------------------------------------------------------------


def days_late(event: Event, dice: random.Random) -> int:
    """Contacts come up to six weeks late."""
    return dice.randrange(10_000) if dice.random() < 0.5 or not isinstance(event, Contact) else dice.randrange(42 * DAY)


@pytest.mark.usefixtures("stage")
@quick
@given(worlds(), SEEDS, SEEDS)
def test_contacts_weeks_late_and_repeated_give_the_same_counts_whatever_the_flushes_and_restarts(
    world: list[Event], one: int, two: int
) -> None:
    dice = random.Random(one)
    log = arrive(world, dice, days_late)
    again = [event for event in log["contact"] if dice.random() < 0.5]
    movers = [contact(n * DAY, f"mover{n}", "question", event_id=f"m{n}", source="mover") for n in range(0, 40, 3)]
    log["contact"] += movers
    dice.shuffle(log["contact"])
    log["contact"] += again
    rules = ALONE
    steady = Cadence(one, drain_ratio=0.0).play(Player(rules=rules), log, end=44 * DAY)
    stopped = Cadence(two, batch=3, drain_ratio=0.8, restart_ratio=0.5).play(Player(rules=rules), log, end=44 * DAY)
    assert findings(steady)["source_count"] == findings(stopped)["source_count"]
    assert not steady.emitted("late")
    newest = {(c.topic, c.source, c.bin_ms): c for c in stopped.emitted("source_count")}
    reported = sum(count.duplicates for count in newest.values() if count.topic == "contact")
    assert reported == len(again)


@pytest.mark.usefixtures("stage")
def test_minutes_written_by_the_version_before_are_still_known_once_they_are_hours() -> None:
    player = Player()
    player.events(contact(0, "c1"), contact(MINUTE, "c2"))
    player.reach(2 * MINUTE)
    key_parts = player.stored("d")
    assert {len(key) for key in key_parts} == {3}, "as before: topic, start, first"
    player.restart(random.Random(1))
    player.reach(3 * DAY)
    assert {len(key) for key in player.stored("d")} == {4}, "hours or days by now"
    assert {len(key) for key in player.stored("s") if key[0] == "contact"} == {3}
    player.restart(random.Random(2))
    player.events(contact(0, "c1"), contact(MINUTE, "c2"), contact(2 * MINUTE, "c2", event_id="k60000c2app"))
    counts = {c.bin_ms - T0: (c.events, c.duplicates) for c in player.emitted("source_count")}
    assert counts == {0: (1, 1), MINUTE: (1, 1), 2 * MINUTE: (1, 0)}


@pytest.mark.usefixtures("stage")
def test_a_contact_more_than_the_retention_behind_its_topic_is_counted_but_attaches_to_nothing_by_time() -> None:
    player = Player()
    player.events(telemetry(0, outcome="failed"))
    player.reach(10 * DAY, ("contact",))
    player.events(contact(HOUR))
    (episode,) = {e.window_ms: e for e in player.emitted("episode") if e.signal == "app"}.values()
    assert episode.contacts == 0
    assert sum(c.events for c in player.emitted("source_count") if c.topic == "contact") == 0, "its bin is open"
    player.reach(10 * DAY)
    assert sum(c.events for c in player.emitted("source_count") if c.topic == "contact") == 1


@pytest.mark.usefixtures("stage")
def test_a_failure_days_late_joins_the_episode_that_was_told_before() -> None:
    player = Player()
    player.events(order(0, "payment_failed"))
    player.reach(6 * DAY)
    player.restart(random.Random(1))
    player.events(order(MINUTE, "payment_failed"))
    reported = [e.failures for e in player.emitted("episode") if e.signal == "payment"]
    assert reported == [1, 2]


def test_a_flush_looks_at_what_changed_not_at_weeks_of_buckets() -> None:
    player = Player(make=JoinStage)
    for day in range(44):
        player.events(*(contact(day * DAY + hour * HOUR, f"c{hour}") for hour in range(24)))
    player.reach(44 * DAY)
    before = dict(player.store)
    player.events(contact(44 * DAY + MINUTE, "new"))
    changed = {key for key, value in player.store.items() if before.get(key) != value}
    assert len(changed) < 12
    assert sum(len(encode(m.record)) for m in player.drain()) == 0
