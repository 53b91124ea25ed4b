"""Live topics as a source: read committed, between fixed offsets, in no group, with nothing written."""

from __future__ import annotations

import itertools
import pickle
from contextlib import closing
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from schemas.errors import ConfigError
from streams.replay.live import Bound, LiveSource, LiveUnreadable, open_live
from streams.runtime.batch import RawBatch
from streams.settings import Settings
from streams.topics import ensure_topics

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka: str, topic_prefix: str) -> Settings:
    made = Settings(kafka_bootstrap=kafka, topic_prefix=topic_prefix, partitions=2)
    ensure_topics(kafka, made)
    return made


def read(source: LiveSource, noun: str, partition: int = 0, start: int = 0) -> list[tuple[int, bytes | None]]:
    batches: list[RawBatch] = list(source.batches(noun, partition, start))
    assert all(before.next == after.start for before, after in itertools.pairwise(batches))
    assert {batch.topic for batch in batches} <= {noun}
    return [pair for batch in batches for pair in zip(batch.offsets, batch.values, strict=True)]


async def write(kafka: str, settings: Settings, noun: str, values: list[bytes], commit: bool = True) -> None:
    topic = f"{settings.topic_prefix}cx.{noun}.v1"
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"{settings.topic_prefix}test")
    await producer.start()
    try:
        await producer.begin_transaction()
        for value in values:
            await producer.send(topic, value, b"k", 0)
        await (producer.commit_transaction() if commit else producer.abort_transaction())
    finally:
        await producer.stop()


async def test_only_what_is_committed_is_read_up_to_the_end_of_the_start(kafka: str, settings: Settings) -> None:
    await write(kafka, settings, "telemetry", [b"1", b"2"])
    await write(kafka, settings, "telemetry", [b"lost"], commit=False)
    await write(kafka, settings, "telemetry", [b"3"])
    source = open_live(settings, kafka)
    await write(kafka, settings, "telemetry", [b"later"])
    assert read(source, "telemetry") == [(0, b"1"), (1, b"2"), (5, b"3")]
    assert read(source, "telemetry", start=2) == [(5, b"3")]
    assert read(pickle.loads(pickle.dumps(source)), "telemetry") == read(source, "telemetry")
    assert (source.partitions, source.nouns(), read(source, "order")) == (2, {"telemetry"}, [])
    assert source.describe()["offsets"]["telemetry-0"] == [0, 7]
    assert source.describe()["begins"] == "empty"


async def test_a_stretch_leaves_out_events_before_it_and_keeps_profiles(kafka: str, settings: Settings) -> None:
    for noun in ("telemetry", "customer"):
        await write(kafka, settings, noun, [b"1", b"2"])
    stamp = next(iter(open_live(settings, kafka).batches("customer", 0))).timestamps[0]
    await write(kafka, settings, "telemetry", [b"3"])
    by_offset = open_live(settings, kafka, Bound.at_offsets("telemetry-0=1"), Bound.at_offsets("telemetry-0=2"))
    assert read(by_offset, "telemetry") == [(1, b"2")]
    assert by_offset.describe()["begins"] == "cold"
    by_time = open_live(settings, kafka, Bound(time_ms=stamp + 1))
    assert read(by_time, "telemetry") == [(3, b"3")]
    assert read(by_time, "customer") == [(0, b"1"), (1, b"2")]
    assert open_live(settings, kafka, until=Bound(time_ms=1)).nouns() == set()


async def test_a_place_that_is_not_on_the_topic_is_refused(kafka: str, settings: Settings) -> None:
    with pytest.raises(ConfigError, match="telemetry-0=9 is not on the topic: it holds offsets 0 to 0"):
        open_live(settings, kafka, Bound.at_offsets("telemetry-0=9"))
    with pytest.raises(ConfigError, match="is no place in a topic"):
        Bound.at_offsets("telemetry=9")


async def test_what_is_gone_from_the_topic_is_told_in_words(kafka: str, settings: Settings) -> None:
    await write(kafka, settings, "telemetry", [b"1", b"2", b"3"])
    source = open_live(settings, kafka)
    with closing(KafkaAdminClient(bootstrap_servers=kafka)) as admin:
        admin.delete_records({TopicPartition(f"{settings.topic_prefix}cx.telemetry.v1", 0): 2})
    with pytest.raises(LiveUnreadable, match="retention has deleted what was to be read; begin later with --from"):
        read(source, "telemetry")


async def test_reading_joins_no_group_and_writes_nothing(kafka: str, settings: Settings) -> None:
    await write(kafka, settings, "telemetry", [b"1"])
    before = groups_and_ends(kafka, settings)
    assert read(open_live(settings, kafka), "telemetry") == [(0, b"1")]
    assert groups_and_ends(kafka, settings) == before


def groups_and_ends(kafka: str, settings: Settings) -> tuple[set[str], dict[Any, int]]:
    """Groups of the broker, and the ends of all topics of the deployment."""
    admin, consumer = KafkaAdminClient(bootstrap_servers=kafka), KafkaConsumer(bootstrap_servers=kafka)
    try:
        groups = {str(group) for group in admin.list_groups()}
        topics = [name for name in consumer.topics() if name.startswith(settings.topic_prefix)]
        return groups, consumer.end_offsets([tp for name in topics for tp in parts(consumer, name)])
    finally:
        admin.close()
        consumer.close()


def parts(consumer: Any, topic: str) -> list[Any]:
    return [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
