"""Amounts of money per currency, as rooms fold them: kept apart by currency, the same in any order and however often.

An amount is (currency, minor units); a list of them has one entry per currency, sorted, and none of zero or less. While
the currency is empty (the company's own, which only rooms with its setting know) an amount is in hundredths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from schemas.currencies import DECIMALS, OWN, currency_code, to_minor
from schemas.errors import ConfigError
from schemas.fields import MOST_MINOR, Money
from schemas.hotfindings import money

Amount = tuple[str, int]
"""(currency, minor units)."""
Amounts = tuple[Amount, ...]
NONE: Amount = (OWN, 0)


def amount_of(hundredths: int, currency: str) -> Amount:
    """Return what an event says, its currency as findings name it.

    >>> amount_of(555_000, "jpy")
    ('JPY', 5550)
    """
    code = currency_code(currency)
    return code, to_minor(hundredths, code)


def listed(by_currency: Mapping[str, int]) -> Amounts:
    """Return amounts as a list; what is larger than the contract allows is cut."""
    return tuple((code, min(minor, MOST_MINOR)) for code, minor in sorted(by_currency.items()) if minor > 0)


def largest(amounts: Iterable[Amount]) -> Amounts:
    """Return the largest amount of each currency."""
    found: dict[str, int] = {}
    for code, minor in amounts:
        found[code] = max(minor, found.get(code, 0))
    return listed(found)


def summed(amounts: Iterable[Amount]) -> Amounts:
    """Return the sum of each currency."""
    found: dict[str, int] = {}
    for code, minor in amounts:
        found[code] = found.get(code, 0) + minor
    return listed(found)


def owned(amounts: Iterable[Amount], own: str) -> list[Amount]:
    """Return amounts with the company's currency, ``own``, where none is named; may hold one currency twice.

    >>> owned([("", 555_000), ("EUR", 4_990)], "JPY")
    [('JPY', 5550), ('EUR', 4990)]
    """
    return [(own, to_minor(minor, own)) if code == OWN else (code, minor) for code, minor in amounts]


def require_currency(own: str) -> None:
    """Raise ConfigError unless a company can have this currency."""
    if own not in DECIMALS:
        raise ConfigError("CX_CURRENCY: should be a code of ISO 4217 in capitals, such as EUR, CHF, JPY or USD")


def amounts_of(records: Iterable[Money]) -> Amounts:
    """Return amounts that a finding lists."""
    return tuple((one.currency, one.minor) for one in records)


def as_money(amounts: Iterable[Amount]) -> tuple[Money, ...]:
    """Return amounts as a finding that is a struct lists them (``schemas.hotfindings``)."""
    return tuple(money(code, minor) for code, minor in amounts)


def as_records(amounts: Iterable[Amount]) -> tuple[Money, ...]:
    """Return amounts as a finding that is a model lists them."""
    return tuple(Money(currency=code, minor=minor) for code, minor in amounts)
