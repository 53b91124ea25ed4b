"""A seeded load in our contract: three topics, duplicates, malformed and late events, promises, contacts, an incident.

Event time is a fixed span of the past; the order of arrival is the order of the list. Everything is plain JSON: what
is produced here is judged by an oracle that shares no code with it but the names of the fields.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from tests.patience import Deadline, patience

START_MS = 1_740_988_800_000
"""2025-03-03T08:00:00Z, a Monday morning."""
SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
CURRENCIES = ("EUR", "EUR", "chf", "JPY", "", "KWD", "QQQ")
"""What orders are paid in, in turn."""
NOUNS = ("telemetry", "order", "contact")
HEARTBEAT_KEY = b"cx.heartbeat"
HEARTBEAT_AFTER_MS = 30 * SECOND_MS
"""Heartbeats at the end are this much newer than the newest event, so that all its bins close."""
LINES = ("shop", "net")
CHUNK = 2_000
RESEND_S = 180.0
"""How long a load tries again while the broker is away."""

_encode = msgspec.json.Encoder().encode


class Raw(NamedTuple):
    """One record to produce; ``partition`` is explicit."""

    noun: str
    partition: int
    key: bytes
    value: bytes | None


@dataclass(frozen=True)
class LoadRules:
    """What a load is made of. Shares are between 0 and 1; the same rules give the same bytes."""

    events: int = 200_000
    seed: int = 1
    partitions: int = 4
    customers: int = 4_000
    start_ms: int = START_MS
    span_ms: int = 2 * HOUR_MS
    duplicates: float = 0.01
    malformed: float = 0.001
    late: float = 0.01
    too_old: float = 0.001
    contacts: float = 0.04
    orders: float = 0.20
    failing: float = 0.02
    repaired: float = 0.0
    """Share of failed payments, broken promises and complaints that is put right within the span."""
    incident_from: float | None = None
    """Share of the span after which app version 5.2.0 of line shop fails in DE; None: never."""

    @property
    def end_ms(self) -> int:
        """Event time up to which the last heartbeats speak."""
        return self.start_ms + self.span_ms + HEARTBEAT_AFTER_MS


@lru_cache(maxsize=65_536)
def partition_of(customer_id: str, partitions: int) -> int:
    """Where a customer lives: Java's murmur2, as aiokafka has it."""
    return int((murmur2(customer_id.encode()) & 0x7FFFFFFF) % partitions)


@dataclass
class _Maker:
    """Draws one event after the other."""

    rules: LoadRules
    dice: random.Random
    number: int = 0
    pending: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)
    """Order events to come: (time, tie-break, body)."""
    failed: list[tuple[str, str, str]] = field(default_factory=list)
    """The latest failures: (customer, line, signal); contacts are mostly about these."""

    def customer(self) -> str:
        return f"c-{int(self.rules.customers * self.dice.random() ** 1.6):06d}"

    def base(self, noun: str, now_ms: int) -> dict[str, Any]:
        self.number += 1
        return {
            "event_id": f"{noun[0]}-{self.number}", "event_time_ms": now_ms - int(6_000 * self.dice.random()),
            "customer_id": self.customer(), "source": f"{noun}-{self.dice.randrange(2)}", "schema_version": 1,
            "product": self.dice.choice(LINES), "region": self.dice.choice(("DE", "FR", "NL")),
        }

    def event(self, now_ms: int) -> tuple[str, dict[str, Any]]:
        """One event that happens about now."""
        draw = self.dice.random()
        if draw < self.rules.contacts:
            return "contact", self.contact(now_ms)
        if draw < self.rules.contacts + self.rules.orders:
            return "order", self.order(now_ms)
        return "telemetry", self.telemetry(now_ms)

    def telemetry(self, now_ms: int) -> dict[str, Any]:
        rules, dice = self.rules, self.dice
        body = self.base("telemetry", now_ms)
        body["app_version"] = dice.choice(("5.1.0", "5.2.0"))
        body["platform"] = dice.choice(("android", "ios"))
        body["component"], body["event_name"] = "checkout", "checkout_submit"
        rate = rules.failing
        broken = (body["app_version"], body["region"], body["product"]) == ("5.2.0", "DE", "shop")
        if broken and rules.incident_from is not None:
            rate = 0.6 if now_ms > rules.start_ms + rules.span_ms * rules.incident_from else rate
        body["outcome"] = "failed" if dice.random() < rate else "abandoned" if dice.random() < 0.02 else "ok"
        if body["outcome"] == "failed":
            body["error_code"] = "E_1"
            self.remember(body, "app")
        body["latency_ms"] = round(dice.expovariate(0.01), 1)
        return body

    def order(self, now_ms: int) -> dict[str, Any]:
        if self.pending and self.pending[0][0] <= now_ms:
            due_ms, _, body = heapq.heappop(self.pending)
            return body | {"event_time_ms": max(due_ms, now_ms - 3_000)}
        body = self.base("order", now_ms) | {
            "order_id": f"o-{self.number}", "amount_cents": 100 * self.dice.randrange(1, 200),
            "currency": CURRENCIES[self.number % len(CURRENCIES)],
            "payment_provider": self.dice.choice(("paynow", "cardly")), "payment_method": "card",
            "carrier": self.dice.choice(("swiftpost", "parcelo")), "warehouse": "HAM-2",
        }
        if self.dice.random() < 0.5:
            body["status"] = "payment_failed" if self.dice.random() < 0.04 else "paid"
            if body["status"] == "payment_failed":
                self.remember(body, "payment")
                self._plan_repair(body, "paid", body["event_time_ms"])
            return body
        promised_ms = body["event_time_ms"] + self.dice.randrange(MINUTE_MS, 30 * MINUTE_MS)
        self._plan_end(body, promised_ms)
        return body | {"status": "placed", "promised_at_ms": promised_ms}

    def _plan_end(self, body: dict[str, Any], promised_ms: int) -> None:
        """Most promises are kept, some never, some end with a cancellation."""
        draw = self.dice.random()
        if draw < 0.06:
            self.remember(body, "delivery")
            self._plan_repair(body, "delivered", promised_ms)
            return
        end: dict[str, Any] = {"status": "delivered"}
        if draw < 0.1:
            end = {"status": "cancelled", "cancelled_by": "company" if draw < 0.08 else "customer"}
        at_ms = promised_ms - self.dice.randrange(MINUTE_MS)
        heapq.heappush(self.pending, (at_ms, self.number, {**body, **end, "event_id": f"{body['event_id']}-end"}))

    def _plan_repair(self, body: dict[str, Any], status: str, after_ms: int) -> None:
        """What puts an order right after all, if this load has such; some of it is there before the failure."""
        if self.rules.repaired and self.dice.random() < self.rules.repaired:
            at_ms = after_ms + self.dice.randrange(20 * MINUTE_MS)
            event_id = f"{body['event_id']}-end"
            heapq.heappush(self.pending, (at_ms, self.number, {**body, "status": status, "event_id": event_id}))

    def contact(self, now_ms: int) -> dict[str, Any]:
        body = self.base("contact", now_ms)
        reason = self.dice.choice(("question", "complaint", "app"))
        if self.failed and self.dice.random() < 0.7:
            body["customer_id"], body["product"], reason = self.dice.choice(self.failed)
        if self.dice.random() < 0.2:
            body["product"] = ""
        return body | {
            "contact_id": f"k-{self.number}", "status": "opened" if self.dice.random() < 0.9 else "resolved",
            "channel": self.dice.choice(("phone", "chat")), "reason": reason,
        }

    def remember(self, body: dict[str, Any], signal: str) -> None:
        self.failed.append((body["customer_id"], body["product"], signal))
        del self.failed[:-500]


def bad_bytes(value: bytes, body: dict[str, Any], number: int) -> bytes | None:
    """A malformed variant of an event, one kind after the other."""
    kinds: tuple[bytes | None, ...] = (
        value[:-1], b"\xff\xfe" + value, b"[1]", b"", None,
        _encode({**body, "event_time_ms": "yesterday"}),
        _encode({**body, "event_time_ms": 1_740_988_800}),
        _encode({**body, "event_time_ms": 4_000_000_000_000}),
        _encode({name: entry for name, entry in body.items() if name != "customer_id"}),
        _encode({**body, "status": "exploded", "outcome": "exploded"}),
        _encode({**body, "schema_version": 9}),
        value.replace(b'"schema_version":1', b'"schema_version":NaN'),
    )
    return kinds[number % len(kinds)]


def make_load(rules: LoadRules) -> list[Raw]:
    """All records in order of arrival, heartbeats last. About ``rules.events`` of them."""
    dice = random.Random(rules.seed)
    maker = _Maker(rules, dice)
    found: list[Raw] = []
    again: list[tuple[int, Raw]] = []
    bad = 0
    for index in range(rules.events):
        while again and again[0][0] <= index:
            found.append(heapq.heappop(again)[1])
        noun, body = maker.event(rules.start_ms + rules.span_ms * index // rules.events)
        _delay(rules, dice, noun, body)
        customer = body["customer_id"]
        value: bytes | None = _encode(body)
        draw = dice.random()
        if draw < rules.malformed:
            value = bad_bytes(value or b"", body, bad)
            bad += 1
        record = Raw(noun, partition_of(customer, rules.partitions), customer.encode(), value)
        found.append(record)
        if draw > 1 - rules.duplicates:
            heapq.heappush(again, (index + dice.randrange(1, 1_500), record))
    found += [record for _, record in sorted(again)]
    return found + heartbeats(rules, rules.end_ms)


def _delay(rules: LoadRules, dice: random.Random, noun: str, body: dict[str, Any]) -> None:
    """Make some events older than they should be when they arrive; orders with a promise stay on time."""
    draw = dice.random()
    if "promised_at_ms" in body or body["event_id"].endswith("-end"):
        return
    if draw < rules.late:
        body["event_time_ms"] -= dice.randrange(11 * SECOND_MS, 9 * MINUTE_MS)
    elif noun == "telemetry" and draw < rules.late + rules.too_old:
        body["event_time_ms"] -= dice.randrange(11 * MINUTE_MS, 25 * MINUTE_MS)


def heartbeats(rules: LoadRules, time_ms: int, nouns: Sequence[str] = NOUNS) -> list[Raw]:
    """One heartbeat per topic and partition: everything earlier was sent."""
    value = _encode({"event_time_ms": time_ms, "source": "load", "heartbeat": True})
    return [Raw(noun, number, HEARTBEAT_KEY, value) for noun in nouns for number in range(rules.partitions)]


def profiles(rules: LoadRules) -> list[Raw]:
    """A profile with consent and address for every customer (topic ``customer``)."""
    found = []
    for number in range(rules.customers):
        name = f"c-{number:06d}"
        body = {
            "customer_id": name, "updated_at_ms": rules.start_ms - HOUR_MS, "value_cents": 12_000, "language": "en",
            "time_zone": "Europe/Berlin", "consents": [{"channel": "webhook", "purpose": "service", "granted": True}],
            "addresses": [{"channel": "webhook", "token": f"a-{number}"}],
        }
        found.append(Raw("customer", partition_of(name, rules.partitions), name.encode(), _encode(body)))
    return found


@dataclass
class Producer:
    """Writes loads; tries again while the broker is away, so a record may be on a topic twice (the oracle sees it).

    ``async with Producer(bootstrap, prefix) as producer: await producer.send(records, rate=2_000)``
    """

    bootstrap: str
    prefix: str
    sent: int = 0
    """Records acknowledged so far."""
    resent: int = 0
    """Batches that were sent once more after an error."""
    _client: Any = None

    async def __aenter__(self) -> Producer:
        """Connect."""
        await self._connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._disconnect()

    async def send(self, records: Sequence[Raw], rate: float | None = None) -> None:
        """Write all records in order per partition; ``rate``: records a second, None: as fast as possible."""
        size = CHUNK if rate is None else max(1, int(rate / 10))
        begun, done = time.monotonic(), 0
        for start in range(0, len(records), size):
            if rate is not None:
                await asyncio.sleep(max(0.0, begun + done / rate - time.monotonic()))
            part = records[start : start + size]
            await self._chunk(part)
            done += len(part)
            self.sent += len(part)

    async def _chunk(self, part: Sequence[Raw]) -> None:
        groups: dict[tuple[str, int], list[Raw]] = {}
        for record in part:
            groups.setdefault((record.noun, record.partition), []).append(record)
        await asyncio.gather(*(self._group(noun, number, found) for (noun, number), found in groups.items()))

    async def _group(self, noun: str, partition: int, records: list[Raw]) -> None:
        deadline = Deadline(RESEND_S)
        while True:
            client = self._client
            try:
                await asyncio.gather(*[
                    await client.send_batch(batch, f"{self.prefix}cx.{noun}.v1", partition=partition)
                    for batch in _batches(client, records)
                ])
            except KafkaError:
                if deadline.over:
                    raise
                self.resent += 1
                await asyncio.sleep(1.0)
                if self._client is client:
                    await self._disconnect()
                    await self._connect()
            else:
                return

    async def _connect(self) -> None:
        deadline = Deadline(RESEND_S)
        while True:
            client = AIOKafkaProducer(
                bootstrap_servers=self.bootstrap, enable_idempotence=True, request_timeout_ms=120_000,
                max_batch_size=262_144, linger_ms=0,
            )  # fmt: skip
            try:
                await client.start()
            except KafkaError:
                await client.stop()
                if deadline.over:
                    raise
                await asyncio.sleep(1.0)
            else:
                self._client = client
                return

    async def _disconnect(self) -> None:
        with suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(self._client.stop(), patience(10.0))


def _batches(client: Any, records: list[Raw]) -> Iterator[Any]:
    batch = client.create_batch()
    for record in records:
        if batch.append(key=record.key, value=record.value, timestamp=None) is None:
            batch.close()
            yield batch
            batch = client.create_batch()
            batch.append(key=record.key, value=record.value, timestamp=None)
    batch.close()
    yield batch
