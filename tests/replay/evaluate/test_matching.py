"""Which report is about which incident, on examples worked by hand."""

from __future__ import annotations

from typing import Any

import pytest

from streams.replay.evaluate.matching import UNEXPLAINED, Grade, grade, match
from streams.simulate.library.truth import WrongReport
from tests.replay.evaluate.worked import at, incident, report, truth


def test_the_first_report_finds_the_incident_and_the_next_is_a_duplicate() -> None:
    late, early = report(100), report(70, until=80)
    matching = match(truth(incident()), [late, early])
    assert matching.incidents[0].reports == (early, late)
    assert matching.false_alarms == ()


@pytest.mark.parametrize(
    ("shown", "more"),
    [
        (59.9, {}),  # before anything was wrong
        (120 + 180, {}),  # when the time after the incident is over
        (70, {"line": "bank"}),
        (70, {"signal": "payment"}),
    ],
)
def test_a_report_of_another_time_line_or_signal_is_a_false_alarm(shown: float, more: dict[str, Any]) -> None:
    matching = match(truth(incident()), [report(shown, **more)])
    assert matching.incidents[0].first is None
    assert [one.why for one in matching.false_alarms] == [UNEXPLAINED]


@pytest.mark.parametrize("shown", [60, 119.9, 299.9])
def test_a_report_counts_from_the_onset_until_three_hours_after_the_end(shown: float) -> None:
    assert match(truth(incident()), [report(shown)]).incidents[0].first == report(shown)


def test_a_report_that_was_over_before_the_incident_began_is_not_about_it() -> None:
    assert match(truth(incident()), [report(61, until=59)]).incidents[0].first is None


def test_any_signal_counts_where_the_truth_names_none() -> None:
    assert match(truth(incident(signals=())), [report(70, signal="payment")]).incidents[0].first is not None


def test_a_wrong_cause_still_finds_the_incident() -> None:
    assert match(truth(incident()), [report(70, cause={"region": "DE"})]).incidents[0].first is not None


def test_of_two_incidents_at_once_the_one_with_that_cause_is_meant() -> None:
    north, south = incident("north"), incident("south", starts=65, cohort={"warehouse": ("MUC-1",)})
    one, other = report(70), report(71, cause={"warehouse": "MUC-1"})
    matching = match(truth(north, south), [one, other])
    assert [found.reports for found in matching.incidents] == [(one,), (other,)]


def test_a_report_without_a_fitting_cause_goes_to_the_incident_that_nobody_reported_yet() -> None:
    north, south = incident("north"), incident("south", cohort={"warehouse": ("MUC-1",)})
    matching = match(truth(north, south), [report(70), report(71, cause={"region": "DE"})])
    assert [len(found.reports) for found in matching.incidents] == [1, 1]


def test_a_false_alarm_says_why_it_is_wrong_if_the_truth_says_so() -> None:
    campaign = WrongReport(line="shop", starts_ms=at(300), ends_ms=at(400), why="a campaign", signals=("delivery",))
    world = truth(incident(), wrong=(campaign,))
    matching = match(world, [report(310), report(390, signal="app"), report(400)])
    assert [one.why for one in matching.false_alarms] == ["a campaign", UNEXPLAINED, UNEXPLAINED]


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        ({"provider": "paynow", "region": "DE"}, Grade.RIGHT),
        ({"provider": "paynow", "region": "AT"}, Grade.RIGHT),
        ({"provider": "paynow"}, Grade.COMPATIBLE),
        ({"region": "AT"}, Grade.COMPATIBLE),
        ({"provider": "paynow", "region": "FR"}, Grade.WRONG),
        ({"provider": "paynow", "method": "card"}, Grade.WRONG),
        ({}, Grade.WRONG),
        ({"terminal": "t1"}, Grade.RIGHT),
    ],
)
def test_a_cause_is_graded_against_the_true_one(cause: dict[str, str], expected: Grade) -> None:
    one = incident(cohort={"provider": ("paynow",), "region": ("DE", "AT")}, also=({"terminal": ("t1",)},))
    assert grade(cause, one) is expected


def test_where_the_whole_line_is_hit_only_the_whole_line_is_right() -> None:
    everybody = incident(cohort={})
    assert grade({}, everybody) is Grade.RIGHT
    assert grade({"region": "DE"}, everybody) is Grade.WRONG
