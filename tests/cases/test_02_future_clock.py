"""Case 02: a file with the time at which each row was received. One event claims to lie 14 days after its arrival.

It moved the clock of its partition, and everything behind it was too late. Now it is a dead letter, and counts for
nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.agents.join import room
from streams.runtime.memory import MemoryLine
from streams.settings import Settings
from streams.sources import parse_mapping, read
from streams.sources.arrivals import Beats, with_heartbeats

NOW_MS = 1_790_000_000_000
"""When the file is played, half a year later."""
MAPPING = """
name: segment
input: {format: ndjson}
source: segment
customer: "{userId}"
events:
  - to: telemetry
    time: {field: timestamp}
    arrival: {field: receivedAt}
    id: "{messageId}"
    fields:
      product: shop
      event_name: "{event}"
      outcome: {field: event, table: {Checkout Failed: failed}, default: ok}
"""
ROWS = (
    ("m-1", "Checkout Completed", "2026-03-02T10:00:00Z", "2026-03-02T10:00:01Z"),
    ("m-2", "open", "2026-03-16T20:28:31Z", "2026-03-02T10:00:05Z"),
    ("m-3", "Checkout Failed", "2026-03-02T10:01:00Z", "2026-03-02T10:01:01Z"),
)
TEN = 1_772_445_600_000
"""2026-03-02T10:00:00Z."""


def played(folder: Path, native: str, customers: int) -> MemoryLine:
    file = folder / "track.ndjson"
    names = ("messageId", "event", "timestamp", "receivedAt")
    file.write_text("\n".join(json.dumps({"userId": "u-1", **dict(zip(names, row, strict=True))}) for row in ROWS))
    settings = Settings(native=native, clock_customers=customers)
    line = MemoryLine([room(settings)], partitions=1)
    arrivals = read(parse_mapping(yaml.safe_load(MAPPING)), file).arrivals()
    for one in with_heartbeats(arrivals, 1, Beats()):
        line.produce(one.noun, one.value, key=one.key, partition=one.partition, timestamp_ms=NOW_MS)
    line.run()
    return line


def rows(line: MemoryLine, noun: str) -> list[dict[str, Any]]:
    return [json.loads(entry.value) for entry in line.raw(noun) if entry.value is not None]


@pytest.mark.parametrize("customers", [1, 3])
@pytest.mark.parametrize("native", ["auto", "off"])
def test_an_event_two_weeks_ahead_of_its_arrival_is_a_dead_letter_and_blinds_nobody(
    native: str, customers: int, tmp_path: Path
) -> None:
    line = played(tmp_path, native, customers)
    (letter,) = line.raw("telemetry.dlq")
    assert json.loads(letter.value or b"")["event_id"] == "m-2"
    assert dict(letter.headers)["dlq.reason"] == b"future_time"
    (episode,) = (row for row in rows(line, "episode") if row["kind"] == "episode")
    assert (episode["signal"], episode["customer_id"], episode["evidence"]) == ("app", "u-1", ["m-3"])
    assert rows(line, "late") == []
    marks = [row["through_ms"] for row in rows(line, "episode") if row["kind"] == "watermark"]
    assert max(marks) < TEN + 3 * 60_000
