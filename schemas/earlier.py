"""Findings of version 1 in today's form: topics and state keep for weeks what an earlier version wrote.

Findings carry no version of their own. A record of version 1 is known by the field ``family``, which ``signal``
replaced; every record that has changed since then had it. Readers call :func:`present` before they validate.
"""

from __future__ import annotations

from typing import Any

from schemas.currencies import OWN, currency_code, to_minor

_MONEY = {
    "amount_cents": "amounts", "at_risk_cents": "at_risk", "at_risk_low_cents": "at_risk_low",
    "at_risk_high_cents": "at_risk_high", "per_minute_cents": "per_minute", "service_cents": "service",
}  # fmt: skip
"""Field of version 1, one number in hundredths, and the list that replaced it. Order amounts had no currency."""


def present(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a record's fields in today's form; ``fields`` itself, unchanged, if they are in it already."""
    if "family" not in fields or "signal" in fields or "kind" not in fields:
        return fields
    currency = fields.get("currency", OWN)
    named = {"signal" if name == "family" else name: value for name, value in fields.items()}
    for old, name in _MONEY.items():
        if type(named.get(old)) is int and isinstance(currency, str):
            hundredths = named.pop(old)
            code = currency_code(currency)
            is_listed = name != "amounts" or hundredths > 0
            named[name] = [{"currency": code, "minor": to_minor(hundredths, code)}] if is_listed else []
    if named["kind"] == "impact":
        named.pop("currency", None)
        named["amounts"] = []
    return named
