"""A mapping applied to rows: events that keep the contract, or the row as a dead letter. Nothing is lost.

A row is mapped whole or not at all: if one of its events breaks a rule, the row becomes one dead letter with its exact
bytes, so that it can be put right and played again; ids are stable, so nothing counts twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import msgspec
import xxhash

from schemas import codec
from schemas.codec import HOT
from schemas.errors import MalformedEvent
from schemas.topics import BY_NOUN
from streams.sources.fields import broken
from streams.sources.files import InputRow
from streams.sources.mapping import EventRule, Mapping

_CHUNK = 256
_ENCODE = msgspec.json.Encoder().encode
MAX_TIME_MS = 1 << 62


class Mapped(NamedTuple):
    """One event of a row, with the time at which it arrives."""

    at_ms: int
    noun: str
    key: bytes
    value: bytes


class Rejected(NamedTuple):
    """One row that broke a rule."""

    noun: str
    row: InputRow
    error: MalformedEvent


@dataclass(slots=True)
class RowCounts:
    """What became of the rows of a file."""

    rows: int = 0
    events: dict[str, int] = field(default_factory=dict)
    rejected: int = 0
    unmatched: int = 0
    """Rows for which no event's ``when`` holds: left out on purpose."""
    outside: int = 0
    """Rows outside the asked span."""


class Span(NamedTuple):
    """Rows whose earliest event lies in [start, end), ms UTC."""

    start_ms: int = 0
    end_ms: int = MAX_TIME_MS


def apply(mapping: Mapping, rows: Iterable[InputRow], span: Span, tally: RowCounts) -> Iterator[Mapped | Rejected]:
    """Map rows in file order."""
    for _, outcomes in apply_each(mapping, rows, span, tally):
        yield from outcomes


def apply_each(
    mapping: Mapping, rows: Iterable[InputRow], span: Span, tally: RowCounts
) -> Iterator[tuple[InputRow, list[Mapped | Rejected]]]:
    """Map rows in file order; every row with what became of it."""
    source = iter(rows)
    while chunk := list(islice(source, _CHUNK)):
        tally.rows += len(chunk)
        mapped = [_row(mapping, row, span) for row in chunk]
        _check(chunk, mapped)
        for row, outcome in zip(chunk, mapped, strict=True):
            yield row, list(_settle(outcome, tally))


Outcome = list[Mapped] | Rejected | None
"""Events of a row (none: no rule applies), its rejection, or None if the row lies outside the span."""


def _row(mapping: Mapping, row: InputRow, span: Span) -> Outcome:
    if row.fields is None:
        return Rejected(mapping.events[0].noun, row, row.error or broken("", "row can be read"))
    rule = mapping.events[0]
    due: list[tuple[int, int]] = []
    try:
        for index, rule in enumerate(mapping.events):
            if rule.when is None or rule.when(row.fields):
                due.append((index, _needed(rule.time(row.fields), f"{rule.path}.time")))
        if due and not span.start_ms <= min(at_ms for _, at_ms in due) < span.end_ms:
            return None
        made: list[Mapped] = []
        for index, at_ms in due:
            rule = mapping.events[index]
            made.append(_event(mapping, index, at_ms, row))
    except MalformedEvent as error:
        return Rejected(rule.noun, row, error)
    return made


def _event(mapping: Mapping, index: int, at_ms: int, row: InputRow) -> Mapped:
    rule, fields = mapping.events[index], row.fields or {}
    arrival = rule.arrival(fields) if rule.arrival is not None else None
    body: dict[str, Any] = {}
    if rule.id_field:
        body[rule.id_field] = _event_id(mapping, rule, index, row)
    body[rule.time_field] = at_ms
    if arrival is not None and rule.noun in HOT:
        body["arrived_at_ms"] = arrival
    key = body.get("change_id", "")
    if rule.customer is not None and rule.noun != "change":
        key = body["customer_id"] = _needed(rule.customer(fields), f"{rule.path}.customer")
    for name, value in rule.fields:
        if (found := value(fields)) is not None:
            body[name] = found
    return Mapped(at_ms if arrival is None else arrival, rule.noun, str(key).encode(), _ENCODE(body))


def _event_id(mapping: Mapping, rule: EventRule, index: int, row: InputRow) -> str:
    """The mapping's own id, or a hash of the row's bytes: the same row played twice is the same event."""
    if rule.event_id is not None:
        return str(_needed(rule.event_id(row.fields or {}), f"{rule.path}.id"))
    return f"{mapping.name}-{index}-{xxhash.xxh3_128_hexdigest(row.raw)}"


def _needed(value: Any, path: str) -> Any:
    if value is None:
        raise broken(path, "value is there")
    return value


def _check(rows: list[InputRow], outcomes: list[Outcome]) -> None:
    """Check every event against its contract, a whole chunk at once; replace the outcome of rows that break it."""
    row_indexes: dict[str, list[int]] = {}
    values: dict[str, list[bytes]] = {}
    for index, outcome in enumerate(outcomes):
        for event in outcome if isinstance(outcome, list) else ():
            row_indexes.setdefault(event.noun, []).append(index)
            values.setdefault(event.noun, []).append(event.value)
    for noun, found in values.items():
        for reject in codec.decode(noun, found).rejects:
            index = row_indexes[noun][reject.index]
            outcomes[index] = Rejected(noun, rows[index], reject.error)


def _settle(outcome: Outcome, tally: RowCounts) -> Iterator[Mapped | Rejected]:
    if outcome is None:
        tally.outside += 1
        return
    if isinstance(outcome, Rejected):
        tally.rejected += 1
        yield outcome
        return
    if not outcome:
        tally.unmatched += 1
        return
    for event in outcome:
        tally.events[event.noun] = tally.events.get(event.noun, 0) + 1
        yield event


def dead_letter_headers(rejected: Rejected, mapping: Mapping, file: str, build: str) -> tuple[tuple[str, bytes], ...]:
    """``dlq.*`` headers: why, which rule, and where the row stood; never a value of the row."""
    error = rejected.error
    texts = {
        "topic": BY_NOUN[rejected.noun].name,
        "reason": error.reason,
        "field": error.field,
        "rule": error.rule,
        "value_class": error.value_class,
        "origin": f"{file}:{rejected.row.location}",
        "mapping": mapping.name,
        "version": build,
    }
    return tuple((f"dlq.{name}", text[:512].encode()) for name, text in texts.items())
