"""Playing and following on a real Kafka, read back with a plain consumer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from kafka.admin import KafkaAdminClient

from schemas import codec
from schemas.errors import ConfigError, SinkUnavailable
from schemas.events import HEARTBEAT_KEY
from schemas.topics import BY_NOUN
from streams.settings import Settings
from streams.sources import RowCounts, parse_mapping, read
from streams.sources import follow as follow_module
from streams.sources.arrivals import Arrival, Beats, with_heartbeats
from streams.sources.follow import Followed, Follower, follow
from streams.sources.merge import Merge
from streams.sources.producer import Destination, PlaySpeed, play
from streams.topics import ensure_topics
from tests.patience import patience

PARTITIONS = 4
MAPPING = """
name: m
input: {format: FORMAT}
customer: "{who}"
events:
  - to: order
    time: {field: at}
    id: "{no}"
    fields: {order_id: "{no}", product: shop, status: placed}
"""


@pytest.fixture
def target(kafka: str, topic_prefix: str) -> Destination:
    ensure_topics(kafka, Settings(kafka_bootstrap=kafka, topic_prefix=topic_prefix, partitions=PARTITIONS))
    return Destination(kafka, topic_prefix, PARTITIONS)


async def records(target: Destination, topic: str, partitions: int = PARTITIONS) -> list[ConsumerRecord]:
    """Everything on a topic, by a consumer that knows nothing of ours."""
    consumer = AIOKafkaConsumer(bootstrap_servers=target.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        tps = [TopicPartition(target.prefix + topic, number) for number in range(partitions)]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        found: list[ConsumerRecord] = []
        while len(found) < sum(ends.values()):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                found += batch
        return found
    finally:
        await consumer.stop()


def rows(count: int) -> str:
    lines = [f"c-{n % 50},2026-03-10T12:{n // 60 % 60:02}:{n % 60:02}Z,{n}" for n in range(count)]
    lines.insert(3, "c-1,not a time,x")
    return "who,at,no\n" + "\n".join(lines) + "\n"


@pytest.mark.kafka
async def test_a_file_arrives_whole_in_order_and_on_the_right_partitions(target: Destination, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(rows(3_000))
    reading = read(parse_mapping(yaml.safe_load(MAPPING.replace("FORMAT", "csv"))), file)
    played = await play(with_heartbeats(reading.arrivals(), PARTITIONS, Beats()), target, PlaySpeed())
    assert (played.total, played.dead_letters) == (3_000, 1)
    found = await records(target, BY_NOUN["order"].name)
    orders = [record for record in found if record.key != HEARTBEAT_KEY]
    assert len(orders) == 3_000
    assert len(found) - len(orders) == played.heartbeats // 3
    for record in orders:
        assert record.partition == codec.partition_of(record.key, PARTITIONS)
        assert json.loads(record.value)["customer_id"].encode() == record.key
    by_partition: dict[int, list[int]] = {}
    for record in orders:
        by_partition.setdefault(record.partition, []).append(json.loads(record.value)["event_time_ms"])
    assert all(times == sorted(times) for times in by_partition.values())
    dead_letters = await records(target, BY_NOUN["order"].dlq)
    assert [dead_letter.value for dead_letter in dead_letters] == [b"c-1,not a time,x"]
    assert dict(dead_letters[0].headers)["dlq.origin"] == b"orders.csv:5"


@pytest.mark.kafka
async def test_paced_play_keeps_the_order_and_counts_everything(target: Destination) -> None:
    start = 1_773_216_000_000
    arrivals = (Arrival(start + n * 1_000, "contact", b"c-1", None, b'{"n":%d}' % n) for n in range(500))
    played = await play(arrivals, target, PlaySpeed(speed=2_000.0, flat_until_ms=start + 100_000))
    assert played.total == 500
    found = await records(target, BY_NOUN["contact"].name)
    assert [json.loads(record.value)["n"] for record in found] == list(range(500))


@pytest.mark.kafka
async def test_a_message_larger_than_a_batch_still_arrives(target: Destination) -> None:
    values = [b"a" * 100, b"b" * 600_000, b"c" * 100]
    await play([Arrival(1, "order", b"k", None, value) for value in values], target, PlaySpeed())
    assert [record.value for record in await records(target, BY_NOUN["order"].name)] == values


@pytest.mark.kafka
async def test_a_kafka_that_is_not_there_is_named(topic_prefix: str) -> None:
    with pytest.raises(SinkUnavailable, match="Kafka at"):
        await play([Arrival(1, "order", b"k", None, b"{}")], Destination("127.0.0.1:1", topic_prefix, 1), PlaySpeed())


@pytest.fixture
def own_topic(target: Destination) -> Iterator[str]:
    """A topic of the company, with messages in its own form."""
    name = f"{target.prefix}shop.orders"
    admin = KafkaAdminClient(bootstrap_servers=target.bootstrap)
    try:
        admin.create_topics({name: {"num_partitions": 2, "configs": {}}}, wait_for_metadata=True)
        yield name
    finally:
        admin.close()


async def publish(bootstrap: str, topic: str, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    for number, value in enumerate(values):
        await producer.send_and_wait(topic, value, partition=number % 2)
    await producer.stop()


@asynccontextmanager
async def following(what: Followed, target: Destination, tally: RowCounts) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    task = asyncio.create_task(follow(what, target, tally, stopping))
    try:
        yield
    finally:
        stopping.set()
        await task


async def seen(tally: RowCounts, count: int) -> None:
    async with asyncio.timeout(patience(30)):
        while tally.rows < count:
            await asyncio.sleep(0.05)


@pytest.mark.kafka
async def test_a_followed_topic_is_mapped_and_goes_on_where_it_stopped(target: Destination, own_topic: str) -> None:
    values = [json.dumps({"who": f"c-{n}", "at": "2026-03-10T12:00:00Z", "no": n}).encode() for n in range(40)]
    what = Followed(parse_mapping(yaml.safe_load(MAPPING.replace("FORMAT", "ndjson"))), own_topic)
    await publish(target.bootstrap, own_topic, [*values[:20], b"no json"])
    first = RowCounts()
    async with following(what, target, first):
        await seen(first, 21)
    await publish(target.bootstrap, own_topic, values[20:])
    second = RowCounts()
    async with following(what, target, second):
        await seen(second, 20)
    assert (first.rejected, second.rows) == (1, 20)
    found = [r for r in await records(target, BY_NOUN["order"].name) if r.key != HEARTBEAT_KEY]
    assert sorted(int(json.loads(record.value)["event_id"]) for record in found) == list(range(40))
    assert [dead_letter.value for dead_letter in await records(target, BY_NOUN["order"].dlq)] == [b"no json"]
    assert any(r.key == HEARTBEAT_KEY for r in await records(target, BY_NOUN["telemetry"].name))


@pytest.mark.kafka
async def test_following_an_absent_topic_or_a_csv_mapping_is_refused(target: Destination) -> None:
    ndjson = parse_mapping(yaml.safe_load(MAPPING.replace("FORMAT", "ndjson")))
    with pytest.raises(ConfigError, match="there is no topic"):
        await follow(Followed(ndjson, "nowhere"), target, RowCounts(), asyncio.Event())
    csv = parse_mapping(yaml.safe_load(MAPPING.replace("FORMAT", "csv")))
    with pytest.raises(ConfigError, match=r"input\.format must be ndjson"):
        await follow(Followed(csv, "nowhere"), target, RowCounts(), asyncio.Event())


TRACK = """
name: track
input: {format: ndjson}
customer: {identity: [{kind: account, value: "{user}"}, {kind: device, value: "{device}"}]}
links: {when: {field: event, equals: login}}
events:
  - to: telemetry
    time: {field: at}
    id: "{no}"
    fields: {product: app, event_name: "{event}", outcome: ok}
"""


def tracked(number: int, event: str, user: str | None = None) -> bytes:
    """The device d-1 does something, a second after it did the last."""
    row = {"no": number, "at": f"2026-03-10T12:00:{number:02}Z", "event": event, "device": "d-1", "user": user}
    return json.dumps(row).encode()


async def erase(target: Destination, customer: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=target.bootstrap)
    await producer.start()
    await producer.send_and_wait(target.prefix + BY_NOUN["customer"].name, None, key=customer)
    await producer.stop()


async def customers(target: Destination) -> list[tuple[int, str]]:
    """Number and key of every event on the topic, each as often as it was written."""
    found = [one for one in await records(target, BY_NOUN["telemetry"].name) if one.key != HEARTBEAT_KEY]
    events = [json.loads(one.value) for one in found]
    assert all(event["customer_id"].encode() == one.key for event, one in zip(events, found, strict=True))
    return sorted((int(event["event_id"]), event["customer_id"]) for event in events)


@pytest.mark.kafka
async def test_events_that_are_written_twice_have_one_customer_and_erasure_unlinks(
    target: Destination, own_topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = Followed(parse_mapping(yaml.safe_load(TRACK)), own_topic, links=tmp_path / "links.sqlite")
    rows_ = [tracked(0, "tap"), tracked(1, "tap"), tracked(2, "login", "u-1"), tracked(3, "tap")]
    await publish(target.bootstrap, own_topic, rows_)
    with monkeypatch.context() as dying:

        commit = Follower._commit

        async def die(self: Follower, merge: Merge) -> None:
            if sum(self._next.values()) == len(rows_):
                raise RuntimeError("dies between writing and committing")
            await commit(self, merge)

        dying.setattr(Follower, "_commit", die)
        with pytest.raises(RuntimeError):
            await follow(what, target, RowCounts(), asyncio.Event())
    monkeypatch.setattr(follow_module, "HEARTBEAT_S", 0.2)
    again = RowCounts()
    async with following(what, target, again):
        await seen(again, 1)
        found = await customers(target)
        assert sorted(set(found)) == [(0, "d-1"), (1, "d-1"), (2, "u-1"), (3, "u-1")]
        assert len(found) > len(rows_), "what was written and not committed was written again"
        await erase(target, b"u-1")
        before = again.rows - 3
        for number in range(4, 60):
            await publish(target.bootstrap, own_topic, [tracked(number, "tap")])
            await seen(again, before + number)
            if (await customers(target))[-1][1] == "d-1":
                break
        else:
            raise AssertionError("the link of an erased customer is still there")
