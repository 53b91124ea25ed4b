"""Findings of the hot path as structs, generated from the pydantic models, so that a model stays the one definition.

A stretch of sparse history makes about as many counts as it has events, and making, writing and reading a pydantic
object for each costs more than everything else the join does. So rooms make these structs, and the codec gives them to
whoever reads: the attributes of the model, ``kind`` included, and the same bytes on the wire.

Making one validates nothing: fields are positional, in the order of the model. Reading one is strict. What the structs
cannot say is left to ``schemas.reference``, which decides as before: a field that the model does not know (so nothing
unread has to be looked into), a ``kind`` or a default that is left out, and any spelling of a character that a text
pattern refuses. The short cut may therefore only be stricter. These topics are written by our own rooms, so the
detour is for tests, foreign writers and rolling upgrades.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from operator import or_
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import msgspec

from schemas.events import Record
from schemas.experience import ContactCase, OrderOutcome
from schemas.fields import Money
from schemas.findings import (
    Affected,
    BinClosed,
    CohortCount,
    Episode,
    Late,
    LeafCount,
    LeafEvidence,
    Respite,
    SeenValue,
    SourceCount,
    ValuesSeen,
    Watermark,
)
from schemas.hot import SUSPECT, may_be_suspect
from schemas.topics import BY_NOUN

STRUCTS: tuple[type[Record], ...] = (
    LeafCount, CohortCount, BinClosed, SeenValue, ValuesSeen, SourceCount, Money, LeafEvidence, Episode, Watermark,
    Respite, Affected, Late, ContactCase, OrderOutcome,
)
"""Models that have a struct."""
NOUNS = frozenset(
    topic.noun for topic in BY_NOUN.values() if all(record in STRUCTS for record in topic.records)
)
"""Topics whose records are read as structs: all their record types have one."""

_LIMITS = ("ge", "gt", "le", "lt", "min_length", "max_length")
"""Limits that pydantic and msgspec call by the same name."""


@lru_cache(maxsize=64)
def struct_of(model: type[Record]) -> type[msgspec.Struct]:
    """Return the frozen struct with the fields and limits of ``model``; its ``kind`` is the tag.

    Fields are positional. Defaults are those of the model, but only behind the last field without one. Raises TypeError
    for what has no short cut (mappings, text longer than a label, models without a struct).
    """
    tag = model.model_fields["kind"].default if "kind" in model.model_fields else None
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    named = [(name, info) for name, info in model.model_fields.items() if name != "kind"]
    last = max(index for index, (_, info) in enumerate(named) if info.is_required())
    for index, (name, info) in enumerate(named):
        kind = _kind(info.annotation, info.metadata)
        fields.append((name, kind, info.default) if index > last else (name, kind))
    namespace = {"__doc__": model.__doc__} | ({"kind": tag} if tag else {})
    return msgspec.defstruct(
        model.__name__, fields, frozen=True, gc=False, forbid_unknown_fields=True, namespace=namespace, module=__name__,
        tag=tag, tag_field="kind" if tag else None,
    )  # fmt: skip


def _kind(annotation: Any, rules: Sequence[Any] = ()) -> Any:
    """An annotation and its pydantic limits in msgspec's terms; text patterns are looked for on the bytes."""
    limits = {name: getattr(rule, name) for rule in rules for name in _LIMITS if getattr(rule, name, None) is not None}
    limits |= {name: getattr(inner, name) for rule in rules for inner in getattr(rule, "metadata", ())
               for name in _LIMITS if getattr(inner, name, None) is not None}
    kind = _plain(annotation)
    return Annotated[kind, msgspec.Meta(**limits)] if limits else kind


def _plain(annotation: Any) -> Any:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(parts[0], parts[1:])
    if origin in (Union, types.UnionType):
        return reduce(or_, [_plain(part) for part in parts])
    if origin is tuple and parts[1:] == (...,):
        element: Any = _plain(parts[0])
        return tuple[element, ...]
    if annotation in (str, int, bool, type(None)) or origin is Literal:
        return annotation
    if annotation in STRUCTS:
        return struct_of(annotation)
    raise TypeError(f"no struct can hold {annotation!r}")


class FindingsDecoder:
    """Decodes the messages of a topic of :data:`NOUNS`; refuses what it cannot decide and never raises."""

    def __init__(self, noun: str) -> None:
        """Generate the structs of the topic. Raises TypeError if a model has no struct."""
        structs: list[Any] = [struct_of(model) for model in BY_NOUN[noun].records]
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(reduce(or_, structs)).decode

    def decode_all(self, values: Sequence[bytes]) -> list[Any] | None:
        """Return all records, or None if a message is wrong or for the reference to decide."""
        joined = b"".join(values)
        if may_be_suspect(joined) and SUSPECT.search(joined):
            return None
        try:
            return list(map(self._decode, values))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def decode_some(self, values: Sequence[bytes]) -> list[Any | None]:
        """Return per message its record, or None where the reference has to decide."""
        return [found[0] if (found := self.decode_all((value,))) else None for value in values]

    def of(self, record: Any) -> Any:
        """Return the struct that equals a validated instance of a model."""
        return as_struct(record)

    def count_unknown(self, values: Sequence[bytes]) -> int:
        """Return 0: a message with an unknown field does not take the short cut."""
        del values
        return 0


def as_struct(record: Any) -> Any:
    """Return the struct that equals an instance of a model of :data:`STRUCTS`; anything else as it is."""
    if isinstance(record, tuple):
        return tuple(map(as_struct, record))
    model: type[Any] = type(record)
    if model not in STRUCTS:
        return record
    make = struct_of(model)
    return make(*(as_struct(getattr(record, name)) for name in make.__struct_fields__))


# What rooms make. Typed as the models, whose attributes they have; positional, in the order of the model's fields
# without ``kind``.
cohort_count = cast("Callable[..., CohortCount]", struct_of(CohortCount))
leaf_count = cast("Callable[..., LeafCount]", struct_of(LeafCount))
seen_value = cast("Callable[..., SeenValue]", struct_of(SeenValue))
values_seen = cast("Callable[..., ValuesSeen]", struct_of(ValuesSeen))
source_count = cast("Callable[..., SourceCount]", struct_of(SourceCount))
money = cast("Callable[..., Money]", struct_of(Money))
episode = cast("Callable[..., Episode]", struct_of(Episode))
leaf_evidence = cast("Callable[..., LeafEvidence]", struct_of(LeafEvidence))
respite = cast("Callable[..., Respite]", struct_of(Respite))
affected = cast("Callable[..., Affected]", struct_of(Affected))
late = cast("Callable[..., Late]", struct_of(Late))
watermark = cast("Callable[..., Watermark]", struct_of(Watermark))
bin_closed = cast("Callable[..., BinClosed]", struct_of(BinClosed))
contact_case = cast("Callable[..., ContactCase]", struct_of(ContactCase))
order_outcome = cast("Callable[..., OrderOutcome]", struct_of(OrderOutcome))
