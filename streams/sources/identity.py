"""Several identifiers, one customer: which key an event gets, decided before it is written. Pure.

A mapping lists identifiers, strongest first (an account, then e-mail, then a device). A *link* says that one of them
belongs to another, and each identifier has at most one: the first that was seen. Following links leads to the key:

    device:d-7  ->  email:p-31  ->  account:u-1        a row with d-7 alone is keyed u-1

An identifier of the first kind is a key by itself. Otherwise the strongest identifier of the row that has a link
decides; without any, the strongest one is the key as it stands. Links hold from the row on that makes them: an event is
never keyed anew because of a later one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from schemas.errors import MalformedEvent
from schemas.events import PLAIN_TEXT
from streams.sources.conditions import Condition, compile_condition
from streams.sources.fields import Scope, Value, broken
from streams.sources.node import Node
from streams.sources.values import compile_value

_KIND = re.compile(r"[a-z][a-z0-9_-]{0,31}")
PERSONAL = re.compile(r"@|^\+[0-9]")
"""What looks like an e-mail address or a telephone number, and must be a pseudonym."""
_OPAQUE = re.compile(PLAIN_TEXT)
_MOST = 128
CUSTOMER = "\0customer"
"""Entry of a row's fields that holds the key once it was looked up; no column can be called so."""


class Identifier(NamedTuple):
    """One identifier of a row. ``rank``: place of its kind in the mapping, 0 is the strongest."""

    rank: int
    kind: str
    value: str

    @property
    def name(self) -> str:
        """Kind and value as links name them."""
        return f"{self.kind}:{self.value}"


class LinkTable(Protocol):
    """Links by identifier, both as ``kind:value``."""

    def target(self, name: str) -> str | None:
        """What an identifier is linked to."""

    def link(self, name: str, target: str) -> None:
        """Link an identifier that has no link yet."""


@dataclass(slots=True)
class IdentityCounts:
    """What became of rows that name a customer, and of links. Rows of which no event is made count as well."""

    rows: int = 0
    unlinked: int = 0
    """Keyed by an identifier that is no key by itself and has no link."""
    links: int = 0
    conflicts: int = 0
    """Identifiers that were named together although they lead to two customers; the first link stayed."""

    def notes(self) -> list[str]:
        """What to tell people."""
        if not self.rows:
            return []
        share = 100 * self.unlinked / self.rows
        conflicts = f", {self.conflicts:,} contradict earlier ones (the first counts)" if self.conflicts else ""
        unlinked = f"{self.unlinked:,} of {self.rows:,} rows ({share:.1f} %) are keyed by an identifier without a link"
        return [f"identity: {self.links:,} links{conflicts}; {unlinked}"]


@dataclass(frozen=True, slots=True)
class Identity:
    """The identifiers of a mapping, strongest first, and which rows link those that they name together."""

    identifiers: tuple[tuple[Identifier, Value, str], ...]
    """Rank and kind (without a value), how the value is made, and its place in the mapping."""
    link_rule: Condition | None = None
    """Rows that link what they name; None: no row does, links come from a file of their own."""

    @property
    def kinds(self) -> frozenset[str]:
        """Its sorts of identifiers."""
        return frozenset(kind.kind for kind, _, _ in self.identifiers)

    def of(self, fields: Mapping[str, Any]) -> tuple[Identifier, ...]:
        """The identifiers that a row has, strongest first. Raises MalformedEvent if one is no opaque id."""
        found: list[Identifier] = []
        for kind, value, path in self.identifiers:
            text = value(fields)
            if not text:
                continue
            if len(text) > _MOST or PERSONAL.search(text) or not _OPAQUE.fullmatch(text):
                raise broken(path, "is an opaque id (a pseudonym, where it names a person)", text)
            found.append(kind._replace(value=text))
        return tuple(dict.fromkeys(found))

    def named(self, fields: Mapping[str, Any] | None) -> tuple[Identifier, ...]:
        """The identifiers of a row; none of one that cannot be read or breaks a rule of theirs."""
        try:
            return self.of(fields) if fields is not None else ()
        except MalformedEvent:
            return ()

    def links(self, fields: Mapping[str, Any] | None) -> bool:
        """True if this row links what it names."""
        try:
            return fields is not None and self.link_rule is not None and self.link_rule(fields)
        except MalformedEvent:
            return False

    def key(self, fields: Mapping[str, Any]) -> str | None:
        """The customer of a row: what was looked up for it, else its strongest identifier; None: it names none."""
        if CUSTOMER in fields:
            return str(fields[CUSTOMER])
        found = self.of(fields)
        return found[0].value if found else None


def read_identity(customer: Node | None, links: Node | None, scope: Scope) -> Identity | None:
    """``customer: {identity: [...]}`` and ``links`` of a mapping; None if it has no such customer."""
    if customer is None or not isinstance(customer.value, dict) or "identity" not in customer.value:
        if links is not None:
            links.refuse("needs customer.identity: which identifiers are linked.")
        return None
    listed = list(customer.fields(("identity",))["identity"].items())
    if not listed:
        customer.refuse("identity needs a list of identifiers, strongest first.")
    ranks: dict[str, int] = {}
    identifiers = []
    for rank, node in enumerate(listed):
        entries = node.entries()
        if "kind" not in entries:
            node.refuse("kind is missing: a word for the sort of identifier, such as account, email or device.")
        kind = entries["kind"].text()
        if not _KIND.fullmatch(kind):
            entries["kind"].refuse("must be a word of small letters, digits, - and _.")
        value = compile_value(_value_of(node), scope, "text")
        identifiers.append((Identifier(ranks.setdefault(kind, rank), kind, ""), value, node.path))
    return Identity(tuple(identifiers), _link_rule(links, scope))


def _value_of(node: Node) -> Node:
    """The value of an identifier: under ``value``, or the form of a value that stands beside ``kind``."""
    rest = {name: value for name, value in node.value.items() if name != "kind"}
    if "value" not in rest:
        return replace(node, value=rest)
    if len(rest) > 1:
        node.refuse("value stands alone beside kind.")
    return node.child("value", rest["value"])


def _link_rule(node: Node | None, scope: Scope) -> Condition | None:
    if node is None or node.value is False:
        return None
    if node.value is True:
        return lambda _: True
    return compile_condition(node.fields(("when",), required=("when",))["when"], scope)


def link_together(found: Sequence[Identifier], table: LinkTable, counts: IdentityCounts) -> None:
    """Link what a row names together: the weaker ones to the strongest. A link that exists stays."""
    for weaker in found[1:]:
        strongest = found[0].name
        leads_to = root(strongest, table)
        if weaker.name in (strongest, leads_to):
            continue
        if table.target(weaker.name) is None:
            table.link(weaker.name, strongest)
            counts.links += 1
        elif root(weaker.name, table) != leads_to:
            counts.conflicts += 1


def resolve(found: Sequence[Identifier], table: LinkTable, counts: IdentityCounts) -> str:
    """The key of a row that names these identifiers (at least one), strongest first."""
    counts.rows += 1
    for one in found:
        if one.rank == 0 or table.target(one.name) is not None:
            return root(one.name, table).partition(":")[2]
    counts.unlinked += 1
    return found[0].value


def root(name: str, table: LinkTable) -> str:
    """Where links lead from an identifier; itself if it has none. Links never form a circle."""
    while (target := table.target(name)) is not None:
        name = target
    return name
