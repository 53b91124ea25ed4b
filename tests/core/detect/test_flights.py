"""A month of real departures, with the rules a fresh installation has.

On 16 April 2013 the reservation system of American Airlines failed (carriers AA and MQ, about 11:00-16:30).

    1 .......... 10 11 12 ....... 16 ... 18 19 ... 22 23 24 25 26 ... 30
    quiet        storms           AA+MQ  storms    storms           quiet
"""

from __future__ import annotations

import pytest

from schemas.issues import Issue
from tests.core.detect.flights import Flight, april, local
from tests.core.detect.line import HOUR, Line, records

STORMS = {10, 11, 12, 18, 19, 22, 23, 24, 25, 26}
SLACK_MS = HOUR


@pytest.fixture(scope="module")
def flights() -> list[Flight]:
    return april()


@pytest.fixture(scope="module")
def issues(flights: list[Flight]) -> list[Issue]:
    line = Line().feed(records(sorted(f.outcome() for f in flights), line="flights"), batch=500)
    return sorted(line.latest.values(), key=lambda i: i.detected_at_ms)


def outage(issues: list[Issue]) -> list[Issue]:
    return [i for i in issues if local(i.detected_at_ms).day == 16 and i.cause.attributes.keys() == {"carrier"}]


def affected(issue: Issue, flights: list[Flight]) -> list[Flight]:
    """Flights that agree with the cause and failed between the onset (less the slack) and the end."""
    end = issue.resolved_at_ms or 2**53
    names = issue.cause.attributes
    return [
        f
        for f in flights
        if f.failed
        and issue.opened_at_ms - SLACK_MS <= f.known_ms <= end
        and names.get("carrier", f.carrier) == f.carrier
        and names.get("warehouse", f.origin) == f.origin
    ]


def test_the_airline_outage_is_found_by_name_before_two_o_clock(issues: list[Issue]) -> None:
    named = [i for i in outage(issues) if i.cause.attributes["carrier"] in ("AA", "MQ")]
    first = local(min(i.detected_at_ms for i in named))
    assert (11, 30) <= (first.hour, first.minute) <= (14, 0)


def test_no_issue_of_that_day_blames_an_airport(issues: list[Issue]) -> None:
    day = [i for i in issues if local(i.detected_at_ms).day == 16]
    assert {i.cause.attributes.get("carrier") for i in day} == {"AA", "MQ"}
    assert not any("warehouse" in i.cause.attributes for i in day)


def test_the_outage_reaches_those_it_hit_and_nobody_else(issues: list[Issue], flights: list[Flight]) -> None:
    hit = {
        f.key
        for f in flights
        if f.carrier in ("AA", "MQ")
        and f.hopeless
        and (local(f.scheduled_ms).day, 11) == (16, min(local(f.scheduled_ms).hour, 11))
        and local(f.scheduled_ms).hour <= 18
    }
    assert len(hit) == 81
    found = [f for i in outage(issues) for f in affected(i, flights)]
    assert len(hit & {f.key for f in found}) >= 0.9 * len(hit)
    assert sum(f.carrier not in ("AA", "MQ") for f in found) <= 0.05 * len(found)


def test_a_storm_is_at_most_three_issues_a_day(issues: list[Issue]) -> None:
    for day in STORMS:
        assert sum(local(i.detected_at_ms).day == day for i in issues) <= 3, day


def test_in_a_storm_no_carrier_is_blamed_for_its_airport(issues: list[Issue], flights: list[Flight]) -> None:
    """Recomputed from the flights: a named carrier is at least twice as bad as the others at the same airports."""
    for issue in issues:
        carrier = issue.cause.attributes.get("carrier")
        if carrier is None:
            continue
        origin = issue.cause.attributes.get("warehouse")
        seen = [f for f in flights if issue.opened_at_ms <= f.known_ms <= issue.detected_at_ms]
        seen = [f for f in seen if origin in (None, f.origin)]
        mine = [f.failed for f in seen if f.carrier == carrier]
        others = [f.failed for f in seen if f.carrier != carrier]
        assert sum(mine) / len(mine) >= 2 * sum(others) / len(others), issue.title


def test_other_days_open_at_most_two_issues_together(issues: list[Issue]) -> None:
    other = [i for i in issues if local(i.detected_at_ms).day not in STORMS | {16}]
    assert len(other) <= 2, [i.title for i in other]
