"""Settings of an operator become rules: budget, threshold, signals, attributes, contact budget, quiet hours."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.errors import ConfigError
from schemas.findings import BinClosed, CohortCount, LeafCount
from streams.core.detect.rules import DetectRules
from streams.core.detect.stage import DetectStage
from streams.core.join.rules import JoinRules
from streams.core.outreach.cases import OutreachRules
from streams.core.outreach.policy import DAY_MS, HOUR_MS, Budget
from streams.core.stage import Batch
from streams.rules import detect_rules, join_rules, outreach_rules
from streams.settings import Settings, load_settings

T0 = 1_775_000_400_000


def test_the_defaults_are_those_of_the_rules() -> None:
    assert detect_rules(Settings()) == DetectRules()
    assert join_rules(Settings()).attributes == JoinRules().attributes
    assert outreach_rules(Settings()) == OutreachRules()


def test_contact_budget_and_quiet_hours() -> None:
    rules = outreach_rules(load_settings(contact_budget="2/36h,5/30d", quiet_hours="22-07"))
    assert rules.budgets == (Budget(2, 36 * HOUR_MS), Budget(5, 30 * DAY_MS))
    assert (rules.quiet.start_hour, rules.quiet.end_hour) == (22, 7)
    never = outreach_rules(load_settings(quiet_hours="0-0")).quiet
    assert {never.opens_at(T0 + hour * HOUR_MS, "Europe/Berlin") for hour in range(24)} == {
        T0 + hour * HOUR_MS for hour in range(24)
    }


def test_attributes_are_chosen_per_signal() -> None:
    rules = join_rules(load_settings(signal_attributes="payment:payment_provider,delivery:warehouse+region"))
    assert rules.attributes["payment"] == ("payment_provider",)
    assert rules.attributes["delivery"] == ("warehouse", "region")
    assert rules.attributes["app"] == JoinRules().attributes["app"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"contact_budget": "3/week"}, "CX_CONTACT_BUDGET is wrong.*1/24h,3/7d"),
        ({"contact_budget": "1/400d"}, "remembered as long as the longest budget"),
        ({"quiet_hours": "21-25"}, "CX_QUIET_HOURS is wrong.*two hours from 0 to 23"),
        ({"detect_signals_off": "weather"}, "CX_DETECT_SIGNALS_OFF is wrong.*app, payment, delivery, contact"),
        ({"signal_attributes": "payment:warehous"}, "payment has no attribute warehous.*payment_provider"),
        ({"signal_attributes": "payment:app_version"}, "payment has no attribute app_version"),
        ({"signal_attributes": "payment:region,payment:region"}, "payment has two lists"),
        ({"signal_attributes": "payment"}, "CX_SIGNAL_ATTRIBUTES is wrong"),
    ],
)
def test_what_cannot_hold_is_refused_with_what_is_allowed(given: dict[str, Any], sentence: str) -> None:
    def every_rule() -> None:
        settings = load_settings(**given)
        join_rules(settings)
        outreach_rules(settings)

    with pytest.raises(ConfigError, match=sentence):
        every_rule()


def count(signal: str, attributes: tuple[str, ...] = ("region",), bin_ms: int = T0) -> CohortCount:
    leaf = LeafCount(values=tuple("x" for _ in attributes), exposed=50, failed=(1, 2))
    return CohortCount(line="shop", signal=signal, bin_ms=bin_ms, width_ms=10_000, partition=0, attributes=attributes,
                       leaves=(leaf,), closed=True)  # fmt: skip


def feed(stage: DetectStage, state: Any, *counts: CohortCount) -> None:
    closed = BinClosed(partition=0, partitions=1, through_ms=max(one.bin_ms for one in counts) + 10_000)
    records = [*counts, closed]
    stage.step(state, Batch("cohort_count", 0, records, range(len(records))))


def test_a_signal_that_is_off_is_not_watched() -> None:
    stage = DetectStage(detect_rules(load_settings(detect_signals_off="contact, app")))
    state = stage.start(0, 1)
    feed(stage, state, *(count(signal) for signal in ("app", "contact", "payment")))
    assert [signal for _, signal in state.families] == ["payment"]


def test_a_line_with_a_past_refuses_other_attributes() -> None:
    stage = DetectStage()
    state = stage.start(0, 1)
    feed(stage, state, count("payment"))
    with pytest.raises(ConfigError, match="counted by region, now by region, payment_provider: set CX_SIGNAL"):
        feed(stage, state, count("payment", ("region", "payment_provider"), T0 + 10_000))
