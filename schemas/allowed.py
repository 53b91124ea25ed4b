"""What a field of a pydantic model accepts, in words for people, worked out from its type and limits."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import GetCoreSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core.core_schema import CoreSchema, literal_schema

from schemas.errors import ConfigError

_UNITS = {
    "_ms": "ms",
    "_s": "s",
    "_mb": "MB",
    "_bytes": "bytes",
    "_ratio": "0 to 1",
    "_cents": "cents",
    "_port": "port",
}
"""Suffix of a name -> unit."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a setting accepts, in words, where its type does not say it."""

    words: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these texts: the names of a catalogue, checked as a ``Literal`` of them would be."""

    choices: tuple[str, ...]

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Refuse every other value."""
        return literal_schema(list(self.choices))


def unit_of(field: str) -> str:
    """Unit of a setting, read off the suffix of its name (empty if it has none)."""
    return next((unit for suffix, unit in _UNITS.items() if field.endswith(suffix)), "")


def default_text(info: FieldInfo) -> str:
    """The default as it would be written in the environment."""
    value = info.default
    if value is None:
        return "unset"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "empty"
    return str(value) or "empty"


def allowed_values(info: FieldInfo) -> str:
    """What a setting accepts, in words, derived from its type and limits."""
    words = _words(info.annotation, info.metadata)
    if words:
        return words
    choices = _literals(info.annotation)
    if choices:
        listed = ", ".join(map(str, choices))
        return f"one or more of {listed}" if "tuple" in str(info.annotation) else f"one of {listed}"
    names = ("ge", "gt", "le", "lt")
    limits = {name: getattr(rule, name) for rule in info.metadata for name in names if hasattr(rule, name)}
    pattern = next((rule.pattern for rule in info.metadata if getattr(rule, "pattern", None)), None)
    if pattern:
        return f"text matching {pattern}"
    kind = _kind(info.annotation)
    low = f" from {limits['ge']}" if "ge" in limits else f" above {limits['gt']}" if "gt" in limits else ""
    high = f" to {limits['le']}" if "le" in limits else f" below {limits['lt']}" if "lt" in limits else ""
    return kind + low + high


def _words(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """The words of the :class:`Allowed` inside an annotation, empty if there are none."""
    own = [rule.words for rule in (*metadata, *getattr(annotation, "__metadata__", ())) if isinstance(rule, Allowed)]
    return next(iter([*own, *filter(None, map(_words, get_args(annotation)))]), "")


def _literals(annotation: Any) -> tuple[Any, ...]:
    """All values of the ``Literal`` types and the :class:`OneOf` inside an annotation."""
    if getattr(annotation, "__origin__", None) is Literal:
        return get_args(annotation)
    own = [rule.choices for rule in getattr(annotation, "__metadata__", ()) if isinstance(rule, OneOf)]
    return (*itertools.chain(*own), *(choice for part in get_args(annotation) for choice in _literals(part)))


def _kind(annotation: Any) -> str:
    text = str(annotation)
    kinds = {"int": "a whole number", "float": "a number", "bool": "true or false", "Path": "a path"}
    return next((kind for needle, kind in kinds.items() if needle in text), "text")


def refuse_unknown(given: Iterable[str], known: Collection[str]) -> None:
    """A misspelt setting would silently do nothing: raise ConfigError naming the nearest one."""
    for name in sorted(set(given) - set(known)):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "`cxwatch settings` lists them all."
        raise ConfigError(f"{name} is not a setting; {hint}")
