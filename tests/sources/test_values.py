"""Values of a mapping: arithmetic on numbers and times, and forms within forms."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ConfigError
from streams.sources import parse_mapping, read
from streams.sources.fields import Scope
from streams.sources.node import Node
from streams.sources.times import ZoneRules
from streams.sources.values import compile_number, compile_value
from streams.sources.zones import zone_of

SENT_MS = 1_772_445_600_000
"""2026-03-02T10:00Z."""


def outcome(field: str, spec: str, row: dict[str, Any], folder: Path) -> Any:
    """A field of an event of one row of NDJSON, or the rule that refuses the row."""
    text = f"""
name: m
input: {{format: ndjson}}
zone: Europe/Berlin
customer: somebody
times: {{opened: {{field: opened_at}}, answered: {{field: answered_at}}}}
events:
  - to: {"contact" if field in CONTACT else "order"}
    time: {{field: at}}
    fields: {{{"contact_id: k, channel: web" if field in CONTACT else ORDER}, {field}: {spec}}}
"""
    file = folder / "rows.ndjson"
    file.write_text(json.dumps({"at": "2026-03-02T10:00Z", **row}) + "\n")
    (arrival,) = read(parse_mapping(yaml.safe_load(text)), file).arrivals()
    headers = dict(arrival.headers)
    return headers["dlq.rule"].decode() if headers else json.loads(arrival.value).get(field)


CONTACT = ("wait_ms", "csat", "subject_ids")
ORDER = "order_id: o, product: shop, status: placed"
TWO_DIGITS = "{first_of: [{field: c, case: upper, table: {ISK: EUR, UGX: EUR}, default: null}, c]}"
"""Of a provider that writes two currencies otherwise than ISO 4217."""
BOTH = {"opened_at": "2026-03-02T10:00Z", "answered_at": "2026-03-02T10:05:00.5Z"}


@pytest.mark.parametrize(
    ("field", "spec", "row", "expected"),
    [
        ("wait_ms", "{minus: [{time: answered}, {time: opened}]}", BOTH, 300_500.0),
        ("wait_ms", "{minus: [{time: answered}, {time: opened}]}", {"opened_at": BOTH["opened_at"]}, None),
        ("wait_ms", "{minus: [{time: answered}, {time: opened}], default: 7}", {}, 7.0),
        ("wait_ms", "{minus: [{time: answered}, {time: opened}, 5m]}", BOTH, 500.0),
        ("wait_ms", "{times: ['{s}', 1000]}", {"s": "1.5"}, 1500.0),
        ("wait_ms", "{plus: ['{queue}', '{talk}', 1s]}", {"queue": 1, "talk": "2.5"}, 1003.5),
        ("csat", "{over: ['{points}', 20]}", {"points": 100}, 5),
        ("csat", "{plus: [1, {over: ['{points}', 25]}]}", {"points": "99"}, 5),
        ("amount_cents", "{times: ['{qty}', {field: price, scale: 100}]}", {"qty": 3, "price": "19.95"}, 5985),
        ("amount_cents", "{times: ['{qty}', '{price}'], scale: 100}", {"qty": "3", "price": 0.1}, 30),
        ("amount_cents", "{minus: ['{a}', '{b}']}", {"a": "0.3", "b": 0.1}, 0),
        ("amount_cents", "{minus: [{field: a, decimal: ','}, '{b}'], scale: 100}", {"a": "0,3", "b": 0.1}, 20),
        ("amount_cents", "{field: a, minor: '{c}'}", {"a": 5550, "c": "jpy"}, 555_000),
        ("amount_cents", "{field: a, minor: '{c}'}", {"a": 6470, "c": "EUR"}, 6470),
        ("amount_cents", "{field: a, minor: '{c}'}", {"a": "5555", "c": "KWD"}, 556),
        ("amount_cents", "{field: a, minor: '{c}'}", {"a": -5, "c": "KRW"}, -500),
        ("amount_cents", "{field: a, minor: JPY}", {"a": 5550}, 555_000),
        ("amount_cents", "{field: a, minor: {first_of: [d, c]}}", {"a": 5550, "c": "usd"}, 5550),
        ("amount_cents", f"{{field: a, minor: {TWO_DIGITS}}}", {"a": 5500, "c": "isk"}, 5500),
        ("amount_cents", f"{{field: a, minor: {TWO_DIGITS}}}", {"a": 5500, "c": "jpy"}, 550_000),
        ("amount_cents", "{minus: ['{a}', '{b}'], minor: '{c}'}", {"a": 5, "b": 2, "c": "JPY"}, 300),
        ("amount_cents", "{field: a, minor: '{c}'}", {"c": "EUR"}, None),
        ("amount_cents", "{field: a, minor: '{c}'}", {"a": 5550}, "is a currency of ISO 4217"),
        ("amount_cents", "{field: a, minor: EUR}", {"a": "12.00"}, 12),
        ("amount_cents", "{field: a, minor: EUR}", {"a": "12.50"},
         "is a whole number of minor units (scale: 100 reads units of the currency)"),
        ("amount_cents", "{field: a, minor: EUR}", {"a": 0.5},
         "is a whole number of minor units (scale: 100 reads units of the currency)"),
        ("amount_cents", "{field: a, minor: '{c}'}", {"a": 5550, "c": "points"}, "is a currency of ISO 4217"),
        ("promised_at_ms", "{plus: [{time: opened}, 2h]}", BOTH, SENT_MS + 7_200_000),
        ("promised_at_ms", "{plus: [{time: opened}, {times: ['{d}', 86400000]}]}", {**BOTH, "d": 2},
         SENT_MS + 172_800_000),
        ("promised_at_ms", "{minus: [{plus: [{time: opened}, 2h]}, 1h]}", BOTH, SENT_MS + 3_600_000),
        ("promised_at_ms", "{time: opened, plus: {field: d, unit: days}}", {**BOTH, "d": "1.5"}, SENT_MS + 129_600_000),
        ("promised_at_ms", "{time: opened, plus: {first_of: [e, d], unit: hours}}", {**BOTH, "d": 1},
         SENT_MS + 3_600_000),
        ("promised_at_ms", "{time: opened, plus: {minus: [{time: answered}, {time: opened}]}}", BOTH,
         SENT_MS + 300_500),
        ("promised_at_ms", "{time: opened, plus: {field: d, unit: days}}", BOTH, None),
        # What cannot be computed refuses the row, whatever it holds.
        ("csat", "{over: ['{a}', '{b}']}", {"a": 1, "b": 0}, "is not divided by zero"),
        ("csat", "{over: ['{a}', '{b}']}", {"a": 0, "b": "0.0"}, "is not divided by zero"),
        ("amount_cents", "{times: ['{a}', '{a}']}", {"a": 10**17}, "is a number of at most 18 digits"),
        ("amount_cents", "{times: ['{a}', '{a}']}", {"a": 1e300}, "is a number of at most 18 digits"),
        ("wait_ms", "{times: ['{a}', '{a}', '{a}', '{a}']}", {"a": "9" * 64}, "is a number of at most 18 digits"),
        ("amount_cents", "'{a}'", {"a": 10**30}, "is a whole number of at most 18 digits"),
        ("amount_cents", "{field: a, scale: 100}", {"a": 1e300}, "is a whole number of at most 18 digits"),
        ("amount_cents", "{times: ['{a}', 100]}", {"a": "1.234"},
         'says what its point means (declare decimal: "." or thousands: ".")'),
        ("amount_cents", "{times: [{field: a, decimal: '.'}, 100]}", {"a": "1.234"}, 123),
        ("wait_ms", "{times: ['{a}', 1000]}", {"a": "1.234"}, 1234.0),
        ("amount_cents", "{plus: ['{a}', 1]}", {"a": "one"}, "is a number"),
        ("amount_cents", "{plus: ['{a}', 1]}", {"a": [1]}, "is a number"),
        ("amount_cents", "{plus: ['{a}', 1]}", {"a": True}, "is a number"),
        ("promised_at_ms", "{plus: [{time: opened}, '{a}']}", {**BOTH, "a": 10**17},
         "should be less than or equal to 4102444800000"),
        ("promised_at_ms", "{time: opened, plus: {field: a, unit: days}}", {**BOTH, "a": 10**17},
         "is a duration of less than a hundred years"),
        ("csat", "'{a}'", {"a": 4.5}, "is a whole number"),
        ("csat", "'{a}'", {"a": "4.0"}, 4),
    ],
)  # fmt: skip
def test_arithmetic(field: str, spec: str, row: dict[str, Any], expected: object, tmp_path: Path) -> None:
    found = outcome(field, spec, row, tmp_path)
    assert found == expected


@pytest.mark.parametrize(
    ("field", "spec", "message"),
    [
        ("amount_cents", "{minus: [{time: opened}, 5]}", r"amount_cents\.minus: makes a time, and a number is needed"),
        ("amount_cents", "{times: [{time: opened}, 5]}", r"amount_cents\.times: times takes no times"),
        ("amount_cents", "{plus: [{time: opened}, {time: opened}]}", r"amount_cents\.plus: times can be taken"),
        ("amount_cents", "{plus: ['{a}']}", r"amount_cents\.plus: needs a list of at least two parts"),
        ("amount_cents", "{plus: 5}", r"amount_cents\.plus: must be a list"),
        ("amount_cents", "{plus: [a, 1]}", r"amount_cents\.plus\[0\]: 'a' is not a duration such as 30m"),
        ("amount_cents", "{plus: [true, 1]}", r"amount_cents\.plus\[0\]: must be a number"),
        ("amount_cents", "{plus: [{time: closed}, 1]}", r"plus\[0\]\.time: there is no time 'closed' above"),
        ("promised_at_ms", "{minus: [{time: opened}, {time: opened}]}", r"makes a number of ms, and a time is needed"),
        ("promised_at_ms", "{plus: [{time: opened}, 1h], zone: UTC}", r"plus with a list stands alone"),
        ("promised_at_ms", "{time: opened, plus: {field: d}}", r"plus: unit is missing\. Allowed: days, hours"),
        ("promised_at_ms", "{time: opened, plus: {field: d, unit: weeks}}", r"plus\.unit: 'weeks' is not allowed"),
        ("promised_at_ms", "{time: opened, format: iso}", r"format: belongs where the time is read from the file"),
        ("promised_at_ms", "{field: d, format: epoch_s, day: end}", r"day: format epoch_s always names a time of day"),
        ("promised_at_ms", "{field: d, format: '%d.%m.%Y %H:%M %p'}", r"format: %p counts only beside %I"),
        ("promised_at_ms", "{field: d, format: '%d.%m.%Y %I:%M'}", r"format: %I needs %p"),
        ("promised_at_ms", "{field: d, format: '%Y-%m-%d %H:%M %Z'}", r"format: %Z reads no zone\. .* set zone"),
        ("promised_at_ms", "{field: d, day: noon}", r"day: 'noon' is not allowed\. Allowed: end, start"),
        ("promised_at_ms", "{field: d, format: epoch}", r"'epoch' is no time format\. Allowed: .*epoch_us.*excel_1904"),
        ("region", "{field: a, thousands: '.'}", r"region\.thousands: thousands is for numbers, and this is none"),
        ("amount_cents", "{field: a, scale: .inf}", r"amount_cents\.scale: must be a finite number"),
        ("amount_cents", "{field: a, minor: c}", r"amount_cents\.minor: 'c' is no currency.*a field is written \{c\}"),
        ("amount_cents", "{field: a, minor: EUR, scale: 100}", r"amount_cents\.scale: stands beside minor"),
        ("region", "{field: a, minor: EUR}", r"region\.minor: minor is for numbers"),
        ("amount_cents", "{field: ''}", r"amount_cents\.field: must name a field"),
    ],
)
def test_a_wrong_value_is_refused_when_the_mapping_is_loaded(
    field: str, spec: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        outcome(field, spec, {}, tmp_path)


NUMBERS = st.decimals(min_value=-10**6, max_value=10**6, places=2)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_arithmetic_is_exact(a: Decimal, b: Decimal, c: Decimal) -> None:
    spec = yaml.safe_load("{minus: [{plus: ['{a}', '{b}']}, {times: ['{c}', '{a}']}, 0.1]}")
    scope = Scope(ZoneRules(zone_of(Node("UTC", "m.yaml"))), compile_number)
    row = {"a": f"{a:f}", "b": f"{b:f}", "c": float(c)}
    assert compile_number(Node(spec, "m.yaml"), scope)(row) == a + b - c * a - Decimal("0.1")


def test_lists_and_objects_of_the_row_refuse_it_where_one_value_is_needed(tmp_path: Path) -> None:
    row = {"a": ["x"], "b": {"c": 1}}
    assert outcome("region", "'{a}'", row, tmp_path) == "is a single value"
    assert outcome("region", "{field: b}", row, tmp_path) == "is a single value"
    assert outcome("region", "{field: a, table: {x: DE}}", row, tmp_path) == "is a single value"
    assert outcome("region", "{first_of: [a, b]}", row, tmp_path) == "is a single value"
    assert outcome("region", "'{a}-{b}'", row, tmp_path) is None


def test_a_pseudonym_takes_every_form_and_its_case_before_it_is_made() -> None:
    scope = Scope(ZoneRules(zone_of(Node("UTC", "m.yaml"))), compile_number, pseudonym_key=b"k" * 16)

    def made(spec: str, row: dict[str, Any]) -> Any:
        return compile_value(Node(yaml.safe_load(spec), "m.yaml"), scope, "text")(row)

    expected = made("{pseudonym: '{a}'}", {"a": "ann"})
    assert made("{pseudonym: {first_of: [b, a]}, case: lower}", {"a": "ANN"}) == expected
    assert made("{pseudonym: {field: a, table: {x: ann}}}", {"a": "x"}) == expected
    assert made("{first_of: [b, {pseudonym: '{a}'}]}", {"a": "ann"}) == expected
    assert made("{pseudonym: '{a}'}", {}) is None


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("{field: ids}", ["o-1", "7"]),
        ("'{order}'", ["o-9"]),
        ("['{order}', '{none}', {first_of: [none, ticket]}]", ["o-9", "5"]),
        ("{field: none}", None),
        ("{field: deep}", "is a list of single values"),
    ],
)
def test_a_list_of_the_contract_is_a_list_of_values_the_rows_own_or_its_one(
    spec: str, expected: object, tmp_path: Path
) -> None:
    row = {"ids": ["o-1", 7, "", None], "order": "o-9", "none": "", "ticket": 5, "deep": [["o-1"]]}
    assert outcome("subject_ids", spec, row, tmp_path) == expected


def test_a_map_of_the_contract_may_have_any_names(tmp_path: Path) -> None:
    spec = "{field: '{a}', text: x, time: {first_of: [b, a]}, plus: {field: a, case: upper}, none: '{c}', truth: '{t}'}"
    found = outcome("attributes", spec, {"a": "v", "t": True}, tmp_path)
    assert found == {"field": "v", "text": "x", "time": "v", "plus": "V", "truth": "true"}
