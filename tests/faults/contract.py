"""The input contract said a second time, for the oracle: which bytes are an event. Shares nothing with the product."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

OLDEST_MS = 946_684_800_000
NEWEST_MS = 4_102_444_800_000
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_STATUSES = {
    "order": [
        "placed", "paid", "payment_failed", "packed", "shipped", "delivered", "late", "cancelled", "returned",
        "refunded",
    ],
    "contact": ["opened", "answered", "abandoned", "transferred", "resolved", "reopened"],
}
_CHANNELS = ["phone", "email", "chat", "app", "web", "social", "shop", "letter", "other"]

Check = Callable[[Any], bool]


@lru_cache(maxsize=4_096)
def _plain(value: str) -> bool:
    return len(value) <= 128 and not _FORBIDDEN.search(value)


def _label(value: Any) -> bool:
    return isinstance(value, str) and _plain(value)


def _token(value: Any) -> bool:
    return _label(value) and value != ""


def _whole(low: int, high: int) -> Check:
    return lambda value: type(value) is int and low <= value <= high


def _maybe(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _among(*allowed: str) -> Check:
    return lambda value: value in allowed


def _duration(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and 0 <= value <= 1e9


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 20_000 and "\x00" not in value


def _attributes(value: Any) -> bool:
    return isinstance(value, dict) and len(value) <= 30 and all(
        _token(name) and len(name) <= 64 and _label(one) for name, one in value.items()
    )


def _subjects(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 16 and all(map(_token, value))


_TIME = _whole(OLDEST_MS, NEWEST_MS)
_COMMON = {"event_id": _token, "event_time_ms": _TIME, "customer_id": _token}
_COMMON_OPTIONAL = {
    "source": _label, "schema_version": _whole(1, 2), "origin": _among("live", "replay", "drill"),
    "arrived_at_ms": _maybe(_TIME), "attributes": _attributes,
}  # fmt: skip


def _labels(names: str) -> dict[str, Check]:
    return dict.fromkeys(names.split(), _label)


_REQUIRED: Mapping[str, Mapping[str, Check]] = {
    "telemetry": {**_COMMON, "product": _label, "event_name": _label, "outcome": _among("ok", "failed", "abandoned")},
    "order": {**_COMMON, "order_id": _token, "status": _among(*_STATUSES["order"]), "product": _label},
    "contact": {**_COMMON, "contact_id": _token, "channel": _among(*_CHANNELS)},
}
_OPTIONAL: Mapping[str, Mapping[str, Check]] = {
    "telemetry": {
        **_COMMON_OPTIONAL, **_labels("component app_version platform region device_model firmware session_id"),
        "journey_stage": _label, "error_code": _maybe(_label), "latency_ms": _maybe(_duration),
    },
    "order": {
        **_COMMON_OPTIONAL, **_labels("sku payment_provider payment_method carrier warehouse region"),
        "amount_cents": _whole(-(10**12), 10**12), "currency": lambda value: _label(value) and len(value) <= 3,
        "promised_at_ms": _maybe(_TIME), "cancelled_by": _maybe(_among("customer", "company")),
        "error_code": _maybe(_label),
    },
    "contact": {
        **_COMMON_OPTIONAL, **_labels("reason language product region"), "status": _among(*_STATUSES["contact"]),
        "mode": _among("human", "automatic"), "text": _text, "order_id": _maybe(_label),
        "subject_ids": _subjects, "wait_ms": _maybe(_duration), "handle_ms": _maybe(_duration),
        "csat": _maybe(_whole(1, 5)), "effort": _maybe(_whole(1, 7)),
    },
}  # fmt: skip
_CHECKS = {noun: {**_OPTIONAL[noun], **_REQUIRED[noun]} for noun in _REQUIRED}


def event_of(noun: str, value: bytes | None, max_bytes: int) -> dict[str, Any] | None:
    """The event in these bytes, None if they break the contract."""
    if value is None or len(value) > max_bytes:
        return None
    try:
        body = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    checks = _CHECKS[noun]
    if not body.keys() >= _REQUIRED[noun].keys():
        return None
    for name, value_of in body.items():
        check = checks.get(name)
        if check is not None and not check(value_of):
            return None
    return body


def heartbeat_of(value: bytes | None) -> dict[str, Any] | None:
    """The heartbeat in these bytes, None if they are none."""
    try:
        body = msgspec.json.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    fits = isinstance(body, dict) and body.get("heartbeat", True) is True and _TIME(body.get("event_time_ms"))
    return body if fits and _label(body.get("source", "")) else None
