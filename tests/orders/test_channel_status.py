"""How channels stand, in words: the worst of all partitions, since when, and what mends it."""

from __future__ import annotations

from typing import Any

from schemas.findings import ChannelState
from streams.orders.channel_status import channel_statuses

T0 = 1_767_225_600_000


def state(partition: int, condition: Any, reason: str = "", minutes: int = 0) -> ChannelState:
    """What one partition says."""
    return ChannelState(
        channel="webhook", partition=partition, state=condition, reason=reason, since_ms=T0 + minutes * 60_000
    )


def test_the_worst_partition_speaks_for_the_channel_since_the_first_of_them() -> None:
    seen = [state(0, "closed"), state(1, "paused", "gone", 5), state(2, "paused", "gone", 3), state(3, "open", "x", 1)]
    [one] = channel_statuses(seen)
    assert (one.state, one.since, one.partitions) == ("gone", "2026-01-01T00:03:00Z", 2)
    assert one.words() == (
        "channel webhook: gone (gone, since 2026-01-01T00:03:00Z); `cxwatch channels resume webhook` sends again"
    )


def test_a_channel_that_sends_needs_no_words() -> None:
    [one] = channel_statuses([state(0, "closed"), state(1, "closed")])
    assert (one.words(), one.mend) == ("channel webhook: ok", "")
    [one] = channel_statuses([state(0, "open", "http_401")])
    assert (one.state, one.reason, one.mend) == ("accepts nothing", "http_401", "")
    assert channel_statuses([]) == []
