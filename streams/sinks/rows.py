"""Records -> columns of ClickHouse tables. Pure: no clock, no client.

A findings record is absolute, so of several with the same key inside one flush only the one with the highest version
is kept, and only survivors become rows: open bins, which join writes again at every flush, cost one row per leaf and
flush of the store. Raw copies become columns without an object per row.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, Protocol

from schemas.cloudevents import has_context
from schemas.codec import HOT, Decoded, decode
from schemas.events import HEARTBEAT_KEY, Heartbeat
from schemas.tables import BY_NAME
from schemas.topics import DLQ_SUFFIX, VERSION_HEADER
from streams.core.context import FUTURE_MS, Erasure, customer_updates, screen
from streams.core.stage import RawPart
from streams.runtime.astray import came_from
from streams.sinks.native import FIELD_OF, NativeRows, Ready

Headers = Sequence[tuple[str, bytes | None]]
RowValues = tuple[Any, ...]
MINUTE_MS = 60_000


class Messages(RawPart, Protocol):
    """A batch of one topic partition, parallel lists (``streams.runtime.batch.RawBatch`` is one)."""

    @property
    def partition(self) -> int: ...
    @property
    def headers(self) -> Sequence[Headers]: ...
    @property
    def has_headers(self) -> bool: ...
    def pick(self, places: Sequence[int]) -> Messages: ...


Columns = list[list[Any]]
"""One list per column of a table, in the order of the catalogue."""


@dataclass(frozen=True, slots=True, eq=False)
class RowMapping:
    """How findings become rows of one table: their natural key there, and the columns of those that are newest."""

    table: str
    key: Callable[[Any], Hashable]
    columns: Callable[[list[Any], list[int]], Columns]
    """Of the records and their versions, parallel lists, at least one each."""
    placed: Callable[[Any, Messages, int], Any] | None = None
    """What is kept of a record whose key or rows hold where it was read: record, batch, index."""


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
            letters = [_dead_letter(batch, index, headers) for index, headers in enumerate(batch.headers)]
            self._keep(DEAD_LETTER, letters, versions_of(batch.headers))
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
        for target, kept in sorted(self._newest.items(), key=lambda item: item[0] is _MARK):
            columns = target.columns([record for _, record in kept.values()], [ver for ver, _ in kept.values()])
            if columns[0]:
                yield target.table, columns

    def _erase(self, batch: Messages, decoded: Decoded) -> None:
        """Keys without a value: a row that replaces the profile. Copies and sweeps of such say nothing new."""
        found = [
            said
            for place, _, said in customer_updates(decoded, batch.keys, batch.timestamps)
            if isinstance(said, Erasure) and came_from(batch.headers[place]) is None
        ]
        if found:
            self._keep(_PROFILES, found, [0] * len(found))
            self.rejected -= len(found)
            for said in found:
                self.erased[said.customer_id] = max(_stamp(said), self.erased.get(said.customer_id, 0))

    def _add_findings(self, batch: Messages, records: list[Any], index: list[int]) -> None:
        """Sort records by kind; all of one kind go to the same tables."""
        vers = versions_of(batch.headers)
        groups: dict[str, tuple[list[Any], list[int]]] = {}
        for record, place in zip(records, index, strict=True):
            kind = getattr(record, "kind", batch.topic)
            group = groups.get(kind)
            if group is None:
                group = groups[kind] = ([], [])
            group[0].append(record)
            group[1].append(place)
        for kind, (found, places) in groups.items():
            chosen = [vers[place] for place in places]
            for target in MAPPINGS.get(kind, ()):
                placed = target.placed
                self._keep(target, found if placed is None else
                           [placed(record, batch, place) for record, place in zip(found, places, strict=True)], chosen)

    def _keep(self, target: RowMapping, records: list[Any], vers: list[int]) -> None:
        """Keep the newest version of each key."""
        newest = self._newest.setdefault(target, {})
        for key, record, ver in zip(map(target.key, records), records, vers, strict=True):
            held = newest.get(key)
            if held is None or ver >= held[0]:
                newest[key] = (ver, record)
        self.pending += len(records)
        if target is _COHORTS:
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
        """Keep findings of one kind that native code had kept; they are counted already."""
        counted = self.pending
        decoded = decode(kind, [value for value, _ in messages])
        for target in MAPPINGS[kind]:
            self._keep(target, decoded.records, [messages[place][1] for place in decoded.index])
        self.pending = counted

    def _add_raw(self, batch: Messages, records: list[Any], index: list[int]) -> None:
        """Append the declared columns, one pass of one C-level getter over the records."""
        if HEARTBEAT_KEY in batch.keys:
            alive = [not isinstance(record, Heartbeat) for record in records]
            index = [where for where, keep in zip(index, alive, strict=True) if keep]
            records = [record for record, keep in zip(records, alive, strict=True) if keep]
        if not records:
            return
        getter, optional = RAW[batch.topic]
        fresh: list[Sequence[Any]] = list(zip(*map(getter, records), strict=True))
        for where in optional:
            fresh[where] = [value or "" for value in fresh[where]]
        offsets, size = batch.offsets, len(records)
        places = offsets if size == len(offsets) else [offsets[where] for where in index]
        tail: list[Sequence[Any]] = [[batch.topic] * size, [batch.partition] * size, places]
        held = self._raw.get(f"{batch.topic}_raw")
        if held is None:
            held = self._raw[f"{batch.topic}_raw"] = [[] for _ in range(len(fresh) + len(tail))]
        for column, values in zip(held, [*fresh, *tail], strict=True):
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


# ---- raw copies -------------------------------------------------------------------------------------------------

def _raw_getter(noun: str) -> tuple[Callable[[Any], RowValues], tuple[int, ...]]:
    """Getter of the declared columns, and the positions of text columns whose field may be None."""
    columns = BY_NAME[f"{noun}_raw"].columns[:-3]
    fields = HOT[noun].model_fields
    names = [FIELD_OF.get(column.name, column.name) for column in columns]
    texts = tuple(
        position
        for position, (name, column) in enumerate(zip(names, columns, strict=True))
        if fields[name].default is None and "String" in column.type
    )
    return attrgetter(*names), texts


RAW: Mapping[str, tuple[Callable[[Any], RowValues], tuple[int, ...]]] = {noun: _raw_getter(noun) for noun in HOT}


# ---- dead letters -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """What the headers of a dead letter say. Its bytes are not read."""

    topic: str
    partition: int
    offset: int
    reason: str
    field: str
    rule: str
    value_class: str
    rejected_at_ms: int


def _dead_letter(batch: Messages, index: int, headers: Headers) -> DeadLetterRow:
    said = {name: (value or b"").decode("utf-8", "replace")[:200] for name, value in headers}

    def number(name: str, default: int) -> int:
        return int(said[name]) if said.get(name, "").isdecimal() else default

    return DeadLetterRow(
        topic=batch.topic.removesuffix(DLQ_SUFFIX),
        partition=number("dlq.partition", batch.partition),
        offset=number("dlq.offset", batch.offsets[index]),
        reason=said.get("dlq.reason", "unknown"),
        field=said.get("dlq.field", ""),
        rule=said.get("dlq.rule", ""),
        value_class=said.get("dlq.value_class", ""),
        rejected_at_ms=max(batch.timestamps[index], 0),
    )


# ---- findings ---------------------------------------------------------------------------------------------------


def _rows(make: Callable[[Any], RowValues]) -> Callable[[list[Any], list[int]], Columns]:
    """One row a record, made by ``make``, then the version."""
    return lambda records, vers: [*map(list, zip(*map(make, records), strict=True)), vers]


def _one(*fields: str) -> Callable[[list[Any], list[int]], Columns]:
    """One row a record: the named fields, then the version."""
    return _rows(attrgetter(*fields))


def _by(*fields: str) -> Callable[[Any], Hashable]:
    return attrgetter(*fields)


def _cohort_columns(records: list[Any], vers: list[int]) -> Columns:
    """One row a leaf."""
    leaves = [leaf for record in records for leaf in record.leaves]
    return [
        *([value for value, record in zip(map(field, records), records, strict=True) for _ in record.leaves]
          for field in _COHORT_HEAD),
        [leaf.values for leaf in leaves],
        [leaf.exposed for leaf in leaves],
        [len(leaf.failed) for leaf in leaves],
        [record.closed for record in records for _ in record.leaves],
        [ver for ver, record in zip(vers, records, strict=True) for _ in record.leaves],
    ]  # fmt: skip


_COHORT_HEAD = [attrgetter(name) for name in ("line", "family", "bin_ms", "width_ms", "partition", "attributes")]
_EPISODE_HEAD = attrgetter("line", "family", "window_ms", "customer_id", "attributes")
_EPISODE = attrgetter(
    "first_failed_ms", "last_failed_ms", "failures", "evidence", "amount_cents", "contacted_at_ms", "contacts",
    "put_right_ms", "origin",
)


def _episode_row(record: Any) -> RowValues:
    return (*_EPISODE_HEAD(record), [leaf.values for leaf in record.leaves], *_EPISODE(record))


_ISSUE_HEAD = attrgetter("issue_id", "root_id", "onset", "line", "family", "state", "title")
_CAUSE = attrgetter(
    "attributes", "risk_ratio", "risk_ratio_low", "risk_ratio_high", "support", "exposed", "failed", "changes"
)
_ISSUE_TIMES = attrgetter("opened_at_ms", "detected_at_ms", "updated_at_ms", "resolved_at_ms", "shown_at_ms")
_ISSUE_TAIL = attrgetter("scale_ms", "expected", "observed", "ratio_low", "provisional")


def _issue_row(record: Any) -> RowValues:
    ended = record.end_reason or ""
    return (*_ISSUE_HEAD(record), *_CAUSE(record.cause), *_ISSUE_TIMES(record), ended, *_ISSUE_TAIL(record))


def _issue_minute_row(record: Any) -> RowValues:
    return (record.issue_id, _minute(record.updated_at_ms), record.state, record.expected, record.observed)


def _minute(time_ms: int) -> int:
    return time_ms // MINUTE_MS * MINUTE_MS


_MONEY = attrgetter("affected", "contacted", "silent", "at_risk_cents")
_RANGE = attrgetter("at_risk_low_cents", "at_risk_high_cents", "per_minute_cents", "service_cents", "currency")


def _impact_row(record: Any) -> RowValues:
    assumed = record.assumptions
    lists = ([getattr(one, name) for one in assumed] for name in ("name", "value", "unit", "source", "assumed"))
    return (record.issue_id, record.line, record.family, *_MONEY(record), *_RANGE(record), *lists, record.as_of_ms)


def _impact_minute_row(record: Any) -> RowValues:
    return (record.issue_id, _minute(record.as_of_ms), *_MONEY(record), record.per_minute_cents, record.currency)


_OUTREACH_HEAD = attrgetter("outreach_id", "issue_id", "root_id", "customer_id", "stage", "decision", "reason")
_OUTREACH_TAIL = attrgetter("language", "template", "decided_at_ms", "not_before_ms", "deadline_ms")


def _outreach_row(record: Any) -> RowValues:
    return (*_OUTREACH_HEAD(record), record.channel or "", *_OUTREACH_TAIL(record))


class Mark(NamedTuple):
    """A progress mark and the topic it was read on; ``partitions`` is 0 if it does not say."""

    topic: str
    partition: int
    partitions: int
    through_ms: int


def _mark(record: Any, batch: Messages, _index: int) -> Mark:
    return Mark(batch.topic, record.partition, getattr(record, "partitions", 0), record.through_ms)


def _plain(make: Callable[[Any], RowValues]) -> Callable[[list[Any], list[int]], Columns]:
    """One row a record, without a version."""
    return lambda records, _vers: [*map(list, zip(*map(make, records), strict=True))]


_CHANGE = attrgetter("change_id", "changed_at_ms", "change_kind", "product", "attributes", "title")
_CUSTOMER = attrgetter("customer_id", "updated_at_ms", "segment", "value_cents", "language", "time_zone", "opted_out")


def _stamp(said: Any) -> int:
    """The version of a profile's row. An erasure replaces whatever rooms would not take for a new beginning."""
    return said.erased_at_ms + FUTURE_MS + 1 if isinstance(said, Erasure) else int(said.updated_at_ms)


def _customer_row(said: Any) -> RowValues:
    if isinstance(said, Erasure):
        return (said.customer_id, _stamp(said), "", 0, "", "", False, 1)
    return (*_CUSTOMER(said), 0)


def _change_row(record: Any, batch: Messages, index: int) -> RowValues:
    return (*_CHANGE(record), batch.offsets[index])


def _command_row(record: Any) -> RowValues:
    return (record.command_id, record.issued_at_ms, record.action, record.issue_id or "", record.actor)


_MARK = RowMapping("watermark", itemgetter(0, 1), _rows(tuple), _mark)
_COHORTS = RowMapping("cohort_count", _by("line", "family", "bin_ms", "width_ms", "partition"), _cohort_columns)
_PROFILES = RowMapping("customer", lambda said: (said.customer_id, _stamp(said)), _plain(_customer_row))
_COMMANDS = RowMapping("command", _by("command_id"), _plain(_command_row))
DEAD_LETTER = RowMapping(
    "dead_letter",
    _by("topic", "partition", "offset"),
    _one("topic", "partition", "offset", "reason", "field", "rule", "value_class", "rejected_at_ms"),
)

MAPPINGS: Mapping[str, tuple[RowMapping, ...]] = {
    "cohort_count": (_COHORTS,),
    "bin_closed": (_MARK,),
    "values_seen": (),
    "watermark": (_MARK,),
    "source_count": (
        RowMapping(
            "source_count",
            _by("topic", "source", "bin_ms", "partition"),
            _one("topic", "source", "bin_ms", "width_ms", "partition", "events", "late", "duplicates"),
        ),
    ),
    "episode": (RowMapping("episode", _by("line", "family", "window_ms", "customer_id"), _rows(_episode_row)),),
    "issue": (
        RowMapping("issue", _by("issue_id"), _rows(_issue_row)),
        RowMapping(
            "issue_1m", lambda record: (record.issue_id, _minute(record.updated_at_ms)), _rows(_issue_minute_row)
        ),
    ),
    "affected": (
        RowMapping(
            "affected",
            _by("issue_id", "customer_id"),
            _one(
                "issue_id",
                "root_id",
                "customer_id",
                "line",
                "family",
                "known_at_ms",
                "first_failed_ms",
                "last_failed_ms",
                "contacted_at_ms",
                "amount_cents",
                "value_cents",
                "put_right_ms",
                "origin",
            ),
        ),
    ),
    "affected_count": (
        RowMapping(
            "affected_count",
            _by("issue_id", "partition"),
            _one(
                "issue_id",
                "partition",
                "line",
                "family",
                "open",
                "affected",
                "contacted",
                "silent",
                "recent",
                "value_cents",
                "valued",
                "amount_cents",
                "as_of_ms",
            ),
        ),
    ),
    "impact": (
        RowMapping("impact", _by("issue_id"), _rows(_impact_row)),
        RowMapping(
            "impact_1m", lambda record: (record.issue_id, _minute(record.as_of_ms)), _rows(_impact_minute_row)
        ),
    ),
    "outreach": (RowMapping("outreach", _by("outreach_id"), _rows(_outreach_row)),),
    "delivery": (
        RowMapping(
            "delivery",
            _by("outreach_id"),
            _one(
                "outreach_id",
                "issue_id",
                "customer_id",
                "stage",
                "channel",
                "outcome",
                "reason",
                "attempts",
                "claimed_at_ms",
                "done_at_ms",
            ),
        ),
    ),
    "channel": (
        RowMapping("channel", _by("channel", "partition"), _one("channel", "partition", "state", "reason", "since_ms")),
    ),
    "late": (
        RowMapping(
            "late",
            _by("topic", "partition", "offset"),
            _one("topic", "partition", "offset", "source", "event_time_ms", "watermark_ms"),
        ),
    ),
    "tick": (
        RowMapping(
            "tick",
            _by("room", "partition", "event_time_ms"),
            _one("room", "partition", "event_time_ms", "offsets"),
        ),
    ),
    "customer": (_PROFILES,),
    "change": (RowMapping("change", itemgetter(0), _plain(tuple), _change_row),),
    "command": (_COMMANDS,),
    "control": (_COMMANDS,),
}
"""Per ``kind`` of record (or noun, for records that have no kind): the tables it goes to."""
