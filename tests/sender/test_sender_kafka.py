"""The sender as a process of its own on a real Kafka, with a real receiver: kill -9, orders, opt-outs, takeover."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.codec import decode, encode, partition_of
from schemas.findings import Delivery
from schemas.topics import BY_NOUN
from streams.orders.writing import stream_time_ms, write_order
from streams.sender.main import sender_file
from streams.settings import Settings
from streams.sinks.receiver import Receiver
from streams.topics import ensure_topics
from tests.core.match.world import DAY, MINUTE, customer, mark
from tests.patience import patience
from tests.sender.world import NOON, send

pytestmark = pytest.mark.kafka
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PARTITIONS = 3


@dataclass
class Office:
    """A deployment: topics, a receiver, and sender processes that come and go."""

    settings: Settings
    bootstrap: str
    receiver: Receiver
    log: Path
    producer: Any = None
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, **env: str) -> subprocess.Popen[bytes]:
        """A new sender process."""
        given = {
            "CX_KAFKA_BOOTSTRAP": self.bootstrap, "CX_TOPIC_PREFIX": self.settings.topic_prefix,
            "CX_STATE_DIR": str(self.log.parent), "CX_PARTITIONS": str(PARTITIONS),
            "CX_WEBHOOK_URL": self.receiver.url, "CX_WEBHOOK_SECRET": SECRET,
            "CX_WEBHOOK_ALLOW_LOOPBACK": "true", "CX_SENDER_CLOCK": "event", "CX_SENDER_PARTITIONS": "0,1,2",
        } | env  # fmt: skip
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [_cxwatch(), "sender"], env=os.environ | given, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    async def put(self, noun: str, *records: Any, partition: int | None = None) -> None:
        """Append records, keyed by customer."""
        for record in records:
            key = getattr(record, "customer_id", "watermark").encode()
            number = partition_of(key, PARTITIONS) if partition is None else partition
            topic = self.settings.named(BY_NOUN[noun].name)
            await self.producer.send_and_wait(topic, encode(record), key=key, partition=number)

    async def tick(self, time_ms: int) -> None:
        """Move the stream's clock in every partition."""
        for number in range(PARTITIONS):
            await self.put("outreach", mark(time_ms, number), partition=number)

    async def deliveries(self) -> list[Delivery]:
        """Every committed delivery so far."""
        topic = self.settings.named(BY_NOUN["delivery"].name)
        tps = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, isolation_level="read_committed")
        await consumer.start()
        try:
            consumer.assign(tps)
            await consumer.seek_to_beginning(*tps)
            ends, found = await consumer.end_offsets(tps), list[Delivery]()
            while any([await consumer.position(tp) < ends[tp] for tp in tps]):
                for rows in (await consumer.getmany(timeout_ms=100)).values():
                    decoded = decode("delivery", [row.value for row in rows])
                    found += [record for record in decoded.records if isinstance(record, Delivery)]
            return found
        finally:
            await consumer.stop()


def _cxwatch() -> str:
    return str(Path(sys.executable).with_name("cxwatch"))


@pytest.fixture
async def office(kafka: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Office]:
    """A deployment of its own."""
    settings = Settings(topic_prefix=topic_prefix, partitions=PARTITIONS, sender_clock="event")
    ensure_topics(kafka, settings)
    async with Receiver(SECRET) as receiver:
        built = Office(settings, kafka, receiver, tmp_path / "sender.log")
        built.producer = AIOKafkaProducer(bootstrap_servers=kafka)
        await built.producer.start()
        try:
            yield built
        finally:
            await built.producer.stop()
            for process in built.processes:
                process.kill()
                process.wait()


@pytest.mark.slow
async def test_kill_9_again_and_again_loses_no_notice_and_repeats_none(office: Office) -> None:
    async def slow(_request: Any, _number: int) -> None:
        await asyncio.sleep(0.05)

    office.receiver.misbehave = slow
    names = [f"c-{number}" for number in range(90)]
    await office.put("customer", *map(customer, names))
    await office.put("outreach", *map(send, names))
    await office.tick(NOON + MINUTE)
    for wanted in (10, 25, 40, 60):
        process = office.start()
        await office.receiver.wait_for(wanted, patience(30))
        process.kill()
        process.wait()
    process = office.start()
    await office.receiver.wait_for(len(names), patience(60))
    process.send_signal(signal.SIGTERM)
    assert process.wait(patience(30)) == 0
    assert len({accepted.id for accepted in office.receiver.accepted}) == len(office.receiver.accepted) == 90
    latest = {row.outreach_id: row for row in await office.deliveries()}
    assert {row.outcome for row in latest.values()} == {"delivered"}
    assert len(latest) == 90
    assert "c-" not in office.log.read_text()


async def test_the_kill_switch_and_an_opt_out_hold_on_a_real_log(office: Office) -> None:
    names = [f"c-{number}" for number in range(12)]
    await office.put("customer", *map(customer, names))
    await office.tick(NOON + MINUTE)
    await write_order(office.settings, office.bootstrap, "stop", reason="drill")
    office.start()
    await office.put("outreach", *map(send, names))
    await asyncio.sleep(4)
    assert office.receiver.accepted == []
    await office.put("customer", customer("c-3", opted_out=True, updated_at_ms=NOON))
    await write_order(office.settings, office.bootstrap, "resume")
    await office.tick(NOON + 2 * MINUTE)
    await office.receiver.wait_for(11, patience(30))
    async with asyncio.timeout(patience(20)):
        while len({row.outreach_id for row in await office.deliveries() if row.done_at_ms}) < 12:
            await asyncio.sleep(0.2)
    contacted = {accepted.payload["data"]["customer_id"] for accepted in office.receiver.accepted}
    assert contacted == set(names) - {"c-3"}
    refused = [row for row in await office.deliveries() if row.customer_id == "c-3"]
    assert [(row.outcome, row.reason) for row in refused] == [("suppressed", "opted_out")]


async def test_a_sender_tells_that_it_lives_what_it_sent_and_how_its_channel_stands(office: Office) -> None:
    names = [f"c-{number}" for number in range(9)]
    await office.put("customer", *map(customer, names))
    await office.put("outreach", *map(send, names))
    await office.tick(NOON + MINUTE)
    process = office.start()
    await office.receiver.wait_for(9, patience(60))
    file = sender_file(Settings(state_dir=office.log.parent))
    url = json.loads(file.read_text())["url"]
    async with aiohttp.ClientSession() as session, asyncio.timeout(patience(30)):

        async def get(path: str) -> tuple[int, str]:
            async with session.get(url + path) as answer:
                return answer.status, await answer.text()

        while 'cx_sender_notices_total{outcome="delivered"} 9.0' not in (page := (await get("/metrics"))[1]):
            await asyncio.sleep(0.2)
        while (await get("/readyz"))[0] != 200:
            await asyncio.sleep(0.2)
        assert (await get("/livez"))[0] == 200
    assert "cx_sender_breaker_state 0.0" in page
    assert 'cx_sender_news_age_seconds{partition="2"}' in page
    assert "c-1" not in page
    process.send_signal(signal.SIGTERM)
    assert process.wait(patience(30)) == 0
    assert not file.exists()


@pytest.mark.slow
async def test_two_processes_share_the_partitions_and_one_takes_over_from_the_other(office: Office) -> None:
    names = [f"c-{number}" for number in range(30)]
    await office.put("customer", *map(customer, names))
    await office.tick(NOON + MINUTE)
    first = office.start(CX_SENDER_PARTITIONS="")
    office.start(CX_SENDER_PARTITIONS="")
    await office.put("outreach", *(send(name) for name in names[:15]))
    await office.receiver.wait_for(15, patience(60))
    first.kill()
    await office.put("outreach", *(send(name) for name in names[15:]))
    await office.receiver.wait_for(30, patience(60))
    assert len(office.receiver.accepted) == 30


async def test_an_order_carries_the_streams_own_time_when_that_is_simulated(office: Office) -> None:
    assert await stream_time_ms(office.settings, office.bootstrap) is None
    await office.tick(NOON)
    await office.put("outreach", mark(NOON + DAY, 1), partition=1)
    assert await stream_time_ms(office.settings, office.bootstrap) == NOON + DAY
    given = (await write_order(office.settings, office.bootstrap, "approve", "i-1", "checked")).command
    assert (given.issued_at_ms, given.issue_id, given.action) == (NOON + DAY, "i-1", "approve")
    wall = Settings(topic_prefix=office.settings.topic_prefix, partitions=PARTITIONS)
    assert abs((await write_order(wall, office.bootstrap, "stop")).command.issued_at_ms / 1000 - time.time()) < 60
    for noun, numbers in (("command", range(PARTITIONS)), ("control", range(1))):
        topic = office.settings.named(BY_NOUN[noun].name)
        consumer = AIOKafkaConsumer(bootstrap_servers=office.bootstrap, isolation_level="read_committed")
        await consumer.start()
        for number in numbers:
            tp = TopicPartition(topic, number)
            consumer.assign([tp])
            await consumer.seek_to_beginning(tp)
            rows = (await consumer.getmany(tp, timeout_ms=5_000))[tp]
            orders = decode(noun, [row.value for row in rows]).records
            assert [record.action for record in orders] == ["approve", "stop"]
        await consumer.stop()


async def test_a_ledger_written_with_another_number_of_partitions_is_refused(office: Office) -> None:
    await office.put("customer", customer())
    await office.put("outreach", send())
    await office.tick(NOON + MINUTE)
    office.start()
    await office.receiver.wait_for(1, patience(30))
    office.processes[-1].send_signal(signal.SIGTERM)
    office.processes[-1].wait(patience(30))
    number = str(partition_of(b"c-1", PARTITIONS))
    wrong = office.start(CX_PARTITIONS="4", CX_SENDER_PARTITIONS=number)
    assert wrong.wait(patience(40)) == 78
    assert "partitions" in office.log.read_text()
