"""Small rules of the runtime: who waits, who is silent, who is stuck, who reads what, how a process ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, ProducerFenced
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ConfigError, Fenced
from streams.metrics import Metrics
from streams.runtime.assignor import CoPartitioned
from streams.runtime.deadletter import BadRun, emitter
from streams.runtime.exits import ExitCode, Guard, KafkaFailed, Stalled, code_of, reason_of
from streams.runtime.lead import ahead
from streams.runtime.silence import Silence
from streams.runtime.state import META_KEY, Meta, Recovered, StateDamaged, state_records, version
from streams.runtime.status import Status
from streams.runtime.task import Counts
from streams.runtime.watchdog import Watchdog
from tests.runtime.test_task import batch

TIMES = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 100))


def test_a_topic_that_runs_ahead_of_one_with_unread_records_waits() -> None:
    assert ahead({"a": 100, "b": 10}, {"a", "b"}, 50) == {"a"}
    assert ahead({"a": 100, "b": 10}, {"a"}, 50) == set(), "b is at its end"
    assert ahead({"a": 100, "b": 10}, {"b"}, 0) == set(), "switched off"


@given(TIMES, st.sets(st.sampled_from(["a", "b", "c"])), st.integers(1, 50))
def test_something_always_moves(newest: Mapping[str, int], unread: set[str], lead: int) -> None:
    waiting = ahead(newest, unread, lead)
    assert not unread or unread - waiting


def test_a_topic_is_silent_only_at_its_end_and_after_the_time() -> None:
    silence = Silence(60.0)
    assert silence.look({"a": (5, 5), "b": (5, 9)}, 0.0) == set()
    assert silence.look({"a": (5, 5), "b": (5, 9)}, 60.0) == {"a"}
    assert silence.look({"a": (6, 6), "b": (5, 9)}, 61.0) == set(), "it moved"
    assert Silence(0).look({"a": (5, 5)}, 1e9) == set()


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


@pytest.mark.parametrize(
    "record", [(META_KEY, b"{"), (META_KEY, b'{"incarnation":1,"flush":1,"partitions":1,"offsets":{},"v":9}'),
               (None, b"x"), (b"foreign", b"x")],
)
def test_an_unreadable_state_record_raises_instead_of_hanging_recovery(record: tuple[bytes | None, bytes]) -> None:
    with pytest.raises(StateDamaged):
        Recovered().apply(*record)


def test_versions_grow_with_flushes_and_over_takeovers() -> None:
    assert version(1, 1) < version(1, 2) < version(2, 1)
    assert version(3, 7) == 3 << 40 | 7


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
    said: list[tuple[ExitCode, str]] = []
    dog = Watchdog([status], 90.0, lambda code, reason: said.append((code, reason)), clock=clock)
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
    said: list[ExitCode] = []
    with Guard(lambda code, reason: said.append(code), "test"):
        raise KeyError("x")
    assert said == [ExitCode.UNKNOWN]
    with pytest.raises(asyncio.CancelledError), Guard(lambda code, reason: said.append(code), "test"):
        raise asyncio.CancelledError
    assert len(said) == 1


def test_counters_grow_by_what_is_new_and_start_anew_with_the_tasks() -> None:
    metrics = Metrics()
    counts = {"telemetry": Counts(accepted=5, unknown_fields=1)}
    metrics.count("join", 0, counts)
    counts["telemetry"].accepted = 7
    metrics.count("join", 0, counts)
    metrics.forget("join")
    metrics.count("join", 0, {"telemetry": Counts(accepted=2)})
    text = metrics.render().decode()
    assert 'cx_runtime_records_total{outcome="accepted",room="join",topic="telemetry"} 9.0' in text
    assert 'cx_runtime_unknown_fields_total{room="join",topic="telemetry"} 1.0' in text
