"""CloudEvents 1.0 on Kafka: context attributes stand in for the fields of our own envelope.

Binary mode: attributes travel in ``ce_*`` headers and the body is the data; :func:`splice` puts those that the body
does not say itself before the body's own fields.
Structured mode: the body is ``{"specversion": .., "id": .., "time": .., "source": .., "subject": .., "data": {..}}``;
:func:`unwrap` flattens it.

The standard lets the data repeat an attribute, but then both say the same thing: what differs is refused (reason
``ambiguous``), as is a header that comes twice with different values.

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
from pydantic_core import from_json

from schemas.errors import MalformedEvent

Headers = Sequence[tuple[str, bytes | None]]
"""Headers of one Kafka record."""

PREFIX = "ce_"
_WHITESPACE = b" \t\r\n"
_FIELDS = {"id": "event_id", "time": "event_time_ms", "source": "source"}
_AMBIGUOUS = "ambiguous"
_READ = frozenset({*_FIELDS, "specversion", "partitionkey", "subject"})
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

    A body that is no object is returned unchanged. Raises :class:`MalformedEvent`: ``future_schema`` if
    ``ce_specversion`` names a major version other than 1, ``ambiguous`` if the body says something else.
    """
    context = _context(headers)
    _check_version(context.get("specversion", "1.0"))
    fields = _envelope(context)
    body = value.lstrip(_WHITESPACE)
    if not fields or not body.startswith(b"{"):
        return value
    own = _own(value, fields)
    missing = {name: found for name, found in fields.items() if name not in own}
    _require_equal(fields, own)
    if not missing:
        return value
    rest = body[1:].lstrip(_WHITESPACE)
    comma = b"" if rest.startswith(b"}") else b","
    return msgspec.json.encode(missing)[:-1] + comma + rest


def unwrap(body: dict[str, Any]) -> dict[str, Any]:
    """Flatten a structured-mode CloudEvent; any other object is returned unchanged.

    Raises :class:`MalformedEvent`: ``future_schema`` on a major version other than 1, ``ambiguous`` if the data says
    something else than the attributes.
    """
    data = body.get("data")
    if "event_id" in body or not isinstance(body.get("specversion"), str) or not isinstance(data, dict):
        return body
    _check_version(body["specversion"])
    context = {name: value for name, value in body.items() if isinstance(value, str)}
    fields = _envelope(context)
    _require_equal(fields, data)
    return {**fields, **data}


def _own(value: bytes, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a body says itself, at least of ``fields``; nothing if it is no JSON, which the codec will say."""
    if b"\\" not in value and not any(b'"%s"' % name.encode() in value for name in fields):
        return {}
    try:
        body = from_json(value)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _require_equal(fields: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raise :class:`MalformedEvent` if the body says something else than the attributes."""
    for name in fields.keys() & own.keys():
        if type(own[name]) is not type(fields[name]) or own[name] != fields[name]:
            raise MalformedEvent(name, "should say the same as its CloudEvents attribute", "", _AMBIGUOUS)


def _context(headers: Headers) -> dict[str, str]:
    """Attributes by name without prefix; a header that is no UTF-8 text counts as absent.

    Raises :class:`MalformedEvent` (``ambiguous``) if one of ours comes twice with different values.
    """
    context: dict[str, str] = {}
    for header, raw in headers:
        if not header.startswith(PREFIX) or raw is None:
            continue
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            continue
        name = header.removeprefix(PREFIX)
        if context.setdefault(name, text) != text and name in _READ:
            raise MalformedEvent(name, "should not have two values", "string", _AMBIGUOUS)
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
