"""CSV: rows with the exact bytes they came from. Of a broken row only its first line is given up."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, count
from typing import NamedTuple

from schemas.errors import ConfigError
from schemas.topics import MAX_EVENT_BYTES
from streams.sources.files.lines import TOO_LONG, Lines, Read, many_lines
from streams.sources.files.row import IS_TEXT, InputRow, bad_row
from streams.sources.files.shape import Shape

OnHeader = Callable[[Sequence[str]], None]
"""Is told the names of the columns before the first row comes; may refuse them."""
_SEPARATOR = re.compile(r'\s*"?sep=([^\r\n])"?\s*', re.IGNORECASE)
_JSON = re.compile(rb"\s*(?:\{\s*[\"}]|\[\s*[\[{])")


def csv_rows(read: Read, shape: Shape, name: str, on_header: OnHeader) -> Iterator[InputRow]:
    """Every row under the header. Raises ConfigError if there is none, or if the file holds JSON."""
    batches = many_lines(read)
    first = next(batches, Lines(1, [b""], plain=False))
    if _JSON.match(first.lines[0]):
        text = "this is JSON, not CSV: set input.format to ndjson (an object a line) or json (documents)"
        raise ConfigError(f"{name}: {text}.")
    separator = _SEPARATOR.fullmatch(first.lines[0].decode(shape.encoding, "replace"))
    if separator:
        first = first._replace(number=2, lines=first.lines[1:])
    cells = _Cells(chain([first], batches), replace(shape, delimiter=_delimiter(shape, separator, name)))
    header = cells.header(name)
    on_header(header)
    yield from cells.rows_under(header, shape.nulls)


def _delimiter(shape: Shape, separator: re.Match[str] | None, name: str) -> str:
    """What the mapping says and what the line ``sep=`` says must agree."""
    if separator is None or shape.delimiter == separator[1]:
        return shape.delimiter or ","
    if shape.delimiter is not None:
        text = f"the first line says sep={separator[1]!r}, but input.delimiter is {shape.delimiter!r}"
        raise ConfigError(f"{name}: {text}: set it to {separator[1]!r}, or leave it out.")
    return separator[1]


class _UnreadableLine(Exception):
    """A line that cannot be part of a row; the message is the rule it breaks."""


class _NumberedLine(NamedTuple):
    number: int
    raw: bytes
    whole: bool


_Row = tuple[int, bytes, list[str] | None, str]
"""Line number, bytes, cells (None: broken) and what is wrong with it."""


class _Cells:
    """Rows of cells out of lines. Lines without quotes are read many at once; of others some can be put back."""

    def __init__(self, batches: Iterator[Lines], shape: Shape) -> None:
        self._batches = batches
        self._shape = shape
        self._again: deque[_NumberedLine] = deque()
        self._used: list[_NumberedLine] = []
        self._bytes = 0
        self._quoted = self._reader(self._feed())
        self._all = self._rows()

    def header(self, name: str) -> list[str]:
        """The names of the columns."""
        for _, _, cells, problem in self._all:
            if cells is None:
                raise ConfigError(f"{name}: the first line must be a header, which {problem}.")
            if cells:
                return cells
        raise ConfigError(f"{name}: the file is empty; a CSV begins with a header.")

    def rows_under(self, header: list[str], nulls: frozenset[str]) -> Iterator[InputRow]:
        """Every row; one with an error if it cannot be read or has another number of cells."""
        width = len(header)
        for number, raw, cells, problem in self._all:
            if cells is None:
                yield bad_row(number, raw, problem)
            elif len(cells) == width or (len(cells) == width - 1 and not header[-1]):
                cells.extend([""] * (width - len(cells)))  # the header ends with a delimiter, the row does not
                fields: dict[str, str | None] = dict(zip(header, cells, strict=True))
                if not nulls.isdisjoint(cells):
                    fields = {key: None if cell in nulls else cell for key, cell in fields.items()}
                yield InputRow(number, raw.rstrip(b"\r\n"), fields)
            elif cells:
                yield bad_row(number, raw, f"has {width} columns")

    def _rows(self) -> Iterator[_Row]:
        for batch in self._batches:
            done = 0
            if batch.plain and (texts := self._decoded(batch.lines)) is not None:
                numbers = count(batch.number)
                try:
                    for number, raw, cells in zip(numbers, batch.lines, self._reader(texts), strict=False):
                        done = number - batch.number + 1
                        yield number, raw, cells, ""
                except csv.Error:
                    pass  # the line is read once more below, which says what is wrong with it
            self._put_back(batch, done)
            while self._again:
                yield self._one_by_one()

    def _decoded(self, lines: list[bytes]) -> list[str] | None:
        encoding = self._shape.encoding
        try:
            return [line.decode(encoding) for line in lines]
        except UnicodeDecodeError:
            return None

    def _put_back(self, batch: Lines, done: int) -> None:
        lines = enumerate(batch.lines[done:], batch.number + done)
        self._again.extend(_NumberedLine(number, raw, batch.whole) for number, raw in lines)

    def _one_by_one(self) -> _Row:
        """The next row, of one line or several."""
        used = self._used
        used.clear()
        self._bytes = 0
        try:
            cells = next(self._quoted)
        except (csv.Error, UnicodeDecodeError, _UnreadableLine) as error:
            if self._bytes <= MAX_EVENT_BYTES:  # else all of it is one row
                self._again.extendleft(reversed(used[1:]))
            self._quoted = self._reader(self._feed())
            return used[0].number, used[0].raw, None, self._rule(error)
        return used[0].number, used[0].raw if len(used) == 1 else b"".join(line.raw for line in used), cells, ""

    def _reader(self, lines: Iterable[str]) -> Iterator[list[str]]:
        return csv.reader(lines, delimiter=self._shape.delimiter or ",", strict=True)

    def _feed(self) -> Iterator[str]:
        again, encoding, used = self._again, self._shape.encoding, self._used
        while True:
            if not again:
                batch = next(self._batches, None)
                if batch is None:
                    return
                self._put_back(batch, 0)
            line = again.popleft()
            used.append(line)
            raw = line.raw
            self._bytes += len(raw)
            if not line.whole or self._bytes > MAX_EVENT_BYTES:
                raise _UnreadableLine(TOO_LONG)
            if b"\0" in raw:
                raise _UnreadableLine("has no zero bytes")
            yield raw.decode(encoding)

    def _rule(self, error: Exception) -> str:
        if isinstance(error, _UnreadableLine):
            return str(error)
        if isinstance(error, UnicodeDecodeError):
            return IS_TEXT
        return f"has quotes that match, and cells of at most {csv.field_size_limit():,} characters"
