"""What is told in the end is a function of the events: compared with a recomputation from all of them at once."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Contact, Event, Order
from streams.core.experience.history import Conclusions, CustomerEvents, history_of, packed
from tests.core.experience import oracle
from tests.core.experience.world import DAY, HOUR, T0, Player, contacts, orders, unique

EVENTS = st.lists(contacts() | orders(), min_size=1, max_size=24).map(unique)
ENDS = st.integers(1, 40).map(lambda days: days * DAY + HOUR)
CUTS = st.lists(st.sampled_from(["", "", "", "flush", "restart"]), min_size=24, max_size=24)


def expected(events: list[Event], at: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Both kinds of rows, by the oracle."""
    placed = [event for event in events if isinstance(event, Order)]
    opened = [event for event in events if isinstance(event, Contact)]
    cases, outcomes = oracle.contact_cases(opened, T0 + at), oracle.order_outcomes(placed, opened, T0 + at)
    return (sorted(cases, key=lambda row: (row["customer_id"], row["contact_id"])),
            sorted(outcomes, key=lambda row: (row["customer_id"], row["order_id"])))  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(EVENTS, ENDS, st.data(), CUTS)
def test_order_of_arrival_duplicates_cuts_and_restarts_change_nothing(
    events: list[Event], end: int, data: st.DataObject, cuts: list[str]
) -> None:
    player = Player()
    arrivals = data.draw(st.permutations(events))
    for event, cut in zip([*arrivals, *arrivals[:3]], [*cuts, "", "", ""], strict=False):
        player.feed(event)
        if cut == "flush":
            player.flush()
        elif cut == "restart":
            player.restart()
    player.reach(end)
    player.flush()
    cases, outcomes = expected(events, end)
    assert player.cases() == cases
    assert player.orders() == outcomes


@settings(max_examples=40, deadline=None)
@given(EVENTS, st.lists(ENDS, min_size=1, max_size=6))
def test_time_alone_makes_pending_final_at_the_same_moment_however_often_it_is_looked_at(
    events: list[Event], ends: list[int]
) -> None:
    often, once = Player(), Player()
    often.feed(*events)
    once.feed(*events)
    for end in sorted(ends):
        often.reach(end)
        often.restart()
    once.reach(max(ends))
    once.flush()
    assert often.canonical() == once.canonical()
    assert (often.cases(), often.orders()) == expected(events, max(ends))


@given(EVENTS)
def test_what_is_persisted_is_what_was_remembered(events: list[Event]) -> None:
    player = Player()
    player.feed(*events)
    for history in player.state.open.values():
        again = history_of(packed(history, T0))
        assert again == history
        once, twice = (Conclusions(one, T0, player.stage.rules).findings("c") for one in (history, again))
        assert once == twice
    assert all(isinstance(history, CustomerEvents) for history in player.state.open.values())
