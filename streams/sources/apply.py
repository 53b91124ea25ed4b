"""A mapping applied to rows: events that keep the contract, or the row as a dead letter. Nothing is lost.

A row is mapped whole or not at all: if one of its events breaks a rule, the row becomes one dead letter with its exact
bytes, so that it can be put right and played again; ids are stable, so nothing counts twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from schemas import codec
from schemas.codec import HOT
from schemas.errors import MalformedEvent
from schemas.topics import BY_NOUN
from streams.sources.counts import NounCounts, RowCounts, RuleCounts
from streams.sources.fields import broken
from streams.sources.files import InputRow
from streams.sources.files.row import chunks
from streams.sources.mapping import Mapping
from streams.sources.plan import Body, EventPlan, needed, plan_of
from streams.sources.spans import SpanReading

_CHUNK = 256
_ENCODE = msgspec.json.Encoder().encode
MOST_COLUMNS_BYTES = 16 * 1024
"""A header of more than this is left out of dead letters: their topics take so much more than the row itself."""


class Mapped(NamedTuple):
    """One event of a row, with the time at which it arrives."""

    at_ms: int
    noun: str
    key: bytes
    value: bytes


class Rejected(NamedTuple):
    """One row that broke a rule. ``rule``: index of the event in the mapping, -1 for a row that cannot be read.

    ``matched`` lists the events whose ``when`` holds, as far as they were looked at.
    """

    noun: str
    row: InputRow
    error: MalformedEvent
    rule: int = -1
    matched: tuple[int, ...] = ()


def apply_each(
    mapping: Mapping, rows: Iterable[InputRow], span: SpanReading, tally: RowCounts
) -> Iterator[tuple[InputRow, Sequence[Mapped | Rejected]]]:
    """Map rows in file order; every row with what became of it."""
    mapper = _Mapper(mapping, span, tally)
    for chunk in chunks(rows, _CHUNK):
        yield from zip(chunk, mapper.outcomes(chunk), strict=True)


class _Made(NamedTuple):
    """An event on its way: not yet checked against its contract."""

    plan: EventPlan
    body: Body
    mapped: Mapped


Outcome = list[_Made] | Rejected | None
"""Events of a row (none: no rule applies), its rejection, or None if the row lies outside the span."""


class _Mapper:
    """Maps chunks of rows and counts what became of them."""

    def __init__(self, mapping: Mapping, span: SpanReading, tally: RowCounts) -> None:
        """Make the plan, and room for the counts."""
        self._mapping, self._span, self._tally = mapping, span, tally
        self._plans, self._groups = plan_of(mapping)
        tally.rules = tally.rules or [RuleCounts() for _ in self._plans]

    def outcomes(self, rows: list[InputRow]) -> list[Sequence[Mapped | Rejected]]:
        """Per row the events it makes, or its rejection; nothing if no event applies or it lies outside the span."""
        outcomes = [self._row(row) for row in rows]
        records = _check(rows, outcomes)
        self._count(outcomes)
        for noun, found in records.items():
            if noun in HOT:
                self._tally.nouns.setdefault(noun, NounCounts()).add(noun, found, _lags(noun, outcomes))
        return [
            () if one is None else (one,) if isinstance(one, Rejected) else [made.mapped for made in one]
            for one in outcomes
        ]

    def _row(self, row: InputRow) -> Outcome:
        fields = row.fields
        if fields is None:
            return Rejected(self._mapping.events[0].noun, row, row.error or broken("", "row can be read"))
        index, matched, times, made = 0, [], [], []
        try:
            for index, plan in enumerate(self._plans):
                rule = plan.rule
                if rule.when is None or rule.when(fields):
                    matched.append(index)
                    times.append(needed(rule.time(fields), rule, "time"))
            if times and not self._span.takes(row.line, min(times)):
                return None
            parts: list[Body | None] = [None] * self._groups
            for index, at_ms in zip(matched, times, strict=True):
                plan = self._plans[index]
                body, arrives_ms, key = plan.body(self._mapping, at_ms, row, parts)
                mapped = Mapped(arrives_ms, plan.rule.noun, key.encode(), _ENCODE(body))
                made.append(_Made(plan, body, mapped))
        except MalformedEvent as error:
            return Rejected(self._plans[index].rule.noun, row, error.with_traceback(None), index, tuple(matched))
        return made

    def _count(self, outcomes: Iterable[Outcome]) -> None:
        tally, rules = self._tally, self._tally.rules
        for outcome in outcomes:
            tally.rows += 1
            if outcome is None:
                tally.outside += 1
            elif isinstance(outcome, Rejected):
                tally.rejected += 1
                rejects = rules[outcome.rule].rejects if outcome.rule >= 0 else tally.unreadable
                rejects.add(outcome.row.location, outcome.error)
                for index in outcome.matched:
                    rules[index].matched += 1
            elif not outcome:
                tally.unmatched += 1
            else:
                for plan, body, mapped in outcome:
                    tally.events[mapped.noun] = tally.events.get(mapped.noun, 0) + 1
                    rules[plan.index].add(body, plan.names, plan.complete)


def _check(rows: list[InputRow], outcomes: list[Outcome]) -> dict[str, list[Any]]:
    """Check every event against its contract, a whole chunk at once; replace the outcome of rows that break it.

    Returns the events of the rows that are left, per topic.
    """
    owners: dict[str, list[tuple[int, int]]] = {}
    values: dict[str, list[bytes]] = {}
    for number, outcome in enumerate(outcomes):
        for plan, _, mapped in outcome if isinstance(outcome, list) else ():
            owners.setdefault(mapped.noun, []).append((number, plan.index))
            values.setdefault(mapped.noun, []).append(mapped.value)
    decoded = {noun: codec.decode(noun, found) for noun, found in values.items()}
    wrong = [(noun, *owners[noun][reject.index], reject.error) for noun in decoded for reject in decoded[noun].rejects]
    if not wrong:
        return {noun: found.records for noun, found in decoded.items()}
    for noun, number, index, error in wrong:
        outcome = outcomes[number]
        if isinstance(outcome, list):
            matched = tuple(made.plan.index for made in outcome)
            outcomes[number] = Rejected(noun, rows[number], error, index, matched)
    return {
        noun: [record for record, index in zip(found.records, found.index, strict=True)
               if isinstance(outcomes[owners[noun][index][0]], list)]
        for noun, found in decoded.items()
    }  # fmt: skip


def _lags(noun: str, outcomes: Iterable[Outcome]) -> list[int]:
    """How much later than they happened events arrive, ms, where the mapping says when they arrive."""
    return [
        made.mapped.at_ms - made.body[made.plan.rule.time_field]
        for outcome in outcomes
        if isinstance(outcome, list)
        for made in outcome
        if made.mapped.noun == noun and made.plan.rule.arrival is not None
    ]


def dead_letter_headers(
    rejected: Rejected, mapping: Mapping, file: str, build: str, columns: Sequence[str] = ()
) -> tuple[tuple[str, bytes], ...]:
    """``dlq.*`` headers: why, which rule, where the row stood, and the names of its columns; never a value of it."""
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
    headers = tuple((f"dlq.{name}", text[:512].encode()) for name, text in texts.items())
    named = _ENCODE(list(columns)) if columns else b""
    return (*headers, ("dlq.columns", named)) if 0 < len(named) <= MOST_COLUMNS_BYTES else headers
