"""Case 11: text files as Excel, Numbers and old Macs write them. What is no readable text is refused by name."""

from __future__ import annotations

import codecs
import zipfile
from pathlib import Path

import pytest

from streams.sources.files.row import IS_TEXT
from tests.cases.files import outcome, refused

EXCEL = """
name: excel
input: {format: csv%s}
zone: Europe/Berlin
customer: {pseudonym: "{Email}", case: lower}
events:
  - to: order
    time: {field: Date, format: "%%d.%%m.%%Y %%H:%%M"}
    id: "o-{Order}"
    fields:
      {order_id: "{Order}", status: placed, product: shop, amount_cents: {field: Amount, decimal: ",", scale: 100}}
"""
TABLE = (
    "Order;Date;Email;Amount;Currency\r\n"
    "1;02.03.2026 10:00;anna@example.invalid;64,70;EUR\r\n"
    "2;02.03.2026 10:05;bén@example.invalid;10,00;EUR\r\n"
)
JSON = """
name: j
input: {format: ndjson%s}
customer: "{who}"
events:
  - to: contact
    time: {field: at}
    fields: {contact_id: "{who}", channel: web, text: "{text}"}
"""
LINE = '{"who": "c-1", "at": "2026-03-02T10:00:00Z", "text": "Où est %s?"}\n'


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("mark", [True, False])
@pytest.mark.parametrize("ends", ["\r\n", "\n", "\r"])
def test_encodings_and_line_ends(codec: str, mark: bool, ends: str, tmp_path: Path) -> None:
    plain = codec if codec[-2:] in ("le", "be", "-8") else {"utf-8-sig": "utf-8"}.get(codec, f"{codec}-le")
    text = ("\ufeff" if mark else "") + TABLE.replace("\r\n", ends)
    found = outcome(EXCEL % f", delimiter: ';', encoding: {codec}", text.encode(plain), tmp_path)
    assert [(event["event_id"], event["amount_cents"]) for event in found.events] == [("o-1", 6470), ("o-2", 1000)]
    assert (found.counts.rows, found.dead_letters) == (2, [])


@pytest.mark.parametrize("delimiter", ['"\\t"', "'\\t'", "tab"])
def test_a_tab_may_be_written_in_three_ways(delimiter: str, tmp_path: Path) -> None:
    assert len(outcome(EXCEL % f", delimiter: {delimiter}", TABLE.replace(";", "\t"), tmp_path).events) == 2


def test_json_in_another_encoding_says_what_to_set(tmp_path: Path) -> None:
    found = outcome(JSON % "", (LINE % "é").encode("cp1252"), tmp_path)
    assert [dead_letter[1] for dead_letter in found.dead_letters] == [f"row {IS_TEXT}"]


@pytest.mark.parametrize("order", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_a_byte_order_mark_needs_no_setting(order: bytes, tmp_path: Path) -> None:
    text = TABLE.replace(";", "\t").encode("utf-16-le" if order == codecs.BOM_UTF16_LE else "utf-16-be")
    assert len(outcome(EXCEL % ', delimiter: "\\t"', order + text, tmp_path).events) == 2


@pytest.mark.parametrize("codec", ["cp1252", "latin-1", "mac-roman", "cp850", "shift_jis", "gb18030", "koi8-r"])
def test_encodings_of_one_byte_ends(codec: str, tmp_path: Path) -> None:
    letter = {"shift_jis": "ソ表", "gb18030": "\u4e00", "koi8-r": "Я"}.get(codec, "é")  # trail bytes such as \\ and |
    rows = TABLE.replace("é", letter).replace(";", "|").encode(codec)
    assert len(outcome(EXCEL % f", delimiter: '|', encoding: {codec}", rows, tmp_path).events) == 2
    line = LINE.replace("ù", letter) % letter
    found = outcome(JSON % f", encoding: {codec}", line.encode(codec), tmp_path)
    assert found.events[0]["text"] == f"O{letter} est {letter}?"


@pytest.mark.parametrize("stated", ["", ", delimiter: ';'"])
@pytest.mark.parametrize("line", ["sep=;\r\n", '"sep=;"\r\n', "\ufeffSEP=;\n"])
def test_a_line_that_names_the_separator_is_passed_over(stated: str, line: str, tmp_path: Path) -> None:
    found = outcome(EXCEL % stated, line + TABLE.replace("10:05", "25:05"), tmp_path)
    assert [event["event_id"] for event in found.events] == ["o-1"]
    assert [location for location, _, _ in found.dead_letters] == ["rows:4"]


def test_a_header_may_end_with_a_delimiter_that_the_rows_have_or_have_not(tmp_path: Path) -> None:
    header, *rows = TABLE.splitlines()
    for first in (rows[0], rows[0] + ";"):
        text = "\n".join((header + ";", first, *rows[1:], rows[0] + ";;", rows[0].rpartition(";")[0]))
        found = outcome(EXCEL % ", delimiter: ';'", text, tmp_path)
        assert [event["event_id"] for event in found.events] == ["o-1", "o-2"]
        assert [letter[1] for letter in found.dead_letters] == [f"row has {header.count(';') + 2} columns"] * 2


def test_a_line_that_names_another_separator_than_the_mapping_is_refused(tmp_path: Path) -> None:
    error = refused(EXCEL % ", delimiter: ','", "sep=;\r\n" + TABLE, tmp_path)
    assert error == "rows: the first line says sep=';', but input.delimiter is ',': set it to ';', or leave it out."


@pytest.mark.parametrize("codec", ["utf-7", "iso2022_jp", "hz", "idna", "punycode", "base64", "unicode_escape", "x"])
def test_encodings_that_cannot_be_read_line_by_line_are_refused_by_name(codec: str, tmp_path: Path) -> None:
    error = refused(EXCEL % f", encoding: {codec}", TABLE, tmp_path)
    assert error.startswith(f"m.yaml: input.encoding: '{codec}' ")
    assert "Allowed: utf-8, utf-16" in error


@pytest.mark.parametrize(
    ("stated", "rows", "hint"),
    [
        ("utf-8", TABLE.encode("utf-16-le"), "It looks like utf-16-le: set input.encoding so."),
        ("cp1252", TABLE.encode("utf-16-be"), "It looks like utf-16-be"),
        ("utf-8", TABLE.encode("utf-32-le"), "It looks like utf-32-le"),
        ("utf-16", TABLE.encode(), "It has single bytes as characters."),
        ("utf-32-le", TABLE.encode("utf-16-le"), "It looks like utf-16-le"),
    ],
)
def test_an_encoding_that_is_not_the_file_s_is_refused(stated: str, rows: bytes, hint: str, tmp_path: Path) -> None:
    assert hint in refused(EXCEL % f", delimiter: ';', encoding: {stated}", rows, tmp_path)


@pytest.mark.parametrize("codec", ["utf-8", "utf-16", "utf-16-be", "utf-32"])
def test_bytes_that_are_no_text_cost_their_row(codec: str, tmp_path: Path) -> None:
    good = TABLE.encode(codec)
    bad = {"utf-8": b"\xff\xfe", "utf-16": b"\x00\xdc", "utf-16-be": b"\xdc\x00", "utf-32": b"\x00\x00\x11\x00"}[codec]
    width = {"utf-8": 1, "utf-32": 4}.get(codec, 2)
    at = TABLE.index("anna") * width + (width if codec in ("utf-16", "utf-32") else 0)
    found = outcome(EXCEL % f", delimiter: ';', encoding: {codec}", good[:at] + bad + good[at:], tmp_path)
    assert [event["event_id"] for event in found.events] == ["o-2"]
    assert [dead_letter[:2] for dead_letter in found.dead_letters] == [
        ("rows:2", f"row {IS_TEXT}")
    ]
    cut = outcome(EXCEL % f", delimiter: ';', encoding: {codec}", good[: 1 - 2 * width], tmp_path)
    assert len(cut.events) + len(cut.dead_letters) == 2


def test_zero_bytes_and_odd_quotes_cost_their_row(tmp_path: Path) -> None:
    rows = TABLE + '3;x\0;c@example.invalid;1;EUR\n4;"02.03;d@example.invalid;1;EUR\n' + TABLE.splitlines()[1]
    found = outcome(EXCEL % ", delimiter: ';'", rows, tmp_path)
    assert len(found.events) == 3
    assert [dead_letter[:2] for dead_letter in found.dead_letters] == [
        ("rows:4", "row has no zero bytes"),
        ("rows:5", "row has quotes that match, and cells of at most 131,072 characters"),
    ]


def test_a_line_that_is_too_long_costs_itself(tmp_path: Path) -> None:
    rows = TABLE + "3;" + "x" * 3_000_000 + "\n" + TABLE.splitlines()[1] + "\n"
    found = outcome(EXCEL % ", delimiter: ';'", rows, tmp_path)
    assert [(location, rule, len(raw)) for location, rule, raw in found.dead_letters] == [
        ("rows:4", "row has at most 1,048,576 bytes", 65_536)
    ]
    assert len(found.events) == 3


def test_an_empty_file_has_no_header(tmp_path: Path) -> None:
    assert refused(EXCEL % "", "", tmp_path) == "rows: the file is empty; a CSV begins with a header."
    assert refused(EXCEL % "", "\n\n", tmp_path) == "rows: the file is empty; a CSV begins with a header."


def workbook(folder: Path, name: str) -> bytes:
    with zipfile.ZipFile(folder / "book", "w") as made:
        made.writestr(name, b"x")
        made.writestr("docProps/app.xml", b"x")
    return (folder / "book").read_bytes()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is an Excel workbook (.xls, or .xlsx with a password)"),
        (b"PAR1" + bytes(9), "is Parquet, not text: export the table as CSV"),
        (b"SQLite format 3\0" + bytes(90), "is an SQLite database"),
        (b"%PDF-1.7\n", "is a PDF"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><table><tr><td>1", "is HTML or XML, not a table"),
        (b"<table>\n<tr>", "is HTML or XML, not a table"),
        (b"<?xml version='1.0'?><Workbook>", "is XML, not a table"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(30), "is a 7-Zip archive"),
        (b"Obj\x01" + bytes(30), "is Avro"),
    ],
)
def test_files_that_are_no_text_are_named(content: bytes, what: str, tmp_path: Path) -> None:
    for mapping in (EXCEL % "", JSON % ""):
        error = refused(mapping, content, tmp_path)
        assert f"/rows: {what}" in error
        assert error.count(".\n") == 0
        assert error.endswith(".")


@pytest.mark.parametrize("name", ["[Content_Types].xml", "META-INF/manifest.xml", "Index/Document.iwa"])
def test_workbooks_are_named(name: str, tmp_path: Path) -> None:
    assert "export it as CSV (UTF-8)" in refused(EXCEL % "", workbook(tmp_path, name), tmp_path)
