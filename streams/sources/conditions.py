"""Conditions of a mapping: which rows make an event.

`{field: dep_time, present: true}`, `{field: status, equals: shipped}`, `{field: status, in: [a, b]}`,
`{field: n, above: 0}`, `{field: n, below: 10}`, `{not: ...}`, `{all: [...]}`, `{any: [...]}`; a list means all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streams.sources.node import Node
from streams.sources.values import Fields, broken, lookup

Condition = Callable[[Fields], bool]
_TESTS = ("present", "equals", "in", "above", "below")
_GROUPS = ("all", "any", "not")


def compile_condition(node: Node) -> Condition:
    """From a row to true or false. Raises MalformedEvent if a number is needed and none is there."""
    if isinstance(node.value, list):
        return _all([compile_condition(item) for item in node.items()])
    entries = node.fields(("field", *_TESTS, *_GROUPS))
    groups = [name for name in _GROUPS if name in entries]
    if groups:
        if len(entries) != 1:
            node.refuse(f"{groups[0]} stands alone.")
        return _group(groups[0], entries[groups[0]])
    if "field" not in entries or len(entries) < 2:
        node.refuse("a condition needs a field and a test, or one of all, any, not.", (*_TESTS, *_GROUPS))
    get = lookup(entries["field"].text(), entries["field"])
    tests = [_test(name, entries[name]) for name in _TESTS if name in entries]
    return lambda fields: all(test(get(fields)) for test in tests)


def _group(name: str, node: Node) -> Condition:
    if name == "not":
        inner = compile_condition(node)
        return lambda fields: not inner(fields)
    parts = [compile_condition(item) for item in node.items()]
    return _all(parts) if name == "all" else lambda fields: any(part(fields) for part in parts)


def _all(parts: list[Condition]) -> Condition:
    return lambda fields: all(part(fields) for part in parts)


def _test(name: str, node: Node) -> Callable[[Any], bool]:
    if name == "present":
        wanted = node.scalar()
        if not isinstance(wanted, bool):
            node.refuse("must be true or false.")
        return lambda value: (value is not None) is wanted
    if name == "in":
        allowed = {_same(item.scalar()) for item in node.items()}
        return lambda value: _same(value) in allowed
    if name == "equals":
        expected = _same(node.scalar())
        return lambda value: _same(value) == expected
    return _compare(name, node)


def _same(value: Any) -> str | None:
    """Files hold text where YAML holds numbers: compare as text."""
    if value is None or isinstance(value, list | dict):
        return None
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _compare(name: str, node: Node) -> Callable[[Any], bool]:
    limit = node.scalar()
    if isinstance(limit, bool | str) or limit is None:
        node.refuse("must be a number.")
    bound = float(limit)

    def compare(value: Any) -> bool:
        if value is None:
            return False
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise broken(node.path, "is a number", value) from None
        return number > bound if name == "above" else number < bound

    return compare
