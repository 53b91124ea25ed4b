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
from streams.sources.arrivals import Arrival, Beats, with_heartbeats
from streams.sources.follow import Followed, follow
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
