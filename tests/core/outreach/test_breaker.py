"""The breaker of a channel: what opens it, who probes, what closes it, what pauses it for good."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.core.outreach.breaker import TRIP, Breaker


def fail(breaker: Breaker, times: int, now_s: float = 0.0, root: str = "i-1") -> None:
    """So many answers that accept nothing."""
    for _ in range(times):
        breaker.saw(False, "http_401", root, False, now_s)


def test_a_few_answers_in_a_row_that_accept_nothing_open_it_and_an_acceptance_in_between_does_not() -> None:
    breaker = Breaker()
    fail(breaker, TRIP - 1)
    breaker.saw(True, "accepted", "i-1", False, 0.0)
    fail(breaker, TRIP - 1)
    assert (breaker.state(0.0), breaker.allow(9, 0.0)) == ("closed", 9)
    fail(breaker, 1)
    assert (breaker.state(0.0), breaker.allow(9, 0.0)) == ("open", 0)


def test_probes_go_out_one_at_a_time_after_pauses_that_grow_up_to_a_limit() -> None:
    breaker, now_s, pauses = Breaker(first_s=2.0, longest_s=10.0), 0.0, []
    fail(breaker, TRIP)
    for _ in range(5):
        began = now_s
        while not breaker.allow(9, now_s):
            now_s += 0.5
        pauses.append(now_s - began)
        assert breaker.allow(9, now_s) == 0, "one probe is out"
        assert breaker.state(now_s) == "half_open"
        breaker.saw(False, "http_401", "i-1", True, now_s)
    assert pauses == [2.0, 4.0, 8.0, 10.0, 10.0]
    breaker.saw(True, "accepted", "i-1", True, now_s)
    assert breaker.allow(9, now_s) == 9


def test_a_probe_that_did_not_go_out_leaves_its_place_to_another() -> None:
    breaker = Breaker()
    fail(breaker, TRIP)
    assert breaker.allow(1, 2.0) == 1
    breaker.unused()
    assert breaker.allow(1, 2.0) == 1


def test_answers_to_what_was_on_the_wire_when_it_opened_do_not_make_the_pause_longer() -> None:
    breaker = Breaker()
    fail(breaker, 30)
    assert breaker.allow(1, 2.0) == 1


def test_a_refusal_is_believed_only_while_the_channel_accepts_others() -> None:
    breaker = Breaker()
    believed = [breaker.saw(False, "http_400", "i-1", False, 0.0) for _ in range(32)]
    assert believed == [True] * (TRIP - 1) + [False] * (33 - TRIP)


def test_an_order_leaves_a_closed_breaker_as_it_is_and_lets_an_open_one_probe_at_once() -> None:
    closed, opened = Breaker(), Breaker()
    fail(opened, TRIP)
    for breaker in (closed, opened):
        breaker.resume("cmd-1")
    assert (closed.allow(9, 0.0), opened.allow(9, 0.0)) == (9, 1)


def test_a_pause_ends_by_an_order_only_and_by_each_order_once() -> None:
    breaker = Breaker()
    breaker.gone()
    assert (breaker.state(1e9), breaker.allow(9, 1e9)) == ("paused", 0)
    breaker.resume("cmd-1")
    assert breaker.allow(9, 0.0) == 1, "one probe first"
    breaker.saw(False, "gone", "i-1", True, 0.0)
    breaker.gone()
    breaker.resume("cmd-1")
    assert breaker.allow(9, 1e9) == 0, "another partition hears the same order later"


@given(st.lists(st.tuples(st.sampled_from(["ok", "no", "unused", "gone"]), st.integers(0, 30)), max_size=60))
def test_whatever_comes_there_is_never_more_than_one_probe_and_never_no_way_back(steps: list[tuple[str, int]]) -> None:
    breaker, now_s, orders = Breaker(), 0.0, 0
    for what, seconds in steps:
        now_s += seconds
        healthy = breaker.state(now_s) == "closed"
        allowed = breaker.allow(9, now_s)
        assert allowed == 9 if healthy else allowed <= 1
        if not allowed:
            continue
        if what == "unused" and not healthy:
            breaker.unused()
        else:
            breaker.saw(what == "ok", what, "i-1", not healthy, now_s)
        if what == "gone":
            breaker.gone()
    if breaker.paused:
        orders += 1
        breaker.resume(f"cmd-{orders}")
    assert breaker.allow(9, now_s + breaker.longest_s) >= 1


def test_a_pause_that_a_ledger_kept_holds_unless_an_order_came_that_it_has_not_heard() -> None:
    fresh, resumed = Breaker(), Breaker()
    fresh.restore(("cmd-1",))
    assert fresh.state(0.0) == "paused"
    resumed.gone()
    resumed.resume("cmd-2")
    resumed.restore(("cmd-1",))
    assert resumed.state(0.0) == "half_open"
    resumed.restore(("cmd-1", "cmd-2"))
    assert resumed.state(0.0) == "paused"
