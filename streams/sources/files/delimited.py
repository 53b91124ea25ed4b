"""CSV: rows with the exact bytes they came from. Of a broken row only its first line is given up."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from schemas.errors import ConfigError
from schemas.topics import MAX_EVENT_BYTES
from streams.sources.files.lines import TOO_LONG, Line, Read, numbered_lines
from streams.sources.files.row import InputRow, bad_row
from streams.sources.files.shape import Shape

OnHeader = Callable[[Sequence[str]], None]
"""Is told the names of the columns before the first row comes; may refuse them."""
_SEPARATOR = re.compile(r'\s*"?sep=([^\r\n])"?\s*', re.IGNORECASE)
_JSON = re.compile(rb"\s*(?:\{\s*[\"}]|\[\s*[\[{])")


def csv_rows(read: Read, shape: Shape, name: str, on_header: OnHeader) -> Iterator[InputRow]:
    """Every row under the header. Raises ConfigError if there is none, or if the file holds JSON."""
    lines = numbered_lines(read)
    first = next(lines, Line(1, b"", True))
    if _JSON.match(first.raw):
        text = "this is JSON, not CSV: set input.format to ndjson (an object a line) or json (documents)"
        raise ConfigError(f"{name}: {text}.")
    separator = _SEPARATOR.fullmatch(first.raw.decode(shape.encoding, "replace"))
    table = _Cells(lines, replace(shape, delimiter=_delimiter(shape, separator, name)), [] if separator else [first])
    header = table.header(name)
    on_header(header)
    yield from table.rows_under(header, shape.nulls)


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


class _Cells:
    """Rows of cells out of lines. Lines can be put back."""

    def __init__(self, lines: Iterator[Line], shape: Shape, again: Sequence[Line]) -> None:
        self._lines = lines
        self._shape = shape
        self._again = deque(again)
        self._used: list[Line] = []
        self._bytes = 0

    def header(self, name: str) -> list[str]:
        """The names of the columns."""
        for _, _, cells, problem in self._rows():
            if cells is None:
                raise ConfigError(f"{name}: the first line must be a header, which {problem}.")
            if cells:
                return cells
        raise ConfigError(f"{name}: the file is empty; a CSV begins with a header.")

    def rows_under(self, header: list[str], nulls: frozenset[str]) -> Iterator[InputRow]:
        """Every row; one with an error if it cannot be read or has another number of cells."""
        width = len(header)
        for number, raw, cells, problem in self._rows():
            if cells is None:
                yield bad_row(number, raw, problem)
            elif len(cells) == width:
                fields = dict(zip(header, cells, strict=True))
                if nulls.isdisjoint(cells):
                    yield InputRow(number, raw.rstrip(b"\r\n"), fields)
                else:
                    found = {key: None if cell in nulls else cell for key, cell in fields.items()}
                    yield InputRow(number, raw.rstrip(b"\r\n"), found)
            elif cells:
                yield bad_row(number, raw, f"has {width} columns")

    def _rows(self) -> Iterator[tuple[int, bytes, list[str] | None, str]]:
        """Line number, bytes, cells (None: broken) and what is wrong with each row."""
        used, reader = self._used, self._reader()
        while True:
            used.clear()
            self._bytes = 0
            try:
                cells = next(reader, None)
            except (csv.Error, UnicodeDecodeError, _UnreadableLine) as error:
                first = used[0]
                if self._bytes <= MAX_EVENT_BYTES:  # else all of it is one row
                    self._again.extendleft(reversed(used[1:]))
                reader = self._reader()
                yield first.number, first.raw, None, self._rule(error)
                continue
            if cells is None:
                return
            first = used[0]
            yield first.number, first.raw if len(used) == 1 else b"".join(line.raw for line in used), cells, ""

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(self._feed(), delimiter=self._shape.delimiter or ",", strict=True)

    def _feed(self) -> Iterator[str]:
        again, lines, encoding, used = self._again, self._lines, self._shape.encoding, self._used
        while (line := again.popleft() if again else next(lines, None)) is not None:
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
            return "is text in the encoding of input.encoding"
        return f"has quotes that match, and cells of at most {csv.field_size_limit():,} characters"
