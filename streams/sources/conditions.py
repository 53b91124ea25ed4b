"""Conditions of a mapping: which rows make an event.

A condition has one subject and one or more tests, all of which must hold: `{field: status, equals: shipped}`.

| subject | |
|---|---|
| `field: a.b`, `text: "{a} {b}"`, `first_of: [a, b]` | a value of the row |
| `field: params, where: {key: page}, get: value` | a member of a list by its key, see streams.sources.members |
| `time: shipped`, `time: {field: at, format: epoch_s}` | a time |
| `plus`, `minus`, `times`, `over` with a list | a number or a time, see streams.sources.arithmetic |

| test | holds if |
|---|---|
| `present: true` | the value is there (`false`: absent) |
| `equals: x`, `in: [x, y]` | it is x, one of them; compared as text, times as times |
| `above`, `below`, `at_least`, `at_most: 10` | the number, or the time, is |
| `contains`, `starts_with`, `ends_with: x` | the text does; `[x, y]`: with one of them. A list contains its members |
| `matches: "^AB[0-9]+$"` | the regular expression (RE2's syntax; its time is linear) is found in the text |

What is compared with may come from the row: `above: "{limit}"`, `equals: {field: other}`, `below: {time: promised}`.
`ignore_case: true` lets texts be equal whatever their case. An absent subject holds no test but `present: false`, and
nothing is above or below what is absent. Numbers are read as `decimal`, `thousands` and so on say.
Groups: `{not: ...}`, `{all: [...]}`, `{any: [...]}`; a list means all.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from streams.sources.arithmetic import OPERATORS, Quantity, compile_arithmetic, operator_of
from streams.sources.fields import Fields, Scope, Value
from streams.sources.members import MEMBER_KEYS
from streams.sources.node import Node
from streams.sources.number_formats import NUMBER_KEYS
from streams.sources.text_tests import TEXT_TESTS, text_test
from streams.sources.time_specs import compile_time
from streams.sources.times import duration_ms
from streams.sources.values import compile_value

Condition = Callable[[Fields], bool]
_BOUNDS: dict[str, Callable[[Any, Any], bool]] = {
    "above": operator.gt, "below": operator.lt, "at_least": operator.ge, "at_most": operator.le,
}  # fmt: skip
_TESTS = ("present", "equals", "in", *_BOUNDS, *TEXT_TESTS)
_GROUPS = ("all", "any", "not")
_SUBJECTS = ("field", "text", "first_of", "time", *OPERATORS)


def compile_condition(node: Node, scope: Scope) -> Condition:
    """From a row to true or false. Raises MalformedEvent if a number is needed and none is there."""
    if isinstance(node.value, list):
        return _all([compile_condition(item, scope) for item in node.items()])
    entries = node.fields((*_SUBJECTS, *MEMBER_KEYS, *_TESTS, "ignore_case", *NUMBER_KEYS, *_GROUPS))
    groups = [name for name in _GROUPS if name in entries]
    if groups:
        if len(entries) != 1:
            node.refuse(f"{groups[0]} stands alone.")
        return _group(groups[0], entries[groups[0]], scope)
    subjects = [name for name in _SUBJECTS if name in entries]
    names = [name for name in _TESTS if name in entries]
    if len(subjects) != 1 or not names:
        node.refuse("a condition needs one subject, as field, and a test, or one of all, any, not.", _TESTS + _GROUPS)
    tests = _tests(node, subjects[0], {name: entries[name] for name in names}, entries, scope)
    return tests[0] if len(tests) == 1 else _all(tests)


def _group(name: str, node: Node, scope: Scope) -> Condition:
    if name == "not":
        inner = compile_condition(node, scope)
        return lambda fields: not inner(fields)
    parts = [compile_condition(item, scope) for item in node.items()]
    if not parts:
        node.refuse("must list at least one condition.")
    return _all(parts) if name == "all" else lambda fields: any(part(fields) for part in parts)


def _all(parts: list[Condition]) -> Condition:
    return lambda fields: all(part(fields) for part in parts)


def _tests(
    node: Node, subject: str, tests: dict[str, Node], entries: dict[str, Node], scope: Scope
) -> list[Condition]:
    """The tests of one condition."""
    quantity = _quantity(subject, entries[subject], scope)
    if quantity is None:
        spec = {name: entries[name].value for name in (subject, *MEMBER_KEYS) if name in entries}
        value = compile_value(replace(node, value=spec), scope, "any")
    else:
        value = quantity.value
    ignore_case = _ignores_case(entries)
    made: list[Condition] = []
    for name, test in tests.items():
        if name == "present":
            made.append(_present(value, test))
        elif name in _BOUNDS:
            made.append(_bound(name, test, quantity or _number_of(node, subject, entries, scope), scope))
        elif quantity is None:
            made.append(text_test(name, test, value, scope, ignore_case=ignore_case))
        elif name == "equals":
            made.append(_compared(operator.eq, quantity.value, _limit(test, quantity, scope)))
        else:
            test.refuse(f"{name} is for texts; {subject} makes a number or a time.")
    return made


def _quantity(subject: str, node: Node, scope: Scope) -> Quantity | None:
    """The subject as a number or a time, if its form says that it is one."""
    if subject == "time":
        return Quantity(compile_time(node, scope), is_time=True)
    if subject in OPERATORS:
        return compile_arithmetic(subject, node, scope, compile_time)
    return None


def _number_of(node: Node, subject: str, entries: dict[str, Node], scope: Scope) -> Quantity:
    declared = {name: entries[name].value for name in (*MEMBER_KEYS, *NUMBER_KEYS) if name in entries}
    spec = replace(node, value={subject: entries[subject].value, **declared})
    return Quantity(scope.number(spec, scope), is_time=False)


def _ignores_case(entries: dict[str, Node]) -> bool:
    if "ignore_case" not in entries:
        return False
    wanted = entries["ignore_case"].scalar()
    if not isinstance(wanted, bool):
        entries["ignore_case"].refuse("must be true or false.")
    return wanted


def _present(value: Value, node: Node) -> Condition:
    wanted = node.scalar()
    if not isinstance(wanted, bool):
        node.refuse("must be true or false.")
    return lambda fields: (value(fields) is not None) is wanted


def _bound(name: str, node: Node, subject: Quantity, scope: Scope) -> Condition:
    return _compared(_BOUNDS[name], subject.value, _limit(node, subject, scope))


def _compared(compare: Callable[[Any, Any], bool], value: Value, limit: Value) -> Condition:
    def compared(fields: Fields) -> bool:
        found = value(fields)
        if found is None:
            return False
        bound = limit(fields)
        return bound is not None and compare(found, bound)

    return compared


def _limit(node: Node, subject: Quantity, scope: Scope) -> Value:
    """What a number or a time is compared with: the same kind of thing."""
    if isinstance(node.value, dict):
        entries = node.entries()
        name = operator_of(entries)
        if name is not None and len(entries) == 1:
            found = compile_arithmetic(name, entries[name], scope, compile_time)
            if found.is_time != subject.is_time:
                node.refuse("a time can be compared with a time, and a number with a number.")
            return found.value
    if subject.is_time:
        return _time_limit(node, scope)
    if isinstance(node.value, dict) and "time" in node.value:
        node.refuse("is a time, and a number is compared with it; a field that is one is {time: {field: ...}}.")
    if isinstance(node.value, str) and "{" not in node.value:
        fixed = node.parsed(duration_ms, f"a number or a duration; a field is written {{{node.value}}} in quotes")
        return lambda _: fixed
    return scope.number(node, scope)


def _time_limit(node: Node, scope: Scope) -> Value:
    if isinstance(node.value, str) and node.value not in scope.times:
        try:
            fixed = scope.zone_rules.to_ms(datetime.fromisoformat(node.value))
        except ValueError:
            node.refuse(f"{node.value!r} is neither a named time nor one such as 2026-03-01T08:00.", scope.times)
        return lambda _: fixed
    return compile_time(node, scope)
