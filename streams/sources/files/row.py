"""One row of a file or topic, as every reader hands it on."""

from __future__ import annotations

from typing import Any, NamedTuple

from schemas.errors import ConfigError, MalformedEvent


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


def bad_row(line: int, raw: bytes, rule: str, member: int | None = None) -> InputRow:
    """A row that cannot be read; ``rule`` says what it should be, as in "is JSON"."""
    return InputRow(line, raw.rstrip(b"\r\n"), None, MalformedEvent("", f"row {rule}", "", "row"), member)
