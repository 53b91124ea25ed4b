"""Customer records sorted by where they belong: about a customer of this partition, or astray.

A producer whose partitioner is not murmur2 (librdkafka's default is not), or whose key is not the customer, puts an
opt-out where nobody who asks for that customer looks. One room writes such records again to the right partition, in
the transaction of their offsets, with the header :data:`REKEYED_HEADER`; the sender waits for these copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.codec import Decoded, Reject
from schemas.errors import MalformedEvent
from streams.core.context import CustomerUpdate, Erasure, Sweep, Unreadable, customer_updates
from streams.runtime.alignment import Keys
from streams.runtime.batch import Headers, RawBatch

REKEYED_HEADER = "cx.rekeyed"
"""Where a re-keyed record was first read: ``partition/offset``."""
BROUGHT = "brought"
"""Metadata of group offsets: everything astray before them was written again where it belongs."""
ERASED = MalformedEvent("customer_id", "was erased, with everything known about the customer", "null", "erasure")
"""What the dead letter of an erasure says: it is a notice, no defect."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One record to write to ``partition``; ``offset`` is where the original lies, ``customer`` whom it is about."""

    partition: int
    write: tuple[bytes | None, bytes | None, Headers]
    offset: int
    customer: str


@dataclass(slots=True)
class Parted:
    """A slice of the customer topic, sorted."""

    records: list[CustomerUpdate | Sweep] = field(default_factory=list)
    """Those about customers who live here."""
    index: list[int] = field(default_factory=list)
    """Index of each record in the slice."""
    rejects: list[Reject] = field(default_factory=list)
    """Those to be reported from here: an erasure astray is reported at home."""
    astray: list[Copy] = field(default_factory=list)
    sweeps: list[Copy] = field(default_factory=list)
    """Deletions for the other partitions, where copies of an erased customer may lie."""

    def add(self, record: CustomerUpdate | Sweep, at: int) -> None:
        """Take in a record that belongs here."""
        self.records.append(record)
        self.index.append(at)


def came_from(headers: Headers) -> tuple[int, int] | None:
    """(partition, offset) where a copy was first read, None if it is no copy."""
    for name, value in headers:
        if name == REKEYED_HEADER and value:
            partition, _, offset = value.decode(errors="replace").partition("/")
            if partition.isdecimal() and offset.isdecimal():
                return int(partition), int(offset)
    return None


def belongs(keys: Keys, wire_key: bytes | None, key: bytes, partition: int) -> bool:
    """True if a record with ``wire_key`` on ``partition``, about the customer ``key``, lies where it should."""
    return wire_key == key and keys.home(key) == partition


def part_customers(keys: Keys, part: RawBatch, decoded: Decoded, partition: int) -> Parted:
    """Sort a decoded slice. A copy that is astray again is left alone: it would go round for ever."""
    parted = Parted()
    reported = {reject.index for reject in decoded.rejects}
    for at, key, record in customer_updates(decoded, part.keys, part.timestamps):
        is_copy = came_from(part.headers[at]) is not None
        if belongs(keys, part.keys[at], key, partition):
            parted.add(record, at)
            if isinstance(record, Erasure):
                parted.sweeps += _sweeps(keys, key, part.offsets[at], partition)
            elif is_copy and not part.values[at]:
                reported.discard(at)  # it was reported where it lay
            continue
        if isinstance(record, Erasure):
            reported.discard(at)
        if not is_copy:
            parted.astray.append(_copy(keys, part, at, (key, record), partition))
        elif isinstance(record, Erasure):
            parted.add(Sweep(record.customer_id), at)
    parted.rejects = [reject for reject in decoded.rejects if reject.index in reported]
    return parted


def _copy(keys: Keys, part: RawBatch, at: int, about: tuple[bytes, CustomerUpdate], partition: int) -> Copy:
    """The record again, unchanged but for its key; of one that cannot be read, only that it cannot be."""
    key, record = about
    origin = (REKEYED_HEADER, f"{partition}/{part.offsets[at]}".encode())
    readable = not isinstance(record, Unreadable)
    value = part.values[at] if readable else b""
    headers: Sequence[Any] = [*part.headers[at], origin] if readable else [origin]
    return Copy(keys.home(key), (key, value, headers), part.offsets[at], record.customer_id)


def _sweeps(keys: Keys, key: bytes, offset: int, partition: int) -> list[Copy]:
    origin = [(REKEYED_HEADER, f"{partition}/{offset}".encode())]
    name = key.decode(errors="replace")
    return [Copy(other, (key, None, origin), offset, name) for other in range(keys.partitions) if other != partition]
