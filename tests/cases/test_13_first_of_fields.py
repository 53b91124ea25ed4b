"""Case 13: customers with a telephone number and no e-mail address were refused. The first identifier that is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.errors import ConfigError
from streams.sources import MappedFile, parse_mapping, read

SHOPIFY = """
name: shopify
input: {format: csv}
zone: Europe/Berlin
source: shopify
customer: {pseudonym: {first_of: [Email, Phone]}, case: lower}
times:
  created: {field: Created at}
  paid: {field: Paid at, format: "%Y-%m-%d %H:%M:%S %z"}
events:
  - to: order
    when: {field: Id, present: true}
    time: created
    id: "{Id}-placed"
    fields: &order
      order_id: "{Name}"
      status: placed
      product: shop
      amount_cents: {field: Total, scale: 100}
      currency: "{Currency}"
      region: "{Shipping Country}"
      sku: "{Lineitem sku}"
  - to: order
    when: {field: Paid at, present: true}
    time: paid
    id: "{Id}-paid"
    fields: {<<: *order, status: paid}
"""
ROWS = """Name,Email,Paid at,Currency,Total,Created at,Lineitem sku,Shipping Country,Id,Phone
#1001,anna@example.invalid,2026-03-02 10:15:21 +0100,EUR,64.70,2026-03-02 10:15:20 +0100,MUG-B,DE,5550001,
#1001,anna@example.invalid,,,,2026-03-02 10:15:20 +0100,MUG-R,,,
#1002,,2026-03-02 11:00:00 +0100,EUR,10.00,2026-03-02 11:00:00 +0100,STK,DE,5550002,+49000000001
#1003,ben@example.invalid,,EUR,1234.50,2026-03-29 02:30:00 +0100,TAB,DE,5550003,
"""


def mapped(text: str, rows: str, folder: Path) -> tuple[list[dict[str, Any]], MappedFile]:
    file = folder / "rows.txt"
    file.write_text(rows)
    reading = read(parse_mapping(yaml.safe_load(text), pseudonym_key=b"k" * 16), file)
    return [json.loads(one.value) for one in reading.arrivals() if not one.headers], reading


def test_an_export_with_two_identifiers_is_mapped_by_one_rule(tmp_path: Path) -> None:
    events, reading = mapped(SHOPIFY, ROWS, tmp_path)
    assert (reading.tally.rows, reading.tally.rejected, reading.tally.unmatched) == (4, 0, 1)
    assert [(one["event_id"], one["amount_cents"]) for one in events] == [
        ("5550001-placed", 6470), ("5550001-paid", 6470), ("5550002-placed", 1000), ("5550002-paid", 1000),
        ("5550003-placed", 123450),
    ]  # fmt: skip
    assert len({one["customer_id"] for one in events}) == 3


def order(value: str, folder: Path, row: dict[str, object], field: str = "region") -> Any:
    """One field of an order, as a specification makes it of a row."""
    text = f"""
name: m
input: {{format: ndjson}}
customer: somebody
tables: {{land: {{Deutschland: DE}}}}
times: {{shipped: {{field: shipped_at}}, paid: {{field: paid_at}}}}
events:
  - to: order
    time: {{field: at}}
    fields: {{order_id: o, product: shop, status: placed, {field}: {value}}}
"""
    (event,), _ = mapped(text, json.dumps({"at": "2026-03-02T10:00:00Z", **row}) + "\n", folder)
    return event.get(field)


@pytest.mark.parametrize(
    ("spec", "row", "expected"),
    [
        ("{first_of: [a, b, c.d]}", {"a": "", "b": None, "c": {"d": "x"}}, "x"),
        ("{first_of: [a, b]}", {"a": "1", "b": "2"}, "1"),
        ("{first_of: [a, b]}", {"a": " ", "b": "2"}, "2"),
        ("{first_of: [a, b]}", {"a": " \u00a0"}, None),
        ("{first_of: [{pseudonym: '{a}'}, b]}", {"a": " ", "b": "2"}, "2"),
        ("{first_of: [a, b]}", {}, None),
        ("{first_of: [a, b], default: none}", {}, "none"),
        ('{first_of: ["{a}-{b}", "{a}"]}', {"a": "x"}, "x"),
        ("{first_of: [{field: a, case: upper}, b]}", {"a": "x"}, "X"),
        ("{first_of: [a, {first_of: [b, c]}]}", {"c": "x"}, "x"),
        ("{first_of: [a, b], table: land}", {"b": "Deutschland"}, "DE"),
        ("{first_of: [{field: a, table: land}, b]}", {"b": "x"}, "x"),
        ("{first_of: [[a.b, c], d]}", {"d": "x"}, "x"),
        ("'{a|b}'", {"b": "x"}, "x"),
        ("'{a | b.c}-{d}'", {"b": {"c": "x"}, "d": 1}, "x-1"),
        ("'{a|b}-{d}'", {"d": 1}, None),
        ("{text: '{a|b}', case: upper}", {"b": "x"}, "X"),
    ],
)
def test_the_first_value_that_is_there(spec: str, row: dict[str, object], expected: object, tmp_path: Path) -> None:
    assert order(spec, tmp_path, row) == expected


def test_the_first_number_and_the_first_time(tmp_path: Path) -> None:
    assert order("{first_of: [gross, net], scale: 100}", tmp_path, {"net": "1.5"}, "amount_cents") == 150
    later: dict[str, object] = {"paid_at": "2026-03-02T11:00:00Z"}
    for spec in (
        "{first_of: [shipped, paid]}", "{first_of: [shipped_at, paid_at]}", "{first_of: [{time: paid}]}",
        "{time: {first_of: [shipped, {field: paid_at}]}}", "{first_of: [shipped, paid], minus: 0s}",
    ):  # fmt: skip
        assert order(spec, tmp_path, later, "promised_at_ms") == 1_772_449_200_000
    reading = "{first_of: [b, a], format: epoch_s, plus: 1h}"
    assert order(reading, tmp_path, {"a": 1_772_445_600}, "promised_at_ms") == 1_772_449_200_000


def test_the_time_and_the_id_of_an_event_may_have_several_sources(tmp_path: Path) -> None:
    text = """
name: m
customer: {first_of: [email, {pseudonym: "{phone}"}]}
events:
  - to: order
    time: {first_of: [shipped, ordered]}
    arrival: {first_of: [seen, shipped, ordered]}
    id: {first_of: [id, "{no}-{line}"]}
    fields: {order_id: "{no}", product: shop, status: placed}
"""
    head = "email,phone,shipped,ordered,seen,id,no,line"
    rows = [head, ",+49,,2026-03-02T10:00Z,,,7,1", "c-1,,2026-03-03T10:00Z,,,e-2,8,1", ""]
    events, _ = mapped(text, "\n".join(rows), tmp_path)
    assert [one["event_id"] for one in events] == ["7-1", "e-2"]
    assert events[0]["customer_id"].startswith("p-")
    assert events[1]["customer_id"] == "c-1"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{first_of: []}", r"region\.first_of: must list at least one value"),
        ("{first_of: a}", r"region\.first_of: must be a list"),
        ("{first_of: [5]}", r"region\.first_of\[0\]: must be text, not a number"),
        ("{first_of: [a], field: b}", r"exactly one source of the value is needed\. Allowed: .*first_of"),
        ("'{a|}'", r"each side of \| must be a field name"),
        ("{first_of: [{fild: a}]}", r"region\.first_of\[0\].*fild is not known here.*Did you mean field"),
    ],
)
def test_a_wrong_list_is_refused_when_the_mapping_is_loaded(spec: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        order(spec, tmp_path, {})


@pytest.mark.parametrize("customer", ['"{Email}"', '{pseudonym: "{Email}"}', "{first_of: [Email, Phone]}"])
def test_a_blank_identifier_is_nobody_s_key(customer: str, tmp_path: Path) -> None:
    text = SHOPIFY.replace("{pseudonym: {first_of: [Email, Phone]}, case: lower}", customer)
    rows = ROWS.splitlines(keepends=True)[:2]
    events, reading = mapped(text, "".join(rows).replace("anna@example.invalid", "  "), tmp_path)
    assert (events, reading.tally.rejected) == ([], 1)
    assert reading.tally.rules[0].rejects.first[0].field == "events[0].customer"
