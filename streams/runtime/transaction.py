"""What goes out of a task: one flush, which becomes durable in one Kafka transaction or not at all.

    derived messages    from the stage     to their topics: by key, or to every partition (broadcast)
    dead letters        from the intake    to the dead-letter topic of their source
    re-keyed records    from the intake    to the same topic, the partition where their customer lives
    ticks, cuts         from the task      to the topic of ticks
    state changes       from the stage     to the state topic, then the meta record with the source offsets

Order inside a transaction is irrelevant for correctness (it is atomic); per topic partition the order is: derived
messages in the order the stage drained them, then dead letters, re-keyed records, ticks and cuts in the order met, and
in the state topic the stage's changes, then the meta record.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace

from schemas.codec import encode
from schemas.findings import Cut, Tick
from schemas.topics import BY_NOUN, VERSION_HEADER, state_topic
from streams.core.stage import Drained, Message
from streams.runtime.alignment import Keys
from streams.runtime.batch import Headers
from streams.runtime.deadletter import DeadLetter
from streams.runtime.limits import TaskRules
from streams.runtime.state import Meta, state_records, version

Write = tuple[bytes | None, bytes | None, Headers]
"""Key, value and headers of one record to write."""
Writes = dict[tuple[str, int], list[Write]]
"""(wire name without prefix, partition) -> records in order."""


@dataclass(frozen=True)
class Transaction:
    """Everything one flush makes durable together."""

    room: str
    partition: int
    epoch: int
    """Epoch of the task's owner (``state.Meta``)."""
    flush: int
    writes: Mapping[tuple[str, int], list[Write]]
    """(wire name without prefix, partition) -> records in order."""
    offsets: Mapping[str, int]
    """Noun -> first offset that is not part of it: what the group offsets follow."""

    @property
    def records(self) -> int:
        """How many records it writes."""
        return sum(map(len, self.writes.values()))


@dataclass
class SideOutputs:
    """Outputs that do not come from the stage, since the last flush."""

    dead_letters: list[DeadLetter] = field(default_factory=list)
    rekeyed: list[tuple[str, int, Write]] = field(default_factory=list)
    """Noun, partition to write to, record."""
    ticks: list[Tick] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)

    def take(self) -> SideOutputs:
        """Hand out everything and start anew."""
        taken = replace(self)
        self.dead_letters, self.rekeyed, self.ticks, self.cuts = [], [], [], []
        return taken


class TransactionBuilder:
    """Encodes the flushes of one task."""

    def __init__(self, room: str, partition: int, keys: Keys, rules: TaskRules, parts: dict[bytes, int]) -> None:
        """``parts``: state key -> number of parts its value is written in, of those recovery found in parts."""
        self._room = room
        self._partition = partition
        self._keys = keys
        self._rules = rules
        self._parts = parts

    def steps(self, drained: Drained, side: SideOutputs, meta: Meta, now_ms: int) -> Generator[None, None, Transaction]:
        """Encode one flush in steps of ``encode_messages``. ``now_ms`` is wall time; only dead letters show it."""
        writes: Writes = {}
        stamp = ((VERSION_HEADER, str(version(meta.epoch, meta.flush)).encode()),)
        for noun, key, value, partition in drained.encoded:
            writes.setdefault((BY_NOUN[noun].name, partition), []).append((key, value, stamp))
        for done, message in enumerate(drained.messages, 1):
            self._add_message(writes, message, stamp)
            if done % self._rules.encode_messages == 0:
                yield
        self._add_side_outputs(writes, side, stamp, now_ms)
        state: list[Write] = [(key, value, ()) for key, value in state_records(drained.changes, meta, self._parts)]
        writes[state_topic(self._room), self._partition] = state
        return Transaction(self._room, self._partition, meta.epoch, meta.flush, writes, meta.offsets)

    def _add_message(self, writes: Writes, message: Message, stamp: Headers) -> None:
        """Encode a derived message once and put it on the partition or partitions where it belongs."""
        topic = BY_NOUN[message.noun]
        key = message.key.encode()
        if message.partition is not None:
            targets: Iterable[int] = (message.partition,)
        elif topic.partitioning == "one":
            targets = (0,)
        else:
            targets = range(self._keys.partitions) if topic.broadcast else (self._keys.home(key),)
        write: Write = (key, encode(message.record), stamp)
        for target in targets:
            writes.setdefault((topic.name, target), []).append(write)

    def _add_side_outputs(self, writes: Writes, side: SideOutputs, stamp: Headers, now_ms: int) -> None:
        for dead in side.dead_letters:
            topic = BY_NOUN[dead.noun]
            headers = dead.written_headers(topic.name, self._rules.build, now_ms)
            writes.setdefault((topic.dlq, dead.partition), []).append((dead.key, dead.value, headers))
        for noun, partition, write in side.rekeyed:
            writes.setdefault((BY_NOUN[noun].name, partition), []).append(write)
        marks: list[Tick | Cut] = [*side.ticks, *side.cuts]
        for mark in marks:
            record: Write = (mark.room.encode(), encode(mark), stamp)
            writes.setdefault((BY_NOUN["tick"].name, self._partition), []).append(record)
