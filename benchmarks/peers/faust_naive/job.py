"""Job J as the documentation of Faust teaches it: records with validation, tables, one event at a time.

- ``stats`` is a windowed table relative to the time in the event, ``failures`` a plain table; both with a changelog.
- Table values have to survive JSON, so the HyperLogLog travels as base64 in the value and the latency sketch as an
  object; both are read, changed and set again for each event.
- The documentation repartitions a stream (``group_by``) whose table has another key. Here the partition is part of the
  table's key instead, which is as correct and spares this peer writing and reading every event a second time.
- Tables live in memory, as by default. A timer writes what changed to ClickHouse once a second. Faust commits offsets
  by a timer of its own that does not wait for it: a crash can lose rows of the last seconds. Only the end waits.
"""

from __future__ import annotations

import asyncio
import base64
import math
import os
import signal
import sys
import tempfile
import uuid
from typing import Any

import faust
from contract import FAILED_STATUSES, FAILURE_MS, HEARTBEAT_KEY, WINDOW_MS, Contract, Meter, Store
from datasketches import hll_sketch
from faust.models.fields import StringField
from faust.types import EventT

PRECISION = 10
BUCKETS = 64
LOG_BASE = math.log(1.25)
SEPARATOR = "\t"
"""Between the parts of a table's key: labels hold no control characters."""


class Telemetry(faust.Record, validation=True, serializer="json"):
    """One thing the product did for one customer."""

    event_id: str
    event_time_ms: int
    customer_id: str
    source: str
    product: str
    component: str
    app_version: str
    platform: str
    region: str
    device_model: str
    event_name: str
    outcome: str
    session_id: str
    error_code: str | None = None
    latency_ms: float | None = None


class Order(faust.Record, validation=True, serializer="json"):
    """One change of status of one order."""

    event_id: str
    event_time_ms: int
    customer_id: str
    source: str
    order_id: str
    status: str
    product: str
    amount_cents: int
    currency: str
    payment_provider: str
    payment_method: str
    carrier: str
    warehouse: str
    region: str
    promised_at_ms: int | None = None
    error_code: str | None = None
    cancelled_by: str | None = None


class Contact(faust.Record, validation=True, serializer="json"):
    """One change of status of one contact."""

    event_id: str
    event_time_ms: int
    customer_id: str
    source: str
    contact_id: str
    status: str
    channel: str
    mode: str
    reason: str = StringField(allow_blank=True)
    text: str
    language: str
    product: str
    region: str


class WithoutHeartbeats(faust.Schema):
    """A heartbeat is none of the records: its value is read as nothing, which the agents skip."""

    def loads_value(self, app: Any, message: Any, **options: Any) -> Any:
        """The record, or None for a heartbeat."""
        return None if message.key == HEARTBEAT_KEY else super().loads_value(app, message, **options)


contract = Contract.read()
meter = Meter(contract.events)
store = Store(contract)
data = tempfile.TemporaryDirectory(prefix="faust-")
app = faust.App(
    f"{contract.name}-{uuid.uuid4().hex[:8]}",
    broker=f"kafka://{contract.bootstrap}",
    topic_partitions=4,
    topic_replication_factor=1,
    consumer_auto_offset_reset="earliest",
    datadir=data.name,
)


def _topic(noun: str, record: type[faust.Record]) -> Any:
    schema = WithoutHeartbeats(key_type=bytes, value_type=record)
    return app.topic(contract.topic(noun), schema=schema)


telemetry_topic = _topic("telemetry", Telemetry)
order_topic = _topic("order", Order)
contact_topic = _topic("contact", Contact)


def event_time_s(event: EventT | None = None) -> float:
    """When the event happened: a table's windows are in seconds."""
    return float(event.value.event_time_ms) / 1000 if event is not None else 0.0


# Without ``expires``: Faust compares the end of a window with the wall clock, not with the newest event, and so would
# delete the windows of a replayed past while they are counted (every 30 s; seen as counts that are too low).
stats = app.Table("stats", default=dict).tumbling(WINDOW_MS / 1000).relative_to(event_time_s)
failures = app.Table("friction", default=list)
changed: dict[tuple[int, str], dict[str, Any]] = {}
"""Values of ``stats`` not yet written, by start of the window (s) and key."""
joined: list[tuple[Any, ...]] = []


def bucket_of(latency_ms: float) -> int:
    """Bucket of the latency sketch."""
    return min(BUCKETS - 1, int(math.log(max(latency_ms, 1.0)) / LOG_BASE))


def recent(customer_id: str, now_ms: int) -> list[Any]:
    """A customer's failures of the last 30 minutes, [time, kind] each."""
    return [one for one in failures[customer_id] if one[0] > now_ms - FAILURE_MS]


def remember(customer_id: str, now_ms: int, kind: str) -> None:
    """Add one failure."""
    failures[customer_id] = [*recent(customer_id, now_ms), [now_ms, kind]]


@app.agent(telemetry_topic)
async def count(stream: faust.StreamT[Telemetry]) -> None:
    """Count cohorts per window; remember failures."""
    async for event in stream.events():
        one = event.value
        if one is None:
            continue
        parts = one.product, one.app_version, one.region, one.error_code or "", str(event.message.partition)
        key = SEPARATOR.join(parts)
        value = stats[key].value() or {"n": 0, "customers": None, "latencies": {}}
        sketch = hll_sketch.deserialize(base64.b64decode(value["customers"])) if value["n"] else hll_sketch(PRECISION)
        sketch.update(one.customer_id)
        latencies = dict(value["latencies"])
        if one.latency_ms is not None:
            bucket = str(bucket_of(one.latency_ms))
            latencies[bucket] = latencies.get(bucket, 0) + 1
        customers = base64.b64encode(sketch.serialize_compact()).decode()
        value = {"n": value["n"] + 1, "customers": customers, "latencies": latencies}
        stats[key] = value
        changed[one.event_time_ms // WINDOW_MS * WINDOW_MS // 1000, key] = value
        if one.outcome == "failed":
            remember(one.customer_id, one.event_time_ms, one.error_code or "")
        meter.one()


@app.agent(order_topic)
async def watch(stream: faust.StreamT[Order]) -> None:
    """Remember orders that went wrong."""
    async for one in stream:
        if one is None:
            continue
        if one.status in FAILED_STATUSES:
            remember(one.customer_id, one.event_time_ms, one.status)
        meter.one()


@app.agent(contact_topic)
async def join(stream: faust.StreamT[Contact]) -> None:
    """Join contacts with what went wrong before."""
    async for event in stream.events():
        one, at = event.value, event.message
        if one is None:
            continue
        # Sources are out of order by seconds: what happened after the contact is not part of it.
        before = [kept for kept in recent(one.customer_id, one.event_time_ms) if kept[0] <= one.event_time_ms]
        last = max(before)[1] if before else ""
        row = one.event_id, one.event_time_ms, one.customer_id, one.channel, one.reason, len(before), last
        joined.append((*row, at.partition, at.offset))
        meter.one()


def rows_of(values: dict[tuple[int, str], dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Rows of the aggregates, the number of events so far is their version."""
    rows = []
    for (win, key), value in values.items():
        *cohort, partition = key.split(SEPARATOR)
        distinct = hll_sketch.deserialize(base64.b64decode(value["customers"])).get_estimate()
        rows.append((win, *cohort, int(partition), value["n"], distinct, str(value["latencies"]), value["n"]))
    return rows


def write(values: dict[tuple[int, str], dict[str, Any]], contacts: list[tuple[Any, ...]]) -> None:
    """Write both tables."""
    store.aggregates([list(column) for column in zip(*rows_of(values), strict=True)])
    store.joined([list(column) for column in zip(*contacts, strict=True)])


@app.timer(1.0)
async def flush() -> None:
    """Write what changed, in a thread; after the last event commit offsets and stop the worker."""
    values, contacts = changed.copy(), joined.copy()
    done = meter.left == 0
    changed.clear()
    joined.clear()
    await asyncio.to_thread(write, values, contacts)
    if done:
        await app.consumer.commit()
        meter.report()
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.argv[1:] = ["worker", "--without-web", "--loglevel", "warn"]
    app.main()
