"""How the rows of a file are written: the part ``input`` of a mapping.

| key | meaning |
|---|---|
| `format` | `csv`; `ndjson`: one JSON object or list of objects a line; `json`: documents, over any number of lines |
| `items` | JSON: path to the list whose members are the rows, as in `tickets`, `data.items`, `pages.tickets` |
| `each` | JSON: path to a list in each row: an event per member (streams.sources.members) |
| `delimiter` | CSV: one character, or `tab`; absent: what a first line `sep=;` says, else a comma |
| `encoding` | absent: utf-8; a byte order mark beats it |
| `member` | name or pattern of a file in a zip that holds several |
| `absent` | texts that mean "no value" (absent: the empty text) |
| `optional` | columns or fields that a file may lack |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from streams.sources.files.encodings import UTF8, encoding_of
from streams.sources.node import Node

INPUT = ("format", "items", "each", "delimiter", "encoding", "member", "absent", "optional")


@dataclass(frozen=True, slots=True)
class Shape:
    """How rows are written. ``nulls``: texts that mean "no value". ``delimiter`` None: as the file says, or a comma."""

    format: Literal["csv", "ndjson", "json"] = "csv"
    delimiter: str | None = None
    encoding: str = UTF8
    nulls: frozenset[str] = frozenset({""})
    items: tuple[str, ...] = ()
    member: str = ""


def read_shape(node: Node | None) -> Shape:
    """The shape that a mapping's ``input`` says. Raises ConfigError."""
    if node is None:
        return Shape()
    entries = node.fields(INPUT)
    form: Any = entries["format"].text(("csv", "ndjson", "json")) if "format" in entries else "csv"
    for name in ("items", "each"):
        if name in entries and form == "csv":
            entries[name].refuse("is for JSON: set input.format to json or ndjson.")
    if "delimiter" in entries and form != "csv":
        entries["delimiter"].refuse("is for CSV: leave it out.")
    return Shape(
        format=form,
        delimiter=_delimiter(entries["delimiter"]) if "delimiter" in entries else None,
        encoding=_encoding(entries["encoding"]) if "encoding" in entries else UTF8,
        nulls=frozenset(item.text() for item in entries["absent"].items()) if "absent" in entries else frozenset({""}),
        items=path_steps(entries["items"]) if "items" in entries else (),
        member=entries["member"].text() if "member" in entries else "",
    )


def path_steps(node: Node) -> tuple[str, ...]:
    """The steps of a path: text with dots, or a list of steps whose names may hold dots."""
    steps = tuple(step.text() for step in node.items()) if isinstance(node.value, list) else (*node.text().split("."),)
    if not all(steps):
        node.refuse("must be a path, as in data.tickets.")
    return steps


def _delimiter(node: Node) -> str:
    text = {"\\t": "\t", "tab": "\t"}.get(node.text(), node.text())
    if len(text) != 1 or text in '"\r\n':
        node.refuse("must be one character, and neither a quote nor a line end.")
    return text


def _encoding(node: Node) -> str:
    try:
        return encoding_of(node.text())
    except ValueError as error:
        node.refuse(str(error))
