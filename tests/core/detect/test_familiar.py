"""Which values may be said: those of many customers before the onset, and those that a change event names."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Change
from schemas.findings import SeenValue, ValuesSeen
from streams.core.detect.familiar import ENOUGH, Familiar
from streams.core.stage import Batch
from tests.core.detect.line import HOUR, T0, Line, records
from tests.core.detect.test_lifecycle import QUICK, payments, shown

KEY = ("shop", "app", "app_version", "5.2.0")


def seen(bin_ms: int, *customers: int, value: str = "5.2.0") -> ValuesSeen:
    """What a bin tells of one value; ``bin_ms`` after T0."""
    values = (SeenValue(attribute="app_version", value=value, customers=customers),)
    return ValuesSeen(line="shop", signal="app", bin_ms=T0 + bin_ms, partition=0, values=values)


def test_a_value_is_familiar_once_twenty_customers_had_it_and_only_after() -> None:
    familiar = Familiar()
    for bin_ms in range(0, 190, 10):
        familiar.note(seen(bin_ms, bin_ms))
    assert not familiar.before(KEY, T0 + 10_000)
    familiar.note(seen(190, 190))
    assert familiar.before(KEY, T0 + 191)
    assert not familiar.before(KEY, T0 + 190)


def test_one_customer_a_thousand_times_makes_no_value_familiar() -> None:
    familiar = Familiar()
    for bin_ms in range(0, 10_000, 10):
        familiar.note(seen(bin_ms, 7))
    assert not familiar.before(KEY, T0 + 100_000)


def test_a_flood_of_made_up_values_keeps_no_real_one_out_and_takes_no_familiar_one_away() -> None:
    familiar = Familiar(most=50)
    familiar.note(seen(0, *range(ENOUGH), value="old"))
    for number in range(500):
        familiar.note(seen(10 * number, 7, value=f"made-up-{number}"))
        if number % 10 == 0:
            familiar.note(seen(10 * number, number, number + 1, value="new"))
    assert len(familiar.first) <= 50
    for value in ("old", "new"):
        assert familiar.before(("shop", "app", "app_version", value), T0 + 10_000), value


@given(st.lists(st.tuples(st.integers(0, 30), st.sets(st.integers(0, 40), min_size=1, max_size=20)), max_size=40),
       st.randoms())  # fmt: skip
def test_the_order_in_which_records_arrive_changes_nothing(
    bins: list[tuple[int, set[int]]], chance: random.Random
) -> None:
    records = [seen(bin_ms * 10, *sorted(who)) for bin_ms, who in bins]
    one, other = Familiar(), Familiar()
    for record in records:
        one.note(record)
    chance.shuffle(records)
    for record in records:
        other.note(record)
    assert one.first == other.first
    everybody = {who for _, customers in bins for who in customers}
    assert one.before(KEY, T0 + 10**6) == (len(everybody) >= ENOUGH)


def payments_seen(value: str, customers: int, at_ms: int) -> ValuesSeen:
    """So many customers paid by a provider."""
    values = (SeenValue(attribute="payment_provider", value=value, customers=tuple(range(customers))),)
    return ValuesSeen(line="shop", signal="payment", bin_ms=at_ms, partition=0, values=values)


def known_of(line: Line) -> tuple[str, ...]:
    """What may be said of the cause of the only issue, as it was shown first and ever after."""
    (one,) = shown(line)
    found = {revision.cause.known for revision in line.versions if revision.shown_at_ms}
    assert found == {one.cause.known}
    return one.cause.known


def test_the_value_of_a_cause_may_be_said_if_many_had_it_before_the_onset_also_after_restarts() -> None:
    told = records(payments(3, (2.0, 2.8)))
    for restarts in (0, 5):
        for customers, known in ((ENOUGH - 1, ()), (ENOUGH, ("payment_provider",))):
            line = Line(QUICK, restart_every=restarts).feed([payments_seen("paynow", customers, T0), *told], batch=50)
            assert known_of(line) == known


def test_a_value_that_many_had_only_after_the_onset_is_not_said() -> None:
    seen_late = payments_seen("paynow", ENOUGH, T0 + int(2.2 * HOUR))
    assert known_of(Line(QUICK).feed([seen_late, *records(payments(3, (2.0, 2.8)))], batch=50)) == ()


def test_a_value_that_a_change_event_names_may_be_said_however_few_had_it() -> None:
    change = Change(
        change_id="c", changed_at_ms=T0, change_kind="other", product="shop", attributes={"payment_provider": "paynow"}
    )
    line = Line(QUICK)
    line.stage.step(line.state, Batch("change", 0, [change], range(1)))
    assert known_of(line.feed(records(payments(3, (2.0, 2.8))), batch=50)) == ("payment_provider",)
