"""Statements about real incidents, held against issues made up for the purpose; the data themselves are not here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.real.measure import EMPTY, judge, mapping_of, play, rows
from benchmarks.real.statements import NEW_YORK, STATEMENTS, RealIssue, ms
from streams.sources import load_mapping

MINUTE = 60_000
DATA = os.environ.get("CX_TEST_DATA")


def issue(shown: str, **more: Any) -> RealIssue:
    at_ms = ms(shown, NEW_YORK)
    given: dict[str, Any] = {
        "line": "flights", "signal": "delivery", "cause": {}, "opened_ms": at_ms - 30 * MINUTE,
        "detected_ms": at_ms - MINUTE, "shown_ms": at_ms, "recovering_ms": None, "ended_ms": at_ms + 300 * MINUTE,
    }  # fmt: skip
    return RealIssue(**(given | more))


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_every_set_has_a_mapping_that_loads_and_statements_numbered_from_one(name: str) -> None:
    load_mapping(str(mapping_of(name)), None)
    numbers = list(STATEMENTS[name][1])
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_outage_of_one_airline_is_held_against_names_times_and_flights() -> None:
    flights = frozenset(f"2013-4-16-AA-{number}-LGA" for number in range(80)) | {"2013-4-16-UA-1-LGA"}
    good = judge("nycflights13", [issue("2013-04-16 12:30", cause={"carrier": "AA"}, hit=flights)])
    assert [good[number].holds for number in (1, 2, 3)] == [True, True, True]
    assert good[3].seen == "80 flights of AA and MQ, 1 of others"
    late = judge("nycflights13", [issue("2013-04-16 14:01", cause={"carrier": "AA"})])
    assert [late[number].holds for number in (1, 3)] == [False, False]
    airport = judge("nycflights13", [issue("2013-04-16 12:30", cause={"warehouse": "LGA"})])
    assert [airport[number].holds for number in (1, 2)] == [False, False]


def test_times_out_of_order_and_short_issues_break_their_statements() -> None:
    mixed = issue("2013-05-05 12:00", detected_ms=ms("2013-05-05 13:00", NEW_YORK))
    short = issue("2013-05-06 12:00", ended_ms=ms("2013-05-06 12:10", NEW_YORK))
    verdicts = judge("nycflights13", [mixed, short])
    assert (verdicts[8].holds, verdicts[9].holds) == (False, False)
    assert judge("nycflights13", [issue("2013-05-05 12:00")])[9].holds


def test_where_nothing_is_reported_nothing_counts_as_kept() -> None:
    table = rows("steam_wilds26", judge("steam_wilds26", []), 0)
    assert f"| 5 | {EMPTY} |" in "\n".join(table)
    assert "**0 of 4**" in table[-1]


@pytest.mark.skipif(DATA is None, reason="CX_TEST_DATA names no folder with real data; they belong to others")
def test_the_tweets_give_a_verdict_for_every_statement() -> None:
    issues = play("airline_tweets15", Path(DATA or ""))
    assert judge("airline_tweets15", issues).keys() == STATEMENTS["airline_tweets15"][1].keys()
