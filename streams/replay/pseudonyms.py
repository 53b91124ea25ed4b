"""Take everything out of records that could say who somebody is, so that a recording can be handed on.

    customers, events, orders, contacts, matters,      pseudonyms: equal before, equal after
    sessions, changes, addresses, orders of operators
    texts, titles, and who ordered something why       left out
    dimensions (release, carrier, own attributes, ..)  as they are; a value that fewer than five customers have becomes
                                                       a pseudonym, because it may name one of them
    times, amounts, states, consents                   as they are
    what breaks its contract                           an empty object, which breaks it too

Only fields that the contract knows come through. A customer's pseudonym is drawn until it falls on the customer's
partition, so a replay of the recording finds the same issues, up to names.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from schemas.codec import decode, encode
from schemas.drills import SOURCE, is_drill
from schemas.errors import ConfigError
from schemas.events import HEARTBEAT_KEY, Command
from schemas.partition import partition_of
from schemas.topics import BY_NOUN
from streams.core.join.rules import JoinRules
from streams.replay.cuts import TICKS
from streams.replay.recording import RecordingWriter
from streams.replay.source import RecordingSource, Source
from streams.runtime.astray import REKEYED_HEADER
from streams.runtime.batch import RawBatch

KINDS: Mapping[str, str] = {
    "customer_id": "customer", "event_id": "event", "order_id": "matter", "contact_id": "matter",
    "subject_ids": "matter", "session_id": "session", "change_id": "change", "command_id": "command",
    "token": "address",
}  # fmt: skip
"""Field -> what its pseudonym stands for: orders and contacts are matters, which contacts name by their ids."""
EMPTIED = frozenset({"text", "title", "actor", "signature"})
KEPT = frozenset({"currency", "language", "time_zone", "issue_id"})
"""Texts that name nobody and have to stay what they are."""
RARE = 5
"""A value of a dimension that fewer customers have may name one of them."""
BROKEN = b"{}"
"""Stands for what breaks its contract."""


@dataclass
class Pseudonyms:
    """Pseudonyms by one key. Without the key nobody can say whose they are; nothing keeps it."""

    key: bytes = field(repr=False)
    partitions: int
    customers: dict[str, str] = field(default_factory=dict, repr=False)
    common: dict[tuple[str, str], set[int]] = field(default_factory=dict, repr=False)
    """(Dimension, value) -> who has it, by number; no more than ``RARE`` of them."""

    def look(self, noun: str, batch: RawBatch) -> None:
        """Note which values of dimensions a batch has. Every batch has to be looked at before the first is changed."""
        decoded = decode(noun, batch.values, batch.keys, batch.headers)
        for record in decoded.records:
            who = hash(getattr(record, "customer_id", ""))
            for name, value in _dimensions(_plain(record), _words(type(record).__name__)):
                known = self.common.setdefault((name, value), set())
                if len(known) < RARE:
                    known.add(who)

    def change(self, noun: str, batch: RawBatch) -> RawBatch:
        """The batch as it may be handed on, at the same offsets and append times."""
        decoded = decode(noun, batch.values, batch.keys, batch.headers)
        values = [None if value is None else BROKEN for value in batch.values]
        for index, record in zip(decoded.index, decoded.records, strict=True):
            values[index] = msgspec.json.encode(self._record(record))
        headers = [[one for one in found if one[0] == REKEYED_HEADER] for found in batch.headers]
        return replace(batch, keys=[self._key(noun, key) for key in batch.keys], values=values, headers=headers)

    def name(self, kind: str, value: str) -> str:
        """The pseudonym of a value; of a customer one that falls on the customer's partition."""
        if kind == "customer" and is_drill(value):
            return value  # nobody
        if kind != "customer":
            return self._draw(kind, value, 0)
        if value not in self.customers:
            home = partition_of(value.encode(), self.partitions)
            drawn = (self._draw(kind, value, number) for number in count())
            self.customers[value] = next(one for one in drawn if partition_of(one.encode(), self.partitions) == home)
        return self.customers[value]

    def _draw(self, kind: str, value: str, number: int) -> str:
        digest = hmac.new(self.key, f"{kind}\0{number}\0{value}".encode(errors="surrogatepass"), "sha256").hexdigest()
        return f"{kind[0]}-{digest[:20]}"

    def _key(self, noun: str, key: bytes | None) -> bytes | None:
        if key is None or key == HEARTBEAT_KEY:
            return key
        kind = KINDS.get(BY_NOUN[noun].key, "key")
        return self.name(kind, key.decode(errors="backslashreplace")).encode()

    def _record(self, record: Any) -> dict[str, Any]:
        plain, words = _plain(record), _words(type(record).__name__)
        emptied = EMPTIED | {"reason"} if isinstance(record, Command) else EMPTIED
        return {name: "" if name in emptied else self._value(name, value, words) for name, value in plain.items()}

    def _value(self, name: str, value: Any, words: frozenset[str]) -> Any:
        if isinstance(value, str) and value:
            if name in KINDS:
                return self.name(KINDS[name], value)
            return self._dimension(name, value) if name in words else value
        if name == "attributes":
            return {own: self._dimension(own, found) for own, found in value.items()}
        if name == "subject_ids":
            return [self.name(KINDS[name], one) for one in value]
        if name == "addresses":
            return [{**one, "token": self.name(KINDS["token"], one["token"])} for one in value]
        return value

    def _dimension(self, name: str, value: str) -> str:
        common = len(self.common.get((name, value), ())) >= RARE
        if common or not value or (name, value) in _known_words() or value.startswith(SOURCE):
            return value
        return self._draw("value", f"{name}\0{value}", 0)


def record(source: Source, folder: Path, key: bytes, nouns: Collection[str]) -> dict[str, int]:
    """Write a recording that may be handed on; noun -> records. Raises ConfigError if ``folder`` is not empty.

    The source is read twice: first to see which values are rare.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty: name another folder")
    names, counts = Pseudonyms(key, source.partitions), dict.fromkeys(sorted(nouns), 0)
    logs = [(noun, number) for noun in counts if noun in source.nouns() for number in _numbers(source, noun)]
    for noun, number in logs:
        for batch in source.batches(noun, number) if noun != TICKS else ():
            names.look(noun, batch)
    appended = source.appended if isinstance(source, RecordingSource) else True
    with RecordingWriter(folder, source.partitions, {"complete": source.complete}, appended) as writer:
        writer.contents.pseudonymised = True
        for noun, number in logs:
            for batch in source.batches(noun, number):
                writer.log(noun, number).add(batch if noun == TICKS else names.change(noun, batch))
                counts[noun] += len(batch)
    return counts


def _numbers(source: Source, noun: str) -> range:
    return range(source.partitions if BY_NOUN[noun].partitioning == "customer" else 1)


def _plain(record: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(encode(record))
    return found


@cache
def _known_words() -> frozenset[tuple[str, str]]:
    """Dimension and value of everything that the rules of join go by: words of ours, however few have them."""
    rules = JoinRules()
    reasons = {("reason", value) for value in (*rules.contact.any_signal, *rules.contact.by_reason)}
    tests = [test for rule in rules.signals for test in (rule.exposed, rule.failed)]
    return frozenset(reasons | {(test.name, value) for test in tests for value in test.values})


@cache
def _words(record: str) -> frozenset[str]:
    """Fields of a record that are words of the company's own choice: no ids, and none of a fixed list."""
    models = [model for topic in BY_NOUN.values() for model in topic.records if model.__name__ == record]
    hints = {name: str(info.annotation) for model in models for name, info in model.model_fields.items()}
    texts = {name for name, hint in hints.items() if "str" in hint and "Literal" not in hint}
    return frozenset(texts - KINDS.keys() - EMPTIED - KEPT - {"attributes", "addresses"})


def _dimensions(plain: Mapping[str, Any], words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Name and value of every dimension that a record has."""
    for name in words:
        value = plain.get(name)
        if isinstance(value, str) and value:
            yield name, value
    for name, value in (plain.get("attributes") or {}).items():
        yield name, value
