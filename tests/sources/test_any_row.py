"""Whatever a row holds, a mapping that uses every form makes events of it or refuses it; it never ends the reading.

And whatever stands anywhere in the mapping, it is loaded or refused by a sentence that names it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.errors import ConfigError
from streams.sources.apply import Mapped, Rejected, apply_each, dead_letter_headers
from streams.sources.counts import RowCounts
from streams.sources.files import parse_json
from streams.sources.mapping import Mapping, parse_mapping
from streams.sources.spans import Span, SpanReading

MAPPING = """
name: m
input: {format: ndjson, absent: ["", "-"]}
zone: Europe/Berlin
numbers: {decimal: ",", thousands: [".", " "], currency: strip, negative: [parentheses, trailing, unicode]}
customer: {pseudonym: {first_of: [a, b.c, "{d|e}"]}, case: lower}
tables: {known: {x: paid, "1": placed}}
times:
  first: {first_of: [{field: a, format: epoch_us}, {field: b.c}], plus: {field: c, unit: days}}
  serial: {field: a, format: excel, day: end, plus: 1d}
  mail: {field: b, format: rfc2822}
  clock: {field: c, format: hhmm, date: "{a}", near: serial}
events:
  - to: order
    when: [{field: a, present: true}, {not: {field: b, contains: x}}]
    time: first
    id: "{a}-{b}"
    fields:
      order_id: {first_of: [d, [b, c]]}
      status: {field: d, table: known, default: placed}
      product: "{b.0}"
      amount_cents: {field: c, minor: {field: d, default: JPY}}
      promised_at_ms: {time: serial, minus: {times: ["{c}", 3]}}
      attributes: {one: "{a}", two: {field: b, case: upper}}
  - to: contact
    when: {any: [{field: a, matches: "^[0-9]+$"}, {minus: ["{a}", "{c}"], above: "{d}"}, {time: clock, below: mail}]}
    time: clock
    fields:
      contact_id: "{a}"
      channel: web
      wait_ms: {over: [{minus: [{time: mail}, {time: serial}]}, "{c}"]}
      csat: "{c}"
      subject_ids: {field: b}
  - to: telemetry
    time: {field: a, format: "%Y%m%d%H%M"}
    fields: {product: "{a|b}", event_name: "{d}", outcome: ok, latency_ms: {times: ["{a}", "{a}"]}}
"""
TEXTS = st.one_of(
    st.text(max_size=6),
    st.sampled_from([
        "", "-", "x", "1", "1.234,5", "(5)", "5-", "1e9", "20260305", "202603051420", "2026-03-05", "46086", "46086.5",
        "1772708400250999", "Thu, 05 Mar 2026 12:00:00 +0100", "9999-12-31T23:59:59", "0001-01-01", "9999-12-31",
        "2400", "2026-03-29T02:30", "9" * 30, "USD", "{a}", "%s", "\u0000", "٣", "2026-03-05T00:00:00+23:59", "NaN",
        "-0", "anna@example.invalid",
    ]),
)  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-(10**30), 10**30), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, 1, -1, 1_772_708_400_250_999, 46086, 20260305, 10**18, 1e308, 0.1]),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=4,
)
ROWS = st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e"]), VALUES, max_size=5)


@pytest.fixture(scope="module")
def mappings() -> list[Mapping]:
    """One mapping for each event, and one with all of them."""
    body = yaml.safe_load(MAPPING)
    chosen = [*([event] for event in body["events"]), body["events"]]
    return [parse_mapping({**body, "events": events}, pseudonym_key=b"k" * 16) for events in chosen]


@given(rows=st.lists(ROWS, max_size=8))
def test_every_row_is_mapped_refused_or_left_out(mappings: list[Mapping], rows: list[dict[str, Any]]) -> None:
    texts = [value.encode() for row in rows for value in row.values() if isinstance(value, str) and len(value) > 5]
    for mapping in mappings:
        tally = RowCounts()
        lines = enumerate(json.dumps(one).encode() for one in rows)
        parsed = (row for number, line in lines for row in parse_json(number, line, mapping.shape))
        outcomes = [made for _, made in apply_each(mapping, parsed, SpanReading(Span()), tally)]
        refused = [one for made in outcomes for one in made if isinstance(one, Rejected)]
        mapped = [one for made in outcomes for one in made if isinstance(one, Mapped)]
        with_events = sum(bool(made) for made in outcomes) - len(refused)
        assert len(rows) == len(outcomes) == tally.rows == len(refused) + tally.unmatched + with_events
        assert not any(codec.decode(one.noun, [one.value]).rejects for one in mapped)
        rules = b" ".join(text for one in refused for _, text in dead_letter_headers(one, mapping, "f", "b"))
        assert not any(text in rules for text in texts)


WRONG: list[object] = [
    None, 5, True, "x", "", "{", [], {}, ["a"], {"a": 1}, {5: 5}, date(2026, 3, 5), {"field": []}, {"plus": [1, 2]},
    {"first_of": None}, {"time": "first"},
]  # fmt: skip


def paths(node: object, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside a mapping."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in entries:
        yield (*above, name)
        yield from paths(value, (*above, name))


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_wrong_value_at_any_path_is_taken_or_refused_with_its_path(wrong: object) -> None:
    body = yaml.safe_load(MAPPING)
    refusals = [refusal(body, path, wrong) for path in list(paths(body))]
    sentences = [text for text in refusals if text is not None]
    assert len(sentences) > 20
    assert all(text.startswith("m.yaml: ") for text in sentences)


def refusal(body: dict[str, Any], path: tuple[Any, ...], wrong: object) -> str | None:
    """What is said of the mapping with this value at this path; None if it is loaded."""
    holder: Any = body
    for step in path[:-1]:
        holder = holder[step]
    right, holder[path[-1]] = holder[path[-1]], wrong
    try:
        parse_mapping(body, "m.yaml", b"k" * 16)
    except ConfigError as error:
        return str(error)
    finally:
        holder[path[-1]] = right
    return None
