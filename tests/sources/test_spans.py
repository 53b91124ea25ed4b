"""``--from / --to``: a file in order of time is not read past its end; any other file is read as a whole."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from streams.sources import MappedFile, Span, parse_mapping, read
from streams.sources.spans import ROWS_PAST, TOLERANCE_MS, SpanReading

START = 1_773_216_000_000
MINUTE_MS = 60_000
DAY_MS = 1_440 * MINUTE_MS
MAPPING = {
    "name": "taps",
    "customer": "{who}",
    "events": [
        {
            "to": "telemetry",
            "time": {"field": "at", "format": "epoch_ms"},
            "fields": {"product": "app", "event_name": "tap", "outcome": "ok"},
        }
    ],
}


def file_of(folder: Path, times: Iterable[int]) -> Path:
    file = folder / "taps.csv"
    with file.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["at", "who"])
        rows.writerows([START + time, f"c-{number % 9}"] for number, time in enumerate(times))
    return file


def played(file: Path, end_ms: int, start_ms: int = 0) -> tuple[MappedFile, list[int]]:
    reading = read(parse_mapping(MAPPING), file, Span(START + start_ms, START + end_ms))
    return reading, [one.at_ms - START for one in reading.arrivals() if not one.headers]


def test_a_sorted_file_is_read_no_further_than_an_hour_and_a_thousand_rows_past_the_end(tmp_path: Path) -> None:
    times = [minute * MINUTE_MS for minute in range(20_000)]
    reading, found = played(file_of(tmp_path, times), DAY_MS, 60 * MINUTE_MS)
    assert found == times[60:1_440]
    line = 1 + 1_440 + 60 + ROWS_PAST
    assert line <= reading.tally.rows < line + 300, "up to the end of the rows that are mapped together"
    assert [text for text in reading.notes if f"stopped reading at line {line:,}: sorted by time" in text]


def test_newest_first_is_not_sorted_and_loses_nothing(tmp_path: Path) -> None:
    times = [minute * MINUTE_MS for minute in reversed(range(5_000))]
    reading, found = played(file_of(tmp_path, times), DAY_MS)
    assert len(found) == 1_440
    assert reading.tally.rows == len(times)
    assert [text for text in reading.notes if "not sorted by time (line 63 is more than 1 h older than" in text]


def test_one_clock_that_runs_ahead_ends_nothing_early(tmp_path: Path) -> None:
    times = [minute * MINUTE_MS for minute in range(5_000)]
    times[100] = 400 * DAY_MS
    reading, found = played(file_of(tmp_path, times), DAY_MS)
    assert len(found) == 1_440 - 1
    assert reading.tally.rows == len(times)


def test_months_in_the_wrong_order_are_all_read(tmp_path: Path) -> None:
    """Nothing of the span was seen yet, so a later month that comes first is no end."""
    later, earlier = (range(start, start + 3_000) for start in (50_000, 0))
    times = [minute * MINUTE_MS for minute in (*later, *earlier)]
    reading, found = played(file_of(tmp_path, times), 3_000 * MINUTE_MS)
    assert len(found) == 3_000
    assert reading.tally.rows == len(times)


def test_without_an_end_nothing_is_said(tmp_path: Path) -> None:
    reading = read(parse_mapping(MAPPING), file_of(tmp_path, [DAY_MS, 0]))
    assert len(list(reading.arrivals())) == 2
    assert reading.notes == []


steps = st.lists(st.integers(-30 * MINUTE_MS, 4 * MINUTE_MS * 60), max_size=40)


def wobbly(found: Sequence[int]) -> list[int]:
    """Times that go forward on the whole and back by up to half an hour."""
    time, times = 0, []
    for step in found:
        for _ in range(60):
            time = max(time, time + step // 60)
            times.append(time + min(0, step))
    return times


@given(steps, st.integers(0, 30 * DAY_MS // 10))
def test_no_row_of_a_file_that_is_sorted_within_the_tolerance_is_missed(found: list[int], end_ms: int) -> None:
    times = wobbly(found)
    reading, taken = SpanReading(Span(0, START + end_ms)), []
    for line, time in enumerate(times, 2):
        if reading.takes(line, START + time):
            taken.append(time)
        if reading.stopped_at:
            break
    assert TOLERANCE_MS > 30 * MINUTE_MS
    assert taken == [time for time in times if time < end_ms]
