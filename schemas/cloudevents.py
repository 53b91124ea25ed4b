"""CloudEvents 1.0 on Kafka: context attributes stand in for the fields of our own envelope.

Binary mode: attributes travel in ``ce_*`` headers and the body is the data; :func:`splice` puts them before the body's
own fields, so that a field present in the body wins (of two equal names the last counts, as everywhere in the codec).
Structured mode: the body is ``{"specversion": .., "id": .., "time": .., "source": .., "subject": .., "data": {..}}``;
:func:`unwrap` flattens it.

| attribute | field |
|---|---|
| id | event_id |
| time (RFC 3339) | event_time_ms, rounded down |
| source | source |
| partitionkey, else subject | customer_id |
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from schemas.errors import MalformedEvent

Headers = Sequence[tuple[str, bytes | None]]
"""Headers of one Kafka record."""

PREFIX = "ce_"
_WHITESPACE = b" \t\r\n"
_FIELDS = {"id": "event_id", "time": "event_time_ms", "source": "source"}
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def has_context(headers: Headers | None) -> bool:
    """Return True if at least one header is a CloudEvents attribute."""
    return bool(headers) and any(name.startswith(PREFIX) for name, _ in headers or ())


def to_ms(text: str) -> int | None:
    """Return milliseconds since 1970 UTC of an RFC 3339 time, or None if it is none (a leap second is none)."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{zone.upper()}")
        whole = (moment - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None
    return whole + int((fraction or "0").ljust(3, "0")[:3])


def splice(value: bytes, headers: Headers) -> bytes:
    """Return the body with fields from ``ce_*`` headers put in front of its own.

    A body that is no object is returned unchanged. Raises :class:`MalformedEvent` (``future_schema``) if
    ``ce_specversion`` names a major version other than 1.
    """
    context = _context(headers)
    _check_version(context.get("specversion", "1.0"))
    fields = _envelope(context)
    body = value.lstrip(_WHITESPACE)
    if not fields or not body.startswith(b"{"):
        return value
    rest = body[1:].lstrip(_WHITESPACE)
    comma = b"" if rest.startswith(b"}") else b","
    return msgspec.json.encode(fields)[:-1] + comma + rest


def unwrap(body: dict[str, Any]) -> dict[str, Any]:
    """Flatten a structured-mode CloudEvent; any other object is returned unchanged.

    Raises :class:`MalformedEvent` (``future_schema``) on a major version other than 1.
    """
    data = body.get("data")
    if "event_id" in body or not isinstance(body.get("specversion"), str) or not isinstance(data, dict):
        return body
    _check_version(body["specversion"])
    context = {name: value for name, value in body.items() if isinstance(value, str)}
    return {**_envelope(context), **data}


def _context(headers: Headers) -> dict[str, str]:
    """Attributes by name without prefix; a header that is no UTF-8 text counts as absent."""
    context: dict[str, str] = {}
    for name, raw in headers:
        if not name.startswith(PREFIX) or raw is None:
            continue
        try:
            context[name.removeprefix(PREFIX)] = raw.decode("utf-8")
        except UnicodeDecodeError:
            continue
    return context


def _envelope(context: Mapping[str, str]) -> dict[str, str | int]:
    """Our fields from CloudEvents attributes. A time that cannot be read stays text, which the contract refuses."""
    fields: dict[str, str | int] = {ours: context[theirs] for theirs, ours in _FIELDS.items() if theirs in context}
    if "time" in context:
        milliseconds = to_ms(context["time"])
        fields["event_time_ms"] = context["time"] if milliseconds is None else milliseconds
    customer = context.get("partitionkey", context.get("subject"))
    if customer is not None:
        fields["customer_id"] = customer
    return fields


def _check_version(version: str) -> None:
    if version.split(".", 1)[0] != "1":
        raise MalformedEvent("specversion", "should be CloudEvents 1.0", "string", "future_schema")
