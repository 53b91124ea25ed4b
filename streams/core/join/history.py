"""What is remembered of one customer: episodes of failures, obligations of each leaf cohort, and opened contacts.

    hour 12:00                                       hour 13:00
    [ EpisodeState                                  )[ EpisodeState ...
      leaf (5.2.0, android, ...)   first 12:05  last 12:40   owed: (line, checkout) failed 12:40, put right 12:44
      leaf (5.1.9, android, ...)   first 12:10  last 12:10   owed: (line, login)    failed 12:10, open

Everything is folded so that the order of calls does not matter. The packed form is one msgpack value per customer; how
customers come and go is the business of :mod:`streams.core.join.episodes`.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
import xxhash

from schemas.currencies import OWN
from schemas.fields import Signal
from streams.core.amounts import Amount
from streams.core.join.repairs import NOTHING, Obligation, OpenObligations, Owed
from streams.core.join.rules import ContactRule, Limits, Terms
from streams.core.recovery import all_put_right

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode

EpisodeKey = tuple[str, Signal, int]
"""(line, signal, start of the window in ms)."""


class CustomerFailure(NamedTuple):
    """One failure of one customer."""

    time_ms: int
    customer_id: str
    line: str
    signal: Signal
    values: tuple[str, ...]
    event_id: str
    amount: Amount
    owed: Owed = NOTHING
    origin: int = 0
    """Place in ``recovery.ORIGINS``."""


class OpenedContact(NamedTuple):
    """One contact that may be about failures. ``line`` empty: any line. ``reason`` decides the signals.

    ``order``: the obligation of the order that it names, 0 if it names none. ``by_order``: it came too late to be
    joined by time. ``subjects``: the obligations of what else it is about, if that are orders; sorted.
    """

    time_ms: int
    contact_id: str
    line: str
    reason: str
    order: int = 0
    by_order: bool = False
    subjects: tuple[int, ...] = ()

    @property
    def orders(self) -> tuple[int, ...]:
        """The obligations of all orders that it may name."""
        return (self.order, *self.subjects) if self.order else self.subjects


@dataclass(slots=True)
class LeafFailures:
    """Failures in one leaf cohort; ``owed``: obligation -> the latest failure of it."""

    first_ms: int
    last_ms: int
    failures: int
    origin: int
    owed: dict[int, Obligation] = field(default_factory=dict)

    @property
    def put_right_ms(self) -> int | None:
        """When the last of it was put right, None while something is not."""
        return all_put_right([obligation.put_right_ms for obligation in self.owed.values()])

    def add(self, failure: CustomerFailure, most: int, open_obligations: OpenObligations) -> bool:
        """Fold one failure in; True if what puts it right has to be looked for. Keeps the smallest ``most`` hashes."""
        time_ms, (name, mask) = failure.time_ms, failure.owed
        self.first_ms = min(self.first_ms, time_ms)
        self.last_ms = max(self.last_ms, time_ms)
        self.failures += 1
        self.origin = min(self.origin, failure.origin)
        known = self.owed.get(name)
        if known is not None:
            return known.fail(time_ms, mask)
        self.owed[name] = Obligation(time_ms, mask)
        open_obligations.hold(name, self.owed[name])
        if len(self.owed) > most:
            last = max(self.owed)
            open_obligations.release(last, self.owed.pop(last))
        return name in self.owed


@dataclass(slots=True)
class EpisodeState:
    """What is remembered of one episode."""

    first_ms: int
    last_ms: int
    failures: int = 0
    amounts: dict[str, int] = field(default_factory=dict)
    leaves: dict[tuple[str, ...], LeafFailures] = field(default_factory=dict)
    earliest: list[tuple[int, str]] = field(default_factory=list)

    def add(self, failure: CustomerFailure, limits: Limits, open_obligations: OpenObligations) -> bool:
        """Fold one failure in; the order of calls does not matter. True if what puts it right has to be looked for."""
        time_ms = failure.time_ms
        self.first_ms = min(self.first_ms, time_ms)
        self.last_ms = max(self.last_ms, time_ms)
        self.failures += 1
        currency, minor = failure.amount
        if minor > self.amounts.get(currency, 0):
            self.amounts[currency] = minor
        insort(self.earliest, (time_ms, failure.event_id))
        del self.earliest[limits.evidence :]
        leaf = self.leaves.setdefault(failure.values, LeafFailures(time_ms, time_ms, 0, failure.origin))
        is_open = leaf.add(failure, limits.obligations, open_obligations)
        if len(self.leaves) > limits.episode_leaves:
            for name, obligation in self.leaves.pop(max(self.leaves, key=_rank)).owed.items():
                open_obligations.release(name, obligation)
        return is_open

    def obligations(self) -> Iterator[tuple[int, Obligation]]:
        """Yield (hash, obligation) of all leaves."""
        return chain.from_iterable(leaf.owed.items() for leaf in self.leaves.values())

    @property
    def put_right_ms(self) -> int | None:
        """When the last of it was put right, None while something is not."""
        return all_put_right([leaf.put_right_ms for leaf in self.leaves.values()])

    def needed_ms(self, key: EpisodeKey, terms: Terms) -> int:
        """Return the time for whose sake it is kept: it goes when the ordinary retention is past this."""
        if any(obligation.waits for _, obligation in self.obligations()):
            return key[2] + terms.open_ms
        repairs = (obligation.put_right_ms or 0 for _, obligation in self.obligations())
        return max(key[2] + terms.joined_ms, max(repairs, default=0) + terms.settled_ms)


@dataclass(slots=True)
class CustomerHistory:
    """What is remembered of one customer; ``contacts`` by contact id, the earliest opening of each."""

    episodes: dict[EpisodeKey, EpisodeState] = field(default_factory=dict)
    contacts: dict[str, OpenedContact] = field(default_factory=dict)


def all_obligations(history: CustomerHistory) -> Iterator[tuple[int, Obligation]]:
    """Yield (hash, obligation) of all episodes of a customer."""
    return chain.from_iterable(evidence.obligations() for evidence in history.episodes.values())


def is_about(rule: ContactRule, contact: OpenedContact, key: EpisodeKey, evidence: EpisodeState) -> bool:
    """True if a contact is about the failures of an episode: same line, a signal that fits, near enough in time.

              first failure - after_ms     first failure                                first failure + before_ms
              |<-- complained before --->|<-- complained about it --------------------->|
    attached: [                                                                         ]

    A contact that names an order that failed is attached later than that, too.
    """
    line, signal, _ = key
    signals = rule.signals(contact.reason) or frozenset()
    in_time = contact.time_ms - rule.before_ms <= evidence.first_ms and not contact.by_order
    return (
        contact.line in ("", line)
        and signal in signals
        and evidence.first_ms <= contact.time_ms + rule.after_ms
        and (in_time or names_failed_order(contact, evidence))
    )


def names_failed_order(contact: OpenedContact, evidence: EpisodeState) -> bool:
    """True if a contact names an order that failed in an episode and was not put right before the contact."""
    candidates = (leaf.owed.get(order) for order in contact.orders for leaf in evidence.leaves.values())
    return any(owed is not None and contact.time_ms < owed.until_ms for owed in candidates)


def packed(history: CustomerHistory) -> bytes:
    """Return the persisted form: msgpack of (episodes, contacts), both sorted."""
    episodes = [
        (
            *key,
            evidence.first_ms,
            evidence.last_ms,
            evidence.failures,
            sorted(evidence.amounts.items()),
            [_packed_leaf(values, leaf) for values, leaf in sorted(evidence.leaves.items(), key=itemgetter(0))],
            evidence.earliest,
        )
        for key, evidence in sorted(history.episodes.items())
    ]
    contacts = [one if one.subjects else one[:-1] for one in sorted(history.contacts.values())]
    return _pack((episodes, contacts))


def _packed_leaf(values: tuple[str, ...], leaf: LeafFailures) -> tuple[Any, ...]:
    owed = [(name, one.time_ms, one.mask, one.put_right_ms) for name, one in sorted(leaf.owed.items())]
    return values, (leaf.first_ms, leaf.last_ms, leaf.failures), leaf.origin, owed


def _leaf_of(counts: list[int], origin: int = 0, owed: list[Any] | None = None) -> LeafFailures:
    """Undo ``_packed_leaf``. An older build did not write what is owed: then nothing is known to put it right."""
    first_ms, last_ms, failures = counts
    rows = [(NOTHING.obligation, last_ms, NOTHING.mask, None)] if owed is None else owed
    return LeafFailures(first_ms, last_ms, failures, origin, {name: Obligation(*rest) for name, *rest in rows})


def history_of(packed: bytes) -> CustomerHistory:
    """Undo :func:`packed`."""
    episodes, contacts = _unpack(packed)
    history = CustomerHistory()
    for line, signal, window_ms, first, last, failures, amounts, leaves, earliest in episodes:
        history.episodes[line, signal, window_ms] = EpisodeState(
            first,
            last,
            failures,
            _amounts_of(amounts),
            {tuple(values): _leaf_of(*rest) for values, *rest in leaves},
            [(time_ms, event_id) for time_ms, event_id in earliest],
        )
    history.contacts = {row[1]: OpenedContact(*row[:6], *map(tuple, row[6:])) for row in contacts}
    return history


def _amounts_of(stored: list[list[Any]] | int) -> dict[str, int]:
    """Largest amount per currency. An older build wrote one number, hundredths of whatever currency."""
    if isinstance(stored, int):
        return {OWN: stored} if stored > 0 else {}
    return {str(currency): int(minor) for currency, minor in stored}


def _rank(values: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    return xxhash.xxh3_64_intdigest("\x1f".join(values).encode()), values


def contact_rank(contact_id: str) -> tuple[int, str]:
    """Return by what the contacts of a customer are bounded: the smallest stay."""
    return xxhash.xxh3_64_intdigest(contact_id.encode()), contact_id
