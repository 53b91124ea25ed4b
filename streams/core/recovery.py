"""When a failure was put right, and whether anybody saw it happen: the small values that evidence is folded into."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from schemas.events import Origin

Interval = tuple[int, int | None]
"""From (included) until (left out), event time; none = it goes on."""
Intervals = tuple[Interval, ...]
MAX_INTERVALS = 16
"""Intervals remembered of one customer and issue; older ones matter only to decisions that were taken long ago."""
ORIGINS: Final[tuple[Origin, ...]] = ("live", "drill", "replay")
"""From the gravest to the least: evidence counts as live if one failure in it was seen live."""


def gravest(origins: Iterable[Origin]) -> Origin:
    """Return the origin of evidence made of parts; the order of the parts does not matter."""
    return min(origins, key=ORIGINS.index, default="live")


def all_put_right(times: Iterable[int | None]) -> int | None:
    """Return when the last of several parts was put right, None while one is not."""
    latest = 0
    for time_ms in times:
        if time_ms is None:
            return None
        latest = max(latest, time_ms)
    return latest or None


def merged(intervals: Iterable[Interval]) -> Intervals:
    """The same time in as few intervals as possible, earliest first; of many, the latest.

    >>> merged([(8, None), (1, 3), (2, 5), (9, 10)])
    ((1, 5), (8, None))
    """
    found: list[Interval] = []
    for since, until in sorted(intervals, key=lambda each: each[0]):
        last = found[-1][1] if found else 0
        if found and (last is None or since <= last):
            found[-1] = (found[-1][0], None if last is None or until is None else max(last, until))
        else:
            found.append((since, until))
    return tuple(found[-MAX_INTERVALS:])


def gaps(intervals: Intervals) -> list[tuple[int, int]]:
    """What lies between intervals that are :func:`merged`.

    >>> gaps(((1, 5), (8, None)))
    [(5, 8)]
    """
    return [(until, since) for (_, until), (since, _) in pairwise(intervals) if until is not None]
