"""Opt-outs on wrong partitions and with wrong clocks, compaction behind the sender's back, erasures: real servers."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from schemas.codec import decode, encode, partition_of
from schemas.events import Customer
from schemas.topics import BY_NOUN, state_topic
from streams.sinks.receiver import Receiver
from streams.topics import admin_of
from tests.core.match.world import DAY, HOUR, MINUTE, T0, customer, episode, issue, mark
from tests.faults.conftest import Arena
from tests.faults.harness import SECRET, Deployment, until
from tests.faults.result import Result, size
from tests.faults.test_orders import WAIT_S, contacted, order, tick
from tests.faults.test_sender_stop import put
from tests.patience import Deadline
from tests.sender.world import NOON, send

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
ROOMS = "match,outreach"
Row = tuple[str, Customer | None, int]
"""Customer, profile (None: erase), partition."""


def librdkafka(line: Deployment, name: str) -> int:
    """Where librdkafka's default partitioner puts a key."""
    return zlib.crc32(name.encode()) % line.settings.partitions


def home(line: Deployment, name: str) -> int:
    """Where the customer lives."""
    return partition_of(name.encode(), line.settings.partitions)


async def say(line: Deployment, rows: list[Row]) -> None:
    """Append to the customer topic, in this order."""
    producer = AIOKafkaProducer(bootstrap_servers=line.straight.kafka_bootstrap)
    await producer.start()
    try:
        for name, profile, partition in rows:
            value = None if profile is None else encode(profile)
            await producer.send(line.prefix + BY_NOUN["customer"].name, value, name.encode(), partition)
    finally:
        await producer.stop()


async def profiles_in(line: Deployment, names: list[str]) -> None:
    """A profile of each customer, where the customer lives."""
    await say(line, [(name, customer(name), home(line, name)) for name in names])


async def ordered(line: Deployment, *words: str) -> None:
    """An operator's order that succeeds."""
    code, text = await order(line, *words)
    assert code == 0, text


async def incident(line: Deployment, names: list[str]) -> None:
    """Something fails for everybody at noon, and goes on for an hour."""
    one = issue(at=NOON)
    await put(line, "episode", [episode(name, NOON - MINUTE) for name in names])
    for number in range(line.settings.partitions):
        await put(line, "issue", [one, mark(NOON + HOUR, number)], number)
        await put(line, "episode", [mark(NOON + HOUR, number)], number)


async def everything(line: Deployment, topic: str) -> list[Any]:
    """All records of a topic, partition by partition in offset order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=line.straight.kafka_bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        tps = [TopicPartition(line.prefix + topic, number) for number in range(line.settings.partitions)]
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        ends, found = await consumer.end_offsets(tps), list[Any]()
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for rows in (await consumer.getmany(timeout_ms=100)).values():
                found += rows
        return sorted(found, key=lambda row: (row.partition, row.offset))
    finally:
        await consumer.stop()


async def latest(line: Deployment, noun: str) -> dict[str, Any]:
    """Newest decision or delivery per send key."""
    rows = await everything(line, BY_NOUN[noun].name)
    records = decode(noun, [row.value for row in rows]).records
    return {record.outreach_id: record for record in records if record.kind == noun}


async def decided(line: Deployment, names: list[str]) -> None:
    """Wait until everybody is to be told."""

    async def there() -> bool:
        sent = {row.customer_id for row in (await latest(line, "outreach")).values() if row.decision == "send"}
        return sent >= set(names)

    await until(there, every_s=0.5)


async def ended(line: Deployment, names: list[str]) -> dict[str, tuple[str, str]]:
    """Wait until the sender has an outcome for each of these; customer -> outcome and reason."""
    found: dict[str, tuple[str, str]] = {}

    async def there() -> bool:
        rows = (await latest(line, "delivery")).values()
        found.update({row.customer_id: (row.outcome, row.reason) for row in rows if row.done_at_ms})
        return set(names) <= set(found)

    await until(there, every_s=0.5)
    return {name: found[name] for name in names}


def counts(outcomes: dict[str, tuple[str, str]]) -> dict[str, int]:
    """How often each reason was given."""
    reasons = [reason for _, reason in outcomes.values()]
    return {reason: reasons.count(reason) for reason in sorted(set(reasons))}


@pytest.mark.fault(66)
async def test_opt_outs_on_wrong_partitions_are_heard_also_while_outreach_is_dead(kafka_arena: Arena) -> None:
    count = size(40, 400)
    result = Result(
        66, "opt-outs produced with librdkafka's partitioner (CRC32 instead of murmur2), outreach killed meanwhile",
        f"{count} customers, a third of whose profiles lie astray from the start; when all are to be told, outreach is "
        "killed (kill -9), half opt out on the wrong partitions, and only then a sender starts",
        "0 sent to who opted out, everybody else told; outreach's successor brings the opt-outs home",
    )  # fmt: skip
    with result.measured(), kafka_arena.deployment(stored=False, holdout_ratio=0.0) as line:
        names = [f"c-{number}" for number in range(count)]
        out, others = names[::2], names[1::2]
        astray = [name for name in out if librdkafka(line, name) != home(line, name)]
        await say(line, [(name, customer(name), (librdkafka if number % 3 == 0 else home)(line, name))
                         for number, name in enumerate(names)])  # fmt: skip
        worker = line.worker(rooms=ROOMS)
        await until(worker.ready)
        await incident(line, names)
        await decided(line, names)
        worker.kill()
        stamp = NOON - HOUR
        await say(line, [(name, customer(name, opted_out=True, updated_at_ms=stamp), librdkafka(line, name))
                         for name in out])  # fmt: skip
        async with Receiver(SECRET) as receiver:
            line.sender("s", receiver.url)
            await receiver.wait_for(len(others))
            before = contacted(receiver)
            worker.start()
            outcomes = await ended(line, out)
            result.lost = len(set(others) - contacted(receiver))
            result.diff = len(contacted(receiver) & set(out))
        result.figures = {"opt-outs astray": len(astray), "told while outreach was dead": len(before)}
        result.figures |= counts(outcomes)
    assert len(astray) > count // 4
    assert (result.lost, result.diff) == (0, 0)
    assert set(outcomes.values()) == {("suppressed", "opted_out")}


def hurry(line: Deployment, topic: str) -> None:
    """Settings under which the cleaner comes within seconds."""
    changes = {"segment.ms": "1000", "segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.001",
               "delete.retention.ms": "100", "min.compaction.lag.ms": "0", "max.compaction.lag.ms": "2000"}  # fmt: skip
    with admin_of(line.straight.kafka_bootstrap) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, line.prefix + topic, changes)])


async def cleaned(line: Deployment, names: set[str]) -> int:
    """Write filler until only one record of each of these customers is left; returns how many opt-outs are left."""
    topic, deadline, number = BY_NOUN["customer"].name, Deadline(180), 0
    while True:
        rows = [row for row in await everything(line, topic) if (row.key or b"").decode() in names]
        if len(rows) == len(names) or deadline.over:
            return sum(record.opted_out for record in decode("customer", [row.value for row in rows]).records)
        number += 1  # a record rolls the segment that is older than a second
        await say(line, [(f"filler-{number}", customer(f"filler-{number}"), partition)
                         for partition in range(line.settings.partitions)])  # fmt: skip
        await asyncio.sleep(2.0)


def one_each(line: Deployment) -> list[str]:
    """A customer of every partition."""
    found = {home(line, name): name for name in (f"probe-{number}" for number in range(200))}
    return list(found.values())


@pytest.mark.fault(67)
async def test_opt_outs_with_wrong_clocks_hold_also_after_compaction(kafka_arena: Arena) -> None:
    count = size(8, 60)
    result = Result(
        67, "opt-outs with wrong clocks, and a compaction that drops them",
        f"{count} customers each: a profile of 2099 before the opt-out; a stale grant behind it; a grant at most 5 min "
        "later; an opt-out stamped 4 min too early behind a grant; grants surely later. A sender hears all, dies (kill "
        "-9), the topic is compacted to one record each, another sender starts",
        "0 sent where the withdrawal holds; who granted surely later is told",
    )  # fmt: skip
    stamp, grant = NOON - HOUR, T0 - DAY

    def history(kind: str, name: str) -> list[Customer]:
        def yes(at: int) -> Customer:
            return customer(name, updated_at_ms=at)

        no = customer(name, updated_at_ms=stamp, opted_out=True)
        return {
            "2099": [yes(grant), yes(T0 + 73 * 365 * DAY), no, yes(grant)],
            "stale": [yes(grant), no, yes(stamp - MINUTE)],
            "doubt": [yes(grant), no, yes(stamp + 5 * MINUTE)],
            "early": [yes(stamp + 4 * MINUTE), no, yes(stamp + 4 * MINUTE)],
            "told": [yes(grant), no, yes(stamp + 6 * MINUTE)],
        }[kind]

    with result.measured(), kafka_arena.deployment(stored=False, holdout_ratio=0.0) as line:
        people = {f"{kind}-{number}": kind for kind in ("2099", "stale", "doubt", "early", "told")
                  for number in range(count)}  # fmt: skip
        names, granted = list(people), [name for name, kind in people.items() if kind == "told"]
        await asyncio.to_thread(hurry, line, BY_NOUN["customer"].name)
        for name, kind in people.items():
            await say(line, [(name, record, home(line, name)) for record in history(kind, name)])
        async with Receiver(SECRET) as receiver:
            first = line.sender("first", receiver.url)
            probes = one_each(line)
            await put(line, "customer", [customer(name) for name in probes])
            await put(line, "outreach", [send(name) for name in probes])
            await tick(line, NOON + MINUTE)
            await receiver.wait_for(len(probes))  # each partition has read all that was said; what it keeps is durable
            first.kill()
            left = await cleaned(line, set(names))
            line.sender("second", receiver.url)
            await put(line, "outreach", [send(name) for name in names])
            await tick(line, NOON + 2 * MINUTE)
            outcomes = await ended(line, names)
            result.lost = len(set(granted) - contacted(receiver))
            result.diff = len(contacted(receiver) & (set(names) - set(granted)))
        result.figures = {"opt-outs left by the cleaner": left, **counts(outcomes)}
    assert left == 0, "the cleaner left a stale grant alone"
    assert (result.lost, result.diff) == (0, 0)
    assert {outcomes[name] for name in names if people[name] != "told"} == {("suppressed", "opted_out")}


async def kept_of(line: Deployment, names: list[str]) -> int:
    """How many live values of the rooms' states hold an address of one of these customers."""
    tokens = [f'"a-{name}"'.encode() for name in names]
    held = 0
    for room in ("match", "outreach", "send"):
        live = {(row.partition, row.key): row.value for row in await everything(line, state_topic(room))}
        held += sum(any(token in value for token in tokens) for value in live.values() if value is not None)
    return held


@pytest.mark.clickhouse
@pytest.mark.fault(68)
async def test_a_deleted_key_erases_the_customer_everywhere_and_stays_so_over_restarts(arena: Arena) -> None:
    count = size(30, 300)
    result = Result(
        68, "customers' keys without a value (tombstones), half of them on wrong partitions; then kill -9 of all",
        f"{count} customers are to be told, their notices wait in the sender's ledger; half are erased; all processes "
        "are killed and started again, an old profile of each erased one is produced once more",
        "no address of an erased customer in any state, no profile row in ClickHouse, none of them told; others are",
    )  # fmt: skip
    with result.measured(), arena.deployment(holdout_ratio=0.0) as line:
        names = [f"c-{number}" for number in range(count)]
        gone, others = names[::2], names[1::2]
        of_gone = f"customer_id IN ({', '.join(map(repr, gone))})"
        rows = f"SELECT count() FROM customer WHERE erased = 0 AND {of_gone}"
        await profiles_in(line, names)
        worker = line.worker(rooms=f"{ROOMS},store")
        await until(worker.ready)
        async with Receiver(SECRET) as receiver:
            await incident(line, names)
            await decided(line, names)
            await ordered(line, "stop", "--reason", "drill")
            sender = line.sender("s", receiver.url)

            async def pending() -> bool:
                return await kept_of(line, gone) > 2 * len(gone)

            await until(pending, every_s=1.0)  # in outreach's cases and profiles, and in the ledger
            await until(lambda: line.execute(rows) == [(len(gone),)])
            held = await kept_of(line, gone)
            await say(line, [(name, None, (librdkafka if number % 2 else home)(line, name))
                             for number, name in enumerate(gone)])  # fmt: skip
            await ended(line, gone)
            await until(lambda: line.execute(rows) == [(0,)])
            for process in (worker, sender):
                process.kill()
            await profiles_in(line, gone)
            for process in (worker, sender):
                process.start()
            await until(worker.ready)
            await line.settled(["match", "outreach", "store"])
            await ordered(line, "resume", "--wait", WAIT_S)
            await tick(line, NOON + HOUR + MINUTE)  # what an order held is looked at later on
            await receiver.wait_for(len(others))
            outcomes = await ended(line, names)
            left = line.execute(f"SELECT count() FROM customer FINAL WHERE {of_gone}")
            kept = await kept_of(line, gone)
            dead_letters = line.execute("SELECT reason, count() FROM dead_letter_latest GROUP BY reason")
            margins = line.execute(f"SELECT countIf(value_cents IS NOT NULL) FROM affected_latest WHERE {of_gone}")
            result.lost, result.diff = len(set(others) - contacted(receiver)), len(contacted(receiver) & set(gone))
        result.figures = {"state values with an address, before": held, "after": kept, **counts(outcomes)}
    assert (kept, left, margins) == (0, [(0,)], [(0,)])
    assert (result.lost, result.diff) == (0, 0)
    assert {outcomes[name] for name in gone} == {("suppressed", "erased")}
    assert [reason for reason, _ in dead_letters] == ["erasure"]
