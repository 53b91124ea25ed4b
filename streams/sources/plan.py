"""A mapping made ready for many rows: what several of its events have in common is worked out once per row.

Events of one row mostly repeat each other (the same order, placed and delivered), so equal fields are grouped by the
events that have them. The first event of a row that needs a group fills it, with its own functions: an error always
names the event in which it happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import xxhash

from schemas.topics import EVENT_NOUNS
from streams.sources.conditions import Condition
from streams.sources.fields import Constant, Value, broken
from streams.sources.files import InputRow
from streams.sources.mapping import EventRule, Mapping
from streams.sources.members import Each

Body = dict[str, Any]
Named = tuple[tuple[str, Value], ...]


@dataclass(frozen=True, slots=True)
class EventPlan:
    """One event of a mapping, ready to be made. ``groups``: number of a group that it shares, and its own functions."""

    rule: EventRule
    index: int
    blank: Body
    """What is the same for every row, with room for what every event has."""
    groups: tuple[tuple[int, Named], ...]
    own: Named
    hot: bool
    """True for a topic of events, which say when they arrived."""
    noun: str
    each: Each | None
    when: Condition | None
    time: Value
    id_field: str
    time_field: str
    customer: Value | None
    """The key; None: the id is."""
    names: tuple[str, ...]
    """Fields that it may fill, in the order of the mapping."""
    complete: int
    """Number of fields of an event that lacks none."""

    def body(self, mapping: Mapping, at_ms: int, row: InputRow, parts: list[Body | None]) -> tuple[Body, int, str]:
        """The event's fields, when it arrives, and its key. ``parts`` are the groups filled so far for this row.

        Raises MalformedEvent. An event without an id of its own has a hash of the row's bytes: a row that is played
        twice is the same event.
        """
        rule, fields = self.rule, row.fields or {}
        body, key = self.blank.copy(), ""
        if rule.event_id is not None:
            key = body[self.id_field] = needed(rule.event_id(fields), rule, "id")
        elif self.id_field:
            body[self.id_field] = f"{mapping.name}-{self.index}-{xxhash.xxh3_128_hexdigest(row.raw)}"
        body[self.time_field] = at_ms
        arrival = rule.arrival(fields) if rule.arrival is not None else None
        if arrival is not None and self.hot:
            body["arrived_at_ms"] = arrival
        if self.customer is not None:
            key = body["customer_id"] = needed(self.customer(fields), rule, "customer")
        for number, named in self.groups:
            part = parts[number]
            if part is None:
                part = parts[number] = {name: found for name, value in named if (found := value(fields)) is not None}
            body.update(part)
        for name, value in self.own:
            if (found := value(fields)) is not None:
                body[name] = found
        return body, at_ms if arrival is None else arrival, key


def needed(value: Any, rule: EventRule, part: str) -> Any:
    """The value. Raises MalformedEvent if it is absent or blank: blanks would be one key for many."""
    if value is None or (type(value) is str and not value.strip()):
        raise broken(f"{rule.path}.{part}", "value is there")
    return value


def plan_of(mapping: Mapping) -> tuple[tuple[EventPlan, ...], int]:
    """The events of a mapping, and how many groups they share."""
    users: dict[tuple[str, str], list[int]] = {}
    for index, rule in enumerate(mapping.events):
        for name, _, spec in rule.fields:
            users.setdefault((name, f"{rule.noun} {spec}"), []).append(index)
    shared = sorted({tuple(found) for found in users.values() if len(found) > 1})
    plans = []
    for index, rule in enumerate(mapping.events):
        parts: dict[int, list[tuple[str, Value]]] = {}
        for name, value, spec in rule.fields:
            if not isinstance(value, Constant):
                together = tuple(users[name, f"{rule.noun} {spec}"])
                parts.setdefault(shared.index(together) if len(together) > 1 else -1, []).append((name, value))
        own = tuple(parts.pop(-1, ()))
        plans.append(_plan(rule, index, tuple((number, tuple(named)) for number, named in parts.items()), own))
    return tuple(plans), len(shared)


def _plan(rule: EventRule, index: int, groups: tuple[tuple[int, Named], ...], own: Named) -> EventPlan:
    names = tuple(field.name for field in rule.fields)
    hot = rule.noun in EVENT_NOUNS
    customer = rule.customer if rule.noun != "change" else None
    others = [rule.id_field, rule.time_field, customer, hot and rule.arrival]
    complete = len(names) + sum(map(bool, others))
    room = (rule.id_field, rule.time_field, "customer_id" if customer is not None else "")
    given = ((name, value.value) for name, value, _ in rule.fields if isinstance(value, Constant))
    blank: Body = {name: None for name in room if name}
    blank.update((name, value) for name, value in given if value is not None)
    return EventPlan(
        rule, index, blank, groups, own, hot, rule.noun, rule.each, rule.when, rule.time, rule.id_field,
        rule.time_field, customer, names, complete,
    )  # fmt: skip
