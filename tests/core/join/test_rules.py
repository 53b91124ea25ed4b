"""Rules that cannot work are refused when they are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from schemas.errors import ConfigError
from streams.core.eventtime import Bounds
from streams.core.join.rules import SIGNALS, ContactRule, FieldTest, JoinRules, Limits, PromiseRule, SignalRule

OK = FieldTest("outcome", frozenset({"ok", "failed"}))
FAILED = FieldTest("outcome", frozenset({"failed"}))


@pytest.mark.parametrize(("make", "says"), [
    (lambda: SignalRule("app", "telemetry", FieldTest("outcom", OK.values), FAILED, ("region",)), "no field 'outcom'"),
    (
        lambda: SignalRule("app", "telemetry", OK, FieldTest("outcome", frozenset({"fail"})), ("region",)),
        "never is fail",
    ),
    (lambda: SignalRule("app", "telemetry", OK, FieldTest("outcome", frozenset()), ("region",)), "at least one value"),
    (lambda: SignalRule("app", "telemetry", OK, FAILED, ("carrier",)), "no field 'carrier'"),
    (lambda: SignalRule("app", "telemetry", OK, FAILED, ()), "at least one attribute"),
    (lambda: SignalRule("app", "telemetry", OK, FAILED, ("region", "region")), "repeat"),
    (lambda: SignalRule("app", "weather", OK, FAILED, ("region",)), "unknown topic"),
    (lambda: SignalRule("app", "telemetry", OK, FAILED, ("region",), amount="amount_cents"), "no field"),
    (lambda: PromiseRule(kept=frozenset({"delivered", "late"})), "in two ways"),
    (lambda: PromiseRule(broken=frozenset({"lost"})), "never is lost"),
    (lambda: PromiseRule(memory_ms=-1), "negative"),
    (lambda: ContactRule(any_signal=frozenset({"app"})), "one signal and any"),
    (lambda: ContactRule(after_ms=-1), "negative"),
    (lambda: Limits(leaves=0), "at least 1"),
    (lambda: Limits(episode_leaves=4), "must cover"),
    (lambda: JoinRules(signals=(SIGNALS[0], SIGNALS[0])), "declared twice"),
    (lambda: JoinRules(bounds={"telemetry": Bounds(0, 0)}), "bounds must name"),
    (lambda: JoinRules(bin_ms=7_000), "multiple of bin_ms"),
    (lambda: Bounds(10, 9), "disorder_ms <= lateness_ms"),
])
def test_a_rule_that_cannot_work_is_refused_with_a_reason(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make()


def test_rules_cannot_be_changed_after_they_were_checked() -> None:
    rules: Any = JoinRules()
    with pytest.raises(FrozenInstanceError):
        rules.bin_ms = 1
    with pytest.raises(TypeError):
        rules.attributes["app"] = ()


def test_every_signal_names_the_attributes_of_its_leaf_cohorts() -> None:
    assert dict(JoinRules().attributes) == {
        "app": ("app_version", "platform", "device_model", "region", "component"),
        "payment": ("payment_provider", "payment_method", "region"),
        "contact": ("channel", "region"),
        "delivery": ("carrier", "warehouse", "region"),
    }
