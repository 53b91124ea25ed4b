"""When a failure was put right, and whether anybody saw it happen: the small values that evidence is folded into."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from schemas.events import Origin

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
