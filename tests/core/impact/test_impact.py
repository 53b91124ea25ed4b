"""impact: nothing for nobody, more for more, sums of parts, and every assumption named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ConfigError
from schemas.fields import Money
from schemas.findings import AffectedCount
from streams.core.impact.money import Exposure, Parameter, Parameters, assumptions, configured, damage
from streams.core.impact.stage import ImpactRules, ImpactStage
from tests.core.match.world import DAY, T0, Runner

COUNT = st.integers(0, 100_000)


@st.composite
def exposures(draw: st.DrawFn) -> Exposure:
    """Any customers, contacted and valued ones among them."""
    affected = draw(COUNT)
    part = st.integers(0, affected)
    valued = draw(part)
    value = draw(st.integers(0, 50_000)) * valued
    return Exposure(affected, draw(part), draw(part), valued, value, draw(st.booleans()))


def plus(one: Exposure, two: Exposure) -> Exposure:
    """Two disjoint groups together."""
    return Exposure(
        one.affected + two.affected, one.contacted + two.contacted, one.recent + two.recent,
        one.valued + two.valued, one.value_cents + two.value_cents, one.open and two.open,
    )  # fmt: skip


def test_nobody_affected_costs_nothing() -> None:
    cost = damage(Exposure(0, 0, 0, 0, 0, open=True))
    assert (cost.at_risk, cost.low, cost.high, cost.service, cost.per_minute) == (0, 0, 0, 0, 0)


@given(exposures(), exposures())
def test_disjoint_groups_add_up_to_the_cent(one: Exposure, two: Exposure) -> None:
    both, first, second = damage(plus(one, two)), damage(one), damage(two)
    for name in ("at_risk", "low", "high", "service"):
        assert abs(getattr(both, name) - getattr(first, name) - getattr(second, name)) <= 1


@given(exposures(), st.integers(1, 1_000), st.integers(0, 90_000))
def test_more_customers_or_dearer_ones_never_cost_less(one: Exposure, more: int, value: int) -> None:
    unknown = plus(one, Exposure(more, 0, 0, 0, 0, one.open))
    known = plus(one, Exposure(more, 0, 0, more, more * value, one.open))
    dearer = plus(known, Exposure(0, 0, 0, 0, more, one.open))
    base = damage(one)
    for bigger in (unknown, known):
        cost = damage(bigger)
        assert cost.at_risk >= base.at_risk
        assert cost.low >= base.low
        assert cost.high >= base.high
    assert damage(dearer).at_risk >= damage(known).at_risk


@given(exposures())
def test_the_figure_lies_in_its_range_and_a_resolved_issue_costs_no_further_minute(one: Exposure) -> None:
    cost = damage(one)
    assert 0 <= cost.low <= cost.at_risk <= cost.high
    assert one.open or cost.per_minute == 0
    assert one.recent or cost.per_minute == 0


def test_a_default_is_printed_as_assumed_and_a_setting_as_configured() -> None:
    exposure = Exposure(10, 1, 1, 4, 40_000, open=True)
    rows = {row.name: row for row in assumptions(exposure, Parameters(contact_cost=configured(700, "cents")))}
    assert set(rows) == {"loyalty_drop", "contact_cost", "margin_known", "margin_unknown", "word_of_mouth"}
    assert rows["loyalty_drop"].assumed
    assert "ctmaworld" in rows["loyalty_drop"].source
    assert (rows["contact_cost"].assumed, rows["contact_cost"].value) == (False, 700)
    assert (rows["margin_known"].assumed, rows["margin_known"].value) == (False, 10_000)
    assert all(row.source for row in rows.values())


def test_every_figure_can_be_recomputed_from_the_record_alone() -> None:
    runner = Runner(ImpactStage())
    runner.feed("affected_count", count(0, affected=100, contacted=10, recent=30, valued=60, value_cents=900_000))
    runner.flush()
    row = runner.records("impact")[0]
    value = {assumption.name: assumption.value for assumption in row.assumptions}
    margins = value["margin_known"] * 60 + value["margin_unknown"] * 40
    at_risk, service = round(value["loyalty_drop"] * margins), round(10 * value["contact_cost"])
    assert row.at_risk == (Money(currency="EUR", minor=at_risk),)
    assert row.service == (Money(currency="EUR", minor=service),)
    assert row.per_minute == (Money(currency="EUR", minor=round(30 / 15 * (at_risk + service) / 100)),)


@pytest.mark.parametrize(("own", "minor"), [("JPY", 2_250), ("KWD", 2_250_000), ("CHF", 225_000)])
def test_figures_are_in_minor_units_of_the_companys_currency(own: str, minor: int) -> None:
    runner = Runner(ImpactStage(ImpactRules(currency=own)))
    runner.feed("affected_count", count(0, affected=60, valued=60, value_cents=900_000))
    runner.flush()
    assert runner.records("impact")[0].at_risk == (Money(currency=own, minor=minor),)


def test_order_amounts_are_added_up_per_currency_and_those_of_no_currency_are_in_the_companys() -> None:
    def listed(**amounts: int) -> list[Money]:
        return [Money(currency=code.strip("_"), minor=minor) for code, minor in amounts.items()]

    runner = Runner(ImpactStage(ImpactRules(currency="JPY")))
    runner.feed("affected_count", count(0, affected=1, amounts=listed(_=555_000, EUR=100, JPY=50)))
    runner.feed("affected_count", count(1, affected=1, amounts=listed(EUR=200, KWD=7)))
    runner.restart()
    runner.feed("affected_count", count(1, affected=1, amounts=listed(EUR=250, KWD=7)))
    runner.flush()
    assert runner.records("impact")[-1].amounts == tuple(listed(EUR=350, JPY=5_600, KWD=7))


def count(partition: int, issue: str = "i-1", **other: object) -> AffectedCount:
    """One partition's count."""
    fields = {"issue_id": issue, "partition": partition, "line": "shop", "signal": "app", "open": True, "affected": 0,
              "contacted": 0, "silent": 0, "recent": 0, "value_cents": 0, "valued": 0, "amounts": [],
              "as_of_ms": T0}  # fmt: skip
    return AffectedCount.model_validate(fields | other)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50), st.booleans()), min_size=1, max_size=20))
def test_the_newest_count_of_each_partition_is_summed_also_after_restarts(
    steps: list[tuple[int, int, bool]]
) -> None:
    runner = Runner(ImpactStage())
    newest: dict[int, int] = {}
    for partition, affected, restart in steps:
        newest[partition] = affected
        runner.feed("affected_count", count(partition, affected=affected, silent=affected))
        if restart:
            runner.restart()
    runner.flush()
    assert runner.records("impact")[-1].affected == sum(newest.values())


def test_one_partition_that_saw_the_end_ends_the_issue() -> None:
    runner = Runner(ImpactStage())
    many: dict[str, Any] = {"affected": 50, "silent": 50, "recent": 50}
    runner.feed("affected_count", count(0, **many), count(1, **many | {"open": False}))
    runner.flush()
    assert runner.records("impact")[-1].per_minute == (Money(currency="EUR", minor=0),)


def test_issues_that_ended_long_ago_are_dropped() -> None:
    runner = Runner(ImpactStage())
    runner.feed("affected_count", count(0, "old", open=False), count(0, "new", as_of_ms=T0 + 8 * DAY))
    runner.flush()
    assert list(runner.state.parts) == ["new"]
    assert len(runner.durable) == 1


def test_rules_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError):
        Parameter(0.5, 0.6, 0.9, "ratio", "x")
    with pytest.raises(ConfigError):
        ImpactRules(currency="eur")
