"""How long each topic is waited for, what that costs, and what is refused at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import ConfigError
from schemas.topics import BY_NOUN, DAY_MS
from streams.agents.join import room
from streams.lateness import planned_lateness
from streams.rules import join_rules
from streams.settings import Settings
from streams.stack.doctor import examine


def test_defaults_are_those_of_the_catalogue_of_topics() -> None:
    bounds = join_rules(Settings()).bounds
    for noun, bound in bounds.items():
        assert (bound.disorder_ms, bound.lateness_ms) == (BY_NOUN[noun].disorder_ms, BY_NOUN[noun].lateness_ms)
    assert [bounds[noun].lateness_ms for noun in ("telemetry", "order", "contact")] == [
        600_000, 7 * DAY_MS, 45 * DAY_MS
    ]


def test_the_estimate_is_bytes_times_rate_times_horizon() -> None:
    _, orders, _ = planned_lateness(Settings(order_per_s=200.0, order_lateness_s=86_400))
    assert str(orders) == "order: 9 bytes x 200 a second x 1 days = 155.5 MB"


def test_a_lateness_that_needs_too_much_memory_is_refused_with_the_name_of_its_setting() -> None:
    with pytest.raises(ConfigError, match=r"CX_CONTACT_LATENESS_S asks .* CX_SEEN_MEMORY_MB allows 2,048"):
        room(Settings(contact_per_s=100.0))
    room(Settings(contact_per_s=100.0, seen_memory_mb=8_000))
    with pytest.raises(ConfigError, match="CX_ORDER_LATENESS_S must not be below CX_ORDER_DISORDER_MS"):
        room(Settings(order_lateness_s=5))


@pytest.mark.loopback
def test_the_doctor_prints_the_estimate_and_what_is_refused(tmp_path: Path) -> None:
    def finding(order_per_s: float = 100.0) -> tuple[bool, str, str]:
        settings = Settings(state_dir=tmp_path, order_per_s=order_per_s)
        (found,) = (one for one in examine(settings) if one.what == "memory for late events")
        return found.ok, found.found, found.mend

    ok, found, _ = finding()
    assert ok
    assert "contact: 9 bytes x 10 a second x 45 days = 349.9 MB" in found
    ok, _, mend = finding(order_per_s=10_000.0)
    assert not ok
    assert "CX_ORDER_LATENESS_S" in mend
