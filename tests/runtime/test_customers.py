"""Customer records on the wrong partition, from the future, unreadable, or deleted: what the rooms make of them."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from schemas.codec import encode, partition_of
from schemas.events import Change, Command, Customer
from streams.agents import detect, match, outreach
from streams.runtime.astray import REKEYED_HEADER
from streams.runtime.batch import RawBatch
from streams.runtime.memory import Cadence, MemoryLine
from streams.runtime.state import Recovered, decode_meta
from streams.runtime.task import PartitionTask
from streams.settings import Settings
from tests.core.match.world import DAY, HOUR, MINUTE, T0, customer, episode, issue, mark

NOON = T0 + 11 * HOUR
NAMES = [f"c-{number}" for number in range(24)]
PARTITIONS = 4
APPENDED = T0 + DAY
"""When customer records were appended: long after their own times, as in a replay."""


def librdkafka(name: str) -> int:
    """Where librdkafka's default partitioner puts a key."""
    return zlib.crc32(name.encode()) % PARTITIONS


def home(name: str) -> int:
    """Where a customer lives."""
    return partition_of(name.encode(), PARTITIONS)


def line(seed: int | None = None) -> MemoryLine:
    """match and outreach on four partitions."""
    settings = Settings(approval_above=1_000, holdout_ratio=0.0)
    return MemoryLine([match.room(settings), outreach.room(settings)], PARTITIONS, Cadence(seed, feed_events=5))


def put(built: MemoryLine, record: Customer | bytes | None, key: str = "", partition: int | None = None) -> None:
    """Append to the customer topic."""
    name = key or getattr(record, "customer_id", "")
    built.produce("customer", record, key=name, partition=partition, timestamp_ms=APPENDED)


def incident(built: MemoryLine, names: list[str] | None = None) -> None:
    """Something fails for everybody at noon, and goes on."""
    one = issue(at=NOON)
    for name in names or NAMES:
        built.produce("episode", episode(name, NOON - MINUTE))
    for record in (one, mark(NOON + HOUR)):
        built.produce("issue", record, key=one.issue_id)
    for number in range(PARTITIONS):
        built.produce("episode", mark(NOON + HOUR, number), key="watermark", partition=number)


def decisions(built: MemoryLine) -> dict[str, tuple[str, str]]:
    """Customer -> latest decision and reason."""
    return {row.customer_id: (row.decision, row.reason) for row in built.records("outreach") if row.kind == "outreach"}


def dead_letters(built: MemoryLine, noun: str = "customer") -> list[dict[str, bytes | None]]:
    """Headers of all dead letters of a topic."""
    return [dict(entry.headers) for entry in built.raw(f"{noun}.dlq")]


def counted(built: MemoryLine, room: str, what: str) -> int:
    """A count of the customer topic over all partitions of a room."""
    return sum(getattr(built.task(room, number).counts["customer"], what) for number in range(PARTITIONS))


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_opt_outs_that_another_partitioner_put_elsewhere_are_heard(seed: int | None) -> None:
    built = line(seed)
    for name in NAMES:
        put(built, customer(name))
    built.run()
    out = NAMES[::2]
    for name in out:
        put(built, customer(name, opted_out=True, updated_at_ms=NOON - HOUR), partition=librdkafka(name))
    built.run()
    incident(built)
    step = 0
    while built.step():
        step += 1
        if seed and step % 4 == 0:
            built.crash("outreach", step % PARTITIONS, in_flush=step % 3 == 0)
    found = decisions(built)
    assert {name for name, (decision, _) in found.items() if decision == "send"} == set(NAMES) - set(out)
    assert {found[name] for name in out} == {("refuse", "opted_out")}
    astray = [name for name in out if librdkafka(name) != home(name)]
    copies = [entry for entry in built.raw("customer") if any(name == REKEYED_HEADER for name, _ in entry.headers)]
    assert sorted(entry.key or b"" for entry in copies) == sorted(name.encode() for name in astray)
    assert all(entry.partition == home((entry.key or b"").decode()) for entry in copies)
    assert dead_letters(built) == []


def test_one_room_alone_brings_home_what_lies_astray() -> None:
    built = line()
    wrong = next(name for name in NAMES if librdkafka(name) != home(name))
    put(built, customer(wrong), partition=librdkafka(wrong))
    put(built, encode(customer(NAMES[0])), key="somebody else")
    built.run()
    assert (counted(built, "outreach", "rekeyed"), counted(built, "match", "rekeyed")) == (2, 0)
    assert (counted(built, "outreach", "astray"), counted(built, "match", "astray")) == (0, 2)
    assert set(built.task("match", home(wrong)).state.worth) >= {wrong}
    assert wrong not in built.task("match", librdkafka(wrong)).state.worth


def test_a_state_of_an_earlier_version_reads_customers_once_more_for_what_lies_astray() -> None:
    room = outreach.room(Settings())
    built = line()
    put(built, customer("c-1"), partition=home("c-1"))
    built.run()
    found = built.state("outreach", home("c-1"))
    assert found.meta is not None
    assert found.meta.brings == ("customer",)
    before = decode_meta(b'{"incarnation":3,"flush":9,"partitions":4,"offsets":{"customer":5,"issue":7},"v":1}')
    task = PartitionTask(room, home("c-1"), PARTITIONS, Recovered(before, found.items))
    assert task.positions == {"issue": 7}
    assert PartitionTask(room, 0, PARTITIONS, Recovered(found.meta, found.items)).positions["customer"] == 1
    assert PartitionTask(match.room(Settings()), 0, 4, Recovered(before)).positions["customer"] == 5


def test_a_profile_of_2099_is_a_dead_letter_and_hides_no_later_opt_out() -> None:
    built = line()
    for name in NAMES:
        put(built, customer(name))
        put(built, customer(name, updated_at_ms=T0 + 73 * 365 * DAY))
    for name in NAMES[::2]:
        put(built, customer(name, opted_out=True, updated_at_ms=NOON - HOUR))
    for name in NAMES[1::2]:
        put(built, customer(name, updated_at_ms=NOON - HOUR))
    incident(built)
    built.run()
    found = decisions(built)
    assert {found[name][1] for name in NAMES[::2]} == {"opted_out"}
    assert {found[name] for name in NAMES[1::2]} == {("send", "eligible")}
    assert {dead["dlq.reason"] for dead in dead_letters(built)} == {b"future_time"}
    assert {dead["dlq.field"] for dead in dead_letters(built)} == {b"updated_at_ms"}


def test_a_profile_of_2099_that_may_be_an_opt_out_blocks_until_a_readable_one() -> None:
    built = line()
    put(built, customer("c-1"))
    put(built, customer("c-1", opted_out=True, updated_at_ms=T0 + 73 * 365 * DAY))
    incident(built, ["c-1"])
    built.run()
    assert decisions(built)["c-1"] == ("hold", "unreadable")


@pytest.mark.parametrize("noun", ["change", "control", "command"])
def test_changes_and_orders_from_the_future_are_dead_letters(noun: str) -> None:
    settings = Settings()
    built = MemoryLine([detect.room(settings), outreach.room(settings)], 1)
    late, early = APPENDED + 300_000, APPENDED + 300_001
    for number, stamp in enumerate((late, early)):
        record: Change | Command = Command(command_id=f"k-{number}", issued_at_ms=stamp, action="stop")
        if noun == "change":
            record = Change(change_id=f"x-{number}", changed_at_ms=stamp, change_kind="release")
        built.produce(noun, record, timestamp_ms=APPENDED)
    built.run()
    assert [dead["dlq.reason"] for dead in dead_letters(built, noun)] == [b"future_time"]
    counts = [task.counts[noun] for task in (built.task("detect", 0), built.task("outreach", 0)) if noun in task.counts]
    assert [(one.accepted, one.dead) for one in counts] == [(1, 1)]


@pytest.mark.parametrize("astray", [False, True])
def test_an_unreadable_profile_blocks_over_restarts_also_if_it_lies_elsewhere(astray: bool) -> None:
    built = line()
    for name in NAMES:
        put(built, customer(name))
        where = (home(name) + astray) % PARTITIONS
        put(built, b"{" + b"x" * 500, key=name, partition=where)
        put(built, customer(name), partition=home(name))
    built.run()
    for number in range(PARTITIONS):
        built.crash("outreach", number)
    put(built, customer(NAMES[0], updated_at_ms=NOON - HOUR))
    incident(built)
    built.run()
    found = decisions(built)
    assert found.pop(NAMES[0]) == ("send", "eligible")
    assert set(found.values()) == {("hold", "unreadable")}
    if astray:
        longest = max(len(entry.value or b"") for entry in built.raw("customer")
                      if any(name == REKEYED_HEADER for name, _ in entry.headers))  # fmt: skip
        assert longest == 0, "what cannot be read is not carried on"
    origins = {(dead["dlq.partition"], dead["dlq.offset"]) for dead in dead_letters(built)}
    assert len(origins) == len(NAMES), "reported where it lies, not once more where it came home"


@pytest.mark.parametrize("astray", [False, True])
def test_a_deleted_key_erases_profile_address_and_margin_and_its_letter_says_so(astray: bool) -> None:
    built = line()
    for name in NAMES:
        put(built, customer(name))
    incident(built)
    built.run()
    for name in NAMES:
        put(built, None, key=name, partition=(home(name) + astray) % PARTITIONS)
        built.produce("episode", episode(name, NOON + 30 * MINUTE))
    built.run()
    for room in ("outreach", "match"):
        state = b"".join(value for number in range(PARTITIONS) for value in built.state(room, number).items.values())
        assert b"a-c-" not in state
        assert b'"value_cents":12000' not in state
    latest = {row.customer_id: row.value_cents for row in built.records("affected") if row.kind == "affected"}
    assert latest == dict.fromkeys(NAMES)
    erasures = dead_letters(built)
    assert {dead["dlq.reason"] for dead in erasures} == {b"erasure"}
    assert {dead["dlq.rule"] for dead in erasures} == {b"was erased, with everything known about the customer"}
    assert counted(built, "outreach", "erased") == counted(built, "match", "erased") == len(NAMES)
    assert counted(built, "outreach", "dead") == 0
    assert not any(built.task("outreach", number).degraded for number in range(PARTITIONS))


def test_nobody_is_told_after_an_erasure_and_a_stale_profile_brings_nothing_back() -> None:
    built = line()
    for name in NAMES:
        put(built, customer(name))
        put(built, None, key=name)
        put(built, customer(name))
    incident(built)
    built.run()
    assert set(decisions(built).values()) == {("refuse", "erased")}


def test_copies_of_an_erased_customer_are_swept_from_the_other_partitions() -> None:
    built = line()
    put(built, customer("c-1"), partition=(home("c-1") + 1) % PARTITIONS)
    put(built, None, key="c-1")
    built.run()
    last: dict[tuple[int, bytes | None], Any] = {}
    for entry in built.raw("customer"):
        last[entry.partition, entry.key] = entry.value
    assert {partition: value for (partition, _), value in last.items() if partition != home("c-1")} == {
        number: None for number in range(PARTITIONS) if number != home("c-1")
    }
    assert counted(built, "outreach", "erased") == 1, "a sweep is no erasure of its own"


def test_a_sweep_takes_out_what_an_earlier_version_took_in_on_the_wrong_partition() -> None:
    old = line()
    put(old, customer("c-1"))
    old.run()
    for room in ("outreach", "match"):
        found = old.state(room, home("c-1"))
        one = PartitionTask(old.rooms[room], 0 if home("c-1") else 1, PARTITIONS, found)
        assert "c-1" in (one.state.profiles if room == "outreach" else one.state.worth)
        copied = [[(REKEYED_HEADER, b"1/2")]]
        sweep = RawBatch("customer", one.partition, 9, 10, [9], [b"c-1"], [None], copied, [T0])
        one.start_at("customer", 9)
        one.feed(sweep)
        assert "c-1" not in (one.state.profiles if room == "outreach" else one.state.worth)
        written = one.flush(0)
        assert written is not None
        gone = {key for (topic, _), rows in written.writes.items() for key, value, _ in rows
                if topic.endswith("state.v1") and value is None}  # fmt: skip
        assert gone == {b'.["p","c-1"]' if room == "outreach" else b'.["c","c-1"]'}


def test_erasing_is_no_bad_run_however_many_there_are() -> None:
    built = line()
    for number in range(500):
        put(built, None, key=f"c-{number}")
    built.run()
    assert not any(built.task(room, number).degraded for room in ("match", "outreach") for number in range(PARTITIONS))


def reason_after(*records: Customer) -> str:
    """Why the customer is told or not, after these."""
    built = line()
    for record in records:
        put(built, record)
    incident(built, ["c-1"])
    built.run()
    return decisions(built)["c-1"][1]


def test_a_withdrawal_holds_in_outreach_unless_a_surely_later_grant_follows() -> None:
    out = customer("c-1", opted_out=True, updated_at_ms=T0 + HOUR)
    stale, doubtful, sure = (customer("c-1", updated_at_ms=T0 + HOUR + by) for by in (-1, 300_000, 300_001))
    assert reason_after(out, stale) == reason_after(out, doubtful) == reason_after(sure, out) == "opted_out"
    assert reason_after(out, sure) == "eligible"
