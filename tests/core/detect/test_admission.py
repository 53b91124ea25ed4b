"""A flood of values that are seen once takes places, but never the last half: the true issue is still found."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

from schemas.findings import BinClosed, CohortCount
from streams.core.detect.admission import ENOUGH, WAITING, Admission
from streams.core.detect.lattice import Lattice
from streams.core.detect.rules import DetectRules
from tests.core.detect.line import HOUR, T0, Line, Outcome, records

RULES = DetectRules(cohorts=60, leaves=400, false_alarms_per_day=20.0, wander_prior=0.02)


@cache
def flooded() -> tuple[Outcome, ...]:
    """Four hours of four regions and two versions, drowned in versions nobody sees twice; IT fails from hour three."""
    dice = random.Random(3)
    out: list[Outcome] = []
    for second in range(0, 4 * 3600, 4):
        at = T0 + second * 1000
        out.append((at, "app", f"n-{second}", (f"9.{second}", "", "", "", ""), False))
        if second < HOUR // 1000:
            continue
        region = dice.choice(("IT", "DE", "FR", "ES"))
        failed = dice.random() < (0.7 if region == "IT" and second > 3 * 3600 else 0.03)
        out.append((at + 1, "app", f"c-{dice.randrange(600)}", (dice.choice("12"), "", "", region, ""), failed))
    return tuple(out)


def test_what_begins_after_the_flood_is_still_found_under_its_name() -> None:
    line = Line(RULES).feed(records(flooded(), partitions=2))
    assert "App failing: region=IT" in {issue.title for issue in line.latest.values()}


@cache
def diluted() -> tuple[Outcome, ...]:
    """Four hours of two versions, platforms and three regions; from hour three version 2 fails in DE.

    All the while ten times as many good events of DE on android, each of a version that nobody sees twice.
    """
    dice = random.Random(4)
    out: list[Outcome] = []
    for second in range(0, 4 * 3600, 4):
        at = T0 + second * 1000
        for number in range(10):
            made_up = (f"9.{second}.{number}", "android", "", "DE", "checkout")
            out.append((at + number, "app", f"n-{second}-{number}", made_up, False))
        values = (dice.choice("12"), dice.choice(("android", "ios")), "", dice.choice(("DE", "FR", "NL")), "checkout")
        worse = values[0] == "2" and values[3] == "DE" and second > 3 * 3600
        out.append((at + 10, "app", f"c-{dice.randrange(600)}", values, dice.random() < (0.6 if worse else 0.03)))
    return tuple(out)


def test_a_flood_that_never_fails_does_not_make_all_others_look_as_bad_as_the_cause() -> None:
    line = Line(RULES).feed(records(diluted(), partitions=2))
    assert "App failing: app_version=2, region=DE" in {issue.title for issue in line.latest.values()}


def test_who_waits_survives_restarts() -> None:
    plain = Line(RULES).feed(records(flooded(), partitions=2))
    stopped = Line(RULES, restart_every=3).feed(records(flooded(), partitions=2), batch=700)
    assert {i.issue_id: i for i in stopped.versions} == {i.issue_id: i for i in plain.versions}


def test_a_new_value_is_admitted_at_once_while_half_is_free_and_after_coming_again_later() -> None:
    lattice, door = Lattice(("app_version",), 100), Admission()
    assert door.admits(lattice, ("1",), 1, free=0.5)
    seen = [door.admits(lattice, ("2",), 1, free=0.49) for _ in range(ENOUGH + 1)]
    assert seen == [False] * ENOUGH + [True]
    assert not door.admits(lattice, ("3",), ENOUGH + 1, free=0.05), "the fewer places, the more it takes"
    assert not door.admits(lattice, ("3",), 10**6, free=0.0)


def test_the_memory_of_who_waits_is_bounded_and_those_seen_once_go_first() -> None:
    lattice, door = Lattice(("app_version",), 100), Admission()
    door.admits(lattice, ("regular",), 3, free=0.2)
    for number in range(WAITING + 10):
        door.admits(lattice, (str(number),), 1, free=0.2)
    door.end_bin()
    assert door.exposed == {(0, "regular"): 3}
    for number in range(WAITING + 10):
        door.admits(lattice, (str(number),), 2, free=0.2)
    door.end_bin()
    assert len(door.exposed) == WAITING // 2
    assert (0, "regular") in door.exposed


@cache
def of_many_lines() -> tuple[CohortCount | BinClosed, ...]:
    """Four hours of a shop; from hour two a market beside it, which fails in IT from hour three.

    All the while two service lines a bin that nobody sees twice.
    """
    dice = random.Random(5)
    shop: list[Outcome] = []
    market: list[Outcome] = []
    for second in range(0, 4 * 3600, 2):
        at, region = T0 + second * 1000, dice.choice(("IT", "DE", "FR", "ES"))
        shop.append((at, "app", f"c-{dice.randrange(600)}", ("1", "", "", region, ""), dice.random() < 0.03))
        if second > 2 * 3600:
            failed = dice.random() < (0.7 if region == "IT" and second > 3 * 3600 else 0.03)
            market.append((at, "app", f"m-{dice.randrange(600)}", ("1", "", "", region, ""), failed))
    lines = [records(shop, line="shop"), records(market, line="market")]
    for number in range(2 * 4 * 360):
        at = T0 + number // 2 * 10_000
        once = records([(at, "app", f"n-{number}", ("1", "", "", "IT", ""), False)], line=f"made up {number}")
        lines.append(once)
    counts = [one for line in lines for one in line if isinstance(one, CohortCount)]
    closed = [one for one in lines[0] if isinstance(one, BinClosed)]
    return tuple(sorted([*counts, *closed], key=_in_order))


def _in_order(record: CohortCount | BinClosed) -> tuple[int, bool]:
    """Counts of a bin, then its closing."""
    return (record.through_ms - 10_000, True) if isinstance(record, BinClosed) else (record.bin_ms, False)


FEW_LINES = replace(RULES, lines=40)


def test_a_flood_of_service_lines_takes_half_of_the_places_and_one_that_stays_is_still_watched_by_name() -> None:
    line = Line(FEW_LINES).feed(of_many_lines())
    assert ("market", "App failing: region=IT") in {(issue.line, issue.title) for issue in line.latest.values()}
    assert len(line.state.families) <= FEW_LINES.lines // 2 + 3, "the shop, the market, and all others as one"


def test_lines_without_a_place_are_counted_as_one_line() -> None:
    line = Line(FEW_LINES).feed(of_many_lines())
    exposed = sum(
        record.leaves[0].exposed
        for record in of_many_lines()
        if isinstance(record, CohortCount) and record.line not in {name for name, _ in line.state.families}
    )
    other = line.state.families["__other__", "app"]
    assert exposed > 2_000
    assert other.now_e[0] + sum(block.exposed.sum() for block in other.window.blocks.values()) >= exposed


def test_lines_that_wait_survive_restarts() -> None:
    plain = Line(FEW_LINES).feed(of_many_lines())
    stopped = Line(FEW_LINES, restart_every=3).feed(of_many_lines(), batch=700)
    assert {i.issue_id: i for i in stopped.versions} == {i.issue_id: i for i in plain.versions}
    assert stopped.state.waiting.exposed == plain.state.waiting.exposed
