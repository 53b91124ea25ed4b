"""Findings of version 1 are read as what they say today, by every decoder."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.codec import canonical, decode, encode, reference_decode
from schemas.earlier import present
from schemas.fields import Money
from tests.schemas.golden import load

NOUNS = ("cohort_count", "episode", "issue", "affected", "affected_count", "impact")


FIGURES = ("at_risk", "at_risk_low", "at_risk_high", "per_minute", "service")


def earlier(fields: dict[str, Any]) -> dict[str, Any]:
    """A record as version 1 wrote it: money in hundredths, that of figures in one currency, that of orders in none."""
    found = {"family" if name == "signal" else name: value for name, value in fields.items()}
    if found["kind"] == "impact":
        del found["amounts"]
        found["currency"] = found["at_risk"][0]["currency"]
        found |= {f"{name}_cents": found.pop(name)[0]["minor"] for name in FIGURES}
    elif "amounts" in found:
        found["amount_cents"] = max((one["minor"] for one in found.pop("amounts")), default=0)
    return found


def without_currency(fields: dict[str, Any]) -> dict[str, Any]:
    """A record of today as far as version 1 knew it."""
    if fields["kind"] == "impact":
        return {**fields, "amounts": []}
    return {name: [{**one, "currency": ""} for one in value] if name == "amounts" else value
            for name, value in fields.items()}  # fmt: skip


@pytest.mark.parametrize("noun", NOUNS)
def test_a_finding_of_version_1_says_the_same_as_one_of_today(noun: str) -> None:
    known = [value for value in map(json.loads, load(noun).values) if "signal" in value]
    today = [without_currency(value) for value in known]
    assert today
    old = [json.dumps(earlier(value)).encode() for value in today]
    assert b"family" in old[0]
    found = decode(noun, old)
    assert (found.rejects, found.unknown_fields) == ([], 0)
    wanted = decode(noun, [json.dumps(value).encode() for value in today]).records
    assert list(map(encode, found.records)) == list(map(encode, wanted))


@pytest.mark.parametrize(("currency", "minor"), [("JPY", 576), ("KWD", 576_000), ("EUR", 57_600), ("abc", 57_600)])
def test_figures_of_version_1_are_turned_into_minor_units_of_their_currency(currency: str, minor: int) -> None:
    old = earlier(json.loads(load("impact").values[0])) | {"currency": currency}
    record = decode("impact", [json.dumps(old).encode()]).records[0]
    code = {"abc": "XXX"}.get(currency, currency)
    assert record.at_risk == (Money(currency=code, minor=minor),)


def test_money_of_version_1_that_is_no_number_is_refused() -> None:
    old = earlier(json.loads(load("affected_count").values[0])) | {"amount_cents": "many"}
    refused = decode("affected_count", [json.dumps(old).encode()]).rejects
    assert [one.error.field for one in refused] == ["amounts"]


def test_a_record_of_today_is_handed_on_as_it_is() -> None:
    fields = {"kind": "issue", "signal": "app", "family": "an unknown field"}
    assert present(fields) is fields


def test_a_companys_own_field_of_that_name_is_no_finding_of_version_1() -> None:
    event = {"event_id": "e-1", "family": "Nova"}
    assert present(event) is event


@pytest.mark.parametrize("kind", ["impact", "affected_count", "a kind of ours"])
@pytest.mark.parametrize("noun", ["order", "telemetry", "contact", "change"])
def test_an_event_with_a_companys_own_kind_and_family_keeps_what_it_says(noun: str, kind: str) -> None:
    reported = json.loads(load(noun).values[0])
    own = {"family": "Nova", "signal": "strong"} | ({} if "kind" in reported else {"kind": kind})
    for more in (own, {name: value for name, value in own.items() if name != "signal"}):
        value = json.dumps({**reported, **more}).encode()
        wanted = canonical(reference_decode(noun, json.dumps(reported).encode())[0])
        assert canonical(reference_decode(noun, value)[0]) == wanted
        assert [canonical(one) for one in decode(noun, [value]).records] == [wanted]
