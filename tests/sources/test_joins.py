"""``--with NAME=FILE on KEY``: further files joined to the rows of the one that is played."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ConfigError
from streams.sources import MappedFile, parse_mapping, read
from streams.sources.beside import AskedBeside
from streams.sources.joins import asked_join

ORDERS = """
name: shop
customer: "{customers.account}"
events:
  - to: order
    time: at
    id: "o-{order_no}"
    fields:
      order_id: "{order_no}"
      status: placed
      product: shop
      region: "{customers.country}"
      sku: {field: items.sku, default: none}
"""
HEADER = "order_no,customer_no,at\n"
ROWS = "1,7,2026-03-01T10:00Z\n2,8,2026-03-01T11:00Z\n3,9,2026-03-01T12:00Z\n4,,2026-03-01T13:00Z\n"
CUSTOMERS = "id;account;country;email\n7;u-7;DE;a@b.org\n8;u-8;FR;b@b.org\n7;u-70;NL;c@b.org\n;u-0;DE;\n"


def mapping(text: str = ORDERS, **changes: Any) -> Any:
    body = yaml.safe_load(text)
    body["events"][0]["time"] = {"field": "at"}
    return {**body, **changes}


def files(folder: Path, items: str = '{"order":1,"sku":"MUG"}\n{"order":3,"sku":"TAB"}\n') -> Path:
    (folder / "orders.csv").write_text(HEADER + ROWS)
    (folder / "crm.csv").write_text(CUSTOMERS)
    (folder / "items.ndjson").write_text(items)
    return folder / "orders.csv"


def joined(folder: Path, *with_: str, body: Any = None) -> tuple[MappedFile, dict[str, dict[str, Any]]]:
    asked = tuple(asked_join(text.replace("=", f"={folder}/", 1)) for text in with_)
    rules = parse_mapping(body or mapping(joins=JOINS))
    reading = read(rules, folder / "orders.csv", beside=AskedBeside(asked))
    events = [json.loads(one.value) for one in reading.arrivals() if not one.headers]
    return reading, {event["order_id"]: event for event in events}


JOINS = {"customers": {"on": "customer_no=id", "input": {"delimiter": ";"}}, "items": {"on": "order_no=order"}}


def test_columns_of_further_files_are_fields_of_the_row(tmp_path: Path) -> None:
    files(tmp_path)
    reading, found = joined(tmp_path, "customers=crm.csv", "items=items.ndjson")
    assert {name: (one["customer_id"], one["region"], one["sku"]) for name, one in found.items()} == {
        "1": ("u-7", "DE", "MUG"),
        "2": ("u-8", "FR", "none"),
    }
    assert reading.tally.rejected == 2, "orders without a customer in the further file"


def test_what_repeats_lacks_or_misses_a_key_is_counted_and_told(tmp_path: Path) -> None:
    files(tmp_path)
    reading, _ = joined(tmp_path, "customers=crm.csv", "items=items.ndjson")
    assert (
        "with customers (crm.csv): 4 rows, 1 repeat a key (the first row counts), 1 have none; "
        "4 rows asked, 1 found no partner, 1 had no key"
    ) in reading.notes
    assert any("items.ndjson): 2 rows" in text and "2 found no partner" in text for text in reading.notes)


def test_a_key_that_finds_nothing_at_all_is_doubted(tmp_path: Path) -> None:
    files(tmp_path, '{"order":"#1","sku":"MUG"}\n')
    reading, _ = joined(tmp_path, "customers=crm.csv", "items=items.ndjson")
    assert any("is on order_no=order right?" in text for text in reading.notes)


def test_the_key_can_stand_in_the_command_alone(tmp_path: Path) -> None:
    files(tmp_path)
    (tmp_path / "crm.csv").write_text(CUSTOMERS.replace(";", ",").replace("id,", "customer_no,"))
    _, found = joined(
        tmp_path, "customers=crm.csv on customer_no", "items=items.ndjson on order_no = order", body=mapping()
    )
    assert [one["region"] for one in found.values()] == ["DE", "FR"]


@pytest.mark.parametrize(
    ("with_", "message"),
    [
        (["customers=crm.csv"], "joins.items needs its file: --with items=FILE"),
        (["customers=crm.csv", "items=items.ndjson", "more=crm.csv"], "the key is missing"),
        (["customers=crm.csv", "customers=crm.csv", "items=items.ndjson"], "given twice"),
        (["customers=crm.csv on nr=id", "items=items.ndjson"], "column nr, the key of --with customers"),
        (["customers=crm.csv on customer_no=Id", "items=items.ndjson"], r"did you mean id\?"),
        (["customers=gone.csv", "items=items.ndjson"], "there is no such file"),
    ],
)
def test_a_wrong_join_refuses_the_start_with_its_name(with_: list[str], message: str, tmp_path: Path) -> None:
    files(tmp_path)
    with pytest.raises(ConfigError, match=message):
        joined(tmp_path, *with_)


def test_a_used_column_that_the_further_file_lacks_is_refused(tmp_path: Path) -> None:
    files(tmp_path)
    (tmp_path / "crm.csv").write_text(CUSTOMERS.replace("country", "Country code"))
    with pytest.raises(ConfigError, match=r"column country, named by .* is not in the header"):
        joined(tmp_path, "customers=crm.csv", "items=items.ndjson")


def test_a_used_field_that_no_row_of_json_has_is_told(tmp_path: Path) -> None:
    files(tmp_path, '{"order":1,"Sku":"MUG"}\n')
    reading, _ = joined(tmp_path, "customers=crm.csv", "items=items.ndjson")
    assert any("items.ndjson: field sku" in text and "did you mean Sku?" in text for text in reading.warnings)


def test_a_column_of_the_same_name_is_not_covered_up(tmp_path: Path) -> None:
    files(tmp_path)
    (tmp_path / "orders.csv").write_text(HEADER.replace("\n", ",items\n") + ROWS.replace("Z\n", "Z,x\n"))
    with pytest.raises(ConfigError, match="a column of that name"):
        joined(tmp_path, "customers=crm.csv", "items=items.ndjson")


@pytest.mark.parametrize("text", ["items", "=items.csv on id", "2x=items.csv on id", "items= on id"])
def test_an_option_in_another_form_names_the_form(text: str) -> None:
    with pytest.raises(ConfigError, match="NAME=FILE on KEY"):
        asked_join(text)


def test_a_file_with_spaces_in_its_name_is_meant_as_a_whole() -> None:
    asked = asked_join("items=my items on sale.csv on order_no = id")
    assert (asked.file, asked.keys) == (Path("my items on sale.csv"), ("order_no", "id"))


@given(
    rows=st.lists(st.tuples(st.integers(0, 20), st.text("ab", max_size=3)), max_size=60), asked=st.integers(0, 25)
)
def test_the_first_row_of_a_key_is_found_and_every_row_is_accounted_for(
    rows: list[tuple[int, str]], asked: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("join")
    (folder / "items.ndjson").write_text("".join(json.dumps({"order": key, "sku": sku}) + "\n" for key, sku in rows))
    (folder / "orders.csv").write_text(HEADER + f"{asked},7,2026-03-01T10:00Z\n")
    body = mapping(ORDERS.replace("{customers.account}", "{customer_no}").replace("{customers.country}", "DE"))
    reading, found = joined(folder, "items=items.ndjson on order_no=order", body=body)
    expected = next((sku for key, sku in rows if key == asked), "") or "none"
    assert found[str(asked)]["sku"] == expected
    repeated = len(rows) - len({key for key, _ in rows})
    assert any(f"{len(rows)} rows, {repeated} repeat a key" in text for text in reading.notes)
