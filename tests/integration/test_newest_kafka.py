"""The newest record per key of a small topic: what commands read that show how things stand."""

from __future__ import annotations

from typing import Literal

import pytest
from aiokafka import AIOKafkaProducer

from schemas.codec import encode
from schemas.findings import ChannelState
from streams.orders.newest_records import newest_records
from streams.topics import admin_of

pytestmark = pytest.mark.kafka


async def test_a_topic_that_is_not_there_yet_holds_nothing_and_nobody_complains(
    kafka: str, topic_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert await newest_records(kafka, f"{topic_prefix}cx.channel.v1", "channel") == []
    assert caplog.text == ""


async def test_the_newest_record_of_each_key_and_partition_is_read(kafka: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}cx.channel.v1"
    with admin_of(kafka) as admin:
        admin.create_topics({topic: {"num_partitions": 2}}, wait_for_metadata=True)
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        states: list[tuple[int, Literal["open", "closed", "paused"]]] = [(0, "open"), (0, "closed"), (1, "paused")]
        for partition, state in states:
            record = ChannelState(channel="webhook", partition=partition, state=state, since_ms=1_767_225_600_000)
            await producer.send_and_wait(topic, encode(record), b"webhook", partition)
    finally:
        await producer.stop()
    found = await newest_records(kafka, topic, "channel")
    assert [(one.partition, one.state) for one in found] == [(0, "closed"), (1, "paused")]
