"""Findings of version 1 are read as what they say today, by every decoder."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.codec import decode, encode
from schemas.earlier import present
from tests.schemas.golden import load

NOUNS = ("cohort_count", "episode", "issue", "affected", "affected_count", "impact")


def earlier(fields: dict[str, Any]) -> dict[str, Any]:
    """A record as version 1 wrote it."""
    return {"family" if name == "signal" else name: value for name, value in fields.items()}


@pytest.mark.parametrize("noun", NOUNS)
def test_a_finding_of_version_1_says_the_same_as_one_of_today(noun: str) -> None:
    today = [value for value in map(json.loads, load(noun).values) if "signal" in value]
    assert today
    old = [json.dumps(earlier(value)).encode() for value in today]
    assert b"family" in old[0]
    found = decode(noun, old)
    assert (found.rejects, found.unknown_fields) == ([], 0)
    wanted = decode(noun, [json.dumps(value).encode() for value in today]).records
    assert list(map(encode, found.records)) == list(map(encode, wanted))


def test_a_record_of_today_is_handed_on_as_it_is() -> None:
    fields = {"kind": "issue", "signal": "app", "family": "an unknown field"}
    assert present(fields) is fields


def test_a_companys_own_field_of_that_name_is_no_finding_of_version_1() -> None:
    event = {"event_id": "e-1", "family": "Nova"}
    assert present(event) is event
