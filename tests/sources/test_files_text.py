"""Every cell and every value of a file is read as it was written, however the file is cut into blocks."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sources.files import InputRow, Shape
from streams.sources.files.delimited import csv_rows
from streams.sources.files.documents import json_rows
from streams.sources.files.lines import line_pieces, many_lines

CELLS = st.text(st.sampled_from('ab,;"\r\n é\u2028{}[]'), max_size=6)
KEYS = st.text(st.sampled_from('ab"\\{}[]:,é'), max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-1e300, 1e300) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.lists(st.dictionaries(KEYS, VALUES, max_size=4), max_size=5)


def blocks(content: bytes, size: int) -> Callable[[], bytes]:
    stream = io.BytesIO(content)
    return lambda: stream.read(size)


def fields(rows: list[InputRow]) -> list[dict[str, Any] | None]:
    assert [row.error for row in rows if row.error is not None] == []
    return [row.fields for row in rows]


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=8), st.integers(1, 30), st.sampled_from(["\r\n", "\n"]))
def test_csv_gives_every_cell_and_every_byte(table: list[tuple[str, str, str]], size: int, end: str) -> None:
    text = io.StringIO(newline="")
    quoting: Any = csv.QUOTE_ALL if end == "\n" else csv.QUOTE_MINIMAL
    csv.writer(text, lineterminator=end, quoting=quoting).writerows([("x", "y", "z"), *table])
    content = text.getvalue().encode()
    rows = list(csv_rows(blocks(content, size), Shape(nulls=frozenset()), "f", lambda _: None))
    assert fields(rows) == [dict(zip("xyz", row, strict=True)) for row in table]
    rest = content.split(end.encode(), 1)[1]
    for row in rows:
        assert rest.startswith(row.raw)
        rest = rest[len(row.raw) :].lstrip(b"\r\n")
    assert rest == b""


@given(OBJECTS, st.integers(1, 30), st.sampled_from([None, 0, 2]), st.sampled_from(["json", "ndjson"]))
def test_json_gives_every_member_and_its_bytes(
    members: list[dict[str, Any]], size: int, indent: int | None, form: Any
) -> None:
    document = {"\\": [1, "}"], "page": [{"items": members[:2]}, {"items": members[2:]}], "b": {"items": 3}}
    shape = Shape(form, nulls=frozenset(), items=("page", "items"))
    content = json.dumps(document, indent=indent, ensure_ascii=False).encode()
    rows = list(json_rows(blocks(content, size), shape, "f"))
    assert fields(rows) == members
    assert [json.loads(row.raw) for row in rows] == members
    assert all(content.count(row.raw) for row in rows)
    assert [row.member for row in rows] == [*range(len(members[:2])), *range(len(members[2:]))]


@given(OBJECTS, st.integers(1, 30), st.sampled_from([None, 1]))
def test_documents_behind_each_other_are_rows(members: list[dict[str, Any]], size: int, indent: int | None) -> None:
    content = "\n".join(json.dumps(member, indent=indent) for member in members).encode()
    assert fields(list(json_rows(blocks(content, size), Shape("json", nulls=frozenset()), "f"))) == members


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 20])
def test_lines_end_in_three_ways_and_are_counted(size: int) -> None:
    content = b"a\r\nb\rc\n\nd\r\re"
    expected = [b"a\r\n", b"b\r", b"c\n", b"\n", b"d\r", b"\r", b"e"]
    assert list(line_pieces(blocks(content, size))) == [(line, True) for line in expected]
    found = [(batch.number + index, line) for batch in many_lines(blocks(content, size))
             for index, line in enumerate(batch.lines)]  # fmt: skip
    assert found == list(enumerate(expected, 1))


@pytest.mark.parametrize("size", [1 << 16, 1 << 18])
def test_lines_that_are_too_long_are_one_line(size: int) -> None:
    content = b"a\n" + b"x" * (2 << 20) + b"\nb\n" + b"y" * (2 << 20)
    batches = list(many_lines(blocks(content, size)))
    found = [
        (batch.number + index, line[:1], batch.whole) for batch in batches for index, line in enumerate(batch.lines)
    ]
    assert found == [(1, b"a", True), (2, b"x", False), (3, b"b", True), (4, b"y", False)]
    assert b"".join(piece for piece, _ in line_pieces(blocks(content, size))) == content


def test_a_file_that_has_no_rows_has_none() -> None:
    for content in (b"", b"\n \n", b"[]", b"[ ]\n", b"[]\n[]\n"):
        for shape in (Shape("json"), Shape("ndjson")):
            assert list(json_rows(blocks(content, 2), shape, "f")) == []
