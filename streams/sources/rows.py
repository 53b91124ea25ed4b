"""Rows of a file with their exact bytes: CSV or NDJSON, plain or packed (gz, bz2, xz, one file in a zip)."""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from schemas.errors import ConfigError, MalformedEvent
from schemas.topics import MAX_EVENT_BYTES

_BOM = b"\xef\xbb\xbf"


class _Readable(Protocol):
    def readline(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class InputRow:
    """One row: where it starts, its bytes, and its fields or what is wrong with it."""

    line: int
    raw: bytes
    fields: dict[str, Any] | None
    error: MalformedEvent | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """How rows are written. ``nulls``: texts that mean "no value"."""

    format: Literal["csv", "ndjson"] = "csv"
    delimiter: str = ","
    encoding: str = "utf-8"
    nulls: frozenset[str] = frozenset({""})


OnHeader = Callable[[Sequence[str]], None]


def read_rows(path: Path, shape: Shape, on_header: OnHeader = lambda _: None) -> Iterator[InputRow]:
    """Every row of a file, in file order; a bad row has an ``error`` and never ends the reading.

    ``on_header`` is told the names of the columns before the first row comes; it may refuse them.
    Raises ConfigError if the file is absent, packed in an unreadable way or (CSV) has no header.
    """
    with ExitStack() as stack:
        try:
            stream = _open(path, stack)
            yield from _csv(stream, shape, path.name, on_header) if shape.format == "csv" else _ndjson(stream, shape)
        except FileNotFoundError:
            raise ConfigError(f"{path}: there is no such file") from None
        except (OSError, EOFError, lzma.LZMAError, zipfile.BadZipFile) as error:
            raise ConfigError(f"{path}: cannot be read: {error}") from None


def _open(path: Path, stack: ExitStack) -> _Readable:
    """Open by what the file starts with, not by what it is called."""
    head = stack.enter_context(path.open("rb")).read(6)
    if head.startswith(b"\x1f\x8b"):
        return stack.enter_context(gzip.open(path, "rb"))
    if head.startswith(b"BZh"):
        return stack.enter_context(bz2.open(path, "rb"))
    if head.startswith(b"\xfd7zXZ"):
        return stack.enter_context(lzma.open(path, "rb"))
    if head.startswith(b"PK\x03\x04"):
        archive = stack.enter_context(zipfile.ZipFile(path))
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        if len(names) != 1:
            raise ConfigError(f"{path}: a zip with exactly one file is needed, this one has {len(names)}")
        return stack.enter_context(archive.open(names[0]))
    return stack.enter_context(path.open("rb"))


class _Lines:
    """Numbered lines; lines can be put back. A line beyond the size limit comes in pieces."""

    def __init__(self, stream: _Readable) -> None:
        self._stream = stream
        self._again: deque[tuple[int, bytes]] = deque()
        self._number = 0

    def next(self) -> tuple[int, bytes] | None:
        if self._again:
            return self._again.popleft()
        line = self._stream.readline(MAX_EVENT_BYTES)
        if not line:
            return None
        self._number += 1
        return self._number, line.removeprefix(_BOM) if self._number == 1 else line

    def put_back(self, lines: list[tuple[int, bytes]]) -> None:
        self._again.extendleft(reversed(lines))


def _ndjson(stream: _Readable, shape: Shape) -> Iterator[InputRow]:
    lines = _Lines(stream)
    while (found := lines.next()) is not None:
        number, raw = found
        if raw.strip():
            yield parse_json_row(number, raw, shape)


def parse_json_row(number: int, raw: bytes, shape: Shape) -> InputRow:
    """One row that is a JSON object; ``number`` is its line or offset."""
    try:
        fields = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _bad(number, raw, "is JSON")
    if not isinstance(fields, dict):
        return _bad(number, raw, "is a JSON object")
    return InputRow(number, raw.rstrip(b"\r\n"), _without_nulls(fields, shape.nulls))


def _csv(stream: _Readable, shape: Shape, name: str, on_header: OnHeader) -> Iterator[InputRow]:
    header: list[str] | None = None
    nulls = shape.nulls
    for number, raw, cells in _CsvRows(stream, shape).rows():
        if cells == []:
            continue
        if header is None:
            header = _header(cells, name)
            on_header(header)
        elif cells is None:
            yield _bad(number, raw, f"is {shape.format} in {shape.encoding}")
        elif len(cells) != len(header):
            yield _bad(number, raw, f"has {len(header)} columns")
        else:
            fields = {key: None if cell in nulls else cell for key, cell in zip(header, cells, strict=True)}
            yield InputRow(number, raw.rstrip(b"\r\n"), fields)


def _header(cells: list[str] | None, name: str) -> list[str]:
    if not cells or len(set(cells)) != len(cells):
        raise ConfigError(f"{name}: the first line must be a header with a different name for each column")
    return cells


class _CsvRows:
    """Cells of each row with the bytes they came from. Of a broken row only the first line is given up."""

    def __init__(self, stream: _Readable, shape: Shape) -> None:
        self._lines = _Lines(stream)
        self._shape = shape
        self._used: list[tuple[int, bytes]] = []

    def _feed(self) -> Iterator[str]:
        while (found := self._lines.next()) is not None:
            self._used.append(found)
            yield found[1].decode(self._shape.encoding)

    def rows(self) -> Iterator[tuple[int, bytes, list[str] | None]]:
        """Line number, bytes and cells (None: broken) of each row."""
        used = self._used
        reader = csv.reader(self._feed(), delimiter=self._shape.delimiter, strict=True)
        while True:
            used.clear()
            try:
                cells = next(reader, None)
            except (csv.Error, UnicodeDecodeError):
                first = used[0]
                self._lines.put_back(used[1:])
                reader = csv.reader(self._feed(), delimiter=self._shape.delimiter, strict=True)
                yield *first, None
                continue
            if cells is None:
                return
            yield used[0][0], used[0][1] if len(used) == 1 else b"".join(raw for _, raw in used), cells


def _without_nulls(fields: dict[str, Any], nulls: frozenset[str]) -> dict[str, Any]:
    return {key: None if isinstance(value, str) and value in nulls else value for key, value in fields.items()}


def _bad(number: int, raw: bytes, rule: str) -> InputRow:
    return InputRow(number, raw.rstrip(b"\r\n"), None, MalformedEvent("", f"row {rule}", "", "row"))
