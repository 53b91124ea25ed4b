"""Case 08: exports that are one JSON document gave no event. A list's members are rows, or the start is refused."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.cases.files import outcome, refused, zstd

TICKETS: list[dict[str, Any]] = [
    {
        "id": 35436, "external_id": None, "via": {"channel": "web", "source": {"from": {}, "rel": None}},
        "created_at": "2026-03-02T10:20:00Z", "updated_at": "2026-03-02T11:00:00Z", "type": "incident",
        "subject": 'Where is my "parcel"? [#1001] {', "status": "open", "requester_id": 20978392,
        "tags": ["delivery", "late"], "custom_fields": [{"id": 27642, "value": "1001"}],
    },
    {
        "id": 35437, "via": {"channel": "email", "source": {"from": {"address": "ben@example.invalid"}}},
        "created_at": "2026-03-02T10:25:00Z", "updated_at": "2026-03-02T12:00:00Z", "type": None,
        "subject": "Card declined \\", "status": "solved", "requester_id": 20978393, "tags": [], "custom_fields": [],
    },
]  # fmt: skip
DOCUMENT = {"tickets": TICKETS, "count": 2, "next_page": None, "end_time": 1772452800}
ZENDESK = """
name: zendesk
input: {format: %s}
source: zendesk
customer: "{requester_id}"
events:
  - to: contact
    time: {field: created_at}
    id: "z-{id}-opened"
    fields: &ticket {contact_id: "{id}", status: opened, channel: {field: via.channel}, text: "{subject}"}
  - to: contact
    when: {field: status, in: [solved, closed]}
    time: {field: updated_at}
    id: "z-{id}-solved"
    fields: {<<: *ticket, status: resolved}
"""
SEGMENT = """
name: segment
input: {format: ndjson%s}
customer: "{userId}"
events:
  - to: telemetry
    when: {field: type, equals: track}
    time: {field: timestamp}
    id: "{messageId}"
    fields: {product: shop, event_name: "{event}", outcome: ok}
"""
BATCH = (
    '{"batch":[{"type":"track","userId":"u-1","event":"Checkout Completed","messageId":"m-5",'
    '"timestamp":"2026-03-02T10:05:00.000Z"},{"type":"track","userId":"u-2","event":"Checkout Failed",'
    '"messageId":"m-6","timestamp":"2026-03-02T10:05:01.000Z"}, {"type":"track","userId":"","event":"Checkout Failed",'
    '"messageId":"m-7","timestamp":"not a time"}],"sentAt":"2026-03-02T10:05:02.000Z"}\n'
)
OPENED = ["z-35436-opened", "z-35437-opened", "z-35437-solved"]


def packings(rows: bytes, folder: Path) -> dict[str, bytes]:
    archive = folder / "archive"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("exports/", b"")
        made.writestr("exports/tickets.json", rows)
        made.writestr("__MACOSX/exports/._tickets.json", b"\0")
    return {
        "plain": rows, "gz": gzip.compress(rows), "bz2": bz2.compress(rows), "xz": lzma.compress(rows),
        "zst": zstd.compress(rows), "zip": archive.read_bytes(),
    }  # fmt: skip


@pytest.mark.parametrize("form", ["ndjson, items: tickets", "json, items: tickets", "json, items: [tickets]"])
@pytest.mark.parametrize("indent", [None, 2])
def test_each_member_of_the_named_list_is_a_row(form: str, indent: int | None, tmp_path: Path) -> None:
    found = outcome(ZENDESK % form, json.dumps(DOCUMENT, indent=indent), tmp_path)
    assert [event["event_id"] for event in found.events] == OPENED
    assert (found.counts.rows, found.dead_letters, found.broken) == (2, [], [])


@pytest.mark.parametrize("form", ["ndjson", "json", "json, items: tickets", "ndjson, items: tickets"])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_document_that_is_a_list_needs_no_path(form: str, indent: int | None, tmp_path: Path) -> None:
    found = outcome(ZENDESK % form, json.dumps(TICKETS, indent=indent), tmp_path)
    assert [event["event_id"] for event in found.events] == OPENED


@pytest.mark.parametrize("packing", ["plain", "gz", "bz2", "xz", "zst", "zip"])
def test_documents_are_read_from_every_archive(packing: str, tmp_path: Path) -> None:
    packed = packings(json.dumps(DOCUMENT, indent=2).encode(), tmp_path)[packing]
    assert [event["event_id"] for event in outcome(ZENDESK % "json, items: tickets", packed, tmp_path).events] == OPENED


def test_a_line_may_hold_a_batch_and_a_broken_member_costs_itself(tmp_path: Path) -> None:
    second = BATCH.replace("m-5", "m-8").replace("m-6", "m-9").replace("not a time", "2026-03-02T10:05:02Z")
    found = outcome(SEGMENT % ", items: batch", BATCH + "\n" + second, tmp_path)
    assert [event["event_id"] for event in found.events] == ["m-5", "m-8", "m-6", "m-9"]
    broken = BATCH[BATCH.index('{"type":"track","userId":""') : BATCH.index("]")].encode()
    assert found.dead_letters[0] == ("rows:1[2]", "is a time of format iso", broken)
    assert [location for location, _, _ in found.dead_letters] == ["rows:1[2]", "rows:3[2]"]
    assert found.counts.rows == 6


@pytest.mark.parametrize(
    ("mapping", "content", "sentence"),
    [
        (ZENDESK % "ndjson", json.dumps(DOCUMENT), "Set input.items to tickets."),
        (ZENDESK % "json", json.dumps({"data": {"found": DOCUMENT}}), "Set input.items to data.found.tickets."),
        (SEGMENT % "", BATCH, "Set input.items to batch."),
        (ZENDESK % "json, items: data", json.dumps({"data": DOCUMENT}), "Set input.items to data.tickets."),
        (ZENDESK % "ndjson", json.dumps(DOCUMENT, indent=2), "this is a JSON document over many lines"),
        (ZENDESK % "json, items: ticket", json.dumps(DOCUMENT), "There are: tickets, count, next_page, end_time."),
        (ZENDESK % "json, items: count", json.dumps(DOCUMENT), "no list and no object at input.items, count"),
        (ZENDESK % "json, items: tickets", json.dumps(TICKETS[0]), "If each document is a row, leave input.items out."),
        (ZENDESK % "json", "id;created_at\n1;2\n", "this is no JSON document"),
        (ZENDESK % "ndjson", "id;created_at\n1;2\n", "no line begins with { or ["),
        (ZENDESK % "csv", json.dumps(TICKETS), "this is JSON, not CSV: set input.format"),
        (ZENDESK % "csv, items: tickets", json.dumps(DOCUMENT), "m.yaml: input.items: is for JSON"),
    ],
)
def test_rows_that_are_somewhere_else_are_refused_with_the_option_to_set(
    mapping: str, content: str, sentence: str, tmp_path: Path
) -> None:
    assert sentence in refused(mapping, content, tmp_path)


def test_documents_may_stand_behind_each_other_and_pages_in_a_list(tmp_path: Path) -> None:
    page, other = {"tickets": TICKETS[:1]}, {"tickets": TICKETS[1:]}
    form = ZENDESK % "json, items: tickets"
    assert [e["event_id"] for e in outcome(form, json.dumps(page) + json.dumps(other), tmp_path).events] == OPENED
    assert [e["event_id"] for e in outcome(form, json.dumps([page, other], indent=1), tmp_path).events] == OPENED
    plain = "\n".join(json.dumps(ticket, indent=1) for ticket in TICKETS)
    assert [e["event_id"] for e in outcome(ZENDESK % "json", plain, tmp_path).events] == OPENED
    for form, between in (("json", ",\n"), ("ndjson", ",\n"), ("json", "\n\x1e"), ("ndjson", "\n\x1e")):
        joined = between.join(map(json.dumps, TICKETS)).join(("\x1e", "\n") if "\x1e" in between else ("", between))
        assert [e["event_id"] for e in outcome(ZENDESK % form, joined, tmp_path).events] == OPENED
    one = json.dumps({"ticket": TICKETS[0]})
    assert [e["event_id"] for e in outcome(ZENDESK % "json, items: ticket", one, tmp_path).events] == OPENED[:1]


def test_documents_behind_each_other_in_a_line_say_what_to_set(tmp_path: Path) -> None:
    line = "".join(map(json.dumps, TICKETS)) + "\n"
    rule = "row is one JSON object (set input.format to json if several stand behind each other in a line)"
    assert [found[1] for found in outcome(ZENDESK % "ndjson", line, tmp_path).dead_letters] == [rule]
    assert [e["event_id"] for e in outcome(ZENDESK % "json", line, tmp_path).events] == OPENED


def test_a_later_document_without_the_list_is_a_reject(tmp_path: Path) -> None:
    lines = json.dumps(DOCUMENT) + '\n{"error": "rate limit"}\n{"tickets": 3}\n{"tickets": []}\n'
    found = outcome(ZENDESK % "ndjson, items: tickets", lines, tmp_path)
    rule = "row has a list or an object at input.items, tickets (if each line is a row, leave input.items out)"
    assert found.dead_letters == [("rows:2", rule, b'{"error": "rate limit"}'), ("rows:3", rule, b'{"tickets": 3}')]


def test_a_document_that_breaks_off_gives_the_rows_before_and_says_so(tmp_path: Path) -> None:
    text = json.dumps(DOCUMENT, indent=1)
    cut = text[: text.index('"Card declined')]
    found = outcome(ZENDESK % "json, items: tickets", cut, tmp_path)
    assert [event["event_id"] for event in found.events] == OPENED[:1]
    begun = text[: text.index('"id": 35437')].count("\n")
    (stated,) = found.broken
    assert stated.startswith(f"rows: the JSON breaks off in line {begun}, and nothing behind")


def test_a_broken_line_of_batches_costs_itself(tmp_path: Path) -> None:
    found = outcome(SEGMENT % ", items: batch", BATCH[:200] + "\n" + BATCH, tmp_path)
    assert found.dead_letters[0][:2] == ("rows:1", "row is JSON to its end, after 1 members")
    assert found.counts.events == {"telemetry": 3}


INTERCOM = """
name: intercom
input: {format: ndjson%s}
customer: "{user.id}"
events:
  - to: contact
    time: {field: created_at, format: epoch_s}
    id: "{id}-opened"
    fields: {contact_id: "{id}", channel: chat, status: opened}
  - to: contact
    each: conversation_parts.parts
    when: {field: each.part_type, equals: close}
    time: {field: each.created_at, format: epoch_s}
    id: %s
    fields: {contact_id: "{id}", channel: chat, status: resolved, text: "{title}: {each.body}"}
"""
CONVERSATION = {
    "id": "k-1", "created_at": 1772446800, "user": {"id": "c-1"}, "title": "Parcel",
    "conversation_parts": {"parts": [
        {"id": 1, "part_type": "comment", "created_at": 1772446860, "body": "hello"},
        {"id": 2, "part_type": "close", "created_at": 1772446920, "body": "found"},
        {"id": 3, "part_type": "close", "created_at": 1772446980, "body": "found again"},
    ]},
}  # fmt: skip


def test_a_row_makes_an_event_per_member_with_its_own_fields_at_hand(tmp_path: Path) -> None:
    line = json.dumps(CONVERSATION)
    found = outcome(INTERCOM % ("", '"{id}-{each.id}"'), line, tmp_path)
    assert [(e["event_id"], e["contact_id"], e.get("text")) for e in found.events] == [
        ("k-1-opened", "k-1", None), ("k-1-2", "k-1", "Parcel: found"), ("k-1-3", "k-1", "Parcel: found again"),
    ]  # fmt: skip
    assert [e["event_time_ms"] // 1000 for e in found.events[1:]] == [1772446920, 1772446980]


def test_members_without_an_id_of_theirs_have_ids_that_differ_and_stay(tmp_path: Path) -> None:
    text = (INTERCOM % ("", "x")).replace("    id: x\n", "")
    ids = [[e["event_id"] for e in outcome(text, json.dumps(CONVERSATION), tmp_path).events] for _ in range(2)]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3


@pytest.mark.parametrize(("id_", "why"), [('"{id}"', "refused"), ('"{id}-{each.part_type}"', "dead letter")])
def test_ids_that_do_not_tell_members_apart(id_: str, why: str, tmp_path: Path) -> None:
    text = INTERCOM % ("", id_)
    if why == "refused":
        error = refused(text, "", tmp_path)
        assert error.startswith("m.yaml: events[1].id: must tell the members of conversation_parts.parts apart")
        return
    (dead_letter,) = outcome(text, json.dumps(CONVERSATION), tmp_path).dead_letters
    assert dead_letter[1] == "differs from member to member"


@pytest.mark.parametrize(
    ("parts", "events", "rejected"),
    [
        ([], 1, 0), (None, 1, 0), ("x", 0, 1), ([0] * 10_001, 0, 1),
        ({"id": 2, "part_type": "close", "created_at": 1772446920, "body": "found"}, 2, 0),
    ],
)  # fmt: skip
def test_lists_that_are_empty_absent_or_none(parts: Any, events: int, rejected: int, tmp_path: Path) -> None:
    row = {**CONVERSATION, "conversation_parts": {"parts": parts}}
    found = outcome(INTERCOM % ("", '"{id}-{each.id}"'), json.dumps(row), tmp_path)
    assert (len(found.events), found.counts.rejected) == (events, rejected)


AFTERSHIP = """
name: aftership
input: {format: json, each: {list: msg.checkpoints, as: point}}
customer: "{msg.customer}"
times: {checked: {field: point.checkpoint_time}}
events:
  - to: order
    time: checked
    id: "{msg.id}-{point.slug}"
    fields: {order_id: "{msg.order}", product: shop, status: {field: point.tag, table: {D: delivered, T: shipped}}}
"""


def test_every_event_may_be_made_of_the_members_under_another_name(tmp_path: Path) -> None:
    points = [{"slug": "a", "tag": "T", "checkpoint_time": "2026-03-02T10:00:00Z"}, {"slug": "b", "tag": "D"}]
    points[1]["checkpoint_time"] = "2026-03-03T10:00:00Z"
    message = {"msg": {"id": "m", "order": "o-1", "customer": "c-1", "checkpoints": points}}
    found = outcome(AFTERSHIP, json.dumps(message, indent=2), tmp_path)
    assert [(e["event_id"], e["status"]) for e in found.events] == [("m-a", "shipped"), ("m-b", "delivered")]
    assert found.counts.rows == 1


GA4 = """
name: ga4
input: {format: ndjson}
customer: "{user_pseudo_id}"
events:
  - to: telemetry
    when: {field: event_params, where: {key: [page, screen]}, get: value.string_value, starts_with: /checkout}
    time: {field: event_params, where: {key: at}, get: value.int_value, format: epoch_ms}
    fields:
      product: shop
      event_name: {field: event_params, where: {key: page}, get: [value, string_value], default: none}
      outcome: ok
      latency_ms: {field: event_params, where: {key: took}, get: value.int_value}
"""


def test_a_member_of_a_list_by_its_key(tmp_path: Path) -> None:
    def params(**values: str | int) -> str:
        found = [
            {"key": key, "value": {"int_value" if isinstance(value, int) else "string_value": value}}
            for key, value in values.items()
        ]
        return json.dumps({"user_pseudo_id": "u-1", "event_params": found})

    at = 1772446800123
    rows = [
        params(page="/checkout/pay", took=12, at=at), params(page="/home", at=at), params(screen="/checkout", at=at),
        params(page="/checkout"), json.dumps({"user_pseudo_id": "u-1"}),
    ]  # fmt: skip
    found = outcome(GA4, "\n".join(rows), tmp_path)
    assert [(e["event_name"], e.get("latency_ms"), e["event_time_ms"]) for e in found.events] == [
        ("/checkout/pay", 12.0, at), ("none", None, at),
    ]  # fmt: skip
    assert [dead_letter[:2] for dead_letter in found.dead_letters] == [("rows:4", "value is there")]
    assert found.counts.unmatched == 2


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("where: {key: took}, ", "", "events[0].fields.latency_ms.get: needs where beside it"),
        ("where: {key: took}", "where: {}", "events[0].fields.latency_ms.where: must name a field of the member"),
        ("where: {key: took}", "where: took", "events[0].fields.latency_ms.where: must be a mapping"),
        ("{field: event_params, where: {key: took}", '{text: "{x}", where: {key: took}', "belongs beside field"),
    ],
)
def test_mistakes_in_where_refuse_the_start(old: str, new: str, sentence: str, tmp_path: Path) -> None:
    assert sentence in refused(GA4.replace(old, new), "", tmp_path)
