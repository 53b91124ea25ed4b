"""Case 07: 1.234,56 was refused and 1.234 read as 123 cents. Numbers are read as declared, or the row is refused."""

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
from streams.sources.node import Node
from streams.sources.number_formats import NoNumber, NumberFormat, number_format, reader

MAPPING = """
name: eu
input: {{format: csv, delimiter: ";"}}
zone: Europe/Berlin
customer: "{{Email}}"
events:
  - to: order
    time: {{field: Date, format: "%d.%m.%Y %H:%M"}}
    id: "o-{{Order}}"
    fields:
      order_id: "{{Order}}"
      status: placed
      product: shop
      amount_cents: {{field: Amount, scale: 100{declared}}}
      currency: "{{Currency}}"
"""


def cents(declared: str, amounts: list[str], folder: Path, top: str = "") -> list[int | str]:
    """What becomes of each amount: cents, or the rule that refuses it."""
    rows = [f"{number};02.03.2026 10:00;anna;{amount};EUR" for number, amount in enumerate(amounts)]
    file = folder / "orders.csv"
    file.write_text("\n".join(["Order;Date;Email;Amount;Currency", *rows, ""]), encoding="utf-8")
    text = MAPPING.format(declared=f", {declared}" if declared else "") + top
    found: dict[int, int | str] = {}
    for one in read(parse_mapping(yaml.safe_load(text)), file).arrivals():
        headers = dict(one.headers)
        if headers:
            found[int(headers["dlq.origin"].rpartition(b":")[2]) - 2] = headers["dlq.rule"].decode()
        else:
            body = json.loads(one.value)
            found[int(body["order_id"])] = body.get("amount_cents", 0)
    return [found[number] for number in sorted(found)]


def test_the_european_file(tmp_path: Path) -> None:
    amounts = ["64,70", "1.234,56", "1.234"]
    assert cents('decimal: ",", thousands: "."', amounts, tmp_path) == [6470, 123456, 123400]
    undeclared = cents('decimal: ","', amounts, tmp_path)
    assert undeclared[0] == 6470
    assert all('thousands: "."' in str(rule) for rule in undeclared[1:])


def test_the_american_file(tmp_path: Path) -> None:
    assert cents('decimal: ".", thousands: ","', ["64.70", "1,234.56"], tmp_path) == [6470, 123456]


def test_without_a_declaration_a_comma_or_an_unclear_point_is_refused_and_the_rule_says_what_to_declare(
    tmp_path: Path,
) -> None:
    found = cents("", ["64.70", "64", "1234.5", "1,234.56", "1,5", "1.234", "-12.345", "0.125", "1234.567"], tmp_path)
    assert (found[:3], found[7:]) == ([6470, 6400, 123450], [13, 123457])
    assert all('(declare thousands: ",", or decimal: ",", to read it)' in str(rule) for rule in found[3:5])
    assert all('declare decimal: "." or thousands: "."' in str(rule) for rule in found[5:7])


def test_an_unclear_point_stays_unclear_whatever_else_is_declared(tmp_path: Path) -> None:
    assert "says what its point means" in str(cents("currency: strip", ["€ 1.234"], tmp_path))
    assert "says what its point means" in str(cents("negative: trailing", ["1.234-"], tmp_path))
    for thousands in ("','", '"\'"', "' '"):
        assert "says what its point means" in str(cents(f"thousands: {thousands}", ["1.234"], tmp_path))
        assert cents(f'thousands: {thousands}, decimal: "."', ["1.234", "1234.50"], tmp_path) == [123, 123450]
    assert cents('decimal: ".", currency: strip', ["€ 1.234"], tmp_path) == [123]


def test_a_file_declares_its_numbers_once_and_a_field_may_differ(tmp_path: Path) -> None:
    top = 'numbers: {decimal: ",", thousands: ["."], currency: strip}\n'
    assert cents("", ["1.234,56 €", "EUR 1.234"], tmp_path, top) == [123456, 123400]
    assert cents('decimal: "."', ["12.5 €"], tmp_path, top) == [1250]


READ = [
    ("decimal: ','", "1234,5", "1234.5"),
    ("decimal: ','", ",5", "0.5"),
    ("thousands: ','", "1,234,567.89", "1234567.89"),
    ("thousands: ','", "123", "123"),
    ("thousands: ','", "1234.5", "1234.5"),
    ("thousands: ' ', decimal: ','", "1 234,5", "1234.5"),
    ("thousands: ' ', decimal: ','", "1\u00a0234\u00a0567,5", "1234567.5"),
    ("thousands: ' ', decimal: ','", "1\u202f234,5", "1234.5"),
    ("thousands: \"'\"", "1'234.50", "1234.5"),
    ("thousands: \"'\"", "1\u2019234.50", "1234.5"),
    ("thousands: ['.', ' '], decimal: ','", "1.234,5", "1234.5"),
    ("thousands: ['.', ' '], decimal: ','", "1 234,5", "1234.5"),
    ("thousands: ',', grouping: lakh", "12,34,567.89", "1234567.89"),
    ("thousands: ',', grouping: lakh", "1,234", "1234"),
    ("currency: strip", "€12.50", "12.5"),
    ("currency: strip", "12.50 €", "12.5"),
    ("currency: strip", "EUR 12.50", "12.5"),
    ("currency: strip", "12.50usd", "12.5"),
    ("currency: strip", "US$ 12.50", "12.5"),
    ("currency: strip", "₹ 12.50", "12.5"),
    ("currency: strip", "-€12.50", "-12.5"),
    ("currency: strip", "€-12.50", "-12.5"),
    ("currency: strip", "€\u00a012.50", "12.5"),
    ("currency: [kr, zł, Rs.]", "Rs. 12", "12"),
    ("currency: [kr, zł, Rs.]", "12 zł", "12"),
    ("negative: parentheses", "(12.50)", "-12.5"),
    ("negative: parentheses", "12.50", "12.5"),
    ("negative: parentheses, currency: strip", "($12.50)", "-12.5"),
    ("negative: trailing", "12.50-", "-12.5"),
    ("negative: trailing, currency: strip", "12.50 €-", "-12.5"),
    ("negative: unicode", "\u221212.50", "-12.5"),
    ("negative: [unicode, trailing]", "12.50\u2212", "-12.5"),
    ("decimal: '.'", " +12.50 ", "12.5"),
    ("decimal: '.'", "1.234", "1.234"),
]
REFUSED = [
    ("decimal: ','", "1.234", 'thousands: "."'),
    ("decimal: ','", "1.5", 'thousands: "."'),
    ("decimal: '.'", "1,234.56", 'thousands: ","'),
    ("decimal: '.'", "1 234", 'thousands: " "'),
    ("decimal: '.'", "1'234", "thousands: \"'\""),
    ("thousands: ','", "12,34", "groups of three"),
    ("thousands: ','", "1,2345", "groups of three"),
    ("thousands: ','", "1234,567", "groups of three"),
    ("thousands: ','", "0,123", "groups of three"),
    ("thousands: ','", "1,,234", "is a number"),
    ("thousands: ','", ",123", "is a number"),
    ("thousands: ','", "1.234,567", "groups of three"),
    ("thousands: ['.', ' '], decimal: ','", "1.234 567", "groups of three"),
    ("thousands: ','", "12,34,567", "groups of three"),
    ("thousands: ',', grouping: lakh", "1,234,567", "groups of two and three"),
    ("decimal: '.'", "12.50 €", "currency: strip"),
    ("decimal: '.'", "EUR 12.50", "currency: strip"),
    ("currency: strip", "12 pcs", "is a number"),
    ("currency: strip", "12 ABC", "is a number"),
    ("currency: strip", "€12 EUR", "is a number"),
    ("currency: strip", "€", "is a number"),
    ("currency: [kr]", "12 €", "is a number"),
    ("decimal: '.'", "(12.50)", "negative: parentheses"),
    ("decimal: '.'", "12.50-", "negative: trailing"),
    ("decimal: '.'", "\u221212.50", "negative: unicode"),
    ("negative: parentheses", "(-12.50)", "is a number"),
    ("negative: parentheses", "(12.50", "is a number"),
    ("negative: [parentheses, trailing]", "-12.50-", "is a number"),
    ("decimal: '.'", "12 %", "not a share in %"),
    ("currency: strip", "12%", "not a share in %"),
    ("decimal: '.'", "1e5", "without an exponent"),
    ("decimal: '.'", "1.5E+05", "without an exponent"),
    ("decimal: '.'", "\u0661\u0662", "digits 0 to 9"),
    ("decimal: '.'", "\uff11\uff12", "digits 0 to 9"),
    ("decimal: '.'", "1_000", "is a number"),
    ("decimal: '.'", "NaN", "is a number"),
    ("decimal: '.'", "Infinity", "is a number"),
    ("decimal: '.'", "--5", "is a number"),
    ("decimal: '.'", "0x1f", "is a number"),
    ("decimal: '.'", "9" * 65, "at most 64 characters"),
]


def declared(text: str) -> NumberFormat:
    node = Node(yaml.safe_load(f"{{{text}}}"), "m.yaml")
    return number_format(node.entries(), NumberFormat())


@pytest.mark.parametrize(("form", "text", "expected"), READ)
def test_what_is_declared_is_read(form: str, text: str, expected: str) -> None:
    assert reader(declared(form))(text) == Decimal(expected)


@pytest.mark.parametrize(("form", "text", "rule"), REFUSED)
def test_what_is_not_declared_is_refused_and_the_rule_never_holds_the_value(form: str, text: str, rule: str) -> None:
    with pytest.raises(NoNumber) as refused:
        reader(declared(form))(text)
    assert rule in str(refused.value)
    assert text not in str(refused.value)


@pytest.mark.parametrize("value", [True, None, [1], {"a": 1}])
def test_what_is_no_single_number_is_no_number(value: object) -> None:
    with pytest.raises(TypeError):
        reader(NumberFormat())(value)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("decimal: ;", r"m\.yaml: decimal: ';' is not allowed\. Allowed: ,, \."),
        ("thousands: _", r"thousands: '_' separates no thousands\. Allowed: ' '"),
        ("thousands: '.'", r"thousands: '\.' stands before the decimals"),
        ("grouping: four", r"grouping: 'four' is not allowed"),
        ("currency: EUR", r"currency: must be strip"),
        ("currency: []", r"currency: must be a list of texts"),
        ("negative: red", r"negative: 'red' is not allowed. Allowed: parentheses, trailing, unicode"),
    ],
)
def test_a_wrong_declaration_is_refused(form: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        declared(form)


Convention = tuple[str, str, bool, str, str]
CONVENTIONS = st.tuples(
    st.sampled_from(".,"),
    st.sampled_from(["", ".", ",", " ", "\u00a0", "\u202f", "'", "\u2019"]),
    st.booleans(),
    st.sampled_from(["", "before", "after"]),
    st.sampled_from(["-", "parentheses", "trailing", "unicode"]),
).filter(lambda one: one[0] != one[1])


def written(amount: Decimal, convention: Convention) -> str:
    """An amount as the convention writes it."""
    point, separator, lakh, currency, negative = convention
    whole, _, fraction = f"{abs(amount):f}".partition(".")
    groups = [whole[-3:]]
    rest, size = whole[:-3], 2 if lakh else 3
    while rest and separator:
        groups.insert(0, rest[-size:])
        rest = rest[:-size]
    text = (separator.join(groups) if separator else whole) + (point + fraction if fraction else "")
    text = {"": text, "before": f"€ {text}", "after": f"{text} EUR"}[currency]
    if amount >= 0:
        return text
    return {"-": f"-{text}", "parentheses": f"({text})", "trailing": f"{text}-", "unicode": f"\u2212{text}"}[negative]


@given(st.decimals(min_value=-10**12, max_value=10**12, places=2), CONVENTIONS)
def test_whatever_is_written_in_a_declared_convention_is_read_back_exactly(
    amount: Decimal, convention: Convention
) -> None:
    point, separator, lakh, currency, negative = convention
    spec: dict[str, Any] = {"decimal": point, "grouping": "lakh" if lakh else "thousand"}
    if separator:
        spec["thousands"] = separator
    if currency:
        spec["currency"] = "strip"
    if negative != "-":
        spec["negative"] = negative
    form = number_format(Node(spec, "m.yaml").entries(), NumberFormat())
    assert reader(form)(written(amount, convention)) == amount


@given(st.text(alphabet="0123456789.,' -()€%eE\u2212\u00a0", max_size=12), CONVENTIONS)
def test_a_text_is_read_as_one_number_or_refused_whatever_it_holds(text: str, convention: Convention) -> None:
    spec = {"decimal": convention[0], "thousands": [convention[1]] if convention[1] else [], "currency": "strip"}
    read_it = reader(number_format(Node(spec, "m.yaml").entries(), NumberFormat()))
    try:
        found = read_it(text)
    except NoNumber:
        return
    digits = "".join(letter for letter in text.partition(convention[0])[0] if letter.isdigit())
    assert int(abs(found)) == int(digits or 0)
