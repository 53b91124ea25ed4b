"""The first rows of a file whose shape nobody has said: format, delimiter, encoding, list of rows; then its columns."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from schemas.errors import ConfigError
from streams.sources.files import Shape, read_rows
from streams.sources.files.archives import unpacked
from streams.sources.files.encodings import one_byte_ends
from streams.sources.files.lines import Read

MOST_ROWS = 1_000
_MOST_COLUMNS = 300
_DEPTH = 5
_HEAD = 256 * 1024
_DELIMITERS = (",", ";", "\t", "|")
_NULLS = ("", "-", "NA", "N/A", "NULL", "null", "None", "n/a", "#N/A", "\\N")
_PARTS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]')
_NO_NAME = re.compile(r"[-+]?[0-9][0-9.,:/ -]*|.*@.*|[0-9a-fA-F-]{16,}|true|false")
"""Keys that are values: numbers, times, addresses, ids."""
PAIRS = object()
"""Stands for a list of names and values."""


@dataclass(slots=True)
class SampledColumn:
    """One column, or one path into the objects of a JSON file: its values, those that mean "no value" left out."""

    name: str
    values: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sample:
    """The first rows of a file. ``absent``: texts in it that mean "no value"; ``unsure``: what was only assumed."""

    shape: Shape
    rows: int
    broken: int
    columns: dict[str, SampledColumn]
    absent: tuple[str, ...]
    pairs: tuple[str, ...] = ()
    """Paths of lists whose members are names with values: their order means nothing, so they are not taken apart."""
    unsure: tuple[str, ...] = ()


def take_sample(path: Path) -> Sample:
    """Read up to MOST_ROWS rows. Raises ConfigError for a file without rows, or whose first line is no header."""
    shape, unsure = _shape(path)
    header: list[str] = []
    columns: dict[str, SampledColumn] = {}
    rows = broken = 0
    absent: Counter[str] = Counter()
    pairs: dict[str, None] = {}
    for row in islice(read_rows(path, shape, header.extend), MOST_ROWS):
        rows += 1
        broken += row.fields is None
        for name, value in _flat(row.fields or {}, "", 0):
            if value is PAIRS:
                pairs[name] = None
            elif value is None or (isinstance(value, str) and value.strip() in _NULLS):
                absent[str(value if value is not None else "").strip()] += 1
                columns.setdefault(name, SampledColumn(name))
            elif name in columns or len(columns) < _MOST_COLUMNS:
                columns.setdefault(name, SampledColumn(name)).values.append(value)
    if header and any(_NO_NAME.fullmatch(name.strip()) for name in header if name.strip()):
        text = "the first line looks like a row, not like names of columns: add a line of names."
        raise ConfigError(f"{path.name}: {text}")
    if rows == broken:
        raise ConfigError(f"{path.name}: no row of it could be read, so there is nothing to guess from.")
    found = tuple(text for text in _NULLS if absent[text] or not text)
    return Sample(shape, rows, broken, columns, found, tuple(pairs), tuple(unsure))


def _flat(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Single values with their paths; of a list its first member. Keys that look like values are left out."""
    if isinstance(value, dict) and depth < _DEPTH:
        for key, inner in value.items():
            if key and not _NO_NAME.fullmatch(key) and "." not in key:
                yield from _flat(inner, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list):
        if value and path:
            named = isinstance(value[0], dict) and "value" in value[0] and len(value[0]) <= 3
            yield from [(path, PAIRS)] if named else _flat(value[0], f"{path}.0", depth + 1)
    elif not isinstance(value, dict) and path:
        yield path, value


def _shape(path: Path) -> tuple[Shape, list[str]]:
    with unpacked(path) as packed:
        wide = _wide(path)
        head, encoding, unsure = _head(packed, wide, path)
    text = head.decode(encoding, "replace")
    encoding = wide if encoding == "utf-8" else encoding
    if text.lstrip()[:1] in ("{", "["):
        form, items = _json(text)
        return Shape(format=form, encoding=encoding, items=items), unsure
    delimiter = _delimiter(text)
    if delimiter is None:
        unsure.append("there is no delimiter in it that splits every line alike: one column was read")
    return Shape(delimiter=delimiter or ",", encoding=encoding), unsure


def _head(packed: Read, wide: str, path: Path) -> tuple[bytes, str, list[str]]:
    """The first bytes as text in an encoding that fits them."""
    read, encoding = one_byte_ends(packed, wide, path)
    head = b""
    while len(head) < _HEAD and (block := read()):
        head += block
    head = head[:_HEAD]
    try:
        head[: head.rfind(b"\n") + 1 or None].decode(encoding)
    except UnicodeDecodeError:
        return head, "cp1252", ["encoding: it is not UTF-8; cp1252 (Western Europe) is only the most usual other one"]
    return head, encoding, []


def _wide(path: Path) -> str:
    """UTF-16 by its zero bytes, where no byte order mark says so; else utf-8."""
    with unpacked(path) as read:
        head = read()[:512]
    even, odd = head[::2].count(0), head[1::2].count(0)
    return "utf-16-le" if odd > len(head) // 3 else "utf-16-be" if even > len(head) // 3 else "utf-8"


def _json(text: str) -> tuple[Any, tuple[str, ...]]:
    """Format, and the path to the list whose members are the rows (empty: the objects themselves are)."""
    lines = [line for line in text.splitlines() if line.strip()]
    objects = [one for one in map(_parsed, lines[:50]) if isinstance(one, dict)]
    if len(objects) > 1 or (len(lines) == 1 and objects):
        envelopes = [_envelope(one) for one in objects]
        same = envelopes[0] if envelopes[0] and all(one == envelopes[0] for one in envelopes) else ""
        return "json" if same and len(lines) == 1 else "ndjson", (same,) if same else ()
    return "json", _first_list(text)


def _parsed(line: str) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return None


def _envelope(row: dict[str, Any]) -> str:
    """The one list of objects in an object that holds little else (``{"tickets": [...], "count": 2}``)."""
    lists = [key for key, value in row.items() if isinstance(value, list) and value and isinstance(value[0], dict)]
    others = [key for key in row if key not in lists]
    own = {"id", "event", "event_name", "order_id", "messageId", "number"} & set(others)
    return lists[0] if len(lists) == 1 and len(others) <= 6 and not own else ""


def _first_list(text: str) -> tuple[str, ...]:
    """Path to the first list of objects of a document that is one object; the text may break off."""
    stack: list[str] = []
    key = last = ""
    for part in _PARTS.findall(text):
        if part[0] == '"':
            last = part[1:-1]
        elif part == ":":
            key = last
        elif part == "{":
            if stack and stack[-1].startswith("["):
                path = tuple(step[1:] for step in stack[1:])
                return path if stack[0] == "{" and all(path) else ()
            stack.append("{" + key)
            key = ""
        elif part == "[":
            stack.append("[" + key)
            key = ""
        elif part in ("}", "]") and stack:
            stack.pop()
    return ()


def _delimiter(text: str) -> str | None:
    """The delimiter that splits the first lines into the same number of cells, the more the better."""
    sample = text.splitlines()[:60]
    if sample and re.fullmatch(r'"?sep=.+', sample[0].strip(), re.IGNORECASE):
        sample = sample[1:]
    best, most = None, 1
    for delimiter in _DELIMITERS:
        try:
            counts = Counter(len(cells) for cells in csv.reader(sample, delimiter=delimiter) if cells)
        except csv.Error:
            continue
        cells, lines_alike = counts.most_common(1)[0] if counts else (1, 0)
        if cells > most and lines_alike >= 0.6 * counts.total():
            best, most = delimiter, cells
    return best
