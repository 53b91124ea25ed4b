"""Currencies of ISO 4217: how many decimals each has, and how amounts are read, compared and shown.

Events carry hundredths of one unit of the currency, whatever it is (``amount_cents``); findings carry minor units: yen
have no decimals, Kuwaiti dinars three. Amounts of different currencies are never added.

Codes and decimals: ISO 4217, table A.1 as of 1 January 2026, and the codes withdrawn since 2007 with the decimals they
had, because history is played too. Units without decimals of their own (gold, testing, ``XXX``) are kept in hundredths.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_BY_DECIMALS = {
    0: "BIF BYR CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP
    COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR
    JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN
    NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL
    THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
    XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX
    ANG BGN CUC CYP EEK GHC HRK LTL LVL MRO MTL SDD SIT SKK SLL STD TMM USS VEB VEF ZMK ZWD ZWL ZWN ZWR
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
DECIMALS: Mapping[str, int] = MappingProxyType(
    {code: decimals for decimals, codes in _BY_DECIMALS.items() for code in codes.split()}
)
"""Code -> number of decimals of its minor unit."""
_STEPS = {0: (1, 100), 2: (1, 1), 3: (10, 1), 4: (100, 1)}
"""Number of decimals -> minor units of so many hundredths."""
UNKNOWN = "XXX"
"""What stands for a code that ISO 4217 does not know."""
OWN = ""
"""No currency was named: the company's own is meant. Its amounts are hundredths until it is known which that is."""


def currency_code(text: str) -> str:
    """Return a currency as findings name it: in capitals, ``XXX`` if ISO 4217 does not know it, empty stays empty.

    >>> currency_code("jpy"), currency_code("abc"), currency_code("")
    ('JPY', 'XXX', '')
    """
    if text in DECIMALS or text == OWN:
        return text
    capitals = text.upper() if text.isascii() else UNKNOWN
    return capitals if capitals in DECIMALS else UNKNOWN


def to_minor(hundredths: int, currency: str) -> int:
    """Return hundredths of a unit in minor units of the currency, halves rounded up. Empty or unknown: hundredths.

    >>> to_minor(555_000, "JPY"), to_minor(1_250, "KWD"), to_minor(4_990, "EUR")
    (5550, 12500, 4990)
    """
    decimals = DECIMALS.get(currency, 2)
    more, less = _STEPS[decimals]
    return (hundredths * more + less // 2) // less


def money_text(minor: int, currency: str) -> str:
    """Return an amount for people, with the currency's own number of decimals.

    >>> money_text(127_650, "JPY"), money_text(-1_093_430, "EUR"), money_text(1_234, "KWD")
    ('127,650 JPY', '-10,934.30 EUR', '1.234 KWD')
    """
    decimals = DECIMALS.get(currency, 2)
    whole, rest = divmod(abs(minor), 10**decimals)
    digits = f"{whole:,}.{rest:0{decimals}d}" if decimals else f"{whole:,}"
    return f"{'-' if minor < 0 else ''}{digits} {currency}".rstrip()
