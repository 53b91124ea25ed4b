"""What became of the rows of a file: per event of the mapping and as a whole. Bounded, whatever the file holds.

Nothing in it is a value of a row but closed vocabularies and reason codes: see :class:`NounCounts`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter
from typing import Any, NamedTuple

from schemas.currencies import UNKNOWN, currency_code
from schemas.errors import MalformedEvent

SHOWN = 3
"""Rejected rows that are told of each event."""
MOST_VALUES = 1_000
"""Different reason codes that are told apart; further ones are one, ``__other__``."""
MOST_CUSTOMERS = 100
"""Customers that are told apart: whether there are enough of them is all that counts."""
MOST_IDS = 50_000
"""Ids of events that are told apart: a repeated one is found among the first so many."""
_UNITS = "should be a time from 2000 to 2100 (is its unit right?)"
_MINUTE, _HOUR = 60_000, 3_600_000
_VALUES: dict[str, Callable[[Any], Any]] = {
    "telemetry": attrgetter("outcome"),
    "order": attrgetter("status"),
    "contact": attrgetter("status", "reason"),
}


class Reason(NamedTuple):
    """Why a row was rejected: where it stood, the field of the mapping or of the contract, the rule, class of value.

    ``line`` is the number of a line, or ``12[3]`` for a member of a list that begins there.
    """

    line: str
    field: str
    rule: str
    value_class: str


@dataclass(slots=True)
class Rejects:
    """How many rows were rejected, and the first of them."""

    count: int = 0
    first: list[Reason] = field(default_factory=list)

    def add(self, line: str, error: MalformedEvent) -> None:
        """Count one."""
        self.count += 1
        if len(self.first) < SHOWN:
            rule = _UNITS if error.reason == "time" else error.rule
            self.first.append(Reason(line, error.field, rule, error.value_class))


@dataclass(slots=True)
class RuleCounts:
    """What one event of a mapping made of the rows."""

    events: int = 0
    """Rows that were taken: each made one event."""
    matched_rejected: int = 0
    """Rows for which its ``when`` holds, and which were rejected for whatever reason."""
    absent: dict[str, int] = field(default_factory=dict)
    """Events that lack a field, by the name of the field."""
    rejects: Rejects = field(default_factory=Rejects)
    """Rows that were rejected because of this event."""

    @property
    def matched(self) -> int:
        """Rows for which its ``when`` holds."""
        return self.events + self.matched_rejected

    def note_absent(self, body: Mapping[str, Any], names: Collection[str]) -> None:
        """Count what an event lacks of the fields that it may have."""
        for name in names:
            if name not in body:
                self.absent[name] = self.absent.get(name, 0) + 1


@dataclass(slots=True)
class NounCounts:
    """What the events for one topic hold of what issues are made of."""

    values: Counter[Any] = field(default_factory=Counter)
    """Events by outcome (telemetry), status (orders), status and reason (contacts)."""
    promised: int = 0
    """Orders with a promised time."""
    no_product: int = 0
    unknown_currency: int = 0
    """Orders with a currency that ISO 4217 does not know."""
    customers: set[str] = field(default_factory=set, repr=False)
    """The first :data:`MOST_CUSTOMERS` of them."""
    ids: set[str] = field(default_factory=set, repr=False)
    """The first :data:`MOST_IDS` ids, or a few more."""
    repeated: int = 0
    """Events with the id of an earlier one, found as long as ids are told apart."""
    lags: Counter[int] = field(default_factory=Counter)
    """Events that arrive after they happened, by how much, ms, rounded up (:func:`rounded_up`)."""

    def add(self, noun: str, records: Sequence[Any], arrived: Sequence[int]) -> None:
        """Count events of the contract; ``arrived`` lists how much later each arrives (empty: at once)."""
        counted: Counter[Any] = Counter(map(_VALUES[noun], records))
        self.values.update(counted)
        if len(self.values) > MOST_VALUES:
            self._pool()
        if noun == "order":
            self.promised += sum(record.promised_at_ms is not None for record in records)
            self.unknown_currency += sum(currency_code(record.currency) == UNKNOWN for record in records)
        elif noun == "contact":
            self.no_product += sum(not record.product for record in records)
        if len(self.customers) < MOST_CUSTOMERS:
            new = dict.fromkeys(record.customer_id for record in records)
            self.customers.update(islice(new, MOST_CUSTOMERS))
        if len(self.ids) < MOST_IDS:
            known = len(self.ids)
            self.ids.update(record.event_id for record in records)
            self.repeated += len(records) - (len(self.ids) - known)
        if arrived:
            self.lags.update(rounded_up(lag_ms) for lag_ms in arrived if lag_ms > 0)

    def _pool(self) -> None:
        kept = dict(self.values.most_common(MOST_VALUES // 2))
        rest: Counter[Any] = Counter()
        for (status, _), count in (item for item in self.values.items() if item[0] not in kept):
            rest[status, "__other__"] += count
        self.values = Counter(kept) + rest


def rounded_up(lag_ms: int) -> int:
    """Round up to 0.1 s, from two minutes on to a second, from two hours on to an hour: few different ones.

    >>> rounded_up(1_234), rounded_up(150_001), rounded_up(8_000_000)
    (1300, 151000, 10800000)
    """
    step = 100 if lag_ms <= 2 * _MINUTE else 1_000 if lag_ms <= 2 * _HOUR else _HOUR
    return -(-lag_ms // step) * step


@dataclass(slots=True)
class RowCounts:
    """What became of the rows of a file."""

    rows: int = 0
    events: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    unmatched: int = 0
    """Rows for which no event's ``when`` holds: left out on purpose."""
    outside: int = 0
    """Rows outside the asked span."""
    rules: list[RuleCounts] = field(default_factory=list)
    """Per event of the mapping."""
    unreadable: Rejects = field(default_factory=Rejects)
    """Rows that could not be read at all."""
    nouns: dict[str, NounCounts] = field(default_factory=dict)
    """Per event topic."""

    @property
    def total(self) -> int:
        """Events."""
        return sum(self.events.values())

    @property
    def rejected_share(self) -> float:
        """Rejected rows among all that were read, 0 to 1: whether they lie in the span is not known."""
        return self.rejected / self.rows if self.rows else 0.0
