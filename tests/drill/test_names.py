"""The names that belong to drills: an event has all of them or none, however it is spelled and whoever reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas import drills
from schemas.codec import HOT, decode, reference_decode
from schemas.errors import MalformedEvent
from schemas.fieldspec import field_specs
from streams.core.join.native import find
from streams.drill.script import KINDS, Drill
from tests.core.join.world import T0

EVENTS = {kind: next(Drill(kind, "a1", T0).arrivals()) for kind in KINDS}
HALVES: dict[str, tuple[dict[str, Any], str]] = {
    "a customer of the company on the line of drills": ({"customer_id": "c-1"}, "customer_id"),
    "a customer of a drill on a line of the company": ({"product": "shop"}, "product"),
    "a line that no drill has": ({"product": "cx.drill.pigeons"}, "product"),
    "an event of a drill by a producer of the company": ({"source": "erp"}, "source"),
    "an event of a drill that says it is live": ({"origin": "live"}, "origin"),
    "only the producer": ({"customer_id": "c-1", "product": "shop", "origin": "live"}, "customer_id"),
}


def spelled(kind: str, changed: dict[str, Any], escaped: bool) -> bytes:
    """The event with other fields; ``escaped``: the reserved names are spelled with an escape."""
    text = json.dumps(json.loads(EVENTS[kind].value) | changed)
    return (text.replace('"cx.drill', '"\\u0063x.drill') if escaped else text).encode()


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_of_a_drill_is_accepted(kind: str) -> None:
    value = EVENTS[kind].value
    decoded = decode(EVENTS[kind].noun, [value])
    assert decoded.rejects == []
    assert drills.is_drill(decoded.records[0].customer_id)
    if (native := find()) is not None:
        assert native.decode_rows(field_specs(HOT[EVENTS[kind].noun]), [value]) != [None]


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("kind", KINDS)
def test_half_a_drill_is_a_dead_letter(kind: str, name: str, escaped: bool) -> None:
    changed, field = HALVES[name]
    noun, value = EVENTS[kind].noun, spelled(kind, changed, escaped)
    whole = spelled(kind, {}, escaped)
    decoded = decode(noun, [whole, value])
    assert [(one.index, one.error.field, one.error.rule) for one in decoded.rejects] == [(1, field, drills.WHOLE_RULE)]
    with pytest.raises(MalformedEvent, match=field):
        reference_decode(noun, value)
    if (native := find()) is not None:
        assert native.decode_rows(field_specs(HOT[noun]), [value]) == [None], "left to the reference"


def test_nobody_has_no_profile() -> None:
    profile = {"customer_id": f"{drills.PREFIX}a1.00001", "updated_at_ms": T0}
    for text in (json.dumps(profile), json.dumps(profile).replace("cx.drill", "\\u0063x.drill")):
        [reject] = decode("customer", [text.encode()]).rejects
        assert (reject.error.field, reject.error.rule) == ("customer_id", drills.PROFILE_RULE)
    other = json.dumps(profile | {"customer_id": "c-cx.drill.1"}).encode()
    assert decode("customer", [other]).rejects == []
