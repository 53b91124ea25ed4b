"""Real Kafka for the runtime's tests: produce, run workers as processes, read back, and judge from outside.

The oracle uses no code of the runtime: it reads the raw topics with its own consumer and counts.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.codec import encode
from schemas.partition import partition_of
from streams.settings import Settings
from streams.topics import ensure_topics
from tests.patience import Deadline, patience
from tests.runtime.example import INPUTS, event

WAIT_S = 60.0


def ask(file: Path, path: str) -> tuple[int, str]:
    """Status and body that the worker which wrote ``file`` answers."""
    url = json.loads(file.read_text())["url"]
    try:
        with urllib.request.urlopen(url + path, timeout=patience(5)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def is_ready(file: Path) -> bool:
    """True once every room of the worker which wrote ``file`` is assigned and recovered."""
    try:
        return ask(file, "/readyz")[0] == 200
    except (OSError, ValueError):
        return False


@dataclass
class Worker:
    """One worker process."""

    process: subprocess.Popen[bytes]
    file: Path
    log: Path

    def kill(self) -> None:
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(patience(10))

    def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience(30))

    def get(self, path: str) -> tuple[int, str]:
        """Ask the worker's own web server."""
        return ask(self.file, path)

    def ready(self) -> bool:
        """True once every room is assigned and recovered."""
        return is_ready(self.file)

    def metric(self, line: str) -> float:
        """Value of one metric, 0 if it is not there yet."""
        try:
            text = self.get("/metrics")[1]
        except (OSError, ValueError):
            return 0.0
        found = [row for row in text.splitlines() if row.startswith(line + " ")]
        return float(found[0].split()[-1]) if found else 0.0


@dataclass
class Line:
    """One deployment: a prefix on a broker, and the workers started on it."""

    bootstrap: str
    prefix: str
    folder: Path
    partitions: int = 4
    settings: Mapping[str, str] = field(default_factory=dict)
    workers: list[Worker] = field(default_factory=list)
    produced: list[Any] = field(default_factory=list)

    def create_topics(self) -> None:
        """All topics of the catalogue."""
        ensure_topics(
            self.bootstrap,
            Settings(kafka_bootstrap=self.bootstrap, topic_prefix=self.prefix, partitions=self.partitions),
        )

    def start(self, instance: str = "a", rooms: Iterable[str] = ("join",), **settings: str) -> Worker:
        """Start a worker process."""
        mine = {
            "CX_KAFKA_BOOTSTRAP": self.bootstrap, "CX_TOPIC_PREFIX": self.prefix, "CX_INSTANCE": instance,
            "CX_STATE_DIR": str(self.folder), "CX_PARTITIONS": str(self.partitions), "CX_FLUSH_MS": "100",
            "CX_SESSION_TIMEOUT_MS": "6000", **self.settings, **settings,
        }
        file, log = self.folder / f"worker-{instance}.json", self.folder / f"worker-{instance}.log"
        file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.integration.counting_worker", *rooms]
        with log.open("ab") as out:
            process = subprocess.Popen(command, env=os.environ | mine, stdout=out, stderr=out)
        worker = Worker(process, file, log)
        self.workers.append(worker)
        return worker

    def stop(self) -> None:
        """End every process that still runs."""
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGCONT)
                worker.kill()

    async def produce(self, producer: Any, count: int, customers: int = 40) -> None:
        """``count`` more events, spread over the three event topics."""
        sent = []
        for _ in range(count):
            number = len(self.produced)
            noun = INPUTS[number % 3]
            one = event(noun, number, customers)
            self.produced.append(one)
            key = one.customer_id.encode()
            target = partition_of(key, self.partitions)
            sent.append(await producer.send(f"{self.prefix}cx.{noun}.v1", encode(one), key, target))
        await asyncio.gather(*sent)

    @asynccontextmanager
    async def producer(self) -> AsyncIterator[Any]:
        """An idempotent producer."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, enable_idempotence=True, linger_ms=5)
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    async def read(self, topic: str, isolation: str = "read_committed") -> list[Any]:
        """Everything in a topic (name without prefix) up to its end now."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, isolation_level=isolation, auto_offset_reset="earliest",
            fetch_max_wait_ms=20,
        )
        await consumer.start()
        try:
            name = self.prefix + topic
            tps = [TopicPartition(name, number) for number in await consumer._client._wait_on_metadata(name)]
            consumer.assign(tps)
            await consumer.seek_to_beginning(*tps)
            ends = await consumer.end_offsets(tps)
            found: list[Any] = []
            while any([await consumer.position(tp) < ends[tp] for tp in tps]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
            return found
        finally:
            await consumer.stop()

    async def counted(self) -> dict[str, tuple[int, int]]:
        """Customer -> (failures, contacts) of the last committed episode per customer: plain JSON, no codec."""
        latest: dict[str, tuple[int, int]] = {}
        for record in await self.read("cx.episode.v1"):
            body = json.loads(record.value)
            if body["kind"] == "episode":
                latest[body["customer_id"]] = (body["failures"], body["contacts"])
        return latest

    async def truth(self) -> dict[str, tuple[int, int]]:
        """What the counts must be, from the raw topics: every record under its customer's key, copies not counted."""
        failures: Counter[str] = Counter()
        contacts: Counter[str] = Counter()
        for noun in INPUTS:
            seen: set[tuple[str, str]] = set()
            for record in await self.read(f"cx.{noun}.v1"):
                try:
                    body = json.loads(record.value)
                    key = (body["event_id"], body["customer_id"])
                except (ValueError, KeyError, TypeError):
                    continue
                if key in seen:
                    continue
                seen.add(key)
                (contacts if noun == "contact" else failures)[body["customer_id"]] += 1
        return {who: (failures[who], contacts[who]) for who in failures.keys() | contacts.keys()}

    async def wait_until_counted(self, seconds: float = WAIT_S) -> dict[str, tuple[int, int]]:
        """Wait until the line has counted what the raw topics hold; returns the last counts seen."""
        want = await self.truth()
        deadline = Deadline(seconds)
        while (found := await self.counted()) != want and not deadline.over:
            await asyncio.sleep(0.3)
        return found


async def until(check: Callable[[], bool], seconds: float = WAIT_S) -> None:
    """Wait for something to become true; TimeoutError otherwise."""
    deadline = Deadline(seconds)
    while not await asyncio.to_thread(check):
        if deadline.over:
            raise TimeoutError(f"not true within {deadline.waited_s:.0f} s")
        await asyncio.sleep(0.1)
