"""When a failure was put right, by example: whose, by what, since when, and for how long it is remembered."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ConfigError
from schemas.events import Event
from streams.core.join.dedup import Bucket
from streams.core.join.repairs import NOTHING, Obligation, SuccessLog
from streams.core.join.rules import REPAIRS, JoinRules, Limits
from tests.core.join.world import DAY, HOUR, MINUTE, SECOND, T0, Player, contact, order, telemetry

pytestmark = pytest.mark.usefixtures("stage")

RULES = replace(JoinRules(), clock_customers=1)


def latest(player: Player, signal: str) -> Any:
    """The last episode of a signal."""
    return [episode for episode in player.emitted("episode") if episode.signal == signal][-1]


def put_right(signal: str, *events: Event) -> int | None:
    """When what went wrong in these events was put right, ms after T0: the same in any order, at once or one by one."""
    found = set()
    for turned in (events, events[::-1]):
        slowly, at_once = Player(rules=RULES), Player(rules=RULES)
        for event in turned:
            slowly.events(event)
            slowly.restart(random.Random(1))
        at_once.events(*turned)
        for player in (slowly, at_once):
            player.reach(9 * HOUR)
            found.add(latest(player, signal).put_right_ms)
    (at,) = found
    return None if at is None else at - T0


@pytest.mark.parametrize(
    ("status", "right"),
    [("paid", True), ("delivered", True), ("cancelled", True), ("refunded", True), ("shipped", False),
     ("returned", False)],
)  # fmt: skip
def test_a_failed_payment_is_put_right_by_what_happens_to_its_order(status: str, right: bool) -> None:
    failed = order(MINUTE, "payment_failed")
    assert put_right("payment", failed, order(2 * MINUTE, status)) == (2 * MINUTE if right else None)
    assert put_right("payment", failed, order(2 * MINUTE, status, order_id="o2")) is None
    assert put_right("payment", failed, order(2 * MINUTE, status, "c2")) is None
    assert put_right("payment", failed, order(59 * SECOND, status)) is None, "before it failed"
    assert put_right("payment", failed, order(MINUTE, status)) == (MINUTE if right else None), "at the same moment"


def test_the_first_repair_after_the_last_failure_counts() -> None:
    failures = [order(minute * MINUTE, "payment_failed") for minute in (1, 3)]
    repairs = [order(minute * MINUTE, "paid") for minute in (2, 4, 5)]
    assert put_right("payment", *failures, *repairs) == 4 * MINUTE
    assert put_right("payment", *failures, *repairs[:1]) is None


def test_an_episode_is_put_right_when_the_last_of_its_orders_is() -> None:
    events = [order(MINUTE, "payment_failed"), order(MINUTE, "payment_failed", order_id="o2", payment_method="card"),
              order(2 * MINUTE, "paid"), order(9 * MINUTE, "paid", order_id="o2")]  # fmt: skip
    assert put_right("payment", *events) == 9 * MINUTE
    player = Player(rules=RULES)
    player.events(*events[:3])
    leaves = {leaf.values[1]: leaf.put_right_ms for leaf in latest(player, "payment").leaves}
    assert leaves == {"": T0 + 2 * MINUTE, "card": None}
    assert latest(player, "payment").put_right_ms is None


@pytest.mark.parametrize(("status", "right"), [("delivered", True), ("refunded", True), ("cancelled", True),
                                               ("paid", False)])  # fmt: skip
def test_a_broken_promise_is_put_right_by_what_happens_to_its_order(status: str, right: bool) -> None:
    promised = order(0, "placed", promised=10 * MINUTE)
    assert put_right("delivery", promised, order(2 * HOUR, status)) == (2 * HOUR if right else None)


def test_the_companys_own_cancellation_puts_nothing_right_but_the_money_does() -> None:
    placed = order(0, "placed", promised=HOUR)
    cancelled = order(SECOND, "cancelled", cancelled_by="company")
    again = order(2 * SECOND, "cancelled", cancelled_by="customer")
    assert put_right("delivery", placed, cancelled, again) is None
    assert put_right("delivery", placed, cancelled, again, order(3 * SECOND, "refunded")) == 3 * SECOND


def test_an_app_failure_is_put_right_where_the_same_works_for_the_customer_in_whatever_part_or_release() -> None:
    failed = telemetry(MINUTE, outcome="failed", event_name="pay", component="cart")
    works = {"event_name": "pay", "component": "checkout", "app_version": "2"}
    assert put_right("app", failed, telemetry(2 * MINUTE, **works)) == 2 * MINUTE
    for other in ({"event_name": "tap"}, {"product": "tv"}, {"customer_id": "c2"}, {"outcome": "abandoned"}):
        assert put_right("app", failed, telemetry(2 * MINUTE, **works | other)) is None


def test_a_complaint_is_put_right_when_it_is_resolved_or_if_it_names_an_order_by_what_happens_to_that() -> None:
    complaint = contact(MINUTE, contact_id="k1")
    assert put_right("contact", complaint, contact(HOUR, contact_id="k1", status="resolved")) == HOUR
    assert put_right("contact", complaint, contact(HOUR, contact_id="k2", status="resolved")) is None
    named = contact(MINUTE, contact_id="k1", order_id="o1")
    assert put_right("contact", named, order(HOUR, "delivered")) == HOUR
    assert put_right("contact", named, order(HOUR, "delivered", order_id="k1")) is None
    assert put_right("contact", complaint, order(HOUR, "delivered", order_id="k1")) is None


def test_a_failure_that_comes_back_is_open_again() -> None:
    player = Player(rules=RULES)
    player.events(telemetry(MINUTE, outcome="failed"), telemetry(2 * MINUTE))
    assert latest(player, "app").put_right_ms == T0 + 2 * MINUTE
    player.events(telemetry(3 * MINUTE, outcome="failed"))
    assert latest(player, "app").put_right_ms is None
    player.events(telemetry(4 * MINUTE))
    assert latest(player, "app").put_right_ms == T0 + 4 * MINUTE


def test_what_works_on_changes_nothing_any_more() -> None:
    player = Player(rules=RULES)
    player.events(telemetry(MINUTE, outcome="failed"), telemetry(2 * MINUTE))
    count = len(player.emitted("episode"))
    player.events(*(telemetry(minute * MINUTE) for minute in range(3, 9)))
    assert len(player.emitted("episode")) == count


def test_word_comes_weeks_later_also_after_a_restart_and_not_after_60_days() -> None:
    for days, right in ((20, True), (59, True), (61, False)):
        player = Player(rules=RULES)
        player.events(order(MINUTE, "payment_failed", payment_method="card", amount_cents=900))
        for day in range(1, days):
            player.reach(day * DAY)
        player.restart(random.Random(days))
        player.events(order(days * DAY, "paid"))
        episode = latest(player, "payment")
        assert episode.put_right_ms == (T0 + days * DAY if right else None)
        assert (episode.failures, episode.amounts[0].minor, episode.leaves[0].values[1]) == (1, 900, "card")


def test_once_it_is_put_right_it_is_forgotten_as_soon_as_nothing_earlier_can_come() -> None:
    player = Player(rules=RULES)
    player.events(order(MINUTE, "payment_failed"))
    player.reach(30 * DAY)
    player.events(order(30 * DAY, "paid"))
    player.reach(30 * DAY + HOUR)
    player.events(order(30 * DAY - HOUR, "refunded"))
    assert latest(player, "payment").put_right_ms == T0 + 30 * DAY - HOUR, "an earlier repair that came late"
    player.reach(39 * DAY)
    player.reach(40 * DAY)
    assert player.stored("c") == {}


def test_of_many_obligations_and_of_many_old_episodes_some_are_followed_whatever_the_order() -> None:
    rules = replace(RULES, limits=Limits(obligations=2, old_episodes=3))
    failures = [telemetry(minute * MINUTE, outcome="failed", event_name=f"e{minute}") for minute in range(9)]
    one, two = Player(rules=rules), Player(rules=rules)
    one.events(*failures)
    two.events(*failures[::-1])
    ((_, episodes),) = [(key, value[0]) for key, value in one.stored("c").items()]
    assert one.stored("c") == two.stored("c")
    assert len(episodes[0][7][0][3]) == 2
    works = [telemetry(HOUR + minute * MINUTE, event_name=f"e{minute}") for minute in range(9)]
    one.events(*works)
    assert latest(one, "app").put_right_ms is not None
    for hour in range(1, 200, 10):
        two.events(telemetry(hour * HOUR, outcome="failed"))
        two.reach(hour * HOUR)
    two.reach(200 * HOUR + RULES.retention_ms)
    windows = [episode[2] for episode in two.stored("c")["c1",][0]]
    assert windows == [T0 + hour * HOUR for hour in (171, 181, 191)]


def test_what_an_older_build_remembers_is_read_and_never_counts_as_put_right() -> None:
    player = Player(rules=RULES)
    player.events(telemetry(MINUTE, outcome="failed"), order(MINUTE, "placed", promised=HOUR))
    for key, value in list(player.store.items()):
        kind = msgspec.msgpack.decode(key)[0]
        player.store[key] = msgspec.msgpack.encode(_older(kind, msgspec.msgpack.decode(value)))
        if kind == "r":
            del player.store[key]
    player.restart(random.Random(1))
    player.events(telemetry(2 * MINUTE), telemetry(3 * MINUTE, outcome="failed"), telemetry(4 * MINUTE))
    episode = latest(player, "app")
    assert (episode.failures, episode.put_right_ms, episode.origin) == (2, None, "live")
    player.reach(2 * HOUR)
    assert latest(player, "delivery").last_failed_ms == T0 + HOUR
    player.reach(2 * HOUR + RULES.retention_ms + HOUR)
    player.events(order(9 * DAY, "delivered"))
    player.reach(19 * DAY)
    player.reach(20 * DAY)
    assert player.stored("c") == {}, "it is not waited for"


def _older(kind: str, value: Any) -> Any:
    """What the build before wrote."""
    if kind == "c":
        episodes, contacts = value
        return [[*row[:7], [leaf[:2] for leaf in row[7]], row[8]] for row in episodes], [row[:4] for row in contacts]
    if kind == "q":
        return [row[:10] for row in value]
    return value[:7] if kind == "p" else value


@pytest.mark.parametrize(("order_id", "subjects", "contacts"), [
    ("o1", (), 1), ("o2", (), 0), (None, (), 0), (None, ("o1",), 1), (None, ("t-1", "o1"), 1), ("o2", ("o1", "o1"), 1),
    ("o1", ("t-1",), 1), ("", ("t-1", "o2"), 0),
])
@pytest.mark.parametrize("arrives", [20, 28])
def test_a_contact_that_names_its_order_reaches_the_failure_for_weeks_until_it_is_put_right(
    order_id: str | None, subjects: tuple[str, ...], contacts: int, arrives: int
) -> None:
    player = Player(rules=RULES)
    player.events(order(MINUTE, "payment_failed"))
    for day in range(1, arrives):
        player.reach(day * DAY)
    player.events(contact(20 * DAY, reason="payment", order_id=order_id, subject_ids=subjects))
    player.restart(random.Random(1))
    for day in range(arrives + 1, 30):
        player.reach(day * DAY)
    player.events(order(29 * DAY, "paid"),
                  contact(29 * DAY + HOUR, reason="payment", order_id=order_id, subject_ids=subjects))
    episode = latest(player, "payment")
    assert (episode.contacts, episode.put_right_ms) == (contacts, T0 + 29 * DAY)
    assert episode.contacted_at_ms == (T0 + 20 * DAY if contacts else None)
    player.reach(39 * DAY)
    player.reach(40 * DAY)
    assert not [row for value in player.stored("c").values() for row in value[0] if row[1] == "payment"]


def test_a_contact_too_late_to_be_joined_by_time_is_joined_by_its_order_only() -> None:
    player = Player(rules=RULES)
    player.events(order(MINUTE, "payment_failed"), order(MINUTE, "payment_failed", order_id="o2"))
    player.reach(4 * DAY)
    player.events(contact(HOUR, reason="payment"), contact(2 * HOUR, reason="payment", order_id="o3"))
    assert latest(player, "payment").contacts == 0
    player.events(contact(3 * HOUR, reason="payment", order_id="o2"))
    assert (latest(player, "payment").contacts, latest(player, "payment").contacted_at_ms) == (1, T0 + 3 * HOUR)
    player.events(contact(2 * HOUR, reason="payment", event_id="n", contact_id="k9", subject_ids=("t-1", "o1")))
    assert (latest(player, "payment").contacts, latest(player, "payment").contacted_at_ms) == (2, T0 + 2 * HOUR)


def test_a_contact_without_subjects_is_remembered_as_before() -> None:
    new = Player(rules=RULES)
    new.events(order(MINUTE, "payment_failed"), contact(HOUR, reason="payment", order_id="o1"),
               contact(2 * HOUR, reason="payment", contact_id="k2", subject_ids=("o1", "t-1")))
    _, contacts = new.stored("c")["c1",]
    assert [len(row) for row in contacts] == [6, 7]
    new.restart(random.Random(2))
    new.events(order(2 * MINUTE, "payment_failed", order_id="o2"))
    assert latest(new, "payment").contacts == 2


def test_a_failure_is_live_if_one_event_was_seen_live() -> None:
    player = Player(rules=RULES)
    player.events(telemetry(MINUTE, outcome="failed", origin="replay"))
    assert latest(player, "app").origin == latest(player, "app").leaves[0].origin == "replay"
    player.events(telemetry(2 * MINUTE, outcome="failed", origin="drill", app_version="2"))
    assert latest(player, "app").origin == "drill"
    assert [leaf.origin for leaf in latest(player, "app").leaves] == ["replay", "drill"]
    player.events(telemetry(3 * MINUTE, outcome="failed"))
    assert latest(player, "app").origin == "live"


def test_a_promise_that_a_replay_states_and_time_breaks_is_a_replay() -> None:
    player = Player(rules=RULES)
    player.events(order(0, "placed", promised=HOUR, origin="replay"), order(MINUTE, "shipped"))
    player.restart(random.Random(1))
    player.reach(2 * HOUR)
    assert latest(player, "delivery").origin == "replay"


def test_rules_that_cannot_be_followed_are_refused() -> None:
    rule = REPAIRS[0]
    for repairs, sentence in (
        ((rule, rule), "two rules"),
        ((replace(rule, same=("product",)),), "of their order"),
        ((replace(rule, by={"payment": frozenset({"placed", "paid", "payment_failed", "packed", "shipped", "delivered",
                                                  "late", "cancelled", "returned"})}),), "at most 8"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=sentence):
            JoinRules(repairs=repairs)
    for change in ({"same": ()}, {"same": ("nothing",)}, {"width_ms": 7}, {"by": {"payment": frozenset({"sent"})}}):
        with pytest.raises(ConfigError):
            replace(rule, **change)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 150), st.integers(0, 3), st.booleans()), max_size=60),
       st.integers(0, 5), st.integers(0, 150), st.integers(0, 15))  # fmt: skip
def test_a_log_tells_the_first_that_counts_as_a_plain_list_does(
    noted: list[tuple[int, int, int, bool]], wanted: int, since: int, mask: int
) -> None:
    names = [number * 0x1234_5678_9ABC_DEF for number in range(1, 7)]
    log, store = SuccessLog(MINUTE), {}
    for name, second, kind, ask in noted:
        log.note(T0 + second * SECOND, names[name], kind)
        if ask:
            log.first(names[name], T0, 1)
            for key, value in log.drain():
                store[key] = value
    plain = [T0 + second * SECOND for name, second, kind, _ in noted
             if name == wanted and second >= since and mask >> kind & 1]  # fmt: skip
    assert log.first(names[wanted], T0 + since * SECOND, mask) == min(plain, default=None)
    store |= dict(log.drain())
    again = SuccessLog(MINUTE)
    again.load({key: value for key, value in store.items() if value is not None})
    assert again.first(names[wanted], T0 + since * SECOND, mask) == min(plain, default=None)
    assert len(again) == len(noted)


def test_questions_sort_each_item_a_few_times_only() -> None:
    bucket, dice = Bucket(), random.Random(3)
    for _ in range(2_000):
        bucket.log.append(dice.getrandbits(64))
        bucket.first(0, 2**64 - 1, lambda _: True)
    assert len(bucket._runs) <= 12


def test_an_obligation_whose_kinds_differ_keeps_what_all_of_the_same_moment_have_in_common() -> None:
    one = Obligation(5, 0b110)
    assert not one.fail(4, 0b001)
    assert one.fail(5, 0b011)
    assert one.mask == 0b010
    assert one.fail(6, 0b111)
    assert (one.time_ms, one.mask, one.waits) == (6, 0b111, True)
    assert not Obligation(5, NOTHING.mask).waits
