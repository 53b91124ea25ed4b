"""A mapping turns rows into events that keep the contract; what it cannot map becomes a dead letter, never a loss."""

from __future__ import annotations

import gzip
import json
import lzma
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.errors import ConfigError
from streams.sources import MappedFile, Span, load_mapping, parse_mapping, read
from streams.sources.arrivals import Arrival
from streams.sources.ordering import Sorter

MINIMAL = """
name: m
customer: "{who}"
events:
  - to: order
    time: {field: at}
    fields: {order_id: "{no}", product: shop, status: placed}
"""


Outcome = tuple[list[dict[str, Any]], MappedFile, list[Arrival]]


def mapped(text: str, tmp_path: Path, rows: str | bytes, key: bytes | None = None) -> Outcome:
    file = tmp_path / "rows.txt"
    file.write_bytes(rows if isinstance(rows, bytes) else rows.encode())
    reading = read(parse_mapping(yaml.safe_load(text), "m.yaml", key), file)
    arrivals = list(reading.arrivals())
    events = [json.loads(a.value) for a in arrivals if not a.headers]
    return events, reading, [a for a in arrivals if a.headers]


def one_time(spec: str, cells: dict[str, str], tmp_path: Path, top: str = "") -> datetime:
    """The time of one event from one row of CSV."""
    event = f"- to: contact\n  time: {spec}\n  fields: {{contact_id: k, channel: web}}\n"
    text = f"name: m\ncustomer: somebody\n{top}\nevents:\n{event}"
    rows = ";".join(cells) + "\n" + ";".join(cells.values()) + "\n"
    events, _, dead_letters = mapped("input: {delimiter: ';'}\n" + text, tmp_path, rows)
    assert not dead_letters, dead_letters[0].headers
    return datetime.fromtimestamp(events[0]["event_time_ms"] / 1000, UTC)


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        ("{field: t}", "2026-03-10T12:00:00Z", "2026-03-10T12:00:00"),
        ("{field: t}", "2026-03-10T12:00:00+02:00", "2026-03-10T10:00:00"),
        ("{field: t, zone: Europe/Berlin}", "2026-03-10 12:00", "2026-03-10T11:00:00"),
        ("{field: t, zone: Europe/Berlin}", "2026-07-10 12:00", "2026-07-10T10:00:00"),
        ("{field: t, format: epoch_s}", "1773144000.5", "2026-03-10T12:00:00.500"),
        ("{field: t, format: epoch_ms}", "1773144000123", "2026-03-10T12:00:00.123"),
        ('{field: t, format: "%d.%m.%Y %H:%M"}', "10.03.2026 12:00", "2026-03-10T12:00:00"),
        ('{field: t, format: "%Y-%m-%dT%H:%M%z"}', "2026-03-10T12:00+0530", "2026-03-10T06:30:00"),
        ("{field: t, plus: 30m}", "2026-03-10T12:00:00Z", "2026-03-10T12:30:00"),
        ("{field: t, minus: 2h, plus: 1s}", "2026-03-10T12:00:00Z", "2026-03-10T10:00:01"),
    ],
)
def test_time_formats(spec: str, value: str, expected: str, tmp_path: Path) -> None:
    assert one_time(spec, {"t": value}, tmp_path) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ("5", "2026-03-10T00:05"), ("517", "2026-03-10T05:17"), ("05:17", "2026-03-10T05:17"),
        ("2400", "2026-03-11T00:00"),
    ],
)
def test_clock_times_on_a_day(clock: str, expected: str, tmp_path: Path) -> None:
    spec = '{field: t, format: hhmm, date: "{y}-3-{d}"}'
    at = one_time(spec, {"t": clock, "y": "2026", "d": "10"}, tmp_path)
    assert at == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_a_clock_time_after_midnight_moves_to_the_day_that_is_nearest_to_another_time(tmp_path: Path) -> None:
    top = 'times:\n  due: {field: s, format: hhmm, date: "{d}"}'
    spec = '{field: t, format: hhmm, date: "{d}", near: due}'
    at = one_time(spec, {"t": "0015", "s": "2345", "d": "2026-03-10"}, tmp_path, top)
    assert at == datetime(2026, 3, 11, 0, 15, tzinfo=UTC)


def test_a_number_of_units_in_a_field_is_added_and_may_be_negative(tmp_path: Path) -> None:
    spec = "{field: t, plus: {field: late, unit: minutes}}"
    assert one_time(spec, {"t": "2026-03-10T12:00Z", "late": "-5"}, tmp_path).minute == 55


@pytest.mark.parametrize(
    ("dst", "local", "expected"),
    [
        # clocks go forward on 29 March 2026 at 02:00 CET, back on 25 October at 03:00 CEST
        ("", "2026-03-29 01:59", "2026-03-29T00:59"),
        ("", "2026-03-29 02:30", "2026-03-29T01:30"),
        ("", "2026-03-29 03:00", "2026-03-29T01:00"),
        ("", "2026-10-25 02:30", "2026-10-25T00:30"),
        ("dst: {overlap: second}", "2026-10-25 02:30", "2026-10-25T01:30"),
        ("dst: {overlap: second}", "2026-10-25 03:00", "2026-10-25T02:00"),
    ],
)
def test_daylight_saving(dst: str, local: str, expected: str, tmp_path: Path) -> None:
    at = one_time("{field: t}", {"t": local}, tmp_path, f"zone: Europe/Berlin\n{dst}")
    assert at == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("dst", "local"), [("gap: reject", "2026-03-29 02:30"), ("overlap: reject", "2026-10-25 02:30")]
)
def test_times_that_the_clock_refuses_are_dead_letters(dst: str, local: str, tmp_path: Path) -> None:
    text = f"zone: Europe/Berlin\ndst: {{{dst}}}\n{MINIMAL}"
    events, _, dead_letters = mapped(text, tmp_path, f"who,at,no\na,{local},1\n")
    assert not events
    assert dict(dead_letters[0].headers)["dlq.field"] == b"events[0].time"


def test_one_row_makes_several_events_where_their_conditions_hold(tmp_path: Path) -> None:
    text = MINIMAL + """
  - to: order
    when: {field: paid, present: true}
    time: {field: paid}
    fields: {order_id: "{no}", product: shop, status: paid}
  - to: contact
    when: [{field: ticket, in: [yes please, "1"]}, {not: {field: score, below: 3}}]
    time: {field: at, plus: 1h}
    fields: {contact_id: "{no}", channel: web, csat: {field: score}}
"""
    rows = "who,at,no,paid,ticket,score\na,2026-03-10T12:00Z,1,,1,5\nb,2026-03-10T11:00Z,2,2026-03-10T11:30Z,1,2\n"
    events, reading, dead_letters = mapped(text, tmp_path, rows)
    assert [(e["customer_id"], e.get("status"), e.get("csat")) for e in events] == [
        ("b", "placed", None), ("b", "paid", None), ("a", "placed", None), ("a", None, 5)
    ]
    assert not dead_letters
    assert reading.tally.events == {"order": 3, "contact": 1}


def test_tables_defaults_scales_and_case(tmp_path: Path) -> None:
    text = """
name: m
input: {delimiter: ";", absent: ["", "-"]}
customer: "{who}"
tables: {state: {N: placed, P: paid}}
events:
  - to: order
    time: {field: at, format: epoch_s}
    fields:
      order_id: "{no}"
      product: {field: line, case: lower, default: shop}
      status: {field: s, table: state}
      amount_cents: {field: total, decimal: ",", scale: 100}
      region: {field: country, table: {Deutschland: DE}, default: other}
"""
    rows = "who;at;no;line;s;total;country\na;1773144000;1;-;N;12,345;Deutschland\nb;1773144000;2;TOYS;P;7;Chile\n"
    events, _, dead_letters = mapped(text, tmp_path, rows)
    assert not dead_letters
    assert [(e["product"], e["status"], e["amount_cents"], e["region"]) for e in events] == [
        ("shop", "placed", 1235, "DE"), ("toys", "paid", 700, "other")
    ]


def test_field_paths_reach_into_nested_json_and_names_with_dots(tmp_path: Path) -> None:
    text = """
name: m
input: {format: ndjson}
customer: "{user.id}"
events:
  - to: telemetry
    time: {field: meta.ts, format: epoch_ms}
    fields:
      product: app
      event_name: "{items.0.name}"
      outcome: {field: ok, table: {"true": ok, "false": failed}}
      latency_ms: "{meta.took}"
      error_code: {field: [a.b, code]}
      region: "{geo.country}"
"""
    row = {"user": {"id": 7}, "meta": {"ts": 1_773_144_000_000, "took": 12}, "items": [{"name": "buy"}], "ok": False,
           "a.b": {"code": "E1"}, "geo.country": "DE"}
    events, _, dead_letters = mapped(text, tmp_path, json.dumps(row) + "\n\n[1]\nno json\n")
    assert (events[0]["customer_id"], events[0]["event_name"], events[0]["outcome"]) == ("7", "buy", "failed")
    assert (events[0]["latency_ms"], events[0]["error_code"], events[0]["region"]) == (12.0, "E1", "DE")
    assert [dead_letter.value for dead_letter in dead_letters] == [b"1", b"no json"]


def test_direct_identifiers_become_pseudonyms_that_are_stable_and_keyed(tmp_path: Path) -> None:
    text = MINIMAL.replace('customer: "{who}"', 'customer: {pseudonym: "{who}", case: lower}')
    rows = "who,at,no\nAnn@Example.org,2026-03-10T12:00Z,1\nann@example.org,2026-03-10T12:00Z,2\n"
    first, _, _ = mapped(text, tmp_path, rows, b"key one")
    other, _, _ = mapped(text, tmp_path, rows, b"key two")
    assert first[0]["customer_id"] == first[1]["customer_id"] != other[0]["customer_id"]
    assert "example" not in json.dumps(first)
    assert first[0]["customer_id"].startswith("p-")


def test_pseudonyms_without_a_key_are_refused_when_the_mapping_is_loaded() -> None:
    text = MINIMAL.replace('customer: "{who}"', 'customer: {pseudonym: "{who}"}')
    with pytest.raises(ConfigError, match="CX_PSEUDONYM_KEY"):
        parse_mapping(yaml.safe_load(text))


def test_bad_rows_are_dead_letters_with_their_bytes_and_the_rule_and_the_rest_goes_on(tmp_path: Path) -> None:
    rows = (
        b"who,at,no\n"
        b"a,2026-03-10T12:00Z,1\n"
        b"b,yesterday,2\n"
        b"c,2026-03-10T12:00Z\n"
        b",2026-03-10T12:00Z,4\n"
        b"e,2026-03-10T12:00Z,\n"
        b"\xff,2026-03-10T12:00Z,6\n"
        b"g,1970-01-01T00:00Z,7\n"
        b'h,"2026-03-10T12:00Z,8\n'
        b"i,2026-03-10T12:00Z,9\n"
    )
    events, reading, dead_letters = mapped(MINIMAL, tmp_path, rows)
    assert [e["customer_id"] for e in events] == ["a", "i"]
    assert [dead_letter.value for dead_letter in dead_letters] == rows.splitlines()[2:9]
    rules = [(dict(x.headers)["dlq.field"].decode(), dict(x.headers)["dlq.origin"].decode()) for x in dead_letters]
    assert rules == [
        ("events[0].time", "rows.txt:3"), ("", "rows.txt:4"), ("events[0].customer", "rows.txt:5"),
        ("order_id", "rows.txt:6"), ("", "rows.txt:7"), ("events[0].time", "rows.txt:8"), ("", "rows.txt:9"),
    ]
    assert all(b"yesterday" not in value for dead_letter in dead_letters for _, value in dead_letter.headers)
    assert (reading.tally.rows, reading.tally.rejected) == (9, 7)


def test_a_row_is_mapped_whole_or_not_at_all(tmp_path: Path) -> None:
    text = MINIMAL + """
  - to: order
    time: {field: paid}
    fields: {order_id: "{no}", product: shop, status: paid}
"""
    events, _, dead_letters = mapped(text, tmp_path, "who,at,no,paid\na,2026-03-10T12:00Z,1,never\n")
    assert not events
    assert len(dead_letters) == 1


def test_quoted_cells_may_hold_line_breaks_and_their_bytes_are_kept(tmp_path: Path) -> None:
    text = MINIMAL.replace("to: order", "to: contact").replace(
        '{order_id: "{no}", product: shop, status: placed}', '{contact_id: k, channel: web, text: "{no}"}'
    )
    rows = 'who,at,no\na,2026-03-10T12:00Z,"1\n2"\nb,soon,"3\n4"\n'
    events, _, dead_letters = mapped(text, tmp_path, rows)
    assert [e["text"] for e in events] == ["1\n2"]
    assert dead_letters[0].value == b'b,soon,"3\n4"'


def test_events_come_in_arrival_order_with_their_event_times_kept(tmp_path: Path) -> None:
    text = MINIMAL + "    arrival: {field: seen}\n"
    rows = "who,at,no,seen\na,2026-03-10T12:00Z,1,2026-03-11T12:00Z\nb,2026-03-10T13:00Z,2,2026-03-10T13:00Z\n"
    file = tmp_path / "f.csv"
    file.write_text(rows)
    arrivals = list(read(parse_mapping(yaml.safe_load(text)), file).arrivals())
    assert [a.key for a in arrivals] == [b"b", b"a"]
    assert arrivals[1].at_ms - json.loads(arrivals[1].value)["event_time_ms"] == 86_400_000


def test_the_same_row_played_twice_is_the_same_event(tmp_path: Path) -> None:
    rows = "who,at,no\na,2026-03-10T12:00Z,1\n"
    first, _, _ = mapped(MINIMAL, tmp_path, rows)
    again, _, _ = mapped(MINIMAL, tmp_path, "who,at,no\nb,2026-03-10T12:00Z,1\n" + rows.splitlines()[1] + "\n")
    assert first[0]["event_id"] == again[1]["event_id"] != again[0]["event_id"]


@pytest.mark.parametrize("pack", ["plain", "gz", "xz", "zip"])
def test_packed_files_are_known_by_their_content(pack: str, tmp_path: Path) -> None:
    rows = b"who,at,no\na,2026-03-10T12:00Z,1\n"
    file = tmp_path / "rows.data"
    if pack == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("inside.csv", rows)
    else:
        file.write_bytes({"plain": rows, "gz": gzip.compress(rows), "xz": lzma.compress(rows)}[pack])
    assert len(list(read(parse_mapping(yaml.safe_load(MINIMAL)), file).arrivals())) == 1


def test_files_that_cannot_be_read_are_refused_by_name(tmp_path: Path) -> None:
    mapping = parse_mapping(yaml.safe_load(MINIMAL))
    with pytest.raises(ConfigError, match="no such file"):
        list(read(mapping, tmp_path / "absent.csv").arrivals())
    broken = tmp_path / "broken.gz"
    broken.write_bytes(gzip.compress(b"who,at,no\n" * 100)[:30])
    reading = read(mapping, broken)
    assert all(arrival.headers for arrival in reading.arrivals())
    (error,) = reading.broken
    assert str(error).startswith("broken.gz: cannot be read to its end: it ends in the middle")


def test_only_rows_of_the_asked_span_are_played(tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_text("who,at,no\na,2026-03-10T12:00Z,1\nb,2026-03-11T12:00Z,2\n")
    start = int(datetime(2026, 3, 11, tzinfo=UTC).timestamp() * 1000)
    reading = read(parse_mapping(yaml.safe_load(MINIMAL)), file, Span(start, start + 86_400_000))
    assert [a.key for a in reading.arrivals()] == [b"b"]
    assert reading.tally.outside == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("to: order", "to: orders"), r"m\.yaml: events\[0\]\.to: 'orders' is not allowed\..*Did you mean order"),
        (("status: placed", "status: shiped"), r"fields\.status: 'shiped' is not allowed.*Did you mean shipped"),
        (("product: shop, ", ""), r"events\[0\]\.fields: product is missing: the contract of order requires it"),
        (("product: shop", "prodct: shop"), r"fields\.prodct: prodct is not known here.*Did you mean product"),
        (("time: {field: at}", "time: noon"), r"events\[0\]\.time: there is no time 'noon'"),
        (("{field: at}", "{field: at, format: hhmm}"), r"format hhmm needs date"),
        (("{field: at}", "{field: at, format: us}"), r"events\[0\]\.time\.format: 'us' is no time format.*epoch_ms"),
        (("{field: at}", "{field: at, plus: 30 minutes}"), r"events\[0\]\.time\.plus: '30 minutes' is not a duration"),
        (("{field: at}", "{field: at, zone: Mars}"), r"events\[0\]\.time\.zone: 'Mars' is no time zone"),
        (("{field: at}", "{field: at, zone: localtime}"), r"'localtime' means whatever the machine is set to"),
        (("{field: at}", "{field: at, zone: right/Europe/Rome}"), r"time\.zone: 'right/Europe/Rome' is no time zone"),
        (('"{who}"', '"{who"'), r"customer: braces must enclose"),
        (('customer: "{who}"', ""), r"events\[0\]: customer is missing"),
        (("name: m", "nam: m"), r"m\.yaml: nam: nam is not known here.*Did you mean name"),
        (('"{no}"', "{field: 'no', table: nowhere}"), r"fields\.order_id\.table: there is no table 'nowhere'"),
        (('"{no}"', "{field: at, text: at}"), r"fields\.order_id: exactly one source of the value.*pseudonym"),
        (("status: placed", "status: {field: s, table: {A: plaiced}}"), r"status\.table\.A: 'plaiced' is not allowed"),
        (("product: shop", "product: 5"), r"fields\.product: must be text here"),
        (("product: shop", "product: shop, amount_cents: much"), r"fields\.amount_cents: must be a number here"),
    ],
)
def test_a_wrong_mapping_is_refused_with_file_path_and_what_is_allowed(change: tuple[str, str], message: str) -> None:
    text = MINIMAL.replace(*change)
    assert text != MINIMAL
    with pytest.raises(ConfigError, match=message):
        parse_mapping(yaml.safe_load(text), "m.yaml")


def test_an_absent_mapping_names_those_that_come_along() -> None:
    with pytest.raises(ConfigError, match=r"aftership, flights, .*shop, "):
        load_mapping("flihgts")


SHOP = Path(__file__).parents[2] / "docs" / "examples" / "shop-orders.csv"


def test_the_shop_example_maps_an_export_with_local_times_decimal_commas_and_e_mail_addresses() -> None:
    reading = read(load_mapping("shop", b"secret"), SHOP)
    arrivals = list(reading.arrivals())
    events = [json.loads(a.value) for a in arrivals if not a.headers]
    assert [(e["order_id"], e["status"]) for e in events] == [
        ("1001", "placed"), ("1001", "paid"), ("1002", "placed"), ("1002", "payment_failed"), ("1003", "placed"),
        ("1003", "paid"), ("1003", "cancelled"), ("1001", "delivered"),
    ]
    paid = events[1]
    assert paid["promised_at_ms"] - paid["event_time_ms"] == 24 * 3_600_000
    assert (paid["amount_cents"], paid["region"], paid["carrier"]) == (4990, "DE", "swiftpost")
    assert paid["event_time_ms"] == datetime(2026, 3, 10, 8, 2, tzinfo=UTC).timestamp() * 1000
    assert events[6]["cancelled_by"] == "company"
    assert b"example" not in b"".join(a.value for a in arrivals if not a.headers)
    assert [dict(a.headers)["dlq.rule"] for a in arrivals if a.headers] == [b"value is in table country"]


@given(st.lists(st.text(alphabet="ab,\"\n;0é", max_size=30), max_size=12))
def test_whatever_a_file_holds_no_row_is_lost_and_nothing_is_fatal(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    file = tmp_path_factory.mktemp("any") / "f.csv"
    body = "\n".join(lines).encode()
    file.write_bytes(b"who,at,no\n" + body)
    arrivals = list(read(parse_mapping(yaml.safe_load(MINIMAL)), file).arrivals())
    kept = b"".join(b"".join(a.value.split()) for a in arrivals)
    assert sorted(kept) == sorted(b"".join(body.split()))


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 20))
def test_the_sorter_is_stable_whatever_its_memory(keys: list[int], length: int) -> None:
    sorter: Sorter[tuple[int, int]] = Sorter(tuple[int, int], key=lambda item: item[0], run_length=length)
    for position, key in enumerate(keys):
        sorter.add((key, position))
    assert [tuple(item) for item in sorter.sorted()] == sorted((key, position) for position, key in enumerate(keys))


def test_every_noun_can_be_a_target(tmp_path: Path) -> None:
    text = """
name: m
customer: "{who}"
events:
  - to: customer
    time: {field: at}
    fields:
      time_zone: Europe/Berlin
      value_cents: {field: v}
      consents: [{channel: webhook, purpose: service, granted: {field: ok}}]
      addresses: [{channel: webhook, token: {text: "w-{who}"}}]
      opted_out: {field: out}
  - to: change
    id: "{no}"
    time: {field: at}
    fields: {change_kind: release, product: shop, attributes: {app_version: "{v}"}}
"""
    events, _, dead_letters = mapped(text, tmp_path, "who,at,no,v,ok,out\na,2026-03-10T12:00Z,r1,5,yes,no\n")
    assert not dead_letters, dead_letters[0].headers
    customer, change = events
    assert codec.decode("customer", [json.dumps(customer).encode()]).records[0].consents[0].granted is True
    assert customer["opted_out"] is False
    assert change["attributes"] == {"app_version": "5"}
