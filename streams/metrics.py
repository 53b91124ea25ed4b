"""The worker's Prometheus metrics: one registry, no customer in any label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from streams.age import AgeHistogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FLUSH_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)


class Metrics:
    """What a worker tells about its rooms."""

    def __init__(self) -> None:
        """Create the registry with every metric at its start value."""
        self.registry = CollectorRegistry()
        per_topic, per_partition = ["room", "topic", "outcome"], ["room", "topic", "partition"]
        make: dict[str, Any] = {"registry": self.registry}
        self.events = Counter("cx_runtime_records_total", "Records read, by what became of them", per_topic, **make)
        self.unknown = Counter(
            "cx_runtime_unknown_fields_total", "Fields that the contract does not know", ["room", "topic"], **make
        )
        self.flush = Histogram(
            "cx_runtime_flush_seconds", "Duration of a flush of one room", ["room"], buckets=FLUSH_SECONDS, **make
        )
        self.age = AgeHistogram(
            "cx_runtime_age_seconds", "Age of records, from append to folded into the state or written by the sink",
            self.registry,
        )
        self.written = Counter("cx_runtime_written_total", "Records written by flushes", ["room"], **make)
        self.unflushed = Gauge(
            "cx_runtime_unflushed_bytes", "Bytes of records read and not durable yet", ["room"], **make
        )
        self.lag = Gauge("cx_runtime_lag_records", "Offsets between position and end", per_partition, **make)
        self.undecided = Gauge(
            "cx_runtime_undecided_records",
            "Records that nobody may read yet: they lie behind a transaction without an end",
            per_partition,
            **make,
        )
        self.newest = Gauge(
            "cx_runtime_newest_event_ms",
            "How far the topic has come (its clock), ms since 1970 UTC",
            per_partition,
            **make,
        )
        self.ready = Gauge("cx_runtime_ready", "1 if assigned, recovered and committing", ["room"], **make)
        self.degraded = Gauge(
            "cx_runtime_degraded", "1 during a run of dead letters from several emitters: page", ["room"], **make
        )
        self.recovery = Gauge("cx_runtime_recovery_seconds", "Duration of the last recovery", ["room"], **make)
        self.native = Gauge(
            "cx_runtime_native", "1 if the native implementation is used, 0 if all runs in Python", **make
        )
        self.tasks = Gauge("cx_runtime_tasks", "Partitions owned", ["room"], **make)
        self.lost_ranges = Counter(
            "cx_runtime_refetched_total", "Batches refused because one before them was missing", ["room"], **make
        )
        self.expired = Counter(
            "cx_runtime_expired_total", "Offsets that retention deleted before they were read", per_topic[:2], **make
        )
        self.sink_retries = Counter(
            "cx_runtime_sink_retries_total", "Writes a sink was offered again", ["room"], **make
        )
        self.offset_commits = Counter(
            "cx_runtime_offset_commits_total", "Commits of group offsets", ["room", "outcome"], **make
        )
        self._told: dict[tuple[str, str, int], dict[str, int]] = {}

    def count(self, room: str, partition: int, counts: Mapping[str, Any]) -> None:
        """Bring the counters up to a task's counts (noun -> dataclass of counts that only grow)."""
        for noun, current in counts.items():
            now = asdict(current)
            before = self._told.get((room, noun, partition), {})
            for outcome, value in now.items():
                grown = value - before.get(outcome, 0)
                if grown <= 0:
                    continue
                if outcome == "unknown_fields":
                    self.unknown.labels(room, noun).inc(grown)
                else:
                    self.events.labels(room, noun, outcome).inc(grown)
            self._told[room, noun, partition] = now

    def forget(self, room: str) -> None:
        """A room let go of its partitions: their counts start at zero, their gauges are somebody else's to tell."""
        self._told = {key: value for key, value in self._told.items() if key[0] != room}
        for gauge in (self.lag, self.undecided, self.newest):
            gauge.remove_by_labels({"room": room})

    def render(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)
