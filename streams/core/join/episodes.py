"""One customer's connected evidence: failures of one signal in one hour, and the contacts about them.

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

from collections.abc import Callable, Iterator
from itertools import chain

from schemas.findings import Episode, LeafEvidence
from schemas.hotfindings import episode, leaf_evidence
from schemas.topics import HOUR_MS
from streams.core.amounts import as_money
from streams.core.eventtime import floor_ms
from streams.core.join.history import (
    CustomerFailure,
    CustomerHistory,
    EpisodeKey,
    EpisodeState,
    LeafFailures,
    OpenedContact,
    all_obligations,
    contact_rank,
    history_of,
    is_about,
    names_failed_order,
    packed,
)
from streams.core.join.repairs import Obligation, OpenObligations
from streams.core.join.rules import JoinRules
from streams.core.recovery import ORIGINS

Find = Callable[[int, int, int], int | None]
"""``core.join.repairs.finder``."""


class Episodes:
    """All customers of one source partition that failed or complained lately."""

    def __init__(self, rules: JoinRules) -> None:
        """Start with nobody."""
        self._rules = rules
        self._terms = {signal: rules.terms(signal) for signal in rules.attributes}
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
        if history is None and (cold := self._cold.get(customer_id)) is not None:
            history = history_of(cold)
        return history

    def fail(self, failure: CustomerFailure) -> None:
        """Fold one failure in."""
        key = (failure.line, failure.signal, floor_ms(failure.time_ms, self._rules.window_ms))
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
            same = (owed for name, owed in all_obligations(history) if name == obligation)
            self.open_obligations.settle(obligation, same)

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
                self.open_obligations.settle(name, (owed for other, owed in all_obligations(history) if other == name))

    def contact(self, customer_id: str, contacted: OpenedContact) -> None:
        """Fold one opened contact in, if it can be about a failure at all."""
        if self._rules.contact.signals(contacted.reason) is None:
            return
        history = self._history(customer_id)
        known = history.contacts.get(contacted.contact_id)
        if known is not None and known <= contacted:
            return
        history.contacts[contacted.contact_id] = contacted
        changed = [contacted] if known is None else [contacted, known]
        if len(history.contacts) > self._rules.limits.contacts:
            changed.append(history.contacts.pop(max(history.contacts, key=contact_rank)))
        for key, evidence in history.episodes.items():
            if any(is_about(self._rules.contact, found, key, evidence) for found in changed):
                self._dirty.add((customer_id, key))
        self._expire_after(contacted.time_ms, customer_id)

    def _history(self, customer_id: str) -> CustomerHistory:
        """Return a customer to change."""
        history = self._warm.get(customer_id)
        if history is None:
            cold = self._cold.get(customer_id)
            history = self._warm[customer_id] = CustomerHistory() if cold is None else history_of(cold)
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
            if contact.time_ms < oldest_ms and not any(names_failed_order(contact, one) for one in retained)
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
        """Yield every episode that changed since the last call, by customer, line, signal and window."""
        for customer_id, key in sorted(self._dirty):
            history = self.history(customer_id)
            evidence = history.episodes.get(key) if history is not None else None
            if history is not None and evidence is not None:
                yield self._record(customer_id, key, evidence, history)
        self._dirty.clear()

    def _record(self, customer_id: str, key: EpisodeKey, evidence: EpisodeState, history: CustomerHistory) -> Episode:
        line, signal, window_ms = key
        most = self._rules.limits.episode_leaves_shown
        about = [c for c in history.contacts.values() if is_about(self._rules.contact, c, key, evidence)]
        leaves = sorted(evidence.leaves.items(), key=lambda leaf: (leaf[1].first_ms, leaf[0]))
        return episode(
            customer_id,
            line,
            signal,
            window_ms,
            self._rules.attributes[signal],
            tuple([_leaf_record(values, leaf) for values, leaf in leaves[:most]]),
            evidence.first_ms,
            evidence.last_ms,
            evidence.failures,
            tuple([event_id for _, event_id in evidence.earliest]),
            as_money(sorted(evidence.amounts.items())),
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
                cold = self._cold[customer_id] = packed(history)
                yield customer_id, cold
            else:
                self._cold.pop(customer_id, None)
                yield customer_id, None

    def load(self, customer_id: str, cold: bytes) -> None:
        """Take back one customer, as a drain gave it."""
        self._cold[customer_id] = cold
        history = history_of(cold)
        times = [evidence.needed_ms(key, self._terms[key[1]]) for key, evidence in history.episodes.items()]
        times += [contacted.time_ms for contacted in history.contacts.values()]
        for time_ms in times:
            self._expire_after(time_ms, customer_id)
        for name, owed in all_obligations(history):
            self.open_obligations.hold(name, owed)


def _leaf_record(values: tuple[str, ...], leaf: LeafFailures) -> LeafEvidence:
    return leaf_evidence(values, leaf.first_ms, leaf.last_ms, leaf.failures, leaf.put_right_ms, ORIGINS[leaf.origin])


def _by_age(key: EpisodeKey) -> tuple[int, str, str]:
    return key[2], key[0], key[1]


