"""Columns that need no encoding any more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ready:
    """The values of one column in the server's own form. ``kind`` is its ClickHouse type."""

    kind: str
    rows: int
    data: bytes

    def __len__(self) -> int:
        return self.rows
