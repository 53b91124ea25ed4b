"""Local times of a company's files -> milliseconds since 1970 UTC, daylight saving included."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from schemas.errors import MalformedEvent

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
UNIT_NAMES = {"milliseconds": 1, "seconds": 1_000, "minutes": 60_000, "hours": 3_600_000, "days": 86_400_000}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.toordinal()
_MILLISECOND = timedelta(milliseconds=1)
_HOUR = timedelta(hours=1, microseconds=-1)
_MOST_HOURS = 50_000


def duration_ms(text: str) -> int:
    """``30m`` -> 1,800,000. Units: ms, s, m, h, d. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return round(float(match.group(1)) * _UNITS[match.group(2)])


@dataclass(frozen=True, slots=True)
class ZoneRules:
    """A zone, and what to do twice a year: ``gap`` (02:30 that never was), ``overlap`` (02:30 that was twice)."""

    zone: ZoneInfo
    gap: Literal["forward", "reject"] = "forward"
    overlap: Literal["first", "second", "reject"] = "first"
    _offsets: dict[int, int | None] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Hour of the local calendar -> offset from UTC in ms, None around a change of the clocks."""

    def to_ms(self, local: datetime) -> int:
        """A naive local time (or an aware one, whose own zone counts). Raises MalformedEvent on a refused one."""
        if local.tzinfo is not None:
            return (local - _EPOCH) // _MILLISECOND
        hour = local.toordinal() * 24 + local.hour
        try:
            offset = self._offsets[hour]
        except KeyError:
            offset = self._offset(local, hour)
        if offset is None:
            return (self._transition(local).astimezone(UTC) - _EPOCH) // _MILLISECOND
        into_hour = local.minute * 60_000 + local.second * 1_000 + local.microsecond // 1_000
        return (hour - _EPOCH_DAY * 24) * 3_600_000 + into_hour - offset

    def clock_ms(self, day: date, minute: int) -> int:
        """A minute of a local day, 0 to 1440 (the end of the day). Raises MalformedEvent as :meth:`to_ms` does."""
        hour = day.toordinal() * 24 + minute // 60
        offset = self._offsets.get(hour)
        if offset is None:
            return self.to_ms(datetime.combine(day, time()) + timedelta(minutes=minute))
        return (hour - _EPOCH_DAY * 24) * 3_600_000 + minute % 60 * 60_000 - offset

    def start_ms(self, day: date) -> int:
        """The first instant of a local day, whatever the clocks do at midnight."""
        midnight = datetime.combine(day, time(), self.zone)
        return (midnight.astimezone(UTC) - _EPOCH) // _MILLISECOND

    def end_ms(self, day: date) -> int:
        """The last millisecond of a local day, which may have 23 or 25 hours."""
        return self.start_ms(day + timedelta(days=1)) - 1

    def local_day(self, at_ms: int) -> date:
        """The local day on which an instant lies."""
        return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(self.zone).date()

    def _offset(self, local: datetime, hour: int) -> int | None:
        """The offset of a whole local hour, kept for its next time; None if the clocks change in it."""
        start = local.replace(minute=0, second=0, microsecond=0, tzinfo=self.zone)
        moments = (start, start.replace(fold=1), start + _HOUR, (start + _HOUR).replace(fold=1))
        offsets = {moment.utcoffset() for moment in moments}
        offset = (offsets.pop() or timedelta()) // _MILLISECOND if len(offsets) == 1 else None
        if len(self._offsets) >= _MOST_HOURS:
            self._offsets.clear()
        self._offsets[hour] = offset
        return offset

    def _transition(self, local: datetime) -> datetime:
        """Around a change of the clocks: a time in a gap does not survive the way to UTC and back."""
        first, second = local.replace(tzinfo=self.zone, fold=0), local.replace(tzinfo=self.zone, fold=1)
        if first.utcoffset() == second.utcoffset():
            return first
        exists = first.astimezone(UTC).astimezone(self.zone).replace(tzinfo=None) == local
        if not exists and self.gap == "reject":
            raise MalformedEvent("", "local time exists (it lies in the hour that is skipped)", "", "mapping")
        if exists and self.overlap == "reject":
            raise MalformedEvent("", "local time is unambiguous (it lies in the hour that comes twice)", "", "mapping")
        return second if exists and self.overlap == "second" else first
