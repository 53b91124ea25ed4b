"""What the topics from outside say beside events: profiles, changes, orders; with the times they claim checked.

Rooms, sender and tables read them by the same rules: whoever claims to be from more than :data:`FUTURE_MS` after its
append time is refused (one profile of 2099 would hide every later opt-out), a profile that cannot be read still says
that something was said, and a customer's key without a value is an erasure.
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


Said = Customer | Unreadable | Erasure
"""What the customer topic says about one customer."""


def screen(noun: str, decoded: Decoded, timestamps: Sequence[int], future_ms: int = FUTURE_MS) -> Decoded:
    """Turn records that claim to be from the future of their append time into rejects, ``future_time``."""
    field = STAMPS.get(noun)
    if field is None or not decoded.records:
        return decoded
    stamp = attrgetter(field)
    pairs = list(zip(decoded.records, decoded.index, strict=True))
    early = {place for record, place in pairs if stamp(record) > timestamps[place] + future_ms}
    if not early:
        return decoded
    error = MalformedEvent(field, f"should be at most {future_ms} ms after it was received", "integer", "future_time")
    rejects = sorted([*decoded.rejects, *(Reject(place, error) for place in early)], key=attrgetter("index"))
    kept = [(record, place) for record, place in pairs if place not in early]
    return Decoded([record for record, _ in kept], [place for _, place in kept], rejects, decoded.unknown_fields)


def sayings(
    decoded: Decoded, keys: Sequence[bytes | None], timestamps: Sequence[int]
) -> Iterator[tuple[int, bytes, Said]]:
    """(place, key of the customer meant, what is said), in order, of a slice of the customer topic.

    A reject without a key says nothing about anybody.
    """
    found: dict[int, Any] = dict(zip(decoded.index, decoded.records, strict=True))
    found |= {reject.index: reject for reject in decoded.rejects}
    for place in sorted(found):
        one, key = found[place], keys[place]
        if isinstance(one, Customer):
            yield place, one.customer_id.encode(), one
        elif key:
            name = key.decode(errors="replace")
            erased = one.error.reason == TOMBSTONE
            yield place, key, Erasure(name, timestamps[place]) if erased else Unreadable(name)
