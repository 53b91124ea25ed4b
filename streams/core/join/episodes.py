"""One customer's connected evidence: failures of one family in one hour, and the contacts about them.

    failure 12:05   failure 12:40                        contact 13:10 (reason "app")
    |  x            x            |                       c
    [ episode of hour 12:00       )<----- first failure at 12:05 lies in [13:10 - 24 h, 13:10 + 15 min]: attached

Failures and contacts are folded into sets whose result does not depend on their order; which contacts belong to an
episode is worked out from scratch whenever the episode is sent. So a contact finds failures that arrive after it, and
a failure that arrives late can move the first failure and thereby gain or lose a contact.

Memory per customer is bounded (``Limits``): an episode remembers the leaf cohorts with the smallest hashes if there are
too many (a member of the final choice was a member all along, so its counts are exact and the choice does not depend
on order), a customer the contacts with the smallest hashes (here, what expires can make room for what was refused
before: a customer with more than 256 contacts in two days is no person, and its count is a lower bound).

Each leaf holds what its failures are owed (``core.join.repairs``), at most so many obligations, those with the smallest
hashes. It is put right when all of them are, at the time of the last.

Contacts are kept for ``JoinRules.retention_ms`` behind the slowest topic, episodes at least as long and until no
failure that is still accepted could join them; until then an episode can be sent again, absolute, under the same key.
One that waits to be put right stays longer (``JoinRules.terms``), of one customer the newest 64 such. A contact that
names an order reaches failures of this order as long as they are remembered and were not put right before it.

State: one value per customer with anything remembered, msgpack. In memory a customer is that value, too (*cold*), and
becomes objects (*warm*) only from the first touch after a drain to the next drain, which packs it anyway: less memory,
nothing that the garbage collector has to look at, and nothing to build at recovery.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple, cast

import msgspec
import xxhash

from schemas.findings import Episode, Family, LeafEvidence
from schemas.hotfindings import episode, leaf_evidence
from schemas.topics import HOUR_MS
from streams.core.eventtime import floor_ms
from streams.core.join.repairs import NOTHING, Obligation, OpenObligations, Owed
from streams.core.join.rules import ContactRule, JoinRules, Limits, Terms
from streams.core.recovery import ORIGINS, all_put_right

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode

Find = Callable[[int, int, int], int | None]
"""``core.join.repairs.finder``."""
EpisodeKey = tuple[str, Family, int]
"""(line, family, start of the window in ms)."""


class CustomerFailure(NamedTuple):
    """One failure of one customer."""

    time_ms: int
    customer_id: str
    line: str
    family: Family
    values: tuple[str, ...]
    event_id: str
    amount_cents: int
    owed: Owed = NOTHING
    origin: int = 0
    """Place in ``recovery.ORIGINS``."""


class OpenedContact(NamedTuple):
    """One contact that may be about failures. ``line`` empty: any line. ``reason`` decides the families.

    ``order``: the obligation of the order that it names, 0 if it names none. ``by_order``: it came too late to be
    joined by time.
    """

    time_ms: int
    contact_id: str
    line: str
    reason: str
    order: int = 0
    by_order: bool = False


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
    amount_cents: int = 0
    leaves: dict[tuple[str, ...], LeafFailures] = field(default_factory=dict)
    earliest: list[tuple[int, str]] = field(default_factory=list)

    def add(self, failure: CustomerFailure, limits: Limits, open_obligations: OpenObligations) -> bool:
        """Fold one failure in; the order of calls does not matter. True if what puts it right has to be looked for."""
        time_ms = failure.time_ms
        self.first_ms = min(self.first_ms, time_ms)
        self.last_ms = max(self.last_ms, time_ms)
        self.failures += 1
        self.amount_cents = max(self.amount_cents, failure.amount_cents)
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


class Episodes:
    """All customers of one source partition that failed or complained lately."""

    def __init__(self, rules: JoinRules) -> None:
        """Start with nobody."""
        self._rules = rules
        self._terms = {family: rules.terms(family) for family in rules.attributes}
        self._warm: dict[str, CustomerHistory] = {}  # touched since the last drain; wins over what is cold
        self._cold: dict[str, bytes] = {}  # as of the last drain
        self._by_hour: dict[int, set[str]] = {}
        self._dirty: set[tuple[str, EpisodeKey]] = set()
        self._open: list[tuple[EpisodeKey, CustomerFailure]] = []  # to be looked up at the flush
        self.open_obligations = OpenObligations()

    def __len__(self) -> int:
        """Return how many customers are remembered."""
        return len(self._cold.keys() | self._warm.keys())

    def history(self, customer_id: str) -> CustomerHistory | None:
        """Return what is remembered of a customer, to look at; None if nothing is."""
        history = self._warm.get(customer_id)
        if history is None and (packed := self._cold.get(customer_id)) is not None:
            history = _history_of(packed)
        return history

    def fail(self, failure: CustomerFailure) -> None:
        """Fold one failure in."""
        key = (failure.line, failure.family, floor_ms(failure.time_ms, self._rules.window_ms))
        history = self._history(failure.customer_id)
        evidence = history.episodes.get(key)
        if evidence is None:
            evidence = history.episodes[key] = EpisodeState(failure.time_ms, failure.time_ms)
        if evidence.add(failure, self._rules.limits, self.open_obligations) and failure.owed.mask:
            self._open.append((key, failure))
            self.open_obligations.reopen(failure.owed.obligation)
        self._dirty.add((failure.customer_id, key))
        self._expire_after(key[2], failure.customer_id)

    def repair(self, customer_id: str, obligation: int, time_ms: int, mask: int) -> None:
        """Fold in an event that puts an obligation right, if its kind (``mask``) does and it is the first after it."""

        def taken_from(history: CustomerHistory) -> list[tuple[EpisodeKey, Obligation]]:
            return [
                (key, owed)
                for key, evidence in history.episodes.items()
                for name, owed in evidence.obligations()
                if name == obligation and owed.mask & mask and owed.takes(time_ms, self._rules.unrepaired_ms)
            ]

        known = self.history(customer_id)
        if known is not None and taken_from(known):
            history = self._history(customer_id)
            for key, owed in taken_from(history):
                self._put_right(customer_id, history, key, owed, time_ms)
            self.open_obligations.settle(obligation, (owed for name, owed in _all_owed(history) if name == obligation))

    def _put_right(
        self, customer_id: str, history: CustomerHistory, key: EpisodeKey, owed: Obligation, time_ms: int
    ) -> None:
        owed.put_right_ms = time_ms
        self._dirty.add((customer_id, key))
        self._expire_after(history.episodes[key].needed_ms(key, self._terms[key[1]]), customer_id)

    def look_up(self, find: Find) -> None:
        """Ask for all failures since the last call whether they were put right before they arrived."""
        unresolved, self._open = self._open, []
        for key, failure in unresolved:
            history = self._history(failure.customer_id)
            leaf = history.episodes[key].leaves.get(failure.values)
            name = failure.owed.obligation
            owed = leaf.owed.get(name) if leaf is not None else None
            if owed is None:
                continue  # crowded out by other obligations
            found = find(name, owed.time_ms, owed.mask)
            if found is not None and owed.takes(found, self._rules.unrepaired_ms):
                self._put_right(failure.customer_id, history, key, owed, found)
                self.open_obligations.settle(name, (owed for other, owed in _all_owed(history) if other == name))

    def contact(self, customer_id: str, contacted: OpenedContact) -> None:
        """Fold one opened contact in, if it can be about a failure at all."""
        if self._rules.contact.families(contacted.reason) is None:
            return
        history = self._history(customer_id)
        known = history.contacts.get(contacted.contact_id)
        if known is not None and known <= contacted:
            return
        history.contacts[contacted.contact_id] = contacted
        changed = [contacted] if known is None else [contacted, known]
        if len(history.contacts) > self._rules.limits.contacts:
            changed.append(history.contacts.pop(max(history.contacts, key=_contact_rank)))
        for key, evidence in history.episodes.items():
            if any(_is_about(self._rules.contact, found, key, evidence) for found in changed):
                self._dirty.add((customer_id, key))
        self._expire_after(contacted.time_ms, customer_id)

    def _history(self, customer_id: str) -> CustomerHistory:
        """Return a customer to change."""
        history = self._warm.get(customer_id)
        if history is None:
            packed = self._cold.get(customer_id)
            history = self._warm[customer_id] = CustomerHistory() if packed is None else _history_of(packed)
        return history

    def _expire_after(self, time_ms: int, customer_id: str) -> None:
        self._by_hour.setdefault(floor_ms(time_ms, HOUR_MS), set()).add(customer_id)

    def forget(self, watermark_ms: int) -> None:
        """Drop what nothing can change or reach any more, given the partition's watermark."""
        oldest_ms = floor_ms(watermark_ms - self._rules.retention_ms, HOUR_MS)
        for hour_ms in sorted(hour for hour in self._by_hour if hour < oldest_ms):
            for customer_id in self._by_hour.pop(hour_ms):
                self._prune(customer_id, oldest_ms)

    def _prune(self, customer_id: str, oldest_ms: int) -> None:
        history = self.history(customer_id)
        if history is None:
            return
        needed = {key: found.needed_ms(key, self._terms[key[1]]) for key, found in history.episodes.items()}
        gone = [key for key, needed_ms in needed.items() if needed_ms < oldest_ms]
        rest = {key: terms.joined_ms + key[2] for key in needed if (terms := self._terms[key[1]])}
        old = sorted((key for key in needed if rest[key] < oldest_ms <= needed[key]), key=_by_age)
        gone += old[: -self._rules.limits.old_episodes]
        retained = [found for key, found in history.episodes.items() if key not in gone]
        over = [
            name
            for name, contact in history.contacts.items()
            if contact.time_ms < oldest_ms and not any(_names(contact, one) for one in retained)
        ]
        if gone or over:
            history = self._history(customer_id)
            for name, owed in chain.from_iterable(history.episodes.pop(key).obligations() for key in gone):
                self.open_obligations.release(name, owed)
            for contact_id in over:
                del history.contacts[contact_id]
        for key in history.episodes:
            if key[2] < oldest_ms:
                self._expire_after(needed[key], customer_id)

    def messages(self) -> Iterator[Episode]:
        """Yield every episode that changed since the last call, by customer, line, family and window."""
        for customer_id, key in sorted(self._dirty):
            history = self.history(customer_id)
            evidence = history.episodes.get(key) if history is not None else None
            if history is not None and evidence is not None:
                yield self._record(customer_id, key, evidence, history)
        self._dirty.clear()

    def _record(self, customer_id: str, key: EpisodeKey, evidence: EpisodeState, history: CustomerHistory) -> Episode:
        line, family, window_ms = key
        most = self._rules.limits.episode_leaves_shown
        about = [c for c in history.contacts.values() if _is_about(self._rules.contact, c, key, evidence)]
        leaves = sorted(evidence.leaves.items(), key=lambda leaf: (leaf[1].first_ms, leaf[0]))
        return episode(
            customer_id,
            line,
            family,
            window_ms,
            self._rules.attributes[family],
            tuple([_leaf_record(values, leaf) for values, leaf in leaves[:most]]),
            evidence.first_ms,
            evidence.last_ms,
            evidence.failures,
            tuple([event_id for _, event_id in evidence.earliest]),
            evidence.amount_cents,
            min([contact.time_ms for contact in about], default=None),
            len(about),
            evidence.put_right_ms,
            ORIGINS[min(leaf.origin for leaf in evidence.leaves.values())],
        )

    def drain(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield every customer that changed since the last drain, None for those forgotten. Call after messages."""
        warm, self._warm = self._warm, {}
        for customer_id in sorted(warm):
            history = warm[customer_id]
            if history.episodes or history.contacts:
                packed = self._cold[customer_id] = _pack(_packed(history))
                yield customer_id, packed
            else:
                self._cold.pop(customer_id, None)
                yield customer_id, None

    def load(self, customer_id: str, packed: bytes) -> None:
        """Take back one customer."""
        self._cold[customer_id] = packed
        history = _history_of(packed)
        times = [evidence.needed_ms(key, self._terms[key[1]]) for key, evidence in history.episodes.items()]
        times += [contacted.time_ms for contacted in history.contacts.values()]
        for time_ms in times:
            self._expire_after(time_ms, customer_id)
        for name, owed in _all_owed(history):
            self.open_obligations.hold(name, owed)


def _all_owed(history: CustomerHistory) -> Iterator[tuple[int, Obligation]]:
    return chain.from_iterable(evidence.obligations() for evidence in history.episodes.values())


def _leaf_record(values: tuple[str, ...], leaf: LeafFailures) -> LeafEvidence:
    return leaf_evidence(values, leaf.first_ms, leaf.last_ms, leaf.failures, leaf.put_right_ms, ORIGINS[leaf.origin])


def _by_age(key: EpisodeKey) -> tuple[int, str, str]:
    return key[2], key[0], key[1]


def _is_about(rule: ContactRule, contact: OpenedContact, key: EpisodeKey, evidence: EpisodeState) -> bool:
    line, family, _ = key
    families = rule.families(contact.reason) or frozenset()
    in_time = contact.time_ms - rule.before_ms <= evidence.first_ms and not contact.by_order
    return (
        contact.line in ("", line)
        and family in families
        and evidence.first_ms <= contact.time_ms + rule.after_ms
        and (in_time or _names(contact, evidence))
    )


def _names(contact: OpenedContact, evidence: EpisodeState) -> bool:
    """True if a contact names an order that failed in an episode and was not put right before the contact."""
    candidates = (leaf.owed.get(contact.order) for leaf in evidence.leaves.values()) if contact.order else ()
    return any(owed is not None and contact.time_ms < owed.until_ms for owed in candidates)


def _packed(history: CustomerHistory) -> tuple[Any, ...]:
    episodes = [
        (
            *key,
            evidence.first_ms,
            evidence.last_ms,
            evidence.failures,
            evidence.amount_cents,
            [_packed_leaf(values, leaf) for values, leaf in sorted(evidence.leaves.items(), key=itemgetter(0))],
            evidence.earliest,
        )
        for key, evidence in sorted(history.episodes.items())
    ]
    return episodes, sorted(history.contacts.values())


def _packed_leaf(values: tuple[str, ...], leaf: LeafFailures) -> tuple[Any, ...]:
    owed = [(name, one.time_ms, one.mask, one.put_right_ms) for name, one in sorted(leaf.owed.items())]
    return values, (leaf.first_ms, leaf.last_ms, leaf.failures), leaf.origin, owed


def _leaf_of(counts: list[int], origin: int = 0, owed: list[Any] | None = None) -> LeafFailures:
    """Undo ``_packed_leaf``. An older build did not write what is owed: then nothing is known to put it right."""
    first_ms, last_ms, failures = counts
    rows = [(NOTHING.obligation, last_ms, NOTHING.mask, None)] if owed is None else owed
    return LeafFailures(first_ms, last_ms, failures, origin, {name: Obligation(*rest) for name, *rest in rows})


def _history_of(packed: bytes) -> CustomerHistory:
    """Undo ``_packed``."""
    episodes, contacts = _unpack(packed)
    history = CustomerHistory()
    for line, family, window_ms, first, last, failures, amount, leaves, earliest in episodes:
        history.episodes[line, cast("Family", family), window_ms] = EpisodeState(
            first,
            last,
            failures,
            amount,
            {tuple(values): _leaf_of(*rest) for values, *rest in leaves},
            [(time_ms, event_id) for time_ms, event_id in earliest],
        )
    history.contacts = {row[1]: OpenedContact(*row) for row in contacts}
    return history


def _rank(values: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    return xxhash.xxh3_64_intdigest("\x1f".join(values).encode()), values


def _contact_rank(contact_id: str) -> tuple[int, str]:
    return xxhash.xxh3_64_intdigest(contact_id.encode()), contact_id
