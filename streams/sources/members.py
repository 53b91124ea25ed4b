"""Members of lists in a row: the one with a certain key, or an event for each.

`{field: event_params, where: {key: page}, get: value.string_value}`: the first member of the list whose `key` is `page`
(`[page, screen]`: one of these; of several names all must hold), and in it what `get` names; without `get` the member.

`each: parts` beside `to` (or under `input`, for every event): one event per member of the list, with the whole row at
hand: the member is the field `each`, as in `{field: each.created_at}` or `"{id}-{each.id}"`. Another name for it:
`each: {list: msg.checkpoints, as: checkpoint}`. An absent or empty list makes no event; an object counts as its only
member. An `id` must name something of the member; without one the event's id is made of the row and the member's index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from streams.sources.fields import Scope, Value, broken, field_at
from streams.sources.files import InputRow
from streams.sources.files.shape import path_steps
from streams.sources.node import Node

MEMBER_KEYS = ("where", "get")
MOST_MEMBERS, MOST_FIELDS = 10_000, 1_000_000
"""Members of a list, and fields of all the rows that are made of them."""
_NAME = "each"


def field_of(entries: Mapping[str, Node], scope: Scope) -> Value:
    """The value that ``field`` names, or with ``where`` and ``get`` what they find in the list there."""
    whole = field_at(entries["field"], scope)
    if "where" not in entries:
        if "get" in entries:
            entries["get"].refuse("needs where beside it, as in where: {key: page}.")
        return whole
    wanted = [(path_steps(one.child("", name)), _texts(one)) for name, one in entries["where"].entries().items()]
    if not wanted:
        entries["where"].refuse("must name a field of the member and its value, as in {key: page}.")
    steps, absent = path_steps(entries["get"]) if "get" in entries else (), scope.absent

    def find(fields: Mapping[str, Any]) -> Any:
        found = whole(fields)
        for member in found if isinstance(found, list) else (found,):
            if all(_text(_inside(member, path)) in texts for path, texts in wanted):
                value = _inside(member, steps)
                return None if isinstance(value, str) and value in absent else value
        return None

    return find


def _texts(node: Node) -> frozenset[str | None]:
    values = node.items() if isinstance(node.value, list) else (node,)
    return frozenset(_text(one.scalar()) for one in values) - {None}


def _text(value: Any) -> str | None:
    """Files hold text where YAML holds numbers: compare as text."""
    if value is None or isinstance(value, list | dict):
        return None
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _inside(found: Any, steps: tuple[str, ...]) -> Any:
    for step in steps:
        if isinstance(found, list):
            found = found[int(step)] if step.isdecimal() and int(step) < len(found) else None
        else:
            found = found.get(step) if isinstance(found, dict) else None
    return found


@dataclass(frozen=True, slots=True)
class Each:
    """A list of a row that makes an event per member. ``name``: what the member is called beside the row's fields."""

    path: str
    list: Value
    steps: tuple[str, ...]
    name: str

    def rows(self, row: InputRow) -> Iterator[InputRow]:
        """The row once per member. Raises MalformedEvent if there is something else than a list, or too long a one."""
        fields = row.fields or {}
        found = self.list(fields)
        members = found if isinstance(found, list) else [found] if found is not None else []
        if not isinstance(found, list | dict | None):
            raise broken(self.path, "is a list", found)
        most = min(MOST_MEMBERS, MOST_FIELDS // (len(fields) + 1))
        if len(members) > most:
            raise broken(self.path, f"has at most {most:,} members", found)
        for index, member in enumerate(members):
            if member is not None:
                yield row._replace(raw=b"%b[%d]" % (row.raw, index), fields={**fields, self.name: member})


def read_each(node: Node, scope: Scope) -> Each:
    """Compile ``each``. Raises ConfigError."""
    entries = node.fields(("list", "as"), required=("list",)) if isinstance(node.value, dict) else {"list": node}
    name = entries["as"].text() if "as" in entries else _NAME
    if not name.isidentifier():
        entries["as"].refuse("must be a word.")
    return Each(node.path, field_at(entries["list"], scope), path_steps(entries["list"]), name)


def locate_members(each: Each, node: Node, since: int, event_id: Node | None) -> None:
    """Say where in a row the fields of members are that ``node`` named since then; ``event_id`` must name one.

    Raises ConfigError.
    """
    ids = 0
    for index, one in enumerate(node.named[since:], since):
        first, *more = one.steps if len(one.steps) > 1 else one.steps[0].split(".")
        if first == each.name:
            ids += event_id is not None and one.path.startswith(event_id.path)
            inside = (*each.steps, "0", *more)
            steps = (".".join(inside),) if len(one.steps) == 1 else inside
            node.named[index] = replace(one, steps=steps)
    if event_id is not None and not ids:
        example = f'"{{id}}-{{{each.name}.id}}"'
        event_id.refuse(f"must tell the members of {'.'.join(each.steps)} apart, as {example} does; or leave it out.")
