"""The state topic of a room: what a flush leaves behind, and how it is read back.

Topic ``cx.<room>.state.v1``, compacted, one partition per task, broker timestamps are produce time. Records:

- key ``b"!"``: the meta record, JSON ``{"incarnation": n, "flush": m, "partitions": p, "offsets": {noun: next},
  "v": 1}``. ``incarnation`` is the epoch of the task's owner, ``offsets`` are the source offsets: the first offset per
  input topic (same partition number as the task) that is not yet part of this state. Written in every flush
  transaction, so pairs and source offsets belong together.
- key ``b"." + k``: the value of the stage's state key ``k``, as the stage drained it; no value = tombstone.
- key ``b"/" + n + k`` (n: two bytes, big endian): part n of a value of more than ``PART_BYTES``; part 0 begins with the
  number of parts, two bytes. A value is in one of the two forms; a change of form writes tombstones for the other. A
  record larger than its topic allows would be refused at every restart anew.

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
PART_PREFIX = b"/"
PART_BYTES = 900_000
"""Larger values are written in parts of this size."""
_VERSION = 1
_FLUSH_BITS = 40
_MINUTES_FROM_S = 1_767_225_600
"""2026-01-01 UTC."""
_MOST_MINUTES = 1 << 23
"""Half of what fits beside the flush number: a clock that is far ahead leaves room for counting on."""


class StateDamaged(CxError):
    """A state topic holds what this build cannot read; the text says what, never a value."""


class Meta(msgspec.Struct, frozen=True, rename={"epoch": "incarnation"}):
    """The meta record of one task's state."""

    epoch: int
    """Epoch of the task's owner: grows with every assignment, see :func:`next_epoch`. ``incarnation`` in the record."""
    flush: int
    """Number of the flush within the epoch, from 1."""
    partitions: int
    """Customer partitions the state was built with; another number means another key space."""
    offsets: dict[str, int]
    """Noun -> first offset that is not part of the state."""
    v: int = _VERSION
    topics: dict[str, str] = {}
    """Noun -> epoch of the topic: the id that the broker gave it; made anew under the same name, it has another one."""
    brings: tuple[str, ...] = ()
    """Nouns whose astray records up to the offset were written again where they belong (``Room.brings``)."""
    orders: dict[str, int] = {}
    """Ids of orders that were let in lately -> append time, ms."""


@dataclass
class Recovered:
    """Live pairs of a state topic's partition, in any order, and its meta record."""

    meta: Meta | None = None
    items: dict[bytes, bytes] = field(default_factory=dict)
    parts: dict[bytes, dict[int, bytes]] = field(default_factory=dict)
    """Key -> number -> part, of values written in parts."""
    damage: StateDamaged | None = None
    """What is wrong with the newest meta record."""

    def check(self) -> None:
        """Raise StateDamaged if the newest meta record cannot be read; one that was replaced does not matter."""
        if self.damage is not None:
            raise self.damage

    def whole(self) -> dict[bytes, bytes]:
        """All values, those in parts put together. Raises StateDamaged if a part is missing, or by :meth:`check`."""
        self.check()
        joined = {}
        for key, found in self.parts.items():
            count = int.from_bytes(found.get(0, b"")[:2], "big")
            if not count or found.keys() != set(range(count)):
                raise StateDamaged("a part of a large value of a state topic is missing")
            joined[key] = b"".join(found[number] for number in range(count))[2:]
        return self.items | joined

    def part_counts(self) -> dict[bytes, int]:
        """Key -> how many parts its value is written in, of those written in parts."""
        return {key: len(found) for key, found in self.parts.items()}

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Fold one record of the state topic; later records of a key replace earlier ones, damaged ones too."""
        if key == META_KEY:
            self._take_meta(value)
        elif key is not None and key.startswith(PART_PREFIX):
            self._part(key[3:], int.from_bytes(key[1:3], "big"), value)
        elif key is None or not key.startswith(STATE_PREFIX):
            raise StateDamaged("a state topic holds a record with a foreign key: was it written by something else?")
        elif value is None:
            self.items.pop(key[1:], None)
        else:
            self.items[key[1:]] = value

    def _take_meta(self, value: bytes | None) -> None:
        self.meta = self.damage = None
        try:
            self.meta = None if value is None else decode_meta(value)
        except StateDamaged as damage:
            self.damage = damage

    def _part(self, key: bytes, number: int, value: bytes | None) -> None:
        found = self.parts.setdefault(key, {})
        if value is None:
            found.pop(number, None)
        else:
            found[number] = value
        if not found:
            del self.parts[key]


def decode_meta(value: bytes) -> Meta:
    """Read a meta record. Raises StateDamaged if it is of another version or damaged."""
    try:
        meta = msgspec.json.decode(value, type=Meta)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise StateDamaged("the meta record of a state topic is damaged") from None
    if meta.v != _VERSION:
        raise StateDamaged(f"the state topic has format {meta.v}, this build reads {_VERSION}")
    return meta


def state_records(
    changes: Iterable[tuple[bytes, bytes | None]], meta: Meta, parts: dict[bytes, int] | None = None
) -> list[tuple[bytes, bytes | None]]:
    """The records of one flush for the state topic; the meta record is the last.

    ``parts`` remembers which keys are written in how many parts, from flush to flush; without it no value is divided.
    """
    records: list[tuple[bytes, bytes | None]] = []
    for key, value in changes:
        before = parts.pop(key, 0) if parts is not None else 0
        pieces = _pieces(value) if parts is not None and value is not None and len(value) > PART_BYTES else []
        if not pieces or not before:
            records.append((STATE_PREFIX + key, None if pieces else value))
        records += [(_part_key(key, number), piece) for number, piece in enumerate(pieces)]
        records += [(_part_key(key, number), None) for number in range(len(pieces), before)]
        if parts is not None and pieces:
            parts[key] = len(pieces)
    records.append((META_KEY, msgspec.json.encode(meta)))
    return records


def _pieces(value: bytes) -> list[bytes]:
    count = -(-len(value) // PART_BYTES)
    pieces = [value[start : start + PART_BYTES] for start in range(0, len(value), PART_BYTES)]
    return [count.to_bytes(2, "big") + pieces[0], *pieces[1:]]


def _part_key(key: bytes, number: int) -> bytes:
    return PART_PREFIX + number.to_bytes(2, "big") + key


def version(epoch: int, flush: int) -> int:
    """The ``cx.ver`` of everything one flush writes: grows with every flush and over every takeover."""
    return epoch << _FLUSH_BITS | flush


def next_epoch(stored: Meta | None, wall_s: float) -> int:
    """The epoch of a new owner: one more than the last, at least the minutes from 2026 on.

    The minutes are for a state that was lost, or left behind with an old topic prefix: what is worked out anew must win
    over the rows that are still in the tables. ``wall_s`` is seconds since 1970 UTC.

    >>> next_epoch(None, 0.0), next_epoch(None, 1_767_225_600 + 90_000)
    (1, 1500)
    """
    minutes = min(int((wall_s - _MINUTES_FROM_S) // 60), _MOST_MINUTES)
    return max(stored.epoch + 1 if stored else 1, minutes)
