"""Small rules of the runtime: who waits, who is idle, who is stuck, who reads what, how a process ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka.errors import KafkaConnectionError, ProducerFenced
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ConfigError, Fenced
from streams.metrics import Metrics
from streams.runtime.alignment import Idleness, ahead
from streams.runtime.assignor import CoPartitioned
from streams.runtime.deadletter import BadRun, emitter
from streams.runtime.exits import LOG_S, ExitCode, Guard, KafkaFailed, Stalled, code_of, reason_of
from streams.runtime.intake import TopicCounts
from streams.runtime.state import (
    META_KEY,
    PART_BYTES,
    Meta,
    Recovered,
    StateDamaged,
    next_epoch,
    state_records,
    version,
)
from streams.runtime.status import Status
from streams.runtime.watchdog import HARD_MARGIN_S, LOOK_S, Watchdog
from streams.runtime.writer import TRANSACTION_TIMEOUT_MS
from streams.settings import Settings
from tests.patience import patience
from tests.runtime.test_task import batch

TIMES = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 100))


def test_a_topic_that_runs_ahead_of_one_with_unread_records_waits() -> None:
    assert ahead({"a": 100, "b": 10}, {"a", "b"}, 50) == {"a"}
    assert ahead({"a": 100, "b": 10}, {"a"}, 50) == set(), "b is at its end"
    assert ahead({"a": 100, "b": 10}, {"b"}, 0) == set(), "switched off"


@given(TIMES, st.sets(st.sampled_from(["a", "b", "c"])), st.integers(1, 50))
def test_something_always_moves(newest: Mapping[str, int], unread: set[str], skew: int) -> None:
    paused = ahead(newest, unread, skew)
    assert not unread or unread - paused


def test_a_topic_is_silent_only_at_its_end_and_after_the_time() -> None:
    idleness = Idleness(60.0)
    clocks = {"a": 1_000, "b": 1_000}
    assert idleness.look({"a": (5, 5), "b": (5, 9)}, clocks, 0.0) == set()
    assert idleness.look({"a": (5, 5), "b": (5, 9)}, clocks, 60.0) == {"a"}
    assert idleness.look({"a": (6, 6), "b": (5, 9)}, clocks | {"a": 1_001}, 61.0) == set(), "its clock moved"
    assert Idleness(0).look({"a": (5, 5)}, clocks, 1e9) == set()


def test_a_topic_where_only_one_customer_speaks_is_silent_because_its_clock_stands_still() -> None:
    idleness = Idleness(60.0)
    assert idleness.look({"a": (5, 5)}, {}, 0.0) == set()
    assert idleness.look({"a": (6, 6)}, {}, 59.0) == set()
    assert idleness.look({"a": (7, 7)}, {}, 60.0) == {"a"}


def test_a_bad_run_ends_with_the_first_good_message() -> None:
    run = BadRun(limit=3)
    for sender in (b"a", b"a", b"b"):
        run.bad(sender)
    assert run.degraded
    run.good()
    run.bad(b"a")
    assert not run.degraded


def test_the_emitter_is_told_by_header_then_field_then_key() -> None:
    one = batch([b'{"source": "app"', b"[", b"["], keys=[b"1", b"2", None], headers=[(), (), [("ce_source", b"web")]])
    assert [emitter(one, index) for index in range(3)] == [b"app", b"2", b"web"]


def test_state_round_trips_and_tombstones_remove() -> None:
    found = Recovered()
    for flush, value in enumerate((b"1", None, b"3"), 1):
        for record in state_records([(b"k", value), (b"", b"empty key")], Meta(2, flush, 4, {"telemetry": flush})):
            found.apply(*record)
    assert found.items == {b"k": b"3", b"": b"empty key"}
    assert found.meta == Meta(2, 3, 4, {"telemetry": 3})


def test_a_large_value_is_written_in_parts_and_nothing_of_it_stays_behind() -> None:
    found, parts = Recovered(), dict[bytes, int]()
    large = bytes(range(256)) * (2 * PART_BYTES // 256 + 1)
    for flush, value in enumerate((b"1", large, large[:-PART_BYTES], b"2", large, None, large[: PART_BYTES + 1]), 1):
        records = state_records([(b"k", value)], Meta(1, flush, 4, {}), parts)
        assert max(len(written or b"") for _, written in records) <= PART_BYTES + 2
        for record in records:
            found.apply(*record)
        assert found.whole() == ({} if value is None else {b"k": value})
        stored = len(found.items) + sum(map(len, found.parts.values()))
        assert stored == (0 if value is None else -(-len(value) // PART_BYTES))
        assert parts == {key: len(pieces) for key, pieces in found.parts.items()}, "a restart knows the same"


def test_a_missing_part_is_damage_and_not_a_shorter_value() -> None:
    found = Recovered()
    for record in state_records([(b"k", b"x" * 2 * PART_BYTES)], Meta(1, 1, 4, {}), {}):
        found.apply(*record)
    found.apply(b"/\x00\x01k", None)
    with pytest.raises(StateDamaged):
        found.whole()


@pytest.mark.parametrize(
    "record", [(META_KEY, b"{"), (META_KEY, b'{"incarnation":1,"flush":1,"partitions":1,"offsets":{},"v":9}'),
               (None, b"x"), (b"foreign", b"x")],
)
def test_an_unreadable_state_record_raises_instead_of_hanging_recovery(record: tuple[bytes | None, bytes]) -> None:
    found = Recovered()
    with pytest.raises(StateDamaged):
        read_to_the_end(found, record)


def read_to_the_end(found: Recovered, *records: tuple[bytes | None, bytes]) -> None:
    """What recovery does with records."""
    for record in records:
        found.apply(*record)
    found.check()


def test_a_damaged_meta_record_that_was_replaced_by_a_good_one_does_not_keep_the_room_down() -> None:
    found, good = Recovered(), msgspec.json.encode(Meta(3, 1, 4, {"order": 7}))
    read_to_the_end(found, (META_KEY, good), (META_KEY, good[:9]), (META_KEY, good))
    assert found.meta == Meta(3, 1, 4, {"order": 7})
    assert found.whole() == {}
    with pytest.raises(StateDamaged):
        read_to_the_end(found, (META_KEY, good[:9]))
    with pytest.raises(StateDamaged):
        found.whole()


def test_versions_grow_with_flushes_and_over_takeovers() -> None:
    assert version(1, 1) < version(1, 2) < version(2, 1)
    assert version(3, 7) == 3 << 40 | 7


NOV_2026_S = 1_795_600_000.0


def test_what_is_worked_out_anew_after_a_loss_of_the_state_wins_over_the_rows_of_before() -> None:
    before = next_epoch(None, NOV_2026_S)
    assert next_epoch(None, NOV_2026_S + 60) > before


@given(st.integers(0, 1 << 23), st.floats(-1e10, 1e11))
def test_an_epoch_counts_up_whatever_the_clock_says_and_fits_beside_the_flush(stored: int, wall_s: float) -> None:
    found = next_epoch(Meta(stored, 1, 4, {}), wall_s)
    assert stored < found < 1 << 24
    assert version(found, (1 << 40) - 1) < 1 << 64


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("phase", "mark", "sentence"),
    [
        ("joining", None, "has no assignment"),
        ("recovering", None, "does not get on in recovery"),
        ("running", None, "gets no answers to its fetches"),
        ("running", "dirty_since", "cannot commit"),
        ("running", "unread_since", "has records to read but none come"),
    ],
)
def test_the_watchdog_names_what_has_stopped(phase: Any, mark: str | None, sentence: str) -> None:
    clock = Clock()
    status = Status("join", clock)
    status.enter(phase)
    exits: list[tuple[ExitCode, str]] = []
    dog = Watchdog([status], 90.0, lambda code, reason: exits.append((code, reason)), clock=clock)
    dog.beat()
    if mark is not None:
        setattr(status, mark, clock.now)
    clock.now += 89
    dog.beat()
    assert dog.look() is None
    clock.now += 2
    dog.beat()
    if mark is not None:
        status.moved()
    assert sentence in (dog.look() or "")


def test_a_blocked_event_loop_is_noticed_from_outside() -> None:
    clock = Clock()
    dog = Watchdog([], 90.0, lambda code, reason: None, clock=clock)
    dog.beat()
    clock.now += 91
    assert "event loop has been blocked for 91 s" in (dog.look() or "")
    assert not dog.alive


def test_waiting_for_a_sink_or_draining_is_no_stall() -> None:
    clock = Clock()
    status = Status("store", clock)
    status.enter("running")
    status.retrying = True
    clock.now += 1_000
    assert status.problem(90.0) is None
    assert not status.ready
    status.retrying = False
    status.enter("draining")
    clock.now += 1_000
    assert status.problem(90.0) is None


def test_a_sink_that_comes_back_after_an_hour_leaves_no_old_clock_running() -> None:
    clock = Clock()
    status = Status("store", clock)
    status.enter("running")
    status.dirty_since = status.unread_since = clock.now
    status.retrying = True
    clock.now += 3_600
    status.resumed()
    assert status.problem(90.0) is None
    assert status.ready


# how long a process that stands still lives: fault at 0, the watchdog looks every LOOK_S
LONGEST_STALL_S = next(limit.le for limit in Settings.model_fields["stall_s"].metadata if hasattr(limit, "le"))
LIMIT_S = 120.0


def ends_at(status: Status, clock: Clock, story: Mapping[float, Callable[[], None]]) -> float:
    """Seconds after the fault at which the watchdog ends the process; ``story``: what happens when."""
    dog = Watchdog([status], LONGEST_STALL_S, lambda code, reason: None, clock=clock)
    start = clock.now
    dog.beat()
    while dog.look() is None:
        clock.now += 0.5
        dog.beat()
        story.get(clock.now - start, lambda: None)()
    return clock.now - start + dog.every_s + LOG_S


def test_phases_of_a_silent_broker_do_not_add_up() -> None:
    #  0 s: broker silent | 45 s: heartbeats gave up | 100 s: the old assignment is closed, joining again
    clock = Clock()
    status = Status("join", clock)
    status.enter("running")
    clock.now += 500
    status.moved()
    assert ends_at(status, clock, {99.5: lambda: status.enter("joining")}) <= LIMIT_S


@pytest.mark.parametrize("phase", ["joining", "recovering", "running"])
def test_every_phase_ends_within_the_limit_at_the_longest_setting(phase: Any) -> None:
    clock = Clock()
    status = Status("join", clock)
    status.enter(phase)
    assert LONGEST_STALL_S < ends_at(status, clock, {}) <= LIMIT_S


def test_records_that_are_refused_again_and_again_are_a_stall_although_fetches_are_answered() -> None:
    clock = Clock()
    status = Status("join", clock)
    status.enter("running")
    status.unread_since = clock.now
    answers = {0.5 * number: status.moved for number in range(1_000)}
    assert ends_at(status, clock, answers) <= LIMIT_S


def test_the_last_resort_and_the_writers_own_limit_come_in_time_too() -> None:
    assert LONGEST_STALL_S + HARD_MARGIN_S <= LIMIT_S
    assert LOOK_S + LOG_S < HARD_MARGIN_S, "the ordinary end comes first"
    longest_flush = next(limit.le for limit in Settings.model_fields["flush_ms"].metadata if hasattr(limit, "le"))
    assert (longest_flush + TRANSACTION_TIMEOUT_MS) / 1_000 <= LIMIT_S


def test_an_answer_counts_from_when_it_came_and_a_clock_that_jumps_takes_nothing_back() -> None:
    clock = Clock()
    status = Status("join", clock)
    status.enter("running")
    status.moved(3_600.0)
    assert status.moved_at == clock.now
    clock.now += 60
    status.moved(20.0)
    assert status.moved_at == clock.now - 20
    status.moved(-3_600.0)
    assert status.moved_at == clock.now


def test_a_log_that_nobody_reads_does_not_hold_up_the_end() -> None:
    program = """
import logging, os, threading
from streams.runtime import exits
exits.LOG_S = 0.2
handler = logging.StreamHandler()
logging.getLogger().addHandler(handler)
handler.acquire()
threading.Thread(target=exits.die, args=(exits.ExitCode.STALLED, "stuck")).start()
threading.Event().wait()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=patience(60), check=False)
    assert done.returncode == ExitCode.STALLED


def test_one_partition_number_of_all_topics_goes_to_one_member() -> None:
    cluster = SimpleNamespace(partitions_for_topic=lambda topic: set(range(1 if topic == "one" else 5)))
    members = {name: SimpleNamespace(subscription=["a", "b", "one"]) for name in ("w2", "w1")}
    shares = CoPartitioned.assign(cluster, members)
    owners: dict[int, set[str]] = {}
    total = 0
    for member, share in shares.items():
        for _topic, partitions in share.assignment:
            total += len(partitions)
            for partition in partitions:
                owners.setdefault(partition, set()).add(member)
    assert total == 11
    assert all(len(found) == 1 for found in owners.values())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Fenced("x"), ExitCode.FENCED), (ProducerFenced(), ExitCode.FENCED), (ConfigError("x"), ExitCode.CONFIG),
        (Stalled("x"), ExitCode.STALLED), (KafkaFailed("x"), ExitCode.KAFKA),
        (KafkaConnectionError("x"), ExitCode.KAFKA), (ValueError("x"), ExitCode.UNKNOWN),
    ],
)
def test_every_kind_of_error_has_its_exit_code(error: Exception, code: ExitCode) -> None:
    assert code_of(error) == code


def test_the_reason_of_an_unknown_error_shows_the_place_and_never_the_value() -> None:
    with pytest.raises(ValueError, match="secret") as caught:
        int("c-secret-customer")
    reason = reason_of(caught.value)
    assert "secret" not in reason
    assert "test_rules.py" in reason


def test_the_guard_lets_cancellation_through_and_nothing_else() -> None:
    exits: list[ExitCode] = []
    with Guard(lambda code, reason: exits.append(code), "test"):
        raise KeyError("x")
    assert exits == [ExitCode.UNKNOWN]
    with pytest.raises(asyncio.CancelledError), Guard(lambda code, reason: exits.append(code), "test"):
        raise asyncio.CancelledError
    assert len(exits) == 1


def test_lag_and_the_like_of_partitions_that_went_elsewhere_are_not_told_any_more() -> None:
    metrics = Metrics()
    for room in ("join", "store"):
        metrics.lag.labels(room, "telemetry", "3").set(7)
        metrics.newest.labels(room, "telemetry", "3").set(7)
        metrics.undecided.labels(room, "telemetry", "3").set(7)
    metrics.forget("join")
    rows = [row for row in metrics.render().decode().splitlines() if 'partition="3"' in row]
    gauges = ["cx_runtime_lag_records", "cx_runtime_newest_event_ms", "cx_runtime_undecided_records"]
    assert sorted(row.split("{")[0] for row in rows) == gauges
    assert all('room="store"' in row for row in rows)


def test_counters_grow_by_what_is_new_and_start_anew_with_the_tasks() -> None:
    metrics = Metrics()
    counts = {"telemetry": TopicCounts(accepted=5, unknown_fields=1)}
    metrics.count("join", 0, counts)
    counts["telemetry"].accepted = 7
    metrics.count("join", 0, counts)
    metrics.forget("join")
    metrics.count("join", 0, {"telemetry": TopicCounts(accepted=2)})
    text = metrics.render().decode()
    assert 'cx_runtime_records_total{outcome="accepted",room="join",topic="telemetry"} 9.0' in text
    assert 'cx_runtime_unknown_fields_total{room="join",topic="telemetry"} 1.0' in text
