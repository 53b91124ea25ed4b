"""Raw copies in native code: undecoded messages become columns in the form the server reads, without a Python object
a value and without the interpreter lock. ``streams.sinks.rows`` defines what a row holds; the accelerator leaves every
message it is not sure about to that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.codec import HOT
from schemas.errors import ConfigError
from schemas.events import HEARTBEAT_KEY
from schemas.fieldspec import FieldRow, field_specs
from schemas.tables import BY_NAME, Table
from schemas.topics import BY_NOUN
from streams.core.accelerated import find
from streams.core.stage import RawPart

FIELD_OF = {"event_time": "event_time_ms", "promised_at": "promised_at_ms"}
"""Column of a raw table -> field of the record, where their names differ."""
ORIGIN = {"topic": "@topic", "partition": "@partition", "offset": "@offset"}
"""Columns that say where a message was read."""
_TEXTS = ("String", "LowCardinality(String)")
_RANGES: Mapping[str, tuple[str, float, float]] = {
    "UInt8": ("int", 0, 2**8 - 1),
    "UInt32": ("int", 0, 2**32 - 1),
    "UInt64": ("int", 0, 2**63 - 1),
    "Int64": ("int", -(2**63), 2**63 - 1),
    "DateTime64(3, 'UTC')": ("int", -(2**63), 2**63 - 1),
    "Float64": ("float", -math.inf, math.inf),
}
"""ClickHouse type -> kind of field and the numbers that fit."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The values of one column in the server's own form. ``kind`` is its ClickHouse type."""

    kind: str
    rows: int
    data: bytes

    def __len__(self) -> int:
        return self.rows


class NativeCopies:
    """Raw copies of one flush, one set of columns a topic."""

    def __init__(self, plans: Mapping[str, Any]) -> None:
        """Start empty; ``plans`` are those of :func:`plans`."""
        self._plans = plans
        self._held: dict[str, Any] = {}

    def add(self, part: RawPart, partition: int) -> Sequence[int]:
        """Take the messages of a part; returns the places of those that the reference has to decide."""
        held = self._held.get(part.topic)
        if held is None:
            held = self._held[part.topic] = self._plans[part.topic].start()
        left: list[int] = held.add(part, partition, BY_NOUN[part.topic].max_bytes, HEARTBEAT_KEY)
        return left

    def tables(self) -> Sequence[tuple[str, list[Ready]]]:
        """(table, columns in the order of the catalogue) for every table that has rows."""
        return [(f"{noun}_raw", self._ready(noun, held)) for noun, held in self._held.items() if held.rows]

    @staticmethod
    def _ready(noun: str, held: Any) -> list[Ready]:
        columns = BY_NAME[f"{noun}_raw"].columns
        return [Ready(column.type, held.rows, data) for column, data in zip(columns, held.columns(), strict=True)]


def plans() -> Mapping[str, Any]:
    """Per topic what the accelerator has to know. Raises ConfigError if it is not installed."""
    native = find()
    if native is None:
        raise ConfigError("the accelerator is not installed: run `make native`, or set CX_NATIVE=off")
    found = {}
    for noun, model in HOT.items():
        fields = field_specs(model)
        found[noun] = native.CopyPlan(noun, fields, columns_of(BY_NAME[f"{noun}_raw"], fields))
    return found


def columns_of(table: Table, fields: Sequence[FieldRow]) -> list[tuple[str, str]]:
    """ClickHouse type and origin of every column. Raises TypeError for a field whose values might not fit."""
    by_name = {row[0]: row for row in fields}
    chosen = []
    for column in table.columns:
        origin = ORIGIN.get(column.name) or FIELD_OF.get(column.name, column.name)
        if column.name not in ORIGIN and not _fits(by_name[origin], column.type):
            raise TypeError(f"{table.name}: not every {origin} fits {column.type}")
        chosen.append((column.type, origin))
    return chosen


def _fits(field: FieldRow, column_type: str) -> bool:
    _, kind, low, high, _, _, optional, default_kind, _ = field
    if column_type in _TEXTS:
        return kind in ("text", "choice")
    inner = column_type.removeprefix("Nullable(").removesuffix(")") if "Nullable(" in column_type else column_type
    may_be_null = optional or default_kind == "none"
    if inner not in _RANGES or (may_be_null and inner == column_type):
        return False
    wanted, least, most = _RANGES[inner]
    return kind == wanted and least <= low and high <= most
