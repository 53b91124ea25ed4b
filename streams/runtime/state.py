"""The state topic of a room: what a flush leaves behind, and how it is read back.

Topic ``cx.<room>.state.v1``, compacted, one partition per task, broker timestamps are produce time. Records:

- key ``b"!"``: the meta record, JSON ``{"incarnation": n, "flush": m, "partitions": p, "offsets": {noun: next},
  "v": 1}``. ``offsets`` is the source-offset vector: the first offset per input topic (same partition number as the
  task) that is not yet part of this state. Written in every flush transaction, so pairs and vector belong together.
- key ``b"." + k``: the value of the stage's state key ``k``, as the stage drained it; no value = tombstone.

Decoding never guesses: an unknown version or a damaged meta record raises ``StateDamaged`` and the process ends with a
reason, instead of a recovery that never finishes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from schemas.errors import CxError

META_KEY = b"!"
STATE_PREFIX = b"."
_VERSION = 1
_FLUSH_BITS = 40


class StateDamaged(CxError):
    """A state topic holds what this build cannot read; the text says what, never a value."""


class Meta(msgspec.Struct, frozen=True):
    """The meta record of one task's state."""

    incarnation: int
    """Counted up at every assignment."""
    flush: int
    """Number of the flush within the incarnation, from 1."""
    partitions: int
    """Customer partitions the state was built with; another number means another key space."""
    offsets: dict[str, int]
    """Noun -> first offset that is not part of the state."""
    v: int = _VERSION


@dataclass
class Recovered:
    """Live pairs of a state topic's partition, in any order, and its meta record."""

    meta: Meta | None = None
    items: dict[bytes, bytes] = field(default_factory=dict)

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Fold one record of the state topic; later records of a key replace earlier ones."""
        if key == META_KEY:
            self.meta = None if value is None else decode_meta(value)
        elif key is None or not key.startswith(STATE_PREFIX):
            raise StateDamaged("a state topic holds a record with a foreign key: was it written by something else?")
        elif value is None:
            self.items.pop(key[1:], None)
        else:
            self.items[key[1:]] = value


def decode_meta(value: bytes) -> Meta:
    """Read a meta record. Raises StateDamaged if it is of another version or damaged."""
    try:
        meta = msgspec.json.decode(value, type=Meta)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise StateDamaged("the meta record of a state topic is damaged") from None
    if meta.v != _VERSION:
        raise StateDamaged(f"the state topic has format {meta.v}, this build reads {_VERSION}")
    return meta


def state_records(changes: Iterable[tuple[bytes, bytes | None]], meta: Meta) -> list[tuple[bytes, bytes | None]]:
    """The records of one flush for the state topic; the meta record is the last."""
    records = [(STATE_PREFIX + key, value) for key, value in changes]
    records.append((META_KEY, msgspec.json.encode(meta)))
    return records


def version(incarnation: int, flush: int) -> int:
    """The ``cx.ver`` of everything one flush writes: grows with every flush and over every takeover."""
    return incarnation << _FLUSH_BITS | flush
