"""A mapping file: from the rows of a company's own file to our events. Checked as a whole when it is loaded.

Top level: ``name`` (in event ids), ``input`` (format csv | ndjson, delimiter, encoding, absent, optional: columns and
fields that a file may lack), ``zone``, ``dst`` (gap, overlap), ``source``, ``customer`` (the key), ``tables``,
``times`` and ``events``; each event has ``to``, ``when``, ``id``, ``time``, ``arrival``, ``fields``; it may override
``customer`` and ``source``. See the guide.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from zoneinfo import ZoneInfo

import yaml
from pydantic.fields import FieldInfo

from schemas.errors import ConfigError
from schemas.events import Record
from schemas.topics import BY_NOUN, FROM_COMPANIES
from streams.sources.conditions import Condition, compile_condition
from streams.sources.files.shape import Shape, read_shape
from streams.sources.named import NamedField
from streams.sources.node import Node
from streams.sources.shipped import SHIPPED, shipped_names
from streams.sources.time_specs import compile_time
from streams.sources.times import ZoneRules
from streams.sources.values import Kind, Scope, Value, compile_value, once_per_row, read_table, text_of
from streams.sources.zones import zone_of

TARGETS: dict[str, type[Record]] = {noun: BY_NOUN[noun].records[0] for noun in FROM_COMPANIES}
TIME_FIELD = {"customer": "updated_at_ms", "change": "changed_at_ms"}
ID_FIELD = {"customer": "", "change": "change_id"}
_EVENT = ("event_id", "event_time_ms", "customer_id", "source", "schema_version", "origin")
_TOP = ("name", "input", "zone", "dst", "source", "customer", "tables", "times", "events")
_EVENT_KEYS = ("to", "when", "id", "time", "arrival", "customer", "source", "fields")


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
    fields: tuple[tuple[str, Value], ...]

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
        body = yaml.safe_load(file.read_text(encoding="utf-8"))
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
    top = root.fields(_TOP, required=("name", "events"))
    scope = Scope(_clock(top), pseudonym_key=pseudonym_key)
    for name, node in top["tables"].entries().items() if "tables" in top else ():
        scope.tables[name] = read_table(node)
    for name, node in top["times"].entries().items() if "times" in top else ():
        scope.times[name] = once_per_row(compile_time(node, scope))
    events = tuple(_event(node, top, scope) for node in top["events"].items())
    if not events:
        top["events"].refuse("at least one event is needed.")
    named = tuple(dict.fromkeys(root.named))
    return Mapping(top["name"].text(), read_shape(top.get("input")), events, named, _optional(top.get("input"), named))


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


def _event(node: Node, top: dict[str, Node], scope: Scope) -> EventRule:
    entries = node.fields(_EVENT_KEYS, required=("to", "time"))
    noun = entries["to"].text(tuple(TARGETS))
    customer = entries.get("customer", top.get("customer"))
    if customer is None and noun != "change":
        node.refuse("customer is missing, here or at the top: it is the key.")
    event_id = entries.get("id")
    if event_id is None and noun == "change":
        node.refuse("a change needs an id.")
    return EventRule(
        noun=noun,
        path=node.path,
        when=compile_condition(entries["when"]) if "when" in entries else None,
        time=compile_time(entries["time"], scope),
        arrival=compile_time(entries["arrival"], scope) if "arrival" in entries else None,
        customer=compile_value(customer, scope, "text") if customer is not None else None,
        event_id=text_of(event_id, scope) if event_id is not None else None,
        fields=_fields(entries, node, noun, entries.get("source", top.get("source")), scope),
    )


def _fields(
    entries: dict[str, Node], node: Node, noun: str, source: Node | None, scope: Scope
) -> tuple[tuple[str, Value], ...]:
    """The record's own fields; what the contract requires must be there, what it closes must be allowed."""
    model = TARGETS[noun]
    own = [name for name in model.model_fields if name not in (*_EVENT, TIME_FIELD.get(noun), ID_FIELD.get(noun))]
    given = entries["fields"].fields(own) if "fields" in entries else {}
    for name in own:
        if model.model_fields[name].is_required() and name not in given:
            node.child("fields", None).refuse(f"{name} is missing: the contract of {noun} requires it.")
    found = [(name, compile_field(value, model.model_fields[name], name, scope)) for name, value in given.items()]
    if "source" in model.model_fields and source is not None:
        found.append(("source", compile_value(source, scope, "text")))
    return tuple(found)


def compile_field(node: Node, info: FieldInfo, name: str, scope: Scope) -> Value:
    """Compile one field by its type in the contract."""
    if isinstance(node.value, list):
        return _list(node, scope)
    if _is_object(node):
        return _object(node, scope)
    if name.endswith("_at_ms"):
        return compile_time(node, scope)
    choices, kind = _type(info.annotation)
    if choices:
        _check_choices(node, choices, scope)
    return compile_value(node, scope, kind)


def _type(annotation: Any) -> tuple[tuple[str, ...], Kind]:
    """Closed vocabulary (if any) and kind of a pydantic annotation."""
    if get_origin(annotation) is Literal:
        return tuple(str(choice) for choice in get_args(annotation)), "text"
    kinds: dict[Any, Kind] = {str: "text", int: "int", float: "float", bool: "bool"}
    if annotation in kinds:
        return (), kinds[annotation]
    for part in get_args(annotation):
        choices, kind = _type(part)
        if choices or kind != "any":
            return choices, kind
    return (), "any"


def _check_choices(node: Node, choices: Collection[str], scope: Scope) -> None:
    """Check constants, table entries and defaults against their closed vocabulary when the mapping is loaded."""
    if isinstance(node.value, str) and "{" not in node.value:
        node.text(choices)
    if not isinstance(node.value, dict):
        return
    entries = node.entries()
    if "default" in entries:
        entries["default"].text(choices)
    table = entries.get("table")
    if table is not None:
        known = scope.tables.get(table.value) if isinstance(table.value, str) else None
        for name, value in (known or (table.value if isinstance(table.value, dict) else {})).items():
            table.child(str(name), value).text(choices)


def _is_object(node: Node) -> bool:
    """A YAML mapping that uses none of our keywords is an object of the record (such as a change's attributes)."""
    words = ("field", "text", "pseudonym", "time")
    return isinstance(node.value, dict) and not any(word in node.value for word in words)


def _object(node: Node, scope: Scope) -> Value:
    parts = [(name, _nested(value, scope)) for name, value in node.entries().items()]

    def build(fields: Any) -> dict[str, Any]:
        return {name: found for name, value in parts if (found := value(fields)) is not None}

    return build


def _list(node: Node, scope: Scope) -> Value:
    parts = [_nested(item, scope) for item in node.items()]
    return lambda fields: [found for value in parts if (found := value(fields)) is not None]


def _nested(node: Node, scope: Scope) -> Value:
    """A value inside an object or list: booleans stay booleans, everything else becomes text."""
    if isinstance(node.value, list):
        return _list(node, scope)
    if _is_object(node):
        return _object(node, scope)
    truth = node.path.endswith(".granted")
    return compile_value(node, scope, "bool" if truth else "text")
