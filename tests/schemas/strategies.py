"""Hypothesis strategies for valid records, derived from the pydantic models, and for damaged ones."""

from __future__ import annotations

import json
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from schemas.events import Record

REFUSED = {
    *map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u061c", "\u200e", "\u200f",
    *map(chr, range(0x2028, 0x202F)), *map(chr, range(0x2066, 0x206A)),
}
plain_characters = st.characters(exclude_categories=["Cs"], exclude_characters=sorted(REFUSED))
free_characters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")


def records(model: type[Record], complete: bool = False) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects that are valid for ``model``; optional fields may be absent unless ``complete``."""
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, info in model.model_fields.items():
        target = required if info.is_required() or complete else optional
        target[name] = st.just(1) if name == "schema_version" else _values(info.annotation, info)
    return st.fixed_dictionaries(required, optional=optional)


def _values(annotation: Any, info: FieldInfo | None = None) -> st.SearchStrategy[Any]:
    limits = {name: getattr(rule, name) for rule in (info.metadata if info else ())
              for name in ("ge", "le", "min_length", "max_length", "pattern") if getattr(rule, name, None) is not None}
    origin = get_origin(annotation)
    if origin is Annotated:
        return _values(get_args(annotation)[0], FieldInfo.from_annotation(annotation))
    if origin is not None:
        return _generic(origin, get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return records(annotation)
    return _scalars(annotation, limits)


def _generic(origin: Any, parts: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if origin in (Union, types.UnionType):
        return st.one_of([_values(part) for part in parts])
    if origin is Literal:
        return st.sampled_from(parts)
    if origin is tuple:
        return st.lists(_values(parts[0]), max_size=3)
    return st.dictionaries(_values(parts[0]), _values(parts[1]), max_size=3)


def _scalars(kind: Any, limits: dict[str, Any]) -> st.SearchStrategy[Any]:
    if kind is str:
        characters = free_characters if limits.get("max_length", 0) > 128 else plain_characters
        return st.text(characters, min_size=limits.get("min_length", 0), max_size=min(limits["max_length"], 40))
    if kind is int:
        return st.integers(limits.get("ge", -(2**63)), limits.get("le", 2**63))
    if kind is float:
        return st.floats(limits.get("ge"), limits.get("le"), allow_nan=False, allow_infinity=False)
    return {bool: st.booleans(), type(None): st.none()}[kind]


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5) | st.sampled_from(["ok", "failed", "\x00", "\u202e", "a" * 129, 0, 1, 1.0, 1_767_225_600]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)

_label_like = st.text(max_size=3) | st.sampled_from(
    ["plan", "\x1f", "\u202e", "x" * 64, "x" * 65, "x" * 128, "x" * 129]
)


@st.composite
def maps_as_text(draw: st.DrawFn) -> bytes:
    """JSON of an object of texts: names may come twice, be too long or too many, values may be anything."""
    count = draw(st.sampled_from([0, 1, 2, 3, 29, 30, 31]))
    names = draw(st.lists(_label_like, min_size=min(count, 4), max_size=4))
    names = [*names, *(f"a{number}" for number in range(count - len(names)))]
    values = draw(st.lists(_label_like if draw(st.booleans()) else junk, min_size=1, max_size=3))
    entries = [(name, values[index % len(values)]) for index, name in enumerate(names)]
    entries += draw(st.lists(st.sampled_from(entries), max_size=2)) if entries else []
    ascii_only = draw(st.booleans())
    texts = [f"{json.dumps(name, ensure_ascii=ascii_only)}:{json.dumps(value)}" for name, value in entries]
    return ("{" + draw(st.sampled_from([",", " , "])).join(texts) + "}").encode("utf-8", "surrogatepass")


lists_as_text = st.lists(_label_like | junk, max_size=18).map(lambda texts: json.dumps(texts).encode())
"""JSON of a list: elements may be too long, too many, or anything."""


@st.composite
def damaged(draw: st.DrawFn, model: type[Record]) -> bytes:
    """A valid message with fields changed, dropped or added, or with bytes changed, cut or inserted."""
    body = draw(records(model))
    names = [*model.model_fields, "extra", "__class__", "schema_version", "specversion", "data"]
    for name in draw(st.lists(st.sampled_from(names), max_size=3)):
        if draw(st.booleans()):
            body[name] = draw(junk)
        else:
            body.pop(name, None)
    ascii_only, spaced = draw(st.booleans()), draw(st.booleans())
    text = json.dumps(body, ensure_ascii=ascii_only, indent=draw(st.sampled_from([None, 1])) if spaced else None)
    raw = text.encode("utf-8", "surrogatepass")
    if draw(st.booleans()):
        return raw
    start = draw(st.integers(0, len(raw)))
    end = min(len(raw), start + draw(st.integers(0, 3)))
    return raw[:start] + draw(st.binary(max_size=3) | st.sampled_from(FRAGMENTS)) + raw[end:]


FRAGMENTS = [
    b"", b" ", b",", b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u0000", b"\\ud800", b"\\ud83d\\ude00", b"\\u202E", b"\\n",
    b'"kind":1,', b"NaN", b"-", b".0", b"e5", b"e999", b"0", b"null", b"true", b"\x00", b"\x7f", b"\xc2\x85",
    b"\xd8\x9c", b"\xe2\x80\xae", b"\xed\xa0\x80", b"\xff", b"\xef\xbb\xbf", b",\r", b'"},{"', b"}]", b"[{",
]
