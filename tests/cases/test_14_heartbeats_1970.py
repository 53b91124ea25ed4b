"""Case 14: a file whose rows are all rejected was followed by heartbeats of 1970. Without an event no time passes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from schemas.events import HEARTBEAT_KEY
from streams.sources import parse_mapping, read
from streams.sources.arrivals import Arrival, Beats, is_event, with_heartbeats

MAPPING = """
name: ga4
input: {format: ndjson}
source: ga4
customer: "{user_pseudo_id}"
events:
  - to: telemetry
    time: {field: event_timestamp, format: epoch_ms}
    fields: {product: shop, event_name: "{event_name}", outcome: ok}
"""
PROFILES = """
name: people
input: {format: ndjson}
customer: "{who}"
events:
  - to: customer
    time: {field: event_timestamp, format: epoch_ms}
    fields: {time_zone: Europe/Berlin}
"""
MICROSECONDS = '{"event_timestamp":"1772445600123456","event_name":"purchase","user_pseudo_id":"1111.2222"}\n'
MILLISECONDS = '{"event_timestamp":"1772445600123","event_name":"purchase","user_pseudo_id":"1111.2222"}\n'


def played(mapping: str, text: str, folder: Path) -> list[Arrival]:
    file = folder / "ga4.ndjson"
    file.write_text(text)
    return list(with_heartbeats(read(parse_mapping(yaml.safe_load(mapping)), file).arrivals(), 1, Beats()))


def beats(arrivals: list[Arrival]) -> list[int]:
    return [json.loads(one.value)["event_time_ms"] for one in arrivals if one.key == HEARTBEAT_KEY]


@pytest.mark.parametrize("rows", [1, 700])
def test_a_file_of_rejects_only_moves_no_time(rows: int, tmp_path: Path) -> None:
    found = played(MAPPING, MICROSECONDS * rows, tmp_path)
    assert len(found) == rows
    assert all(letter.headers for letter in found)


def test_the_first_heartbeat_comes_after_the_first_event_and_none_is_older_than_it(tmp_path: Path) -> None:
    found = played(MAPPING, MICROSECONDS + MILLISECONDS + MICROSECONDS, tmp_path)
    kinds = ["letter" if one.headers else "beat" if one.key == HEARTBEAT_KEY else "event" for one in found]
    assert kinds == ["letter", "letter", "event", "beat", "beat", "beat"]
    assert min(beats(found)) > 1_772_445_600_123


def test_a_file_of_profiles_moves_no_time(tmp_path: Path) -> None:
    found = played(PROFILES, '{"event_timestamp":"1772445600123","who":"c-1"}\n' * 3, tmp_path)
    assert [one.noun for one in found] == ["customer"] * 3


def test_dead_letters_profiles_and_changes_between_events_move_no_time_either() -> None:
    start, hour = 1_772_445_600_000, 3_600_000
    event = Arrival(start, "order", b"c-1", None, b"{}")
    others = [
        Arrival(0, "order", None, None, b"x", (("dlq.topic", b"cx.order.v1"),)),
        Arrival(start + hour, "customer", b"c-1", None, b"{}"),
        Arrival(start + hour, "change", b"rel-1", None, b"{}"),
    ]
    found = list(with_heartbeats([*others, event, *others], 1, Beats()))
    assert [one for one in found if one.key != HEARTBEAT_KEY] == [*others, event, *others]
    assert set(beats(found)) == {start + 60_000}
    assert [is_event(one) for one in others] == [False, False, False]
