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

_CHUNK = 64
"""Rows at a stretch: what is made of them fits the CPU cache."""
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
        yield from zip(chunk, map(_settled, mapper.outcomes(chunk)), strict=True)


def count_only(mapping: Mapping, rows: Iterable[InputRow], span: SpanReading, tally: RowCounts) -> None:
    """Map rows and keep nothing but the counts."""
    mapper = _Mapper(mapping, span, tally)
    for chunk in chunks(rows, _CHUNK):
        mapper.outcomes(chunk)


_Made = tuple[EventPlan, Body, int, str, bytes]
"""An event on its way: its plan, its fields, when it arrives, key, value."""
Outcome = list[_Made] | Rejected | None
"""Events of a row (none: no rule applies), its rejection, or None if the row lies outside the span."""


class _Mapper:
    """Maps chunks of rows and counts what became of them."""

    def __init__(self, mapping: Mapping, span: SpanReading, tally: RowCounts) -> None:
        """Make the plan, and room for the counts."""
        self._mapping, self._span, self._tally = mapping, span, tally
        self._plans, self._groups = plan_of(mapping)
        self._has_lists = any(plan.each is not None for plan in self._plans)
        tally.rules = tally.rules or [RuleCounts() for _ in self._plans]

    def outcomes(self, rows: list[InputRow]) -> list[Outcome]:
        """What becomes of each row, by the mapping and by the contract."""
        outcomes = [self._row(row) for row in rows]
        records = _check(rows, outcomes)
        self._count(outcomes)
        for noun, found in records.items():
            if noun in HOT:
                self._tally.nouns.setdefault(noun, NounCounts()).add(noun, found, _lags(noun, outcomes))
        return outcomes

    def _row(self, row: InputRow) -> Outcome:
        fields = row.fields
        if fields is None:
            return Rejected(self._mapping.events[0].noun, row, row.error or broken("", "row can be read"))
        plan = self._plans[0]
        matched: list[EventPlan] = []
        times: list[int] = []
        try:
            members: list[InputRow] = []
            for plan in self._plans:
                if plan.each is not None:
                    members.extend(_members(plan, row, matched, times))
                elif plan.when is None or plan.when(fields):
                    matched.append(plan)
                    at_ms = plan.time(fields)
                    times.append(at_ms if at_ms is not None else needed(at_ms, plan.rule, "time"))
                    members.append(row)
            if times and not self._span.takes(row.line, min(times)):
                return None
            made: list[_Made] = []
            parts: list[Body | None] = [None] * self._groups
            for plan, at_ms, one in zip(matched, times, members, strict=True):
                own: list[Body | None] = parts if one is row else [None] * self._groups
                body, arrives_ms, key = plan.body(self._mapping, at_ms, one, own)
                made.append((plan, body, arrives_ms, key, _ENCODE(body)))
            if self._has_lists and len(made) > 1:
                _refuse_one_id_of_several(made)
        except MalformedEvent as error:
            matches = tuple(one.index for one in matched)
            return Rejected(plan.noun, row, error.with_traceback(None), plan.index, matches)
        return made

    def _count(self, outcomes: Iterable[Outcome]) -> None:
        tally, rules, events = self._tally, self._tally.rules, self._tally.events
        for outcome in outcomes:
            tally.rows += 1
            if outcome is None:
                tally.outside += 1
            elif isinstance(outcome, Rejected):
                tally.rejected += 1
                rejects = rules[outcome.rule].rejects if outcome.rule >= 0 else tally.unreadable
                rejects.add(outcome.row.location, outcome.error)
                for index in outcome.matched:
                    rules[index].matched_rejected += 1
            elif not outcome:
                tally.unmatched += 1
            else:
                for plan, body, _, _, _ in outcome:
                    events[plan.noun] += 1
                    counts = rules[plan.index]
                    counts.events += 1
                    if len(body) != plan.complete:
                        counts.note_absent(body, plan.names)


def _settled(outcome: Outcome) -> Sequence[Mapped | Rejected]:
    if isinstance(outcome, Rejected):
        return (outcome,)
    return [Mapped(at_ms, plan.noun, key.encode(), value) for plan, _, at_ms, key, value in outcome or ()]


def _members(plan: EventPlan, row: InputRow, matched: list[EventPlan], times: list[int]) -> Iterator[InputRow]:
    """The row once for each member of a list of which the event is made."""
    for one in plan.each.rows(row) if plan.each is not None else ():
        fields = one.fields or {}
        if plan.when is None or plan.when(fields):
            matched.append(plan)
            times.append(needed(plan.time(fields), plan.rule, "time"))
            yield one


def _refuse_one_id_of_several(made: list[_Made]) -> None:
    """Raise MalformedEvent if members of a list make different events of one id: only one of them would count."""
    known: dict[tuple[str, str], bytes] = {}
    for plan, body, _, _, value in made:
        identity = plan.noun, body.get(plan.id_field, "")
        if plan.each is not None and known.setdefault(identity, value) != value:
            raise broken(f"{plan.rule.path}.id", "differs from member to member")


def _check(rows: list[InputRow], outcomes: list[Outcome]) -> dict[str, list[Any]]:
    """Check every event against its contract, a whole chunk at once; replace the outcome of rows that break it.

    Returns the events of the rows that are left, per topic.
    """
    owners: dict[str, list[tuple[int, int]]] = {}
    values: dict[str, list[bytes]] = {}
    for number, outcome in enumerate(outcomes):
        for plan, _, _, _, value in outcome if isinstance(outcome, list) else ():
            owners.setdefault(plan.noun, []).append((number, plan.index))
            values.setdefault(plan.noun, []).append(value)
    decoded = {noun: codec.decode(noun, found) for noun, found in values.items()}
    wrong = [(noun, *owners[noun][reject.index], reject.error) for noun in decoded for reject in decoded[noun].rejects]
    if not wrong:
        return {noun: found.records for noun, found in decoded.items()}
    for noun, number, index, error in wrong:
        outcome = outcomes[number]
        if isinstance(outcome, list):
            outcomes[number] = Rejected(noun, rows[number], error, index, tuple(made[0].index for made in outcome))
    return {
        noun: [record for record, index in zip(found.records, found.index, strict=True)
               if isinstance(outcomes[owners[noun][index][0]], list)]
        for noun, found in decoded.items()
    }  # fmt: skip


def _lags(noun: str, outcomes: Iterable[Outcome]) -> list[int]:
    """How much later than they happened events arrive, ms, where the mapping says when they arrive."""
    made = (one for outcome in outcomes if isinstance(outcome, list) for one in outcome)
    return [
        at_ms - body[plan.time_field]
        for plan, body, at_ms, _, _ in made
        if plan.noun == noun and plan.rule.arrival is not None
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
