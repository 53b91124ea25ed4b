"""Records -> columns of ClickHouse tables. Pure: no clock, no client.

A findings record is absolute, so of several with the same key inside one flush only the one with the highest version
becomes rows: open bins, which join writes again at every flush, cost one row per leaf and flush of the store. Raw
copies become columns without an object per row.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

from schemas.cloudevents import has_context
from schemas.codec import HOT, Decoded, decode
from schemas.columns import field_name
from schemas.events import HEARTBEAT_KEY, Heartbeat
from schemas.tables import BY_NAME
from schemas.topics import DLQ_SUFFIX, REPLAYED_HEADER, VERSION_HEADER
from streams.core.context import Erasure, customer_updates, screen
from streams.runtime.astray import came_from
from streams.sinks.mappings import (
    COHORTS,
    DEAD_LETTERS,
    MAPPINGS,
    PROFILES,
    WATERMARKS,
    Columns,
    Headers,
    Messages,
    RowMapping,
    dead_letter_row,
    erased_profile,
)
from streams.sinks.native import NativeRows
from streams.sinks.ready import Ready


class RowBuffer:
    """Rows of one flush, grouped by table. ``pending`` counts what :meth:`columns` would hand out, at least."""

    def __init__(self, native: NativeRows | None = None) -> None:
        """Start empty. ``native`` reads what is most in native code: the same rows as without."""
        self.pending = 0
        self.rejected = 0
        """Messages that break their contract; the room that reads the topic has dead-lettered them."""
        self.erased: dict[str, int] = {}
        """Customers erased -> up to which time of a profile, ms: when their rows are stored, remove older ones."""
        self._native = native
        self._raw: dict[str, Columns] = {}
        self._newest: dict[RowMapping, dict[Hashable, tuple[int, Any]]] = {}

    def add(self, batch: Messages) -> None:
        """Take the rows of a batch; some hundred messages at a time stay in the processor's cache."""
        if batch.topic.endswith(DLQ_SUFFIX):
            dead_letters = [index for index, headers in enumerate(batch.headers) if not _is_mark(headers)]
            rejected = [dead_letter_row(batch, index, batch.headers[index]) for index in dead_letters]
            self._take(DEAD_LETTERS, rejected, versions_of([batch.headers[index] for index in dead_letters]))
            return
        if self._native is not None:
            left = self._natively(self._native, batch)
            if left is None:
                return
            batch = left
        decoded = screen(batch.topic, decode(batch.topic, batch.values, batch.keys, batch.headers), batch.timestamps)
        self.rejected += len(decoded.rejects)
        if batch.topic == "customer":
            self._erase(batch, decoded)
        if batch.topic in HOT:
            self._add_raw(batch, decoded.records, decoded.index)
        elif decoded.records:
            self._add_findings(batch, decoded.records, decoded.index)

    def columns(self) -> Iterator[tuple[str, Sequence[list[Any] | Ready]]]:
        """(table, columns in the order of the catalogue) for every table that has rows; a table may come twice.

        Progress marks come last: who sees one in the database also sees the counts that it says are complete.
        """
        if self._native is not None:
            yield from self._native.tables()
        for table, columns in self._raw.items():
            if columns[0]:
                yield table, columns
        for mapping, newest in sorted(self._newest.items(), key=lambda item: item[0] is WATERMARKS):
            columns = mapping.columns([record for _, record in newest.values()], [ver for ver, _ in newest.values()])
            if columns[0]:
                yield mapping.table, columns

    def _erase(self, batch: Messages, decoded: Decoded) -> None:
        """Keys without a value: a row that replaces the profile. Copies and sweeps of such say nothing new."""
        found = [
            erased_profile(update)
            for index, _, update in customer_updates(decoded, batch.keys, batch.timestamps)
            if isinstance(update, Erasure) and came_from(batch.headers[index]) is None
        ]
        if found:
            self._take(PROFILES, found, [0] * len(found))
            self.rejected -= len(found)
            for row in found:
                self.erased[row.customer_id] = max(row.updated_at_ms, self.erased.get(row.customer_id, 0))

    def _add_findings(self, batch: Messages, records: list[Any], index: list[int]) -> None:
        """Sort records by kind; all of one kind go to the same tables."""
        vers = versions_of(batch.headers)
        groups: dict[str, tuple[list[Any], list[int]]] = {}
        for record, at in zip(records, index, strict=True):
            kind = getattr(record, "kind", batch.topic)
            group = groups.get(kind)
            if group is None:
                group = groups[kind] = ([], [])
            group[0].append(record)
            group[1].append(at)
        for kind, (found, indexes) in groups.items():
            chosen = [vers[at] for at in indexes]
            for mapping in MAPPINGS.get(kind, ()):
                located = mapping.located
                self._take(mapping, found if located is None else
                           [located(record, batch, at) for record, at in zip(found, indexes, strict=True)], chosen)

    def _take(self, mapping: RowMapping, records: list[Any], vers: list[int]) -> None:
        """Of each key remember the newest version."""
        newest = self._newest.setdefault(mapping, {})
        for key, record, ver in zip(map(mapping.key, records), records, vers, strict=True):
            known = newest.get(key)
            if known is None or ver >= known[0]:
                newest[key] = (ver, record)
        self.pending += len(records)
        if mapping is COHORTS:
            self.pending += sum([len(record.leaves) - 1 for record in records])

    def _natively(self, native: NativeRows, batch: Messages) -> Messages | None:
        """Let native code take what it is sure about; returns what is left, None if nothing is."""
        if batch.topic in HOT and batch.has_headers and any(map(has_context, batch.headers)):
            return batch  # CloudEvents: part of the message lies in its headers
        rows, left, given_back = native.add(batch, batch.partition)
        self.pending += rows
        if given_back:
            self._take_back(batch.topic, given_back)
        if len(left) == len(batch.values):
            return batch
        return batch.pick(left) if left else None

    def _take_back(self, kind: str, messages: Sequence[tuple[bytes, int]]) -> None:
        """Take findings of one kind that native code had taken and gives back; they are counted already."""
        counted = self.pending
        decoded = decode(kind, [value for value, _ in messages])
        for mapping in MAPPINGS[kind]:
            self._take(mapping, decoded.records, [messages[index][1] for index in decoded.index])
        self.pending = counted

    def _add_raw(self, batch: Messages, records: list[Any], index: list[int]) -> None:
        """Append the declared columns, one pass of one C-level getter over the records."""
        if HEARTBEAT_KEY in batch.keys:
            alive = [not isinstance(record, Heartbeat) for record in records]
            index = [at for at, event in zip(index, alive, strict=True) if event]
            records = [record for record, event in zip(records, alive, strict=True) if event]
        if not records:
            return
        getter, optional = RAW[batch.topic]
        fresh: list[Sequence[Any]] = list(zip(*map(getter, records), strict=True))
        for text in optional:
            fresh[text] = [value or "" for value in fresh[text]]
        offsets, size = batch.offsets, len(records)
        chosen = offsets if size == len(offsets) else [offsets[at] for at in index]
        tail: list[Sequence[Any]] = [[batch.topic] * size, [batch.partition] * size, chosen]
        table = self._raw.get(f"{batch.topic}_raw")
        if table is None:
            table = self._raw[f"{batch.topic}_raw"] = [[] for _ in range(len(fresh) + len(tail))]
        for column, values in zip(table, [*fresh, *tail], strict=True):
            column.extend(values)
        self.pending += size


def version_of(headers: Headers) -> int:
    """The ``cx.ver`` of a message, 0 if it has none (input topics) or an unreadable one."""
    for name, value in headers:
        if name == VERSION_HEADER and value is not None:
            return int(value) if value.isdigit() else 0
    return 0


def versions_of(headers: Sequence[Headers]) -> list[int]:
    """:func:`version_of` of every message; those of one flush share one version, which is read once."""
    read: dict[bytes | None, int] = {}
    found = []
    for one in headers:
        if len(one) == 1 and one[0][0] == VERSION_HEADER:
            ver = read.get(one[0][1])
            if ver is None:
                ver = read[one[0][1]] = version_of(one)
        else:
            ver = version_of(one)
        found.append(ver)
    return found


def _raw_getter(noun: str) -> tuple[Callable[[Any], tuple[Any, ...]], tuple[int, ...]]:
    """Getter of the declared columns, and the positions of text columns whose field may be None."""
    columns = BY_NAME[f"{noun}_raw"].columns[:-3]
    fields = HOT[noun].model_fields
    names = [field_name(column.name, fields) or column.name for column in columns]
    texts = tuple(
        position
        for position, (name, column) in enumerate(zip(names, columns, strict=True))
        if fields[name].default is None and "String" in column.type
    )
    return attrgetter(*names), texts


RAW: Mapping[str, tuple[Callable[[Any], tuple[Any, ...]], tuple[int, ...]]] = {noun: _raw_getter(noun) for noun in HOT}


def _is_mark(headers: Headers) -> bool:
    """True for a record that says of a dead letter that it was fed back (``streams.sources.dead_letters``)."""
    return any(name == REPLAYED_HEADER for name, _ in headers)
