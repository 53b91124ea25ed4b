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


class Lines(NamedTuple):
    """Lines with their ends that follow each other, the first with its number, from 1.

    ``plain``: none has a quote or a zero byte. ``whole`` False: the beginning of a single line that is too long.
    """

    number: int
    lines: list[bytes]
    plain: bool
    whole: bool = True


def many_lines(read: Read) -> Iterator[Lines]:
    """Every line, many at once."""
    number, rest, passing_over = 1, b"", False
    while block := read():
        text = rest + block
        lines = text.splitlines(keepends=True)
        rest = lines.pop() if not lines[-1].endswith(b"\n") else b""
        if passing_over and lines:
            del lines[0]
            passing_over = False
        if passing_over:
            rest = b""
        if lines and len(lines[0]) > MAX_EVENT_BYTES:
            yield Lines(number, [lines.pop(0)[:MOST_SHOWN]], plain=False, whole=False)
            number += 1
        if lines:
            yield Lines(number, lines, plain=b'"' not in text and b"\0" not in text)
            number += len(lines)
        if len(rest) > MAX_EVENT_BYTES:
            yield Lines(number, [rest[:MOST_SHOWN]], plain=False, whole=False)
            number, rest, passing_over = number + 1, b"", True
    if rest:
        yield Lines(number, [rest], plain=False)
