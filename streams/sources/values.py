"""Value specifications of a mapping, compiled once into functions from a row's fields to a value.

| form | value |
|---|---|
| `5`, `true`, `shop` | a constant |
| `"{a}-{b.c}"` | text with fields put in; absent if one of them is absent; `{a|b}` is the first of two that is there |
| `{field: a.b}` | a field; the path goes into nested objects, a list of steps allows dots in names |
| `{field: list, where: {key: page}, get: value}` | a member of a list by its key, see streams.sources.members |
| `{text: "{a}"}` | the same as the text form, with modifiers |
| `{first_of: [Email, "{a}-{b}", {field: c}]}` | the first that is there; text without braces names a field |
| `{pseudonym: "{email}"}` | HMAC-SHA256 of a text, 32 hex digits; of any form: `{pseudonym: {first_of: [a, b]}}` |
| `{minus: [a, b]}` | arithmetic on numbers and times, see streams.sources.arithmetic |

Modifiers of all of them: `case: lower | upper`, `table: name or {from: to}`, `default: constant`. Of numbers:
`scale: number` (multiplies and rounds for whole numbers: `scale: 100` turns 12.34 into 1234 cents), `minor: currency`
(the value is in minor units of that currency by ISO 4217, a code or any form of these: 5550 yen become 555000 cents),
and how the file writes them (`decimal`, `thousands` and more: streams.sources.number_formats).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal

from schemas.currencies import DECIMALS
from streams.sources.arithmetic import OPERATORS, compile_arithmetic
from streams.sources.fields import (
    Constant,
    Fields,
    Scope,
    Value,
    broken,
    field_at,
    first_present,
    is_mixed,
    plain,
    template,
)
from streams.sources.members import MEMBER_KEYS, field_of
from streams.sources.node import Node
from streams.sources.number_formats import MAX_WHOLE, NUMBER_KEYS, NoNumber, NumberFormat, number_format, reader
from streams.sources.time_specs import compile_time

Kind = Literal["text", "int", "float", "exact", "amount", "bool", "any"]
"""What a value becomes. ``exact`` and ``amount`` are Decimal; whole numbers and amounts refuse an unclear 1.234."""

SOURCES = ("field", "text", "first_of", "pseudonym", *OPERATORS)
MODIFIERS = (*MEMBER_KEYS, "case", "table", "default", "scale", "minor", *NUMBER_KEYS)
_TRUE = frozenset({"true", "t", "yes", "y", "1", "on"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "off"})
_NUMBERS = ("int", "float", "exact", "amount")
_EXACT = ("exact", "amount")
_CLEAR = ("int", "amount")
_WANTED = {"text": "a single value", "bool": "true or false", "int": "a whole number"}


def _unscaled(_: Fields) -> Decimal:
    return Decimal(1)


def compile_value(node: Node, scope: Scope, kind: Kind) -> Value:
    """Compile a constant, a template or a source with modifiers; the outcome is converted to ``kind``."""
    if isinstance(node.value, dict):
        return _with_modifiers(node, scope, kind)
    if isinstance(node.value, str) and "{" in node.value:
        value = template(node, scope)
        return value if kind == "text" and is_mixed(node.value) else _converted(value, kind, node, scope.numbers)
    return Constant(_constant(node, kind))


def compile_number(node: Node, scope: Scope) -> Value:
    """Compile a value that is a number; the outcome is exact (Decimal)."""
    return compile_value(node, scope, "exact")


def _compile_amount(node: Node, scope: Scope) -> Value:
    return compile_value(node, scope, "amount")


def _constant(node: Node, kind: Kind) -> Any:
    value = node.scalar()
    if kind == "text" and value is not None and not isinstance(value, str):
        node.refuse("must be text here (put it in quotes).")
    wanted = {"int": (int,), "float": (int, float), "bool": (bool,)}.get(kind, (int, float) if kind in _EXACT else ())
    if wanted and value is not None and (not isinstance(value, wanted) or (kind != "bool" and isinstance(value, bool))):
        node.refuse(f"must be {'true or false' if kind == 'bool' else 'a number'} here, not {node.kind()}.")
    return Decimal(str(value)) if kind in _EXACT and value is not None else value


def _with_modifiers(node: Node, scope: Scope, kind: Kind) -> Value:
    entries = node.fields((*SOURCES, *MODIFIERS))
    given = [name for name in SOURCES if name in entries]
    if len(given) != 1:
        node.refuse("exactly one source of the value is needed.", SOURCES)
    if given[0] in OPERATORS:
        parts = replace(scope, number=_compile_amount) if kind in _CLEAR else scope
        value = _arithmetic(given[0], entries[given[0]], parts)
    else:
        value = _source(given[0], entries, scope)
    if "table" in entries:
        value = _through_table(value, entries["table"], scope, has_default="default" in entries)
    if "default" in entries:
        value = _or_default(value, entries["default"].scalar())
    for name in ("scale", "minor", *NUMBER_KEYS):
        if name in entries and kind not in _NUMBERS:
            entries[name].refuse(f"{name} is for numbers, and this is none.")
    factor = _factor(entries, scope)
    if factor is None and given[0] in OPERATORS:
        factor = _unscaled
    if "minor" in entries and given[0] not in OPERATORS:
        value = _whole_units(value, node, number_format(entries, scope.numbers))
    return _converted(value, kind, node, number_format(entries, scope.numbers), factor)


def _arithmetic(operator: str, node: Node, scope: Scope) -> Value:
    result = compile_arithmetic(operator, node, scope, compile_time)
    if result.is_time:
        node.refuse("makes a time, and a number is needed.")
    return result.value


def _factor(entries: dict[str, Node], scope: Scope) -> Value | None:
    """What a number is multiplied with."""
    if "minor" not in entries:
        return _scale(entries["scale"]) if "scale" in entries else None
    if "scale" in entries:
        entries["scale"].refuse("stands beside minor, which multiplies already.")
    return _minor(entries["minor"], scope)


def _scale(node: Node) -> Value:
    scale = node.scalar()
    if isinstance(scale, bool | str) or scale is None:
        node.refuse("must be a number.")
    exact = Decimal(str(scale))
    if not exact.is_finite():
        node.refuse("must be a finite number.")
    return lambda _: exact


def _minor(node: Node, scope: Scope) -> Value:
    """What turns minor units of a currency into hundredths of one unit."""
    factors = {code: Decimal(100).scaleb(-decimals) for code, decimals in DECIMALS.items()}
    if isinstance(node.value, str) and "{" not in node.value and node.value.upper() not in factors:
        node.refuse(f"{node.value!r} is no currency of ISO 4217; a field is written {{{node.value}}} in quotes.")
    currency = compile_value(node, scope, "text")

    def factor(fields: Fields) -> Decimal:
        code = currency(fields)
        found = factors.get(code.strip().upper()) if code is not None else None
        if found is None:
            raise broken(node.path, "is a currency of ISO 4217", code)
        return found

    return factor


def _whole_units(value: Value, node: Node, form: NumberFormat) -> Value:
    """Refuse 12.50 as a number of minor units: it is 12.50 of the currency itself, and would become 13 cents."""
    read = reader(form, money=True)

    def whole(fields: Fields) -> Any:
        found = value(fields)
        if found is None or type(found) is int:
            return found
        try:
            exact = read(found)
        except (NoNumber, TypeError, ArithmeticError):
            return found  # refused where it becomes a number
        if exact != exact.to_integral_value():
            raise broken(node.path, "is a whole number of minor units (scale: 100 reads units of the currency)", found)
        return found

    return whole


def _source(name: str, entries: dict[str, Node], scope: Scope) -> Value:
    node, cased = entries[name], _case(entries.get("case"))
    if name == "field":
        return _mapped(field_of(entries, scope), cased)
    for member_key in MEMBER_KEYS:
        if member_key in entries:
            entries[member_key].refuse("belongs beside field, which names the list.")
    if name == "text":
        return _mapped(template(node, scope), cased)
    if name == "first_of":
        return _mapped(first_of(node, scope), cased)
    if scope.pseudonym_key is None:
        node.refuse("needs the key of the pseudonyms: set CX_PSEUDONYM_KEY (a long random text, the same for ever).")
    key, identifier = scope.pseudonym_key, _mapped(compile_value(node, scope, "text"), cased)
    return _mapped(identifier, lambda value: pseudonym(key, value) if value.strip() else None)  # blank is nobody


def first_of(node: Node, scope: Scope) -> Value:
    """The first of several values that is there; a member without braces names a field, a list is its path."""
    members = [
        compile_value(member, scope, "any") if _is_form(member.value) else field_at(member, scope)
        for member in node.items()
    ]
    if not members:
        node.refuse("must list at least one value.")
    return first_present(members)


def _is_form(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, str) and "{" in value)


def pseudonym(key: bytes, identifier: str) -> str:
    """HMAC-SHA256 of a direct identifier under a secret key: 128 bits of it, ``p-`` and 32 hex digits."""
    return "p-" + hmac.new(key, identifier.encode(), hashlib.sha256).hexdigest()[:32]


def _case(node: Node | None) -> Callable[[Any], Any] | None:
    if node is None:
        return None
    lower = node.text(("lower", "upper")) == "lower"
    return lambda value: (value.lower() if lower else value.upper()) if isinstance(value, str) else value


def _mapped(value: Value, change: Callable[[Any], Any] | None) -> Value:
    if change is None:
        return value
    return lambda fields: None if (found := value(fields)) is None else change(found)


def _through_table(value: Value, node: Node, scope: Scope, *, has_default: bool) -> Value:
    if isinstance(node.value, str):
        if node.value not in scope.tables:
            node.refuse(f"there is no table {node.value!r}.", scope.tables)
        table, name = scope.tables[node.value], node.value
    else:
        table, name = read_table(node), "here"

    def translate(found: Any) -> Any:
        try:
            key = plain(found)
        except TypeError:
            raise broken(node.path, "is a single value", found) from None
        if key not in table and not has_default:
            raise broken(node.path, f"value is in table {name}", found)
        return table.get(key)

    return _mapped(value, translate)


def read_table(node: Node) -> dict[str, Any]:
    """A table of a file's values and ours."""
    if not node.value:
        node.refuse("must be a mapping of the file's values to ours.")
    node.entries()  # refuses what is no mapping
    return {plain(name): node.child(str(name), value).scalar() for name, value in node.value.items()}


def _or_default(value: Value, default: Any) -> Value:
    return lambda fields: default if (found := value(fields)) is None else found


def _converted(value: Value, kind: Kind, node: Node, form: NumberFormat, factor: Value | None = None) -> Value:
    """Convert what a file holds to what the field needs; lists and objects are refused."""
    if kind == "any":
        return value
    if kind in _NUMBERS:
        return _number(value, kind, node, form, factor)
    where, convert, wanted = node.path, plain if kind == "text" else _bool, _WANTED[kind]

    def checked(fields: Fields) -> Any:
        found = value(fields)
        if found is None or (convert is plain and type(found) is str):
            return found
        try:
            return convert(found)
        except (ValueError, TypeError):
            raise broken(where, f"is {wanted}", found) from None

    return checked


def _number(value: Value, kind: Kind, node: Node, form: NumberFormat, factor: Value | None) -> Value:
    """``factor`` multiplies, and rounds what must be whole; without it a fraction is refused there."""
    where, rule, whole = node.path, f"is {_WANTED.get(kind, 'a number')}", kind == "int"
    read = reader(form, money=kind in _CLEAR)

    def number(fields: Fields) -> int | float | Decimal | None:
        found = value(fields)
        if found is None:
            return None
        try:
            exact = read(found)
            if factor is not None:
                exact *= factor(fields)
            if not whole:
                return exact if kind in _EXACT else float(exact)
            if factor is None and exact != exact.to_integral_value():
                raise NoNumber(rule)
            rounded = int(exact.to_integral_value("ROUND_HALF_UP"))
        except NoNumber as error:
            raise broken(where, str(error), found) from None
        except (TypeError, ArithmeticError):
            raise broken(where, rule, found) from None
        if not -MAX_WHOLE <= rounded <= MAX_WHOLE:
            raise broken(where, "is a whole number of at most 18 digits", found)
        return rounded

    return number


def _bool(found: Any) -> bool:
    if isinstance(found, bool):
        return found
    text = plain(found).strip().lower()
    if text not in _TRUE and text not in _FALSE:
        raise ValueError
    return text in _TRUE
