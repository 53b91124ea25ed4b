"""The join room by example: what is late, when a bin closes, what attaches to what."""

from __future__ import annotations

import random

import pytest

from schemas.codec import encode
from schemas.events import Heartbeat
from schemas.findings import BinClosed, CohortCount, Episode, SourceCount
from schemas.rooms import BY_ROOM
from streams.agents.join import room
from streams.core.join.cohorts import ENOUGH, SEEN_VALUES
from streams.core.join.dedup import customer_hash
from streams.core.join.rules import JoinRules, Limits
from streams.settings import Settings
from tests.core.join.world import DAY, HOUR, MINUTE, SECOND, T0, Player, contact, of, order, telemetry

pytestmark = pytest.mark.usefixtures("stage")


def counts(player: Player, signal: str = "app", closed: bool = True) -> list[CohortCount]:
    return [c for c in player.emitted("cohort_count") if c.signal == signal and c.closed == closed]


def episodes(player: Player) -> dict[tuple[str, int], Episode]:
    """The latest version of every episode, by signal and window (ms after T0)."""
    return {(e.signal, e.window_ms - T0): e for e in player.emitted("episode")}


def test_the_room_reads_the_three_event_topics_once_per_customer_partition() -> None:
    made = room(Settings())
    assert (made.name, made.inputs, made.tasks) == ("join", BY_ROOM["join"].inputs, "customer")


# -- bins ----------------------------------------------------------------------------------------------------------


def test_a_bin_closes_when_the_slowest_topic_has_passed_its_end() -> None:
    #  T0        +10 s       +20 s
    #  [ x  x    )[          )
    #             ^ telemetry and contact are here (+20 s less 10 s), order is not
    player = Player()
    player.events(telemetry(1_000), telemetry(2_000, "c2", "failed"))
    player.reach(20 * SECOND, ("telemetry", "contact"))
    assert not counts(player)
    emitted = player.reach(20 * SECOND, ("order",))
    (count,) = of("cohort_count", emitted)
    assert (count.line, count.bin_ms, count.width_ms, count.closed) == ("shop", T0, 10_000, True)
    assert count.attributes == ("app_version", "platform", "device_model", "region", "component")
    (leaf,) = count.leaves
    assert (leaf.values, leaf.exposed, leaf.failed) == (("1", "", "", "", ""), 2, (customer_hash("c2"),))
    assert [type(message.record).__name__ for message in emitted] == [
        "CohortCount", "SourceCount", "BinClosed", "Watermark"
    ]
    assert [m.partition for m in emitted if isinstance(m.record, BinClosed)] == [0]


def test_one_bin_in_five_minutes_tells_who_was_seen_with_which_values() -> None:
    #  T0 + 2:20     + 2:30       + 2:40
    #   [ c9        )[ c1 c2 c3  )
    player = Player()
    player.events(telemetry(140_000, "c9"), telemetry(150_000), telemetry(151_000, "c2", "failed"),
                  telemetry(152_000, "c3", app_version="2", region="DE"))  # fmt: skip
    player.reach(200 * SECOND)
    (shown,) = player.emitted("values_seen")
    assert (shown.line, shown.signal, shown.bin_ms, shown.partition) == ("shop", "app", T0 + 150_000, 0)
    assert [(seen.attribute, seen.value, seen.customers) for seen in shown.values] == [
        ("app_version", "1", tuple(sorted(map(customer_hash, ("c1", "c2"))))),
        ("app_version", "2", (customer_hash("c3"),)),
        ("region", "DE", (customer_hash("c3"),)),
    ]


def test_of_very_many_customers_and_values_it_tells_of_some() -> None:
    player = Player()
    player.events(*(telemetry(150_000, f"c{n}") for n in range(30)))
    player.events(*(telemetry(151_000, "c0", app_version=f"made-up-{n}", event_id=f"m{n}") for n in range(600)))
    player.reach(200 * SECOND)
    (shown,) = player.emitted("values_seen")
    assert len(shown.values) == SEEN_VALUES
    (many,) = [seen for seen in shown.values if seen.value == "1"]
    assert many.customers == tuple(sorted(customer_hash(f"c{n}") for n in range(30))[:ENOUGH])


def test_open_bins_are_shown_at_every_drain_that_changed_them() -> None:
    player = Player()
    player.events(telemetry(1_000))
    player.drain()
    player.events(telemetry(2_000, "c2"))
    player.events(telemetry(2_500, "c2"))  # the same customer again: nothing new to show
    assert [count.leaves[0].exposed for count in counts(player, closed=False)] == [1, 2]


def test_open_bins_more_than_a_minute_behind_are_sent_only_when_they_close() -> None:
    player = Player()
    player.reach(HOUR, ("telemetry",))  # the others are an hour behind: everything since T0 is open
    player.events(contact(0), contact(HOUR - MINUTE))
    assert [count.bin_ms - T0 for count in counts(player, "contact", closed=False)] == [HOUR - MINUTE]
    player.reach(2 * HOUR)
    assert [count.bin_ms - T0 for count in counts(player, "contact")] == [0, HOUR - MINUTE]


def test_a_customer_counts_once_per_leaf_and_bin_however_often_it_fails() -> None:
    player = Player()
    player.events(*(telemetry(second * SECOND, "loop", "failed") for second in range(9)))
    player.reach(MINUTE)
    (leaf,) = counts(player)[0].leaves
    assert (leaf.exposed, leaf.failed) == (1, (customer_hash("loop"),))
    assert episodes(player)["app", 0].failures == 9


def test_an_abandoned_tap_is_no_exposure() -> None:
    player = Player()
    player.events(telemetry(1_000, outcome="abandoned"))
    player.reach(MINUTE)
    assert not counts(player)
    assert player.emitted("source_count")[0].events == 1


def test_lines_signals_and_leaves_come_sorted() -> None:
    player = Player()
    player.events(telemetry(1, product="tv"), telemetry(2, app_version="2"), telemetry(3, app_version="1"),
                  order(4, "paid"), contact(5))
    player.reach(MINUTE)
    assert [(c.line, c.signal) for c in player.emitted("cohort_count") if c.closed] == [
        ("shop", "app"), ("shop", "contact"), ("shop", "payment"), ("tv", "app")
    ]
    assert [leaf.values[0] for leaf in counts(player)[0].leaves] == ["1", "2"]


def test_nothing_closes_while_a_topic_was_never_heard_but_an_idle_passage_is_enough() -> None:
    player = Player()
    player.events(telemetry(1_000))
    player.reach(HOUR, ("telemetry", "contact"))
    assert not player.emitted("bin_closed")
    player.idle(10 * SECOND, ("order",))
    assert [closed.through_ms for closed in player.emitted("bin_closed")] == [T0 + 10 * SECOND]


def test_an_idle_passage_of_a_topic_makes_what_comes_behind_it_late() -> None:
    player = Player()
    player.idle(MINUTE)
    player.events(telemetry(59_999, outcome="failed"))
    player.reach(2 * MINUTE)
    assert not counts(player)
    assert [(s.events, s.late) for s in player.emitted("source_count")] == [(1, 1)]


# -- late, too old, repeated ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("behind", "in_bins", "in_episodes"), [
    (10 * SECOND, True, True), (10 * SECOND + 1, False, True), (10 * MINUTE, False, True),
    (10 * MINUTE + 1, False, False),
])
def test_how_far_behind_decides_what_an_event_changes(behind: int, in_bins: bool, in_episodes: bool) -> None:
    #  newest - 10 min          newest - 10 s           newest
    #  | episodes, counted late | bins and episodes     |
    player = Player()
    player.play("telemetry", [telemetry(HOUR, "ahead"), telemetry(HOUR - behind, "c1", "failed")])
    player.reach(2 * HOUR)
    failed = [leaf.failed for count in counts(player) for leaf in count.leaves if leaf.failed]
    assert bool(failed) == in_bins
    assert bool(player.emitted("episode")) == in_episodes
    assert len(player.emitted("late")) == (not in_episodes)
    assert sum(s.late for s in player.emitted("source_count")) == (in_episodes and not in_bins)


def test_another_topic_that_is_ahead_makes_nothing_late() -> None:
    player = Player()
    player.reach(5 * HOUR, ("order", "contact"))
    player.events(telemetry(1_000, outcome="failed"))
    player.reach(HOUR, ("telemetry",))
    assert len(counts(player)) == 1


def test_an_event_that_is_too_old_is_reported_without_its_customer() -> None:
    player = Player()
    player.play("telemetry", [telemetry(HOUR), telemetry(0, "secret")])
    (late,) = of("late", player.drain())
    assert late.model_dump() == {
        "kind": "late", "topic": "telemetry", "partition": 0, "offset": 1, "source": "app",
        "event_time_ms": T0, "watermark_ms": T0 + HOUR - 10 * SECOND,
    }


def test_a_heartbeat_moves_the_clock_but_counts_as_no_event() -> None:
    player = Player()
    player.reach(MINUTE)
    player.play("telemetry", [Heartbeat(event_time_ms=T0, source="app")])
    player.reach(HOUR)
    assert not player.emitted("source_count")
    assert not player.emitted("late")


def test_a_straggler_and_a_duplicate_correct_the_source_count_of_a_closed_bin() -> None:
    player = Player()
    player.events(telemetry(1_000))
    player.reach(MINUTE)
    player.events(telemetry(2_000, "c2"), telemetry(1_000))
    sent: list[SourceCount] = player.emitted("source_count")
    assert [(s.events, s.late, s.duplicates) for s in sent] == [(1, 0, 0), (2, 1, 1)]
    assert {s.bin_ms for s in sent} == {T0}


def test_the_same_event_id_of_two_customers_is_not_a_duplicate() -> None:
    player = Player()
    player.events(telemetry(1_000, "c1", event_id="1"), telemetry(1_000, "c2", event_id="1"))
    player.reach(MINUTE)
    assert counts(player)[0].leaves[0].exposed == 2


# -- the cap --------------------------------------------------------------------------------------------------------


def test_leaves_beyond_the_cap_are_counted_together_with_customers_counted_once() -> None:
    # cap 2; version a: 3 customers, b: 2, c and d: 1, the same one
    player = Player(rules=JoinRules(limits=Limits(leaves=2), clock_customers=1))
    for version, customers in (("d", "5"), ("c", "5"), ("b", "34"), ("a", "012")):
        player.events(*(telemetry(ord(version), name, "failed", app_version=version) for name in customers))
    player.reach(MINUTE)
    assert [(leaf.values[0], leaf.exposed, len(leaf.failed)) for leaf in counts(player)[0].leaves] == [
        ("__other__", 1, 1), ("a", 3, 3), ("b", 2, 2)
    ]
    assert set(counts(player)[0].leaves[0].values) == {"__other__"}


def test_a_leaf_keeps_its_place_while_it_is_seen_hourly_and_frees_it_afterwards() -> None:
    player = Player(rules=JoinRules(limits=Limits(leaves=1), clock_customers=1))
    player.events(telemetry(0, app_version="first"))
    player.reach(MINUTE)
    player.events(*(telemetry(HOUR, f"c{n}", app_version="big") for n in range(9)))
    player.events(telemetry(HOUR, "x", app_version="first"))
    player.reach(HOUR + MINUTE)
    player.restart(random.Random(0))
    player.events(*(telemetry(4 * HOUR, f"c{n}", app_version="big") for n in range(9)))
    player.reach(4 * HOUR + MINUTE)
    named = [[leaf.values[0] for leaf in count.leaves] for count in counts(player)]
    assert named == [["first"], ["__other__", "first"], ["big"]]


# -- episodes and contacts ------------------------------------------------------------------------------------------


def test_failures_of_one_hour_are_one_episode_with_the_earliest_evidence() -> None:
    #  T0 ............................. T0+1h ..........
    #  [ x x x x x x x                 )[ x           )
    player = Player()
    player.events(*(telemetry(minute * MINUTE, "c1", "failed", app_version=str(minute % 2)) for minute in range(7)))
    player.events(telemetry(HOUR, "c1", "failed"))
    first, second = episodes(player)["app", 0], episodes(player)["app", HOUR]
    assert (first.failures, first.first_failed_ms, first.last_failed_ms) == (7, T0, T0 + 6 * MINUTE)
    assert first.evidence == tuple(f"t{minute * MINUTE}c1failed" for minute in range(5))
    assert [(leaf.values[0], leaf.failures) for leaf in first.leaves] == [("0", 4), ("1", 3)]
    assert second.failures == 1


@pytest.mark.parametrize(("at", "attached"), [
    (-15 * MINUTE - 1, False), (-15 * MINUTE, True), (0, True), (DAY, True), (DAY + 1, False),
])
@pytest.mark.parametrize("contact_first", [True, False])
def test_a_contact_attaches_from_15_minutes_before_to_a_day_after_the_first_failure(
    at: int, attached: bool, contact_first: bool
) -> None:
    #        -15 min   first failure                          +24 h
    #  ------[---------x--------------------------------------]------
    failure, call = telemetry(DAY, outcome="failed"), contact(DAY + at)
    player = Player()
    player.events(*((call, failure) if contact_first else (failure, call)))
    episode = episodes(player)["app", DAY]
    assert episode.contacts == attached
    assert episode.contacted_at_ms == (T0 + DAY + at if attached else None)


def test_updates_of_one_contact_are_one_contact_in_every_hour() -> None:
    #  T0 x ............ k opened, answered ... T0+1h x ........ k opened again, transferred, resolved
    updates = [contact(at, contact_id="k", event_id=f"u{at}", status=status) for at, status in (
        (20 * MINUTE, "opened"), (30 * MINUTE, "answered"), (HOUR + 20 * MINUTE, "opened"),
        (HOUR + 30 * MINUTE, "transferred"), (2 * HOUR + 20 * MINUTE, "opened"), (2 * HOUR + 30 * MINUTE, "resolved"),
    )]  # fmt: skip
    failures = [telemetry(at, outcome="failed") for at in (0, 30 * MINUTE, HOUR)]
    for seed in range(4):
        player = Player()
        events = [*updates, *failures]
        random.Random(seed).shuffle(events)
        player.events(*events)
        player.restart(random.Random(seed))
        player.events(contact(3 * HOUR, contact_id="k", event_id="again"))
        found = episodes(player)
        assert (found["app", 0].contacts, found["app", 0].contacted_at_ms) == (1, T0 + 20 * MINUTE)
        assert found["app", HOUR].contacts == 0, "it was opened more than 15 minutes before that failure"


def test_a_late_failure_moves_the_first_one_and_takes_the_contact_out_of_reach() -> None:
    #  late x (12:05)   x 12:40            contact at 12:30 + 24 h
    player = Player()
    player.events(telemetry(40 * MINUTE, outcome="failed"), contact(DAY + 30 * MINUTE))
    assert episodes(player)["app", 0].contacts == 1
    player.events(telemetry(35 * MINUTE, outcome="failed"))
    assert episodes(player)["app", 0].contacts == 1
    player = Player()
    player.events(telemetry(40 * MINUTE, outcome="failed"), contact(DAY + 38 * MINUTE))
    player.events(telemetry(35 * MINUTE, outcome="failed"))
    assert episodes(player)["app", 0].contacts == 0


@pytest.mark.parametrize(("reason", "signals"), [
    ("app", {"app", "contact"}), ("technical", {"app", "contact"}), ("payment", {"payment", "contact"}),
    ("complaint", {"app", "payment", "contact"}), ("", {"app", "payment", "contact"}), ("question", set()),
    ("campaign", set()), ("info", set()),
])
def test_the_reason_decides_which_signals_a_contact_is_about(reason: str, signals: set[str]) -> None:
    player = Player()
    player.events(telemetry(1, outcome="failed"), order(2, "payment_failed"), contact(3, reason="technical"))
    player.events(contact(4, reason=reason, contact_id="k"))
    counted = {signal: e.contacts - (signal in ("app", "contact")) for (signal, _), e in episodes(player).items()}
    assert {signal for signal, contacts in counted.items() if contacts} == signals


def test_a_contact_of_another_line_or_customer_does_not_attach_one_without_line_does() -> None:
    player = Player()
    player.events(telemetry(1, outcome="failed"), contact(2, product="tv"), contact(3, "c2"))
    assert episodes(player)["app", 0].contacts == 0
    player.events(contact(4, product=""))
    assert episodes(player)["app", 0].contacts == 1


def test_two_openings_of_one_contact_are_one_contact() -> None:
    player = Player()
    player.events(telemetry(1, outcome="failed"), contact(9, contact_id="k"), contact(5, contact_id="k"))
    assert (episodes(player)["app", 0].contacts, episodes(player)["app", 0].contacted_at_ms) == (1, T0 + 5)


def test_the_episode_carries_the_largest_amount_at_stake() -> None:
    player = Player()
    player.events(order(1, "payment_failed", amount_cents=500), order(2, "payment_failed", amount_cents=900),
                  order(3, "payment_failed", amount_cents=100))
    assert [(one.currency, one.minor) for one in episodes(player)["payment", 0].amounts] == [("", 900)]


def test_a_customer_with_absurdly_many_leaves_or_contacts_stays_small() -> None:
    player = Player()
    events = [telemetry(n, outcome="failed", app_version=str(n)) for n in range(200)]
    random.Random(1).shuffle(events)
    player.events(*events, *(contact(n) for n in range(400)))
    kept, contacts = player.stored("c")["c1",]
    assert [(row[:3], len(row[7])) for row in kept if row[1] == "app"] == [(["shop", "app", T0], 64)]
    assert len(contacts) == 256
    shown = episodes(player)["app", 0]
    assert (shown.failures, len(shown.leaves), shown.contacts) == (200, 8, 256)


def test_an_episode_is_told_anew_when_a_contact_about_it_loses_its_place_to_one_that_is_not() -> None:
    player = Player()
    player.events(telemetry(0, outcome="failed"), *(contact(n, contact_id=f"s{n}") for n in range(256)))
    assert episodes(player)["app", 0].contacts == 256
    player.events(*(contact(n, product="tv", event_id=f"t{n}", contact_id=f"t{n}") for n in range(256)))
    _, contacts = player.stored("c")["c1",]
    kept = sum(1 for row in contacts if row[2] == "shop")
    assert 0 < kept < 256
    assert episodes(player)["app", 0].contacts == kept


def test_the_leaves_that_are_remembered_do_not_depend_on_order() -> None:
    events = [telemetry(n % 500, outcome="failed", app_version=str(n % 90), event_id=str(n)) for n in range(900)]
    shuffled = random.Random(2).sample(events, len(events))
    one, two = Player(), Player()
    one.events(*events)
    two.events(*shuffled)
    assert episodes(one) == episodes(two)


def test_a_customer_who_never_stops_failing_is_remembered_for_days_not_for_ever() -> None:
    player = Player()
    sizes = []
    for hour in range(0, 76 * 24, 6):
        player.events(telemetry(hour * HOUR, outcome="failed"), contact(hour * HOUR))
        player.reach(hour * HOUR)
        kept, contacts = player.stored("c")["c1",]
        sizes.append((len(kept), len(contacts)))
    assert sizes[-1] == sizes[-10]
    # An app and a contact episode every six hours: of 3 days, of the 45 that contacts may be late, and 64 old ones.
    assert sizes[-1][0] <= 4 * (3 + 46) + 64


def test_text_of_a_contact_is_neither_kept_nor_sent() -> None:
    player = Player()
    player.events(telemetry(1, outcome="failed"), contact(2, text="my private words"))
    player.reach(MINUTE)
    assert not any(b"private" in key + value for key, value in player.store.items())
    assert not any(b"private" in encode(message.record) for message in player.messages)
