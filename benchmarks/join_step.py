"""How long the join room takes per event: ``python benchmarks/join_step.py [events [customers]]``. One line per case.

Telemetry of a made-up shop, decoded beforehand by the hot decoder's structs, in slices of 300, drained every 15,000
events (half a second at 30,000 events a second); orders and contacts are passed as idle. The native room gets the same
events undecoded. ``customers`` move a topic's clock together. CPU time, best of three runs.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from schemas.codec import encode
from schemas.events import Order, Telemetry
from schemas.hot import struct_of
from streams.core.join.native import NativeJoinStage, find
from streams.core.join.rules import JoinRules
from streams.core.join.stage import JoinStage
from streams.core.stage import Batch, Idle
from streams.runtime.batch import RawBatch

SLICE = 300
DRAIN_EVERY = 15_000
START_MS = 1_767_225_600_000
EVENTS_PER_S = 3_000


def telemetry(count: int, failed_every: int | None) -> list[Any]:
    """Return ``count`` events of one partition, out of order by up to 3 s, every so many failed (None: none)."""
    make = struct_of(Telemetry)
    return [
        make(
            event_id=f"01J9-{i:012x}", event_time_ms=START_MS + i * 1000 // EVENTS_PER_S - i * 7_919 % 3_000,
            customer_id=f"c-{i * 7_919 % 50_000:06d}", source=("app-ios", "app-android", "web")[i % 3],
            product="shop", component=("search", "cart", "checkout", "account")[i * 31 % 4],
            app_version=("5.1.0", "5.2.0")[i // 3 % 2], platform=("ios", "android")[i // 5 % 2],
            region=("DE", "FR", "AT", "CH", "NL")[i // 7 % 5], device_model=("Nova 8", "Pix 4", "iP 16")[i // 11 % 3],
            event_name="checkout_submit", outcome="failed" if failed_every and i % failed_every == 0 else "ok",
        )
        for i in range(count)
    ]


def orders(count: int) -> list[Any]:
    """Return ``count`` order events: placed with a promise, paid, delivered; one order after the other."""
    make = struct_of(Order)
    return [
        make(
            event_id=f"o-{i:012x}", event_time_ms=START_MS + i * 10, customer_id=f"c-{(i // 3) % 50_000:06d}",
            source="erp", order_id=f"o-{i // 3}", product="shop", status=("placed", "paid", "delivered")[i % 3],
            carrier=("swiftpost", "dpx")[i // 3 % 2], warehouse="HAM-2", region="DE", payment_provider="paynow",
            payment_method="card", amount_cents=4_990, promised_at_ms=START_MS + (i // 3) * 30 + 3_600_000,
        )
        for i in range(count)
    ]


def raw(batch: Batch) -> RawBatch:
    """The undecoded messages of a batch of partition 0 of 1."""
    values, size = [encode(record) for record in batch.records], len(batch.records)
    keys = [record.customer_id.encode() for record in batch.records]
    first = batch.offsets[0]
    return RawBatch(
        batch.topic, 0, first, first + size, batch.offsets, keys, values, [()] * size, batch.timestamps
    )


def run(stage: JoinStage | NativeJoinStage, topic: str, events: list[Any]) -> tuple[float, float]:
    """Return seconds of CPU in step and in drain."""
    state: Any = stage.start(0, 1)
    others = tuple(noun for noun in ("telemetry", "order", "contact") if noun != topic)
    stepping = draining = 0.0
    for number, at in enumerate(range(0, len(events), SLICE)):
        records = events[at : at + SLICE]
        stamps = [record.event_time_ms + 100 for record in records]
        batch = Batch(topic, 0, records, range(at, at + len(records)), stamps)
        part = raw(batch) if isinstance(stage, NativeJoinStage) else None
        start = time.process_time()
        if isinstance(stage, NativeJoinStage) and part is not None:
            stage.feed(state, part, 0, 65_536, 300_000)
        else:
            stage.step(state, batch)
        stepped = time.process_time()
        stepping += stepped - start
        if number % (DRAIN_EVERY // SLICE) == DRAIN_EVERY // SLICE - 1:
            stage.step(state, Idle(records[-1].event_time_ms - 10_000, others))
            stage.drain(state)
            draining += time.process_time() - stepped
    return stepping, draining


def main(count: int, customers: int) -> None:
    """Measure every case and print microseconds per event."""
    cases = (
        ("telemetry, all ok", "telemetry", telemetry(count, None)),
        ("telemetry, 1 % failed", "telemetry", telemetry(count, 100)),
        ("orders with promises", "order", orders(count // 4)),
    )
    rules = JoinRules(clock_customers=customers)
    rooms: list[JoinStage | NativeJoinStage] = [JoinStage(rules), *([NativeJoinStage(rules)] if find() else [])]
    for name, topic, events in cases:
        for stage in rooms:
            stepping, draining = min(run(stage, topic, events) for _ in range(3))
            each = 1e6 / len(events)
            room = "native" if isinstance(stage, NativeJoinStage) else "Python"
            print(f"{name:24} {room}  step {stepping * each:5.2f} us/event   drain {draining * each:5.2f} us/event")


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    main(*(given + [300_000, 3][len(given) :]))
