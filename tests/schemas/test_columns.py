"""Columns show fields: found by their names, of a type that holds the field's values."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest

from schemas.columns import RecordField, field_name, field_of
from schemas.findings import LeafCount
from schemas.issues import Issue
from schemas.table import Column
from schemas.tables import TABLES
from schemas.topics import BY_NOUN
from streams.sinks.mappings import mapping_of

FITS = {
    "String": str, "Bool": bool, "Float64": float, "UInt8": int, "UInt32": int, "UInt64": int, "Int64": int,
    "DateTime64(3, 'UTC')": int, "Array": tuple, "Map": dict,
}  # fmt: skip
"""ClickHouse type without its wrapping -> type of the field."""


def inner(column: Column) -> str:
    """The type of a column without Nullable, LowCardinality and what is inside a list."""
    for wrapping in ("Nullable(", "LowCardinality("):
        if column.type.startswith(wrapping):
            return column.type.removeprefix(wrapping).removesuffix(")")
    return next((kind for kind in ("Array", "Map") if column.type.startswith(kind)), column.type)


def bare(annotation: Any) -> tuple[type, bool]:
    """The type of a field without rules, and whether it may be None."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return str, False
    if get_origin(annotation) in (Union, types.UnionType):
        (kind,) = [part for part in get_args(annotation) if part is not type(None)]
        return bare(kind)[0], True
    return get_origin(annotation) or annotation, False


def shown() -> list[tuple[str, Column, Any]]:
    """Table, column and annotation of the field that it shows, for every column that shows one."""
    found = []
    for table in TABLES:
        if table.noun not in BY_NOUN:
            continue
        model = BY_NOUN[table.noun].records[0]
        for column in table.columns:
            field = field_of(column.name, model)
            if field is None:
                continue
            *outer, name = field.path.split(".")
            owner: Any = model.model_fields[outer[0]].annotation if outer else model
            found.append((table.name, column, owner.model_fields[name].annotation))
    return found


SPECIAL = {("issue", "cause"), ("episode", "leaves")}
"""Columns named like a field of which they show a part."""


@pytest.mark.parametrize(("table", "column", "annotation"), shown())
def test_a_column_holds_every_value_of_its_field(table: str, column: Column, annotation: Any) -> None:
    if (table, column.name) in SPECIAL:
        return
    kind, optional = bare(annotation)
    assert FITS[inner(column)] is kind
    assert not optional or column.type.startswith("Nullable") or kind is str


def test_names_find_fields_by_the_unit_they_leave_out() -> None:
    names = {"bin_ms", "latency_ms", "resolved_at_ms", "first_failed_ms"}
    wanted = {"bin": "bin_ms", "latency_ms": "latency_ms", "resolved_at": "resolved_at_ms",
              "first_failed_at": "first_failed_ms", "failed": None}  # fmt: skip
    assert {column: field_name(column, names) for column in wanted} == wanted
    assert field_of("support", Issue) == RecordField("cause.support", False)
    assert field_of("end_reason", Issue) == RecordField("end_reason", True)


def test_most_columns_are_found_by_their_names() -> None:
    columns = sum(len(table.columns) for table in TABLES)
    assert len(shown()) > columns * 2 // 3


def test_a_column_without_a_field_is_refused() -> None:
    with pytest.raises(TypeError, match="LeafCount has no field for issue_id"):
        mapping_of("issue", LeafCount)


def test_every_key_and_version_is_a_column() -> None:
    for table in TABLES:
        plain = {key for key in table.key if "(" not in key}
        assert {*plain, *filter(None, (table.version, table.deleted))} <= set(table.names)
