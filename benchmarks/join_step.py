"""How long the join room takes per event: ``python benchmarks/join_step.py [events]``. Prints one line per case.

Telemetry of a made-up shop, decoded beforehand by the hot decoder's structs, in slices of 300, drained every 15,000
events (half a second at 30,000 events a second); orders and contacts are passed as idle. CPU time, best of three runs.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from schemas.events import Order, Telemetry
from schemas.hot import struct_of
from streams.core.join import JoinStage
from streams.core.stage import Batch, Idle

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


def run(topic: str, events: list[Any]) -> tuple[float, float]:
    """Return seconds of CPU in step and in drain."""
    stage = JoinStage()
    state = stage.start(0, 4)
    others = tuple(noun for noun in ("telemetry", "order", "contact") if noun != topic)
    batches = [
        Batch(topic, 0, events[at : at + SLICE], range(at, min(at + SLICE, len(events))))
        for at in range(0, len(events), SLICE)
    ]
    stepping = draining = 0.0
    for number, batch in enumerate(batches):
        start = time.process_time()
        stage.step(state, batch)
        stepped = time.process_time()
        stepping += stepped - start
        if number % (DRAIN_EVERY // SLICE) == DRAIN_EVERY // SLICE - 1:
            stage.step(state, Idle(batch.records[-1].event_time_ms - 10_000, others))
            stage.drain(state)
            draining += time.process_time() - stepped
    return stepping, draining


def main(count: int) -> None:
    """Measure every case and print microseconds per event."""
    cases = (
        ("telemetry, all ok", "telemetry", telemetry(count, None)),
        ("telemetry, 1 % failed", "telemetry", telemetry(count, 100)),
        ("orders with promises", "order", orders(count // 4)),
    )
    for name, topic, events in cases:
        stepping, draining = min(run(topic, events) for _ in range(3))
        each = 1e6 / len(events)
        print(f"{name:24} step {stepping * each:5.2f} us/event   drain {draining * each:5.2f} us/event")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300_000)
