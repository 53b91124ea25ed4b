"""Tests of texts in conditions: equal, one of several, with a part, or matching a regular expression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import re2

from streams.sources.fields import Fields, Scope, Value, broken, plain
from streams.sources.node import Node
from streams.sources.number_formats import one_or_more
from streams.sources.values import compile_value

_PARTS: dict[str, Callable[[str, str], bool]] = {
    "contains": str.__contains__, "starts_with": str.startswith, "ends_with": str.endswith,
}  # fmt: skip
TEXT_TESTS = (*_PARTS, "matches")
Test = Callable[[Fields], bool]


def text_test(name: str, node: Node, value: Value, scope: Scope, *, ignore_case: bool) -> Test:
    """Compile one of equals, in, contains, starts_with, ends_with and matches. An absent value holds none of them."""
    if name == "matches":
        return _texts(value, _expression(node, ignore_case=ignore_case), node.path)
    if name in ("equals", "in"):
        from_row = isinstance(node.value, dict) or (isinstance(node.value, str) and "{" in node.value)
        if name == "equals" and from_row:
            return _equal(value, compile_value(node, scope, "any"), ignore_case=ignore_case)
        return _one_of(value, [node] if name == "equals" else list(node.items()), ignore_case=ignore_case)
    texts = [item.text() for item in one_or_more(node)]
    if not texts or not all(texts):
        node.refuse("must be a text, or a list of texts, none of them empty.")
    parts = [_cased(text, ignore_case) for text in texts]
    if name == "contains":
        return _contains(value, parts, node.path, ignore_case=ignore_case)
    test = _PARTS[name]
    return _texts(value, lambda text: any(test(_cased(text, ignore_case), part) for part in parts), node.path)


def _same(value: Any, ignore_case: bool) -> str | None:
    """Files hold text where YAML holds numbers: compare as text. Lists and objects equal nothing."""
    if value is None or isinstance(value, list | dict):
        return None
    return _cased(value if isinstance(value, str) else plain(value), ignore_case)


def _cased(text: str, ignore_case: bool) -> str:
    return text.casefold() if ignore_case else text


def _one_of(value: Value, nodes: list[Node], *, ignore_case: bool) -> Test:
    allowed = {_same(node.scalar(), ignore_case) for node in nodes} - {None}

    def one_of(fields: Fields) -> bool:
        return _same(value(fields), ignore_case) in allowed

    return one_of


def _equal(value: Value, other: Value, *, ignore_case: bool) -> Test:
    def equal(fields: Fields) -> bool:
        found = _same(value(fields), ignore_case)
        return found is not None and found == _same(other(fields), ignore_case)

    return equal


def _texts(value: Value, test: Callable[[str], bool], where: str) -> Test:
    """Whether the test holds for a text. Objects and lists are refused."""
    return lambda fields: _holds(value(fields), test, where)


def _holds(found: Any, test: Callable[[str], bool], where: str) -> bool:
    if found is None:
        return False
    try:
        return test(plain(found))
    except (TypeError, UnicodeEncodeError):
        raise broken(where, "is a text", found) from None


def _contains(value: Value, parts: list[str], where: str, *, ignore_case: bool) -> Test:
    """A text contains parts, a list of the row its members."""

    def has_part(text: str) -> bool:
        cased = _cased(text, ignore_case)
        return any(part in cased for part in parts)

    def contains(fields: Fields) -> bool:
        found = value(fields)
        if isinstance(found, list):
            return any(_same(member, ignore_case) in parts for member in found)
        return _holds(found, has_part, where)

    return contains


def _expression(node: Node, *, ignore_case: bool) -> Callable[[str], bool]:
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    try:
        expression = re2.compile(node.text(), options)
    except re2.error as error:
        text = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        node.refuse(f"is no regular expression of RE2: {text}.")
    # Of a str the wrapper would count the places of the match anew in characters, which nobody asks for.
    return lambda text: expression.search(text.encode()) is not None
