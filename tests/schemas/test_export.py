"""The exported JSON Schemas are current, valid and as strict as the models where JSON Schema can be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.export import export, files

FOLDER = Path(__file__).parents[2] / "schemas" / "json"


def test_the_committed_json_schemas_are_current() -> None:
    assert export(FOLDER, write=False) == [], "run `cxwatch schemas export`"


def test_export_writes_what_is_missing_mends_what_is_stale_and_removes_what_is_gone(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "json"
    assert export(target) == sorted(files())
    (target / "order.Order.json").write_text("{}")
    (target / "gone.Gone.json").write_text("{}")
    assert export(target, write=False) == ["gone.Gone.json", "order.Order.json"]
    assert export(target) == ["gone.Gone.json", "order.Order.json"]
    assert export(target) == []
    assert {path.name for path in target.iterdir()} == set(files())


@pytest.mark.parametrize("name", sorted(files()))
def test_every_schema_is_open_and_documents_every_property(name: str) -> None:
    schema = json.loads(files()[name])
    assert "additionalProperties" not in schema
    for key, part in schema["properties"].items():
        assert key == "kind" or "description" in part or "$ref" in part, f"{name}: {key}"
