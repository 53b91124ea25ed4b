"""The check of the flights example says pass where the expectations hold and fail where they do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streams.demo.example import flights_reading
from streams.demo.example_check import ZONE, Claim, Flight, check, known_hit, rates, read_flights


def flight(number: int, carrier: str, origin: str, day: int, hour: int, delay: float | None) -> Flight:
    scheduled = datetime(2013, 4, day, hour, number % 60, tzinfo=ZONE).astimezone(UTC)
    return Flight(f"2013-4-{day}-{carrier}-{hour}{number:03}-{origin}", carrier, origin, scheduled, delay)


def april_16() -> list[Flight]:
    """AA and MQ stand still from 11:00 to 18:59 at LGA and JFK; everyone else flies."""
    found = []
    for hour in range(6, 20):
        for number in range(10):
            stopped = 11 <= hour <= 18
            found.append(flight(number, "AA", "LGA", 16, hour, (None if number < 4 else 90.0) if stopped else 0.0))
            found.append(flight(100 + number, "MQ", "JFK", 16, hour, 120.0 if stopped else 2.0))
            found.append(flight(200 + number, "DL", "LGA", 16, hour, 5.0))
            found.append(flight(300 + number, "UA", "EWR", 16, hour, 40.0 if number == 0 else 0.0))
    return found


def claim(cause: dict[str, str], affected: frozenset[str] = frozenset(), day: int = 16, hour: int = 12) -> Claim:
    detected = datetime(2013, 4, day, hour, 30, tzinfo=ZONE).astimezone(UTC)
    return Claim("i-1", cause, detected - timedelta(minutes=30), detected, affected)


def failed(flights: list[Flight], claims: list[Claim]) -> list[str]:
    return [line.text for line in check(flights, claims) if not line.passed]


def test_a_right_answer_passes_every_line() -> None:
    flights = april_16()
    hit = known_hit(flights)
    assert len(hit) == 160
    claims = [claim({"carrier": c}, frozenset(k for k in hit if f"-{c}-" in k)) for c in ("AA", "MQ")]
    assert failed(flights, claims) == []


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"hour": 15}, "between 11:30 and 14:00"),
        ({"cause": {"warehouse": "LGA"}}, "no issue blames LGA alone"),
        ({"affected": frozenset()}, "covers at least 90 %"),
        ({"affected": frozenset({f"2013-4-16-DL-12{200 + n}-LGA" for n in range(10)})}, "fly with others"),
        ({"cause": {"carrier": "UA"}}, "cause of 16 April, carrier = UA"),
    ],
)
def test_each_wrong_answer_fails_its_line(change: dict[str, Any], wrong: str) -> None:
    flights = april_16()
    answer: dict[str, Any] = {"cause": {"carrier": "AA"}, "affected": known_hit(flights), **change}
    assert any(wrong in text for text in failed(flights, [claim(**answer)]))


def test_a_storm_may_not_be_blamed_on_a_carrier_whose_airport_is_as_bad() -> None:
    storm = [flight(n, c, "EWR", 12, h, 90.0) for h in range(6, 20) for n, c in enumerate(("EV", "UA", "B6"))]
    storm += [flight(n, "DL", "JFK", 12, h, 0.0) for h in range(6, 20) for n in range(3)]
    wrong = [text for text in failed(storm, [claim({"carrier": "EV"}, day=12)]) if "storm of 12 April" in text]
    assert len(wrong) == 1
    blamed_rightly = [t for t in failed(storm, [claim({"warehouse": "EWR"}, day=12)]) if "12 April" in t]
    assert blamed_rightly == []


def test_too_many_issues_fail_on_storm_days_and_on_quiet_days() -> None:
    flights = april_16()
    storms = [claim({}, day=12, hour=8 + n) for n in range(4)]
    assert any("at most 3 issues a day" in text for text in failed(flights, storms))
    quiet = [claim({}, day=2 + n) for n in range(3)]
    assert any("all other days" in text for text in failed(flights, quiet))


def test_rates_are_counted_among_flights_due_while_the_issue_arose() -> None:
    found = rates(april_16(), claim({"carrier": "AA"}))
    # opened 12:00, three hours at least: flights due from 12:00 to 15:00, that is scheduled from 11:30 to 14:30
    assert (found.inside_bad, found.inside) == (30, 30)
    assert (found.rest_bad, found.rest) == (33, 90)


def test_the_real_file_has_the_81_flights_of_16_april() -> None:
    flights = read_flights(flights_reading().file)
    assert len(flights) == 28_330
    assert len(known_hit(flights)) == 81
