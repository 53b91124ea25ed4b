"""What Python and the native implementation have to agree on, said once and derived from what Python defines anyway.

Two things are made of it: ``native/src/wire.rs``, the encoders of the native implementation (``python
native/wire.py``), and the *contract*, a hash that is compiled into the native module and that Python compares before it
uses the module. Nobody counts versions by hand: whatever changes here gives another hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any

from schemas import drills
from schemas.events import Record
from schemas.fieldspec import NestedRow, inner_records, nested_specs
from schemas.findings import BinClosed, CohortCount, Episode, Late, SourceCount, ValuesSeen, Watermark
from streams.core.join.sample import digest

MESSAGES: tuple[type[Record], ...] = (CohortCount, BinClosed, ValuesSeen, SourceCount, Episode, Watermark, Late)
"""The records that the room writes."""

CALLS: Mapping[str, str] = {
    "JoinRoom": "(rules, partition, partitions)",
    "JoinRoom.feed": "($self, part, start, max_bytes, future_ms, stop_key)",
    "JoinRoom.take": "($self, topic, events)",
    "JoinRoom.hear": "($self, topic, time_ms)",
    "JoinRoom.clock_ms": "($self, topic)",
    "JoinRoom.pass_idle": "($self, topics, time_ms)",
    "JoinRoom.drain": "($self)",
    "JoinRoom.load": "($self, pairs)",
    "CopyPlan": "(topic, fields, columns)",
    "CopyPlan.start": "($self)",
    "Copies.add": "($self, part, partition, max_bytes, stop_key)",
    "Copies.columns": "($self)",
    "FindingPlan": "(kind, fields, columns, key, by, others)",
    "FindingPlan.start": "($self)",
    "Findings.add": "($self, part, name, max_bytes)",
    "Findings.give_back": "($self)",
    "Findings.columns": "($self)",
    "unpack_records": "(data, start, aborted, check_crcs)",
    "ready_batches": "(writes, limit, now_ms)",
}
"""What Python calls in the native module, and how."""
RESULTS: Mapping[str, str] = {
    "JoinRoom.feed": "(stop, accepted, unknown fields, [from the future], [of other partitions])",
    "JoinRoom.drain": "([(noun, key, value, partition)], [(key, value or None)])",
    "Copies.add": "[left]",
    "Findings.add": "(rows, [others], stop)",
    "Findings.give_back": "[(message, version)]",
    "Findings.columns": "(rows, [bytes])",
    "unpack_records": "(next, offsets, keys, values, headers, timestamps) or None",
    "ready_batches": "[batch]",
}
"""What the calls return, where it is more than one value."""
FIELDS = "name, kind, low, high, plain, choices, optional, kind of default, default, parts"
"""A row of ``schemas.fieldspec.field_specs``."""


def specification(rules: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what both sides agree on as plain JSON values.

    ``rules``: a table as the native room gets it, of which only the shape counts. Raises TypeError for a record that
    the native encoders cannot write.
    """
    inner = {one.__name__: one for model in MESSAGES for one in inner_records(model).values()}
    models = {**inner, **{model.__name__: model for model in MESSAGES}}
    return {
        "messages": {name: message(model) for name, model in models.items()},
        "rules": shape([rules]),
        "fields": FIELDS,
        "calls": dict(CALLS),
        "results": dict(RESULTS),
        "written": digest(),
        "drills": {"SOURCE": drills.SOURCE, "PREFIX": drills.PREFIX, "ORIGIN": drills.ORIGIN},
        "drill_lines": list(drills.LINES),
    }


def fingerprint(agreed: Mapping[str, Any]) -> str:
    """Return the contract: a hash of the specification, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(agreed, sort_keys=True).encode()).hexdigest()[:16]


def message(model: type[Record]) -> Mapping[str, Any]:
    """Return ``kind`` (None for a record inside another one) and fields, (name, type) each, in the order on the wire.

    A type is one of text, int, bool, a list of them or of a record (``[text]``), or may be null (``int?``).
    """
    kind = model.model_fields["kind"].default if "kind" in model.model_fields else None
    inner = inner_records(model)
    return {"kind": kind, "fields": [(row[0], _type(row, inner)) for row in nested_specs(model)]}


def _type(row: NestedRow, inner: Mapping[str, type[Record]]) -> str:
    name, form, value, _ = row
    if value is None:
        return f"[{inner[name].__name__}]"
    kind = "text" if value[1] == "choice" else value[1]
    if kind not in ("text", "int", "bool"):
        raise TypeError(f"{name}: the native encoders write no {kind}")
    return f"[{kind}]" if form == "list" else kind + "?" * value[6]


def shape(values: Iterable[Any]) -> Any:
    """Return the form that all values have in common, without their content: names of mappings with their forms, forms
    of tuples by index, one form of all elements of a list, types of everything else. None counts for nothing.
    """
    some = [value for value in values if value is not None]
    if some and all(isinstance(value, Mapping) for value in some):
        return {name: shape(value.get(name) for value in some) for name in sorted(set().union(*some))}
    if some and all(isinstance(value, list) for value in some):
        return [shape(element for value in some for element in value)]
    if some and all(isinstance(value, tuple) for value in some):
        return {"tuple": [shape(column) for column in zip_longest(*some)]}
    return sorted({type(value).__name__ for value in some})
