"""Formats in which files write times, each a function from a value to ms UTC.

| format | example |
|---|---|
| `iso` | `2026-03-05T14:20:00+01:00`, `2026-03-05 14:20 +0100`, `20260305`, `2026-03-05 14:20:00,5 UTC` |
| `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns` | a number (also as text) of units since 1970 UTC |
| `excel`, `excel_1904` | a serial day of a spreadsheet, local time; 46086.5 is noon of 5 March 2026 |
| `rfc2822` | `Thu, 05 Mar 2026 14:20:00 +0100` |
| a pattern | `%d.%m.%Y %H:%M`, the directives of Python's strptime |

What is finer than a millisecond is cut off. Values that name only a day (an ISO date, a pattern without a time of day,
a serial day without a fraction) mean its start, or its end where a deadline is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Literal, TypeVar
from zoneinfo import ZoneInfo

from schemas.events import MAX_TIME_MS, MIN_TIME_MS
from schemas.topics import DAY_MS
from streams.sources.times import ZoneRules

T = TypeVar("T")
Parser = Callable[[object], int]
"""From a file's value to ms UTC. Raises WrongTime or TypeError on values that do not fit, MalformedEvent on times that
the clock refuses."""

_PER_MS: Mapping[str, Decimal] = {
    "epoch_s": Decimal("0.001"), "epoch_ms": Decimal(1), "epoch_us": Decimal(1_000), "epoch_ns": Decimal(1_000_000),
}  # fmt: skip
_FIRST_DAY = {"excel": date(1899, 12, 30), "excel_1904": date(1904, 1, 1)}
NAMED_FORMATS = ("iso", *_PER_MS, *_FIRST_DAY, "rfc2822", "hhmm")
MOMENTS = (*_PER_MS, "rfc2822", "hhmm")
"""Formats whose values always have a time of day."""
_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{0,20})?")
_ZONE_AFTER = re.compile(r"(.*[0-9]) ?(?:[zZ]|UTC|GMT|([+-][0-9]{2}:?[0-9]{2}))(?:\[[A-Za-z0-9_/+-]+\])?")
_MIDNIGHT_AFTER = re.compile(r"(.{8,10}[T ])24((?::?00)*(?:[.,]0+)?(?:[zZ]|[+-][0-9:]+)?)")
_DAY = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}|[0-9]{4}-?W[0-9]{2}-?[1-7]")
_NO_DAY = re.compile(r"[0-9]{4}-?W[0-9]{2}(?:[Tt ].*)?|[0-9]{4}-[0-9]{2}")
_DAY_OF_PATTERN = re.compile(r"%[-:]?[djecxDF]")
_WEEKDAY, _WEEK = re.compile(r"%[uwaA]"), re.compile(r"%[UWV]")
_TIME_OF_DAY = re.compile(r"%[-:]?[HIMSfpcXTRs]")


_DIRECTIVE = re.compile("%([A-Za-z])")
_ORDER = "YmdHMS"
_QUICK = frozenset({"Ymd", "YmdH", "YmdHM", "YmdHMS"})
_UTC_RULES = ZoneRules(ZoneInfo("UTC"))
_MOST_KNOWN = 10_000
_BETWEEN = frozenset("Tt ")


class WrongTime(ValueError):
    """A value is no time of its format. Its text is the rule that was broken, never the value."""


@dataclass(frozen=True, slots=True)
class DayRule:
    """What a value means that names only a day. ``midnight``: 00:00 names only a day, too."""

    zone_rules: ZoneRules
    means: Literal["start", "end"] = "start"
    midnight: bool = False

    def of_day(self, day: date) -> int:
        """A local day -> ms UTC."""
        return self.zone_rules.end_ms(day) if self.means == "end" else self.zone_rules.start_ms(day)

    def of_moment(self, moment: datetime) -> int:
        """A time with its time of day -> ms UTC."""
        at_ms = self.zone_rules.to_ms(moment)
        if self.midnight and self.means == "end" and moment.time() == time():
            return at_ms + DAY_MS - 1 if moment.tzinfo is not None else self.of_day(moment.date())
        return at_ms


def has_time_of_day(form: str) -> bool:
    """Whether a pattern names at least an hour."""
    return _TIME_OF_DAY.search(form.replace("%%", "")) is not None


def misread(form: str) -> str:
    """What is wrong with a pattern whose values strptime would read as another time without an error, or empty."""
    found = set(_DIRECTIVE.findall(form.replace("%%", "")))
    if "p" in found and "I" not in found:
        return "%p counts only beside %I: %H would read 10:00 PM as 10:00."
    if "I" in found and "p" not in found:
        return "%I needs %p, which tells the morning from the evening; hours of 24 are %H."
    if "Z" in found:
        return "%Z reads no zone. Write its name as it stands, as in %H:%M UTC, and set zone beside; offsets are %z."
    return ""


def may_name_a_day(form: str) -> bool:
    """Whether a value of this format can name a day without a time of day."""
    return form not in MOMENTS and not ("%" in form and has_time_of_day(form))


def parser(form: str, rule: DayRule) -> Parser:
    """The function of a format (not hhmm, see :func:`clock_minute`)."""
    return _explained(form, _reading(form, rule))


def _reading(form: str, rule: DayRule) -> Parser:
    if form in _PER_MS:
        return _epoch(form)
    if form in _FIRST_DAY:
        return _serial_day(form, rule)
    if form == "rfc2822":
        return lambda value: _rfc2822(value, rule)
    return _iso(rule) if form == "iso" else _pattern(form, rule)


def _epoch(form: str) -> Parser:
    per_ms, whole_per_ms = _PER_MS[form], int(_PER_MS[form])

    def parse(value: object) -> int:
        if whole_per_ms and type(value) is int:
            at_ms = value // whole_per_ms
        else:
            at_ms = int((_exact(value) / per_ms).to_integral_value("ROUND_FLOOR"))
        return at_ms

    return parse


def _exact(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError("time")
    if isinstance(value, str):
        if _NUMBER.fullmatch(value.strip()) is None:
            raise ValueError("number")
        return Decimal(value.strip())
    return Decimal(repr(value))


def _fitting(value: object) -> str:
    """The format of epochs, or ISO, that makes a time between 2000 and 2100 of a value; empty if none does."""
    try:
        number = _exact(value)
    except (TypeError, ValueError, InvalidOperation):
        number = Decimal(0)
    for form, per_ms in _PER_MS.items():
        if MIN_TIME_MS <= number / per_ms <= MAX_TIME_MS:
            return form
    if isinstance(value, str):
        try:
            return "iso" if MIN_TIME_MS <= _iso(DayRule(_UTC_RULES))(value) <= MAX_TIME_MS else ""
        except (ValueError, OverflowError):
            return ""
    return ""


def _explained(form: str, parse: Parser) -> Parser:
    """The function with its errors in words: the format that fits, if another does."""
    rule = f"is a time of format {form}"

    def explained(value: object) -> int:
        try:
            at_ms = parse(value)
        except WrongTime:
            raise
        except (ValueError, OverflowError):
            fits = _fitting(value)
            raise WrongTime(f"{rule} (format {fits} fits this value)" if fits and fits != form else rule) from None
        if MIN_TIME_MS <= at_ms <= MAX_TIME_MS:
            return at_ms
        fits = _fitting(value)
        raise WrongTime(f"{rule} (format {fits} fits this value)" if fits else f"{rule} between 2000 and 2100")

    return explained


def _serial_day(form: str, rule: DayRule) -> Parser:
    first = datetime.combine(_FIRST_DAY[form], time())

    def parse(value: object) -> int:
        serial = _exact(value)
        day = first + timedelta(days=int(serial))
        if serial == int(serial):
            return rule.of_day(day.date())
        return rule.zone_rules.to_ms(day + timedelta(milliseconds=round((serial - int(serial)) * DAY_MS)))

    return parse


def _rfc2822(value: object, rule: DayRule) -> int:
    text = _text(value)
    moment = parsedate_to_datetime(text)
    if moment.tzinfo is None:
        if not text.rstrip().endswith("-0000"):
            raise WrongTime("is a time of format rfc2822 with an offset, as in +0100")
        moment = moment.replace(tzinfo=UTC)
    return rule.of_moment(moment)


def _iso(rule: DayRule) -> Parser:
    def parse(value: object) -> int:
        text = value if isinstance(value, str) else _text(value)
        if len(text) <= 10 and _DAY.fullmatch(text) is not None:
            return rule.of_day(date.fromisoformat(text))
        if text.endswith(" UTC"):
            text = text[:-4] + "Z"
        try:
            moment = _strict_iso(text)
        except ValueError:
            return _loose_iso(text.strip(), rule)
        return rule.of_moment(moment)

    return parse


def _strict_iso(text: str) -> datetime:
    """ISO 8601 with a T or a space: Python takes any character there, also the sign of an offset."""
    if text[10:11] not in _BETWEEN and (text[8:9] not in _BETWEEN or "W" in text):
        raise ValueError("separator")
    return datetime.fromisoformat(text)


def _loose_iso(text: str, rule: DayRule) -> int:
    """What exports write beside the standard: a space before the offset, UTC as a word, 24:00, a day and an offset."""
    if _DAY.fullmatch(text) is not None:
        return rule.of_day(date.fromisoformat(text))
    if _NO_DAY.fullmatch(text) is not None:
        raise WrongTime("is a time of format iso that names a day, not only a week or month")
    if (parts := _ZONE_AFTER.fullmatch(text)) is not None:
        offset = parts[2] or "+00:00"
        if _DAY.fullmatch(parts[1]) is not None:
            return _zoned_day(datetime.fromisoformat(f"{parts[1]}T00:00{offset}"), rule)
        text = parts[1] + offset
    days = timedelta()
    if (parts := _MIDNIGHT_AFTER.fullmatch(text)) is not None:
        text, days = f"{parts[1]}00{parts[2]}", timedelta(days=1)
    return rule.of_moment(_strict_iso(text) + days)


def _zoned_day(start: datetime, rule: DayRule) -> int:
    return rule.zone_rules.to_ms(start) + (DAY_MS - 1 if rule.means == "end" else 0)


def names_a_day(form: str) -> bool:
    """Whether a pattern names a day, not only a week, a month or a year."""
    plain = form.replace("%%", "")
    return bool(_DAY_OF_PATTERN.search(plain) or (_WEEKDAY.search(plain) and _WEEK.search(plain)))


def _pattern(form: str, rule: DayRule) -> Parser:
    if rule.means == "end" and not names_a_day(form):
        return _without_end
    read = _quick(form) or datetime.strptime
    if has_time_of_day(form):
        return lambda value: rule.of_moment(read(_text(value), form))
    if "%z" in form:
        return lambda value: _zoned_day(read(_text(value), form), rule)
    return remembering(lambda value: rule.of_day(read(_text(value), form).date()))


def _without_end(_: object) -> int:
    raise WrongTime("names a day, whose end is the deadline (day: start takes the first day of a week or month)")


def _quick(form: str) -> Callable[[str, str], datetime] | None:
    """strptime for a pattern of plain numbers, several times quicker where each has all its digits; None for others."""
    parts = _DIRECTIVE.split(form)
    names = parts[1::2]
    if "".join(sorted(names, key=_ORDER.find)) not in _QUICK or "%" in "".join(parts[::2]):
        return None
    pieces = [f"(?P<{name}>[0-9]{{{4 if name == 'Y' else 2}}})" for name in names]
    match = re.compile("".join(a + b for a, b in zip(map(re.escape, parts[::2]), [*pieces, ""], strict=True))).fullmatch
    iso = "%(Y)s-%(m)s-%(d)s" + "".join(f"{mark}%({name})s" for mark, name in zip("T::", _ORDER[3:], strict=True)
                                        if name in names)  # fmt: skip

    slow = datetime.strptime

    def read(text: str, form: str) -> datetime:
        found = match(text)
        return slow(text, form) if found is None else datetime.fromisoformat(iso % found.groupdict())

    return read


def remembering(parse: Callable[[object], T]) -> Callable[[object], T]:
    """The same function, which remembers what it made of texts: days and minutes come again and again."""
    known: dict[str, T] = {}

    def parsed(value: object) -> T:
        if type(value) is not str:
            return parse(value)
        found = known.get(value)
        if found is None:
            if len(known) >= _MOST_KNOWN:
                known.clear()
            found = known[value] = parse(value)
        return found

    return parsed


def clock_minute(value: object) -> int:
    """``5``, ``"517"``, ``"05:17"`` or ``2400`` (the end of the day) -> minute of the day, 0 to 1440."""
    digits = _text(value).strip().replace(":", "")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 4:
        raise ValueError("hhmm")
    hour, minute = divmod(int(digits), 100)
    if minute > 59 or hour > 24 or (hour == 24 and minute):
        raise ValueError("hhmm")
    return hour * 60 + minute


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError("time")
    return str(value)
