"""Job J in Quix Streams, tuned: msgspec decoding, RocksDB state, one batching sink, a commit each second.

- Failed telemetry, failed orders and contacts are concatenated, so that Quix reads the three topics of a partition in
  the order of their timestamps, and joined in a stateful function with a changelog.
- Cohorts are counted batch by batch in the sink (``cohorts.py``): a windowed aggregation of Quix would cost a
  repartitioning and a read and a write of state per event.
- A second branch of the data frame would copy each event through pickle, so telemetry is handed to the sink on the way.
- Guarantee: offsets are committed after both inserts, at least once. The counts of open windows live in the sink's
  memory: after a crash they restart from the committed offsets, too low. Kinder to this peer than to ours.
"""

from __future__ import annotations

import tempfile
import uuid
from datetime import timedelta
from typing import Any

import msgspec
from cohorts import Cohorts, Telemetry
from contract import FAILED_STATUSES, FAILURE_MS, HEARTBEAT_KEY, Contract, Meter, Store
from quixstreams import Application, State
from quixstreams.context import message_context
from quixstreams.models import Deserializer, SerializationContext
from quixstreams.models.serializers.exceptions import IgnoreMessage
from quixstreams.sinks.base import BatchingSink, SinkBatch
from typing_extensions import override

FAILURE_AGE = timedelta(milliseconds=FAILURE_MS)
CHUNK = 2_000
"""Events counted at a time: their columns stay in the processor's cache."""


class Order(msgspec.Struct, gc=False):
    """The fields of one order event that job J needs."""

    event_id: str
    event_time_ms: int
    customer_id: str
    order_id: str
    status: str
    product: str


class Contact(msgspec.Struct, gc=False):
    """The fields of one contact event that job J needs."""

    event_id: str
    event_time_ms: int
    customer_id: str
    contact_id: str
    channel: str
    reason: str = ""


class CustomerKey(Deserializer):
    """The record key as it is; a heartbeat's key drops the record, uncounted."""

    @override
    def __call__(self, value: bytes, ctx: SerializationContext) -> bytes:
        if value == HEARTBEAT_KEY:
            raise IgnoreMessage
        return value


class Json(Deserializer):
    """JSON of one record, decoded and checked against a msgspec type."""

    def __init__(self, record: type[Any]) -> None:
        super().__init__()
        self._decode = msgspec.json.Decoder(record).decode

    @override
    def __call__(self, value: bytes, ctx: SerializationContext) -> Any:
        return self._decode(value)


class Sink(BatchingSink):
    """Telemetry becomes rows of changed cohorts, joined contacts become rows; one insert each per checkpoint."""

    def __init__(self, store: Store, telemetry: str) -> None:
        super().__init__(on_client_connect_success=lambda: None)
        self._store = store
        self._telemetry = telemetry
        self._cohorts: dict[int, Cohorts] = {}
        self._joined: list[tuple[Any, ...]] = []
        self._aggregates: list[list[Any]] = [[] for _ in range(10)]

    def write(self, batch: SinkBatch) -> None:
        """Take one batch of a topic partition in."""
        if batch.topic != self._telemetry:
            self._joined += [(*item.value, batch.partition, item.offset) for item in batch]
            return
        cohorts = self._cohorts.setdefault(batch.partition, Cohorts())
        offset = 0
        for chunk in batch.iter_chunks(CHUNK):
            items = list(chunk)
            cohorts.add([item.value for item in items], [item.key for item in items])
            offset = items[-1].offset
        if columns := cohorts.take():
            rows = len(columns[0])
            columns[5:5] = [[batch.partition] * rows]
            columns.append([offset] * rows)
            for whole, column in zip(self._aggregates, columns, strict=True):
                whole.extend(column)

    def flush(self) -> None:
        """Write the batches of all partitions with one insert per table; called before offsets are committed."""
        super().flush()
        self._store.aggregates(self._aggregates)
        self._store.joined([list(column) for column in zip(*self._joined, strict=True)])
        self._aggregates = [[] for _ in range(10)]
        self._joined = []


def join(event: Telemetry | Order | Contact, state: State) -> tuple[Any, ...] | None:
    """Keep a customer's failure, or return a contact's row without partition and offset."""
    now_ms = event.event_time_ms
    failures = [one for one in state.get("frictions", []) if one[0] > now_ms - FAILURE_MS]
    if isinstance(event, Contact):
        # Sources are out of order by seconds: what happened after the contact is not part of it.
        before = [one for one in failures if one[0] <= now_ms]
        last = max(before)[1] if before else ""
        return event.event_id, now_ms, event.customer_id, event.channel, event.reason, len(before), last
    failures.append([now_ms, (event.error_code or "") if isinstance(event, Telemetry) else event.status])
    state.set("frictions", failures, ttl=FAILURE_AGE)
    return None


def main() -> None:
    """Run until all events are handled, written and committed."""
    contract = Contract.read()
    meter = Meter(contract.events)
    with tempfile.TemporaryDirectory(prefix="quix-") as folder:
        app = Application(
            broker_address=contract.bootstrap,
            consumer_group=f"{contract.name}-{uuid.uuid4().hex[:8]}",
            auto_offset_reset="earliest",
            commit_interval=1.0,
            state_dir=folder,
            # Reading in order of time takes whole batches: this is how long one may wait to be full.
            consumer_poll_timeout=0.1,
            loglevel="WARNING",
            on_message_processed=lambda *_: app.stop() if meter.one() else None,
            consumer_extra_config={"fetch.wait.max.ms": 50},
        )
        sink = Sink(Store(contract), contract.topic("telemetry"))

        def count(event: Telemetry, key: bytes, timestamp: int, headers: Any) -> None:
            at = message_context()
            sink.add(event, key, timestamp, headers, at.topic, at.partition, at.offset)

        def records(noun: str, record: type[Any]) -> Any:
            topic = app.topic(contract.topic(noun), key_deserializer=CustomerKey(), value_deserializer=Json(record))
            return app.dataframe(topic)

        telemetry = records("telemetry", Telemetry).update(count, metadata=True)
        failed = telemetry.filter(lambda one: one.outcome == "failed")
        refused = records("order", Order).filter(lambda one: one.status in FAILED_STATUSES)
        joined = failed.concat(refused).concat(records("contact", Contact)).apply(join, stateful=True)
        joined.filter(lambda row: row is not None).sink(sink)
        app.run()
        meter.report()


if __name__ == "__main__":
    main()
