"""What ``play --check`` reports of a file: per event, per field, what would be late, why no issue can come of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from streams.cli.main import build_app
from streams.cli.play_report import show_report
from streams.lateness import planned_lateness
from streams.settings import Settings
from streams.sources import ordering, parse_mapping, read
from streams.sources.report import Report, report_of

ORDERS = """
name: m
input: {format: csv, optional: [region, carrier]}
customer: "{who}"
events:
  - to: order
    time: {field: at}
    fields: &order {order_id: "{no}", product: shop, status: placed, region: "{region}", sku: "{sku}"}
  - to: order
    when: {field: paid, present: true}
    time: {field: paid}
    fields: {<<: *order, status: paid, amount_cents: {field: total, scale: 100}, carrier: "{carrier}"}
"""
HEADER = "who,at,no,region,sku,paid,total,carrier"
ROWS = (
    "anna@x,2026-03-10T12:00:00Z,o1,DE,mug,2026-03-10T12:05:00Z,12.34,",
    "anna@x,2026-03-10T12:01:00Z,o2,,mug,,,",
    "anna@x,2026-03-10T12:02:00Z,o3,,mug,2026-03-10T12:05:00Z,secret,",
    "anna@x,2026-03-10T12:03:00Z,o4",
    "anna@x,secret,o5,,mug,,,",
    "anna@x,2026-03-10T12:04:00Z,o6,,mug,secret,1,",
)


def reported(mapping: str, lines: Sequence[str], folder: Path, settings: Settings | None = None) -> Report:
    file = folder / "rows.txt"
    file.write_text("".join(f"{line}\n" for line in lines))
    reading = read(parse_mapping(yaml.safe_load(mapping), "m.yaml"), file)
    reading.check()
    return report_of(reading, planned_lateness(settings or Settings()), 5)


def shown(report: Report, width: int = 80) -> str:
    console = Console(width=width, record=True, file=StringIO())
    show_report(report, console)
    return console.export_text()


def test_every_event_tells_what_it_matched_made_and_rejected(tmp_path: Path) -> None:
    report = reported(ORDERS, (HEADER, *ROWS), tmp_path)
    placed, paid = report.rules
    assert (placed.matched, placed.events, placed.rejected) == (5, 2, 1)
    assert (paid.matched, paid.events, paid.rejected) == (3, 1, 2)
    assert report.unreadable == 1
    assert report.rows == len(ROWS) == 2 + report.rejected
    assert [(one.line, one.field) for one in paid.reasons] == [
        ("4", "events[1].fields.amount_cents"), ("7", "events[1].time"),
    ]  # fmt: skip
    assert [(one.line, one.field, one.value_class) for one in placed.reasons] == [("6", "events[0].time", "string")]
    assert report.statuses == {"order": {"placed": 2, "paid": 1}}


def test_every_field_tells_how_often_it_is_filled(tmp_path: Path) -> None:
    report = reported(ORDERS, (HEADER, *ROWS), tmp_path)
    assert report.rules[0].filled == {"order_id": 2, "product": 2, "status": 2, "region": 1, "sku": 2}
    assert report.rules[1].filled["carrier"] == 0
    lines = shown(report).splitlines()
    assert ["region", "1", "50.0%"] in [line.split() for line in lines]
    assert ["carrier", "0", "0", "%", "never", "filled"] in [line.split() for line in lines]


def test_the_report_fits_80_columns_and_holds_no_value_of_a_row(tmp_path: Path) -> None:
    report = reported(ORDERS, (HEADER, *ROWS), tmp_path)
    for text in (shown(report), json.dumps(report.as_dict())):
        assert not any(value in text for value in ("anna", "secret", "12.34", "o1", "mug"))
    assert max(map(len, shown(report).splitlines())) <= 80


def test_the_first_three_reasons_of_each_event_are_kept(tmp_path: Path) -> None:
    bad = [f"c{number},soon,o{number},,mug,,," for number in range(1_000)]
    report = reported(ORDERS, [HEADER, *bad], tmp_path)
    assert report.rules[0].rejected == 1_000
    assert [one.line for one in report.rules[0].reasons] == ["2", "3", "4"]


def test_a_column_that_is_optional_may_be_absent_and_is_told_as_never_filled(tmp_path: Path) -> None:
    report = reported(ORDERS, ("who,at,no,sku,paid,total", "c,2026-03-10T12:00:00Z,o1,mug,,"), tmp_path)
    assert report.warnings == ()
    assert report.rules[0].filled["region"] == 0


def test_json_is_one_object_that_accounts_for_every_row(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(ORDERS)
    (tmp_path / "rows.csv").write_text("\n".join((HEADER, *ROWS)) + "\n")
    words = ["play", str(tmp_path / "m.yaml"), str(tmp_path / "rows.csv"), "--check", "--json", "--max-rejects", "70%"]
    done = CliRunner().invoke(build_app("play"), words)
    assert done.exit_code == 0
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["rows"] == len(ROWS)
    assert found["rejected"] == sum(rule["rejected"] for rule in found["rules"]) + found["unreadable"] == 4
    assert found["rules"][1]["reasons"][0]["value_class"] == "string"


LATE = """
name: m
input: {format: csv}
customer: "{who}"
events:
  - to: contact
    time: {field: at}
    arrival: {field: seen}
    fields: {contact_id: "{no}", channel: email, reason: delivery, product: shop}
"""


def late_rows(*minutes: int) -> list[str]:
    hours = [divmod(minute, 60) for minute in minutes]
    times = [f"2026-03-{10 + hour // 24:02}T{hour % 24:02}:{minute:02}:00Z" for hour, minute in hours]
    return ["who,at,seen,no", *(f"c{number},2026-03-10T00:00:00Z,{at},{number}" for number, at in enumerate(times))]


def test_late_events_name_the_setting_and_the_value_that_takes_them(tmp_path: Path) -> None:
    report = reported(LATE, late_rows(0, 0, 3, 30), tmp_path)
    [late] = report.late
    assert (late.to, late.effect, late.events) == ("contact", "late", 2)
    assert (late.setting, late.value, late.needed, late.taken) == ("CX_CONTACT_DISORDER_MS", 10_000, 1_800_000, 2)
    assert "CX_CONTACT_DISORDER_MS=1800000 takes them (now 10000)" in " ".join(shown(report).split())
    wider = reported(LATE, late_rows(0, 3, 30), tmp_path, Settings(contact_disorder_ms=1_800_000))
    assert wider.late == ()
    assert "late: no event" in shown(wider)


def test_what_no_setting_takes_is_told(tmp_path: Path) -> None:
    [late] = reported(LATE, late_rows(1, 600), tmp_path).late
    assert (late.events, late.needed, late.taken) == (2, 3_600_000, 1)


def test_events_that_are_too_old_are_told_apart(tmp_path: Path) -> None:
    settings = Settings(contact_lateness_s=3_600)
    late, old = reported(LATE, late_rows(30, 180), tmp_path, settings).late
    assert (late.effect, late.events) == ("late", 1)
    assert (old.effect, old.events, old.setting, old.needed) == ("too old", 1, "CX_CONTACT_LATENESS_S", 10_800)


CONTACTS = """
name: m
input: {format: csv}
customer: "{who}"
events:
  - to: contact
    time: {field: at}
    fields: {contact_id: "{no}", channel: email, status: %s, product: "{line}"%s}
"""


def contacts_remarks(
    folder: Path, reasons: list[str], fields: str, status: str = "opened", line: str = "shop", customers: int = 10
) -> str:
    at = "2026-03-10T12:00:00Z"
    rows = [f"c{number % customers},{at},{number},{reason},{line}" for number, reason in enumerate(reasons)]
    report = reported(CONTACTS % (status, fields), ["who,at,no,why,line", *rows], folder)
    return " ".join(report.remarks)


MAPPED = ', reason: "{why}"'


@pytest.mark.parametrize(
    ("reasons", "fields", "status", "why"),
    [
        (["", ""] * 5, MAPPED, "opened", "none of 10 has a reason. Map reason; these report a failure: app, complaint"),
        (["x"] * 10, "", "opened", "none of 10 has a reason. Map reason"),
        (["size", ""] * 5, MAPPED, "opened", "only others (5) or none (5). Map reason through a table"),
        (["delivery"] * 10, MAPPED, "opened", "their share is always 100 % and cannot rise"),
        (["delivery"] * 10, MAPPED, "resolved", "none has status opened"),
        (["delivery", "size"] * 5, MAPPED, "opened", ""),
    ],
)
def test_contacts_that_can_raise_nothing_are_told_so(
    reasons: list[str], fields: str, status: str, why: str, tmp_path: Path
) -> None:
    remarks = contacts_remarks(tmp_path, reasons, fields, status)
    assert why in remarks
    assert ("No issue can come of the contacts of this file" in remarks) is bool(why)
    assert "size" not in remarks


def test_events_of_too_few_customers_are_told_so(tmp_path: Path) -> None:
    remarks = contacts_remarks(tmp_path, ["delivery", "size"] * 5, MAPPED, customers=4)
    assert "belong to 4 customers, and an issue needs 5" in remarks
    assert contacts_remarks(tmp_path, ["delivery", "size"] * 2, MAPPED, customers=4) == ""


def test_contacts_without_a_product_are_told_where_they_are_counted(tmp_path: Path) -> None:
    assert "No contact has a product" in contacts_remarks(tmp_path, ["delivery", "size"] * 5, MAPPED, line="")


@pytest.mark.parametrize(
    ("status", "more", "why"),
    [
        ("placed", "", "none of 10 has status payment_failed or a promised time"),
        ("payment_failed", "", "all of the 10 payments failed, so their share is always 100 %"),
        ("placed", ", promised_at_ms: {field: at, plus: 1d}", "every promise counts as broken when it falls due"),
        ("delivered", ", promised_at_ms: {field: at, plus: 1d}", ""),
    ],
)
def test_orders_that_can_raise_nothing_are_told_so(status: str, more: str, why: str, tmp_path: Path) -> None:
    fields = f'{{order_id: "{{no}}", product: shop, status: {status}{more}}}'
    text = f'name: m\ncustomer: "{{who}}"\nevents: [{{to: order, time: {{field: at}}, fields: {fields}}}]\n'
    rows = [f"c{number},2026-03-10T12:00:00Z,{number}" for number in range(10)]
    remarks = " ".join(reported(text, ["who,at,no", *rows], tmp_path).remarks)
    assert why in remarks
    assert bool(remarks) is bool(why)


@pytest.mark.parametrize(("customer", "warned"), [("anna@example.org", True), ("+4930123", True), ("c-1", False)])
def test_customers_that_are_named_by_a_persons_address_are_told(customer: str, warned: bool, tmp_path: Path) -> None:
    fields = '{order_id: "{no}", product: shop, status: delivered, promised_at_ms: {field: at, plus: 1d}}'
    text = f'name: m\ncustomer: "{{who}}"\nevents: [{{to: order, time: {{field: at}}, fields: {fields}}}]\n'
    remarks = reported(text, ["who,at,no", f"{customer},2026-03-10T12:00:00Z,1"], tmp_path).remarks
    assert any("Write customer as {pseudonym: ...}" in remark for remark in remarks) is warned
    assert customer not in " ".join(remarks)


def test_events_of_one_id_are_told(tmp_path: Path) -> None:
    fields = '{order_id: "{no}", product: shop, status: delivered, promised_at_ms: {field: at, plus: 1d}}'
    text = f'name: m\ncustomer: "{{who}}"\nevents: [{{to: order, time: {{field: at}}%s, fields: {fields}}}]\n'
    rows = ["who,at,no", *(f"c{number},2026-03-10T12:00:00Z,{number // 2}" for number in range(6))]
    [remark] = reported(text % ', id: "{no}"', rows, tmp_path).remarks
    assert remark.startswith("3 events for order with the id of an earlier one: each id counts once.")
    assert reported(text % "", rows, tmp_path).remarks == ()
    [remark] = reported(text % "", [*rows, rows[-1]], tmp_path).remarks
    assert remark.startswith("1 event for order with the id")


def test_currencies_that_are_no_codes_are_told(tmp_path: Path) -> None:
    fields = '{order_id: "{no}", product: shop, status: delivered, promised_at_ms: {field: at, plus: 1d}, currency: %s}'
    text = f'name: m\ncustomer: "{{who}}"\nevents: [{{to: order, time: {{field: at}}, fields: {fields}}}]\n'
    rows = [f"c{number},2026-03-10T12:00:00Z,{number},{code}" for number, code in enumerate(["€", "abc", "eur", ""])]
    [remark] = reported(text % '"{cur}"', ["who,at,no,cur", *rows], tmp_path).remarks
    assert remark.startswith("2 orders with a currency that ISO 4217 does not know: amounts of them count as XXX.")
    assert reported(text % '{field: cur, table: {€: EUR, abc: USD}, default: EUR}', ["who,at,no,cur", *rows],
                    tmp_path).remarks == ()  # fmt: skip


def test_telemetry_without_a_failure_is_told_so(tmp_path: Path) -> None:
    text = ORDERS.split("events:", maxsplit=1)[0].replace(", optional: [region, carrier]", "") + (
        'events: [{to: telemetry, time: {field: at}, fields: {product: shop, event_name: "{no}", outcome: ok}}]\n'
    )
    rows = [f"c{number},2026-03-10T12:00:00Z,{number}" for number in range(10)]
    [remark] = reported(text, ["who,at,no", *rows], tmp_path).remarks
    assert "none of 10 has outcome failed" in remark


NESTED = """
name: m
input: {format: ndjson%s}
customer: "{user.id}"
events:
  - to: telemetry
    time: {field: ts}
    fields:
      product: shop
      event_name: "{name}"
      outcome: ok
      app_version: "{app.versoin}"
      region: {first_of: ["{geo.country}", "{country}"]}
"""
ROW = {"user": {"id": "c1"}, "ts": "2026-03-10T12:00:00Z", "name": "buy", "app": {"version": "1.2"}, "country": "DE"}


def test_a_nested_field_that_is_misspelt_is_a_warning_with_what_was_meant(tmp_path: Path) -> None:
    report = reported(NESTED % "", [json.dumps(ROW)] * 3, tmp_path)
    location = "field app.versoin, named by m.yaml events[0].fields.app_version"
    assert report.warnings == (f"{location}, is in none of the 3 rows (did you mean app.version?)",)
    assert report.rules[0].events == 3


def test_no_field_is_proposed_that_has_only_its_beginning_in_common(tmp_path: Path) -> None:
    row = {**ROW, "app": {"name": "x", "install_source": "y"}, "geo": {"city": "z"}}
    [warning] = reported(NESTED % "", [json.dumps(row)], tmp_path).warnings
    assert warning.endswith("is not in the only row")


def test_a_field_without_a_value_is_there_and_one_of_a_later_row_as_well(tmp_path: Path) -> None:
    fixed = (NESTED % "").replace("versoin", "version")
    rows = [json.dumps({**ROW, "app": None})] * 999 + [json.dumps({**ROW, "app": {"version": None}})]
    assert reported(fixed, rows, tmp_path).warnings == ()
    assert len(reported(fixed, [rows[0], *rows], tmp_path).warnings) == 1
    assert reported(NESTED % ", optional: [app.versoin]", rows, tmp_path).warnings == ()


def test_a_row_of_any_shape_only_warns(tmp_path: Path) -> None:
    deep: dict[str, Any] = {}
    for _ in range(60):
        deep = {"d": deep, "e": [deep] * 2}
        if len(json.dumps(deep)) > 200_000:
            break
    wide = {f"key{number}": {"x" * 500: number} for number in range(5_000)}
    report = reported(NESTED % "", [json.dumps({**ROW, **one}) for one in (deep, wide)], tmp_path)
    assert len(report.warnings) == 1


def test_rejected_rows_beyond_what_is_kept_in_memory_stay_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ordering, "RUN_BYTES", 20_000)
    file = tmp_path / "rows.csv"
    file.write_text("\n".join((HEADER, *(f"c,soon,o{number},,mug,,," for number in range(100)))) + "\n")
    rejected = list(read(parse_mapping(yaml.safe_load(ORDERS)), file).arrivals())
    assert [one.value for one in rejected] == [b"c,soon,o%d,,mug,,," % number for number in range(100)]
    assert dict(rejected[-1].headers)["dlq.origin"] == b"rows.csv:101"
