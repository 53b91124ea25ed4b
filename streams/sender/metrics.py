"""The sender's Prometheus metrics and what its health endpoints go by; no customer in any label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from schemas.findings import Delivery
from streams.core.outreach.breaker import BreakerState
from streams.runtime.status import Status
from streams.sinks.channels import Sent

STATES: dict[BreakerState, int] = {"closed": 0, "half_open": 1, "open": 2, "paused": 3}
"""Value of the gauge of the breaker."""


class SenderMetrics:
    """What a sender tells. Gauges are set at every round of a partition."""

    def __init__(self) -> None:
        """Create the registry with every metric at its start value."""
        self.registry = CollectorRegistry()
        make: dict[str, Any] = {"registry": self.registry}
        self.settled = Counter(
            "cx_sender_notices_total", "Notices by what was last recorded about them", ["outcome"], **make
        )
        self.attempts = Counter("cx_sender_attempts_total", "Attempts by what came of them", ["outcome"], **make)
        self.waiting = Gauge("cx_sender_waiting_notices", "Notices that wait for their time", ["partition"], **make)
        self.claimed = Gauge("cx_sender_claimed_notices", "Notices claimed and not settled", ["partition"], **make)
        self.held_back = Gauge(
            "cx_sender_held_back_customers", "Customers who are sent nothing, or not yet, by what they said",
            ["partition", "reason"], **make,
        )  # fmt: skip
        self.breaker = Gauge("cx_sender_breaker_state", "How the channel's circuit breaker stands", **make)
        self.news_age = Gauge(
            "cx_sender_news_age_seconds", "Age of what is known of customers and orders; over 2 s nothing is sent",
            ["partition"], **make,
        )  # fmt: skip
        self.ready = Gauge("cx_sender_ready", "1 if recovered and doing its rounds, by part", ["room"], **make)

    def recorded(self, records: Iterable[Any]) -> None:
        """Count the deliveries among ``records``, which are durable now."""
        for record in records:
            if isinstance(record, Delivery):
                self.settled.labels(record.outcome).inc()

    def answered(self, sent: Sent) -> None:
        """Count one attempt."""
        self.attempts.labels(sent.outcome).inc()

    def forget(self, partition: int) -> None:
        """A partition is somebody else's to tell."""
        for gauge in (self.waiting, self.claimed, self.held_back, self.news_age):
            gauge.remove_by_labels({"partition": str(partition)})

    def render(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)


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
