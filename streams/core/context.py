"""Records of the topics beside events (customer profiles, changes, operators' orders), with claimed times checked.

Rooms, sender and tables read them by the same rules: whoever claims to be from more than :data:`FUTURE_MS` after its
append time is refused (one profile of 2099 would hide every later opt-out), a profile that cannot be read still counts
as an update that may be an opt-out, and a customer's key without a value is an erasure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from schemas.codec import Decoded, Reject
from schemas.errors import MalformedEvent
from schemas.events import Customer

FUTURE_MS = 300_000
"""A record may claim to be this much later than its append time: clocks differ."""
STAMPS = {"customer": "updated_at_ms", "change": "changed_at_ms", "command": "issued_at_ms", "control": "issued_at_ms"}
"""Noun -> field with the time that a record claims. Events have rules of their own."""
TOMBSTONE = "tombstone"


class Unreadable(msgspec.Struct, frozen=True):
    """A record about a customer was appended that breaks its contract."""

    customer_id: str


class Erasure(msgspec.Struct, frozen=True):
    """A customer's record was deleted (a key without a value) at ``erased_at_ms``, append time."""

    customer_id: str
    erased_at_ms: int


class Sweep(msgspec.Struct, frozen=True):
    """A customer of another partition was erased: what earlier versions took in here goes too."""

    customer_id: str


CustomerUpdate = Customer | Unreadable | Erasure
"""One record of the customer topic, about one customer."""


def screen(noun: str, decoded: Decoded, timestamps: Sequence[int], future_ms: int = FUTURE_MS) -> Decoded:
    """Turn records that claim to be from the future of their append time into rejects, ``future_time``."""
    field = STAMPS.get(noun)
    if field is None or not decoded.records:
        return decoded
    stamp = attrgetter(field)
    pairs = list(zip(decoded.records, decoded.index, strict=True))
    early = {index for record, index in pairs if stamp(record) > timestamps[index] + future_ms}
    if not early:
        return decoded
    error = MalformedEvent(field, f"should be at most {future_ms} ms after it was received", "integer", "future_time")
    rejects = sorted([*decoded.rejects, *(Reject(index, error) for index in early)], key=attrgetter("index"))
    rest = [(record, index) for record, index in pairs if index not in early]
    return Decoded([record for record, _ in rest], [index for _, index in rest], rejects, decoded.unknown_fields)


def customer_updates(
    decoded: Decoded, keys: Sequence[bytes | None], timestamps: Sequence[int]
) -> Iterator[tuple[int, bytes, CustomerUpdate]]:
    """(index, key of the customer meant, the update), in order, of a slice of the customer topic.

    A reject without a key is about no known customer, and left out.
    """
    found: dict[int, Any] = dict(zip(decoded.index, decoded.records, strict=True))
    found |= {reject.index: reject for reject in decoded.rejects}
    for index in sorted(found):
        one, key = found[index], keys[index]
        if isinstance(one, Customer):
            yield index, one.customer_id.encode(), one
        elif key:
            name = key.decode(errors="replace")
            erased = one.error.reason == TOMBSTONE
            yield index, key, Erasure(name, timestamps[index]) if erased else Unreadable(name)
