"""The catalogue of figures is complete, and its statements are what it says."""

from __future__ import annotations

import re

import pytest

from schemas.definitions import BY_DEFINITION, DEFINITIONS, Definition


def test_a_name_has_one_definition() -> None:
    assert len(BY_DEFINITION) == len(DEFINITIONS)


@pytest.mark.parametrize("one", DEFINITIONS, ids=lambda one: one.name)
def test_a_definition_says_what_it_is_who_answers_for_it_and_how_fresh_it_is(one: Definition) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]{1,39}", one.name)
    assert "" not in (one.title, one.owner, one.unit, one.freshness)
    assert one.formula.endswith(".")
    assert bool(one.value) == bool(one.source)


@pytest.mark.parametrize("one", DEFINITIONS, ids=lambda one: one.name)
def test_no_share_is_computed_of_a_few(one: Definition) -> None:
    assert one.least >= 20 or not one.unit.startswith("share of") or one.name == "cause_support" or not one.sql


def test_a_statement_has_the_filters_of_its_definition_and_of_the_asker() -> None:
    one = Definition("lost", "Lost", "o", "share of x", "f.", "now",
                     "sum(a) / sum(b)", "x", "at", "c", (), "sum(b)", 20)
    assert one.sql == (
        "SELECT sum(a) / sum(b) AS lost FROM x WHERE c AND $__timeFilter(at) HAVING sum(b) >= 20"
    )
    assert one.by(["d AS day"], ["e = 1"]) == (
        "SELECT d AS day, sum(a) / sum(b) AS lost FROM x WHERE c AND $__timeFilter(at) AND e = 1 "
        "GROUP BY 1 HAVING sum(b) >= 20 ORDER BY 1"
    )


def test_a_definition_without_a_source_has_no_statement() -> None:
    assert Definition("x", "X", "o", "u", "f.", "now").sql == ""
