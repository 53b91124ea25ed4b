"""Records -> columns of ClickHouse tables. Pure: no clock, no client.

A findings record is absolute, so of several with the same key inside one flush only the one with the highest version
is kept, and only survivors become rows: open bins, which join writes again at every flush, cost one row per leaf and
flush of the store. Raw copies become columns without an object per row.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Protocol

from schemas.codec import HOT, decode
from schemas.events import HEARTBEAT_KEY, Heartbeat
from schemas.tables import BY_NAME

Headers = Sequence[tuple[str, bytes | None]]
Row = tuple[Any, ...]
MINUTE_MS = 60_000
VERSION_HEADER = "cx.ver"
DLQ_SUFFIX = ".dlq"


class Messages(Protocol):
    """A batch of one topic partition, parallel lists (``streams.runtime.batch.RawBatch`` is one)."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offsets(self) -> Sequence[int]: ...
    @property
    def keys(self) -> Sequence[bytes | None]: ...
    @property
    def values(self) -> Sequence[bytes | None]: ...
    @property
    def headers(self) -> Sequence[Headers]: ...
    @property
    def timestamps(self) -> Sequence[int]: ...


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record was read, and the version its writer gave it."""

    noun: str
    partition: int
    offset: int
    ver: int


@dataclass(frozen=True, slots=True)
class Target:
    """How a record becomes rows of one table: its natural key there, and its rows (usually one)."""

    table: str
    key: Callable[[Any, Origin], Hashable]
    rows: Callable[[Any, Origin], Iterable[Row]]


class RowBuffer:
    """Rows of one flush, grouped by table. ``pending`` counts what :meth:`columns` would hand out, at least."""

    def __init__(self) -> None:
        """Start empty."""
        self.pending = 0
        self.rejected = 0
        """Messages that break their contract; the room that reads the topic has dead-lettered them."""
        self._raw: dict[str, list[list[Any]]] = {}
        self._newest: dict[Target, dict[Hashable, tuple[Any, Origin]]] = {}

    def add(self, batch: Messages) -> None:
        """Take the rows of a batch."""
        if batch.topic.endswith(DLQ_SUFFIX):
            self._add_dead_letters(batch)
            return
        decoded = decode(batch.topic, batch.values, batch.keys, batch.headers)
        self.rejected += len(decoded.rejects)
        if batch.topic in HOT:
            self._add_raw(batch, decoded.records, decoded.index)
            return
        for record, index in zip(decoded.records, decoded.index, strict=True):
            origin = _origin(batch, index)
            for target in TARGETS.get(getattr(record, "kind", batch.topic), ()):
                self._keep(target, record, origin)

    def columns(self) -> Iterator[tuple[str, list[list[Any]]]]:
        """(table, columns in the order of the catalogue) for every table that has rows.

        Progress marks come last: who sees one in the database also sees the counts that it says are complete.
        """
        for table, columns in self._raw.items():
            if columns[0]:
                yield table, columns
        for target, kept in sorted(self._newest.items(), key=lambda item: item[0] is _MARK):
            rows = [row for record, origin in kept.values() for row in target.rows(record, origin)]
            if rows:
                yield target.table, [list(column) for column in zip(*rows, strict=True)]

    def _keep(self, target: Target, record: Any, origin: Origin) -> None:
        newest = self._newest.setdefault(target, {})
        key = target.key(record, origin)
        held = newest.get(key)
        if held is None or origin.ver >= held[1].ver:
            newest[key] = (record, origin)
            self.pending += len(getattr(record, "leaves", ())) or 1

    def _add_dead_letters(self, batch: Messages) -> None:
        for index, headers in enumerate(batch.headers):
            letter = _dead_letter(batch, index, headers)
            self._keep(DEAD_LETTER, letter, _origin(batch, index))

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
        offsets = batch.offsets
        size = len(records)
        tail: list[Sequence[Any]] = [
            [batch.topic] * size,
            [batch.partition] * size,
            [offsets[where] for where in index],
        ]
        held = self._raw.setdefault(f"{batch.topic}_raw", [[] for _ in range(len(fresh) + len(tail))])
        for column, values in zip(held, [*fresh, *tail], strict=True):
            column.extend(values)
        self.pending += size


def version_of(headers: Headers) -> int:
    """The ``cx.ver`` of a message, 0 if it has none (input topics) or an unreadable one."""
    for name, value in headers:
        if name == VERSION_HEADER and value is not None:
            return int(value) if value.isdigit() else 0
    return 0


def _origin(batch: Messages, index: int) -> Origin:
    return Origin(batch.topic, batch.partition, batch.offsets[index], version_of(batch.headers[index]))


# ---- raw copies -------------------------------------------------------------------------------------------------

_FIELD_OF = {"event_time": "event_time_ms", "promised_at": "promised_at_ms"}


def _raw_getter(noun: str) -> tuple[Callable[[Any], Row], tuple[int, ...]]:
    """Getter of the declared columns, and the positions of text columns whose field may be None."""
    columns = BY_NAME[f"{noun}_raw"].columns[:-3]
    fields = HOT[noun].model_fields
    names = [_FIELD_OF.get(column.name, column.name) for column in columns]
    texts = tuple(
        position
        for position, (name, column) in enumerate(zip(names, columns, strict=True))
        if fields[name].default is None and "String" in column.type
    )
    return attrgetter(*names), texts


RAW: Mapping[str, tuple[Callable[[Any], Row], tuple[int, ...]]] = {noun: _raw_getter(noun) for noun in HOT}


# ---- dead letters -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What the headers of a dead letter say. Its bytes are not read."""

    topic: str
    partition: int
    offset: int
    reason: str
    field: str
    rule: str
    value_class: str
    rejected_at_ms: int


def _dead_letter(batch: Messages, index: int, headers: Headers) -> DeadLetter:
    said = {name: (value or b"").decode("utf-8", "replace")[:200] for name, value in headers}

    def number(name: str, default: int) -> int:
        return int(said[name]) if said.get(name, "").isdecimal() else default

    return DeadLetter(
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


def _one(*fields: str) -> Callable[[Any, Origin], Iterable[Row]]:
    """One row: the named fields (None -> empty text where the column is text), then the version."""
    getter = attrgetter(*fields)
    return lambda record, origin: ((*getter(record), origin.ver),)


def _by(*fields: str) -> Callable[[Any, Origin], Hashable]:
    getter = attrgetter(*fields)
    return lambda record, _origin: getter(record)


def _cohort_rows(record: Any, origin: Origin) -> Iterable[Row]:
    head = (record.line, record.family, record.bin_ms, record.width_ms, record.partition, record.attributes)
    return [(*head, leaf.values, leaf.exposed, len(leaf.failed), record.closed, origin.ver) for leaf in record.leaves]


_EPISODE = attrgetter(
    "first_failed_ms", "last_failed_ms", "failures", "evidence", "amount_cents", "contacted_at_ms", "contacts"
)


def _episode_rows(record: Any, origin: Origin) -> Iterable[Row]:
    head = (record.line, record.family, record.window_ms, record.customer_id, record.attributes)
    return ((*head, [leaf.values for leaf in record.leaves], *_EPISODE(record), origin.ver),)


_ISSUE_HEAD = attrgetter("issue_id", "root_id", "onset", "line", "family", "state", "title")
_CAUSE = attrgetter(
    "attributes", "risk_ratio", "risk_ratio_low", "risk_ratio_high", "support", "exposed", "failed", "changes"
)
_ISSUE_TAIL = attrgetter(
    "opened_at_ms",
    "detected_at_ms",
    "updated_at_ms",
    "resolved_at_ms",
    "scale_ms",
    "expected",
    "observed",
    "ratio_low",
    "provisional",
)


def _issue_rows(record: Any, origin: Origin) -> Iterable[Row]:
    return ((*_ISSUE_HEAD(record), *_CAUSE(record.cause), *_ISSUE_TAIL(record), origin.ver),)


def _issue_minute_rows(record: Any, origin: Origin) -> Iterable[Row]:
    minute = _minute(record.updated_at_ms)
    return ((record.issue_id, minute, record.state, record.expected, record.observed, origin.ver),)


def _minute(time_ms: int) -> int:
    return time_ms // MINUTE_MS * MINUTE_MS


_MONEY = attrgetter("affected", "contacted", "silent", "at_risk_cents")
_RANGE = attrgetter("at_risk_low_cents", "at_risk_high_cents", "per_minute_cents", "service_cents", "currency")


def _impact_rows(record: Any, origin: Origin) -> Iterable[Row]:
    assumed = record.assumptions
    lists = ([getattr(one, name) for one in assumed] for name in ("name", "value", "unit", "source", "assumed"))
    head = (record.issue_id, record.line, record.family, *_MONEY(record), *_RANGE(record))
    return ((*head, *lists, record.as_of_ms, origin.ver),)


def _impact_minute_rows(record: Any, origin: Origin) -> Iterable[Row]:
    minute = _minute(record.as_of_ms)
    return ((record.issue_id, minute, *_MONEY(record), record.per_minute_cents, record.currency, origin.ver),)


_OUTREACH_HEAD = attrgetter("outreach_id", "issue_id", "root_id", "customer_id", "stage", "decision", "reason")
_OUTREACH_TAIL = attrgetter("language", "template", "decided_at_ms", "not_before_ms", "deadline_ms")


def _outreach_rows(record: Any, origin: Origin) -> Iterable[Row]:
    return ((*_OUTREACH_HEAD(record), record.channel or "", *_OUTREACH_TAIL(record), origin.ver),)


def _watermark_rows(record: Any, origin: Origin) -> Iterable[Row]:
    partitions = getattr(record, "partitions", 0)
    return ((origin.noun, record.partition, partitions, record.through_ms, origin.ver),)


_CHANGE = attrgetter("change_id", "changed_at_ms", "change_kind", "product", "attributes", "title")
_CUSTOMER = attrgetter("customer_id", "updated_at_ms", "segment", "value_cents", "language", "time_zone", "opted_out")

_MARK = Target("watermark", lambda record, origin: (origin.noun, record.partition), _watermark_rows)
DEAD_LETTER = Target(
    "dead_letter",
    _by("topic", "partition", "offset"),
    _one("topic", "partition", "offset", "reason", "field", "rule", "value_class", "rejected_at_ms"),
)

TARGETS: Mapping[str, tuple[Target, ...]] = {
    "cohort_count": (Target("cohort_count", _by("line", "family", "bin_ms", "width_ms", "partition"), _cohort_rows),),
    "bin_closed": (_MARK,),
    "watermark": (_MARK,),
    "source_count": (
        Target(
            "source_count",
            _by("topic", "source", "bin_ms", "partition"),
            _one("topic", "source", "bin_ms", "width_ms", "partition", "events", "late", "duplicates"),
        ),
    ),
    "episode": (Target("episode", _by("line", "family", "window_ms", "customer_id"), _episode_rows),),
    "issue": (
        Target("issue", _by("issue_id"), _issue_rows),
        Target("issue_1m", lambda record, _: (record.issue_id, _minute(record.updated_at_ms)), _issue_minute_rows),
    ),
    "affected": (
        Target(
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
            ),
        ),
    ),
    "affected_count": (
        Target(
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
        Target("impact", _by("issue_id"), _impact_rows),
        Target("impact_1m", lambda record, _: (record.issue_id, _minute(record.as_of_ms)), _impact_minute_rows),
    ),
    "outreach": (Target("outreach", _by("outreach_id"), _outreach_rows),),
    "delivery": (
        Target(
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
    "late": (
        Target(
            "late",
            _by("topic", "partition", "offset"),
            _one("topic", "partition", "offset", "source", "event_time_ms", "watermark_ms"),
        ),
    ),
    "tick": (
        Target(
            "tick",
            _by("room", "partition", "event_time_ms"),
            _one("room", "partition", "event_time_ms", "offsets"),
        ),
    ),
    "customer": (Target("customer", _by("customer_id", "updated_at_ms"), lambda record, _: (_CUSTOMER(record),)),),
    "change": (Target("change", _by("change_id"), lambda record, origin: ((*_CHANGE(record), origin.offset),)),),
    "command": (Target("command", _by("command_id"), lambda record, _: (_command_row(record),)),),
    "control": (Target("command", _by("command_id"), lambda record, _: (_command_row(record),)),),
}
"""Per ``kind`` of record (or noun, for records that have no kind): the tables it goes to."""


def _command_row(record: Any) -> Row:
    return (record.command_id, record.issued_at_ms, record.action, record.issue_id or "", record.actor)
