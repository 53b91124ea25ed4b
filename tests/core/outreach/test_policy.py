"""Consent, quiet hours and budgets: what a customer allows."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.errors import ConfigError
from schemas.events import Address, Consent
from streams.core.outreach.consent import profile_of
from streams.core.outreach.policy import (
    DAY_MS,
    DEFAULT_BUDGETS,
    HOUR_MS,
    Budget,
    QuietHours,
    Way,
    fits,
    fits_from,
    way_to,
)  # fmt: skip
from tests.core.match.world import customer

ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns", "UTC",
         "Pacific/Apia", "Africa/Cairo", "America/Sao_Paulo", "Asia/Gaza", "Antarctica/Troll"]  # fmt: skip


def ms(text: str) -> int:
    """UTC time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@given(st.integers(ms("2005-01-01"), ms("2035-01-01")), st.sampled_from(ZONES))
@example(ms("2026-03-29T00:30"), "Europe/Berlin")
@example(ms("2026-10-25T00:30"), "Europe/Berlin")
@example(ms("2011-12-30T08:00"), "Pacific/Apia")
@example(ms("2026-03-08T06:59:59.999"), "America/New_York")
def test_the_opening_time_is_open_and_no_earlier_quarter_hour_is(at: int, name: str) -> None:
    opens = QuietHours().opens_at(at, name)
    assert opens is not None
    assert opens >= at
    assert 8 <= datetime.fromtimestamp(opens / 1000, ZoneInfo(name)).hour < 21
    for earlier in range(at, opens, 15 * 60_000):
        hour = datetime.fromtimestamp(earlier / 1000, ZoneInfo(name)).hour
        assert hour >= 21 or hour < 8


#  21:00 |night| 08:00, in Berlin the clock jumps from 02:00 to 03:00 on 29 March and back on 25 October
@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("2026-01-15T19:59:59", "2026-01-15T19:59:59"),
        ("2026-01-15T20:00:00", "2026-01-16T07:00:00"),
        ("2026-03-28T22:00:00", "2026-03-29T06:00:00"),
        ("2026-10-24T20:00:00", "2026-10-25T07:00:00"),
    ],
)
def test_berlin_sleeps_from_nine_to_eight_also_when_clocks_change(at: str, opens: str) -> None:
    assert QuietHours().opens_at(ms(at), "Europe/Berlin") == ms(opens)


@pytest.mark.parametrize("name", ["", "Nowhere/Land", "../../etc/passwd", "Europe/Berlin\x00", "/etc/localtime"])
def test_an_unknown_zone_waits_until_it_is_day_in_every_zone_we_serve(name: str) -> None:
    quiet = QuietHours(served_zones=("Europe/Berlin", "America/New_York"))
    #  Berlin is open 07-20 UTC, New York 13-02 UTC in January: both from 13 to 20
    assert quiet.opens_at(ms("2026-01-15T09:00"), name) == ms("2026-01-15T13:00")
    assert quiet.opens_at(ms("2026-01-15T20:30"), name) == ms("2026-01-16T13:00")


def test_an_unknown_zone_is_never_open_if_no_zone_is_served_or_their_days_never_meet() -> None:
    assert QuietHours().opens_at(ms("2026-01-15T12:00"), "") is None
    apart = QuietHours(start_hour=12, end_hour=8, served_zones=("Pacific/Auckland", "Europe/London"))
    assert apart.opens_at(ms("2026-01-15T12:00"), "") is None


def test_a_served_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="Mars/Base"):
        QuietHours(served_zones=("Mars/Base",))


@pytest.mark.parametrize("name", ["localtime", "posixrules", "Factory", "factory", "posix/Europe/Berlin", "right/UTC"])
def test_a_zone_that_depends_on_the_machine_counts_as_unknown(name: str) -> None:
    assert QuietHours().opens_at(ms("2026-01-15T12:00"), name) is None
    berlin = QuietHours(served_zones=("Europe/Berlin",))
    assert berlin.opens_at(ms("2026-01-15T02:00"), name) == berlin.opens_at(ms("2026-01-15T02:00"), "Europe/Berlin")
    with pytest.raises(ConfigError, match=name):
        QuietHours(served_zones=(name,))


@given(st.lists(st.integers(0, 20 * 24), max_size=12).map(lambda hours: [hour * HOUR_MS for hour in hours]))
def test_contacts_that_fit_one_by_one_never_exceed_any_window_whatever_their_order(times: list[int]) -> None:
    taken: list[int] = []
    for time in times:
        if fits(taken, time, DEFAULT_BUDGETS):
            taken = sorted([*taken, time])
    for start in taken:
        assert sum(start <= time < start + DAY_MS for time in taken) <= 1
        assert sum(start <= time < start + 7 * DAY_MS for time in taken) <= 3


@given(st.lists(st.integers(0, 200), max_size=6), st.integers(0, 200))
def test_the_next_free_time_is_the_earliest_that_fits(hours: list[int], at: int) -> None:
    charges = sorted(hour * HOUR_MS for hour in hours)
    free = fits_from(charges, at * HOUR_MS, DEFAULT_BUDGETS)
    assert fits(charges, free, DEFAULT_BUDGETS)
    assert not any(fits(charges, hour * HOUR_MS, DEFAULT_BUDGETS) for hour in range(at, free // HOUR_MS))


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError):
        Budget(0, DAY_MS)


def test_an_opt_out_beats_every_consent() -> None:
    assert way_to(profile_of(customer(opted_out=True)), ("webhook",)) == "opted_out"


def test_consent_is_per_channel_and_for_service_and_a_refusal_beats_a_grant() -> None:
    service = Consent(channel="webhook", granted=True)
    marketing = Consent(channel="webhook", purpose="marketing", granted=True)
    refusal = Consent(channel="webhook", granted=False)
    ways = {consents: way_to(profile_of(customer(consents=consents)), ("webhook",))
            for consents in [(service,), (marketing,), (service, refusal), (refusal, service), ()]}  # fmt: skip
    assert ways[(service,)] == Way("webhook", "a-c-1")
    assert set(ways.values()) == {Way("webhook", "a-c-1"), "no_consent"}


def test_the_first_address_in_the_customers_order_is_used() -> None:
    consents = tuple(Consent(channel=channel, granted=channel != "sms") for channel in ("sms", "email", "webhook"))
    addresses = tuple(Address(channel=channel, token=channel) for channel in ("sms", "email", "webhook"))
    profile = profile_of(customer(consents=consents, addresses=addresses))
    assert way_to(profile, ("webhook", "email", "sms")) == Way("email", "email")
    assert way_to(profile_of(customer(addresses=())), ("webhook",)) == "no_address"
