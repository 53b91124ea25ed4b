"""Fields of an event by their type in the contract: what a mapping may write for each, checked when it is loaded."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from streams.sources.fields import Fields, Scope, Value, broken, plain
from streams.sources.node import Node
from streams.sources.time_specs import compile_time
from streams.sources.values import SOURCES, Kind, compile_value

DEADLINES = frozenset({"promised_at_ms"})
"""Times until which something must have happened: a day means its end."""


def compile_field(node: Node, info: FieldInfo, name: str, scope: Scope) -> Value:
    """Compile one field by its type in the contract: a map or a list of values, a time, or a single value."""
    shape = _shape(info.annotation)
    if shape is dict:
        _check_names(node, info)
        return _object(node, scope)
    if isinstance(node.value, list):
        return _list(node, scope)
    if shape is tuple:
        whole = compile_value(node, scope, "any")
        return whole if _type(info.annotation)[1] == "any" else _members(whole, node)
    if name.endswith("_at_ms"):
        return compile_time(node, scope, deadline=name in DEADLINES)
    choices, kind = _type(info.annotation)
    if choices:
        _check_choices(node, choices, scope)
    return compile_value(node, scope, kind)


def _shape(annotation: Any) -> type | None:
    """Whether a field holds a map (dict) or a list (tuple) of values; None: a single value."""
    for part in (annotation, *get_args(annotation)):
        if get_origin(part) in (dict, tuple):
            found: type | None = get_origin(part)
            return found
    return None


def _check_names(node: Node, info: FieldInfo) -> None:
    """Refuse names of a map that no row could have: too many, too long, empty, or with characters of no label."""
    entries = node.entries()
    limits = (getattr(rule, "max_length", None) for rule in info.metadata)
    most = next((limit for limit in limits if limit is not None), len(entries))
    if len(entries) > most:
        node.refuse(f"has {len(entries)} names; allowed are at most {most}.")
    names: TypeAdapter[str] = TypeAdapter(get_args(info.annotation)[0])
    for name, entry in entries.items():
        try:
            names.validate_python(name)
        except ValidationError as error:
            rule = error.errors(include_url=False)[0]["msg"].partition(" should ")[2]
            entry.refuse(f"its name should {rule}.")


def _members(value: Value, node: Node) -> Value:
    """A list of texts: the row's own list without what is absent in it, or a list of its one value."""

    def members(fields: Fields) -> list[str] | None:
        found = value(fields)
        if found is None:
            return None
        try:
            texts = [plain(one) for one in (found if isinstance(found, list) else [found])]
        except TypeError:
            raise broken(node.path, "is a list of single values", found) from None
        return [text for text in texts if text]

    return members


def _type(annotation: Any) -> tuple[tuple[str, ...], Kind]:
    """Closed vocabulary (if any) and kind of a pydantic annotation."""
    if get_origin(annotation) is Literal:
        return tuple(str(choice) for choice in get_args(annotation)), "text"
    kinds: dict[Any, Kind] = {str: "text", int: "int", float: "float", bool: "bool"}
    if annotation in kinds:
        return (), kinds[annotation]
    for part in get_args(annotation):
        choices, kind = _type(part)
        if choices or kind != "any":
            return choices, kind
    return (), "any"


def _check_choices(node: Node, choices: Collection[str], scope: Scope) -> None:
    """Check constants, table entries and defaults against their closed vocabulary when the mapping is loaded."""
    if isinstance(node.value, str) and "{" not in node.value:
        node.text(choices)
    if not isinstance(node.value, dict):
        return
    entries = node.entries()
    if "default" in entries:
        entries["default"].text(choices)
    table = entries.get("table")
    if table is not None:
        known = scope.tables.get(table.value) if isinstance(table.value, str) else None
        for name, value in (known or (table.value if isinstance(table.value, dict) else {})).items():
            table.child(str(name), value).text(choices)


def _is_object(node: Node) -> bool:
    """A YAML mapping that uses none of our keywords is an object of the record, as one consent is."""
    return isinstance(node.value, dict) and not any(word in node.value for word in SOURCES)


def _object(node: Node, scope: Scope) -> Value:
    parts = [(name, _nested(value, scope)) for name, value in node.entries().items()]

    def build(fields: Fields) -> dict[str, Any]:
        return {name: found for name, value in parts if (found := value(fields)) is not None}

    return build


def _list(node: Node, scope: Scope) -> Value:
    parts = [_nested(item, scope) for item in node.items()]
    return lambda fields: [found for value in parts if (found := value(fields)) is not None]


def _nested(node: Node, scope: Scope) -> Value:
    """A value inside an object or list: booleans stay booleans, everything else becomes text."""
    if isinstance(node.value, list):
        return _list(node, scope)
    if _is_object(node):
        return _object(node, scope)
    truth = node.path.endswith(".granted")
    return compile_value(node, scope, "bool" if truth else "text")
