"""A mapping file: from the rows of a company's own file to our events. Checked as a whole when it is loaded.

Top level: ``name`` (in event ids), ``input`` (format csv | ndjson, delimiter, encoding, absent, optional: columns and
fields that a file may lack), ``zone``, ``dst`` (gap, overlap), ``numbers`` (how the file writes them), ``source``,
``customer`` (the key, or ``identity``: several identifiers that lead to it), ``links`` (rows that link identifiers),
``joins`` (further files), ``tables``, ``times`` and ``events``; each event has ``to``, ``each`` (an event per
member of a list), ``when``, ``id``, ``time``, ``arrival``, ``fields``; it may override ``customer`` and ``source``. See
the guide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import yaml

from schemas.errors import ConfigError
from schemas.events import Record
from schemas.topics import BY_NOUN, FROM_COMPANIES
from streams.sources.conditions import Condition, compile_condition
from streams.sources.fields import Scope, Value
from streams.sources.files.shape import Shape, read_shape
from streams.sources.identity import Identity, read_identity
from streams.sources.joins import JoinRule, read_joins
from streams.sources.members import Each, locate_members, read_each
from streams.sources.named import NamedField
from streams.sources.node import Node
from streams.sources.number_formats import NUMBER_KEYS, NumberFormat, number_format
from streams.sources.plain_yaml import parse_yaml
from streams.sources.shipped import SHIPPED, shipped_names
from streams.sources.targets import compile_field
from streams.sources.time_specs import compile_time, name_time
from streams.sources.times import ZoneRules
from streams.sources.unread import refuse_undecided
from streams.sources.values import compile_number, compile_value, read_table
from streams.sources.zones import zone_of

TARGETS: dict[str, type[Record]] = {noun: BY_NOUN[noun].records[0] for noun in FROM_COMPANIES}
TIME_FIELD = {"customer": "updated_at_ms", "change": "changed_at_ms"}
ID_FIELD = {"customer": "", "change": "change_id"}
_EVENT = ("event_id", "event_time_ms", "customer_id", "source", "schema_version", "origin")
_TOP = ("name", "input", "zone", "dst", "numbers", "source", "customer", "links", "joins", "tables", "times", "events")
_IDS = ("order_id", "contact_id")
_EVENT_KEYS = ("to", "each", "when", "id", "time", "arrival", "customer", "source", "fields")


class FieldRule(NamedTuple):
    """One field of an event. Equal ``spec`` of equal names give equal values for a row."""

    name: str
    value: Value
    spec: str


@dataclass(frozen=True, slots=True)
class EventRule:
    """One kind of event that a row can make. ``path`` names it in errors."""

    noun: str
    path: str
    when: Condition | None
    time: Value
    arrival: Value | None
    customer: Value | None
    event_id: Value | None
    fields: tuple[FieldRule, ...]
    each: Each | None = None
    """The list of a row that makes an event per member."""

    @property
    def time_field(self) -> str:
        """Field of the record that takes the event's time."""
        return TIME_FIELD.get(self.noun, "event_time_ms")

    @property
    def id_field(self) -> str:
        """Field of the record that takes the event's id (empty: it has none)."""
        return ID_FIELD.get(self.noun, "event_id")


@dataclass(frozen=True, slots=True)
class Mapping:
    """A checked mapping, ready to be applied to rows."""

    name: str
    shape: Shape
    events: tuple[EventRule, ...]
    named: tuple[NamedField, ...] = ()
    """Every field of a row that it reads, once for each place that names it."""
    optional: frozenset[str] = frozenset()
    """Those of them that a file may lack."""
    constants: tuple[NamedField, ...] = ()
    """Texts that are the key or an id of every row as they stand."""
    identity: Identity | None = None
    """How several identifiers lead to one customer, if it says so."""
    joins: dict[str, JoinRule] = field(default_factory=dict)
    """Files that are joined to the rows, by name."""

    @property
    def nouns(self) -> tuple[str, ...]:
        """Topics it feeds, in the order of its events."""
        return tuple(dict.fromkeys(event.noun for event in self.events))


def load_mapping(path: str | Path, pseudonym_key: bytes | None = None) -> Mapping:
    """Read and check a mapping file, or one that comes with cxwatch by its name (``flights``, ``shop``).

    Raises ConfigError naming file, path and what is allowed.
    """
    file = _find(path)
    try:
        body = parse_yaml(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: is not YAML: {error}") from None
    return parse_mapping(body, file.name, pseudonym_key)


def _find(path: str | Path) -> Path:
    file = Path(path)
    if file.is_file():
        return file
    shipped = SHIPPED / f"{path}.yaml"
    if shipped.is_file():
        return shipped
    names = ", ".join(shipped_names())
    raise ConfigError(f"{path}: there is no such mapping file. Mappings that come with cxwatch: {names}.")


def parse_mapping(body: Any, file: str = "mapping", pseudonym_key: bytes | None = None) -> Mapping:
    """Check a mapping that is already parsed from YAML."""
    root = Node(body, file)
    refuse_undecided(root)
    top = root.fields(_TOP, required=("name", "events"))
    shape = read_shape(top.get("input"))
    numbers = number_format(top["numbers"].fields(NUMBER_KEYS), NumberFormat()) if "numbers" in top else NumberFormat()
    scope = Scope(_clock(top), compile_number, pseudonym_key=pseudonym_key, absent=shape.nulls, numbers=numbers)
    for name, node in top["tables"].entries().items() if "tables" in top else ():
        scope.tables[name] = read_table(node)
    for name, node in top["times"].entries().items() if "times" in top else ():
        name_time(name, node, scope)
    identity = read_identity(top.get("customer"), top.get("links"), scope)
    events = tuple(_event(node, top, scope, identity) for node in top["events"].items())
    if not events:
        top["events"].refuse("at least one event is needed.")
    named = tuple(dict.fromkeys(root.named))
    optional, joins = _optional(top.get("input"), named), read_joins(top.get("joins"), read_shape)
    constants = tuple(dict.fromkeys(_constants(top)))
    return Mapping(top["name"].text(), shape, events, named, optional, constants, identity, joins)


def _constants(top: dict[str, Node]) -> Iterator[NamedField]:
    parts = [top]
    for node in top["events"].items():
        event = node.entries()
        parts += [event, event["fields"].entries()] if "fields" in event else [event]
    for part in parts:
        for name in ("customer", "id", *_IDS):
            spec = part.get(name)
            for word in ("pseudonym", "text"):
                if spec is not None and isinstance(spec.value, dict) and word in spec.value:
                    spec = spec.entries()[word]
            if spec is not None and isinstance(spec.value, str) and "{" not in spec.value:
                yield NamedField((spec.value,), spec.file, spec.path)


def _optional(node: Node | None, named: tuple[NamedField, ...]) -> frozenset[str]:
    entries = node.entries() if node is not None else {}
    known = {one.name for one in named}
    return frozenset(item.text(known) for item in (entries["optional"].items() if "optional" in entries else ()))


def _clock(top: dict[str, Node]) -> ZoneRules:
    zone = zone_of(top["zone"]) if "zone" in top else ZoneInfo("UTC")
    dst = top["dst"].fields(("gap", "overlap")) if "dst" in top else {}
    gap: Any = dst["gap"].text(("forward", "reject")) if "gap" in dst else "forward"
    overlap: Any = dst["overlap"].text(("first", "second", "reject")) if "overlap" in dst else "first"
    return ZoneRules(zone, gap, overlap)


def _event(node: Node, top: dict[str, Node], scope: Scope, identity: Identity | None) -> EventRule:
    entries = node.fields(_EVENT_KEYS, required=("to", "time"))
    noun = entries["to"].text(tuple(TARGETS))
    customer = entries.get("customer", top.get("customer"))
    if customer is None and noun != "change":
        node.refuse("customer is missing, here or at the top: it is the key.")
    if identity is not None and "customer" not in entries:
        key: Value | None = identity.key
    else:
        key = compile_value(customer, scope, "text") if customer is not None else None
    event_id, each, since = entries.get("id"), _each(entries, top, scope), len(node.named)
    if event_id is None and noun == "change":
        node.refuse("a change needs an id.")
    if event_id is not None and noun != "change" and isinstance(event_id.value, str) and "{" not in event_id.value:
        event_id.refuse('must name fields, as in "{order_no}": events of one id count once. Or leave id out.')
    rule = EventRule(
        noun=noun,
        path=node.path,
        when=compile_condition(entries["when"], scope) if "when" in entries else None,
        time=compile_time(entries["time"], scope),
        arrival=compile_time(entries["arrival"], scope) if "arrival" in entries else None,
        customer=key,
        event_id=compile_value(event_id, scope, "text") if event_id is not None else None,
        fields=_fields(entries, node, noun, entries.get("source", top.get("source")), scope),
        each=each,
    )
    if each is not None:
        locate_members(each, node, since, event_id)
    return rule


def _each(entries: dict[str, Node], top: dict[str, Node], scope: Scope) -> Each | None:
    """The list whose members an event is made of: its own, or the one that all events have."""
    shared = top["input"].entries().get("each") if "input" in top else None
    node = entries.get("each", shared)
    return read_each(node, scope) if node is not None else None


def _fields(
    entries: dict[str, Node], node: Node, noun: str, source: Node | None, scope: Scope
) -> tuple[FieldRule, ...]:
    """The record's own fields; what the contract requires must be there, what it closes must be allowed."""
    model = TARGETS[noun]
    own = [name for name in model.model_fields if name not in (*_EVENT, TIME_FIELD.get(noun), ID_FIELD.get(noun))]
    given = entries["fields"].fields(own) if "fields" in entries else {}
    for name in own:
        if model.model_fields[name].is_required() and name not in given:
            node.child("fields", None).refuse(f"{name} is missing: the contract of {noun} requires it.")
    infos = model.model_fields
    found = [
        FieldRule(name, compile_field(one, infos[name], name, scope), repr(one.value)) for name, one in given.items()
    ]
    if "source" in infos and source is not None:
        found.append(FieldRule("source", compile_value(source, scope, "text"), repr(source.value)))
    return tuple(found)
