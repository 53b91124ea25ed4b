"""Which issue an order means: unique beginnings work, everything else is refused with what is nearest."""

from __future__ import annotations

import pytest

from schemas.issue_ids import UnknownIssue, find_id, short_ids

KNOWN = {"i-3f9a01", "i-3f9b02", "i-77aa10"}


def test_an_id_or_its_only_beginning_names_an_issue() -> None:
    assert find_id("i-77", KNOWN) == "i-77aa10"
    assert find_id("i-3f9a01", KNOWN) == "i-3f9a01"
    assert find_id("i-1", {"i-1", "i-12"}) == "i-1"


def test_a_beginning_of_several_is_refused_and_names_them() -> None:
    with pytest.raises(UnknownIssue, match="2 begin with it: i-3f9a01, i-3f9b02"):
        find_id("i-3f", KNOWN)


def test_an_unknown_id_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownIssue, match="nearest: i-77aa10"):
        find_id("i-77ab10", KNOWN)
    with pytest.raises(UnknownIssue, match="there is no issue yet"):
        find_id("i-1", set())
    with pytest.raises(UnknownIssue):
        find_id("", KNOWN)


def test_a_short_id_is_the_beginning_that_no_other_issue_has() -> None:
    ids = ["i-780c487c06c2", "i-780c487f0001", "i-203b2333aa71", "i-1"]
    short = short_ids(ids)
    assert short == {
        "i-780c487c06c2": "i-780c487c", "i-780c487f0001": "i-780c487f", "i-203b2333aa71": "i-203b23", "i-1": "i-1",
    }  # fmt: skip
    assert [find_id(short[one], ids) for one in ids] == ids


def test_an_id_that_begins_another_is_still_the_one_that_is_meant() -> None:
    ids = ["i-12345678", "i-1234567890"]
    assert [find_id(one, ids) for one in short_ids(ids).values()] == ids
