"""Conditions of a mapping: texts, numbers and times, compared with constants and with other fields of the row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from schemas.errors import ConfigError, MalformedEvent
from streams.sources.conditions import compile_condition
from streams.sources.fields import Scope
from streams.sources.node import Node
from streams.sources.time_specs import name_time
from streams.sources.times import ZoneRules
from streams.sources.values import compile_number
from streams.sources.zones import zone_of

TIMES = {"sent": {"field": "sent_at"}, "due": {"field": "due_at", "format": "epoch_s"}}


def holds(condition: str, row: Mapping[str, Any]) -> bool:
    scope = Scope(ZoneRules(zone_of(Node("Europe/Berlin", "m.yaml"))), compile_number)
    for name, spec in TIMES.items():
        name_time(name, Node(spec, "m.yaml", f"times.{name}"), scope)
    return compile_condition(Node(yaml.safe_load(condition), "m.yaml", "when"), scope)(row)


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # condition, a row for which it holds, a row for which it does not
    ("{field: a, contains: refund}", {"a": "a refund please"}, {"a": "Refund"}),
    ("{field: a, contains: [refund, money back]}", {"a": "money back"}, {"a": "money"}),
    ("{field: a, contains: REFUND, ignore_case: true}", {"a": "a Refund"}, {"a": "fund"}),
    ("{field: a, contains: '5'}", {"a": 152}, {"a": 12}),
    ("{field: a, contains: x}", {"a": "x"}, {}),
    ("{field: tags, contains: vip}", {"tags": ["new", "vip"]}, {"tags": ["vips", None, ["vip"]]}),
    ("{field: tags, contains: VIP, ignore_case: true}", {"tags": ["Vip"]}, {"tags": []}),
    ("{not: {field: a, contains: x}}", {}, {"a": "x"}),
    ("{field: a, starts_with: AB-}", {"a": "AB-1"}, {"a": "xAB-1"}),
    ("{field: a, starts_with: [AB-, CD-]}", {"a": "CD-1"}, {"a": "cd-1"}),
    ("{field: a, ends_with: .jpg, ignore_case: true}", {"a": "x.JPG"}, {"a": "x.jpg.exe"}),
    ("{field: a, matches: '^[A-Z]{2}[0-9]+$'}", {"a": "AB12"}, {"a": "AB12x"}),
    ("{field: a, matches: 'b+'}", {"a": "abbbc"}, {"a": "ac"}),
    ("{field: a, matches: '^ab', ignore_case: true}", {"a": "ABC"}, {"a": "cab"}),
    (r"{field: a, matches: '\bpaket\b'}", {"a": "wo ist mein paket?"}, {"a": "paketdienst"}),
    ("{field: a, equals: X, ignore_case: true}", {"a": "x"}, {"a": "y"}),
    ("{field: a, in: [X, Y], ignore_case: true}", {"a": "y"}, {"a": "z"}),
    ("{field: a, equals: 5}", {"a": "5"}, {"a": None}),
    ("{field: a, equals: true}", {"a": True}, {"a": False}),
    ("{field: a, equals: {field: b}}", {"a": 5, "b": "5"}, {"a": 5, "b": "6"}),
    ("{field: a, equals: '{b}'}", {"a": "x", "b": "x"}, {}),
    ("{field: a, equals: '{b}-{c}'}", {"a": "x-y", "b": "x", "c": "y"}, {"a": "x-y", "b": "x"}),
    ("{field: a, above: 10}", {"a": "10.5"}, {"a": 10}),
    ("{field: a, below: 10}", {"a": -3}, {"a": "10"}),
    ("{field: a, at_least: 10, at_most: 20}", {"a": 10}, {"a": 20.5}),
    ("{field: a, above: {field: b}}", {"a": "10", "b": "9"}, {"a": "10", "b": "10"}),
    ("{field: a, above: '{b}'}", {"a": 10, "b": 9}, {"a": 10}),
    ("{field: a, below: {field: b, scale: 2}}", {"a": 10, "b": 6}, {"a": 10, "b": 5}),
    ("{field: a, above: 1000, decimal: ',', thousands: '.'}", {"a": "1.000,5"}, {"a": "1.000"}),
    ("{first_of: [a, b], equals: x}", {"b": "x"}, {"a": "y", "b": "x"}),
    ("{text: '{a}{b}', equals: xy}", {"a": "x", "b": "y"}, {"a": "x"}),
    ("{minus: ['{a}', '{b}'], above: 2}", {"a": 5, "b": 2}, {"a": 5, "b": 3}),
    ("{minus: ['{a}', '{b}'], equals: 0}", {"a": "5.0", "b": 5}, {"a": 5, "b": 4}),
    ("{minus: ['{a}', '{b}'], present: true}", {"a": 5, "b": 3}, {"a": 5}),
    ("{over: ['{a}', '{b}'], at_least: 0.5}", {"a": 1, "b": 2}, {"a": 1, "b": 3}),
    ("{time: sent, above: due}", {"sent_at": "2026-03-02T10:00:01Z", "due_at": 1_772_445_600},
     {"sent_at": "2026-03-02T10:00:00Z", "due_at": 1_772_445_600}),
    ("{time: sent, above: {time: due, plus: 2h}}", {"sent_at": "2026-03-02T12:00:01Z", "due_at": 1_772_445_600},
     {"sent_at": "2026-03-02T12:00:00Z", "due_at": 1_772_445_600}),
    ("{time: sent, at_least: '2026-03-02T11:00'}", {"sent_at": "2026-03-02T10:00Z"}, {"sent_at": "2026-03-02T09:59Z"}),
    ("{time: {field: x, format: epoch_ms}, below: {field: y}}", {"x": 1_772_445_600_000, "y": "2026-03-03"},
     {"x": 1_772_445_600_000, "y": "2026-03-02"}),
    ("{time: sent, equals: due}", {"sent_at": "2026-03-02T10:00Z", "due_at": 1_772_445_600}, {"due_at": 1_772_445_600}),
    ("{minus: [{time: sent}, {time: due}], above: 2h}", {"sent_at": "2026-03-02T12:00:01Z", "due_at": 1_772_445_600},
     {"sent_at": "2026-03-02T12:00:00Z", "due_at": 1_772_445_600}),
    ("{minus: [{time: sent}, 1d], above: {time: due}}", {"sent_at": "2026-03-03T10:00:01Z", "due_at": 1_772_445_600},
     {"sent_at": "2026-03-03T10:00:00Z", "due_at": 1_772_445_600}),
    ("{all: [{field: a, present: true}, {any: [{field: b, equals: 1}, {not: {field: c, present: true}}]}]}",
     {"a": 1, "c": 1, "b": 1}, {"a": 1, "c": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "row", "other"), CASES, ids=[condition for condition, _, _ in CASES])
def test_a_condition_holds_for_what_it_says_and_for_nothing_else(
    condition: str, row: dict[str, Any], other: dict[str, Any]
) -> None:
    assert holds(condition, row)
    assert not holds(condition, other)


@pytest.mark.parametrize(
    ("condition", "row", "message"),
    [
        ("{field: a, above: 1}", {"a": "many"}, "when: is a number"),
        ("{field: a, above: 1}", {"a": "1,5"}, "declare thousands"),
        ("{field: a, above: '{b}'}", {"a": 1, "b": "x"}, "is a number"),
        ("{field: a, contains: x}", {"a": {"b": 1}}, r"when\.contains: is a text \(got object\)"),
        ("{field: a, matches: x}", {"a": ["x"]}, r"when\.matches: is a text \(got array\)"),
        ("{time: sent, above: due}", {"sent_at": "soon"}, r"times\.sent: is a time of format iso"),
        ("{over: ['{a}', '{b}'], above: 1}", {"a": 1, "b": 0}, r"when\.over: is not divided by zero"),
    ],
)
def test_what_cannot_be_compared_refuses_the_row(condition: str, row: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedEvent, match=message):
        holds(condition, row)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("{field: a, matches: '(a'}", r"m\.yaml: when\.matches: is no regular expression of RE2: missing \)"),
        (r"{field: a, matches: '(a)\1'}", r"when\.matches: is no regular expression of RE2: invalid escape"),
        ("{field: a, matches: '(?=a)'}", r"when\.matches: is no regular expression"),
        ("{field: a, matches: '((a{100}){100}){100}'}", r"when\.matches: is no regular expression"),
        ("{field: a, matches: 5}", r"when\.matches: must be text"),
        ("{field: a, contains: []}", r"when\.contains: must be a text, or a list of texts"),
        ("{field: a, contains: ''}", r"when\.contains: must be a text, or a list of texts"),
        ("{field: a, contains: [5]}", r"when\.contains\[0\]: must be text, not a number"),
        ("{field: a, above: ten}", r"when\.above: 'ten' is not a number or a duration; a field is written \{ten\}"),
        ("{field: a, above: true}", r"when\.above: must be a number"),
        ("{field: a, above: {time: sent}}", r"when\.above: is a time, and a number is compared with it"),
        ("{time: sent, above: later}", r"when\.above: 'later' is neither a named time nor one such as"),
        ("{time: sent, above: 5}", r"when\.above: must be"),
        ("{time: sent, above: {minus: [{time: due}, {time: due}]}}", r"when\.above: a time can be compared with a"),
        ("{time: sent, contains: x}", r"when\.contains: contains is for texts; time makes a number or a time"),
        ("{time: sent, in: [x]}", r"when\.in: in is for texts"),
        ("{field: a}", r"when: a condition needs one subject.*Allowed: .*above, all, any"),
        ("{above: 5}", r"when: a condition needs one subject"),
        ("{field: a, text: b, equals: 5}", r"when: a condition needs one subject"),
        ("{field: a, like: x}", r"when\.like: like is not known here"),
        ("{field: a, equals: x, ignore_case: maybe}", r"when\.ignore_case: must be true or false"),
        ("{field: a, present: maybe}", r"when\.present: must be true or false"),
        ("{all: []}", r"when\.all: must list at least one condition"),
        ("{any: [], field: a}", r"when: any stands alone"),
        ("{times: [{time: sent}, 2], above: 1}", r"when\.times: times takes no times"),
        ("{minus: ['{a}'], above: 1}", r"when\.minus: needs a list of at least two parts"),
        ("{minus: [a, b], above: 1}", r"when\.minus\[0\]: 'a' is not a duration such as 30m; a field is written \{a\}"),
        ("{plus: [{time: sent}, {time: due}], above: 1}", r"when\.plus: times can be taken from each other"),
    ],
)
def test_a_wrong_condition_is_refused_when_the_mapping_is_loaded(condition: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        holds(condition, {})


def test_a_hostile_pattern_ends_on_a_hostile_text() -> None:
    assert not holds("{field: a, matches: '^(a+)+$'}", {"a": "a" * 200_000 + "!"})
