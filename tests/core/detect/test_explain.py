"""Causes on hand-made tables: what separates is named, what only looks bad is not."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.detect.explain import Leaf, explain, risk_ratio

ids = itertools.count()


def leaf(values: tuple[str, ...], exposed: int, failed: int, usual: float = 0.02) -> Leaf:
    return Leaf(values, exposed, exposed * usual, [next(ids) for _ in range(failed)])


def test_the_failing_provider_is_named() -> None:
    table = [
        leaf(("paynow", "IT"), 50, 20),
        leaf(("paynow", "DE"), 80, 30),
        leaf(("cardly", "IT"), 60, 1),
        leaf(("cardly", "DE"), 90, 2),
    ]
    assert explain(("provider", "region"), table).pairs == (("provider", "paynow"),)


def test_a_pair_is_named_when_the_rest_of_its_single_is_fine() -> None:
    table = [
        leaf(("paynow", "IT"), 50, 20),
        leaf(("paynow", "DE"), 80, 1),
        leaf(("cardly", "IT"), 60, 1),
        leaf(("cardly", "DE"), 90, 2),
    ]
    assert explain(("provider", "region"), table).pairs == (("provider", "paynow"), ("region", "IT"))


def test_ten_failures_suffice_for_a_pair() -> None:
    table = [
        leaf(("paynow", "IT"), 14, 10),
        leaf(("paynow", "DE"), 40, 1),
        leaf(("cardly", "IT"), 20, 0),
        leaf(("cardly", "DE"), 60, 1),
    ]
    assert explain(("provider", "region"), table).pairs == (("provider", "paynow"), ("region", "IT"))


def test_a_slightly_worse_pair_does_not_replace_its_single() -> None:
    table = [
        leaf(("paynow", "IT"), 50, 25),
        leaf(("paynow", "DE"), 80, 30),
        leaf(("cardly", "IT"), 60, 1),
        leaf(("cardly", "DE"), 90, 2),
    ]
    assert explain(("provider", "region"), table).pairs == (("provider", "paynow"),)


def test_two_names_for_the_same_customers_are_one_cause() -> None:
    """MacroBase #255: every customer of version 9 is on Android and nobody else is, yet both were reported."""
    table = [
        leaf(("9", "android", "DE"), 40, 15),
        leaf(("9", "android", "IT"), 40, 15),
        leaf(("8", "ios", "DE"), 80, 1),
        leaf(("8", "ios", "IT"), 80, 1),
    ]
    found = explain(("version", "platform", "region"), table)
    assert len(found.pairs) == 1
    assert found.pairs[0] in (("version", "9"), ("platform", "android"))


def test_a_value_that_everybody_shares_is_no_cause() -> None:
    """MacroBase #264: a constant column was shown as the cause, also as half of a pair."""
    table = [leaf(("shop", "paynow"), 50, 20), leaf(("shop", "cardly"), 50, 1)]
    assert explain(("product", "provider"), table).pairs == (("provider", "paynow"),)
    assert explain(("product",), [leaf(("shop",), 50, 20)]).pairs == ()


def test_unknown_values_are_no_cause() -> None:
    table = [leaf(("", "paynow"), 50, 20), leaf(("app", "cardly"), 50, 1), leaf(("app", "paynow"), 5, 2)]
    assert explain(("channel", "provider"), table).pairs == (("provider", "paynow"),)


def test_who_has_no_place_is_outside_of_nothing() -> None:
    #  the flood never fails: next to it even the healthy part of DE looks bad, and the pair like its single
    table = [
        leaf(("5.2", "DE"), 800, 46, 0.01),
        leaf(("5.1", "DE"), 840, 14, 0.01),
        leaf(("5.2", "FR"), 800, 9, 0.01),
        leaf(("5.1", "FR"), 900, 9, 0.01),
        leaf(("__other__", "__other__"), 18_000, 0, 0.0),
    ]
    assert explain(("version", "region"), table).pairs == (("version", "5.2"), ("region", "DE"))


def test_an_airport_is_not_blamed_for_two_sick_carriers_that_fly_there() -> None:
    """16 April 2013 in small: LGA looks six times as bad as the others, yet its other carriers are fine."""
    table = [
        leaf(("AA", "LGA"), 20, 15),
        leaf(("MQ", "LGA"), 22, 17),
        leaf(("AA", "JFK"), 14, 10),
        leaf(("MQ", "EWR"), 6, 5),
        leaf(("DL", "LGA"), 50, 2),
        leaf(("UA", "LGA"), 52, 3),
        leaf(("UA", "EWR"), 150, 8),
        leaf(("B6", "JFK"), 130, 9),
    ]
    assert explain(("carrier", "origin"), table).pairs in ((("carrier", "AA"),), (("carrier", "MQ"),))


def test_what_is_left_after_the_first_cause_names_the_second() -> None:
    table = [
        leaf(("MQ", "LGA"), 22, 17),
        leaf(("MQ", "EWR"), 6, 5),
        leaf(("DL", "LGA"), 50, 2),
        leaf(("UA", "LGA"), 52, 3),
        leaf(("UA", "EWR"), 150, 8),
        leaf(("B6", "JFK"), 130, 9),
    ]
    assert explain(("carrier", "origin"), table).pairs == (("carrier", "MQ"),)


def test_simpson_a_carrier_is_not_blamed_for_flying_where_it_storms() -> None:
    """Within each airport both carriers are alike; EV flies mostly from the stormy one and looks four times as bad."""
    table = [
        leaf(("EV", "EWR"), 180, 72),
        leaf(("DL", "EWR"), 40, 16),
        leaf(("EV", "LGA"), 20, 1),
        leaf(("DL", "LGA"), 200, 8),
        leaf(("DL", "JFK"), 200, 8),
    ]
    assert explain(("carrier", "origin"), table).pairs == (("origin", "EWR"),)


def test_when_everybody_is_equally_bad_the_whole_line_is_the_cause() -> None:
    table = [leaf((c, o), 60, 24) for c in ("AA", "DL", "UA") for o in ("LGA", "JFK")]
    found = explain(("carrier", "origin"), table)
    assert found.pairs == ()
    assert (found.exposed, found.failed, found.support) == (360, 144, 1.0)
    assert not found.open_question


def test_too_few_failures_to_tell_one_attribute_from_all_are_an_open_question() -> None:
    table = [leaf(("HAM",), 8, 4), leaf(("MUC",), 9, 1), leaf(("LYO",), 8, 0)]
    found = explain(("warehouse",), table)
    assert found.pairs == ()
    assert found.open_question


def test_a_cohort_that_is_always_worse_is_no_news() -> None:
    """Search always fails five times as often; now everything fails twice as often."""
    table = [
        leaf(("search", "DE"), 200, 40, 0.10),
        leaf(("search", "IT"), 200, 42, 0.10),
        leaf(("basket", "DE"), 800, 32, 0.02),
        leaf(("basket", "IT"), 800, 33, 0.02),
    ]
    assert explain(("component", "region"), table).pairs == ()


def test_a_sliver_of_the_excess_is_no_cause() -> None:
    table = [leaf(("tiny", "DE"), 4, 4), *(leaf((f"p{i}", "DE"), 100, 40) for i in range(6))]
    assert explain(("provider", "region"), table).pairs == ()


def test_a_customer_who_failed_in_two_leaves_counts_once() -> None:
    same = [next(ids) for _ in range(12)]
    table = [
        Leaf(("paynow", "web"), 30, 0.6, same),
        Leaf(("paynow", "app"), 30, 0.6, same),
        leaf(("cardly", "web"), 90, 1),
    ]
    assert explain(("provider", "channel"), table).failed == 12


@given(a=st.integers(0, 50), b=st.integers(0, 200), c=st.integers(0, 50), d=st.integers(0, 200))
def test_the_interval_is_the_textbook_one_with_halves(a: int, b: int, c: int, d: int) -> None:
    value, low, high = risk_ratio(a, a + b, c, c + d)
    a1, n1, c1, n0 = a + 0.5, a + b + 1, c + 0.5, c + d + 1
    wide = 1.96 * math.sqrt(1 / a1 - 1 / n1 + 1 / c1 - 1 / n0)
    assert value == pytest.approx((a1 / n1) / (c1 / n0))
    assert (math.log(low), math.log(high)) == pytest.approx((math.log(value) - wide, math.log(value) + wide))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_leaves_does_not_matter_and_every_named_cause_stands_up(seed: int) -> None:
    rng = random.Random(seed)
    table = [leaf((a, b), rng.randint(1, 80), 0) for a in "abc" for b in "xyz"]
    table = [
        Leaf(t.values, t.exposed, t.expected, [next(ids) for _ in range(rng.randint(0, t.exposed // 2))]) for t in table
    ]
    found = explain(("one", "two"), table)
    assert explain(("one", "two"), rng.sample(table, len(table))) == found
    if found.pairs:
        position = {"one": 0, "two": 1}
        inside = [t for t in table if all(t.values[position[n]] == v for n, v in found.pairs)]
        assert found.low >= 2
        assert found.failed == sum(len(t.failed) for t in inside)
        assert found.exposed == sum(t.exposed for t in inside)
