"""The hot decoder: msgspec structs generated from the pydantic models, so that a model stays the one definition.

A struct has the fields, order, defaults and limits of its model. What msgspec cannot say fast is checked on the bytes:
:func:`decode_all` accepts a slice only if every message also satisfies the model's text pattern and stays far from the
limits where JSON readers differ (depth, length of a number, UTF-8 in unknown fields). Everything else it hands back,
and ``schemas.reference`` decides, so both accept the same messages by construction: the hot decoder may only be
stricter. A message that may name something twice is for the reference (``schemas.duplicates``).

Messages are never joined into one JSON list: a message could then change how its neighbour is read, and ruling that
out costs more than joining saves (CPU per 390-byte message, slices of 300: joined 0.90 us + 0.06 to join + 0.36 to
check; ``map`` over a decoder of single objects 0.92 us).
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, reduce
from operator import methodcaller, or_
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from pydantic.fields import FieldInfo

from schemas.drills import MARK, half_marked
from schemas.duplicates import names_nothing_twice
from schemas.events import SCHEMA_VERSION, Record
from schemas.reference import SAMPLE

SAFE_BYTES = 4_000
"""Longer messages are decided by the reference: readers differ on numbers of more than 4,300 digits."""
SAFE_BRACKETS = 100
"""Messages with more opening brackets are decided by the reference: readers differ on depths from about 200 on."""
CHUNK = 32
"""Messages that are decoded one by one where one of them is wrong."""

_LIMITS = ("ge", "gt", "le", "lt", "min_length", "max_length")
"""Limits that pydantic and msgspec call by the same name."""
SUSPECT = re.compile(
    rb"\\[bfnrt]|\\u(?:00[01]|007f|00[89]|061c|200[ef]|202[89a-e]|206[6-9])"
    rb"|\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]",
    re.IGNORECASE,
)
"""Every spelling of a character that a text pattern of the contract refuses (and some harmless ones)."""
_LEADS = (b"\xc2", b"\xd8\x9c", b"\xe2\x80", b"\xe2\x81")
"""How the refused characters outside ASCII begin in UTF-8."""
_nested = methodcaller("rfind", b"{")
"""0 exactly for a message whose only opening brace is its first byte."""


@lru_cache(maxsize=32)
def struct_of(model: type[Record]) -> type[msgspec.Struct]:
    """Return the frozen, keyword-only struct with the fields, defaults and limits of ``model``.

    ``schema_version`` is limited to what this build understands. A field may be a map or a list of texts; nested models
    and boolean literals are not supported (TypeError).
    """
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for name, info in model.model_fields.items():
        kind = _with_limits(info.annotation, info)
        if name == "schema_version":
            kind = Annotated[int, msgspec.Meta(ge=1, le=SCHEMA_VERSION)]
        fields.append((name, kind) if info.is_required() else (name, kind, info.get_default(call_default_factory=True)))
    namespace = {"__doc__": model.__doc__}
    return msgspec.defstruct(
        model.__name__, fields, frozen=True, gc=False, kw_only=True, namespace=namespace, module=__name__
    )


def _with_limits(annotation: Any, info: FieldInfo) -> Any:
    """Translate an annotation and its pydantic limits to msgspec's terms."""
    limits = {name: getattr(rule, name) for rule in info.metadata for name in _LIMITS
              if getattr(rule, name, None) is not None}
    kind = _plain(annotation)
    return Annotated[kind, msgspec.Meta(**limits)] if limits else kind


def _plain(annotation: Any) -> Any:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _with_limits(get_args(annotation)[0], FieldInfo.from_annotation(annotation))
    if origin in (Union, types.UnionType):
        return reduce(or_, [_plain(part) for part in get_args(annotation)])
    if origin is dict:
        key: Any = _plain(get_args(annotation)[0])
        value: Any = _plain(get_args(annotation)[1])
        return dict[key, value]
    if origin is tuple and get_args(annotation)[1:] == (...,):
        element: Any = _plain(get_args(annotation)[0])
        return tuple[element, ...]
    if annotation in (str, int, float, bool, type(None)) or origin is Literal:
        return annotation
    raise TypeError(f"a hot record cannot hold {annotation!r}")


class HotDecoder:
    """Decodes messages of one flat record type; refuses what it cannot decide and never raises."""

    def __init__(self, model: type[Record]) -> None:
        """Generate the struct of ``model`` and its decoder. Raises TypeError if the model is not flat."""
        self.model = model
        self.struct = struct_of(model)
        self.fields = frozenset(model.model_fields)
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(self.struct).decode
        self._patterns = {name: re.compile(pattern) for name, info in model.model_fields.items()
                          if (pattern := _pattern(info.annotation, info.metadata)) is not None}

    def decode_all(self, values: Sequence[bytes]) -> list[Any] | None:
        """Return all records, or None if a message is wrong or for the reference to decide (see :meth:`decode_one`)."""
        if max(map(len, values), default=0) > SAFE_BYTES:
            return None
        joined = b"".join(values)
        if (b"[" in joined or any(map(_nested, values))) and max(map(_brackets, values)) > SAFE_BRACKETS:
            return None
        try:
            if not joined.isascii():
                joined.decode("utf-8")  # the struct decoder does not look into unknown fields
            records = list(map(self._decode, values))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if may_be_suspect(joined):
            for value, record in zip(values, records, strict=True):
                if may_be_suspect(value) and SUSPECT.search(value) and not self._matches_patterns(record):
                    return None
        if (MARK in joined or b"\\" in joined) and any(map(half_marked, records)):
            return None
        return records if names_nothing_twice(values, joined) else None

    def decode_one(self, value: bytes) -> Any | None:
        """Return the record, or None if the message is wrong or for the reference to decide."""
        records = self.decode_all((value,))
        return records[0] if records else None

    def decode_some(self, values: Sequence[bytes]) -> list[Any | None]:
        """Return per message its record, or None where :meth:`decode_one` returns None."""
        found: list[Any | None] = []
        for start in range(0, len(values), CHUNK):
            chunk = values[start : start + CHUNK]
            found.extend(self.decode_all(chunk) or map(self.decode_one, chunk))
        return found

    def of(self, record: Any) -> Any:
        """Return the struct that equals a validated instance of the model; anything else is returned as it is."""
        if not isinstance(record, self.model):
            return record
        return self.struct(**{name: getattr(record, name) for name in self.struct.__struct_fields__})

    def count_unknown(self, values: Sequence[bytes]) -> int:
        """Estimate the unknown fields of accepted messages from every 64th of them."""
        sample = values[::SAMPLE]
        return sum(map(self._unknown_in, sample)) * len(values) // max(1, len(sample))

    def _unknown_in(self, value: bytes) -> int:
        try:
            return len(msgspec.json.decode(value).keys() - self.fields)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return 0  # a number in an unknown field that no float can hold

    def _matches_patterns(self, record: Any) -> bool:
        texts = ((pattern, _texts(getattr(record, name))) for name, pattern in self._patterns.items())
        return all(pattern.fullmatch(text) for pattern, found in texts for text in found)


def _pattern(annotation: Any, rules: Iterable[Any] = ()) -> str | None:
    """The text pattern of a field, also of an optional one, and of a map or a list, whose texts have one in common.

    Raises TypeError for a map or a list whose texts differ in it.
    """
    if get_origin(annotation) is Annotated:
        annotation, *inner = get_args(annotation)
        rules = [*rules, *FieldInfo.from_annotation(Annotated[annotation, *inner]).metadata]
    found = {pattern for rule in rules if (pattern := getattr(rule, "pattern", None))}
    found |= {pattern for part in get_args(annotation) if (pattern := _pattern(part)) is not None}
    if len(found) > 1:
        raise TypeError(f"the texts of {annotation!r} have different patterns")
    return next(iter(found), None)


def _texts(value: Any) -> Iterator[str]:
    """The texts of a value: itself, the names and values of a map, the elements of a list; null has none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (*value, *value.values())
    elif value is not None:
        yield from value


def _brackets(value: bytes) -> int:
    return value.count(b"[") + value.count(b"{")


def may_be_suspect(value: bytes) -> bool:
    """False if no byte occurs with which a refused character could be spelled; spares most messages the search."""
    return b"\\" in value or b"\x7f" in value or (not value.isascii() and any(first in value for first in _LEADS))
