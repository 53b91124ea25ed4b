"""A proposed mapping: right about what a file holds, silent about its values, and of no use before it was read."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from schemas.errors import ConfigError
from streams.cli.main import build_app
from streams.sources import load_mapping, parse_mapping, read
from streams.sources.guess import propose
from streams.sources.guess.kinds import Contents, look_at
from streams.sources.guess.names import words_of
from streams.sources.guess.sample import SampledColumn
from streams.sources.plain_yaml import parse_yaml
from tests.sources.samples import SAMPLES

KEY = b"a key for tests only"
ORDERS = """\
Bestellnr;E-Mail;Kundennummer;Betrag;Währung;Status;Erstellt am;Bezahlt am;Versandt am;Zugesagt bis;Zusteller;Land
B-1;anna@example.invalid;K1;1.234,50;EUR;versandt;02.03.2026 10:15;02.03.2026 10:16;03.03.2026 09:00;05.03.2026;DHL;DE
B-2;ben@example.invalid;K2;12,50;EUR;neu;13.03.2026 10:15;;;16.03.2026;DHL;AT
"""
TICKETS = [
    {"id": 1, "created_at": "2026-03-02T10:20:00Z", "updated_at": "2026-03-02T12:00:00Z", "status": "Solved",
     "requester_id": 77, "via": {"channel": "email"}, "type": "problem", "order": {"number": "B-1"}},
    {"id": 2, "created_at": "2026-03-02T10:25:00Z", "updated_at": "2026-03-02T10:25:00Z", "status": "open",
     "requester_id": 78, "via": {"channel": "web"}, "type": "question", "order": {"number": None}},
]  # fmt: skip
EVENTS = [
    {"event": "login", "userId": "u-1", "timestamp": 1772445600123, "platform": "ios", "error": None, "duration": 12.5},
    {"event": "pay", "userId": "u-2", "timestamp": 1772445601123, "platform": "web", "error": "E42", "duration": 3},
]


def proposal(folder: Path, body: str | bytes | list[Any], noun: str = "") -> str:
    file = folder / "export"
    if isinstance(body, list):
        body = "".join(json.dumps(row) + "\n" for row in body)
    file.write_bytes(body if isinstance(body, bytes) else body.encode())
    return propose(file, noun)


def decided(text: str, **answers: str) -> str:
    """The proposal after a person read it: every TODO answered, by the key it stands at; the rest is a name."""
    def answer(found: re.Match[str]) -> str:
        return f"{found[1]}{answers.get(found[1].strip(' {:'), 'mine')}"

    return re.sub(r'(\w+: )"TODO: (?:[^"\\]|\\.)*"', answer, text)


def mapped(folder: Path, text: str) -> tuple[list[dict[str, Any]], Any]:
    reading = read(parse_mapping(parse_yaml(text), "mine.yaml", KEY), folder / "export")
    arrivals = list(reading.arrivals())
    assert [dict(one.headers) for one in arrivals if one.headers] == []
    return [json.loads(one.value) for one in arrivals], reading.tally


def test_orders_of_a_german_shop_are_read_after_name_and_zone_were_decided(tmp_path: Path) -> None:
    text = proposal(tmp_path, ORDERS)
    assert text.count("TODO:") == 2
    events, tally = mapped(tmp_path, decided(text, zone="Europe/Berlin"))
    assert [(one["order_id"], one["status"], one["amount_cents"], one["carrier"]) for one in events] == [
        ("B-1", "placed", 123450, "DHL"), ("B-1", "paid", 123450, "DHL"), ("B-1", "shipped", 123450, "DHL"),
        ("B-2", "placed", 1250, "DHL"),
    ]  # fmt: skip
    assert {one["customer_id"] for one in events} == {"K1", "K2"}
    assert events[0]["promised_at_ms"] == 1772751599999  # the end of 5 March in Berlin
    assert tally.rejected == 0


@pytest.mark.parametrize("wrapped", [False, True])
def test_tickets_are_opened_when_they_were_made_and_solved_when_they_last_changed(
    tmp_path: Path, wrapped: bool
) -> None:
    rows: Any = json.dumps({"count": 2, "tickets": TICKETS}, indent=2) if wrapped else TICKETS
    text = proposal(tmp_path, rows)
    assert ("items: tickets" in text) is wrapped
    assert text.count("TODO:") == 1
    events, _ = mapped(tmp_path, decided(text))
    assert [(one["contact_id"], one["status"], one["channel"], one["reason"]) for one in events] == [
        ("1", "opened", "email", "problem"), ("2", "opened", "web", "question"), ("1", "resolved", "email", "problem"),
    ]  # fmt: skip
    assert events[0]["order_id"] == "B-1"


def test_telemetry_with_an_error_column_fails_where_it_is_filled(tmp_path: Path) -> None:
    events, _ = mapped(tmp_path, decided(proposal(tmp_path, EVENTS)))
    assert [(one["event_name"], one["outcome"], one["latency_ms"]) for one in events] == [
        ("login", "ok", 12.5), ("pay", "failed", 3.0)
    ]
    assert events[1]["error_code"] == "E42"
    assert events[0]["event_time_ms"] == 1772445600123


def test_a_proposal_does_not_load_and_says_what_is_to_be_decided(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(ORDERS)
    target = tmp_path / "mine.yaml"
    done = CliRunner().invoke(build_app("guess"), ["guess", str(tmp_path / "orders.csv"), str(target)])
    assert "2 things for you to decide" in done.output, done.output
    with pytest.raises(ConfigError, match=r"mine.yaml: name: to be decided by you - a short name"):
        load_mapping(target, KEY)
    again = CliRunner().invoke(build_app("guess"), ["guess", str(tmp_path / "orders.csv"), str(target)])
    assert isinstance(again.exception, ConfigError)


def test_a_table_may_hold_the_words_to_do() -> None:
    body = parse_yaml("""
name: m
customer: "{who}"
events:
  - to: contact
    time: {field: at}
    fields: {contact_id: "{id}", channel: {field: c, table: {TODO: web, "TODO: x": chat}}}
""")
    assert parse_mapping(body, "m.yaml").name == "m"


@pytest.mark.parametrize("noun", ["order", "contact", "telemetry"])
def test_what_no_column_says_is_asked_and_nothing_else(noun: str, tmp_path: Path) -> None:
    text = proposal(tmp_path, "a,b\n1,x\n2,y\n", noun)
    asked = re.findall(r"(\w+): \"TODO:", text)
    own = {"order": ["order_id"], "contact": ["contact_id", "channel"], "telemetry": ["outcome", "event_name"]}[noun]
    assert sorted(asked) == sorted(["name", "customer", "begun", *own])


def test_a_sample_of_every_shipped_mapping_gets_a_proposal_that_is_yaml(tmp_path: Path) -> None:
    nouns = {}
    for number, sample in enumerate(SAMPLES):
        text = proposal(tmp_path, sample.text)
        body = parse_yaml(text)
        nouns[number, sample.mapping] = body["events"][0]["to"]
        for word in ("anna@", "+4900", "u-1", "Anna", "cus_", "#100", "1Z1", "RR123"):
            assert word not in text, (sample.mapping, word)
    wrong = {key: noun for key, noun in nouns.items() if sample_noun(key[1]) != noun}
    assert not wrong


def test_a_known_export_is_recognised_by_its_columns(tmp_path: Path) -> None:
    for sample in SAMPLES:
        text = proposal(tmp_path, sample.text)
        assert f"`cxwatch mappings show {sample.mapping}`" in text, sample.mapping
    assert "mappings show" not in proposal(tmp_path, ORDERS)
    assert "mappings show" not in proposal(tmp_path, TICKETS)


def sample_noun(mapping: str) -> str:
    return load_mapping(mapping, KEY).events[0].noun


SECRET = st.from_regex(r"[a-z]{3}[0-9]{5}[A-Z]{3}", fullmatch=True)


@settings(max_examples=15)
@given(st.lists(st.tuples(SECRET, SECRET, SECRET, SECRET), min_size=1, max_size=6), st.booleans())
def test_no_value_of_a_row_is_ever_printed(rows: list[tuple[str, ...]], as_json: bool) -> None:
    names = ("ticket_id", "status", "channel", "user.email")
    secrets = [[one[0], one[1], one[2], f"{one[3]}@example.invalid"] for one in rows]
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        if as_json:
            extra = [{one[3]: {"by key": 1}, "tags": [one[2]], "pairs": [{"id": 1, "value": one[1]}]} for one in rows]
            found = [{**dict(zip(names, one, strict=True)), "n": {f"{one[3]}": one[0]}} | {"tags": more["tags"],
                     "pairs": more["pairs"]} for one, more in zip(secrets, extra, strict=True)]  # fmt: skip
            text = proposal(Path(folder), [*found])
        else:
            lines = [",".join(names), *(",".join(one) for one in secrets)]
            text = proposal(Path(folder), "\n".join(lines) + "\n")
    for one in rows:
        assert not any(secret in text for secret in one)


@pytest.mark.parametrize("head", ["1,2026-03-02,anna@example.invalid", "4711;x@example.invalid;12,50"])
def test_a_file_without_names_of_columns_is_refused_without_naming_a_cell(head: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="add a line of names") as refused:
        proposal(tmp_path, f"{head}\n{head}\n")
    assert "example.invalid" not in str(refused.value)
    assert "12,50" not in str(refused.value)


@pytest.mark.parametrize("body", ["", "\n\n", "a,b\n", "[]"])
def test_a_file_without_rows_is_refused(body: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        proposal(tmp_path, body)


ROUGH = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=200),
    st.lists(st.lists(st.sampled_from(["a", "id", '"', "x\ny", "1,5", "", "2026-03-02", "\x00", "{", "é"]), max_size=4))
    .map(lambda rows: "\n".join(";".join(row) for row in rows)),
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                 lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=4))
    .map(lambda value: json.dumps([value, value])),
)  # fmt: skip


@settings(max_examples=40)
@given(ROUGH)
def test_whatever_a_file_holds_there_is_a_proposal_or_a_sentence(body: str | bytes) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        try:
            text = proposal(Path(folder), body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass"))
        except ConfigError:
            return
    assert "events" in parse_yaml(text)


def test_packed_and_otherwise_encoded_files_are_looked_at_alike(tmp_path: Path) -> None:
    plain = proposal(tmp_path, ORDERS)
    assert proposal(tmp_path, gzip.compress(ORDERS.encode())) == plain
    assert proposal(tmp_path, ORDERS.encode("utf-8-sig")) == plain
    western = proposal(tmp_path, ORDERS.encode("cp1252"))
    assert "encoding: cp1252" in western
    assert "unsure: encoding" in western
    for name in ("utf-16", "utf-16-le"):
        events, _ = mapped_text(tmp_path, ORDERS.encode(name))
        assert len(events) == 4


def mapped_text(folder: Path, body: bytes) -> tuple[list[dict[str, Any]], Any]:
    return mapped(folder, decided(proposal(folder, body), zone="Europe/Berlin"))


@pytest.mark.parametrize(
    ("name", "values", "declared"),
    [
        ("created", ["2026-03-02T10:00:00Z", "2026-03-02 10:00:00+01:00"], {}),
        ("created", ["1772445600", "1772445601.5"], {"format": "epoch_s"}),
        ("ts", [1772445600123], {"format": "epoch_ms"}),
        ("event_timestamp", ["1772445600123456"], {"format": "epoch_us"}),
        ("date", ["Thu, 05 Mar 2026 14:20:00 +0100"], {"format": "rfc2822"}),
        ("date", ["02.03.2026 10:15", "31.12.2026 23:59"], {"format": "%d.%m.%Y %H:%M"}),
        ("date", ["03/31/2026", "01/02/2026"], {"format": "%m/%d/%Y"}),
        ("date", ["02/Mar/26 10:15 AM"], {"format": "%d/%b/%y %I:%M %p"}),
        ("date", ["20260302"], {"format": "%Y%m%d"}),
    ],
)
def test_times_and_their_formats(name: str, values: list[Any], declared: dict[str, str]) -> None:
    found = seen(name, values)
    assert found.kind == "time"
    assert dict(found.declared) == declared
    assert not found.unsure


@pytest.mark.parametrize(
    ("values", "declared", "unsure"),
    [
        (["12.50", "3"], {}, False),
        (["12,50", "3,1"], {"decimal": ","}, False),
        (["1.234,50", "3,10"], {"decimal": ",", "thousands": "."}, False),
        (["1,234.50", "3.10"], {"decimal": ".", "thousands": ","}, False),
        (["1'234.50", "3.10"], {"thousands": "'"}, False),
        (["€ 12.50", "3.10 €"], {"currency": "strip"}, False),
        (["1.234", "5.678"], {"decimal": "."}, True),
        (["1.234.567", "1"], {"decimal": ",", "thousands": "."}, False),
    ],
)
def test_numbers_and_how_they_are_written(values: list[str], declared: dict[str, str], unsure: bool) -> None:
    found = seen("total", values)
    assert found.kind == "number"
    assert (dict(found.declared), bool(found.unsure)) == (declared, unsure)


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("order", ["1772445600"], "number"), ("zip", ["01067", "12345"], "text"),
        ("who", ["a@example.invalid"], "email"),
        ("tel", ["+49 151 0000000"], "phone"), ("paid", ["yes", "no"], "truth"), ("cur", ["EUR"], "currency"),
        ("land", ["DE"], "country"), ("x", [], "empty"), ("flag", [True], "truth"), ("date", ["31.02.2026"], "text"),
    ],
)  # fmt: skip
def test_other_kinds(name: str, values: list[Any], kind: str) -> None:
    assert seen(name, values).kind == kind


def test_a_few_odd_values_do_not_hide_what_a_column_is(tmp_path: Path) -> None:
    times = ["2026-03-02T10:00:00Z"] * 8 + ["2026-03-02 11:00", "not a time"]
    found = seen("created", times)
    assert (found.kind, found.misfits, found.local) == ("time", 1, True)
    assert seen("total", ["12,50", "1,5", "x"]).misfits == 1
    assert seen("who", ["a@example.invalid"] * 20 + ["+49 151 0000000"]).kind == "email"
    assert seen("note", ["2026-03-02", "late", "paid"]).kind == "text"
    text = proposal(tmp_path, "order_id,customer_id,created\n" + "".join(f"{n},c,{at}\n" for n, at in enumerate(times)))
    assert "1 of the values looked at are no such time; their rows would be rejected" in text


def test_a_column_whose_name_has_a_meaning_in_a_text_is_left_out(tmp_path: Path) -> None:
    text = proposal(tmp_path, "order_id,customer|id,{total},created\n1,c,12.5,2026-03-02T10:00:00Z\n")
    assert "customer|id" not in text
    assert "total" not in text
    assert parse_yaml(text)["customer"].startswith("TODO:")


def test_a_day_that_may_be_a_month_is_asked(tmp_path: Path) -> None:
    text = proposal(tmp_path, "order_id,customer_id,created\n1,c,03/04/2026\n2,d,05/06/2026\n")
    assert "TODO: days and months can be told apart in no row of the sample: %d/%m/%Y or %m/%d/%Y" in text


def seen(name: str, values: list[Any]) -> Contents:
    return look_at(SampledColumn(name, values), words_of(name))
