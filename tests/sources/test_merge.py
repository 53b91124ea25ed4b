"""Partitions of a backlog merged by event time: in order, bounded, and no wrong clock holds anybody up."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from streams.sources.arrivals import Arrival
from streams.sources.merge import CALM_MS, LOOK_AHEAD, Merge, Read, read_of

START = 1_773_216_000_000
DELAY = 60_000
NOW = START + 86_400_000


def row(offset: int, at_ms: int, customer: str = "c-1", latest_ms: int = NOW) -> Read:
    return read_of(offset, [Arrival(START + at_ms, "order", customer.encode(), None, b"{}")], latest_ms)


def rejected(offset: int) -> Read:
    return read_of(offset, [Arrival(0, "order", None, None, b"x", (("dlq.topic", b"cx.order.v1"),))], NOW)


def merged(parts: list[list[Read]], seed: int, most: int = 50, share: int = 1) -> tuple[list[tuple[int, Read]], Merge]:
    """Fetch in random pieces, ask for ends now and then, take what there is."""
    dice, merge = random.Random(seed), Merge(dict.fromkeys(range(len(parts)), 0), DELAY, share)
    read, out, now = [0] * len(parts), list[tuple[int, Read]](), NOW
    while merge.buffered or any(done < len(rows) for done, rows in zip(read, parts, strict=True)):
        for number in merge.to_read():
            if dice.random() < 0.5:
                piece = parts[number][read[number] : read[number] + dice.randint(1, 40)]
                merge.add(number, piece, now)
                read[number] += len(piece)
        now += 2_000
        merge.at_end([p for p in merge.blocking() if read[p] == len(parts[p])], now)
        out += merge.take(most, 1 << 50)
    return out, merge


TIMES = st.lists(st.integers(0, 80_000_000), max_size=80)


@given(st.lists(TIMES, min_size=1, max_size=5), st.integers(0, 1 << 30))
def test_partitions_in_order_give_one_stream_in_order_and_nothing_is_lost(parts: list[list[int]], seed: int) -> None:
    rows = [[row(offset, at, f"c-{offset % 7}") for offset, at in enumerate(sorted(times))] for times in parts]
    out, _ = merged(rows, seed)
    times = [read.at_ms for _, read in out]
    assert times == sorted(times)
    for number, given_ in enumerate(rows):
        assert [read for where, read in out if where == number] == given_


@given(st.lists(st.lists(st.integers(-100, 80_000_000), max_size=80), min_size=1, max_size=4), st.integers(0, 1 << 30))
def test_whatever_the_times_every_row_comes_out_in_the_order_of_its_partition(
    parts: list[list[int]], seed: int
) -> None:
    rows = [
        [rejected(offset) if at < 0 else row(offset, at, f"c-{at % 5}") for offset, at in enumerate(times)]
        for times in parts
    ]
    out, _ = merged(rows, seed)
    for number, given_ in enumerate(rows):
        assert [read for where, read in out if where == number] == given_


@given(st.integers(0, 1 << 30))
def test_two_customers_with_wrong_clocks_hold_up_nobody(seed: int) -> None:
    dice = random.Random(seed)
    rows = [[row(n, n * 60_000, f"c-{number}-{n % 40}") for n in range(300)] for number in range(3)]
    for number in sorted(dice.sample(range(280), 20), reverse=True):
        wrong = dice.choice([80_000_000, 40_000_000, 0])
        rows[0].insert(number, row(1_000 + number, wrong, dice.choice(["wrong-1", "wrong-2"])))
    out, _ = merged(rows, seed)
    times = [read.at_ms for _, read in out if not read.customer.startswith(b"wrong")]
    assert times == sorted(times)


def test_nothing_is_handed_out_while_a_partition_may_hold_something_older() -> None:
    merge = Merge({0: 0, 1: 0}, DELAY)
    merge.add(0, [row(n, n * 1_000) for n in range(100)], NOW)
    assert merge.take(1_000, 1 << 50) == []
    assert merge.blocking() == [1]
    merge.at_end([1], NOW + CALM_MS)
    assert len(merge.take(1_000, 1 << 50)) == 100 - LOOK_AHEAD


def test_while_a_backlog_is_being_filled_in_an_empty_partition_is_waited_for() -> None:
    merge = Merge({0: START - 1, 1: START - 1}, DELAY)
    merge.at_end([0, 1], NOW)
    assert merge.vouched_ms() == NOW - DELAY
    merge.add(0, [row(n, n * 1_000, f"c-{n}") for n in range(100)], NOW)
    merge.at_end(merge.blocking(), NOW + 1_000)
    assert merge.take(1_000, 1 << 50) == []  # more of the past may be on its way into the other
    assert vouched(merge) < 0
    merge.add(1, [row(n, n * 1_000 + 500, f"c-{n}") for n in range(100)], NOW + 2_000)
    times = [read.at_ms for _, read in merge.take(1_000, 1 << 50)]
    assert times == sorted(times)
    assert len(times) > 150
    merge.at_end([0, 1], NOW + 1_000 + CALM_MS)
    assert vouched(merge) < 100_000
    merge.at_end([0, 1], NOW + 2_000 + CALM_MS)
    while merge.take(1_000, 1 << 50):
        pass
    assert merge.vouched_ms() == NOW + 2_000 + CALM_MS - DELAY


def test_a_straggler_holds_up_nobody_and_no_end_is_doubted_for_it() -> None:
    merge = Merge({0: NOW - 1_000, 1: NOW - 1_000}, DELAY)
    merge.at_end([1], NOW)
    merge.add(0, [row(0, 0), row(1, NOW - START)], NOW)
    merge.at_end([0], NOW)
    assert len(merge.take(10, 1 << 50)) == 2
    assert merge.vouched_ms() == NOW - DELAY


def test_after_a_pause_the_end_of_before_lets_nothing_pass() -> None:
    merge = Merge({0: 0, 1: 0}, DELAY)
    merge.at_end([0, 1], NOW)
    merge.add(0, [row(0, 90_000_000 + n, latest_ms=NOW + 3_600_000) for n in range(40)], NOW + 3_600_000)
    assert merge.take(10, 1 << 50) == []
    assert merge.blocking() == [1]
    merge.at_end(merge.blocking(), NOW + 3_600_000)
    assert len(merge.take(10, 1 << 50)) == 10


def test_a_clock_of_this_machine_that_jumps_back_stops_nothing() -> None:
    merge = Merge({0: 0, 1: 0}, DELAY)
    merge.add(0, [row(0, 86_300_000)], NOW)
    merge.at_end([0, 1], NOW - 3_600_000)
    assert len(merge.take(10, 1 << 50)) == 1


def test_one_partition_needs_no_merging_and_no_end() -> None:
    merge = Merge({0: 0}, DELAY)
    merge.add(0, [row(n, n) for n in range(5)], NOW)
    assert merge.blocking() == []
    assert len(merge.take(100, 1 << 50)) == 5


def test_a_partition_that_is_ahead_waits_in_bounded_memory() -> None:
    merge = Merge({0: 0, 1: 0}, DELAY, budget_bytes=1)
    while 0 in merge.to_read():
        merge.add(0, [row(merge.buffered, merge.buffered * 1_000)], NOW)
    assert merge.buffered < 100
    assert merge.to_read() == [1]


def test_a_stretch_ends_after_so_much_event_time() -> None:
    merge = Merge({0: 0}, DELAY)
    merge.add(0, [row(n, n * 60_000) for n in range(30)], NOW)
    assert len(merge.take(1_000, 5 * 60_000)) == 6


def vouched(merge: Merge) -> int:
    return merge.vouched_ms() - START


def test_the_slowest_partition_decides_what_is_vouched_for() -> None:
    merge = Merge({0: 0, 1: 0, 2: 0}, DELAY)
    merge.add(0, [row(n, n * 60_000) for n in range(30)], NOW)
    merge.add(1, [row(n, n * 60_000) for n in range(20)], NOW)
    merge.at_end([2], NOW + CALM_MS)
    assert merge.vouched_ms() == 0
    assert len(merge.take(1_000, 1 << 50)) == 8  # the second is known up to its fourth row only
    assert vouched(merge) == 3 * 60_000 - DELAY
    merge.at_end([0, 1, 2], NOW + CALM_MS)
    assert vouched(merge) == 3 * 60_000 - DELAY  # read to its end is not yet handed out
    while merge.take(1_000, 1 << 50):
        pass
    assert merge.vouched_ms() == NOW + CALM_MS - DELAY


def test_rejects_only_vouch_for_nothing_even_at_the_end_and_a_successor_knows_of_events_before() -> None:
    merge = Merge({0: 0}, DELAY)
    merge.add(0, [rejected(n) for n in range(5)], NOW)
    assert len(merge.take(10, 1 << 50)) == 5
    merge.at_end([0], NOW)
    assert merge.vouched_ms() == 0
    after = Merge({0: START, 1: 0}, DELAY)
    assert after.vouched_ms() == 0  # of the second partition nothing is known yet
    after.at_end([0, 1], NOW)
    assert after.vouched_ms() == NOW - DELAY


def test_a_wrong_clock_moves_what_is_vouched_for_no_further_than_its_arrival() -> None:
    merge = Merge({0: 0}, DELAY)
    merge.add(0, [row(0, 0), row(1, 90_000_000_000, "wrong", latest_ms=START + 2_000)], NOW)
    assert len(merge.take(10, 1 << 50)) == 2
    assert vouched(merge) <= 2_000
