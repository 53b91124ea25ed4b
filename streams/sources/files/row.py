"""One row of a file or topic, as every reader hands it on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from schemas.errors import ConfigError, MalformedEvent

IS_TEXT = "is text in the encoding of input.encoding (absent: utf-8; Excel also writes cp1252)"
"""The rule that a row breaks whose bytes are no text."""
_CHUNK_BYTES = 1024 * 1024


class InputRow(NamedTuple):
    """One row: where it starts, its bytes, and its fields or what is wrong with it.

    ``line`` counts from 1 (messages of a topic: the offset). ``member`` counts from 0 in the list that the row comes
    from; None: the row is no member of a list.
    """

    line: int
    raw: bytes
    fields: dict[str, Any] | None
    error: MalformedEvent | None = None
    member: int | None = None

    @property
    def location(self) -> str:
        """Where the row stood: ``12``, or ``12[3]`` for a member of a list that begins in or above line 12."""
        return str(self.line) if self.member is None else f"{self.line}[{self.member}]"


class BrokenInput(ConfigError):
    """A file can be read no further than to some location; the rows before it were handed on."""


def chunks(rows: Iterable[InputRow], most: int) -> Iterator[list[InputRow]]:
    """Rows in lists of at most ``most``, fewer if they are long: a row of 1 MiB can take 30 MiB once it is read."""
    chunk: list[InputRow] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += len(row.raw)
        if len(chunk) >= most or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def bad_row(line: int, raw: bytes, rule: str, member: int | None = None) -> InputRow:
    """A row that cannot be read; ``rule`` says what it should be, as in "is JSON"."""
    return InputRow(line, raw.rstrip(b"\r\n"), None, MalformedEvent("", f"row {rule}", "", "row"), member)
