"""Value specifications of a mapping, compiled once into functions from a row's fields to a value.

| form | value |
|---|---|
| `5`, `true`, `shop` | a constant |
| `"{a}-{b.c}"` | text with fields put in; absent if one of them is absent |
| `{field: a.b}` | a field; the path goes into nested objects, a list of steps allows dots in names |
| `{text: "{a}"}` | the same as the text form, with modifiers |
| `{pseudonym: "{email}"}` | HMAC-SHA256 of the text, 32 hex digits |
| `{time: ...}` | a time, ms UTC (streams.sources.time_specs) |

Modifiers of field, text and pseudonym: `case: lower | upper`, `table: name or {from: to}`, `default: constant`,
`scale: number` (multiplies and rounds for whole numbers: `scale: 100` turns 12.34 into 1234 cents), `decimal: ","`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from schemas.errors import MalformedEvent
from streams.sources.node import Node
from streams.sources.times import ZoneRules

Fields = Mapping[str, Any]
Value = Callable[[Fields], Any]
"""From a row to a value; None means absent. Raises MalformedEvent if the row breaks a rule."""
Kind = Literal["text", "int", "float", "bool", "time", "any"]

SOURCES = ("field", "text", "pseudonym")
MODIFIERS = ("case", "table", "default", "scale", "decimal")
_BRACED = re.compile(r"\{([^{}]*)\}")
_TRUE = frozenset({"true", "t", "yes", "y", "1", "on"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "off"})
_CLASSES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


@dataclass(frozen=True, slots=True)
class Scope:
    """What value specifications may refer to."""

    zone_rules: ZoneRules
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    times: dict[str, Value] = field(default_factory=dict)
    templates: dict[str, Value] = field(default_factory=dict)
    """Texts with several ``{field}`` in them, each filled once per row however often the mapping uses it."""
    pseudonym_key: bytes | None = None


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


def lookup(path: str | list[str], node: Node) -> Value:
    """The field at a path; a name with dots that exists as it stands comes first. ``node`` names it."""
    node.names(path)
    steps = path if isinstance(path, list) else path.split(".")
    whole = path if isinstance(path, str) else ""

    def get(fields: Fields) -> Any:
        if whole in fields:
            return fields[whole]
        found: Any = fields
        for step in steps:
            if isinstance(found, list) and step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            elif isinstance(found, Mapping):
                found = found.get(step)
            else:
                return None
        return found

    return get


def template(node: Node, scope: Scope) -> Value:
    """Text in which ``{field}`` stands for a field. One ``{field}`` and nothing else gives the field's own value."""
    text = node.text()
    parts = _BRACED.split(text)
    if any("{" in part or "}" in part for part in parts[::2]) or not all(parts[1::2]):
        node.refuse("braces must enclose a field name, as in {order_id}.")
    if len(parts) == 1:
        return lambda _: text
    if len(parts) == 3 and not parts[0] and not parts[2]:
        return lookup(parts[1], node)
    fill = _fill(parts, node)
    return scope.templates.setdefault(text, once_per_row(fill))


def _fill(parts: list[str], node: Node) -> Value:
    lookups = [(lookup(path, node), after) for path, after in zip(parts[1::2], parts[2::2], strict=True)]

    def fill(fields: Fields) -> str | None:
        text = parts[0]
        for get, after in lookups:
            found = get(fields)
            if found is None or isinstance(found, list | dict):
                return None
            text += _plain(found) + after
        return text

    return fill


def text_of(node: Node, scope: Scope) -> Value:
    """A template whose outcome is always text (or absent)."""
    fill = template(node, scope)
    return lambda fields: None if (value := fill(fields)) is None else _plain(value)


def compile_value(node: Node, scope: Scope, kind: Kind) -> Value:
    """Compile a constant, a template or a source with modifiers; the outcome is converted to ``kind``."""
    if isinstance(node.value, dict):
        return _with_modifiers(node, scope, kind)
    if isinstance(node.value, str) and "{" in node.value:
        return _converted(template(node, scope), kind, node)
    value = _constant(node, kind)
    return lambda _: value


def _constant(node: Node, kind: Kind) -> Any:
    value = node.scalar()
    if kind == "text" and value is not None and not isinstance(value, str):
        node.refuse("must be text here (put it in quotes).")
    wanted = {"int": (int,), "float": (int, float), "bool": (bool,)}.get(kind)
    if wanted and value is not None and (not isinstance(value, wanted) or (kind != "bool" and isinstance(value, bool))):
        node.refuse(f"must be {'true or false' if kind == 'bool' else 'a number'} here, not {node.kind()}.")
    return value


def _with_modifiers(node: Node, scope: Scope, kind: Kind) -> Value:
    entries = node.fields((*SOURCES, *MODIFIERS))
    given = [name for name in SOURCES if name in entries]
    if len(given) != 1:
        node.refuse("exactly one of field, text, pseudonym or time is needed.")
    value = _source(given[0], entries[given[0]], scope, entries.get("case"))
    if "table" in entries:
        value = _through_table(value, entries["table"], scope, has_default="default" in entries)
    if "default" in entries:
        value = _or_default(value, entries["default"].scalar())
    scale = entries["scale"].scalar() if "scale" in entries else None
    if scale is not None and (isinstance(scale, bool | str) or kind not in ("int", "float")):
        entries["scale"].refuse("must be a number, and the target a number.")
    comma = entries["decimal"].text((".", ",")) if "decimal" in entries else "."
    return _converted(value, kind, node, Decimal(str(scale)) if scale is not None else None, comma)


def _source(name: str, node: Node, scope: Scope, case: Node | None) -> Value:
    cased = _case(case)
    if name == "field":
        path = [step.text() for step in node.items()] if isinstance(node.value, list) else node.text()
        return _mapped(lookup(path, node), cased)
    if name == "text":
        return _mapped(template(node, scope), cased)
    if scope.pseudonym_key is None:
        node.refuse("needs the key of the pseudonyms: set CX_PSEUDONYM_KEY (a long random text, the same for ever).")
    key = scope.pseudonym_key
    return _mapped(_mapped(text_of(node, scope), cased), lambda value: pseudonym(key, value))


def pseudonym(key: bytes, identifier: str) -> str:
    """HMAC-SHA256 of a direct identifier under a secret key: 128 bits of it, ``p-`` and 32 hex digits."""
    return "p-" + hmac.new(key, identifier.encode(), hashlib.sha256).hexdigest()[:32]


def _case(node: Node | None) -> Callable[[Any], Any]:
    if node is None:
        return lambda value: value
    lower = node.text(("lower", "upper")) == "lower"
    return lambda value: (value.lower() if lower else value.upper()) if isinstance(value, str) else value


def _mapped(value: Value, change: Callable[[Any], Any]) -> Value:
    return lambda fields: None if (found := value(fields)) is None else change(found)


def _through_table(value: Value, node: Node, scope: Scope, *, has_default: bool) -> Value:
    if isinstance(node.value, str):
        if node.value not in scope.tables:
            node.refuse(f"there is no table {node.value!r}.", scope.tables)
        table, name = scope.tables[node.value], node.value
    else:
        table, name = read_table(node), "here"

    def translate(found: Any) -> Any:
        key = _plain(found)
        if key not in table and not has_default:
            raise broken(node.path, f"value is in table {name}", found)
        return table.get(key)

    return _mapped(value, translate)


def read_table(node: Node) -> dict[str, Any]:
    """A table of a file's values and ours."""
    if not node.value:
        node.refuse("must be a mapping of the file's values to ours.")
    return {_plain(name): node.child(str(name), value).scalar() for name, value in _pairs(node)}


def _pairs(node: Node) -> list[tuple[Any, Any]]:
    node.entries()
    return list(node.value.items())


def _or_default(value: Value, default: Any) -> Value:
    return lambda fields: default if (found := value(fields)) is None else found


def _converted(value: Value, kind: Kind, node: Node, scale: Decimal | None = None, comma: str = ".") -> Value:
    """Convert what a file holds to what the field needs; lists and objects are refused."""
    where, convert = node.path, {"text": _plain, "bool": _bool}.get(kind)
    if kind in ("int", "float"):

        def number(found: Any) -> Any:
            return _number(found, kind == "int", scale, comma)

        convert = number
    if convert is None:
        return value
    wanted = {"text": "a single value", "bool": "true or false", "int": "a whole number", "float": "a number"}[kind]

    def checked(fields: Fields) -> Any:
        found = value(fields)
        if found is None:
            return None
        try:
            return convert(found)
        except (ValueError, TypeError, InvalidOperation, OverflowError):
            raise broken(where, f"is {wanted}", found) from None

    return checked


def _number(found: Any, whole: bool, scale: Decimal | None, comma: str) -> int | float:
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        raise TypeError
    if scale is None and isinstance(found, int):
        return found
    text = found.strip().replace(comma, ".") if isinstance(found, str) else repr(found)
    exact = Decimal(text) * (scale if scale is not None else 1)
    if not exact.is_finite():
        raise ValueError
    if not whole:
        return float(exact)
    if scale is None and exact != exact.to_integral_value():
        raise ValueError
    return int(exact.to_integral_value("ROUND_HALF_UP"))


def _bool(found: Any) -> bool:
    if isinstance(found, bool):
        return found
    text = _plain(found).strip().lower()
    if text not in _TRUE and text not in _FALSE:
        raise ValueError
    return text in _TRUE


def _plain(value: Any) -> str:
    """The text of a single value, as JSON would write it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if value is None:
        return ""
    raise TypeError
