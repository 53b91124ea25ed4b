"""How findings become rows: for each table the natural key and a getter per column, derived from the catalogues.

``schemas.tables`` lists the columns, the records have the fields, and ``schemas.columns`` finds the field of a column.
Written here is only what names cannot say: columns that are computed, and rows that hold where a message was read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

from schemas.columns import field_of
from schemas.events import PLAIN_TEXT, Change, Command, Customer
from schemas.findings import CohortCount
from schemas.table import MONEY, Column
from schemas.tables import BY_NAME, TABLES
from schemas.topics import BY_NOUN, DAY_MS, DLQ_SUFFIX, MINUTE_MS
from schemas.vitals import TaskVital, Vital
from streams.core.context import FUTURE_MS, Erasure
from streams.core.stage import RawPart
from streams.runtime.deadletter import source_of

Headers = Sequence[tuple[str, bytes | None]]
Getter = Callable[[Any], Any]
Columns = list[list[Any]]
"""One list per column of a table, in the order of the catalogue."""
_PLAIN = re.compile(PLAIN_TEXT)
_LONGEST_LABEL = 128
VERSION = "ver"
"""Column with the version of a row, which comes from the message's headers."""


class Messages(RawPart, Protocol):
    """A batch of one topic partition, parallel lists (``streams.runtime.batch.RawBatch`` is one)."""

    @property
    def partition(self) -> int: ...
    @property
    def headers(self) -> Sequence[Headers]: ...
    @property
    def has_headers(self) -> bool: ...
    def pick(self, indexes: Sequence[int]) -> Messages: ...


@dataclass(frozen=True, slots=True, eq=False)
class RowMapping:
    """How findings become rows of one table: their natural key there, and the columns of those that are newest."""

    table: str
    key: Callable[[Any], Hashable]
    columns: Callable[[list[Any], list[int]], Columns]
    """Of the records and their versions, parallel lists, at least one each."""
    located: Callable[[Any, Messages, int], Any] | None = None
    """Makes what the getters read, for a table that holds where a message was read: of record, batch and index."""


def mapping_of(
    table: str,
    model: type,
    computed: Mapping[str, Getter] | None = None,
    key: Callable[[Any], Hashable] | None = None,
    located: Callable[[Any, Messages, int], Any] | None = None,
) -> RowMapping:
    """The mapping of records of ``model`` to one row each.

    ``computed``: columns that no field shows; ``key``: if not that of the table. Raises TypeError for a column that
    neither a field nor ``computed`` gives.
    """
    computed = computed or {}
    listed = BY_NAME[table]
    getters = [_getter(column, model, computed, table) for column in listed.columns if column.name != VERSION]
    versioned = VERSION in listed.names

    def columns(records: list[Any], vers: list[int]) -> Columns:
        values = [list(map(getter, records)) for getter in getters]
        return [*values, vers] if versioned else values

    return RowMapping(table, key or _key(listed.key, model, computed), columns, located)


def _getter(column: Column, model: type, computed: Mapping[str, Getter], table: str) -> Getter:
    if column.name in computed:
        return computed[column.name]
    field = field_of(column.name, model)
    if field is None:
        raise TypeError(f"{table}: {model.__name__} has no field for {column.name}")
    plain = attrgetter(field.path)
    if column.type == MONEY:
        return lambda record: [(one.currency, one.minor) for one in plain(record)]
    if field.optional and "String" in column.type:
        return lambda record: plain(record) or ""
    return plain


def _key(names: tuple[str, ...], model: type, computed: Mapping[str, Getter]) -> Callable[[Any], Hashable]:
    fields = [field_of(name, model) for name in names]
    if any(name in computed for name in names):
        getters = [computed.get(name) or attrgetter(field.path if field else name)
                   for name, field in zip(names, fields, strict=True)]
        return lambda record: tuple([getter(record) for getter in getters])
    return attrgetter(*(field.path for field in fields if field is not None))


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """What the headers of a dead letter say, and the producer that it names. Nothing else of its bytes is read."""

    topic: str
    partition: int
    offset: int
    source: str
    reason: str
    field: str
    rule: str
    value_class: str
    rejected_at_ms: int


def dead_letter_row(batch: Messages, index: int, headers: Headers) -> DeadLetterRow:
    """Read the headers of message ``index``; what is missing or unreadable is named so, or taken from the batch."""
    texts = {name: (value or b"").decode("utf-8", "replace")[:200] for name, value in headers}

    def number(name: str, default: int) -> int:
        return int(texts[name]) if texts.get(name, "").isdecimal() else default

    return DeadLetterRow(
        topic=batch.topic.removesuffix(DLQ_SUFFIX),
        partition=number("dlq.partition", batch.partition),
        offset=number("dlq.offset", batch.offsets[index]),
        source=_named_source(headers, batch.values[index]),
        reason=texts.get("dlq.reason", "unknown"),
        field=texts.get("dlq.field", ""),
        rule=texts.get("dlq.rule", ""),
        value_class=texts.get("dlq.value_class", ""),
        rejected_at_ms=max(batch.timestamps[index], 0),
    )


def _named_source(headers: Headers, value: bytes | None) -> str:
    """The producer that a message names, empty if that is no label: then it is no name either."""
    source = source_of(headers, value).decode("utf-8", "replace")
    return source if len(source) <= _LONGEST_LABEL and _PLAIN.fullmatch(source) else ""


class WatermarkRow(NamedTuple):
    """A progress mark and the topic it was read on; ``partitions`` is 0 if it does not say."""

    topic: str
    partition: int
    partitions: int
    through_ms: int


class ChangeRow(NamedTuple):
    """A change and where it was read: of two with one id the later counts."""

    change: Change
    offset: int


class VitalRow(NamedTuple):
    """What a process says about a room, and when the broker stored it."""

    vital: Vital
    appended_at_ms: int


class TaskRow(NamedTuple):
    """What a process says about one partition of a room, and when the broker stored it."""

    vital: Vital
    task: TaskVital
    appended_at_ms: int


class ErasedProfile(NamedTuple):
    """What stands in the table instead of the profile of an erased customer."""

    customer_id: str
    updated_at_ms: int
    segment: str = ""
    value_cents: int = 0
    language: str = ""
    time_zone: str = ""
    opted_out: bool = False


def erased_profile(erasure: Erasure) -> ErasedProfile:
    """The row of an erasure. It replaces whatever rooms would not take for a new beginning."""
    return ErasedProfile(erasure.customer_id, erasure.erased_at_ms + FUTURE_MS + 1)


def _watermark_row(record: Any, batch: Messages, _index: int) -> WatermarkRow:
    return WatermarkRow(batch.topic, record.partition, getattr(record, "partitions", 0), record.through_ms)


def _vital_row(record: Vital, batch: Messages, index: int) -> VitalRow:
    return VitalRow(record, max(batch.timestamps[index], 0))


_LEAF: Mapping[str, Getter] = {
    "values": lambda leaf: leaf.values,
    "exposed": lambda leaf: leaf.exposed,
    "failed": lambda leaf: len(leaf.failed),
}
"""Columns of a cohort count that its leaves have; the others are repeated for each leaf."""


def _cohort_columns(records: list[Any], vers: list[int]) -> Columns:
    """One row a leaf."""
    leaves = [leaf for record in records for leaf in record.leaves]

    def repeated(values: Sequence[Any]) -> list[Any]:
        return [value for value, record in zip(values, records, strict=True) for _ in record.leaves]

    return [
        list(map(_LEAF[name], leaves)) if name in _LEAF
        else repeated(vers if name == VERSION else list(map(_COHORT[name], records)))
        for name in BY_NAME["cohort_count"].names
    ]  # fmt: skip


_COHORT: Mapping[str, Getter] = {
    column.name: _getter(column, CohortCount, {}, "cohort_count")
    for column in BY_NAME["cohort_count"].columns
    if column.name not in (*_LEAF, VERSION)
}


def _minute(time_ms: int) -> int:
    return time_ms // MINUTE_MS * MINUTE_MS


def _listed(field: str, attribute: str) -> Getter:
    """One attribute of every record of a list."""
    return lambda record: [getattr(one, attribute) for one in getattr(record, field)]


_COMPUTED: Mapping[str, Mapping[str, Getter]] = {
    "episode": {"leaves": lambda record: [leaf.values for leaf in record.leaves]},
    "issue": {
        "cause": attrgetter("cause.attributes"),
        **{
            f"evidence_{column}": _listed("evidence", attribute)
            for column, attribute in {
                "topics": "topic", "signals": "signal", "since": "since_ms", "expected": "expected",
                "observed": "observed",
            }.items()
        },
    },
    "issue_1m": {"minute": lambda record: _minute(record.updated_at_ms)},
    "impact": {
        f"assumption_{column}": _listed("assumptions", attribute)
        for column, attribute in {
            "names": "name", "values": "value", "units": "unit", "sources": "source", "assumed": "assumed",
        }.items()
    },
    "impact_1m": {"minute": lambda record: _minute(record.as_of_ms)},
    "contact_case": {"deleted": lambda record: int(record.gone)},
    "order_outcome": {"deleted": lambda record: int(record.gone)},
}  # fmt: skip
"""Table -> column -> what it shows of a record, where that is no field."""
_KEYS: Mapping[str, Callable[[Any], Hashable]] = {
    "contact_case": lambda record: (record.opened_at_ms // DAY_MS, record.customer_id, record.contact_id),
    "order_outcome": lambda record: (record.placed_at_ms // DAY_MS, record.customer_id, record.order_id),
}
"""Table -> natural key there, where it is made of more than fields."""

WATERMARKS = mapping_of("watermark", WatermarkRow, located=_watermark_row)
COHORTS = RowMapping(
    "cohort_count", attrgetter("line", "signal", "bin_ms", "width_ms", "partition"), _cohort_columns
)
PROFILES = mapping_of(
    "customer", Customer, {"erased": lambda row: int(isinstance(row, ErasedProfile))},
    attrgetter("customer_id", "updated_at_ms"),
)  # fmt: skip
DEAD_LETTERS = mapping_of("dead_letter", DeadLetterRow)
_CHANGES = mapping_of(
    "change", ChangeRow, located=lambda record, batch, index: ChangeRow(record, batch.offsets[index])
)
_COMMANDS = mapping_of("command", Command)
_OF_VITALS: Mapping[str, Getter] = {
    "minute": lambda row: _minute(row.vital.at_ms),
    "lag": lambda row: sum(row.task.behind.values()),
}
_VITALS = mapping_of("vital", VitalRow, _OF_VITALS, located=_vital_row)
_TASKS = mapping_of("vital_task", TaskRow, _OF_VITALS)


def _task_columns(rows: list[VitalRow], vers: list[int]) -> Columns:
    """One row a task."""
    tasks = [TaskRow(row.vital, task, row.appended_at_ms) for row in rows for task in row.vital.tasks]
    return _TASKS.columns(tasks, vers)


def _mappings() -> dict[str, tuple[RowMapping, ...]]:
    found: dict[str, tuple[RowMapping, ...]] = {
        "cohort_count": (COHORTS,),
        "bin_closed": (WATERMARKS,),
        "values_seen": (),
        "cut": (),
        "watermark": (WATERMARKS,),
        "customer": (PROFILES,),
        "change": (_CHANGES,),
        "command": (_COMMANDS,),
        "control": (_COMMANDS,),
        "vital": (_VITALS, RowMapping("vital_task", _VITALS.key, _task_columns, _vital_row)),
    }
    special = {*found, "dead_letter"}
    for table in TABLES:
        if table.kind in ("findings", "rollup") and table.noun not in special:
            model = BY_NOUN[table.noun].records[0]
            mapping = mapping_of(table.name, model, _COMPUTED.get(table.name), _KEYS.get(table.name))
            found[table.noun] = (*found.get(table.noun, ()), mapping)
    return found


MAPPINGS: Mapping[str, tuple[RowMapping, ...]] = _mappings()
"""Per ``kind`` of record (or noun, for records that have no kind): the tables it goes to."""
