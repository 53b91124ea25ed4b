"""A small, fixed stream through the join, so that the contract also holds what no model describes: the state's rows.

Whatever changes a byte that the room writes for it (another field of a row, another order, another encoding) gives
another contract, and a native module that still writes the old form is not used any more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from schemas.codec import encode
from schemas.events import Contact, Event, Order, Telemetry
from streams.core.join.rules import JoinRules
from streams.core.join.stage import JoinStage
from streams.core.stage import Batch, Drained

_T0 = 1_767_225_600_000
"""2026-01-01 00:00 UTC, ms."""
_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000
_COMMON = {"product": "shop", "source": "s"}


def written() -> Iterator[tuple[str, bytes, bytes | None]]:
    """Yield what the sample leaves behind, in order: topic noun or ``state``, key, value (None: the key is gone)."""
    stage = JoinStage(JoinRules(clock_customers=1))
    state = stage.start(0, 1)
    for noun, events in _batches():
        stage.step(state, Batch(noun, 0, events, list(range(len(events)))))
        yield from _drained(stage.drain(state))


def digest() -> str:
    """Return a hash of all that the sample writes, 16 hexadecimal digits."""
    found = hashlib.sha256()
    for noun, key, value in written():
        found.update(repr((noun, key, value)).encode())
    return found.hexdigest()[:16]


def _drained(drained: Drained) -> Iterator[tuple[str, bytes, bytes | None]]:
    for message in drained.messages:
        yield message.noun, message.key.encode(), encode(message.record)
    for key, value in drained.changes:
        yield "state", key, value


def _batches() -> Iterator[tuple[str, list[Event]]]:
    """Every kind of state row: failures that are put right and that are not, a promise kept, one open, contacts."""
    yield "telemetry", [
        _telemetry(0, "a", "ok"), _telemetry(1, "a", "failed"), _telemetry(2, "b", "failed"), _telemetry(3, "b", "ok"),
    ]  # fmt: skip
    yield "order", [
        _order(0, "a", "o-1", "placed", promised_at_ms=_T0 + _HOUR_MS),
        _order(1, "b", "o-2", "payment_failed", amount_cents=555_000, currency="jpy"), _order(2, "b", "o-2", "paid"),
        _order(3, "b", "o-3", "placed", promised_at_ms=_T0 + 90 * _MINUTE_MS, amount_cents=125, currency="KWD"),
    ]  # fmt: skip
    yield "contact", [_contact(4, "a", "delivery"), _contact(5, "b", "app", order_id="o-2")]
    yield "order", [_order(50, "a", "o-1", "delivered"), _order(200, "c", "o-4", "placed")]
    yield "telemetry", [_telemetry(200, "c", "failed"), _telemetry(2, "d", "failed")]
    yield "contact", [_contact(200, "c", "app")]


def _telemetry(minute: int, customer: str, outcome: str) -> Telemetry:
    return Telemetry.model_validate({
        **_COMMON, **_when(minute, customer, outcome), "event_name": "tap", "outcome": outcome, "app_version": "1",
    })  # fmt: skip


def _order(minute: int, customer: str, order_id: str, status: str, **more: Any) -> Order:
    return Order.model_validate({
        **_COMMON, **_when(minute, customer, status), "order_id": order_id, "status": status, "carrier": "x", **more,
    })  # fmt: skip


def _contact(minute: int, customer: str, reason: str, **more: Any) -> Contact:
    return Contact.model_validate({
        **_COMMON, **_when(minute, customer, reason), "contact_id": f"k-{minute}", "channel": "phone",
        "reason": reason, **more,
    })  # fmt: skip


def _when(minute: int, customer: str, what: str) -> dict[str, Any]:
    name = f"{minute}{customer}{what}"
    return {"event_id": name, "event_time_ms": _T0 + minute * _MINUTE_MS, "customer_id": customer}
