"""The table of fields that the optional native decoder works from, generated from a pydantic model.

The model stays the one definition (as in ``schemas.hot``): whatever a row of the table cannot say, such as a nested
model, a validator or a pattern of its own, is a TypeError, so that the native decoder never knows less than the model.
"""

from __future__ import annotations

import math
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from schemas.events import FREE_TEXT, PLAIN_TEXT, SCHEMA_VERSION, Record

PartRow = tuple[int, int, bool]
"""Lowest and highest length in code points, both inclusive; is it plain text."""
FieldRow = tuple[str, str, int | float, int | float, bool, list[str], bool, str, str | int | None, list[PartRow]]
"""Name; kind (text, choice, int, float, bool, map, texts); lowest and highest value, length in code points or number of
entries, both inclusive; is it plain text; the choices; may it be null; kind of the default (required, none, text, int,
empty); the default; the texts of a map (names, values) or of a list (its elements)."""

NestedRow = tuple[str, str, FieldRow | None, list[tuple[str, str, FieldRow | None]]]
"""Name; form (one, list, records); the value or an element of the list; for records their fields in the same way."""

_LIMITS = ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern")
_INT64 = 2**63
_LENGTH = 2**31 - 1
_OF_TEXTS = {dict: "map", tuple: "texts"}
_KINDS = {str: "text", int: "int", float: "float", bool: "bool"}


def field_specs(model: type[Record]) -> list[FieldRow]:
    """Return one row per field, in the order of the model. Raises TypeError if rows cannot say all that it says.

    ``schema_version`` is limited to what this build understands; newer messages are for the reference to explain.
    """
    _check(model)
    return [_row(name, info) for name, info in model.model_fields.items()]


def nested_specs(model: type[Record]) -> list[NestedRow]:
    """Return one row per field but ``kind``, in the order of the model; a field may be a list of values or of records.

    Raises TypeError if rows cannot say all that the model says.
    """
    _check(model)
    found: list[NestedRow] = []
    for name, info in model.model_fields.items():
        inner = _element(name, info)
        if name == "kind":
            continue
        if isinstance(inner, type) and issubclass(inner, Record):
            _check(inner)
            fields = [_leaf(inner_name, inner_info) for inner_name, inner_info in inner.model_fields.items()]
            found.append((name, "records", None, fields))
        else:
            found.append((*_leaf(name, info), []))
    return found


def inner_records(model: type[Record]) -> dict[str, type[Record]]:
    """Return field -> model of the records of its list, for every list of records."""
    found = {name: _element(name, info) for name, info in model.model_fields.items()}
    return {name: inner for name, inner in found.items() if isinstance(inner, type) and issubclass(inner, Record)}


def _check(model: type[Record]) -> None:
    """Refuse what no table can say of a model as a whole."""
    checks = model.__pydantic_decorators__
    if checks.validators or checks.field_validators or checks.root_validators or checks.model_validators:
        raise TypeError(f"{model.__name__} has validators, which the native decoder cannot run")
    if model.model_config.get("extra") != "ignore" or any(info.alias for info in model.model_fields.values()):
        raise TypeError(f"{model.__name__} has aliases or does not ignore unknown fields")


def _leaf(name: str, info: FieldInfo) -> tuple[str, str, FieldRow | None]:
    """A field that is a value or a list of values."""
    element = _element(name, info)
    if element is None:
        return name, "one", _row(name, info)
    return name, "list", _row(name, FieldInfo.from_annotation(element))


def _element(name: str, info: FieldInfo) -> Any:
    """Type of the elements of a list, None if the field is none."""
    annotation, optional, rules = _unfold(info.annotation, list(info.metadata))
    if get_origin(annotation) is not tuple:
        return None
    element, *rest = get_args(annotation)
    if rest != [...] or optional or any(getattr(rule, "strict", None) is not False for rule in rules):
        raise TypeError(f"{name}: a list of any length is needed, without further rules")
    return element


def _row(name: str, info: FieldInfo) -> FieldRow:
    annotation, optional, rules = _unfold(info.annotation, list(info.metadata))
    if get_origin(annotation) is tuple:
        rules = _without_lists_are_tuples(name, rules)
    limits = _limits(name, rules)
    default_kind, default = _default(name, info)
    choices: list[str] = []
    parts: list[PartRow] = []
    if get_origin(annotation) is Literal:
        kind, choices = "choice", list(get_args(annotation))
        if limits or not all(isinstance(choice, str) for choice in choices):
            raise TypeError(f"{name}: choices are texts without further limits")
    elif get_origin(annotation) in _OF_TEXTS:
        kind, parts = _OF_TEXTS[get_origin(annotation)], _parts(name, annotation)
    elif annotation in _KINDS:
        kind = _KINDS[annotation]
    else:
        raise TypeError(f"{name}: a flat record cannot hold {annotation!r}")
    if name == "schema_version":
        limits["le"] = min(limits.get("le", SCHEMA_VERSION), SCHEMA_VERSION)
    low, high = _range(name, kind, limits)
    return name, kind, low, high, limits.get("pattern") == PLAIN_TEXT, choices, optional, default_kind, default, parts


def _without_lists_are_tuples(name: str, rules: list[Any]) -> list[Any]:
    """The rules without the one by which a strict model takes a list for a tuple. TypeError if it is missing."""
    rest = [rule for rule in rules if getattr(rule, "strict", None) is not False]
    if len(rest) == len(rules):
        raise TypeError(f"{name}: a list is no tuple unless strict=False says so")
    return rest


def _parts(name: str, annotation: Any) -> list[PartRow]:
    """The texts that a map or a list holds."""
    texts = get_args(annotation)
    if get_origin(annotation) is tuple:
        texts = texts[:1] if texts[1:] == (...,) else ()
    rows = [_row(name, FieldInfo.from_annotation(part)) for part in texts]
    if not rows or any(row[1] != "text" or row[6] for row in rows):
        raise TypeError(f"{name}: only maps of texts, and lists of texts of any length, are known")
    return [(int(low), int(high), plain) for _, _, low, high, plain, *_ in rows]


def _unfold(annotation: Any, rules: list[Any]) -> tuple[Any, bool, list[Any]]:
    """Take an annotation apart: the type itself, whether null is allowed, and all rules on the way."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner = FieldInfo.from_annotation(annotation)
        return _unfold(get_args(annotation)[0], [*rules, *inner.metadata])
    if origin in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        if len(parts) == 1:
            kind, _, rules = _unfold(parts[0], rules)
            return kind, True, rules
    return annotation, False, rules


def _limits(name: str, rules: list[Any]) -> dict[str, Any]:
    """Limits by name. Every rule has to give one: a rule that is not understood must not get lost."""
    limits: dict[str, Any] = {}
    for rule in rules:
        given = {limit: getattr(rule, limit) for limit in _LIMITS if getattr(rule, limit, None) is not None}
        if not given or given.keys() & limits.keys():
            raise TypeError(f"{name}: the rule {rule!r} is unknown or given twice")
        limits |= given
    if limits.get("pattern") not in (None, PLAIN_TEXT, FREE_TEXT):
        raise TypeError(f"{name}: unknown pattern")
    return limits


def _range(name: str, kind: str, limits: dict[str, Any]) -> tuple[int | float, int | float]:
    """Lowest and highest allowed value of a number, or length of a text."""
    numbers, texts = limits.keys() & {"ge", "gt", "le", "lt"}, limits.keys() & {"min_length", "max_length", "pattern"}
    is_counted = kind in _OF_TEXTS.values() and "pattern" not in limits
    if (numbers and kind not in ("int", "float")) or (texts and kind != "text" and not is_counted):
        raise TypeError(f"{name}: a {kind} cannot have these limits")
    if kind == "text" or is_counted:
        return limits.get("min_length", 0), limits.get("max_length", _LENGTH)
    if kind == "int":
        return (max(limits.get("ge", -_INT64), limits.get("gt", -_INT64 - 1) + 1),
                min(limits.get("le", _INT64 - 1), limits.get("lt", _INT64) - 1))
    above = math.nextafter(limits["gt"], math.inf) if "gt" in limits else -math.inf
    below = math.nextafter(limits["lt"], -math.inf) if "lt" in limits else math.inf
    return max(float(limits.get("ge", -math.inf)), above), min(float(limits.get("le", math.inf)), below)


def _default(name: str, info: FieldInfo) -> tuple[str, str | int | None]:
    if info.is_required():
        return "required", None
    default = info.get_default(call_default_factory=True)
    if default is None:
        return "none", None
    if isinstance(default, str):
        return "text", default
    if default in ({}, ()):
        return "empty", None
    if isinstance(default, int) and not isinstance(default, bool):
        return "int", default
    raise TypeError(f"{name}: the default {default!r} is neither text nor integer nor null")
