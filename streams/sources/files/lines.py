"""Lines of a text whose size nobody knows, with bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from schemas.topics import MAX_EVENT_BYTES

MOST_SHOWN = 64 * 1024
"""Bytes that are kept of what is too long to be a message."""
TOO_LONG = f"has at most {MAX_EVENT_BYTES:,} bytes"
"""The rule that a row breaks which is too long to be a message."""
Read = Callable[[], bytes]
"""Gives the next block of bytes, none at the end."""


def line_pieces(read: Read) -> Iterator[tuple[bytes, bool]]:
    r"""Lines with their ends (``\n``, ``\r\n`` or ``\r``), each with True.

    A line of more than MAX_EVENT_BYTES comes in pieces of that size, each but the last with False.
    """
    rest = b""
    while block := read():
        lines = (rest + block).splitlines(keepends=True)
        rest = lines.pop() if not lines[-1].endswith(b"\n") else b""  # a line feed may follow after a final \r
        for line in lines:
            if len(line) <= MAX_EVENT_BYTES:
                yield line, True
            else:
                yield from _cut(line)
        while len(rest) > MAX_EVENT_BYTES:
            yield rest[:MAX_EVENT_BYTES], False
            rest = rest[MAX_EVENT_BYTES:]
    if rest:
        yield rest, True


def _cut(line: bytes) -> Iterator[tuple[bytes, bool]]:
    while len(line) > MAX_EVENT_BYTES:
        yield line[:MAX_EVENT_BYTES], False
        line = line[MAX_EVENT_BYTES:]
    yield line, True


class Line(NamedTuple):
    """A line with its end, numbered from 1; of one that is too long only the beginning, and ``whole`` is False."""

    number: int
    raw: bytes
    whole: bool


def numbered_lines(read: Read) -> Iterator[Line]:
    """Every line, each at once."""
    number, begun = 0, False
    for piece, last in line_pieces(read):
        if not begun:
            number += 1
            yield Line(number, piece if last else piece[:MOST_SHOWN], last)
        begun = not last
