"""A company's own file -> our events in arrival order, by a declarative mapping (YAML).

:func:`read` maps, checks against the contract, sorts by arrival and yields :class:`streams.sources.arrivals.Arrival`;
rows that break a rule come first, as dead letters. Event times are kept as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from streams.sources.apply import Mapped, Rejected, apply_each, count_only, dead_letter_headers
from streams.sources.arrivals import Arrival
from streams.sources.beside import AskedBeside, Beside
from streams.sources.counts import RowCounts
from streams.sources.files import BrokenInput, InputRow, parse_json, read_rows
from streams.sources.first_rows import FirstRows
from streams.sources.mapping import Mapping, load_mapping, parse_mapping
from streams.sources.merge import Named
from streams.sources.named import compare_header, refuse_constants, refuse_repeated
from streams.sources.nested import refuse_list_of_rows
from streams.sources.ordering import Sorter
from streams.sources.spans import Span, SpanReading

__all__ = ["MappedFile", "Mapping", "RowCounts", "Span", "load_mapping", "map_each", "parse_mapping", "read"]

_EVENT_BYTES, _LETTER_BYTES = 300, 1_500
"""Memory that an event and a dead letter take beside their bytes: objects, headers."""


@dataclass(frozen=True, slots=True)
class MappedFile:
    """One file read by one mapping. ``tally`` is complete once :meth:`arrivals` has yielded its first message."""

    mapping: Mapping
    file: Path
    span: Span = field(default_factory=Span)
    tally: RowCounts = field(default_factory=RowCounts)
    warnings: list[str] = field(default_factory=list)
    """Sentences for people about what may be wrong with the file as a whole; complete when ``tally`` is."""
    notes: list[str] = field(default_factory=list)
    """Sentences about how it was read, and what beside it; complete when ``tally`` is."""
    asked: AskedBeside = field(default_factory=AskedBeside)
    """Files that are read beside it."""
    columns: list[str] = field(default_factory=list)
    """Names of a CSV's columns, known from the first row on: a dead letter brings them along."""
    broken: list[BrokenInput] = field(default_factory=list)
    """Where the file breaks off, if it does; rows before that place are among the arrivals."""

    def arrivals(self) -> Iterator[Arrival]:
        """Dead letters, then every event in arrival order (of the same instant: in file order)."""
        events: Sorter[Mapped] = Sorter(Mapped, key=lambda event: event.at_ms, size=_bytes_of)
        dead_letters: Sorter[Arrival] = Sorter(Arrival, key=lambda _: 0, size=_bytes_of)
        build = _build()
        with closing(events), closing(dead_letters):
            for _, outcomes in self._mapped():
                for outcome in outcomes:
                    if isinstance(outcome, Mapped):
                        events.add(outcome)
                    else:
                        dead_letters.add(_arrival(outcome, self.mapping, self.file.name, build, self.columns))
            yield from self._in_order(events, dead_letters)

    def check(self) -> None:
        """Map everything and keep nothing: ``tally`` and ``warnings`` say what became of it."""
        with self._read() as (rows, reading):
            count_only(self.mapping, rows, reading, self.tally)

    def _mapped(self) -> Iterator[tuple[InputRow, Sequence[Mapped | Rejected]]]:
        with self._read() as (rows, reading):
            yield from apply_each(self.mapping, rows, reading, self.tally)

    @contextmanager
    def _read(self) -> Iterator[tuple[Iterator[InputRow], SpanReading]]:
        """The rows, completed from what is beside the file, and how far they are to be read."""
        reading = SpanReading(self.span)
        with Beside(self.mapping, self.file, self.asked) as beside:
            beside.load()
            yield self._until_the_end(reading, beside), reading
            self.warnings.extend(beside.warnings())
            self.notes.extend((*beside.notes(), *reading.notes()))

    def _until_the_end(self, reading: SpanReading, beside: Beside) -> Iterator[InputRow]:
        """Rows up to where reading may end, completed from what is beside the file."""
        first, rows = None, self._rows(beside)
        if self.mapping.shape.format != "csv":
            first = FirstRows(beside.own(self.mapping.named), self.mapping.optional)
            rows = first.look(rows)
        for row in beside.complete(rows):
            yield row
            if reading.stopped_at:
                break
        if first is not None:
            self.warnings.extend(first.warnings())

    def _rows(self, beside: Beside) -> Iterator[InputRow]:
        def compare(header: Sequence[str]) -> None:
            refuse_repeated(header, self.mapping.named)
            refuse_constants(header, self.mapping.constants)
            self.columns.extend(header)
            columns = beside.header(header)
            self.warnings.extend(compare_header(columns, self.mapping.named, self.mapping.optional))

        try:
            rows = read_rows(self.file, self.mapping.shape, compare)
            for row in islice(rows, 1):
                if row.fields is not None:
                    refuse_constants(row.fields, self.mapping.constants)
                if row.fields is not None and row.member is None and self.mapping.shape.format != "csv":
                    shape = self.mapping.shape
                    refuse_list_of_rows(row.fields, self.mapping.named, self.file.name, shape.items)
                yield row
            yield from rows
        except BrokenInput as error:
            self.broken.append(error)

    def _in_order(self, events: Sorter[Mapped], dead_letters: Sorter[Arrival]) -> Iterator[Arrival]:
        ordered = events.sorted()
        first = next(ordered, None)
        start_ms = first.at_ms if first is not None else 0
        for one in dead_letters.sorted():
            yield one._replace(at_ms=start_ms)
        if first is not None:
            yield Arrival(first.at_ms, first.noun, first.key, None, first.value)
        for event in ordered:
            yield Arrival(event.at_ms, event.noun, event.key, None, event.value)


def read(mapping: Mapping, file: Path, span: Span | None = None, beside: AskedBeside | None = None) -> MappedFile:
    """Prepare the reading of a file; nothing is opened yet."""
    return MappedFile(mapping, file, span or Span(), asked=beside or AskedBeside())


class MappedMessage(NamedTuple):
    """What one message of a topic was mapped to, and which of its rows have a customer that is looked up later."""

    offset: int
    arrivals: list[Arrival]
    named: tuple[Named, ...]


def map_each(
    mapping: Mapping, messages: Iterable[tuple[int, bytes]], origin: str, tally: RowCounts
) -> Iterator[MappedMessage]:
    """Map messages of a topic, (offset, value) each JSON, in the order given; broken ones: dead letters.

    Every message comes back with its offset, also one that makes no event.
    """
    given, identity, build = list(messages), mapping.identity, _build()
    made: dict[int, list[Arrival]] = {offset: [] for offset, _ in given}
    named: dict[int, list[Named]] = {offset: [] for offset, _ in given}
    rows = (row for offset, value in given for row in parse_json(offset, value, mapping.shape))
    for row, outcomes in apply_each(mapping, rows, SpanReading(Span()), tally):
        arrivals = made[row.line]
        first = len(arrivals)
        arrivals += [_arrival(outcome, mapping, origin, build) for outcome in outcomes]
        if identity is not None and (found := identity.named(row.fields)):
            named[row.line].append(Named(first, len(arrivals), found, identity.links(row.fields)))
    for offset, arrivals in made.items():
        yield MappedMessage(offset, arrivals, tuple(named[offset]))


def _arrival(
    outcome: Mapped | Rejected, mapping: Mapping, origin: str, build: str, columns: Sequence[str] = ()
) -> Arrival:
    if isinstance(outcome, Mapped):
        return Arrival(outcome.at_ms, outcome.noun, outcome.key, None, outcome.value)
    headers = dead_letter_headers(outcome, mapping, origin, build, columns)
    return Arrival(0, outcome.noun, None, None, outcome.row.raw, headers)


def _bytes_of(one: Mapped | Arrival) -> int:
    """Memory that an event or a dead letter takes, roughly."""
    return (_LETTER_BYTES if isinstance(one, Arrival) else _EVENT_BYTES) + len(one.value)


@cache
def _build() -> str:
    try:
        return version("cxwatch")
    except PackageNotFoundError:
        return "checkout"
