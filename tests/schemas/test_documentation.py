"""Every field of every record says what it means, in which unit, and shows an example that is valid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from schemas import events, experience, findings
from schemas.events import Record
from schemas.topics import TOPICS

UNITS = {"_ms": ("time", "when", "ms", "failure", "contact", "onset", "end", "earliest", "earlier", "after", "start"),
         "_cents": ("cents", "money", "cost", "value", "amount")}


def _inside(model: type[Record]) -> Iterator[type[Record]]:
    yield model
    for info in model.model_fields.values():
        for part in (info.annotation, *get_args(info.annotation)):
            if isinstance(part, type) and issubclass(part, Record):
                yield from _inside(part)


def all_records() -> dict[str, type[Record]]:
    """Every record of the contract by name, the nested ones included."""
    return {found.__name__: found for topic in TOPICS for model in topic.records for found in _inside(model)}


FIELDS: list[tuple[str, str, Any]] = [
    (record, name, info)
    for record, model in sorted(all_records().items())
    for name, info in model.model_fields.items()
    if name != "kind"
]


@pytest.mark.parametrize(("record", "name", "info"), FIELDS)
def test_every_field_has_a_meaning_and_a_valid_example(record: str, name: str, info: Any) -> None:
    assert info.description, f"{record}.{name} has no description"
    assert info.examples, f"{record}.{name} has no example"
    model = all_records()[record]
    for example in info.examples:
        adapter = TypeAdapter(model.model_fields[name].rebuild_annotation(), config=None)
        adapter.validate_python(example)


@pytest.mark.parametrize(("record", "name", "info"), FIELDS)
def test_units_are_in_names_and_words(record: str, name: str, info: Any) -> None:
    for suffix, words in UNITS.items():
        if name.endswith(suffix):
            assert any(word in info.description.lower() for word in words), f"{record}.{name}: {info.description}"


def test_every_record_has_a_docstring_and_belongs_to_a_topic() -> None:
    known = all_records()
    for module in (events, experience, findings):
        for name, value in vars(module).items():
            if isinstance(value, type) and issubclass(value, Record) and value not in (Record, events.Event):
                assert known.get(name) is value, f"{name} is in no topic"
                assert value.__doc__
