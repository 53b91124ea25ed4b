"""``--heartbeat auto``: few heartbeats where nothing happens, and the same findings as with one a minute."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import HEARTBEAT_KEY
from schemas.topics import EVENT_NOUNS, MINUTE_MS
from streams.agents import detect, impact, join, match, outreach
from streams.replay.canonical import NATURAL_KEYS, canonical
from streams.runtime.memory import Cadence, MemoryLine
from streams.settings import Settings
from streams.sources import load_mapping, read
from streams.sources.arrivals import Arrival, Beats, automatic, with_heartbeats

START = 1_773_216_000_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
MINUTELY = Beats()
COMPARED = sorted(NATURAL_KEYS.keys() - {"delivery"})


def at(times: Iterable[int]) -> list[Arrival]:
    return [Arrival(START + time, "order", b"c-1", None, b"{}") for time in times]


def promised(arrivals: Iterable[Arrival]) -> list[int]:
    """How far the heartbeats of one topic and partition had come when each event came, and at the end."""
    found, newest = [], 0
    for one in arrivals:
        if one.key == HEARTBEAT_KEY:
            newest = max(newest, json.loads(one.value)["event_time_ms"])
        else:
            found.append(newest)
    return [*found, newest]


def test_two_years_of_daily_data_have_thousands_of_heartbeats_not_millions() -> None:
    events = at(day * DAY_MS for day in range(731) for _ in range(5))
    found = list(with_heartbeats(events, 4, automatic(None)))
    assert len(found) - len(events) == 731 * 4 * len(EVENT_NOUNS)


def test_a_quiet_night_that_is_paced_has_heartbeats_at_a_bearable_rate() -> None:
    def beats(speed: float) -> int:
        return len(list(with_heartbeats(at([0, 8 * HOUR_MS]), 1, automatic(speed)))) - 2

    assert beats(600) == 480 * len(EVENT_NOUNS)
    assert beats(60_000) == 7 * len(EVENT_NOUNS), "one in 100 minutes, the last before the event, and the closing one"


@given(st.lists(st.integers(0, 3 * HOUR_MS), max_size=40), st.sampled_from([None, 1.0, 600.0, 20_000.0]))
def test_every_event_finds_the_clocks_where_minutely_heartbeats_leave_them(
    times: list[int], speed: float | None
) -> None:
    events = at(sorted(times))
    thin, full = (list(with_heartbeats(events, 1, beats)) for beats in (automatic(speed), MINUTELY))
    assert promised(thin) == promised(full)
    assert {one for one in thin if one.key == HEARTBEAT_KEY} <= set(full)
    assert [one.at_ms for one in thin] == sorted(one.at_ms for one in thin)


def orders(folder: Path, sparse: bool) -> Path:
    """The export of a shop: payments fail for a while, then parcels of one depot are late; quiet days between."""
    dice, lines = random.Random(7), []
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    days = [0, 1, 4, 6] if sparse else [0]
    for day in days:
        for number in range(60 if sparse else 900):
            at = begin + timedelta(days=day, seconds=dice.randrange(8 * 3_600 if sparse else 86_400))
            struck = dice.random() < (0.6 if day == days[-1] else 0.03)
            hours = dice.randrange(10, 60 if day % 3 else 40)
            cells = (
                f"{day}-{number}", f"c{dice.randrange(700)}@example.org", f"{at:%d.%m.%Y %H:%M}",
                "-" if struck else f"{at + timedelta(minutes=2):%d.%m.%Y %H:%M}", "DECLINED" if struck else "-",
                "12,00", "paynow", "SwiftPost", dice.choice(("HAM-2", "AMS-1")), "Deutschland", "24",
                f"{at + timedelta(hours=hours):%d.%m.%Y %H:%M}", "-", "-",
            )  # fmt: skip
            lines.append(";".join(cells) + "\n")
    file = folder / "orders.csv"
    header = Path("docs/examples/shop-orders.csv").read_text(encoding="utf-8").splitlines()[0]
    file.write_text(header + "\n" + "".join(lines), encoding="utf-8")
    return file


def findings(file: Path, beats: Beats, seed: int | None) -> dict[str, list[bytes]]:
    settings = Settings()
    rooms = [module.room(settings) for module in (join, detect, match, impact, outreach)]
    line = MemoryLine(rooms, partitions=2, cadence=Cadence(seed=seed))
    reading = read(load_mapping("shop", b"a-long-random-text"), file)
    for one in with_heartbeats(reading.arrivals(), 2, beats):
        line.produce(one.noun, one.value, key=one.key, partition=one.partition)
    line.run()
    raw = {noun: (json.loads(entry.value) for entry in line.raw(noun) if entry.value is not None) for noun in COMPARED}
    return {noun: canonical(noun, rows) for noun, rows in raw.items()}


@pytest.mark.parametrize("sparse", [True, False])
def test_the_shop_has_the_same_findings_as_with_a_heartbeat_a_minute(sparse: bool, tmp_path: Path) -> None:
    file = orders(tmp_path, sparse)
    expected = findings(file, MINUTELY, None)
    assert all(expected[noun] for noun in ("cohort_count", "episode", "issue", "affected", "impact"))
    assert findings(file, automatic(None), None) == expected
    assert findings(file, automatic(None), 5) == expected
