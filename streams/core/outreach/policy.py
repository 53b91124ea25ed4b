"""What a customer allows: consent, channel, quiet hours and the contact budget.

Shared by the room that decides (``core.outreach.stage``) and the last check before a send (``core.outreach.ledger``),
so that both read the same rules the same way. All times are int ms UTC; zones are IANA names.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from schemas.errors import ConfigError
from schemas.zones import why_no_zone, zone
from streams.core.outreach.consent import ALL, Profile

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
SEARCH_MS = 3 * DAY_MS
"""How far ahead an open hour is looked for; further away there is none (zones without a common daytime)."""


@dataclass(frozen=True, slots=True)
class Way:
    """A permitted way to reach a customer."""

    channel: str
    address: str


def way_to(profile: Profile, channels: Sequence[str]) -> Way | str:
    """The first address, in the customer's order, whose channel is ours and permitted; else the reason why not.

    Reasons: ``erased``, ``opted_out`` (beats every consent), ``unreadable``, ``no_consent``, ``no_address``.
    """
    withdrawn = profile.withdrawals
    if profile.erased or ALL in withdrawn:
        return "erased" if profile.erased else "opted_out"
    if profile.unreadable:
        return "unreadable"
    allowed = {channel for channel, granted in profile.consents if granted and channel in channels}
    granted = allowed - withdrawn.keys()
    if not granted:
        return "no_consent"
    for channel, address in profile.addresses:
        if channel in granted:
            return Way(channel, address)
    return "no_address"


@dataclass(frozen=True, slots=True)
class Budget:
    """At most ``limit`` contacts of one customer in any half-open window of ``window_ms``.

    The windows slide: with ``limit`` 1 and one day, a contact at noon blocks [noon, noon of the next day)::

        contact         next one allowed
        --|=============|-------------> event time
          [  window_ms  )
    """

    limit: int
    window_ms: int

    def __post_init__(self) -> None:
        """Refuse a budget that allows nothing or has no window."""
        if self.limit < 1 or self.window_ms < 1:
            raise ConfigError("a contact budget needs a limit of at least 1 and a window of at least 1 ms")


DEFAULT_BUDGETS = (Budget(1, DAY_MS), Budget(3, 7 * DAY_MS))


def fits(charges: Sequence[int], at_ms: int, budgets: Iterable[Budget]) -> bool:
    """True if no budget's window around ``at_ms`` gets too many; ``charges`` are sorted and may lie on both sides.

    Looking both ways keeps the promise even when a decision about an earlier time is taken later (late events).

    >>> fits([0], DAY_MS - 1, DEFAULT_BUDGETS), fits([0], DAY_MS, DEFAULT_BUDGETS)
    (False, True)
    """
    times = list(charges)
    here = bisect.bisect(times, at_ms)
    times.insert(here, at_ms)
    return all(
        times[first + budget.limit] - times[first] >= budget.window_ms
        for budget in budgets
        for first in range(max(0, here - budget.limit), min(here + 1, len(times) - budget.limit))
    )


def fits_from(charges: Sequence[int], at_ms: int, budgets: Sequence[Budget]) -> int:
    """The earliest time at or after ``at_ms`` at which one more contact keeps every budget."""
    ends = {charge + budget.window_ms for charge in charges for budget in budgets}
    candidates = sorted({at_ms, *(end for end in ends if end > at_ms)})
    return next(time for time in candidates if fits(charges, time, budgets))


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Nobody is contacted from ``start_hour`` to ``end_hour``, local time of the customer::

        local hour   0 . . . . . . . 8 . . . . . . . . . . . . 21 . . 24
                     quiet           | contact allowed         | quiet
        decided at   ^ 02:00 -> due at 08:00 of the same day
        decided at                                                ^ 22:00 -> due at 08:00 of the next day

    An unknown zone, or one that means a machine's own, takes the strictest reading that still permits contact: it must
    be open in every zone of ``served_zones`` at once. Without served zones nothing is known about that customer's
    night, so it is never open.
    """

    start_hour: int = 21
    end_hour: int = 8
    served_zones: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse hours outside the day and zones that do not exist."""
        if not (0 <= self.start_hour <= 23 and 0 <= self.end_hour <= 23):
            raise ConfigError("quiet hours must start and end at an hour from 0 to 23")
        wrong = [name for name in self.served_zones if zone(name) is None]
        if wrong:
            raise ConfigError(f"served zones: {' '.join(map(why_no_zone, wrong))}")

    def opens_at(self, at_ms: int, zone_name: str) -> int | None:
        """The first permitted time at or after ``at_ms``; None if there is none within three days."""
        own = zone(zone_name)
        zones = [own] if own else [known for known in map(zone, self.served_zones) if known]
        time = at_ms
        while zones and time - at_ms <= SEARCH_MS:
            later = max(self._open(time, one) for one in zones)
            if later == time:
                return time
            time = later
        return None

    def _open(self, at_ms: int, zone_info: ZoneInfo) -> int:
        """``at_ms`` itself if it is open there, else a later time to try (the end of the night)."""
        local = datetime.fromtimestamp(at_ms // 1000, zone_info)
        if not self._quiet(local.hour):
            return at_ms
        day = local.date() + timedelta(days=1 if local.hour >= self.end_hour else 0)
        end = datetime(day.year, day.month, day.day, self.end_hour, tzinfo=zone_info)
        # A change of clocks can put that hour before now or inside another night: then go on in small steps.
        return max(int(end.timestamp()) * 1000, (at_ms // (15 * MINUTE_MS) + 1) * 15 * MINUTE_MS)

    def _quiet(self, hour: int) -> bool:
        if self.start_hour <= self.end_hour:
            return self.start_hour <= hour < self.end_hour
        return hour >= self.start_hour or hour < self.end_hour
