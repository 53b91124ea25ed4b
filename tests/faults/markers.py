"""``python -m tests.faults.markers``: does the broker end every transaction on every partition when it restarts?

Producers commit small transactions on many partitions of one broker without a pause, the broker is stopped cleanly (or
killed) and started again and again, and then its own log is read: every committed transaction wrote one record on
each of its partitions, so each must be followed by a mark before the same producer's next one. Prints what was
forgotten; exit code 1 if anything was. ``KAFKA_HOME`` tries another Kafka; the reason is docs/decisions/0010.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
from collections.abc import Iterator
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.record.memory_records import MemoryRecords
from kafka.admin import KafkaAdminClient, NewTopic

from tests.faults.harness import Servers
from tests.patience import patience

TOPIC = "marked"
PARTITIONS = 64
PER_TRANSACTION = 4
PRODUCERS = 12
BETWEEN_S = 1.5


async def commit_on(bootstrap: str, name: str, stop: asyncio.Event, committed: list[str]) -> None:
    """Transactions on random partitions, one after the other; a new producer after every error."""
    chance = random.Random(name)
    while not stop.is_set():
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=name, linger_ms=0)
        with suppress(KafkaError, OSError):
            await producer.start()
            while not stop.is_set():
                await producer.begin_transaction()
                chosen = chance.sample(range(PARTITIONS), PER_TRANSACTION)
                await asyncio.gather(*[producer.send_and_wait(TOPIC, b"x", partition=one) for one in chosen])
                await producer.commit_transaction()
                committed.append(name)
        with suppress(KafkaError, OSError, TimeoutError):
            await asyncio.wait_for(producer.stop(), patience(5.0))
        await asyncio.sleep(0.2)


def forgotten(log: bytes) -> Iterator[int]:
    """Offsets of one partition's records whose transaction has no mark before the producer's next record, or at all."""
    records, open_of = MemoryRecords(log), dict[int, int]()
    while records.has_next():
        batch = records.next_batch()
        if batch is None or not batch.is_transactional:
            continue
        before = open_of.pop(batch.producer_id, None)
        if not batch.is_control_batch:
            if before is not None:
                yield before
            open_of[batch.producer_id] = batch.base_offset
    yield from open_of.values()


async def try_broker(restarts: int, kill: bool) -> int:
    """How many marks were forgotten."""
    with Servers.own(("kafka",)) as servers:
        bootstrap = servers.endpoints.kafka_bootstrap  # it keeps its port
        admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
        admin.close()
        stop, committed = asyncio.Event(), list[str]()
        async with asyncio.TaskGroup() as group:
            for number in range(PRODUCERS):
                group.create_task(commit_on(bootstrap, f"p{number}", stop, committed))
            for number in range(1, restarts + 1):
                await asyncio.sleep(BETWEEN_S)
                await asyncio.to_thread(servers.kill if kill else servers.stop, "kafka")
                await asyncio.to_thread(servers.up)
                print(f"restart {number}: {len(committed):,} transactions committed", flush=True)
            await asyncio.sleep(BETWEEN_S)
            stop.set()
        await asyncio.sleep(BETWEEN_S)
        await asyncio.to_thread(servers.stop, "kafka")
        logs = sorted((servers.settings.state_dir / "kafka" / "data").glob(f"{TOPIC}-*/*.log"))
        found = [(log.parent.name, offset) for log in logs for offset in forgotten(log.read_bytes())]
    for name, offset in found:
        print(f"forgotten: {name} offset {offset}")
    print(f"{restarts} restarts, {len(committed):,} transactions on {PER_TRANSACTION} partitions each: "
          f"{len(found)} marks forgotten")  # fmt: skip
    return len(found)


def main() -> int:
    """Read the command line and try."""
    parser = argparse.ArgumentParser(description="Does the broker end every transaction on every partition?")
    parser.add_argument("--restarts", type=int, default=30)
    parser.add_argument("--kill", action="store_true", help="kill -9 instead of a clean stop")
    given = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells every lost connection
    return int(asyncio.run(try_broker(given.restarts, given.kill)) > 0)


if __name__ == "__main__":
    sys.exit(main())
