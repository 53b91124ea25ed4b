"""What a replay reads of a recording when only a stretch of it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import ConfigError
from streams.replay.opening import SourceRequest, open_source
from streams.replay.recording import RecordingWriter
from streams.replay.source import from_arrivals, targets
from streams.settings import Settings
from streams.sources.arrivals import Arrival

HOUR_MS = 3_600_000
AT_MS = 1_772_323_200_000
"""2026-03-01T00:00:00Z."""


def written(folder: Path) -> None:
    """An event, a profile and a change in each of five hours, at offsets from 100 on."""
    with RecordingWriter(folder, partitions=1) as writer:
        for noun in ("order", "customer", "change"):
            for hour in range(5):
                writer.log(noun, 0).append(b"k", b"%d" % hour, (), AT_MS + hour * HOUR_MS, 100 + hour)


def values(folder: Path, noun: str, start: str | None = None, end: str | None = None) -> list[bytes | None]:
    source = open_source(SourceRequest(str(folder), start=start, end=end), Settings())
    return [value for batch in source.batches(noun, 0) for value in batch.values]


def test_events_are_of_the_stretch_and_what_holds_until_it_is_replaced_is_of_all_before_its_end(tmp_path: Path) -> None:
    written(tmp_path)
    stretch = {"start": "2026-03-01T02:00:00Z", "end": "2026-03-01T04:00:00+00:00"}
    assert values(tmp_path, "order", **stretch) == [b"2", b"3"]
    assert values(tmp_path, "customer", **stretch) == values(tmp_path, "change", **stretch) == [b"0", b"1", b"2", b"3"]
    assert values(tmp_path, "order") == [b"0", b"1", b"2", b"3", b"4"]


def test_a_recording_goes_on_from_an_offset(tmp_path: Path) -> None:
    written(tmp_path)
    source = open_source(SourceRequest(str(tmp_path)), Settings())
    (batch,) = source.batches("order", 0, 103)
    assert (batch.start, batch.next, list(batch.values)) == (103, 105, [b"3", b"4"])
    assert source.describe()["offsets"] == {"order-0": [100, 105], "customer-0": [100, 105], "change-0": [100, 105]}


def test_a_folder_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="allowed are live, simulation"):
        open_source(SourceRequest(str(tmp_path / "none")), Settings())


@pytest.mark.parametrize(
    ("noun", "key", "partition", "expected"),
    [
        ("order", b"c-1", None, (3,)),
        ("order", b"c-1", 0, (0,)),
        ("order", b"cx.heartbeat", None, (0, 1, 2, 3)),
        ("change", b"rel-1", None, (0,)),
        ("command", b"cmd-1", None, (0, 1, 2, 3)),
    ],
)
def test_a_message_goes_where_a_producer_would_write_it(
    noun: str, key: bytes, partition: int | None, expected: tuple[int, ...]
) -> None:
    arrival = Arrival(AT_MS, noun, key, partition, b"{}")
    assert tuple(targets(arrival, 4)) == expected
    made = from_arrivals("one", "simulation", [arrival], 4)
    assert sorted(number for _, number in made.logs) == sorted(expected)


@pytest.mark.parametrize("appended", [True, False])
def test_messages_keep_their_append_times_in_a_recording_if_they_have_any(tmp_path: Path, appended: bool) -> None:
    arrivals = [Arrival(AT_MS + hour, "order", b"c-1", None, b"%d" % hour) for hour in range(3)]
    made = from_arrivals("one", "world", arrivals, 1, appended)
    kept = made.write(tmp_path)
    stamps = [stamp for batch in kept.batches("order", 0) for stamp in batch.timestamps]
    assert stamps == [stamp for batch in made.batches("order", 0) for stamp in batch.timestamps]
    assert kept.appended is appended
    assert (stamps == [AT_MS, AT_MS + 1, AT_MS + 2]) is appended
