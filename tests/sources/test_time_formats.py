"""Formats of times: what is read, and what a refusal says when another format was meant."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import MalformedEvent
from schemas.events import MAX_TIME_MS, MIN_TIME_MS
from streams.sources.time_formats import DayRule, WrongTime, has_time_of_day, misread, parser
from streams.sources.times import ZoneRules

BERLIN = ZoneInfo("Europe/Berlin")
RULES = DayRule(ZoneRules(BERLIN))
NOON = 1_772_708_400_000
"""2026-03-05T12:00 in Berlin, 11:00 UTC."""


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        ("iso", "2026-03-05T12:00", NOON),
        ("iso", "2026-03-05 12:00:00", NOON),
        ("iso", "2026-03-05 12:00:00,250", NOON + 250),
        ("iso", "2026-03-05T12:00:00.250999999", NOON + 250),
        ("iso", "2026-03-05T11:00:00Z", NOON),
        ("iso", "2026-03-05t11:00:00z", NOON),
        ("iso", "2026-03-05T12:00:00+01:00", NOON),
        ("iso", "2026-03-05T12:00:00+0100", NOON),
        ("iso", "2026-03-05T12:00:00+01", NOON),
        ("iso", "2026-03-05 12:00:00 +0100", NOON),
        ("iso", "2026-03-05 12:00:00 +01:00", NOON),
        ("iso", "2026-03-05 11:00:00 UTC", NOON),
        ("iso", "2026-03-05 11:00:00.250 UTC", NOON + 250),
        ("iso", "2026-03-05 11:00:00UTC", NOON),
        ("iso", "2026-03-05 11:00 GMT", NOON),
        ("iso", "2026-03-05T12:00:00+01:00[Europe/Berlin]", NOON),
        ("iso", " 2026-03-05T12:00 ", NOON),
        ("iso", "20260305T120000", NOON),
        ("iso", "20260305T110000Z", NOON),
        ("iso", "2026-03-04T24:00", NOON - 43_200_000),
        ("iso", "2026-03-04 24:00:00", NOON - 43_200_000),
        ("iso", "2026-03-05", NOON - 43_200_000),
        ("iso", "2026-W10-4T12:00", NOON),
        ("epoch_s", 1_772_708_400, NOON),
        ("epoch_s", "1772708400", NOON),
        ("epoch_s", 1_772_708_400.25, NOON + 250),
        ("epoch_s", "1772708400.2509", NOON + 250),
        ("epoch_ms", 1_772_708_400_250, NOON + 250),
        ("epoch_ms", "1772708400250.9", NOON + 250),
        ("epoch_ms", 1.772708400250e12, NOON + 250),
        ("epoch_us", 1_772_708_400_250_999, NOON + 250),
        ("epoch_us", "1772708400250999", NOON + 250),
        ("epoch_ns", 1_772_708_400_250_999_999, NOON + 250),
        ("epoch_ns", "1772708400250999999", NOON + 250),
        ("excel", 46086.5, NOON),
        ("excel", "46086.5", NOON),
        ("excel", "46086", NOON - 43_200_000),
        ("excel", "46086.597222222222", NOON + 8_400_000),
        ("excel_1904", 44624.5, NOON),
        ("rfc2822", "Thu, 05 Mar 2026 12:00:00 +0100", NOON),
        ("rfc2822", "5 Mar 2026 11:00:00 GMT", NOON),
        ("rfc2822", "Thu, 05 Mar 2026 06:00:00 EST", NOON),
        ("rfc2822", "Thu, 05 Mar 2026 11:00:00 -0000", NOON),
        ("%d.%m.%Y %H:%M", "05.03.2026 12:00", NOON),
        ("%m/%d/%y %I:%M %p", "03/05/26 12:00 PM", NOON),
        ("%Y%m%d", "20260305", NOON - 43_200_000),
        ("%Y-%m-%d %H:%M:%S %z", "2026-03-05 06:00:00 -0500", NOON),
    ],
)
def test_what_files_write_is_read(form: str, value: object, expected: int) -> None:
    assert parser(form, RULES)(value) == expected


@pytest.mark.parametrize(
    ("form", "value", "rule"),
    [
        ("epoch_ms", 1_772_708_400_250_999, "is a time of format epoch_ms (format epoch_us fits this value)"),
        ("epoch_ms", "1772708400", "is a time of format epoch_ms (format epoch_s fits this value)"),
        ("epoch_s", 1_772_708_400_250, "is a time of format epoch_s (format epoch_ms fits this value)"),
        ("epoch_us", "1772708400250999999", "is a time of format epoch_us (format epoch_ns fits this value)"),
        ("epoch_s", 0, "is a time of format epoch_s between 2000 and 2100"),
        ("epoch_s", -1_772_708_400, "is a time of format epoch_s between 2000 and 2100"),
        ("epoch_s", 46086, "is a time of format epoch_s between 2000 and 2100"),
        ("iso", "1772708400", "is a time of format iso (format epoch_s fits this value)"),
        ("iso", 1_772_708_400_250, "is a time of format iso (format epoch_ms fits this value)"),
        ("iso", "05.03.2026", "is a time of format iso"),
        ("iso", "2026-02-30", "is a time of format iso"),
        ("iso", "2026-03-05+", "is a time of format iso"),
        ("iso", "2026-03-05T12:00[Europe/Berlin]", "is a time of format iso"),
        ("iso", "2026-03-05T12:00:60", "is a time of format iso"),
        ("excel", 1_772_708_400, "is a time of format excel (format epoch_s fits this value)"),
        ("excel", 60, "is a time of format excel between 2000 and 2100"),
        ("excel", 10**30, "is a time of format excel"),
        ("iso", "1999-12-31", "is a time of format iso between 2000 and 2100"),
        ("iso", "9999-12-31", "is a time of format iso between 2000 and 2100"),
        ("%Y%m%d%H%M", "13483100", "is a time of format %Y%m%d%H%M between 2000 and 2100"),
        ("rfc2822", "Thu, 01 Jan 1970 00:00:00 +0000", "is a time of format rfc2822 between 2000 and 2100"),
        ("excel", "2026-03-05", "is a time of format excel (format iso fits this value)"),
        ("epoch_s", "1.7727084e9", "is a time of format epoch_s"),
        ("epoch_s", "\u0661\u0667", "is a time of format epoch_s"),
        ("epoch_s", "", "is a time of format epoch_s"),
        ("rfc2822", "Thu, 05 Mar 2026 12:00:00 CET", "is a time of format rfc2822 with an offset, as in +0100"),
        ("rfc2822", "Thu, 05 Mar 2026 12:00:00", "is a time of format rfc2822 with an offset, as in +0100"),
        ("rfc2822", "yesterday", "is a time of format rfc2822"),
        ("%d.%m.%Y", "2026-03-05", "is a time of format %d.%m.%Y (format iso fits this value)"),
        ("%d.%m.%Y", "31.02.2026", "is a time of format %d.%m.%Y"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_format_that_does(form: str, value: object, rule: str) -> None:
    with pytest.raises(WrongTime) as refused:
        parser(form, RULES)(value)
    assert str(refused.value) == rule


@pytest.mark.parametrize("form", ["iso", "epoch_s", "epoch_us", "excel", "rfc2822", "%Y-%m-%d"])
@pytest.mark.parametrize("value", [True, None, ["2026-03-05"], {"a": 1}])
def test_what_is_no_single_value_is_no_time(form: str, value: object) -> None:
    with pytest.raises(TypeError):
        parser(form, RULES)(value)


def test_a_pattern_has_a_time_of_day_or_not() -> None:
    assert not any(map(has_time_of_day, ["%Y-%m-%d", "%d. %B %Y", "%x", "%%H %j %Y", "%Y%m%d%z"]))
    assert all(map(has_time_of_day, ["%Y-%m-%d %H", "%I %p", "%c", "%X", "%d%%%H"]))


MOMENTS = st.integers(946_800_000_000_000, 4_102_300_000_000_000).map(
    lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
)
ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Kolkata",
                         "Pacific/Apia", "Africa/Cairo", "America/Sao_Paulo", "UTC"])  # fmt: skip


@given(MOMENTS, ZONES)
def test_a_time_written_in_any_format_is_read_back(moment: datetime, name: str) -> None:
    zone = ZoneInfo(name)
    rule = DayRule(ZoneRules(zone))
    exact = moment - datetime(1970, 1, 1, tzinfo=UTC)
    ms, us = exact // timedelta(milliseconds=1), exact // timedelta(microseconds=1)
    local = moment.astimezone(zone)
    assert parser("epoch_us", rule)(us) == parser("epoch_ns", rule)(str(us * 1_000)) == ms
    assert parser("epoch_s", rule)(f"{us // 1_000_000}.{us % 1_000_000:06}") == ms
    assert parser("iso", rule)(local.isoformat(sep=" ")) == ms
    assert parser("iso", rule)(local.strftime("%Y-%m-%d %H:%M:%S.%f %z")) == ms
    assert parser("rfc2822", rule)(local.strftime("%a, %d %b %Y %H:%M:%S %z")) == ms // 1_000 * 1_000
    second = DayRule(ZoneRules(zone, overlap="second" if local.fold else "first"))
    assert parser("iso", second)(local.replace(tzinfo=None).isoformat()) == ms
    assert parser("%d.%m.%Y %H:%M:%S.%f", second)(local.strftime("%d.%m.%Y %H:%M:%S.%f")) == ms


@given(st.dates(date(2000, 1, 2), date(2099, 12, 30)), ZONES)
def test_a_day_ends_where_the_next_begins(day: date, name: str) -> None:
    rules = ZoneRules(ZoneInfo(name), gap="reject", overlap="reject")
    start, end = parser("iso", DayRule(rules)), parser("iso", DayRule(rules, "end"))
    assert end(str(day)) + 1 == start(str(day + timedelta(days=1)))
    hours = (end(str(day)) + 1 - start(str(day))) / 3_600_000
    assert 23 <= hours <= 25 or (name == "Pacific/Apia" and str(day) in ("2011-12-29", "2011-12-30"))


def test_a_clock_that_refuses_a_time_does_not_refuse_a_day() -> None:
    strict = DayRule(ZoneRules(ZoneInfo("America/Havana"), gap="reject", overlap="reject"))
    assert parser("iso", strict)("2026-03-08") == 1_772_946_000_000
    with pytest.raises(MalformedEvent, match="local time exists"):
        parser("iso", strict)("2026-03-08T00:30")


PATTERNS = st.sampled_from([
    "%Y%m%d", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%Y%m%d%H%M%S", "%Y-%m-%dT%H:%M:%SZ", "%H h, %d.%m.%Y",
    "%d%m%Y%H%M", "%Y-%d-%m %H", "%d.%m.%y", "%Y-%m-%d %M", "%Y %% %m %d",
])  # fmt: skip


@given(PATTERNS, st.data())
def test_plain_patterns_are_read_as_strptime_reads_them(form: str, data: st.DataObject) -> None:
    number = st.integers(0, 62)
    part = st.one_of(number.map(str), number.map("{:02}".format), st.sampled_from(["", " 5", "x"]))
    year = st.sampled_from(["2026", "26", "1999", "٢٠٢٦", "20260"])
    parts = {letter: data.draw(part) for letter in "mdHMS"} | {"Y": data.draw(year), "y": "26", "%": "%"}
    text = "".join(parts.get(piece[1:], piece) if piece[0] == "%" else piece for piece in re.findall("%.|[^%]+", form))

    def read(parse: Callable[[], int]) -> int | None:
        try:
            at_ms = parse()
        except ValueError:
            return None
        return at_ms if MIN_TIME_MS <= at_ms <= MAX_TIME_MS else None

    rule = DayRule(ZoneRules(ZoneInfo("UTC")))
    expected = read(lambda: rule.of_moment(datetime.strptime(text, form).replace(tzinfo=UTC)))
    assert read(lambda: parser(form, rule)(text)) == expected


def test_patterns_that_would_be_read_as_another_time_are_told_apart() -> None:
    assert not any(map(misread, ["%Y-%m-%d %H:%M UTC", "%I:%M %p", "%d.%m.%Y", "%H:%M %z", "%%p %%Z %H"]))
    assert all(map(misread, ["%H:%M %p", "%I:%M", "%Y %Z"]))
