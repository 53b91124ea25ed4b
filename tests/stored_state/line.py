"""The whole line in memory, stored in the middle of its work and taken up again.

A stored line is a file (``*.msgpack.xz``) of plain bytes as they lie in the topics: the state topics of all rooms and
of the sender's ledger, the records that were not read yet, the input that is still to come, and how it ended: what was
emitted from then on, and the state at the very end. One version writes the file, every later one reads it.
"""

from __future__ import annotations

import hashlib
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from schemas.codec import decode, encode
from schemas.findings import DeliveryOutcome
from schemas.topics import BY_NOUN, DLQ_SUFFIX, state_topic
from streams.agents import detect, impact, join, match, outreach
from streams.core.context import customer_updates
from streams.core.outreach.ledger import Ledger
from streams.core.outreach.preferences import ReadUpdate
from streams.rules import outreach_rules
from streams.runtime.batch import RawBatch
from streams.runtime.limits import TaskRules
from streams.runtime.memory import Cadence, Logged, MemoryLine
from streams.runtime.state import Recovered
from streams.settings import Settings

PARTITIONS = 2
ROOMS = (join, detect, match, impact, outreach)
SENDER = "send"
REFERENCE = ("customer", "command", "issue", "affected")
"""Topics that the sender reads from their beginnings at every start."""
OUTCOMES: tuple[DeliveryOutcome | None, ...] = ("delivered", "delivered", "failed", "unknown", None)
"""What becomes of a claim, by the checksum of its name; None: the process ends before it knows."""
PORTION = 20
"""Decisions that the sender reads at a time."""
LIMIT = 3
"""Notices that it claims at a time."""

Form = Callable[[str, bytes, bytes], bytes]
"""Of room, key and value of a row of state: the value in another form."""
Pairs = list[tuple[bytes, bytes | None]]


class Input(msgspec.Struct, frozen=True):
    """A message as a producer appends it."""

    noun: str
    key: bytes | None
    value: bytes | None
    partition: int | None
    at_ms: int
    """Append time, ms since 1970 UTC."""


class Part(msgspec.Struct, frozen=True):
    """One topic partition: where it ends, and those of its records that somebody has still to read."""

    noun: str
    partition: int
    end: int
    rows: list[tuple[int, bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...], int]]
    """Offset, key, value, headers, append time."""


class Ending(msgspec.Struct, frozen=True):
    """What came of it. Keys are ``<noun or room>/<partition>``."""

    emitted: dict[str, Pairs]
    """Records appended to every topic partition after the state was stored: key and value, in order."""
    state: dict[str, dict[bytes, bytes]]
    """State key -> digest of its value (:func:`digest`), of every task and of the ledgers."""


class StoredLine(msgspec.Struct, frozen=True):
    """A line in the middle of its work, the rest of its input, and how it ended."""

    state: dict[str, Pairs]
    """``<room>/<partition>`` -> records of the state topic as compaction leaves them, the meta record among them."""
    parts: list[Part]
    rest: list[Input]
    ending: Ending


def _as_it_is(_room: str, _key: bytes, value: bytes) -> bytes:
    return value


def read(file: Path) -> StoredLine:
    """A stored line. Raises msgspec.DecodeError if the file is none."""
    return msgspec.msgpack.decode(lzma.decompress(file.read_bytes()), type=StoredLine)


def write(file: Path, stored: StoredLine) -> None:
    """Write a file that :func:`read` reads."""
    file.write_bytes(lzma.compress(msgspec.msgpack.encode(stored), preset=9 | lzma.PRESET_EXTREME))


@dataclass
class PartitionLedger:
    """The sender's ledger of one partition, driven without channel or clock: event time, outcomes by checksum."""

    ledger: Ledger
    news_from: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REFERENCE, 0))
    durable: dict[bytes, bytes] = field(default_factory=dict)
    emitted: Pairs = field(default_factory=list)

    def advance(self, line: MemoryLine, claim: bool = True) -> None:
        """Learn all news, then read the new decisions, claim what is due and settle the claims."""
        for noun in REFERENCE:
            rows = _log(line, noun, self.ledger.partition)[self.news_from[noun] :]
            self.news_from[noun] += len(rows)
            for record in _news(noun, [row for row in rows if row is not None]):
                self.ledger.learn(record)
        self.ledger.resumed.clear()
        start = self.ledger.next_offset
        decided = [row for row in _log(line, "outreach", self.ledger.partition)[start:] if row is not None]
        for first in range(0, len(decided), PORTION):
            portion = decided[first : first + PORTION]
            for row, record in zip(portion, decode("outreach", [row.value for row in portion]).records, strict=True):
                self.ledger.take(row.offset, record)
            while claim and self._claim():
                pass
        self.flush()

    def _claim(self) -> bool:
        """One round; False if nothing was due."""
        now_ms = self.ledger.clock_ms
        claims = self.ledger.plan(now_ms, LIMIT, simulated=True)
        for notice in claims:
            self.ledger.attempted(notice.id, 1)
            checksum = zlib.crc32(notice.id.encode())
            outcome = OUTCOMES[checksum % len(OUTCOMES)]
            if checksum % 11 == 0:
                self.ledger.release(notice.id, "http_503")
            elif outcome is not None:
                self.ledger.finish(notice.id, outcome, "stored", now_ms)
        self.flush()
        return bool(claims)

    def flush(self) -> None:
        """Make durable what changed."""
        drained = self.ledger.drain()
        for key, value in drained.changes:
            if value is None:
                self.durable.pop(key, None)
            else:
                self.durable[key] = value
        self.emitted += [(one.key.encode(), encode(one.record)) for one in drained.messages]


def new_line(native: str = "auto", cadence: Cadence | None = None, rules: TaskRules | None = None) -> MemoryLine:
    """A line that has read nothing; ``native`` as in the settings."""
    settings = Settings(native=native)
    return MemoryLine([module.room(settings) for module in ROOMS], PARTITIONS, cadence, rules)


def new_ledgers() -> list[PartitionLedger]:
    """Empty ledgers of all partitions."""
    rules = outreach_rules(Settings())
    return [PartitionLedger(Ledger(rules, partition, PARTITIONS)) for partition in range(PARTITIONS)]


def produce(line: MemoryLine, messages: Iterable[Input]) -> None:
    """Append input."""
    for one in messages:
        line.produce(one.noun, one.value, key=one.key, partition=one.partition, timestamp_ms=one.at_ms)


def state_of(line: MemoryLine, ledgers: list[PartitionLedger]) -> dict[str, Pairs]:
    """What the state topics hold, in the order of the last writes, and the ledgers with their positions."""
    found: dict[str, Pairs] = {}
    for room, partition in _tasks(line):
        latest: dict[bytes, bytes] = {}
        for row in line._logs[state_topic(room)].partitions[partition]:
            if row is not None and row.key is not None:
                latest.pop(row.key, None)
                if row.value is not None:
                    latest[row.key] = row.value
        found[f"{room}/{partition}"] = list(latest.items())
    for one in ledgers:
        position = str(one.ledger.next_offset).encode()
        found[f"{SENDER}/{one.ledger.partition}"] = [(b"", position), *one.durable.items()]
    return found


def parts_of(line: MemoryLine) -> list[Part]:
    """All topics: where they end, and what a room or a new sender has still to read of them."""
    parts = []
    for noun in _topics():
        for partition, rows in enumerate(line._logs[_name(noun)].partitions):
            start = 0 if noun in REFERENCE else _unread_from(line, noun, partition, len(rows))
            unread = [
                (row.offset, row.key, row.value, tuple(row.headers), row.timestamp_ms)
                for row in rows[start:] if row is not None
            ]  # fmt: skip
            parts.append(Part(noun, partition, len(rows), unread))
    return parts


def restore(stored: StoredLine, native: str) -> tuple[MemoryLine, list[PartitionLedger]]:
    """The line and the ledgers as they were when they were stored."""
    line, ledgers = new_line(native), new_ledgers()
    for part in stored.parts:
        columns = list(zip(*part.rows, strict=True)) or [()] * 5
        offsets, keys, values, headers, stamps = (list(column) for column in columns)
        batch = RawBatch(part.noun, part.partition, 0, part.end, offsets, keys, values, headers, stamps)
        line.load(batch)
    for room, partition in _tasks(line):
        log = line._logs[state_topic(room)]
        for key, value in stored.state[f"{room}/{partition}"]:
            log.append(partition, key, value, (), 0)
    for one in ledgers:
        (_, position), *items = stored.state[f"{SENDER}/{one.ledger.partition}"]
        one.durable = {key: value for key, value in items if value is not None}
        one.ledger.load(one.durable.items(), int(position or b"0"))
    return line, ledgers


def finish(
    line: MemoryLine, ledgers: list[PartitionLedger], parts: list[Part], rest: list[Input], form: Form = _as_it_is
) -> Ending:
    """Read what is left and the rest of the input, to the end. ``form``: what to take the digests of state of."""
    produce(line, rest)
    line.run()
    for one in ledgers:
        one.advance(line)
    emitted: dict[str, Pairs] = {}
    for part in parts:
        rows = line._logs[_name(part.noun)].partitions[part.partition][part.end :]
        emitted[f"{part.noun}/{part.partition}"] = [
            (row.key, row.value) for row in rows if row is not None and row.key is not None
        ]
    state = {f"{room}/{partition}": line.state(room, partition).items for room, partition in _tasks(line)}
    for one in ledgers:
        emitted[f"{SENDER}/{one.ledger.partition}"] = one.emitted
        state[f"{SENDER}/{one.ledger.partition}"] = one.durable
    digests = {
        name: {key: digest(form(name.partition("/")[0], key, value)) for key, value in pairs.items()}
        for name, pairs in state.items()
    }
    return Ending(emitted, digests)


def digest(value: bytes) -> bytes:
    """Eight bytes that stand for a value: whole, the state at the end would be half of the file."""
    return hashlib.blake2b(value, digest_size=8).digest()


def _news(noun: str, rows: list[Logged]) -> Iterator[Any]:
    """What the sender learns from some rows of a topic."""
    keys, stamps = [row.key for row in rows], [row.timestamp_ms for row in rows]
    decoded = decode(noun, [row.value for row in rows], keys)
    if noun != "customer":
        yield from decoded.records
        return
    for at, _, update in customer_updates(decoded, keys, stamps):
        yield ReadUpdate(update, rows[at].offset, stamps[at])


def _topics() -> Iterator[str]:
    for noun in BY_NOUN:
        yield noun
        yield noun + DLQ_SUFFIX


def _name(noun: str) -> str:
    return BY_NOUN[noun.removesuffix(DLQ_SUFFIX)].dlq if noun.endswith(DLQ_SUFFIX) else BY_NOUN[noun].name


def _log(line: MemoryLine, noun: str, partition: int) -> list[Logged | None]:
    return line._logs[BY_NOUN[noun].name].partitions[partition]


def _tasks(line: MemoryLine) -> Iterator[tuple[str, int]]:
    for room in line.rooms.values():
        for partition in range(room.task_count(PARTITIONS)):
            yield room.name, partition


def _unread_from(line: MemoryLine, noun: str, partition: int, end: int) -> int:
    """First offset that some reader has not in its state; the sender reads decisions, and has read them all."""
    starts = [end]
    for room in line.rooms.values():
        if noun in room.inputs and partition < room.task_count(PARTITIONS):
            found: Recovered = line.state(room.name, partition)
            starts.append(found.meta.offsets.get(noun, 0) if found.meta else 0)
    return min(starts)
