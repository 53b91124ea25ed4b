"""Dead letters fed back: mended by hand or by a better mapping, checked, and written in one transaction with a mark.

Nothing counts twice. A letter that was fed back is marked as such in the same transaction as its messages and passed
over from then on; should it be fed back all the same, its events have the ids that they had, which the join knows as
duplicates. What still breaks a rule is not written, and stays a letter.
"""

from __future__ import annotations

import csv
import io
import json
import uuid
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from schemas import codec
from schemas.errors import ConfigError, MalformedEvent
from schemas.events import HEARTBEAT_KEY
from schemas.partition import partition_of
from schemas.topics import BY_NOUN, FROM_COMPANIES, REPLAYED_HEADER
from streams.runtime.transaction import Transaction, Write
from streams.runtime.writer import TransactionWriter
from streams.settings import Settings
from streams.sources import RowCounts, Span
from streams.sources.apply import Mapped, apply_each
from streams.sources.arrivals import Arrival, with_origin
from streams.sources.dead_letters import Letter
from streams.sources.files import InputRow, parse_json
from streams.sources.files.delimited import csv_rows
from streams.sources.mapping import Mapping as RowMapping
from streams.sources.spans import SpanReading
from streams.topics import partition_counts

AT_ONCE = 500
"""Dead letters of one transaction."""
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(slots=True)
class FedBack:
    """What became of dead letters."""

    dead_letters: int = 0
    """Fed back now."""
    messages: int = 0
    """Written for them."""
    refused: list[tuple[str, str]] = field(default_factory=list)
    """(letter, what is still wrong with it)."""


@dataclass(frozen=True, slots=True)
class Mender:
    """How dead letters become messages. ``mappings``: name -> the mapping, mended meanwhile; raises ConfigError."""

    mappings: Callable[[str], RowMapping]
    live: bool
    """Events of rows count as live; else as a replay, of which nobody is told."""
    max_event_bytes: int
    """Larger messages would be rejected again."""

    def messages(self, letter: Letter, value: bytes | None) -> list[Arrival]:
        """What ``value`` in the place of the letter's own bytes makes. Raises MalformedEvent if a rule is broken."""
        if letter.header("mapping"):
            found = list(self._mapped(letter, value or b""))
            return found if self.live else list(with_origin(found, "replay"))
        headers = tuple(pair for pair in letter.headers if not pair[0].startswith("dlq.") or pair[0] == _FIRST_FAILED)
        decoded = codec.decode(letter.noun, [value], [letter.key], [headers], self.max_event_bytes)
        if decoded.rejects:
            raise decoded.rejects[0].error
        kept = tuple((name, given or b"") for name, given in headers)
        if not decoded.records or letter.key == HEARTBEAT_KEY:
            return [Arrival(0, letter.noun, letter.key, int(letter.header("partition") or 0), value or b"", kept)]
        key = str(getattr(decoded.records[0], BY_NOUN[letter.noun].key)).encode()
        return [Arrival(0, letter.noun, key, None, value or b"", kept)]

    def _mapped(self, letter: Letter, value: bytes) -> Iterator[Arrival]:
        mapping = self.mappings(letter.header("mapping"))
        if mapping.identity is not None or mapping.joins:
            rule = "one row says all (play the file again: its ids are stable, nothing counts twice)"
            raise MalformedEvent("", rule, "", "mapping")
        for _, outcomes in apply_each(mapping, _rows(mapping, letter, value), SpanReading(Span()), RowCounts()):
            for outcome in outcomes:
                if not isinstance(outcome, Mapped):
                    raise outcome.error
                yield Arrival(outcome.at_ms, outcome.noun, outcome.key, None, outcome.value)


_FIRST_FAILED = "dlq.first_failed_at_ms"


def _rows(mapping: RowMapping, letter: Letter, value: bytes) -> Iterable[InputRow]:
    """The row of a letter as the mapping's reader would give it: of the same bytes, so that ids stay what they were."""
    if mapping.shape.format != "csv":
        return parse_json(0, value, replace(mapping.shape, items=()))
    columns = letter.columns
    if not columns:
        raise MalformedEvent("", "the letter says which columns its row has (play the file again)", "", "row")
    encoding = mapping.shape.encoding if value.isascii() or not _is_utf8(value) else "utf-8"
    encoding = "utf-8" if encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32")) else encoding
    delimiter = mapping.shape.delimiter or _delimiter(value.decode(encoding, "replace"), len(columns))
    header = io.StringIO()
    csv.writer(header, delimiter=delimiter, lineterminator="\n").writerow(columns)
    text = io.BytesIO(header.getvalue().encode(encoding) + value + b"\n")
    shape = replace(mapping.shape, encoding=encoding, delimiter=delimiter)
    return csv_rows(text.read, shape, letter.where, lambda _: None)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _delimiter(text: str, width: int) -> str:
    """The delimiter with which a row has as many cells as its file has columns."""
    return next((one for one in _DELIMITERS if len(next(csv.reader([text], delimiter=one), [])) == width), ",")


async def feed_back(
    settings: Settings, bootstrap: str, given: Iterable[tuple[Letter, bytes | None]], mender: Mender
) -> FedBack:
    """Write what the dead letters make now, each with its mark. Raises SinkUnavailable, KafkaFailed, ConfigError."""
    counts = partition_counts(bootstrap, [settings.named(BY_NOUN[noun].name) for noun in FROM_COMPANIES])
    result, pending = FedBack(), list(given)
    writer = TransactionWriter(bootstrap, settings.topic_prefix, f"replay.{uuid.uuid4().hex}", 0)
    await writer.open()
    try:
        for number in range(0, len(pending), AT_ONCE):
            writes, fed, messages = _writes(settings, counts, pending[number : number + AT_ONCE], mender, result)
            if fed:
                await writer.write(Transaction("replay", 0, 1, number + 1, writes, {}))
            result.dead_letters += fed
            result.messages += messages
    finally:
        await writer.close()
    return result


def _writes(
    settings: Settings, counts: Mapping[str, int], given: Iterable[tuple[Letter, bytes | None]], mender: Mender,
    result: FedBack,
) -> tuple[dict[tuple[str, int], list[Write]], int, int]:  # fmt: skip
    """The records of one transaction, of how many dead letters they are, and how many are messages."""
    writes: dict[tuple[str, int], list[Write]] = {}
    fed = messages = 0
    for letter, value in given:
        try:
            made = mender.messages(letter, value)
        except MalformedEvent as error:
            result.refused.append((letter.id, str(error)))
            continue
        for one in made:
            topic = BY_NOUN[one.noun]
            count = counts.get(settings.named(topic.name), 1)
            by_key = partition_of(one.key or b"", count) if topic.partitioning == "customer" else 0
            number = by_key if one.partition is None else one.partition
            writes.setdefault((topic.name, number), []).append((one.key, one.value, one.headers))
        mark: Write = (None, b"", ((REPLAYED_HEADER, letter.id.encode()),))
        writes.setdefault((BY_NOUN[letter.noun].dlq, letter.partition), []).append(mark)
        fed, messages = fed + 1, messages + len(made)
    return writes, fed, messages


def exported(letter: Letter) -> bytes:
    """One line of JSON to be edited: ``text`` (or ``base64``, if the bytes are no text) is what is fed back."""
    body: dict[str, Any] = {"letter": letter.id, "from": letter.emitter, "where": letter.where, "wrong": letter.why}
    if letter.columns:
        body["columns"] = letter.columns
    value = letter.value
    if value is None or _is_utf8(value):
        body["text"] = None if value is None else value.decode("utf-8")
    else:
        body["base64"] = b64encode(value).decode("ascii")
    return json.dumps(body, ensure_ascii=False).encode()


class _Line(msgspec.Struct):
    letter: str
    text: str | None = None
    base64: str | None = None


def edited(file: Path) -> dict[str, bytes | None]:
    """Letter -> its bytes as a file of :func:`exported` lines has them now. Raises ConfigError naming the line."""
    found: dict[str, bytes | None] = {}
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            one = msgspec.json.decode(line, type=_Line)
            given = b64decode(one.base64, validate=True) if one.base64 is not None else (one.text or "").encode()
        except (msgspec.DecodeError, ValueError):
            raise ConfigError(f"{file}: line {number} is no line of `cxwatch letters export`") from None
        found[one.letter] = None if one.text is None and one.base64 is None else given
    return found
