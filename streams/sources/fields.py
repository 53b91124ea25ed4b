"""A row's fields: found by their path, put together to texts, and told apart from fields that are absent.

A path such as ``user.items.0.sku`` goes into nested objects and lists (-1 is a list's last member); a field whose name
has dots comes first, and a list of steps allows dots in each. Texts that mean "no value" (``input.absent``) are absent
at every depth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

from schemas.errors import MalformedEvent
from streams.sources.node import Node
from streams.sources.number_formats import NumberFormat
from streams.sources.times import ZoneRules

Fields = Mapping[str, Any]
Value = Callable[[Fields], Any]
"""From a row to a value; None means absent. Raises MalformedEvent if the row breaks a rule."""

_BRACED = re.compile(r"\{([^{}]*)\}")
_INDEX = re.compile(r"-?[0-9]{1,9}")
_CLASSES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


@dataclass(frozen=True, slots=True)
class Scope:
    """What value specifications share and may refer to."""

    zone_rules: ZoneRules
    number: Callable[[Node, Scope], Value]
    """Compiles the specification of a number; its values are exact (Decimal). See streams.sources.values."""
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    times: dict[str, Value] = field(default_factory=dict)
    deadlines: dict[str, Value] = field(default_factory=dict)
    """The same times read as deadlines: a day means its end. Those that never name only a day are the same function."""
    days: list[str] = field(default_factory=list)
    """Places where a deadline may be read that names only a day."""
    templates: dict[str, Value] = field(default_factory=dict)
    """Texts with several ``{field}`` in them, each filled once per row however often the mapping uses it."""
    pseudonym_key: bytes | None = None
    absent: frozenset[str] = frozenset({""})
    """Texts that mean "no value"."""
    numbers: NumberFormat = field(default_factory=NumberFormat)
    """How the file writes numbers."""


class Constant:
    """A value that is the same for every row."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        """``value``: None means absent."""
        self.value = value

    def __call__(self, _: Fields) -> Any:
        """The value."""
        return self.value


def broken(where: str, rule: str, value: object = None) -> MalformedEvent:
    """The error of a row: the mapping's path, the rule and the class of the value, never the value."""
    return MalformedEvent(where, rule, _CLASSES.get(type(value), "") if value is not None else "", "mapping")


def once_per_row(value: Value) -> Value:
    """Remember the outcome for the row it was asked for last: named times are used by several events of a row."""
    last: list[Any] = [None, None]

    def remembered(fields: Fields) -> Any:
        if last[0] is not fields:
            last[1] = value(fields)
            last[0] = fields
        return last[1]

    return remembered


def field_at(node: Node, scope: Scope) -> Value:
    """The field at the path that a node holds: text, or a list of steps."""
    path = [step.text() for step in node.items()] if isinstance(node.value, list) else node.text()
    if not path or not all(path):
        node.refuse("must name a field.")
    return _lookup(path, node, scope)


def _lookup(path: str | list[str], node: Node, scope: Scope) -> Value:
    """The field at a path, which ``node`` names."""
    node.names(path)
    whole, names = (path, path.split(".")) if isinstance(path, str) else ("", path)
    steps = [(step, int(step) if _INDEX.fullmatch(step) else None) for step in names]
    absent = scope.absent
    if whole and len(steps) == 1:

        def own(fields: Fields) -> Any:
            found = fields.get(whole)
            return None if isinstance(found, str) and found in absent else found

        return own

    def nested(fields: Fields) -> Any:
        found: Any = fields.get(whole) if whole else None
        if found is None:
            found = fields
            for step, index in steps:
                if isinstance(found, list):
                    if index is None or not -len(found) <= index < len(found):
                        return None
                    found = found[index]
                elif found is fields or isinstance(found, dict):
                    found = found.get(step)
                else:
                    return None
        return None if isinstance(found, str) and found in absent else found

    return nested


def template(node: Node, scope: Scope) -> Value:
    """Text in which ``{field}`` stands for a field, ``{a|b}`` for the first of two that is there.

    One ``{field}`` and nothing else gives the field's own value.
    """
    text = node.text()
    parts = _BRACED.split(text)
    if any("{" in part or "}" in part for part in parts[::2]) or not all(parts[1::2]):
        node.refuse("braces must enclose a field name, as in {order_id}.")
    if len(parts) == 1:
        return lambda _: text
    if len(parts) == 3 and not parts[0] and not parts[2]:
        return _first_named(parts[1], node, scope)
    fill = _fill(parts, node, scope)
    begun = max((known for known in scope.templates if text.startswith(known)), key=len, default="")
    if begun and begun != text and "{" not in text[len(begun) :]:
        return _ended(scope.templates[begun], text[len(begun) :])
    return scope.templates.setdefault(text, once_per_row(fill))


def _ended(begun: Value, end: str) -> Value:
    """A text that another one begins, as an event's id that ends in its status."""
    return lambda fields: None if (text := begun(fields)) is None else text + end


def is_mixed(text: str) -> bool:
    """Whether a template has more in it than one field, so that what it gives is text, whatever the row holds."""
    return len(parts := _BRACED.split(text)) != 3 or bool(parts[0] or parts[2])


def _first_named(names: str, node: Node, scope: Scope) -> Value:
    if "|" not in names:
        return _lookup(names, node, scope)
    paths = [name.strip() for name in names.split("|")]
    if not all(paths):
        node.refuse("each side of | must be a field name, as in {email|phone}.")
    members = [replace(node, path=f"{node.path}{{{names}}}.first_of[{index}]") for index in range(len(paths))]
    return first_present([_lookup(path, member, scope) for path, member in zip(paths, members, strict=True)])


def first_present(values: list[Value]) -> Value:
    """The first of several values that is neither absent nor blank."""

    def first(fields: Fields) -> Any:
        for value in values:
            if (found := value(fields)) is not None and not (type(found) is str and found.isspace()):
                return found
        return None

    return first


def _fill(parts: list[str], node: Node, scope: Scope) -> Value:
    names, lookups = parts[1::2], [_first_named(names, node, scope) for names in parts[1::2]]
    afters = parts[2::2]

    def fill(fields: Fields) -> str | None:
        text = parts[0]
        for get, after in zip(lookups, afters, strict=True):
            found = get(fields)
            if found is None or isinstance(found, list | dict):
                return None
            text += (found if isinstance(found, str) else plain(found)) + after
        return text

    if len(names) < 2 or any("." in name or "|" in name for name in names):
        return fill
    return _fill_columns(names, "%s".join(part.replace("%", "%%") for part in parts[::2]), fill, scope.absent)


def _fill_columns(names: list[str], form: str, fill: Value, absent: frozenset[str]) -> Value:
    """The same where all fields are texts of the row's own, as in a table; ``fill`` does all other rows."""
    take, is_present = itemgetter(*names), absent.isdisjoint

    def fill_columns(fields: Fields) -> Any:
        try:
            found = take(fields)
            "".join(found)  # refuses what is no text
        except (KeyError, TypeError):
            return fill(fields)
        return form % found if is_present(found) else None

    return fill_columns


def plain(value: Any) -> str:
    """The text of a single value, as JSON would write it. Raises TypeError for lists and objects."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if value is None:
        return ""
    raise TypeError
