"""match, impact and outreach in the runtime: one incident, any cut, crash and number of partitions, equal findings."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from schemas.codec import canonical
from streams.agents import impact, match, outreach
from streams.runtime.memory import Cadence, MemoryLine
from streams.runtime.room import Room
from streams.settings import Settings
from tests.core.match.world import DAY, HOUR, MINUTE, T0, customer, episode, issue, mark, resolved

NOON = T0 + 11 * HOUR
NAMES = [f"c-{number}" for number in range(40)]
KEYS = {
    "affected": ("issue_id", "customer_id"),
    "impact": ("issue_id",),
    "outreach": ("outreach_id",),
}


def line(partitions: int, seed: int | None) -> MemoryLine:
    """An incident from 12:00 to 14:00 that hits 30 of 40 customers; six of them call. At 15:00 all is put right."""
    settings = Settings(approval_above=1_000, impact_contact_cents=700)
    rooms: list[Room[Any]] = [match.room(settings), impact.room(settings), outreach.room(settings)]
    built = MemoryLine(rooms, partitions, Cadence(seed, feed_events=7))
    one = issue(at=NOON)
    for name in NAMES:
        built.produce("customer", customer(name))
    for number, name in enumerate(NAMES):
        at = NOON - 5 * MINUTE + number * MINUTE
        contacted = at + 90_000 if number % 5 == 0 else None
        version = "5.2.0" if number % 4 else "5.1.0"
        built.produce("episode", episode(name, at, version=version, contacted_at_ms=contacted, right=NOON + 3 * HOUR))
    for record in (one, mark(NOON + HOUR), resolved(one, NOON + 2 * HOUR), mark(NOON + 2 * DAY)):
        built.produce("issue", record, key=one.issue_id)
    for number in range(partitions):
        built.produce("episode", mark(NOON + 2 * DAY, number), key="watermark", partition=number)
    return built


def findings(built: MemoryLine) -> dict[str, dict[tuple[str, ...], bytes]]:
    """Canonical findings: the latest per natural key, watermarks left out."""
    return {
        noun: {
            tuple(getattr(row, name) for name in key): canonical(row)
            for row in built.records(noun)
            if row.kind != "watermark"
        }
        for noun, key in KEYS.items()
    }


@cache
def expected() -> dict[str, dict[tuple[str, ...], bytes]]:
    """One partition, no cuts, no crashes."""
    built = line(1, None)
    built.run()
    return findings(built)


def test_the_incident_is_counted_priced_and_told() -> None:
    built = line(1, None)
    built.run()
    rows = {row.outreach_id: row for row in built.records("outreach") if row.kind == "outreach"}.values()
    notices = [row for row in rows if row.stage == "notice"]
    assert len(notices) == 30
    assert {row.decision for row in notices} <= {"send", "hold_out", "refuse"}
    contacted = {row.customer_id for row in notices if row.decision == "send"}
    assert {row.customer_id for row in rows if row.stage == "all_clear" and row.decision == "send"} == contacted
    cost = built.records("impact")[-1]
    assert (cost.affected, cost.contacted, cost.silent, cost.per_minute[0].minor) == (30, 6, 24, 0)
    assert cost.at_risk[0].minor == 30 * 12_000 // 4
    assert cost.service[0].minor == 6 * 700


@pytest.mark.parametrize("partitions", [1, 4, 7])
@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_findings_are_byte_equal_over_partitions_cuts_and_crashes(partitions: int, seed: int | None) -> None:
    built = line(partitions, seed)
    step = 0
    while built.step():
        step += 1
        if seed and step % 5 == 0:
            room = ("match", "outreach", "impact")[step // 5 % 3]
            built.crash(room, 0 if room == "impact" else step % partitions, in_flush=step % 2 == 0)
    assert findings(built) == expected()
