"""Dead letters as they lie on their topics: what was rejected, why, where it came from, and whether it was fed back.

A letter is named by where it lies: ``order-0-17`` is offset 17 in partition 0 of the dead-letter topic of orders. It is
either a message of a company's topic that a room rejected, or a row of a file or followed topic that a mapping
rejected; then ``dlq.mapping`` and ``dlq.origin`` say which and where. That a letter was fed back is a record on the
same topic, empty and with the header ``dlq.replayed``: it is written in one transaction with the mended message, and
lives longer than the letter. One message that several rooms rejected is one letter.
"""

from __future__ import annotations

import heapq
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.errors import CxError, SinkUnavailable
from schemas.topics import BY_NOUN, FROM_COMPANIES, REPLAYED_HEADER
from streams.runtime.deadletter import SOURCE_FIELD, source_of
from streams.security.brokers import connection
from streams.settings import Settings
from streams.topics import need_topics, partition_counts

_ID = re.compile(r"([a-z_]+)-(\d+)-(\d+)")


class UnknownLetter(CxError):
    """No dead letter lies where an id says."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. ``at_ms``: when the broker stored it, ms UTC."""

    noun: str
    partition: int
    offset: int
    at_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def id(self) -> str:
        """Where it lies."""
        return f"{self.noun}-{self.partition}-{self.offset}"

    def header(self, name: str) -> str:
        """A ``dlq.`` header as text, empty if it is not there."""
        found = [value for header, value in self.headers if header == f"dlq.{name}"]
        return (found[-1] or b"").decode("utf-8", "replace") if found else ""

    @property
    def columns(self) -> list[str]:
        """Names of the columns of the CSV file that the row stood in; none otherwise."""
        try:
            return [str(name) for name in json.loads(self.header("columns") or "[]")]
        except ValueError:
            return []

    @property
    def emitter(self) -> str:
        """Who sent it: a mapping, or the source that the message names; never a key, which may be a customer."""
        if self.header("mapping"):
            return f"mapping {self.header('mapping')}"
        return source_of(self.headers, self.value).decode("utf-8", "replace")[:128] or "unnamed"

    @property
    def where(self) -> str:
        """File and line of the row, or partition and offset of the message."""
        return self.header("origin") or f"partition {self.header('partition')}, offset {self.header('offset')}"

    @property
    def why(self) -> str:
        """What is wrong, without any value."""
        seen = f" (got {self.header('value_class')})" if self.header("value_class") else ""
        return f"{self.header('field') or self.header('reason')}: {self.header('rule')}{seen}"

    @property
    def again(self) -> tuple[str, ...]:
        """Equal for the dead letters that several rooms wrote about one message."""
        origin = (self.header("partition"), self.header("offset"))
        return (self.noun, *origin) if all(origin) else (self.id,)


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters are meant; empty: every one. Texts may be parts of what is compared."""

    topic: str = ""
    rule: str = ""
    file: str = ""
    emitter: str = ""
    ids: frozenset[str] = frozenset()

    @property
    def any(self) -> bool:
        """True if it names something."""
        return bool(self.topic or self.rule or self.file or self.emitter or self.ids)

    def takes(self, letter: Letter) -> bool:
        """True if the letter is meant."""
        return (
            self.file in letter.header("origin")
            and self.rule in f"{letter.header('reason')} {letter.why}"
            and self.emitter in letter.emitter
            and (not self.ids or letter.id in self.ids)
        )


@dataclass(slots=True)
class DeadLettersFound:
    """What was read: the newest dead letters first, at most as many as asked for; counts are of all."""

    dead_letters: list[Letter] = field(default_factory=list)
    replayed: set[str] = field(default_factory=set)
    groups: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(topic, emitter, what is wrong) -> dead letters."""

    @property
    def open(self) -> list[Letter]:
        """Those that were not fed back."""
        return [letter for letter in self.dead_letters if letter.id not in self.replayed]


async def read_dead_letters(
    settings: Settings, bootstrap: str, wanted: LetterFilter, most: int, with_values: bool = True
) -> DeadLettersFound:
    """Read the dead-letter topics of what companies write. Raises ConfigError if there are none, SinkUnavailable."""
    nouns = [noun for noun in FROM_COMPANIES if wanted.topic in ("", noun)]
    need_topics(bootstrap, settings, nouns)
    names = {settings.named(BY_NOUN[noun].dlq): noun for noun in nouns}
    counts = partition_counts(bootstrap, names)
    tps = {TopicPartition(name, number): names[name] for name, count in counts.items() for number in range(count)}
    reading = _Reading(wanted, most, with_values)
    consumer = AIOKafkaConsumer(
        **connection(bootstrap), isolation_level="read_committed", enable_auto_commit=False,
        auto_offset_reset="earliest",
    )  # fmt: skip
    try:
        await consumer.start()
        consumer.assign(list(tps))
        await consumer.seek_to_beginning(*tps)
        ends = await consumer.end_offsets(list(tps))
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for tp, rows in (await consumer.getmany(timeout_ms=200)).items():
                reading.add(tps[tp], tp.partition, rows)
    except KafkaError as error:
        raise SinkUnavailable(f"Kafka ({type(error).__name__})") from error
    finally:
        await consumer.stop()
    return reading.found()


class _Reading:
    """Keeps the newest of what is met, and what was fed back."""

    def __init__(self, wanted: LetterFilter, most: int, with_values: bool) -> None:
        self._wanted, self._most, self._with_values = wanted, most, with_values
        self._newest: list[tuple[int, str, Letter]] = []
        self._met: set[tuple[str, ...]] = set()
        self._result = DeadLettersFound()

    def add(self, noun: str, partition: int, rows: Iterable[Any]) -> None:
        """Take what was read of one partition."""
        for row in rows:
            mark = next((value for name, value in row.headers if name == REPLAYED_HEADER), None)
            if mark is not None:
                self._result.replayed.add(mark.decode("ascii", "replace"))
                continue
            letter = Letter(noun, partition, row.offset, row.timestamp, row.key, row.value, tuple(row.headers))
            if not self._wanted.takes(letter) or letter.again in self._met:
                continue
            if letter.again != (letter.id,):
                self._met.add(letter.again)
            self._result.groups[noun, letter.emitter, letter.why] += 1
            kept = letter if self._with_values else replace(letter, value=_source_only(letter))
            heapq.heappush(self._newest, (letter.at_ms, letter.id, kept))
            if len(self._newest) > self._most:
                heapq.heappop(self._newest)

    def found(self) -> DeadLettersFound:
        """The newest first."""
        self._result.dead_letters = [letter for _, _, letter in sorted(self._newest, reverse=True)]
        return self._result


def _source_only(letter: Letter) -> bytes | None:
    """As much of the value as tells who sent it."""
    found = SOURCE_FIELD.search(letter.value or b"")
    return found[0] if found else None


def letter_topic(letter_id: str) -> str:
    """The noun in the id of a letter. Raises UnknownLetter if it is no id."""
    found = _ID.fullmatch(letter_id)
    if found is None or found[1] not in FROM_COMPANIES:
        raise UnknownLetter(f"{letter_id!r} is no id of a dead letter, as in order-0-17; `cxwatch letters` lists them")
    return found[1]
