"""The in-memory line: same tasks, same state records, crashes at will."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from schemas.events import Heartbeat
from streams.runtime.memory import Cadence, MemoryLine
from tests.runtime.example import INPUTS, START_MS, count_room, event, expected, totals


def filled(line: MemoryLine, count: int = 200) -> list[Any]:
    produced = [event(INPUTS[number % 3], number) for number in range(count)]
    for number, one in enumerate(produced):
        line.produce(INPUTS[number % 3], one)
    return produced


def test_every_event_is_counted_once() -> None:
    line = MemoryLine([count_room()])
    produced = filled(line)
    line.run()
    assert totals(line.records("episode")) == expected(produced)


def test_cuts_interleavings_flushes_and_partition_counts_do_not_change_the_result() -> None:
    results = []
    for partitions in (1, 4, 7):
        for cadence in (Cadence(), Cadence(seed=1, feed_events=3), Cadence(seed=2, feed_events=50, flush_chance=0.05)):
            line = MemoryLine([count_room()], partitions, cadence)
            filled(line)
            line.run()
            results.append(totals(line.records("episode")))
    assert all(result == results[0] for result in results)


def test_a_transaction_leaves_a_marker_so_offsets_have_holes_that_the_next_reader_passes() -> None:
    line = MemoryLine([count_room()], 1)
    filled(line, 3)
    line.run()
    before = line.task("join", 0).positions["telemetry"]
    line.produce("telemetry", event("telemetry", 1, customers=1), key="c-0001", partition=0)
    line.run()
    assert line.task("join", 0).positions["telemetry"] == before + 3, "foreign record, its copy and a marker"
    assert len(line.raw("telemetry")) == 3


def test_a_crash_in_the_middle_of_a_flush_leaves_no_trace() -> None:
    line = MemoryLine([count_room()], 1, Cadence(seed=3, feed_events=5, flush_chance=0.0))
    produced = filled(line, 30)
    for _ in range(4):
        line.step()
    assert line.task("join", 0).dirty
    line.crash("join", 0, in_flush=True)
    assert line.raw("episode") == []
    line.run()
    assert totals(line.records("episode")) == expected(produced)
    assert line.task("join", 0).epoch == 1, "the crashed epoch was never durable"


def test_recorded_ticks_are_applied_at_the_offsets_they_name() -> None:
    def run(line: MemoryLine) -> list[Any]:
        line.run()
        return [one.through_ms for one in line.records("episode") if one.kind == "watermark"]

    live = MemoryLine([count_room()], 1)
    live.produce("telemetry", event("telemetry", 1))
    live.produce("order", event("order", 1))
    live.run()
    live.idle("join", ["contact"])
    live.produce("telemetry", event("telemetry", 500))
    first = run(live)
    assert first == [START_MS + 1_000 - 10_000]

    again = MemoryLine([count_room()], 1)
    for number in (1, 500):
        again.produce("telemetry", event("telemetry", number))
    again.produce("order", event("order", 1))
    again.apply_ticks(live.records("tick"))
    assert run(again) == first
    assert totals(again.records("episode")) == totals(live.records("episode"))


def test_a_heartbeat_reaches_every_partition() -> None:
    line = MemoryLine([count_room()], 4)
    line.produce("telemetry", Heartbeat(event_time_ms=START_MS))
    line.run()
    assert [line.task("join", partition).newest for partition in range(4)] == [{"telemetry": START_MS}] * 4


class CrashingLine(RuleBasedStateMachine):
    """Produce, step, crash, crash inside a flush, in any order: the end is as if nothing had crashed."""

    @initialize(seed=st.integers(0, 1_000), partitions=st.sampled_from((1, 2, 4)))
    def start(self, seed: int, partitions: int) -> None:
        self.line = MemoryLine([count_room()], partitions, Cadence(seed, feed_events=4, flush_chance=0.3))
        self.produced: list[Any] = []
        self.bad = 0

    @rule(noun=st.sampled_from(INPUTS), count=st.integers(1, 8))
    def produce(self, noun: str, count: int) -> None:
        for _ in range(count):
            one = event(noun, len(self.produced))
            self.produced.append(one)
            self.line.produce(noun, one)

    @rule(noun=st.sampled_from(INPUTS), partition=st.integers(0, 3))
    def produce_on_a_wrong_partition(self, noun: str, partition: int) -> None:
        one = event(noun, len(self.produced))
        self.produced.append(one)
        self.line.produce(noun, one, partition=partition % self.line.partitions)

    @rule(noun=st.sampled_from(INPUTS))
    def produce_garbage(self, noun: str) -> None:
        self.bad += 1
        self.line.produce(noun, b"{", key=f"g-{self.bad}")

    @rule(steps=st.integers(1, 10))
    def work(self, steps: int) -> None:
        for _ in range(steps):
            self.line.step()

    @rule(partition=st.integers(0, 3), in_flush=st.booleans())
    def crash(self, partition: int, in_flush: bool) -> None:
        self.line.crash("join", partition % self.line.partitions, in_flush)

    @invariant()
    def never_counts_more_than_was_produced(self) -> None:
        if hasattr(self, "line"):
            limits = expected(self.produced)
            for who, (failures, contacts) in totals(self.line.records("episode")).items():
                assert failures <= limits[who][0]
                assert contacts <= limits[who][1]

    def teardown(self) -> None:
        if hasattr(self, "line"):
            self.line.run()
            assert totals(self.line.records("episode")) == expected(self.produced)
            assert sum(len(self.line.raw(f"{noun}.dlq")) for noun in INPUTS) == self.bad


CrashingLine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestCrashingLine = CrashingLine.TestCase
