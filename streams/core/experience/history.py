"""What is remembered of one customer: the events of each contact and order, and what they say together.

Contacts and orders that have to do with each other (a repeat, a contact about an order, an order that replaced one) are
a group. A group is forgotten as a whole, once nothing that is still accepted can change any of it: what is reported of
one never changes because another was forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import xxhash

from schemas.experience import ContactCase, OrderOutcome
from streams.core.experience import cases, orders
from streams.core.experience.facts import CONTACT, ORDER, KnownEvent, ReadField, added
from streams.core.experience.rules import ExperienceRules

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(
    tuple[int, bool, dict[str, list[tuple[int, int, int, int, dict[int, Any]]]],
          dict[str, list[tuple[int, int, int, int, dict[int, Any]]]]]
).decode  # fmt: skip
_unpack_next = msgspec.msgpack.Decoder(tuple[int, bool, msgspec.Raw, msgspec.Raw]).decode

Known = dict[str, list[KnownEvent]]
"""Id of a contact or order -> its events, sorted."""
Node = tuple[str, str]
"""A contact or an order: ("case" or "order", id)."""
Findings = dict[Node, ContactCase | OrderOutcome]


@dataclass(slots=True)
class CustomerEvents:
    """One customer. ``cut``: more came at a time than is remembered."""

    cases: Known = field(default_factory=dict)
    orders: Known = field(default_factory=dict)
    cut: bool = False

    def contact(self, contact_id: str, fact: KnownEvent, rules: ExperienceRules) -> None:
        """Take in an event of a contact."""
        self._take(self.cases, contact_id, fact, CONTACT, rules.cases, rules.events)

    def order(self, order_id: str, fact: KnownEvent, rules: ExperienceRules) -> None:
        """Take in an event of an order."""
        self._take(self.orders, order_id, fact, ORDER, rules.orders, rules.events)

    def _take(
        self, known: Known, name: str, fact: KnownEvent, fields: tuple[ReadField, ...], most: int, events: int
    ) -> None:
        facts = known.get(name)
        known[name] = [fact] if facts is None else added(facts, fact, fields, events)
        if len(known) > most:
            del known[max(known, key=_rank)]
            self.cut = True

    def __bool__(self) -> bool:
        """True if anything is remembered."""
        return bool(self.cases or self.orders)


def _rank(name: str) -> tuple[int, str]:
    return xxhash.xxh3_64_intdigest(name.encode()), name


def packed(history: CustomerEvents, next_ms: int) -> bytes:
    """Return the persisted form; ``next_ms``: see :class:`Conclusions`."""
    return _pack((next_ms, history.cut, _in_order(history.cases), _in_order(history.orders)))


def _in_order(known: Known) -> Known:
    return dict(sorted(known.items())) if len(known) > 1 else known


def history_of(stored: bytes) -> CustomerEvents:
    """Undo :func:`packed`."""
    _, cut, contacts, placed = _unpack(stored)
    return CustomerEvents(
        {name: [KnownEvent(*fact) for fact in facts] for name, facts in contacts.items()},
        {name: [KnownEvent(*fact) for fact in facts] for name, facts in placed.items()},
        cut,
    )


def next_of(stored: bytes) -> int:
    """The ``next_ms`` of a persisted form."""
    return _unpack_next(stored)[0]


class Conclusions:
    """What the history of a customer says when the watermark is at ``watermark_ms``."""

    def __init__(self, history: CustomerEvents, watermark_ms: int, rules: ExperienceRules) -> None:
        """Work it out."""
        self._history = history
        self._watermark_ms = watermark_ms
        self._rules = rules
        self._cases = [cases.OneContact(name, facts) for name, facts in history.cases.items()]
        self._orders = [orders.OneOrder(name, facts) for name, facts in history.orders.items()]
        self.cases = cases.judge(self._cases)
        self.orders = orders.judge(self._orders, self._cases, watermark_ms)

    def findings(self, customer: str) -> Findings:
        """All findings, contacts first."""
        cut = self._history.cut
        found: Findings = {
            ("case", one.case.contact_id): cases.finding(customer, one, self._watermark_ms, cut=cut)
            for one in self.cases
        }
        for each in self.orders:
            found["order", each.order.order_id] = orders.finding(customer, each, self._watermark_ms, cut=cut)
        return found

    def forget(self) -> int | None:
        """Drop what is over from the history. Return when it has to be looked at again: once the watermark is past it.

        None if nothing is left.
        """
        moments = [one.final_ms for one in self.cases]
        moments += [final_ms for each in self.orders if (final_ms := each.final_ms) is not None]
        for names, until_ms in self._groups():
            moments.append(until_ms)
            if until_ms < self._watermark_ms:
                for kind, name in names:
                    del (self._history.cases if kind == "case" else self._history.orders)[name]
        return min([time_ms for time_ms in moments if time_ms >= self._watermark_ms], default=None)

    def _groups(self) -> list[tuple[Collection[Node], int]]:
        """Who has to do with whom, and until when they are remembered."""
        keep_ms = self._rules.keep_ms
        until: dict[Node, int] = {("case", one.contact_id): one.last_ms + keep_ms for one in self._cases}
        for order in self._orders:
            until["order", order.order_id] = order.last_ms + keep_ms
        for each in self.orders:
            until["order", each.order.order_id] = each.kept_ms(keep_ms)
        relations = list(self._relations()) if len(until) > 1 else []
        if not relations:
            return [((node,), until_ms) for node, until_ms in until.items()]
        group: dict[Node, set[Node]] = {node: {node} for node in until}
        for one, other in relations:
            if group[one] is not group[other]:
                group[one] |= group[other]
                for node in group[other]:
                    group[node] = group[one]
        distinct = {id(nodes): nodes for nodes in group.values()}
        return [(nodes, max(until[node] for node in nodes)) for nodes in distinct.values()]

    def _relations(self) -> Iterator[tuple[Node, Node]]:
        for one in self.cases:
            if one.before:
                yield ("case", one.case.contact_id), ("case", one.before.contact_id)
        for each in self.orders:
            here = ("order", each.order.order_id)
            yield from ((here, ("case", case.contact_id)) for case in each.contacts)
            if each.replaced_by:
                yield here, ("order", each.replaced_by.order_id)
