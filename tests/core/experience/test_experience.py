"""Single contacts and orders: what is told of them, when it is final, and what is forgotten."""

from __future__ import annotations

from typing import Any

from streams.core.experience.rules import ExperienceRules
from tests.core.experience.world import DAY, HOUR, T0, Player, contact, order

MINUTE = HOUR // 60


def played(*events: Any, at: int) -> Player:
    """All events fed, time at ``at``, flushed."""
    player = Player()
    player.feed(*events)
    player.reach(at)
    player.flush()
    return player


def test_a_repeat_about_the_same_order_takes_the_first_resolution_back_and_names_channel_and_mode_before() -> None:
    bot = contact(0, contact_id="k-1", channel="chat", mode="automatic", order_id="o-1")
    person = contact(3 * DAY, contact_id="k-2", channel="phone", mode="human", subject_ids=("o-1",))
    first, second = played(bot, contact(MINUTE, "answered"), person, at=5 * DAY).cases()
    assert (first["outcome"], first["first_contact_resolved"], first["repeated_at_ms"]) == (
        "repeated", False, T0 + 3 * DAY)  # fmt: skip
    assert (second["repeat_of"], second["channel_before"], second["mode_before"]) == ("k-1", "chat", "human")
    assert (second["outcome"], second["first_contact_resolved"]) == ("pending", None)


def test_a_contact_is_final_after_7_days_of_quiet_by_event_time() -> None:
    player = played(contact(0), contact(MINUTE, "answered"), at=7 * DAY + MINUTE)
    assert [row["first_contact_resolved"] for row in player.cases()] == [None]
    player.reach(7 * DAY + MINUTE + 1)
    player.flush()
    assert [row["first_contact_resolved"] for row in player.cases()] == [True]
    late = contact(6 * DAY, contact_id="k-2", reason="")
    player.feed(late, contact(6 * DAY, "reopened"))
    player.flush()
    assert [row["outcome"] for row in player.cases()] == ["reopened", "pending"]


def test_an_order_is_right_wrong_or_neither() -> None:
    def outcome(*events: Any, at: int = 30 * DAY) -> tuple[str, tuple[str, ...], bool | None]:
        (row, *_) = played(order(0), *events, at=at).orders()
        return row["outcome"], row["reasons"], row["first_time_right"]

    done, promised = order(2 * DAY, "delivered"), order(MINUTE, "paid", promised_at_ms=T0 + DAY)
    assert outcome(done) == ("right", (), True)
    assert outcome(done, at=9 * DAY) == ("pending", (), None)
    assert outcome(promised, done) == ("wrong", ("promise_broken",), False)
    assert outcome(promised, at=DAY) == ("open", (), None)
    assert outcome(done, order(9 * DAY, "returned")) == ("wrong", ("returned",), False)
    assert outcome(done, order(9 * DAY + 1, "returned")) == ("right", (), True)
    assert outcome(order(HOUR, "cancelled", cancelled_by="customer")) == ("withdrawn", (), None)
    assert outcome(order(HOUR, "cancelled", cancelled_by="company")) == ("wrong", ("cancelled_by_company",), False)
    assert outcome(done, contact(9 * DAY, order_id="o-1")) == ("wrong", ("contacted",), False)
    assert outcome(done, contact(9 * DAY + 1, order_id="o-1")) == ("right", (), True)
    assert outcome(order(MINUTE, "paid")) == ("right", (), True)


def test_an_order_that_failed_is_replaced_by_the_next_of_the_same_item() -> None:
    again = order(HOUR, order_id="o-2")
    first, second = played(order(0), order(MINUTE, "payment_failed"), again, at=2 * HOUR).orders()
    assert (first["reasons"], first["replaced_by"], first["put_right_at_ms"]) == (
        ("payment_failed", "replaced"), "o-2", None)  # fmt: skip
    assert second["outcome"] == "open"


def test_an_earlier_event_that_comes_late_moves_the_row_to_another_day() -> None:
    player = played(contact(DAY), at=DAY)
    player.feed(contact(HOUR, channel="chat"))
    player.flush()
    assert [(row["channel"], row["opened_at_ms"]) for row in player.cases()] == [("chat", T0 + HOUR)]
    assert [record.gone for record in player.emitted] == [False, True, False]


def test_what_is_over_is_forgotten_after_52_days_together_with_what_it_has_to_do_with() -> None:
    rules = ExperienceRules()
    assert rules.keep_ms == 52 * DAY
    player = played(order(0), order(HOUR, "delivered"), contact(6 * DAY, order_id="o-1"), at=57 * DAY)
    before = player.canonical()
    assert set(player.state.customers) == {"c-1"}
    player.reach(59 * DAY)
    player.restart()
    assert not player.state.customers
    assert player.canonical() == before


def test_a_customer_with_more_than_is_remembered_is_marked_and_bounded() -> None:
    player = Player(ExperienceRules(cases=4))
    player.feed(*(contact(number * MINUTE, contact_id=f"k-{number}") for number in range(9)))
    player.restart()
    assert len(player.cases()) == 4
    assert all(row["cut"] for row in player.cases())


def test_an_event_beyond_the_lateness_of_its_topic_changes_nothing() -> None:
    player = played(contact(0), at=60 * DAY)
    player.feed(contact(DAY, contact_id="k-2"))
    player.flush()
    assert [row["contact_id"] for row in player.cases()] == ["k-1"]
