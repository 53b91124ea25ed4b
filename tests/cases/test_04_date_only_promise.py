"""Case 04: a parcel promised for a day and delivered on it was late since midnight. A promised day means its end."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from streams.agents import detect, impact, join, match
from streams.runtime.memory import MemoryLine
from streams.settings import Settings
from streams.sources import parse_mapping, read
from streams.sources.arrivals import Beats, with_heartbeats

BERLIN = ZoneInfo("Europe/Berlin")
MAPPING = """
name: aftership
input: {format: ndjson}
zone: Europe/Berlin
source: aftership
customer: {pseudonym: "{msg.customers.0.email}", case: lower}
events:
  - to: order
    when: {field: msg.tag, equals: InTransit}
    time: {field: ts, format: epoch_s}
    id: "{event_id}"
    fields: &o
      order_id: "{msg.order_id}"
      status: shipped
      product: shop
      carrier: "{msg.slug}"
      promised_at_ms: {field: msg.expected_delivery}
  - to: order
    when: {field: msg.tag, equals: Delivered}
    time: {field: msg.shipment_delivery_date}
    id: "{event_id}"
    fields: {<<: *o, status: delivered}
"""


def row(event: str, tag: str, ts: int, delivered: str | None) -> dict[str, Any]:
    message = {"slug": "dhl", "order_id": "#1001", "customers": [{"email": "anna@example.invalid"}],
               "expected_delivery": "2026-03-05", "tag": tag, "shipment_delivery_date": delivered}  # fmt: skip
    return {"event": "tracking_update", "event_id": event, "msg": message, "ts": ts}


def findings(delivered: str, folder: Path) -> list[dict[str, Any]]:
    """What join says of one parcel that was promised for 5 March."""
    file = folder / "aftership.ndjson"
    rows = [row("e-1", "InTransit", 1_772_442_005, None), row("e-2", "Delivered", 1_772_716_809, delivered)]
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    line = MemoryLine([agent.room(Settings()) for agent in (join, detect, match, impact)], partitions=1)
    arrivals = read(parse_mapping(yaml.safe_load(MAPPING), pseudonym_key=b"k" * 16), file).arrivals()
    for one in with_heartbeats(arrivals, 1, Beats()):
        line.produce(one.noun, one.value, key=one.key, partition=one.partition, timestamp_ms=1_790_000_000_000)
    line.run()
    found = [json.loads(one.value) for noun in ("episode", "cohort_count") for one in line.raw(noun) if one.value]
    return [one for one in found if one.get("kind") in ("episode", "cohort_count")]


def failed(found: list[dict[str, Any]]) -> list[int]:
    return [len(leaf["failed"]) for one in found if one["kind"] == "cohort_count" for leaf in one["leaves"]]


@pytest.mark.parametrize("delivered", ["2026-03-05T14:20:00", "2026-03-05T23:59:59"])
def test_what_comes_on_the_promised_day_was_kept(delivered: str, tmp_path: Path) -> None:
    found = findings(delivered, tmp_path)
    assert {one["kind"] for one in found} == {"cohort_count"}
    assert set(failed(found)) == {0}


def test_what_comes_the_day_after_was_late_from_midnight(tmp_path: Path) -> None:
    found = findings("2026-03-06T00:00:00", tmp_path)
    assert [one["kind"] for one in found].count("episode") >= 1
    assert sum(failed(found)) == 1


def ms(local: str) -> int:
    return int(datetime.fromisoformat(local).replace(tzinfo=BERLIN).timestamp() * 1000)


def promised(spec: str, value: object, folder: Path, top: str = "") -> int:
    """The deadline that a specification makes of a value, in Berlin."""
    text = f"""
name: m
input: {{format: ndjson}}
zone: Europe/Berlin
customer: somebody
{top}
events:
  - to: order
    time: {{field: at}}
    fields: {{order_id: o, product: shop, status: placed, promised_at_ms: {spec}}}
"""
    file = folder / "rows.ndjson"
    file.write_text(json.dumps({"at": "2026-03-02T10:00Z", "due": value, "none": ""}) + "\n")
    (arrival,) = read(parse_mapping(yaml.safe_load(text)), file).arrivals()
    assert not arrival.headers, dict(arrival.headers)["dlq.rule"].decode()
    at_ms: int = json.loads(arrival.value)["promised_at_ms"]
    return at_ms


LAST = "2026-03-05T23:59:59.999"


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        ("{field: due}", "2026-03-05", LAST),
        ("{field: due}", "20260305", LAST),
        ("{field: due}", 20260305, LAST),
        ("{field: due}", "2026-W10-4", LAST),
        ('{field: due, format: "%Y%m%d"}', "20260305", LAST),
        ('{field: due, format: "%d.%m.%Y"}', "05.03.2026", LAST),
        ('{field: due, format: "%A, %d %B %Y"}', "Thursday, 05 March 2026", LAST),
        ('{text: "{due}", format: "%Y%m%d"}', "20260305", LAST),
        ("{field: due, format: excel}", 46086, LAST),
        ("{field: due, zone: UTC}", "2026-03-05", "2026-03-06T00:59:59.999"),
        ("{first_of: [none, {field: due}]}", "2026-03-05", LAST),
        ('{first_of: [none, due], format: "%Y%m%d"}', "20260305", LAST),
        # Days that the clocks make shorter or longer end when they end.
        ("{field: due}", "2026-03-29", "2026-03-29T23:59:59.999"),
        ("{field: due}", "2026-10-25", "2026-10-25T23:59:59.999"),
        # Whole days are added to the day, all else to its end.
        ('{field: due, format: "%Y%m%d", plus: 1d}', "20260305", "2026-03-06T23:59:59.999"),
        ("{field: due, plus: 1d}", "2026-03-28", "2026-03-29T23:59:59.999"),
        ("{field: due, plus: 2d}", "2026-10-24", "2026-10-26T23:59:59.999"),
        ("{field: due, minus: 24h}", "2026-03-05", "2026-03-04T23:59:59.999"),
        ("{field: due, plus: 8h}", "2026-03-05", "2026-03-06T07:59:59.999"),
        # A value with a time of day is what it says.
        ("{field: due}", "2026-03-05T00:00:00", "2026-03-05T00:00"),
        ("{field: due}", "2026-03-05T14:20", "2026-03-05T14:20"),
        ("{field: due, plus: 1d}", "2026-03-28T14:20", "2026-03-29T15:20"),
        ('{field: due, format: "%d.%m.%Y %H:%M"}', "05.03.2026 00:00", "2026-03-05T00:00"),
        ("{field: due, format: excel}", 46086.5, "2026-03-05T12:00"),
        ("{field: due, format: epoch_s}", 1_772_665_200, "2026-03-05T00:00"),
        ('{field: due, format: hhmm, date: "2026-3-5"}', "0000", "2026-03-05T00:00"),
        # Who means something else says so.
        ("{field: due, day: start}", "2026-03-05", "2026-03-05T00:00"),
        ("{field: due, day: start, plus: 18h}", "2026-03-05", "2026-03-05T18:00"),
        ('{field: due, format: "%Y%m%d", day: start, plus: 1d}', "20260305", "2026-03-06T00:00"),
        ("{field: due, day: end}", "2026-03-05T00:00:00", LAST),
        ("{field: due, day: end}", "2026-03-05T14:20:00", "2026-03-05T14:20"),
        ('{field: due, format: "%d.%m.%Y %H:%M", day: end}', "05.03.2026 00:00", LAST),
    ],
)
def test_what_a_deadline_means(spec: str, value: object, expected: str, tmp_path: Path) -> None:
    assert promised(spec, value, tmp_path) == ms(expected)


def test_a_named_time_is_a_start_where_something_happens_and_an_end_where_it_is_due(tmp_path: Path) -> None:
    named = "times: {due: {field: due}, again: {time: due}}"
    for spec in ("due", "{time: due}", "again", "{first_of: [due]}"):
        assert promised(spec, "2026-03-05", tmp_path, named) == ms(LAST)
    text = "name: m\nzone: Europe/Berlin\ncustomer: somebody\n" + named + """
events:
  - {to: order, time: due, fields: {order_id: o, product: shop, status: delivered}}
"""
    file = tmp_path / "rows.csv"
    file.write_text("due\n2026-03-05\n")
    (arrival,) = read(parse_mapping(yaml.safe_load(text)), file).arrivals()
    assert arrival.at_ms == ms("2026-03-05T00:00")


def test_a_day_with_an_offset_ends_in_its_own_zone(tmp_path: Path) -> None:
    assert promised("{field: due}", "2026-03-05Z", tmp_path) == ms("2026-03-06T00:59:59.999")
    assert promised("{field: due}", "2026-03-05+05:00", tmp_path) == ms("2026-03-05T19:59:59.999")
    spec = '{field: due, format: "%Y-%m-%d %z"}'
    assert promised(spec, "2026-03-05 +0000", tmp_path) == ms("2026-03-06T00:59:59.999")


@pytest.mark.parametrize(
    ("spec", "value", "rule"),
    [
        ("{field: due}", "2026-W10", "is a time of format iso that names a day, not only a week or month"),
        ("{field: due}", "2026-W10T18:00", "is a time of format iso that names a day, not only a week or month"),
        ("{field: due}", "2026-03", "is a time of format iso that names a day, not only a week or month"),
        ('{field: due, format: "%Y-%m"}', "2026-03", "names a day, whose end is the deadline"),
        ('{field: due, format: "%b %Y %%d"}', "Mar 2026 %d", "names a day, whose end is the deadline"),
    ],
)
def test_a_week_or_a_month_is_no_deadline(spec: str, value: str, rule: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=rule):
        promised(spec, value, tmp_path)


def test_a_month_is_its_first_day_if_that_is_said(tmp_path: Path) -> None:
    assert promised('{field: due, format: "%Y-%m", day: start}', "2026-03", tmp_path) == ms("2026-03-01T00:00")
    assert promised('{field: due, format: "%G-W%V-%u"}', "2026-W10-4", tmp_path) == ms(LAST)
