"""Promise timers by example: every promise has exactly one outcome, at the right time."""

from __future__ import annotations

import random
from typing import Any

import pytest

from schemas.findings import CohortCount
from streams.core.join.stage import JoinStage
from streams.core.join.state import JoinState
from tests.core.join.world import DAY, HOUR, MINUTE, SECOND, T0, Player, order

pytestmark = pytest.mark.usefixtures("stage")

DUE = HOUR


def outcomes(player: Player) -> list[tuple[int, int, int]]:
    """(bin, exposed, failed) of the delivery signal in closed bins; bins in ms after T0."""
    closed: list[CohortCount] = [c for c in player.emitted("cohort_count") if c.signal == "delivery" and c.closed]
    return [(c.bin_ms - T0, leaf.exposed, len(leaf.failed)) for c in closed for leaf in c.leaves]


def failures(player: Player) -> list[int]:
    """First failure of every delivery episode, ms after T0."""
    latest = {e.window_ms: e.first_failed_ms - T0 for e in player.emitted("episode") if e.signal == "delivery"}
    return sorted(latest.values())


def play(*events: Any, until: int = 2 * DAY) -> Player:
    """Play order events within the disorder bound, then let time pass."""
    player = Player()
    player.events(*events)
    player.reach(until)
    return player


def test_a_promise_is_kept_when_it_is_delivered() -> None:
    #  placed        delivered        promised
    #  |-------------x----------------|
    player = play(order(0, "placed", promised=DUE), order(30 * MINUTE, "delivered"))
    assert outcomes(player) == [(30 * MINUTE, 1, 0)]
    assert failures(player) == []


def test_delivery_at_the_promised_millisecond_keeps_the_promise() -> None:
    assert outcomes(play(order(0, "placed", promised=DUE), order(DUE, "delivered"))) == [(DUE, 1, 0)]


def test_delivery_a_millisecond_later_breaks_it_at_the_promised_time() -> None:
    player = play(order(0, "placed", promised=DUE), order(DUE + 1, "delivered"))
    assert outcomes(player) == [(DUE, 1, 1)]
    assert failures(player) == [DUE]


def test_a_promise_without_a_delivery_is_broken_as_soon_as_the_order_topic_has_passed_it() -> None:
    player = Player()
    player.events(order(0, "placed", promised=DUE, amount_cents=700))
    player.reach(DUE + 10 * SECOND)
    assert not player.emitted("episode")  # an event of this very millisecond may still be on its way
    player.reach(DUE + 10 * SECOND + 1, ("order",))
    (episode,) = player.emitted("episode")
    assert (episode.first_failed_ms, episode.amounts[0].minor) == (T0 + DUE, 700)
    assert episode.evidence == ("o0c1o1placed",)
    assert outcomes(player) == []
    player.reach(DUE + 20 * SECOND)
    assert outcomes(player) == [(DUE, 1, 1)]


@pytest.mark.parametrize(("by", "expected"), [
    ("company", [(30 * MINUTE, 1, 1)]), ("customer", []), (None, []),
])
def test_a_cancellation_breaks_a_promise_only_if_the_company_cancelled(by: str | None, expected: list[Any]) -> None:
    player = play(order(0, "placed", promised=DUE), order(30 * MINUTE, "cancelled", cancelled_by=by))
    assert outcomes(player) == expected


def test_a_return_ends_a_promise_without_outcome_and_a_refund_does_not_end_it() -> None:
    assert outcomes(play(order(0, "placed", promised=DUE), order(1, "returned"))) == []
    assert outcomes(play(order(0, "placed", promised=DUE), order(1, "refunded"))) == [(DUE, 1, 1)]


def test_a_late_notice_before_the_promised_time_breaks_the_promise_at_once() -> None:
    assert outcomes(play(order(0, "placed", promised=DUE), order(MINUTE, "late"))) == [(MINUTE, 1, 1)]


def test_the_latest_promised_time_counts() -> None:
    #  placed (due +1 h)   shipped (due +2 h)    delivered +90 min
    events = [order(0, "placed", promised=DUE), order(MINUTE, "shipped", promised=2 * HOUR),
              order(90 * MINUTE, "delivered")]
    assert outcomes(play(*events)) == [(90 * MINUTE, 1, 0)]


def test_a_late_statement_does_not_replace_a_newer_one() -> None:
    player = Player()
    player.events(order(MINUTE, "placed", promised=2 * HOUR))
    player.reach(10 * MINUTE)
    player.events(order(0, "placed", promised=DUE, event_id="late"))
    player.reach(DAY)
    assert outcomes(player) == [(2 * HOUR, 1, 1)]


def test_two_statements_of_one_millisecond_are_ordered_by_event_id() -> None:
    one, two = order(0, "placed", promised=DUE, event_id="a"), order(0, "placed", promised=2 * DUE, event_id="b")
    assert outcomes(play(one, two)) == outcomes(play(two, one)) == [(2 * DUE, 1, 1)]


def test_a_shortened_promise_that_arrives_after_the_delivery_still_counts() -> None:
    #  +0 placed (due +60 min)   +8 s shortened to +8.5 s, arrives last   +9 s delivered: broken at +8.5 s
    player = play(order(0, "placed", promised=DUE), order(9_000, "delivered"),
                  order(8_000, "shipped", promised=8_500))
    assert outcomes(player) == [(0, 1, 1)]
    assert failures(player) == [8_500]


def test_a_decided_promise_stays_decided_whatever_the_order_says_later() -> None:
    events = [order(0, "placed", promised=DUE), order(2 * HOUR, "delivered", promised=DUE),
              order(3 * HOUR, "returned", promised=DUE), order(4 * HOUR, "shipped", promised=9 * HOUR)]
    assert outcomes(play(*events)) == [(DUE, 1, 1)]


def test_a_promised_time_repeated_long_after_the_memory_of_it_is_history_not_a_promise() -> None:
    player = play(order(0, "placed", promised=DUE), until=5 * DAY)
    player.events(order(5 * DAY, "delivered", promised=DUE))
    player.reach(6 * DAY)
    assert outcomes(player) == [(DUE, 1, 1)]


def test_a_promised_time_far_ahead_is_not_a_promise() -> None:
    player = Player()
    player.events(order(0, "placed", promised=61 * DAY))
    player.reach(HOUR)
    assert not player.stored("p")


def test_an_order_first_heard_of_after_its_promised_time_joins_the_episode_but_no_bin() -> None:
    player = play(order(3 * HOUR, "delivered", promised=DUE))
    assert outcomes(player) == []
    assert failures(player) == [DUE]


def test_attributes_are_the_latest_known_ones() -> None:
    player = play(order(0, "placed", promised=DUE, carrier="", warehouse="HAM"),
                  order(1, "shipped", carrier="dpx", region="DE"), order(2, "packed", carrier=""))
    (count,) = [c for c in player.emitted("cohort_count") if c.closed]
    assert count.attributes == ("carrier", "warehouse", "region")
    assert count.leaves[0].values == ("dpx", "HAM", "DE")


def test_one_order_id_of_two_customers_is_two_promises() -> None:
    player = play(order(0, "placed", "c1", promised=DUE), order(0, "placed", "c2", promised=DUE),
                  order(MINUTE, "delivered", "c1"))
    assert outcomes(player) == [(MINUTE, 1, 0), (DUE, 1, 1)]


def test_a_late_delivery_keeps_an_open_promise_without_entering_a_closed_bin() -> None:
    player = Player()
    player.events(order(0, "placed", promised=DUE))
    player.reach(30 * MINUTE)
    player.events(order(MINUTE, "delivered"))
    player.reach(DAY)
    assert not outcomes(player)
    assert not failures(player)


def test_a_late_delivery_of_an_order_without_promise_silences_a_promise_that_is_later_still() -> None:
    player = Player()
    player.events(order(MINUTE, "delivered"))
    player.reach(30 * MINUTE)
    player.events(order(0, "placed", promised=DUE))
    player.reach(DAY)
    assert not outcomes(player)
    assert not failures(player)


def test_a_promise_that_arrives_after_its_time_waits_for_the_delivery_that_is_late_with_it() -> None:
    #  +1 h promised          +5 h: placed and delivered arrive, both late
    player = Player()
    player.reach(5 * HOUR)
    player.events(order(0, "placed", promised=DUE), order(30 * MINUTE, "delivered"))
    player.reach(DAY)
    assert failures(player) == []
    player.events(order(20 * HOUR, "placed", order_id="o2", promised=20 * HOUR + 1))
    player.reach(DAY + HOUR)
    assert failures(player) == [20 * HOUR + 1]


def test_timers_and_waiting_events_survive_a_restart_at_every_point() -> None:
    player = Player()
    for event in (order(0, "placed", promised=DUE), order(1, "placed", order_id="o2", promised=DUE),
                  order(2, "placed", order_id="o3", promised=2 * DUE), order(5, "delivered", order_id="o3"),
                  order(MINUTE, "delivered")):
        player.events(event)
        player.restart(random.Random(0))
    player.reach(DUE + MINUTE)
    assert outcomes(player) == [(0, 1, 0), (MINUTE, 1, 0), (DUE, 1, 1)]


def test_what_is_remembered_of_orders_is_bounded() -> None:
    player = Player()
    sizes = []
    for day in range(12):
        for n in range(200):
            at = day * DAY + n * MINUTE
            player.events(order(at, "placed", order_id=f"o{day}-{n}", promised=at + 2 * HOUR),
                          order(at + 1, "delivered", order_id=f"o{day}-{n}"))
        player.reach((day + 1) * DAY - HOUR)
        sizes.append(sum(map(len, player.stored("e").values())) // 8)
    assert sizes[-1] == sizes[-3] <= 9 * 200  # late by a week, remembered for a day, in whole days
    assert not player.stored("p")


def test_timers_of_promises_decided_early_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.core.join.promises.STALE_TIMERS", 10)
    player = Player(make=JoinStage)  # the only one whose queue can be seen
    for n in range(100):
        player.events(order(n, "placed", order_id=f"o{n}", promised=30 * DAY),
                      order(n + 1, "delivered", order_id=f"o{n}"))
    player.reach(HOUR)
    player.reach(2 * HOUR)
    assert isinstance(player.state, JoinState)
    assert len(player.state.promises._queue) <= 10
