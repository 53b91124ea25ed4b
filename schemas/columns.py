"""Which field of a record a column of its table shows, found by the names, so that neither list repeats the other.

A time's column leaves out the unit of its field: ``bin`` shows ``bin_ms``, ``resolved_at`` shows ``resolved_at_ms`` and
``first_failed_at`` shows ``first_failed_ms``. A column may also show a field of a record inside the record.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any, get_type_hints

from schemas.events import Record


@dataclass(frozen=True, slots=True)
class RecordField:
    """A field: its path (``cause.support`` for one of a record inside the record), and whether it may be None."""

    path: str
    optional: bool


def field_name(column: str, names: Container[str]) -> str | None:
    """The one of ``names`` that a column shows, None if it shows none of them.

    >>> field_name("first_failed_at", {"first_failed_ms", "failures"})
    'first_failed_ms'
    """
    candidates = (column, f"{column}_ms", f"{column.removesuffix('_at')}_ms")
    return next((name for name in candidates if name in names), None)


def field_of(column: str, model: type) -> RecordField | None:
    """The field of ``model`` (a record, a dataclass or a named tuple) that a column shows, None if it has none."""
    fields = {name: (kind, optional) for name, kind, optional in _fields(model)}
    name = field_name(column, fields)
    if name is not None:
        return RecordField(name, fields[name][1])
    for outer, (kind, _) in fields.items():
        inside = field_of(column, kind) if isinstance(kind, type) and issubclass(kind, Record) else None
        if inside is not None:
            return RecordField(f"{outer}.{inside.path}", inside.optional)
    return None


def _fields(model: type) -> Iterator[tuple[str, Any, bool]]:
    """Name, type and whether None is the default, of every field."""
    if issubclass(model, Record):
        for name, info in model.model_fields.items():
            yield name, info.annotation, info.default is None
    else:
        for name, kind in get_type_hints(model).items():
            yield name, kind, False
