"""Rows in native code: undecoded messages become columns in the form the server reads, without a Python object a value
and without the interpreter lock. ``streams.sinks.rows`` defines what a row holds; the native implementation leaves
every message it is not sure about to that.

Two sorts of messages are common enough for it: events, copied one by one, and the findings that come in numbers, of
which only the newest of a key is stored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas.codec import HOT
from schemas.columns import field_name
from schemas.events import HEARTBEAT_KEY, Record
from schemas.fieldspec import FieldRow, NestedRow, field_specs, nested_specs
from schemas.findings import CohortCount, Episode
from schemas.table import NAMES, PAIRS, VALUES, Table
from schemas.tables import BY_NAME
from schemas.topics import BY_NOUN, VERSION_HEADER
from streams.core.join.native import require
from streams.core.stage import RawPart
from streams.sinks.ready import Ready

ORIGIN = {"topic": "@topic", "partition": "@partition", "offset": "@offset"}
"""Columns that say where a message was read."""
_TEXTS = ("String", "LowCardinality(String)")
_OF_TEXTS = {"map": (PAIRS,), "texts": (NAMES, VALUES)}
"""Kind of field that holds several texts -> the types of column that take them."""
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
class FindingRows:
    """How findings of one kind become rows of the table of the same name, as ``streams.sinks.rows`` says."""

    model: type[Record]
    key: tuple[str, ...]
    origins: Mapping[str, str]
    """Column -> ``list.field``, where it is no field of the finding."""
    by: str | None = None
    """The list whose every record is a row."""


FINDINGS: Mapping[str, FindingRows] = {
    "cohort_count": FindingRows(
        CohortCount,
        ("line", "signal", "bin_ms", "width_ms", "partition"),
        {"values": "leaves.values", "exposed": "leaves.exposed", "failed": "leaves.failed"},
        by="leaves",
    ),
    "episode": FindingRows(
        Episode, ("line", "signal", "window_ms", "customer_id"), {"leaves": "leaves.values"}
    ),
}
"""Per topic the kind of finding, named like the topic, that is read natively."""


class NativePlans:
    """What the native implementation has to know of every topic it reads."""

    def __init__(self) -> None:
        """Translate models and tables. Raises ConfigError without the native implementation."""
        native = require()
        self.copies = {noun: native.CopyPlan(*copy_plan(noun, model)) for noun, model in HOT.items()}
        self.findings = {noun: native.FindingPlan(*finding_plan(noun, one)) for noun, one in FINDINGS.items()}


class Taken(NamedTuple):
    """What became of the messages of a part."""

    rows: int
    left: Sequence[int]
    """Indexes of messages that are for Python to read."""
    given_back: Sequence[tuple[bytes, int]] = ()
    """Findings of the topic that had been taken before, with their versions: Python reads them first after all."""


class NativeRows:
    """Rows of one flush. A topic's methods may be called in any order; its messages have to come in theirs."""

    def __init__(self, plans: NativePlans) -> None:
        """Start empty."""
        self._plans = plans
        self._copies: dict[str, Any] = {}
        self._findings: dict[str, Any] = {}
        self._given_up: set[str] = set()

    def add(self, part: RawPart, partition: int) -> Taken:
        """Take the messages of a part.

        CloudEvents must not be among them: part of such a message lies in its headers.
        """
        noun = part.topic
        if noun in self._plans.copies:
            return self._copy(noun, part, partition)
        if noun in self._plans.findings and noun not in self._given_up:
            return self._take(noun, part)
        return Taken(0, range(len(part.values)))

    def tables(self) -> Sequence[tuple[str, list[Ready]]]:
        """(table, columns in the order of the catalogue) for every table that has rows."""
        found = [(f"{noun}_raw", rows.rows, rows.columns()) for noun, rows in self._copies.items()]
        found += [(noun, *rows.columns()) for noun, rows in self._findings.items()]
        return [
            (table, [Ready(column.type, rows, one) for column, one in zip(BY_NAME[table].columns, data, strict=True)])
            for table, rows, data in found
            if rows
        ]

    def _copy(self, noun: str, part: RawPart, partition: int) -> Taken:
        rows = self._copies.get(noun)
        if rows is None:
            rows = self._copies[noun] = self._plans.copies[noun].start()
        left: list[int] = rows.add(part, partition, BY_NOUN[noun].max_bytes, HEARTBEAT_KEY)
        return Taken(len(part.values) - len(left), left)

    def _take(self, noun: str, part: RawPart) -> Taken:
        """Take the newest findings. At the first that native code cannot decide the topic is left to Python until the
        flush ends, and what was taken is given back: only who sees all findings of a key knows the newest.
        """
        rows = self._findings.get(noun)
        if rows is None:
            rows = self._findings[noun] = self._plans.findings[noun].start()
        count, others, stop = rows.add(part, VERSION_HEADER, BY_NOUN[noun].max_bytes)
        size = len(part.values)
        left = [*others, *range(stop, size)]
        if stop == size:
            return Taken(count, left)
        self._given_up.add(noun)
        return Taken(count, left, self._findings.pop(noun).give_back())


def copy_plan(noun: str, model: type[Record]) -> tuple[str, list[FieldRow], list[tuple[str, str]]]:
    """Arguments of the native implementation's plan for copies of one topic."""
    fields = field_specs(model)
    return noun, fields, columns_of(BY_NAME[f"{noun}_raw"], fields)


def columns_of(table: Table, fields: Sequence[FieldRow]) -> list[tuple[str, str]]:
    """ClickHouse type and origin of every column. Raises TypeError for a field whose values might not fit."""
    by_name = {row[0]: row for row in fields}
    chosen = []
    for column in table.columns:
        origin = ORIGIN.get(column.name) or field_name(column.name, by_name) or column.name
        if column.name not in ORIGIN and not _fits(by_name[origin], column.type):
            raise TypeError(f"{table.name}: not every {origin} fits {column.type}")
        chosen.append((column.type, origin))
    return chosen


def _fits(field: FieldRow, column_type: str) -> bool:
    _, kind, low, high, _, _, optional, default_kind, _, _ = field
    if column_type in _TEXTS:
        return kind in ("text", "choice")
    if kind in _OF_TEXTS:
        return column_type in _OF_TEXTS[kind] and not optional
    inner = _inner(column_type)
    may_be_null = optional or default_kind == "none"
    if inner not in _RANGES or (may_be_null and inner == column_type):
        return False
    wanted, least, most = _RANGES[inner]
    return kind == wanted and least <= low and high <= most


def _inner(column_type: str) -> str:
    inner = column_type.removeprefix("Nullable(")
    return inner if inner == column_type else inner.removesuffix(")")


def finding_plan(
    noun: str, one: FindingRows
) -> tuple[str, list[NestedRow], list[tuple[str, str]], Sequence[str], str | None, list[str]]:
    """Arguments of the native implementation's plan for one kind of finding."""
    names = one.model.model_fields
    origins = {"ver": "@version", **one.origins}
    columns = [
        (column.type, origins.get(column.name) or field_name(column.name, names) or column.name)
        for column in BY_NAME[noun].columns
    ]
    kinds = [model.model_fields["kind"].default for model in BY_NOUN[noun].records]
    types = {origin: _inner(column_type) for column_type, origin in columns}
    fields = [_within(row, types) for row in nested_specs(one.model)]
    return noun, fields, columns, one.key, one.by, [kind for kind in kinds if kind != noun]


def _within(row: NestedRow, types: Mapping[str, str]) -> NestedRow:
    """The row with the limits of numbers narrowed to what fits their columns; others are for Python to complain of."""
    name, form, value, inner = row
    return (
        name,
        form,
        _narrowed(value, form, types.get(name)),
        [(leaf, how, _narrowed(one, how, types.get(f"{name}.{leaf}"))) for leaf, how, one in inner],
    )


def _narrowed(row: FieldRow | None, form: str, column_type: str | None) -> FieldRow | None:
    if row is None or form != "one" or row[1] != "int" or column_type is None:
        return row
    _, least, most = _RANGES[column_type]
    return (*row[:2], max(row[2], int(least)), min(row[3], int(most)), *row[4:])
