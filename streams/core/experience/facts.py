"""What is remembered of one contact or order: its events, reduced to what their sum says.

Everything that is reported is worked out from these sets of events, so the order in which they came cannot matter. What
counts as the earliest (or the latest) event says it, the other events forget::

    opened    10:00  channel phone, reason delivery, wait 42 s
    answered  10:01  (channel, reason: stated before)
    resolved  10:04  csat 4
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, get_args

import xxhash

from schemas.events import ContactStatus, OrderStatus
from streams.core.recovery import ORIGINS

Details = dict[int, Any]
"""What an event says beside its status, by the index of the field in :data:`CONTACT` or :data:`ORDER`."""


class KnownEvent(NamedTuple):
    """One event. Sorts by time; ``name`` is 32 bits of the hash of its id, ``status`` and ``origin`` are indexes in the
    lists of the contract and in ``recovery.ORIGINS``."""

    time_ms: int
    name: int
    status: int
    origin: int
    details: Details


class ReadField(NamedTuple):
    """A field of events. ``counts``: the earliest or the latest event that says it, or each for itself."""

    name: str
    counts: str


_FIRST = ("channel", "mode", "reason", "language", "product", "region", "order_id", "subject_ids", "wait_ms")
_LAST = ("mode", "handle_ms", "csat", "effort")
CONTACT = (*(ReadField(name, "first") for name in _FIRST), *(ReadField(name, "last") for name in _LAST))
CHANNEL, MODE, REASON, LANGUAGE, LINE, REGION, ORDER_ID, SUBJECTS, WAIT, LAST_MODE, HANDLE, CSAT, EFFORT = range(13)
ORDER = (
    *(ReadField(name, "last") for name in ("product", "region", "sku")),
    *(ReadField(name, "each") for name in ("promised_at_ms", "cancelled_by")),
)
ORDER_LINE, ORDER_REGION, SKU, PROMISED, CANCELLED_BY = range(5)
CONTACT_STATUSES: tuple[str, ...] = get_args(ContactStatus)
ORDER_STATUSES: tuple[str, ...] = get_args(OrderStatus)
_ORIGIN = {origin: index for index, origin in enumerate(ORIGINS)}


class Reader:
    """Reads facts off the events of one topic."""

    __slots__ = ("_statuses", "_values")

    def __init__(self, fields: Iterable[ReadField], statuses: Iterable[str]) -> None:
        """Compile the list of fields."""
        self._values = attrgetter(*(field.name for field in fields))
        self._statuses: Mapping[str, int] = {status: index for index, status in enumerate(statuses)}

    def __call__(self, event: Any) -> KnownEvent:
        """Return what is remembered of an event. Empty values are left out, durations are whole ms."""
        details: Details = {}
        for index, value in enumerate(self._values(event)):
            if value or (value is not None and value not in ("", ())):
                details[index] = value if type(value) is str else _stored(value)
        name_hash = xxhash.xxh3_64_intdigest(event.event_id.encode()) & 0xFFFF_FFFF
        return KnownEvent(
            event.event_time_ms, name_hash, self._statuses[event.status], _ORIGIN[event.origin], details
        )


def _stored(value: Any) -> Any:
    """A value as it is read back from the state."""
    if isinstance(value, float):
        return int(value)
    return list(value) if isinstance(value, tuple) else value


read_contact = Reader(CONTACT, CONTACT_STATUSES)
read_order = Reader(ORDER, ORDER_STATUSES)


def added(facts: list[KnownEvent], fact: KnownEvent, fields: tuple[ReadField, ...], most: int) -> list[KnownEvent]:
    """Return the events with one more, sorted, reduced; at most the earliest ``most``. Of one id only one counts."""
    known = next((one for one in facts if one.name == fact.name), None)
    if known is not None:
        fact = _same(known, fact)
        facts = [one for one in facts if one is not known]
    found = sorted([*facts, fact], key=_order)[:most]
    return list(_reduced(found, fields))


def _order(fact: KnownEvent) -> tuple[int, int]:
    return fact.time_ms, fact.name


def _same(known: KnownEvent, fact: KnownEvent) -> KnownEvent:
    """Two events of one id: the earlier; of equal times and statuses what either says."""
    if (known.time_ms, known.status) != (fact.time_ms, fact.status):
        return min(known, fact, key=lambda one: (one.time_ms, one.status))
    details = dict(known.details)
    for index, value in fact.details.items():
        details[index] = min(value, details.get(index, value))
    return known._replace(details=details, origin=min(known.origin, fact.origin))


def _reduced(facts: list[KnownEvent], fields: tuple[ReadField, ...]) -> Iterator[KnownEvent]:
    """Leave out what an earlier or a later event says as well."""
    first: dict[int, KnownEvent] = {}
    last: dict[int, KnownEvent] = {}
    for fact in facts:
        for index in fact.details:
            first.setdefault(index, fact)
            last[index] = fact
    for fact in facts:
        kept = {
            index: value for index, value in fact.details.items()
            if fields[index].counts == "each" or (first if fields[index].counts == "first" else last)[index] is fact
        }  # fmt: skip
        yield fact if len(kept) == len(fact.details) else fact._replace(details=kept)


def stated_by(facts: Sequence[KnownEvent]) -> Details:
    """What the events say in all: of a field that several state, what the earliest says. Not to be changed."""
    if len(facts) == 1:
        return facts[0].details
    stated: Details = {}
    for fact in reversed(facts):
        stated.update(fact.details)
    return stated


def times_by_status(facts: Sequence[KnownEvent]) -> dict[int, list[int]]:
    """Status -> times of the events that have it, earliest first; ``facts`` are sorted."""
    if len(facts) == 1:
        return {facts[0].status: [facts[0].time_ms]}
    found: dict[int, list[int]] = {}
    for fact in facts:
        if fact.status in found:
            found[fact.status].append(fact.time_ms)
        else:
            found[fact.status] = [fact.time_ms]
    return found


def origin_of(facts: Sequence[KnownEvent]) -> str:
    """The origin of what several events say together."""
    return ORIGINS[facts[0].origin if len(facts) == 1 else min(fact.origin for fact in facts)]
