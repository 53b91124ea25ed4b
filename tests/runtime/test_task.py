"""PartitionTask: what becomes of every message, and what one flush makes durable together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from schemas.codec import decode, encode, partition_of
from schemas.errors import ConfigError
from schemas.events import HEARTBEAT_KEY, Heartbeat
from streams.runtime.batch import Headers, RawBatch
from streams.runtime.limits import TaskRules
from streams.runtime.state import META_KEY, Meta, Recovered, StateDamaged, decode_meta
from streams.runtime.task import PartitionTask, RangeLost
from streams.runtime.transaction import Transaction
from tests.runtime.example import START_MS, count_room, event, totals

NOW_MS = START_MS + 10**9
HERE = [f"c-{number:04d}" for number in range(400) if partition_of(f"c-{number:04d}".encode(), 4) == 0]
"""Customers of partition 0 of 4."""


def message(number: int, customer: str | None = None, noun: str = "telemetry", **changes: Any) -> bytes:
    body = json.loads(encode(event(noun, number)))
    return json.dumps(body | {"customer_id": customer or HERE[number % 5]} | changes).encode()


def batch(
    values: Sequence[bytes | None],
    start: int = 0,
    noun: str = "telemetry",
    *,
    keys: Sequence[bytes | None] | None = None,
    headers: Sequence[Headers] | None = None,
    received_ms: int = NOW_MS,
) -> RawBatch:
    found = range(start, start + len(values))
    if keys is None:
        keys = [json.loads(value)["customer_id"].encode() if value and value[-1:] == b"}" else b"k" for value in values]
    stamps = [received_ms] * len(values)
    return RawBatch(noun, 0, start, found.stop, found, keys, values, headers or [()] * len(values), stamps)


def task(recovered: Recovered | None = None, **rules: Any) -> PartitionTask[Any]:
    made: PartitionTask[Any] = PartitionTask(count_room(), 0, 4, recovered, TaskRules(**rules))
    for noun in made.room.inputs:
        made.start_at(noun, made.positions.get(noun, 0))
    return made


def flushed(one: PartitionTask[Any]) -> Transaction:
    found = one.flush(NOW_MS)
    assert found is not None
    return found


def episodes(found: Transaction) -> list[Any]:
    written = [writes for (topic, _), writes in found.writes.items() if topic == "cx.episode.v1"]
    values = [value for writes in written for _, value, _ in writes]
    return decode("episode", values).records


def recovered(*transactions: Transaction) -> Recovered:
    state = Recovered()
    for transaction in transactions:
        for key, value, _headers in transaction.writes["cx.join.state.v1", 0]:
            state.apply(key, value)
    return state


def test_a_flush_holds_messages_state_and_the_source_offsets() -> None:
    one = task()
    one.feed(batch([message(number) for number in range(4)]))
    found = flushed(one)
    assert len(episodes(found)) == 4
    state = found.writes["cx.join.state.v1", 0]
    assert [key for key, _, _ in state] == [b".c:" + who.encode() for who in sorted(HERE[:4])] + [META_KEY]
    assert decode_meta(state[-1][1] or b"") == Meta(1, 1, 4, {"telemetry": 4, "order": 0, "contact": 0})
    assert found.offsets == {"telemetry": 4, "order": 0, "contact": 0}


def test_nothing_fed_means_nothing_to_flush() -> None:
    one = task()
    assert one.flush(NOW_MS) is None
    one.feed(batch([message(1)]))
    flushed(one)
    assert one.flush(NOW_MS) is None


def test_every_derived_message_carries_epoch_and_flush_number() -> None:
    one = task(Recovered(Meta(6, 3, 4, {"telemetry": 0})))
    one.feed(batch([message(1)]))
    flushed(one)
    one.feed(batch([message(2)], start=1))
    found = flushed(one)
    headers = [h for (topic, _), writes in found.writes.items() if topic == "cx.episode.v1" for _, _, h in writes]
    assert headers == [(("cx.ver", str(7 << 40 | 2).encode()),)]


def test_offsets_below_the_source_offsets_are_skipped_and_counted() -> None:
    first = task()
    first.feed(batch([message(number) for number in range(6)]))
    again = task(recovered(flushed(first)))
    again.feed(batch([message(number) for number in range(6)]))
    assert again.flush(NOW_MS) is None
    again.feed(batch([message(number) for number in range(4, 8)], start=4))
    assert again.counts["telemetry"].skipped == 8
    assert again.counts["telemetry"].accepted == 2
    assert sum(sum(counts.values()) for counts in again.state.counts.values()) == 8


def test_a_missing_batch_is_noticed() -> None:
    one = task()
    one.feed(batch([message(1)]))
    with pytest.raises(RangeLost, match="continues at 5, not 1"):
        one.feed(batch([message(2)], start=5))
    assert one.positions["telemetry"] == 1


def test_offsets_without_a_record_are_passed_without_a_flush() -> None:
    one = task()
    one.feed(replace(batch([message(1), message(2)]), offsets=[2, 5], next=9))
    assert one.positions["telemetry"] == 9
    flushed(one)
    one.feed(replace(batch([], start=9), next=11))
    assert one.positions["telemetry"] == 11
    assert not one.dirty, "markers alone are no reason for a transaction, or rooms would wake each other for ever"


def test_results_do_not_depend_on_the_slice() -> None:
    values = [message(number) if number % 7 else b"[" for number in range(100)]
    outcomes = []
    for size in (1, 3, 300):
        one = task(slice_events=size)
        one.feed(batch(values, keys=[json.loads(v)["customer_id"].encode() if len(v) > 1 else b"k" for v in values]))
        outcomes.append(flushed(one).writes)
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_a_dead_letter_keeps_bytes_key_and_headers_and_says_why() -> None:
    one = task(build="1.2.3")
    bad = b'{"event_id":"e","outcome":\xff'
    headers: Headers = [("trace", b"t1"), ("dlq.reason", b"old")]
    one.start_at("telemetry", 40)
    one.feed(batch([message(1), bad], 40, keys=[HERE[1].encode(), b"\x00key"], headers=[(), headers]))
    ((key, value, found),) = flushed(one).writes["cx.telemetry.v1.dlq", 0]
    assert (key, value) == (b"\x00key", bad)
    assert dict(found) == {
        "trace": b"t1", "dlq.topic": b"cx.telemetry.v1", "dlq.partition": b"0", "dlq.offset": b"41",
        "dlq.reason": b"utf8", "dlq.field": b"", "dlq.rule": b"should be UTF-8", "dlq.value_class": b"bytes",
        "dlq.version": b"1.2.3", "dlq.first_failed_at_ms": str(NOW_MS).encode(),
    }
    assert one.counts["telemetry"].dead == 1
    assert one.counts["telemetry"].accepted == 1


def test_a_dead_letter_that_was_put_back_keeps_the_time_it_first_failed() -> None:
    one = task()
    one.feed(batch([b"{"], headers=[[("dlq.first_failed_at_ms", b"17"), ("dlq.offset", b"3")]]))
    ((_, _, found),) = flushed(one).writes["cx.telemetry.v1.dlq", 0]
    assert dict(found)["dlq.first_failed_at_ms"] == b"17"
    assert dict(found)["dlq.offset"] == b"0"


def test_tombstones_and_oversized_messages_are_dead_letters() -> None:
    one = task(max_event_bytes=300)
    large = message(1, session_id="x" * 100)
    one.feed(batch([None, large, message(2)], keys=[b"k", HERE[1].encode(), HERE[2].encode()]))
    reasons = [dict(h)["dlq.reason"] for _, _, h in flushed(one).writes["cx.telemetry.v1.dlq", 0]]
    assert reasons[0] == b"tombstone"
    assert b"too_large" in reasons


def test_a_foreign_record_is_written_again_to_the_right_partition_and_changes_nothing_here() -> None:
    stranger = next(f"c-{number}" for number in range(99) if partition_of(f"c-{number}".encode(), 4) == 3)
    one = task()
    one.feed(batch([message(1), message(2, stranger)]))
    found = flushed(one)
    ((key, value, headers),) = found.writes["cx.telemetry.v1", 3]
    assert (key, value) == (stranger.encode(), message(2, stranger))
    assert headers == [("cx.rekeyed", b"0/1")]
    assert list(one.state.counts) == [HERE[1]]
    assert one.counts["telemetry"].rekeyed == 1


def test_a_record_whose_key_is_not_its_customer_is_rekeyed_even_to_its_own_partition() -> None:
    one = task()
    one.feed(batch([message(1), message(2), message(3)], keys=[None, HERE[1].encode(), HERE[3].encode()]))
    found = flushed(one)
    assert [key for key, _, _ in found.writes["cx.telemetry.v1", 0]] == [HERE[1].encode(), HERE[2].encode()]
    assert list(one.state.counts) == [HERE[3]]


def test_heartbeats_have_no_customer_and_are_never_rekeyed() -> None:
    one = task()
    beat = encode(Heartbeat(event_time_ms=START_MS + 99))
    one.feed(batch([beat, message(1), beat], keys=[HEARTBEAT_KEY, HERE[1].encode(), HEARTBEAT_KEY]))
    assert one.counts["telemetry"].heartbeats == 2
    assert one.counts["telemetry"].accepted == 1
    assert one.newest["telemetry"] == START_MS + 1_000
    assert not [topic for topic, _ in flushed(one).writes if topic == "cx.telemetry.v1"]


# append time          300 s later
# |----------------------|=========> dead letter, watermark untouched
def test_an_event_of_the_future_is_a_dead_letter_and_never_moves_the_newest_time() -> None:
    one = task()
    times = [START_MS, START_MS + 300_000, START_MS + 300_001]
    one.feed(batch([message(n, event_time_ms=time) for n, time in enumerate(times)], received_ms=START_MS))
    ((_, value, headers),) = flushed(one).writes["cx.telemetry.v1.dlq", 0]
    assert json.loads(value or b"")["event_time_ms"] == times[2]
    assert dict(headers)["dlq.reason"] == b"future_time"
    assert "dlq.not_before_ms" not in dict(headers)
    assert one.newest["telemetry"] == times[1]


def test_a_heartbeat_of_the_future_does_not_move_the_newest_time_either() -> None:
    one = task()
    beat = encode(Heartbeat(event_time_ms=START_MS + 10**9))
    one.feed(batch([beat], keys=[HEARTBEAT_KEY], received_ms=START_MS))
    assert one.newest == {}
    assert one.counts["telemetry"].dead == 1


def test_an_event_later_than_the_arrival_it_brings_along_is_a_dead_letter_however_late_it_was_appended() -> None:
    one = task()
    times = [START_MS + 300_000, START_MS + 300_001]
    events = [message(n, event_time_ms=time, arrived_at_ms=START_MS) for n, time in enumerate(times)]
    one.feed(batch([*events, message(2, event_time_ms=times[1])], received_ms=NOW_MS))
    ((_, value, headers),) = flushed(one).writes["cx.telemetry.v1.dlq", 0]
    assert json.loads(value or b"")["event_time_ms"] == times[1]
    assert dict(headers)["dlq.reason"] == b"future_time"
    assert one.counts["telemetry"].accepted == 2


def test_an_event_that_arrived_before_it_happened_by_its_own_account_is_never_put_back() -> None:
    one = task(quarantine_future=True)
    one.feed(batch([message(1, event_time_ms=START_MS + 10**6, arrived_at_ms=START_MS)], received_ms=NOW_MS))
    ((_, _, headers),) = flushed(one).writes["cx.telemetry.v1.dlq", 0]
    assert "dlq.not_before_ms" not in dict(headers)
    assert (one.counts["telemetry"].dead, one.counts["telemetry"].quarantined) == (1, 0)


def test_quarantined_events_say_when_to_put_them_back_and_are_no_bad_run() -> None:
    one = task(quarantine_future=True)
    one.feed(batch([message(1, event_time_ms=START_MS + 10**6)], received_ms=START_MS))
    ((_, _, headers),) = flushed(one).writes["cx.telemetry.v1.dlq", 0]
    assert dict(headers)["dlq.not_before_ms"] == str(START_MS + 10**6).encode()
    assert (one.counts["telemetry"].dead, one.counts["telemetry"].quarantined) == (0, 1)


def test_a_bad_stretch_of_two_emitters_pages_but_never_stops() -> None:
    one = task(bad_run=100)
    one.feed(batch([b'{"source":"a"'] * 99 + [b'{"source":"b"']))
    assert one.degraded
    one.feed(batch([message(1)], start=100))
    assert not one.degraded
    assert one.counts["telemetry"].accepted == 1


def test_one_broken_device_is_no_page() -> None:
    one = task(bad_run=100)
    one.feed(batch([b'{"source":"a"'] * 500))
    assert not one.degraded
    assert one.counts["telemetry"].dead == 500


def test_an_idle_topic_is_passed_and_the_tick_recorded_with_its_offsets() -> None:
    one = task()
    one.feed(batch([message(1), message(100)]))
    one.feed(batch([message(50, noun="order")], noun="order"))
    assert one.idle(["contact"])
    assert not one.idle(["contact"]), "nothing advanced since"
    found = flushed(one)
    ((_, value, _),) = found.writes["cx.tick.v1", 0]
    (tick,) = decode("tick", [value]).records
    assert tick.event_time_ms == START_MS + 50_000 - 10_000
    assert tick.offsets == {"telemetry": 2, "order": 1, "contact": 0}
    assert one.state.idle_ms == tick.event_time_ms


def test_no_tick_while_everything_is_silent_or_a_busy_topic_has_shown_nothing_yet() -> None:
    one = task()
    one.feed(batch([message(1)]))
    assert not one.idle(["telemetry", "order", "contact"])
    assert not one.idle(["contact"]), "order has unread records: nobody knows their time"


def test_state_of_another_partition_count_is_refused() -> None:
    with pytest.raises(ConfigError, match="built with 8 partitions, CX_PARTITIONS is 4"):
        task(Recovered(Meta(1, 1, 8, {})))


def test_state_without_a_meta_record_is_refused() -> None:
    with pytest.raises(StateDamaged):
        task(Recovered(None, {b"x": b"y"}))


def test_stop_restore_continue_equals_never_stopped() -> None:
    values = [message(number) for number in range(50)]
    straight = task()
    straight.feed(batch(values))
    flushed(straight)
    first = task()
    first.feed(batch(values[:20]))
    durable = flushed(first)
    first.feed(batch(values[20:30], start=20))
    second = task(recovered(durable))
    second.feed(batch(values[20:], start=20))
    found = flushed(second)
    assert second.state.counts == straight.state.counts
    assert second.epoch == 2
    assert totals(episodes(found)) == dict.fromkeys(HERE[:5], (10, 0))


def test_a_task_that_starts_from_nothing_has_a_higher_version_than_one_that_did_so_before() -> None:
    made = [PartitionTask(count_room(), 0, 4, wall_s=1_795_600_000.0 + seconds) for seconds in (0, 60)]
    assert made[0].epoch < made[1].epoch


def test_what_is_fed_while_a_flush_encodes_belongs_to_the_next_one() -> None:
    one = task(encode_messages=1)
    one.feed(batch([message(1), message(2)]))
    steps = one.flush_steps(NOW_MS)
    next(steps)
    one.feed(batch([message(3), b"{"], start=2))
    while True:
        try:
            next(steps)
        except StopIteration as done:
            first: Transaction = done.value
            break
    assert first.offsets["telemetry"] == 2
    assert not [topic for topic, _ in first.writes if topic.endswith(".dlq")]
    assert one.dirty
    second = flushed(one)
    assert second.offsets["telemetry"] == 4
    assert len(episodes(second)) == 1
