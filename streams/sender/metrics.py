"""The sender's Prometheus metrics and what its health endpoints go by; no customer in any label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from schemas.findings import Delivery
from streams.core.outreach.breaker import BreakerState
from streams.metrics import CatalogueMetrics
from streams.runtime.status import Status
from streams.sinks.channels import Sent

STATES: dict[BreakerState, int] = {"closed": 0, "half_open": 1, "open": 2, "paused": 3}
"""Value of the gauge of the breaker."""


class SenderMetrics(CatalogueMetrics):
    """What a sender reports. Gauges are set at every round of a partition."""

    def __init__(self) -> None:
        """Create every metric at its start value."""
        super().__init__()
        self.settled = self.counter("cx_sender_notices_total")
        self.attempts = self.counter("cx_sender_attempts_total")
        self.pending = self.gauge("cx_sender_waiting_notices")
        self.claimed = self.gauge("cx_sender_claimed_notices")
        self.held_back = self.gauge("cx_sender_held_back_customers")
        self.breaker = self.gauge("cx_sender_breaker_state")
        self.news_age = self.gauge("cx_sender_news_age_seconds")
        self.ready = self.gauge("cx_sender_ready")

    def recorded(self, records: Iterable[Any]) -> None:
        """Count the deliveries among ``records``, which are durable now."""
        for record in records:
            if isinstance(record, Delivery):
                self.settled.labels(record.outcome).inc()

    def answered(self, sent: Sent) -> None:
        """Count one attempt."""
        self.attempts.labels(sent.outcome).inc()

    def forget(self, partition: int) -> None:
        """A partition is reported by somebody else from now on."""
        for gauge in (self.pending, self.claimed, self.held_back, self.news_age):
            gauge.remove_by_labels({"partition": str(partition)})


class Statuses(Sequence[Status]):
    """Where the process and each of its partitions stand; partitions come and go. Read by the health endpoints."""

    def __init__(self) -> None:
        """The process alone, waiting for its group."""
        self.group = Status("send")
        self._own: dict[int, Status] = {}

    def enter(self, partition: int) -> Status:
        """A partition is served from now on."""
        self._own[partition] = Status(f"send.{partition}", phase="recovering")
        return self._own[partition]

    def leave(self, partition: int) -> None:
        """A partition is let go."""
        self._own.pop(partition, None)

    def _all(self) -> list[Status]:
        return [self.group, *list(self._own.values())]

    @overload
    def __getitem__(self, index: int) -> Status: ...
    @overload
    def __getitem__(self, index: slice) -> list[Status]: ...
    def __getitem__(self, index: int | slice) -> Status | list[Status]:
        """One of them."""
        return self._all()[index]

    def __iter__(self) -> Iterator[Status]:
        """All of them as they are now."""
        return iter(self._all())

    def __len__(self) -> int:
        """How many there are."""
        return len(self._all())
