"""Case 05: an export with a renamed column gave no payment and no warning. Names that are absent are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from schemas.errors import ConfigError
from streams.sources import Mapping, load_mapping, parse_mapping, read
from streams.sources.plain_yaml import parse_yaml

RENAMED = (
    "order_no;ordered_at;paid_on;email;total;country;promise_hours;psp;carrier;depot;delivered_at;payment_error;"
    "cancelled_by;cancelled_at\n"
    "A1;02.03.2026 10:00;02.03.2026 10:05;anna@example.invalid;64,70;Deutschland;48;paynow;DHL;HAM;-;-;-;-\n"
)
ORDERS = """
name: m
input: {format: csv%s}
customer: "{who}"
events:
  - to: order
    time: {field: at}
    fields: {order_id: "{no}", product: shop, status: placed, region: %s}
"""


def orders(region: str, more: str = "") -> Mapping:
    return parse_mapping(yaml.safe_load(ORDERS % (more, region)), "m.yaml")


def warnings(mapping: Mapping, text: str, folder: Path, encoding: str = "utf-8") -> list[str]:
    file = folder / "rows.csv"
    file.write_text(text, encoding=encoding)
    reading = read(mapping, file)
    assert [one for one in reading.arrivals() if one.headers] == []
    return reading.warnings


def refusal(mapping: Mapping, text: str, folder: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        warnings(mapping, text, folder)
    return str(refused.value)


def test_a_renamed_column_is_refused_with_its_place_and_the_name_that_was_meant(tmp_path: Path) -> None:
    error = refusal(load_mapping("shop", b"0123456789abcdef"), RENAMED, tmp_path)
    wanted = "column paid_at, named by shop.yaml events[1].when, is not in the header (did you mean paid_on?)"
    assert error.startswith(wanted)
    assert "times.paid" in error


def test_the_same_file_with_the_column_is_taken(tmp_path: Path) -> None:
    assert warnings(load_mapping("shop", b"0123456789abcdef"), RENAMED.replace("paid_on", "paid_at"), tmp_path) == []


def test_all_absent_columns_are_named_at_once(tmp_path: Path) -> None:
    error = refusal(orders('"{a_region}"'), "who,when,number\nc,2026-03-10T12:00:00Z,1\n", tmp_path).splitlines()
    assert [line.split(",")[0] for line in error] == ["column at", "column no", "column a_region"]


@pytest.mark.parametrize(
    ("header", "meant"),
    [("who,at,No", "No"), ("who,at,no ", "'no '"), ("who,at,'no'", "'no'"), ("who,at,N O", "N O"),
     ("who,at,no\u200b", "'no\\u200b'")],
)  # fmt: skip
def test_names_that_only_look_the_same_are_told_apart(header: str, meant: str, tmp_path: Path) -> None:
    assert f"(did you mean {meant}?)" in refusal(orders("DE"), header + "\nc,2026-03-10T12:00:00Z,1\n", tmp_path)


def test_a_byte_order_mark_and_quotes_are_no_part_of_a_name(tmp_path: Path) -> None:
    text = '\ufeff"who","at","no"\nc,2026-03-10T12:00:00Z,1\n'
    assert warnings(orders("DE"), text, tmp_path) == []


def test_a_file_without_a_header_shows_nothing_of_its_first_row(tmp_path: Path) -> None:
    error = refusal(orders("DE"), "anno@example.invalid,2026-03-10T12:00:00Z,A1\n", tmp_path)
    assert error.endswith("The mapping names none of the 3 columns: is the first line a header, is it the right file?")
    assert "anno" not in error


def test_another_delimiter_is_asked_for(tmp_path: Path) -> None:
    error = refusal(orders("DE"), "who;at;no\nc;2026-03-10T12:00:00Z;1\n", tmp_path)
    assert error.endswith("The header has one column only: is input.delimiter ';'?")
    error = refusal(orders("DE"), "Orders of March\n\nwho,at,no\nc,2026-03-10T12:00:00Z,1\n", tmp_path)
    assert error.endswith("is input.delimiter right, and is the first line the header?")


def test_a_default_does_not_stand_in_for_a_column_that_is_misspelt(tmp_path: Path) -> None:
    mapping = orders("{field: country, default: unknown}")
    error = refusal(mapping, "who,at,no,Country\nc,2026-03-10T12:00:00Z,1,DE\n", tmp_path)
    assert error == (
        "column country, named by m.yaml events[0].fields.region, is not in the header (did you mean Country?)"
    )


def test_columns_that_are_declared_optional_may_be_absent(tmp_path: Path) -> None:
    mapping = orders("{field: country, default: unknown}", ", optional: [country]")
    assert warnings(mapping, "who,at,no\nc,2026-03-10T12:00:00Z,1\n", tmp_path) == []
    with pytest.raises(ConfigError, match=r"m.yaml: input.optional\[0\]: 'contry' .*Did you mean country"):
        orders('"{country}"', ", optional: [contry]")


@pytest.mark.parametrize(
    "region", ["{first_of: [country, land]}", '"{country|land}"', '{first_of: ["{country}", "{land}"]}']
)
def test_one_of_several_alternatives_may_be_absent_and_is_told(region: str, tmp_path: Path) -> None:
    [warning] = warnings(orders(region), "who,at,no,land\nc,2026-03-10T12:00:00Z,1,DE\n", tmp_path)
    assert warning.startswith("column country, named by m.yaml events[0].fields.region")
    refused = refusal(orders(region), "who,at,no\nc,2026-03-10T12:00:00Z,1\n", tmp_path)
    assert [line.split(",")[0] for line in refused.splitlines()] == ["column country", "column land"]


@pytest.mark.parametrize(
    ("mapping", "path", "field"),
    [
        (ORDERS.replace('"{who}"', "who"), "customer", "who"),
        (ORDERS.replace('"{who}"', "{pseudonym: Who}"), "customer.pseudonym", "who"),
        (ORDERS.replace('"{no}"', "no"), "events[0].fields.order_id", "no"),
    ],
)
@pytest.mark.parametrize(
    ("form", "rows"),
    [
        ("csv", "who,at,no\nc,2026-03-10T12:00:00Z,1\n"),
        ("ndjson", '{"who": "c", "at": "2026-03-10T12:00:00Z", "no": 1}\n'),
    ],
)
def test_a_text_in_place_of_a_field_is_refused_where_all_rows_would_be_one(
    mapping: str, path: str, field: str, form: str, rows: str, tmp_path: Path
) -> None:
    text = (mapping % ("", "DE")).replace("format: csv", f"format: {form}")
    error = refusal(parse_mapping(parse_yaml(text), "m.yaml", b"k" * 16), rows, tmp_path)
    assert error.startswith(f"m.yaml: {path}: ")
    assert error.endswith(f'write "{{{field}}}".')


def test_a_text_that_no_field_is_called_by_stays_the_id(tmp_path: Path) -> None:
    mapping = parse_mapping(parse_yaml((ORDERS % ("", "DE")).replace('"{who}"', "till")), "m.yaml")
    assert warnings(mapping, "who,at,no\nc,2026-03-10T12:00:00Z,1\n", tmp_path) == []


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (ORDERS.replace('"{who}"', "{who}"), r'm\.yaml: customer: braces need quotes here: write "{who}"'),
        (ORDERS.replace('"{no}"', "{no}"), r'order_id: braces need quotes here: write "{no}"'),
        (ORDERS.replace("    time:", "    id: no\n    time:"), r'\.id: must name fields, as in "{order_no}"'),
    ],
)
def test_fields_without_quotes_or_braces_are_refused_with_what_to_write(mapping: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_mapping(parse_yaml(mapping % ("", "DE")), "m.yaml")
