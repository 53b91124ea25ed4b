"""The definition of what is accepted: RFC 8259 JSON, then the pydantic model. Slow, exact, and it explains a refusal.

Order of tests and reason of the first that fails: ``tombstone`` (no value), ``too_large``, ``utf8``, ``json``
(RFC 8259: no NaN, no byte-order mark, no lone surrogate, at most about 200 levels, numbers up to 4,300 digits),
``future_schema`` (``schema_version`` above :data:`schemas.events.SCHEMA_VERSION`, whatever else is wrong),
``ambiguous`` (one name with two values, ``schemas.duplicates``, or a CloudEvents attribute that differs from the body;
not asked of what our own rooms write), then ``time`` (a time outside 2000 to 2100: units mixed up) or ``schema``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, reduce
from operator import or_
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json

from schemas import drills
from schemas.cloudevents import unwrap
from schemas.duplicates import Digits, Pairs, first_ambiguous, names_nothing_twice
from schemas.earlier import present
from schemas.errors import MalformedEvent
from schemas.events import MAX_TIME_MS, MIN_TIME_MS, SCHEMA_VERSION, Customer, Event, Record
from schemas.topics import BY_NOUN

SAMPLE = 64
"""Unknown fields are counted in every 64th message that took the short cut and multiplied."""
_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array",
               Digits: "integer", Pairs: "object"}
_KEY = "[key]"
"""How pydantic ends the path to a name of an object, behind the name itself."""
_RULES = {
    "missing": "is required",
    "string_type": "should be a string",
    "string_pattern_mismatch": "should hold no control or direction-changing characters",
    "int_type": "should be an integer",
    "float_type": "should be a number",
    "bool_type": "should be true or false",
    "finite_number": "should be a finite number",
    "model_type": "should be an object",
    "model_attributes_type": "should be an object",
    "dict_type": "should be an object",
    "tuple_type": "should be an array",
}
"""Rules in our own words; the texts of other errors name limits only, see :func:`_rule`."""
_QUOTABLE = frozenset({
    "literal_error", "greater_than_equal", "less_than_equal", "greater_than", "less_than",
    "string_too_short", "string_too_long", "too_long", "too_short",
})
"""Errors whose text names the rule's limits and never the value."""
_DOUBTFUL = (b"NaN", b"Infinity", b"schema_version", b"specversion", b"\\u", drills.MARK)
"""Not JSON, or names that the reference looks at before the model does (an escape may spell one)."""
_ENVELOPE = frozenset({"specversion", "id", "time", "source", "subject", "partitionkey", "type", "data",
                       "datacontenttype", "dataschema"})


@lru_cache(maxsize=128)
def models_of(noun: str) -> Mapping[str, type[Record]]:
    """Record types of a topic by their ``kind``; the type of a topic with one type is also found under ``""``."""
    kinds = {_kind(model): model for model in BY_NOUN[noun].records if "heartbeat" not in model.model_fields}
    if len(kinds) == 1:
        return {**kinds, "": next(iter(kinds.values()))}
    return kinds


def reference_decode(noun: str, value: bytes | None, max_bytes: int | None = None) -> tuple[Record, int]:
    """Return the record and its number of unknown fields. Raises :class:`MalformedEvent` (see the module's text)."""
    limit = BY_NOUN[noun].max_bytes if max_bytes is None else max_bytes
    return decode_with(models_of(noun), value, limit, ours=is_ours(noun))


def is_ours(noun: str) -> bool:
    """True for a topic that our own rooms and processes write, whose encoders name nothing twice."""
    return BY_NOUN[noun].writer in ("rooms", "processes")


def decode_with(
    models: Mapping[str, type[Record]], value: bytes | None, max_bytes: int, ours: bool = False
) -> tuple[Record, int]:
    """:func:`reference_decode` for given record types by ``kind``.

    ``ours``: our own rooms wrote it, perhaps in the form of version 1; of two equal names the last counts, without a
    look for them. What others write may have fields of any name.
    """
    body = _parse(value, max_bytes)
    version = body.get("schema_version")
    if isinstance(version, int) and not isinstance(version, bool) and version > SCHEMA_VERSION:
        raise MalformedEvent("schema_version", f"should be at most {SCHEMA_VERSION}", "integer", "future_schema")
    if value is not None and not ours:
        _refuse_ambiguous(value, models)
    unwrapped = unwrap(body)
    fields = present(unwrapped) if ours else unwrapped
    model = _model_for(models, fields)
    try:
        record = model.model_validate(fields)
    except ValidationError as error:
        raise explain(error.errors(include_url=False)[0], model) from None
    _refuse_half_drill(record)
    outside = 0 if unwrapped is body else len(body.keys() - _ENVELOPE)
    return record, outside + len(fields.keys() - model.model_fields.keys())


class ModelDecoder:
    """The short cut for records that stay pydantic models: pydantic's own JSON reader, without the detour of a dict.

    It refuses what it cannot decide, so :func:`decode_with` has the last word. What it would take and the reference
    would not is spelled with one of :data:`_DOUBTFUL`.
    """

    def __init__(self, noun: str) -> None:
        """Prepare the decoder of a topic. Raises KeyError for an unknown noun."""
        self.models = models_of(noun)
        self._may_repeat = is_ours(noun)
        types = list(dict.fromkeys(self.models.values()))
        union: Any = types[0] if len(types) == 1 else Annotated[reduce(or_, types), Field(discriminator="kind")]
        self._read: Callable[[bytes], Any] = TypeAdapter(union).validate_json

    def decode_one(self, value: bytes) -> Any | None:
        """Return the record, or None if the message is wrong or for the reference to decide."""
        if any(word in value for word in _DOUBTFUL):
            return None
        try:
            record = self._read(value)
        except ValidationError:
            return None
        return record if self._may_repeat or names_nothing_twice((value,), value) else None

    def decode_some(self, values: Sequence[bytes]) -> list[Any | None]:
        """Return per message what :meth:`decode_one` returns."""
        return [self.decode_one(value) for value in values]

    def of(self, record: Any) -> Any:
        """Return the record as it is: it already is what this decoder gives."""
        return record

    def count_unknown(self, values: Sequence[bytes]) -> int:
        """Estimate the unknown fields of accepted messages from every 64th of them."""
        sample = values[::SAMPLE]
        return sum(map(self._unknown_in, sample)) * len(values) // max(1, len(sample))

    def _unknown_in(self, value: bytes) -> int:
        body = from_json(value)
        return len(body.keys() - _model_for(self.models, body).model_fields.keys())


def explain(error: ErrorDetails, model: type[Record]) -> MalformedEvent:
    """Turn pydantic's error into ours: field, rule and JSON type of the value, never the value itself."""
    kind = error["type"]
    value_class = "missing" if kind == "missing" else json_type(error["input"])
    limit = error.get("ctx", {}).get("ge", error.get("ctx", {}).get("le"))
    reason = "time" if limit in (MIN_TIME_MS, MAX_TIME_MS) else "schema"
    path, rule = error["loc"], _rule(error)
    if path[-1:] == (_KEY,):
        path, rule = path[:-2], f"names {rule}"
    return MalformedEvent(_path(path, _names(model)), rule, value_class, reason)


def json_type(value: object) -> str:
    """Return the JSON type of a decoded value: string, integer, number, boolean, null, array or object."""
    return "null" if value is None else _JSON_TYPES.get(type(value), "value")


def _parse(value: bytes | None, max_bytes: int) -> dict[str, Any]:
    if value is None:
        raise MalformedEvent("", "should have a value", "null", "tombstone")
    if len(value) > max_bytes:
        raise MalformedEvent("", f"should have at most {max_bytes} bytes", "bytes", "too_large")
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedEvent("", "should be UTF-8", "bytes", "utf8") from None
    try:
        body = from_json(value, allow_inf_nan=False, cache_strings="none")
    except ValueError:
        raise MalformedEvent("", "should be RFC 8259 JSON", "bytes", "json") from None
    if not isinstance(body, dict):
        raise MalformedEvent("", "should be an object", json_type(body), "schema")
    return body


def _refuse_ambiguous(value: bytes, models: Mapping[str, type[Record]]) -> None:
    """Raise :class:`MalformedEvent` if one name has two values."""
    found = None if names_nothing_twice((value,), value) else first_ambiguous(value)
    if found is not None:
        known = _ENVELOPE.union(*map(_names, models.values()))
        path, value_class = _path(found.path, known), json_type(found.value)
        raise MalformedEvent(path, "should not have two values", value_class, "ambiguous")


def _refuse_half_drill(record: Record) -> None:
    """What is a drill's is told by reserved names: nobody else may use them, and a drill uses all of them."""
    if isinstance(record, Event) and (field := drills.half_marked(record)) is not None:
        raise MalformedEvent(field, drills.WHOLE_RULE, "string", "schema")
    if isinstance(record, Customer) and drills.is_drill(record.customer_id):
        raise MalformedEvent("customer_id", drills.PROFILE_RULE, "string", "schema")


def _model_for(models: Mapping[str, type[Record]], fields: Mapping[str, Any]) -> type[Record]:
    kind = fields.get("kind", "")
    single = models.get("")
    if single is not None and ("kind" not in single.model_fields or "kind" not in fields):
        return single
    model = models.get(kind) if isinstance(kind, str) else None
    if model is None:
        names = ", ".join(sorted(name for name in models if name))
        raise MalformedEvent("kind", f"should be one of {names}", json_type(fields.get("kind")), "schema")
    return model


def _kind(model: type[Record]) -> str:
    field = model.model_fields.get("kind")
    return field.default if field is not None and isinstance(field.default, str) else model.__name__.lower()


def _path(location: tuple[int | str, ...], known: frozenset[str]) -> str:
    """Dotted path of names from the contract, ``known``; keys that a sender chose become ``*``."""
    return ".".join(str(part) if isinstance(part, int) or part in known else "*" for part in location)


@lru_cache(maxsize=128)
def _names(model: type[Record]) -> frozenset[str]:
    """Names of all fields of a model and of the models inside it."""
    schema = model.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return frozenset(name for part in parts for name in part.get("properties", {}))


def _rule(error: ErrorDetails) -> str:
    kind = error["type"]
    if kind in _QUOTABLE:
        return "should " + error["msg"].partition(" should ")[2]
    return _RULES.get(kind, f"breaks the rule {kind}")
