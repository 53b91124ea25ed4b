"""How the channels stand, for a person: the worst that any partition of the sender says about each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.findings import ChannelState
from schemas.topics import BY_NOUN
from streams.orders.newest_records import newest_records
from streams.settings import Settings

WORDS = {"closed": "ok", "open": "accepts nothing", "paused": "gone"}
"""State of the breaker, from good to bad -> what it means to a person; the boards use the same words."""


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """One channel over all partitions: ``partitions`` say so, the first since ``since`` (ISO 8601, the sender's
    clock). ``mend`` is the order that helps, empty if none does."""

    channel: str
    state: str
    reason: str
    since: str
    partitions: int
    mend: str = ""

    def words(self) -> str:
        """One line."""
        why = f" ({self.reason}, since {self.since})" if self.state != "ok" else ""
        return f"channel {self.channel}: {self.state}{why}" + (f"; `{self.mend}` sends again" if self.mend else "")


def channel_statuses(states: Iterable[ChannelState]) -> list[ChannelStatus]:
    """The worst state of each channel.

    >>> seen = [ChannelState(channel="webhook", partition=0, state="closed", since_ms=1_767_225_600_000),
    ...         ChannelState(channel="webhook", partition=1, state="paused", reason="gone", since_ms=1_767_225_660_000)]
    >>> [(one.state, one.since, one.mend) for one in channel_statuses(seen)]
    [('gone', '2026-01-01T00:01:00Z', 'cxwatch channels resume webhook')]
    """
    by_name: dict[str, list[ChannelState]] = {}
    for state in states:
        by_name.setdefault(state.channel, []).append(state)
    return [_worst(name, found) for name, found in sorted(by_name.items())]


def _worst(name: str, states: list[ChannelState]) -> ChannelStatus:
    order = list(WORDS)
    level = max(order.index(state.state) for state in states)
    worst = [state for state in states if state.state == order[level]]
    first = min(worst, key=lambda state: state.since_ms)
    since = datetime.fromtimestamp(first.since_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    mend = f"cxwatch channels resume {name}" if first.state == "paused" else ""
    return ChannelStatus(name, WORDS[first.state], first.reason, since, len(worst), mend)


def read_channel_statuses(settings: Settings, bootstrap: str) -> list[ChannelStatus]:
    """How every channel stands that a sender has told of. Raises SinkUnavailable."""
    topic = settings.named(BY_NOUN["channel"].name)
    return channel_statuses(asyncio.run(newest_records(bootstrap, topic, "channel")))
