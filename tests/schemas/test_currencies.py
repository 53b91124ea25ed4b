"""Currencies: which there are, how many decimals they have, how amounts are read and shown."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.currencies import DECIMALS, OWN, UNKNOWN, currency_code, money_text, to_minor
from schemas.events import Order


@pytest.mark.parametrize(
    ("text", "code"),
    [("EUR", "EUR"), ("eur", "EUR"), ("Jpy", "JPY"), ("", ""), ("XXX", "XXX"), ("BTC", "XXX"), ("E", "XXX"),
     ("EU", "XXX"), ("€", "XXX"), (" ", "XXX"), ("eür", "XXX"), ("\u0131sk", "XXX"), ("hrk", "HRK")],
)  # fmt: skip
def test_a_code_is_read_in_any_case_and_one_that_iso_does_not_know_is_xxx(text: str, code: str) -> None:
    assert currency_code(text) == code


@pytest.mark.parametrize(
    ("hundredths", "currency", "minor", "text"),
    [
        (555_000, "JPY", 5_550, "5,550 JPY"),
        (1_093_430, "EUR", 1_093_430, "10,934.30 EUR"),
        (1_234, "KWD", 12_340, "12.340 KWD"),
        (1_234, "CLF", 123_400, "12.3400 CLF"),
        (50, "JPY", 1, "1 JPY"),
        (49, "JPY", 0, "0 JPY"),
        (-1_205, "CHF", -1_205, "-12.05 CHF"),
        (7, "", 7, "0.07"),
        (100_000_000, "XXX", 100_000_000, "1,000,000.00 XXX"),
    ],
)
def test_hundredths_become_minor_units_and_words(hundredths: int, currency: str, minor: int, text: str) -> None:
    assert to_minor(hundredths, currency) == minor
    assert money_text(minor, currency) == text


@given(st.integers(0, 10**12), st.sampled_from([*sorted(DECIMALS), OWN]))
def test_minor_units_are_the_amount_at_the_decimals_of_its_currency(hundredths: int, currency: str) -> None:
    exact = Decimal(hundredths) / 100
    rounded = exact.quantize(Decimal(1).scaleb(-DECIMALS.get(currency, 2)), ROUND_HALF_UP)
    assert Decimal(to_minor(hundredths, currency)).scaleb(-DECIMALS.get(currency, 2)) == rounded


def test_every_code_has_three_capitals_and_a_number_of_decimals_and_the_unknown_one_is_among_them() -> None:
    assert all(code.isascii() and code.isupper() and len(code) == 3 for code in DECIMALS)
    assert {DECIMALS[code] for code in ("JPY", "KRW", "VND", "ISK", "CLP", "UGX")} == {0}
    assert {DECIMALS[code] for code in ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")} == {3}
    assert UNKNOWN in DECIMALS
    assert len(DECIMALS) > 178


def test_every_code_fits_the_field_of_an_event() -> None:
    for code in DECIMALS:
        Order(event_id="e", event_time_ms=1_767_225_600_000, customer_id="c", order_id="o", status="paid",
              product="shop", currency=code)  # fmt: skip
