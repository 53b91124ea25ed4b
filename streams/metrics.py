"""A worker's Prometheus metrics, made from the catalogue in ``schemas.metrics``; no customer in any label."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from schemas.metrics import BY_METRIC

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FLUSH_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
AGE_EDGES_MS = (
    *(round(step * 10**power, 2) for power in range(5) for step in (1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.3, 7, 8)),
    100_000, 125_000, 160_000, 200_000, 250_000, 320_000, 400_000, 500_000, 600_000,
)  # fmt: skip
"""Upper edges in ms: ten a decade from 1 ms to 10 min, and 70 of every decade: there the ages of a busy worker end."""


class AgeHistogram(Collector):
    """How old records are when their work is done: a histogram over batches, by room and topic, in seconds.

    It costs a microsecond a batch, not one a record. Not ``prometheus_client.Histogram``: that one takes a lock and
    walks its buckets for every single observation.
    """

    labels = ("room", "topic")

    def __init__(self, name: str, meaning: str, registry: CollectorRegistry) -> None:
        """Register an empty histogram."""
        self.name = name
        self.meaning = meaning
        self._edges = [repr(edge / 1_000) for edge in AGE_EDGES_MS] + ["+Inf"]
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums_ms: dict[tuple[str, ...], float] = {}
        registry.register(self)

    def observe(self, room: str, topic: str, stamps_ms: Sequence[int], now_ms: float) -> None:
        """Count one batch: ``stamps_ms`` are the append times of its records, in offset order.

        A record batch has one append time, so a fetched batch is a few runs of equal stamps: they are looked up run by
        run, by bisection (append times of a partition grow; where a broker's clock went back, a run takes in what lies
        in between). Ages below 1 ms, also those that differing clocks make negative, fall into the first bucket.
        """
        size = len(stamps_ms)
        if not size:
            return
        key = (room, topic)
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = [0] * (len(AGE_EDGES_MS) + 1)
            self._sums_ms[key] = 0.0
        total, low, last = 0.0, 0, stamps_ms[-1]
        while low < size:
            stamp = stamps_ms[low]
            high = size if stamp == last else bisect_right(stamps_ms, stamp, low)
            age = now_ms - stamp
            counts[bisect_left(AGE_EDGES_MS, age)] += high - low
            total += max(0.0, age) * (high - low)
            low = high
        self._sums_ms[key] += total

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Return what is exported, without values."""
        return [HistogramMetricFamily(self.name, self.meaning, labels=self.labels)]

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Return the histogram as Prometheus wants it: cumulated counts, seconds."""
        family = HistogramMetricFamily(self.name, self.meaning, labels=self.labels)
        for key, counts in sorted(self._counts.items()):
            reached, buckets = 0, []
            for edge, count in zip(self._edges, counts, strict=True):
                reached += count
                buckets.append((edge, reached))
            family.add_metric(key, buckets, self._sums_ms[key] / 1_000)
        yield family


class CatalogueMetrics:
    """Prometheus objects of one process, each with the labels and the meaning that the catalogue gives its name."""

    def __init__(self) -> None:
        """Create an empty registry."""
        self.registry = CollectorRegistry()

    def counter(self, name: str) -> Counter:
        """The counter of this name, registered. Raises KeyError for one that is not in the catalogue."""
        metric = BY_METRIC[name]
        return Counter(name, metric.meaning, metric.labels, registry=self.registry)

    def gauge(self, name: str) -> Gauge:
        """The gauge of this name, registered. Raises KeyError for one that is not in the catalogue."""
        metric = BY_METRIC[name]
        return Gauge(name, metric.meaning, metric.labels, registry=self.registry)

    def histogram(self, name: str, buckets: Sequence[float]) -> Histogram:
        """The histogram of this name with these upper edges, registered. Raises KeyError as the others do."""
        metric = BY_METRIC[name]
        return Histogram(name, metric.meaning, metric.labels, buckets=buckets, registry=self.registry)

    def render(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)


class Metrics(CatalogueMetrics):
    """What a worker reports about its rooms."""

    def __init__(self) -> None:
        """Create every metric at its start value."""
        super().__init__()
        self.events = self.counter("cx_runtime_records_total")
        self.unknown = self.counter("cx_runtime_unknown_fields_total")
        self.flush = self.histogram("cx_runtime_flush_seconds", FLUSH_SECONDS)
        self.age = AgeHistogram("cx_runtime_age_seconds", BY_METRIC["cx_runtime_age_seconds"].meaning, self.registry)
        self.written = self.counter("cx_runtime_written_total")
        self.unflushed = self.gauge("cx_runtime_unflushed_bytes")
        self.lag = self.gauge("cx_runtime_lag_records")
        self.undecided = self.gauge("cx_runtime_undecided_records")
        self.newest = self.gauge("cx_runtime_newest_event_ms")
        self.ready = self.gauge("cx_runtime_ready")
        self.degraded = self.gauge("cx_runtime_degraded")
        self.recovery = self.gauge("cx_runtime_recovery_seconds")
        self.native = self.gauge("cx_runtime_native")
        self.tasks = self.gauge("cx_runtime_tasks")
        self.lost_ranges = self.counter("cx_runtime_refetched_total")
        self.expired = self.counter("cx_runtime_expired_total")
        self.sink_retries = self.counter("cx_runtime_sink_retries_total")
        self.offset_commits = self.counter("cx_runtime_offset_commits_total")
        self._reported: dict[tuple[str, str, int], dict[str, int]] = {}

    def count(self, room: str, partition: int, counts: Mapping[str, Any]) -> None:
        """Bring the counters up to a task's counts (noun -> dataclass of counts that only grow)."""
        for noun, current in counts.items():
            now = asdict(current)
            before = self._reported.get((room, noun, partition), {})
            for outcome, value in now.items():
                grown = value - before.get(outcome, 0)
                if grown <= 0:
                    continue
                if outcome == "unknown_fields":
                    self.unknown.labels(room, noun).inc(grown)
                else:
                    self.events.labels(room, noun, outcome).inc(grown)
            self._reported[room, noun, partition] = now

    def forget(self, room: str) -> None:
        """A room let go of its partitions: their counts start at zero, their gauges are reported by somebody else."""
        self._reported = {key: value for key, value in self._reported.items() if key[0] != room}
        for gauge in (self.lag, self.undecided, self.newest):
            gauge.remove_by_labels({"room": room})
