"""Case 10: an empty text inside a nested object was a value. What means "no value" means it at every depth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.sources import MappedFile, parse_mapping, read

MAPPING = """
name: ups
input: {format: ndjson}
source: ups
customer: "{trackingNumber}"
events:
  - to: order
    when: {field: activityStatus.type, equals: I}
    time: {text: "{gmtActivityDate}{gmtActivityTime}", format: "%Y%m%d%H%M%S"}
    fields: &o
      order_id: "{trackingNumber}"
      status: shipped
      product: parcel
      region: "{activityLocation.country}"
      warehouse: "{activityLocation.stateProvince}"
      promised_at_ms: {field: scheduledDeliveryDate, format: "%Y%m%d", plus: 1d}
  - to: order
    when: {field: delivery.actual, present: true}
    time: {field: delivery.actual, format: "%Y%m%d %H%M%S"}
    fields: {<<: *o, status: delivered}
"""
ROW = {
    "trackingNumber": "1ZXXX1", "localActivityDate": "20260302", "localActivityTime": "154207",
    "activityLocation": {"city": "Atlanta", "stateProvince": "GA", "postalCode": "", "country": "US"},
    "activityStatus": {"type": "I", "code": "OR", "description": "On the Way"}, "scheduledDeliveryDate": "20260305",
    "actualDeliveryDate": "", "gmtActivityDate": "20260302", "gmtActivityTime": "204207", "delivery": {"actual": ""},
}  # fmt: skip


def mapped(text: str, row: dict[str, Any], folder: Path) -> tuple[list[dict[str, Any]], MappedFile]:
    file = folder / "rows.ndjson"
    file.write_text(json.dumps(row) + "\n")
    reading = read(parse_mapping(yaml.safe_load(text)), file)
    return [json.loads(one.value) for one in reading.arrivals() if not one.headers], reading


def test_an_empty_nested_time_is_no_delivery(tmp_path: Path) -> None:
    events, reading = mapped(MAPPING, ROW, tmp_path)
    assert [event["status"] for event in events] == ["shipped"]
    assert reading.tally.rejected == 0


@pytest.mark.parametrize("empty", ["", "-", "N/A", None])
@pytest.mark.parametrize(
    "field", ["top", "nested.deep.er", "list.1", "list.-1", "objects.0.name", "[a.b, name]", "dots.in.name"]
)
def test_texts_that_mean_no_value_are_absent_everywhere(field: str, empty: str | None, tmp_path: Path) -> None:
    text = f"""
name: m
input: {{format: ndjson, absent: ["", "-", "N/A"]}}
customer: somebody
events:
  - to: order
    when: {{not: {{first_of: [{{field: {field}}}], present: true}}}}
    time: {{field: at}}
    fields: {{order_id: o, product: {{field: {field}, default: shop}}, status: placed, region: {{text: "{{at}}"}}}}
"""
    row = {"at": "2026-03-02T10:00Z", "top": empty, "nested": {"deep": {"er": empty}}, "list": ["x", empty],
           "objects": [{"name": empty}], "a.b": {"name": empty}, "dots.in.name": empty}  # fmt: skip
    events, _ = mapped(text, row, tmp_path)
    assert [event["product"] for event in events] == ["shop"]


def test_absent_texts_inside_templates_conditions_and_lists(tmp_path: Path) -> None:
    text = """
name: m
input: {format: ndjson}
customer: somebody
events:
  - to: change
    id: "{id}"
    time: {field: at}
    fields: {change_kind: release, attributes: {shop: "{a.shop}-{a.city}", plan: "{a.plan}", lot: "{lots.0}"}}
  - to: change
    when: [{field: a.plan, equals: ""}]
    id: "{id}-never"
    time: {field: at}
    fields: {change_kind: release}
"""
    row = {"id": "c-1", "at": "2026-03-02T10:00Z", "a": {"shop": "s", "city": "", "plan": ""}, "lots": ["", "l"]}
    events, _ = mapped(text, row, tmp_path)
    assert [event["attributes"] for event in events] == [{}]
