"""Bounds of what one bin of one partition says: places under a flood, and the size of a record."""

from __future__ import annotations

import random
from typing import cast

from schemas.codec import encode
from schemas.findings import CohortCount
from schemas.topics import BY_NOUN
from streams.core.join.cohorts import OTHER, OpenBins
from streams.core.join.rules import JoinRules, Limits

BIN = 1_767_225_600_000
WIDTH = 10_000
Counted = tuple[int, tuple[str, ...], int, bool]
"""Number of the bin, values, customer, failed."""


def closed(counted: list[Counted], leaves: int = 10_000) -> list[CohortCount]:
    """All closed bins of one partition."""
    bins = OpenBins(JoinRules(limits=Limits(leaves=leaves)), 0)
    for number, values, customer, failed in counted:
        bins.count(BIN + number * WIDTH, ("shop", "app", values), customer, failed)
    return cast("list[CohortCount]", list(bins.close(BIN + 1_000 * WIDTH)))


def app(version: str) -> tuple[str, ...]:
    return (version, "android", "", "DE", "")


def test_a_flood_of_leaves_seen_once_takes_no_more_than_half_of_the_slots() -> None:
    flood = [(number // 30, app(f"9.{number}"), number, False) for number in range(90)]
    true = [(2, app("5.2.0"), 1_000 + number, False) for number in range(2)]
    *_, last = closed(flood + true, leaves=20)
    admitted = {leaf.values[0] for leaf in last.leaves}
    assert admitted == {"5.2.0", OTHER}, "earlier bins gave half of the slots away, the rest is for what is shared"
    assert sum(leaf.exposed for leaf in last.leaves) == 32


def test_while_half_is_free_a_leaf_seen_once_has_its_slot() -> None:
    (only,) = closed([(0, app(f"9.{number}"), number, False) for number in range(10)], leaves=20)
    assert len(only.leaves) == 10


def test_a_record_fits_its_topic_whatever_a_bin_holds_and_in_whatever_order_it_came() -> None:
    long = "\U0001f4a5" * 120
    counted: list[Counted] = [(0, (f"{number}{long}", long, long, long, long), number % 40_000, number % 3 == 0)
               for number in range(9_000)]
    counted += [(0, app("5.2.0"), 100_000 + number, True) for number in range(60_000)]
    (record,) = closed(counted)
    assert len(encode(record)) <= BY_NOUN["cohort_count"].max_bytes
    true = next(leaf for leaf in record.leaves if leaf.values == app("5.2.0"))
    assert true.exposed == 60_000
    assert 10_000 < len(true.failed) < 60_000, "a lower bound"
    random.Random(1).shuffle(counted)
    assert closed(counted) == [record]


def test_nobody_is_left_out_of_a_record_that_fits() -> None:
    counted = [(0, app(f"{number % 300}"), number, number % 2 == 0) for number in range(20_000)]
    (record,) = closed(counted)
    assert sum(leaf.exposed for leaf in record.leaves) == 20_000
    assert sum(len(leaf.failed) for leaf in record.leaves) == 10_000
