"""A follower's rows get their customer when they are handed on, not when they are fetched."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.sources import RowCounts, map_each, parse_mapping
from streams.sources.arrivals import Arrival
from streams.sources.keying import FollowedCustomers
from streams.sources.merge import Read, read_of

MAPPING = """
name: track
input: {format: ndjson}
customer: {identity: [{kind: account, value: "{user}"}, {kind: device, value: "{device}"}]}
links: true
events:
  - to: telemetry
    when: {field: agent, present: false}
    time: {field: at, format: epoch_s}
    id: "{id}"
    fields: {product: app, event_name: tap, outcome: ok, latency_ms: {field: ms}}
  - to: contact
    when: {field: agent, present: true}
    time: {field: at, format: epoch_s}
    id: "{id}"
    customer: "{agent}"
    fields: {contact_id: "{id}", channel: phone}
  - to: change
    when: {field: release, present: true}
    time: {field: at, format: epoch_s}
    id: "{device}"
    fields: {change_kind: release}
"""


def fetched(*rows: dict[str, Any]) -> list[Read]:
    rules = parse_mapping(yaml.safe_load(MAPPING))
    values = [json.dumps({"at": 1_773_216_000 + n, "id": f"e-{n}", **row}).encode() for n, row in enumerate(rows)]
    mapped = map_each(rules, enumerate(values), "t-0", RowCounts())
    return [read_of(one.offset, one.arrivals, 0, one.named) for one in mapped]


def keyed(customers: FollowedCustomers, *reads: Read) -> list[Arrival]:
    return customers.keyed([(0, read) for read in reads], {})


@pytest.fixture
def customers(tmp_path: Path) -> FollowedCustomers:
    identity = parse_mapping(yaml.safe_load(MAPPING)).identity
    assert identity is not None
    return FollowedCustomers(identity, tmp_path / "links.sqlite", "t")


def test_what_is_handed_on_later_knows_the_links_of_what_came_before(customers: FollowedCustomers) -> None:
    tap, login = fetched({"device": "d-1", "ms": 1.5}, {"device": "d-1", "user": "u-1"})
    assert [one.key for one in keyed(customers, login, tap)] == [b"u-1", b"u-1"]
    body = json.loads(keyed(customers, *fetched({"device": "d-1", "ms": 1.5}))[0].value)
    assert (body["customer_id"], body["latency_ms"], body["event_id"]) == ("u-1", 1.5, "e-0")
    assert customers.counts.unlinked == 0


def test_a_customer_or_key_of_an_events_own_stays(customers: FollowedCustomers) -> None:
    keyed(customers, *fetched({"device": "d-1", "user": "u-1"}))
    made = keyed(customers, *fetched(*[{}] * 5, {"device": "d-1", "agent": "a-1", "release": "1"}))
    assert [(one.noun, one.key) for one in made if not one.headers] == [("contact", b"a-1"), ("change", b"d-1")]


def test_a_row_without_an_identifier_is_a_dead_letter_as_ever(customers: FollowedCustomers) -> None:
    (dead_letter,) = keyed(customers, *fetched({}))
    assert dict(dead_letter.headers)["dlq.field"] == b"events[0].customer"
    assert customers.counts.rows == 0


def test_rows_that_another_follower_read_are_noticed(
    customers: FollowedCustomers, caplog: pytest.LogCaptureFixture
) -> None:
    read = fetched({"device": "d-1"}, {}, {"device": "d-1"})
    customers.keyed([(0, read[0]), (1, read[0]), (0, read[1]), (0, read[2])], {})
    with caplog.at_level(logging.WARNING):
        customers.begin({0: 3, 1: 0, 2: -1})
        assert not caplog.records
        customers.begin({0: 4, 1: 1})
    assert "partitions [0] were read further" in caplog.text
