"""Bytes <-> records: the only place that knows the wire.

:func:`decode` takes a whole slice of one topic partition and never raises on what is in it: every message becomes a
record or a :class:`Reject`. Telemetry, orders and contacts become structs with the attributes of their pydantic models
(``schemas.hot``), and so do the findings that come in numbers (``schemas.hotfindings``); heartbeats become
:class:`schemas.events.Heartbeat`, everything else instances of the pydantic models.
What is accepted is defined by ``schemas.reference``; the hot path only ever takes a short cut to the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from pydantic import BaseModel

from schemas.cloudevents import Headers, has_context, splice
from schemas.errors import MalformedEvent
from schemas.events import HEARTBEAT_KEY, Heartbeat, Record
from schemas.hot import HotDecoder
from schemas.hotfindings import NOUNS, FindingsDecoder
from schemas.partition import partition_of, partitions_of
from schemas.reference import ModelDecoder, decode_with, is_ours, models_of, reference_decode
from schemas.topics import BY_NOUN, EVENT_NOUNS

__all__ = [
    "HOT",
    "Decoded",
    "Headers",
    "Reject",
    "canonical",
    "decode",
    "encode",
    "hot_type",
    "partition_of",
    "partitions_of",
    "reference_decode",
]

HOT: dict[str, type[Record]] = {noun: BY_NOUN[noun].records[0] for noun in EVENT_NOUNS}
"""Topics whose records are decoded as structs."""
_HEARTBEAT = {"": Heartbeat}


@dataclass(frozen=True, slots=True)
class Reject:
    """A message that breaks its contract: its index in the slice and what is wrong (never the value itself)."""

    index: int
    error: MalformedEvent


@dataclass(slots=True)
class Decoded:
    """A decoded slice: ``records[i]`` came from message ``index[i]``, in order; every other message is a reject.

    ``unknown_fields`` is exact for messages decided by the reference and estimated from a sample of one in 64 for
    messages that took the hot path.
    """

    records: list[Any] = field(default_factory=list)
    index: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    unknown_fields: int = 0


def decode(
    noun: str,
    values: Sequence[bytes | None],
    keys: Sequence[bytes | None] | None = None,
    headers: Sequence[Headers | None] | None = None,
    max_bytes: int | None = None,
) -> Decoded:
    """Decode a slice of one topic.

    ``keys`` and ``headers`` lie parallel to ``values`` (heartbeats are known by their key, CloudEvents by ``ce_*``
    headers). ``max_bytes`` defaults to the topic's limit. Raises KeyError for an unknown noun, nothing else.
    """
    slice_ = _Slice(noun, values, BY_NOUN[noun].max_bytes if max_bytes is None else max_bytes)
    if noun in HOT:
        slice_.find_heartbeats(keys)
        if headers and any(headers):
            slice_.splice(headers)
        return _decode_hot(slice_, _HOT[noun])
    if noun in NOUNS:
        return _decode_hot(slice_, _FINDINGS[noun])
    return _complete(slice_, _MODELS[noun])


def encode(record: Record | msgspec.Struct) -> bytes:
    """Return compact JSON with the fields in the order of the contract; equal records give equal bytes."""
    if isinstance(record, BaseModel):
        return record.model_dump_json().encode()
    return msgspec.json.encode(record)


def canonical(record: Record | msgspec.Struct) -> bytes:
    """Return compact JSON with sorted keys: what hashes of findings are taken of."""
    plain = record.model_dump(mode="json") if isinstance(record, BaseModel) else msgspec.to_builtins(record)
    return msgspec.json.encode(plain, order="deterministic")


def hot_type(noun: str) -> type[msgspec.Struct]:
    """Return the struct type of telemetry, order or contact records (keyword arguments, no validation)."""
    return _HOT[noun].struct


class _Slice:
    """A slice made ready: CloudEvents headers are spliced into the messages, and ``special`` ones are known by index.

    Special messages are those that no short cut may read: tombstones, heartbeats, messages over the limit, and
    CloudEvents of another version.
    """

    def __init__(self, noun: str, values: Sequence[bytes | None], limit: int) -> None:
        self.noun, self.values, self.limit = noun, list(values), limit
        self.special = {index for index, value in enumerate(values) if value is None or len(value) > limit}
        self.heartbeats: frozenset[int] = frozenset()
        self.refused: dict[int, MalformedEvent] = {}

    def find_heartbeats(self, keys: Sequence[bytes | None] | None) -> None:
        """Mark heartbeats, which are known by their key."""
        if keys and HEARTBEAT_KEY in keys:
            self.heartbeats = frozenset(index for index, key in enumerate(keys) if key == HEARTBEAT_KEY)
            self.special |= self.heartbeats

    def splice(self, headers: Sequence[Headers | None] | None) -> None:
        """Complete messages from their CloudEvents headers."""
        for index, one in enumerate(headers or ()):
            value = self.values[index]
            if not one or value is None or index in self.special or not has_context(one):
                continue
            try:
                self.values[index] = splice(value, one)
            except MalformedEvent as error:
                self.refused[index] = error
                self.special.add(index)

    @property
    def plain(self) -> list[bytes]:
        """All messages but the special ones, in order."""
        return [value for index, value in enumerate(self.values) if value is not None and index not in self.special]

    def by_reference(self, index: int) -> tuple[Record, int]:
        """Record and unknown fields of one message, by the definition; raises MalformedEvent."""
        if index in self.refused:
            raise self.refused[index]
        value = self.values[index]
        models = _HEARTBEAT if index in self.heartbeats else models_of(self.noun)
        limit = self.limit if value is None or index in self.special else len(value)
        return decode_with(models, value, limit, ours=is_ours(self.noun))


# Built when the module is imported, which one thread does for all: msgspec fills in what it knows of a struct bit by
# bit when a first decoder asks for it, and a second thread that asks meanwhile reads the half and crashes the process.
_HOT = {noun: HotDecoder(model) for noun, model in HOT.items()}
_FINDINGS = {noun: FindingsDecoder(noun) for noun in sorted(NOUNS)}
_MODELS = {noun: ModelDecoder(noun) for noun in BY_NOUN if noun not in HOT and noun not in NOUNS}


def _decode_hot(slice_: _Slice, decoder: HotDecoder | FindingsDecoder) -> Decoded:
    """Take the whole slice at once if nothing in it is special or undecided."""
    if not slice_.special and (records := decoder.decode_all(plain := slice_.plain)) is not None:
        return Decoded(records, list(range(len(records))), [], decoder.count_unknown(plain))
    return _complete(slice_, decoder)


def _complete(slice_: _Slice, decoder: HotDecoder | FindingsDecoder | ModelDecoder) -> Decoded:
    """Take the short cut where it is open, let the reference decide the rest, and put the answer together in order."""
    plain = slice_.plain
    some = iter(decoder.decode_some(plain))
    found = [None if index in slice_.special else next(some) for index in range(len(slice_.values))]
    taken = [value for value, record in zip(slice_.values, found, strict=True) if value and record is not None]
    decoded = Decoded(unknown_fields=decoder.count_unknown(taken))
    for index, short_cut in enumerate(found):
        try:
            record, unknown = (short_cut, 0) if short_cut is not None else slice_.by_reference(index)
        except MalformedEvent as error:
            decoded.rejects.append(Reject(index, error))
            continue
        decoded.records.append(decoder.of(record))
        decoded.index.append(index)
        decoded.unknown_fields += unknown
    return decoded
