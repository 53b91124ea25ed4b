"""Other detectors: what they count, and on which counts each alarms, worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from schemas.topics import DAY_MS
from streams.replay.evaluate.observe import Attempt, CohortKey, EventWatch, Minute, Tally
from streams.replay.evaluate.rivals import (
    NEED_RIVER,
    RIVALS,
    Alarms,
    AlwaysFire,
    NeverFire,
    Rival,
    installed,
    ten_times_the_mean,
    weekly_ceiling,
)
from streams.sources.arrivals import Arrival, heartbeats
from tests.replay.evaluate.worked import MINUTE, T0, at

LINE = CohortKey("shop", "payment", None)
PAYNOW = CohortKey("shop", "payment", ("payment_provider", "paynow"))


def event(minute: float, noun: str, **body: Any) -> Arrival:
    return Arrival(at(minute), noun, b"c-1", None, msgspec.json.encode({"product": "shop", **body}))


def seen(*arrivals: Arrival) -> list[tuple[int, str, bool]]:
    return [(one.at_ms, one.leaf.signal, one.failed) for one in EventWatch().attempts(arrivals)]


def minutes(*failed: int, tries: int = 100, start: int = 0, key: CohortKey = LINE) -> Iterator[Minute]:
    for number, count in enumerate(failed, start):
        yield Minute(T0 + (number + 1) * MINUTE, {key: (tries, count)})


def alarms(rival: Rival, *parts: Iterator[Minute]) -> list[int]:
    """Numbers of the minutes in which it alarms."""
    return [(minute.ends_ms - T0) // MINUTE - 1 for part in parts for minute in part if list(rival.step(minute))]


def test_single_events_are_successes_and_failures() -> None:
    assert seen(
        event(1, "telemetry", outcome="ok"), event(2, "telemetry", outcome="failed"),
        event(3, "telemetry", outcome="abandoned"), event(4, "order", order_id="o-1", status="paid"),
        event(5, "order", order_id="o-2", status="payment_failed"), event(6, "contact", channel="phone", reason="app"),
        event(7, "contact", channel="phone", reason="question"), event(8, "contact", channel="web", status="resolved"),
    ) == [
        (at(1), "app", False), (at(2), "app", True), (at(4), "payment", False), (at(5), "payment", True),
        (at(6), "contact", True), (at(7), "contact", False),
    ]  # fmt: skip


def test_a_promise_is_kept_broken_by_its_time_by_word_or_by_the_company() -> None:
    def placed(name: str) -> Arrival:
        return event(0, "order", order_id=name, status="placed", promised_at_ms=at(60))

    assert seen(
        *map(placed, ("kept", "silent", "reported", "dropped", "refused")),
        event(30, "order", order_id="kept", status="delivered"),
        event(31, "order", order_id="reported", status="late"),
        event(32, "order", order_id="dropped", status="cancelled", cancelled_by="customer"),
        event(33, "order", order_id="refused", status="cancelled", cancelled_by="company"),
        event(90, "order", order_id="silent", status="delivered"),
    ) == [
        (at(30), "delivery", False), (at(31), "delivery", True), (at(33), "delivery", True), (at(60), "delivery", True),
    ]  # fmt: skip


def test_what_is_no_event_or_cannot_be_read_counts_nowhere() -> None:
    broken = Arrival(at(1), "telemetry", b"c-1", None, b"{")
    assert seen(broken, *heartbeats(at(2), at(2), 1, "player", ("telemetry",))) == []


def test_attempts_are_counted_by_minute_for_the_line_and_each_value() -> None:
    orders = [event(0.2, "order", order_id="o", status="paid", payment_provider="paynow"),
              event(0.9, "order", order_id="o", status="payment_failed", payment_provider="paynow"),
              event(2.5, "order", order_id="o", status="payment_failed", payment_provider="other")]  # fmt: skip
    first, second = Tally().of_attempts(EventWatch().attempts(orders))
    assert first == Minute(at(1), {LINE: (2, 1), PAYNOW: (2, 1)})
    assert second.ends_ms == at(3)
    assert second.counts[LINE] == (1, 1)
    assert PAYNOW not in second.counts


def test_attribute_values_beyond_the_limit_are_not_watched_by_name() -> None:
    orders = [event(n, "order", order_id="o", status="paid", payment_provider=f"p{n}") for n in range(5)]
    tally = Tally(cohorts=3)
    named = {key for minute in tally.of_attempts(EventWatch().attempts(orders)) for key in minute.counts}
    assert {key.pair for key in named} == {None, ("payment_provider", "p0"), ("payment_provider", "p1")}


def test_published_counts_are_counted_like_events() -> None:
    record = {
        "kind": "cohort_count", "line": "shop", "signal": "payment", "bin_ms": T0, "width_ms": 10_000,
        "attributes": ["payment_provider"], "leaves": [{"values": ["paynow"], "exposed": 7, "failed": [1, 2]}],
    }  # fmt: skip
    later = record | {"bin_ms": T0 + 50_000}
    counted = list(Tally().of_counts([record, {"kind": "bin_closed"}, later]))
    assert counted == [Minute(at(1), {LINE: (14, 4), PAYNOW: (14, 4)})]


def test_never_and_always() -> None:
    assert alarms(NeverFire(), minutes(100)) == []
    assert alarms(AlwaysFire(), minutes(*[0] * 130)) == [0, 60, 120]


def test_ten_times_the_mean_needs_a_day_and_more_than_ten_times() -> None:
    """One failure in every 5 minutes: a mean of 1, so 10 in one bucket are too few and the eleventh alarms."""
    day = [1, 0, 0, 0, 0] * 288
    assert alarms(ten_times_the_mean(), minutes(*day, 1, 9, 0, 0, 0)) == []
    assert alarms(ten_times_the_mean(), minutes(*day, 1, 9, 1, 0, 0)) == [1442]
    assert alarms(ten_times_the_mean(), minutes(*[1, 0, 0, 0, 0] * 200, 50)) == []


def test_the_weekly_ceiling_is_the_worst_hour_of_the_week_before() -> None:
    hours = [*([10] + [0] * 59), *[0] * (60 * 24)]
    assert alarms(weekly_ceiling(), minutes(*hours, 10, 0, 1)) == [60 * 25 + 2]
    week = (8 * DAY_MS) // MINUTE
    assert alarms(weekly_ceiling(), minutes(*hours), minutes(6, start=week)) == [week]


@pytest.mark.parametrize("name", sorted(NEED_RIVER))
def test_the_detectors_of_river_see_a_share_that_rises_and_not_one_that_falls(name: str) -> None:
    if not installed(name):
        pytest.skip("river is not installed: `make evaluate` does it")
    rising = alarms(RIVALS[name](), minutes(*[2] * 200), minutes(*[40] * 20, start=200))
    assert rising
    assert min(rising) >= 200
    assert alarms(RIVALS[name](), minutes(*[40] * 200), minutes(*[2] * 50, start=200)) == []


def test_alarms_in_a_row_are_one_report_and_a_pause_makes_another() -> None:
    reported = Alarms()
    reported.add(at(1), [PAYNOW, LINE])
    reported.add(at(20), [LINE])
    reported.add(at(60), [LINE])
    first, second = reported.reports()
    assert (first.at_ms, first.until_ms, first.cause) == (at(1), at(50), {"payment_provider": "paynow"})
    assert (second.at_ms, second.cause) == (at(60), {})
    assert first.affected is None


def test_an_attempt_is_known_when_it_arrives() -> None:
    attempt = next(iter(EventWatch().attempts([event(5, "telemetry", outcome="failed", event_time_ms=at(-100))])))
    assert isinstance(attempt, Attempt)
    assert attempt.at_ms == at(5)
