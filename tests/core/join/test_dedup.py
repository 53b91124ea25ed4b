"""The memory of what was seen: exact, small, and rebuilt from its slices."""

from __future__ import annotations

import random
import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.join.dedup import CHUNK, Memory, customer_hash, event_hash
from tests.core.join.world import T0, Player, telemetry

MINUTE = 60_000


def hashes(count: int, seed: int = 1) -> list[int]:
    dice = random.Random(seed)
    return [dice.getrandbits(64) for _ in range(count)]


def apply(memory: Memory, store: dict[tuple[int, int], bytes], rest_before_ms: int = 0) -> int:
    """Apply a drain to a store; return the bytes written."""
    changes = list(memory.drain(rest_before_ms))
    assert len({key for key, _ in changes}) == len(changes)
    for key, value in changes:
        if value is None:
            del store[key]
        else:
            store[key] = value
    return sum(len(value or b"") for _, value in changes)


def test_the_hash_of_an_event_depends_on_its_customer() -> None:
    assert event_hash("1", customer_hash("a")) != event_hash("1", customer_hash("b"))
    assert 0 <= event_hash("1", customer_hash("a")) < 2**64


def test_the_room_remembers_exactly_this_hash() -> None:
    player = Player()
    player.events(telemetry(0, "c1", event_id="id"))
    assert event_hash("id", customer_hash("c1")) in player.state.seen["telemetry"].bucket_of(T0)[0]


def test_a_persisted_event_takes_eight_bytes() -> None:
    memory, store = Memory(MINUTE), dict[tuple[int, int], bytes]()
    for item in hashes(100_000):
        memory.add(0, item)
    apply(memory, store)
    assert sum(map(len, store.values())) == 800_000
    assert max(map(len, store.values())) <= 8 * CHUNK


def test_an_event_at_rest_takes_eight_bytes_of_memory_and_a_recent_one_about_a_hundred() -> None:
    items = hashes(100_000)
    tracemalloc.start()
    memory = Memory(MINUTE)
    for item in items:
        memory.add(0, item + 1)  # an int of its own, as from the hash function
    recent = tracemalloc.get_traced_memory()[0] / len(items)
    for _ in memory.drain(rest_before_ms=MINUTE):
        pass
    rest = tracemalloc.get_traced_memory()[0] / len(items)
    tracemalloc.stop()
    assert recent < 130
    assert rest < 9
    assert all(item + 1 in memory.buckets[0] for item in items[::97])
    assert not any(item in memory.buckets[0] for item in hashes(1_000, seed=2))


def test_frequent_drains_rewrite_each_hash_a_few_times_and_leave_few_slices() -> None:
    # 30,000 hashes in 120 drains, as in a minute of two flushes a second
    memory, store = Memory(MINUTE), dict[tuple[int, int], bytes]()
    written = 0
    for start in range(0, 30_000, 250):
        for item in hashes(250, seed=start):
            memory.add(0, item)
        written += apply(memory, store)
    assert written <= 8 * 30_000 * 8
    assert len(store) <= 12


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40), st.sampled_from("adrlf")), max_size=80))
def test_any_history_of_adding_draining_resting_loading_and_forgetting_equals_a_plain_set(
    history: list[tuple[int, int, str]],
) -> None:
    memory, store, plain = Memory(MINUTE), dict[tuple[int, int], bytes](), set[tuple[int, int]]()
    floor = 0
    for minute, number, action in history:
        item = number * 0x9E3779B97F4A7C15 % 2**64
        if action in "ad" and minute >= floor:
            assert memory.add(minute * MINUTE + 7, item) == ((minute, item) not in plain)
            plain.add((minute, item))
        if action in "dr":
            apply(memory, store, rest_before_ms=minute * MINUTE if action == "r" else 0)
        if action == "l":
            apply(memory, store)
            memory = Memory(MINUTE)
            memory.load(dict(random.Random(number).sample(sorted(store.items()), len(store))))
        if action == "f":
            floor = max(floor, minute)
            memory.forget(floor * MINUTE)
            plain = {known for known in plain if known[0] >= floor}
    apply(memory, store)
    assert len(memory) == len(plain)
    assert sum(map(len, store.values())) == 8 * len(plain)
    assert {start // MINUTE for start, _ in store} == {minute for minute, _ in plain}
    assert all(item in memory.buckets[minute * MINUTE] for minute, item in plain)
