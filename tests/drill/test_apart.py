"""A drill changes nothing that is said of the company: the same counts, issues and decisions, byte for byte."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import pytest

from schemas import drills
from schemas.codec import encode
from schemas.events import Address, Command, Consent, Customer, Telemetry
from streams.agents import experience, impact, join, match, outreach
from streams.core.detect.rules import DetectRules
from streams.core.detect.stage import DetectStage
from streams.core.join.native import find
from streams.drill.script import KINDS, Drill
from streams.replay.canonical import canonical
from streams.runtime.memory import Cadence, MemoryLine
from streams.runtime.room import room_of
from streams.settings import Settings
from streams.sources.arrivals import Arrival, Beats, with_heartbeats
from tests.core.join.world import HOUR, MINUTE, T0, contact, order, telemetry

PARTITIONS = 2
DELAY_MS = 30_000
DRILL_MS = T0 + 5 * MINUTE
FINDINGS = ("cohort_count", "source_count", "episode", "contact_case", "order_outcome", "issue", "affected",
            "affected_count", "impact", "outreach", "late")  # fmt: skip
NATIVE = ["off", "on"] if find() else ["off"]
TIGHT = DetectRules(cohorts=12, lines=10)
"""Hardly more than the company needs: a drill that took any of it would be noticed."""
Row = dict[str, Any]


def at(record: Any, delay_ms: int = 0) -> Arrival:
    nouns = {"Telemetry": "telemetry", "Order": "order", "Contact": "contact"}
    noun = nouns[type(record).__name__]
    return Arrival(record.event_time_ms + delay_ms, noun, record.customer_id.encode(), None, encode(record))


@cache
def company() -> tuple[Arrival, ...]:
    """An hour and ten minutes without trouble, then ten in which a new release fails for 80 customers, 8 of them twice.

    Its events take DELAY_MS to arrive: a drill, whose events are there at once, is ahead of them.
    """
    made: list[Any] = []
    for number in range(90 * 6):
        when, release = number * 10_000, "12"[number % 2]
        made.append(telemetry(when, f"c{number % 300}", app_version=release, platform="ios"))
        made.append(order(when + 500, "paid", f"c{number % 300}", f"o{number}", promised=when + 5 * MINUTE))
    for number in range(88):
        when = HOUR + 10 * MINUTE + number * 6_000
        made.append(telemetry(when, f"f{number % 80}", "failed", app_version="3", platform="ios"))
    made += [contact(HOUR + 20 * MINUTE + number, f"f{number}") for number in range(10)]
    made.sort(key=lambda one: one.event_time_ms)
    stragglers = [telemetry(number * 60_000, f"s{number}", "failed", app_version="2") for number in range(30)]
    late = [at(record)._replace(at_ms=T0 + HOUR) for record in stragglers]
    return tuple(sorted([*(at(record, DELAY_MS) for record in made), *late], key=lambda one: one.at_ms))


def profiles() -> Iterator[Customer]:
    for number in range(80):
        yield Customer(
            customer_id=f"f{number}", updated_at_ms=T0, time_zone="Asia/Tokyo",
            consents=(Consent(channel="webhook", granted=True),), addresses=(Address(channel="webhook", token="a"),),
        )  # fmt: skip


def played(arrivals: Sequence[Arrival], native: str, cadence: Cadence, crash: bool = False) -> MemoryLine:
    """All rooms, with one order of arrival; ``crash``: detect and join are lost half way, and come back."""
    here = Settings(native=native, outreach_replayed=False)
    rooms = [one.room(here) for one in (join, experience, match, impact, outreach)]
    line = MemoryLine([*rooms, room_of("detect", DetectStage(TIGHT))], PARTITIONS, cadence)
    for profile in profiles():
        line.produce("customer", profile)
    for number, one in enumerate(arrivals):
        line.produce(one.noun, one.value, key=one.key, partition=one.partition, timestamp_ms=one.at_ms)
        if crash and number == len(arrivals) // 2:
            line.run()
            line.crash("detect", 0)
            line.crash("join", 1)
    line.run()
    return line


def rows(line: MemoryLine, noun: str) -> list[Row]:
    return [json.loads(one.value) for one in line.raw(noun) if one.value is not None]


def stated(line: MemoryLine, of_drills: bool) -> dict[str, list[bytes]]:
    """The findings of the company, or those of drills."""
    mine = {row["issue_id"] for row in rows(line, "issue") if drills.is_drill(row.get("line", ""))}

    def is_drill(row: Row) -> bool:
        return (
            drills.is_drill(row.get("line", "")) or row.get("source") == drills.SOURCE or row.get("issue_id") in mine
            or drills.is_drill(row.get("customer_id", ""))
        )  # fmt: skip

    found = {noun: [row for row in rows(line, noun) if is_drill(row) == of_drills] for noun in FINDINGS}
    for number, row in enumerate(found["late"]):
        row["offset"] = number  # offsets count the events of a drill
    return {noun: canonical(noun, one, drills=True) for noun, one in found.items()}


@cache
def alone(native: str) -> dict[str, list[bytes]]:
    return stated(played(beaten(company()), native, Cadence()), of_drills=False)


def beaten(arrivals: Iterable[Arrival]) -> list[Arrival]:
    """With the heartbeats of the company's own sources: a drill brings none."""
    return list(with_heartbeats(arrivals, PARTITIONS, Beats(delay_ms=DELAY_MS, end_ms=T0 + 2 * HOUR)))


def mixed(dice: random.Random, kinds: Iterable[str]) -> list[Arrival]:
    """The company's stream with drills in it: some of their events early, some late, some days off."""
    events = [one for kind in kinds for one in Drill(kind, kind, DRILL_MS).arrivals()]
    moved = [one._replace(at_ms=one.at_ms + dice.choice((0, 0, 0, 0, -40_000, 15_000, 3 * HOUR))) for one in events]
    return sorted([*beaten(company()), *moved], key=lambda one: one.at_ms)


@pytest.mark.parametrize("native", NATIVE)
def test_the_company_has_an_issue_and_somebody_is_told(native: str) -> None:
    found = alone(native)
    assert {"app_version": "3"} in [json.loads(line)["cause"]["attributes"] for line in found["issue"]]
    assert any(json.loads(line)["decision"] == "send" for line in found["outreach"])
    assert all(found[noun] for noun in FINDINGS)
    assert found == alone("off")


@pytest.mark.parametrize(("native", "seed"), [(NATIVE[-1], 1), (NATIVE[-1], 2), ("off", 3)])
def test_findings_of_the_company_are_the_same_with_and_without_drills(native: str, seed: int) -> None:
    dice = random.Random(seed)
    kinds = [kind for kind in KINDS if dice.random() < 0.7] or ["app"]
    cadence = Cadence(seed, feed_events=200, flush_chance=0.2)
    line = played(mixed(dice, kinds), native, cadence, crash=seed == 2)
    assert stated(line, of_drills=False) == alone(native)


@cache
def drilled(native: str) -> MemoryLine:
    """The company with a drill of every kind at once."""
    events = [one for kind in KINDS for one in Drill(kind, kind, DRILL_MS).arrivals()]
    return played(sorted([*beaten(company()), *events], key=lambda one: one.at_ms), native, Cadence())


@pytest.mark.parametrize("native", NATIVE)
def test_every_drill_is_found_and_nobody_of_it_is_told(native: str) -> None:
    line = drilled(native)
    found = stated(line, of_drills=True)
    assert stated(line, of_drills=False) == alone(native)
    assert sorted(json.loads(one)["signal"] for one in found["issue"]) == sorted(KINDS)
    assert len({json.loads(one)["customer_id"] for one in found["affected"]}) == 60 * len(KINDS)
    decisions = [json.loads(one) for one in found["outreach"]]
    assert len(decisions) == 60 * len(KINDS)
    assert {(one["decision"], one["reason"], one["drawn_at_ms"]) for one in decisions} == {("refuse", "drill", None)}
    assert not found["source_count"]
    assert not found["contact_case"]
    assert not found["order_outcome"]


def test_what_a_replay_finds_leaves_drills_out_unless_they_are_asked_for() -> None:
    line = drilled("off")
    found = {noun: canonical(noun, rows(line, noun)) for noun in FINDINGS if noun != "late"}
    assert found == {noun: lines for noun, lines in alone("off").items() if noun != "late"}
    assert len(canonical("issue", rows(line, "issue"), drills=True)) == len(found["issue"]) + len(KINDS)


def test_a_second_drill_is_an_issue_of_its_own_and_the_first_leaves_nothing_behind() -> None:
    rooms = [one.room(Settings(native="off")) for one in (join, match)]
    line = MemoryLine([*rooms, room_of("detect", DetectStage())], 1)

    def held(drill: Drill) -> list[Row]:
        beats = Beats(10_000, end_ms=drill.end_ms)
        for one in with_heartbeats(drill.arrivals(), 1, beats):
            line.produce(one.noun, one.value, key=one.key, partition=one.partition)
        line.run()
        newest = {row["issue_id"]: row for row in rows(line, "issue") if row["kind"] == "issue"}
        return [row for row in newest.values() if row["resolved_at_ms"] is None]

    [first] = held(Drill("payment", "one", T0))
    over = Command(command_id="k-1", issued_at_ms=T0 + HOUR, action="resolve", issue_id=first["issue_id"])
    line.produce("control", over)
    line.run()
    [second] = held(Drill("payment", "two", T0 + 20 * MINUTE))
    assert (first["state"], second["state"], second["root_id"]) == ("open", "regressed", first["issue_id"])
    hit = {row["customer_id"]: row["issue_id"] for row in rows(line, "affected") if row["kind"] == "affected"}
    assert {issue for name, issue in hit.items() if ".two." in name} == {second["issue_id"]}


def test_a_receiver_on_this_machine_changes_nothing() -> None:
    events = list(Drill("app", "a1", T0).arrivals())
    here = Settings(outreach_replayed=True, webhook_allow_loopback=True, webhook_url="http://127.0.0.1:1/")
    line = MemoryLine([one.room(here) for one in (join, match, outreach)] + [room_of("detect", DetectStage())], 1)
    for one in with_heartbeats(events, 1, Beats()):
        line.produce(one.noun, one.value, key=one.key, partition=one.partition)
    line.run()
    decisions = {(row["decision"], row["reason"]) for row in rows(line, "outreach") if row["kind"] == "outreach"}
    assert decisions == {("refuse", "drill")}


def test_telemetry_of_a_drill_moves_no_clock() -> None:
    fast = [Telemetry.model_validate(json.loads(one.value)) for one in Drill("app", "a1", T0 + HOUR).arrivals()]
    line = MemoryLine([join.room(Settings(native="off"))], 1)
    for event in fast:
        line.produce("telemetry", event)
    line.run()
    assert {row["kind"] for row in rows(line, "episode")} == {"episode"}
    assert not any(row["kind"] == "bin_closed" or row["closed"] for row in rows(line, "cohort_count"))
