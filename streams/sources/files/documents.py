"""JSON: rows out of lines or documents of any length. A row is an object; its bytes are those that stand in the file.

A list where a row could be is a list of rows. With ``items`` the rows are the members of the list (or the one object)
at that path; a list on the way is gone through member by member (``pages.tickets``), and a document that is a list may
hold the rows themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from schemas.errors import ConfigError
from streams.sources.files.lines import MOST_SHOWN, TOO_LONG, Read, line_pieces
from streams.sources.files.row import IS_TEXT, BrokenInput, InputRow, bad_row
from streams.sources.files.scan import JsonText, NotJson
from streams.sources.files.shape import Shape

_OPEN = (b"[", b"{", b",", b":")
"""What ends so is no line of NDJSON: a document goes on in the next line."""
_SPACE = b" \t\r\n\x1e"
"""What may stand around a document; one of them begins each document of a JSON text sequence."""
_KEYS_SHOWN = 12
_SEVERAL = "is one JSON object (set input.format to json if several stand behind each other in a line)"
_ONE_LINE = f"{TOO_LONG}. Of a JSON document, set input.items to the list in it whose members are the rows."


class _Found(NamedTuple):
    """A value where a row should be. ``keys``: nothing is there, but an object with these keys."""

    line: int
    raw: bytes
    whole: bool
    member: int | None = None
    keys: tuple[str, ...] | None = None


def json_rows(read: Read, shape: Shape, name: str) -> Iterator[InputRow]:
    """Every row. Raises ConfigError if the file is not what ``shape`` says, BrokenInput where a document breaks off."""
    head = read()
    blocks = chain([head], iter(read, b""))
    lines = [line for one in head.splitlines() if (line := one.strip(_SPACE))][:3]
    first, starts = lines[0] if lines else b"", [line[:1] for line in lines]
    if first and first[:1] not in (b"[", b"{") and shape.format == "json":
        raise ConfigError(f"{name}: this is no JSON document, which begins with {{ or [. Is input.format right?")
    if shape.format == "ndjson" and len(starts) > 1 and not any(start in (b"[", b"{") for start in starts):
        raise ConfigError(f"{name}: no line begins with {{ or [, so this is no JSON. Is input.format right?")
    over_lines = first[:1] in (b"[", b"{") and first.endswith(_OPEN)
    if shape.format == "ndjson" and over_lines and first[:1] == b"{" and first[-2:] != b"}," and not shape.items:
        text = "this is a JSON document over many lines, not an object a line: set input.format to json, and"
        raise ConfigError(f"{name}: {text} input.items to the list in it whose members are the rows, if there is one.")
    if shape.format == "json" or over_lines or head.startswith(b"\x1e"):
        yield from _documents(lambda: next(blocks, b""), shape, name)
        return
    for number, pieces in _by_line(lambda: next(blocks, b"")):
        for row in _line(number, pieces, shape):
            if number == 1 and row.error is not None and row.error.rule == f"row {TOO_LONG}" and row.member is None:
                raise ConfigError(f"{name}: a row {_ONE_LINE}")
            yield row


def parse_json(number: int, raw: bytes, shape: Shape) -> list[InputRow]:
    """The rows of a message; none only if it is a list without members. ``number`` is its offset."""
    return list(_line(number, iter([raw]), shape))


def _documents(read: Read, shape: Shape, name: str) -> Iterator[InputRow]:
    text = JsonText(read)
    first = text.peek()
    try:
        while text.peek():
            if not first and text.peek() == b",":
                text.take(b",")  # some write one between documents
            for found in _walk(text, shape.items, inside=False):
                if first and found.keys is not None:
                    raise ConfigError(f"{name}: {_absent(shape, found.keys)}")
                first = b""
                yield _row(found, shape)
    except NotJson:
        text_ = f"the JSON breaks off in line {text.line}, and nothing behind that place can be told apart"
        raise BrokenInput(f"{name}: {text_}. Rows before it were read.") from None


def _absent(shape: Shape, keys: tuple[str, ...]) -> str:
    text = f"there is no list and no object at input.items, {'.'.join(shape.items)}"
    names = [key for key in keys if key.isidentifier() and len(key) <= 40][:_KEYS_SHOWN]
    there = f"There are: {', '.join(names)}. " if names else ""
    return f"{text}. {there}If each document is a row, leave input.items out."


def _by_line(read: Read) -> Iterator[tuple[int, Iterator[bytes]]]:
    """The number of each line that is not empty, and its pieces; what is left of them is passed over."""
    number, all_pieces = 0, line_pieces(read)
    for piece, last in all_pieces:
        number += 1
        if last:
            if not piece.isspace():
                yield number, iter((piece,))
            continue
        pieces = _to_the_end(piece, all_pieces)
        yield number, pieces
        for _ in pieces:
            pass


def _to_the_end(piece: bytes, pieces: Iterator[tuple[bytes, bool]]) -> Iterator[bytes]:
    yield piece
    for following, last in pieces:
        yield following
        if last:
            return


def _line(number: int, pieces: Iterator[bytes], shape: Shape) -> Iterator[InputRow]:
    """The rows of a line: the object that it is, or the members of a list."""
    first = next(pieces, b"")
    if not shape.items and first.lstrip()[:1] != b"[":
        following = next(pieces, b"")
        yield _row(_Found(number, first[:MOST_SHOWN] if following else first, whole=not following), shape)
        return
    again, rows = chain([first], pieces), 0
    text = JsonText(lambda: next(again, b""), number)
    try:
        for found in _walk(text, shape.items, inside=False):
            rows += 1
            raw = found.raw if found.keys is None else first[:MOST_SHOWN]
            yield _row(found._replace(line=number, raw=raw), shape)
        whole = not text.peek()
    except NotJson:
        whole = False
    if not whole:
        yield bad_row(number, first[:MOST_SHOWN], f"is JSON to its end, after {rows:,} members" if rows else "is JSON")


def _walk(text: JsonText, steps: tuple[str, ...], *, inside: bool) -> Iterator[_Found]:
    """The values where rows are, at and below the next value. ``inside``: behind the first step of the path."""
    kind = text.peek()
    if kind == b"[":
        for member in text.members():
            if steps and (inside or _leads_on(text, steps[0])):
                yield from _walk(text, steps, inside=inside)
            else:
                yield _Found(text.line, *text.value(), member)
    elif kind == b"{" and steps:
        keys, there = [], False
        for key in text.entries():
            keys.append(key)
            if key == steps[0]:
                there = True
                yield from _walk(text, steps[1:], inside=True)
            else:
                text.value()
            del keys[_KEYS_SHOWN:]
        if not there:
            yield _Found(text.line, b"", whole=True, keys=tuple(keys))
    else:
        line, (raw, whole) = text.line, text.value()
        keys_ = () if steps or (inside and kind != b"{") else None
        yield _Found(line, raw, whole, keys=keys_)


def _leads_on(text: JsonText, step: str) -> bool:
    """False for a member of a list that is a row itself: a small object without the first step of ``items``."""
    raw = text.ahead() if text.peek() == b"{" else None
    try:
        return raw is None or step in msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def _row(found: _Found, shape: Shape) -> InputRow:
    line, raw, whole, member, keys = found
    if keys is not None:
        rule = f"has a list or an object at input.items, {'.'.join(shape.items)}"
        return bad_row(line, raw, f"{rule} (if each line is a row, leave input.items out)", member)
    if not whole:
        return bad_row(line, raw, TOO_LONG, member)
    try:
        fields = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        rule = _SEVERAL if raw.lstrip()[:1] == b"{" and "trailing characters" in str(error) else "is JSON"
        return bad_row(line, raw, rule if _is_text(raw) else IS_TEXT, member)
    if not isinstance(fields, dict):
        return bad_row(line, raw, "is a JSON object", member)
    return InputRow(line, raw.rstrip(b"\r\n"), _without_nulls(fields, shape.nulls), None, member)


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _without_nulls(fields: dict[str, Any], nulls: frozenset[str]) -> dict[str, Any]:
    return {key: None if isinstance(value, str) and value in nulls else value for key, value in fields.items()}
