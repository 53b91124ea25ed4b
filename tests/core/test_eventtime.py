"""Clocks and windows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.core.eventtime import Bounds, PartitionClock, TopicClock, floor_ms


@given(st.integers(0, 2**42), st.integers(1, 2**30))
def test_every_time_lies_in_exactly_one_aligned_half_open_window(time_ms: int, width_ms: int) -> None:
    start = floor_ms(time_ms, width_ms)
    assert start % width_ms == 0
    assert start <= time_ms < start + width_ms


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10_000))))
def test_a_clock_never_goes_back(heard: list[tuple[bool, int]]) -> None:
    clock = TopicClock(Bounds(100, 500))
    last = (0, 0)
    for idle, time_ms in heard:
        (clock.pass_idle if idle else clock.hear)(time_ms)
        now = (clock.watermark_ms, clock.oldest_ms)
        assert now >= last
        assert clock.watermark_ms >= (time_ms if idle else time_ms - 100)
        last = now


def test_a_partition_is_as_far_as_its_slowest_topic() -> None:
    clock = PartitionClock({"a": Bounds(10, 100), "b": Bounds(20, 200)})
    clock.topics["a"].hear(1_000)
    assert (clock.watermark_ms, clock.oldest_ms) == (0, 0)
    clock.topics["b"].hear(900)
    assert (clock.watermark_ms, clock.oldest_ms) == (880, 700)
    clock.pass_idle(("b", "unknown"), 5_000)
    assert (clock.watermark_ms, clock.oldest_ms) == (990, 900)
