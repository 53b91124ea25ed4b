"""Local times of a company's files -> milliseconds since 1970 UTC, daylight saving included."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from schemas.errors import MalformedEvent

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
UNIT_NAMES = {"milliseconds": 1, "seconds": 1_000, "minutes": 60_000, "hours": 3_600_000, "days": 86_400_000}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
NAMED_FORMATS = ("iso", "epoch_s", "epoch_ms", "hhmm")


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

    def to_ms(self, local: datetime) -> int:
        """A naive local time (or an aware one, whose own zone counts). Raises MalformedEvent on a refused one."""
        if local.tzinfo is not None:
            return (local - _EPOCH) // _MILLISECOND
        first, second = local.replace(tzinfo=self.zone, fold=0), local.replace(tzinfo=self.zone, fold=1)
        moment = first
        if first.utcoffset() != second.utcoffset():
            moment = self._transition(local, first, second)
        return (moment.astimezone(UTC) - _EPOCH) // _MILLISECOND

    def _transition(self, local: datetime, first: datetime, second: datetime) -> datetime:
        """Around a change of the clocks: a time in a gap does not survive the way to UTC and back."""
        exists = first.astimezone(UTC).astimezone(self.zone).replace(tzinfo=None) == local
        if not exists and self.gap == "reject":
            raise MalformedEvent("", "local time exists (it lies in the hour that is skipped)", "", "mapping")
        if exists and self.overlap == "reject":
            raise MalformedEvent("", "local time is unambiguous (it lies in the hour that comes twice)", "", "mapping")
        return second if exists and self.overlap == "second" else first


def parser(form: str, zone_rules: ZoneRules) -> Callable[[object], int]:
    """A function from a file's value to ms UTC. ``form``: iso, epoch_s, epoch_ms or a strptime pattern.

    The function raises ValueError, TypeError or OverflowError on values that do not fit, MalformedEvent on times
    that the clock refuses.
    """
    if form == "epoch_ms":
        return lambda value: round(float(str(value)))
    if form == "epoch_s":
        return lambda value: round(float(str(value)) * 1_000)
    if form == "iso":
        return lambda value: zone_rules.to_ms(datetime.fromisoformat(_text(value)))
    if "%z" in form:
        return lambda value: zone_rules.to_ms(datetime.strptime(_text(value), form).astimezone(UTC))
    return lambda value: zone_rules.to_ms(
        datetime.strptime(_text(value), form).replace(tzinfo=UTC).replace(tzinfo=None)
    )


def hhmm_on(value: object, day: date, zone_rules: ZoneRules) -> int:
    """``5``, ``"517"``, ``"05:17"`` or ``2400`` (the end of the day) on a local day -> ms UTC."""
    digits = _text(value).strip().replace(":", "")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 4:
        raise ValueError("hhmm")
    hour, minute = divmod(int(digits), 100)
    if minute > 59 or hour > 24 or (hour == 24 and minute):
        raise ValueError("hhmm")
    return zone_rules.to_ms(datetime.combine(day, time()) + timedelta(hours=hour, minutes=minute))


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError("time")
    return str(value)
