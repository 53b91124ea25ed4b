"""How old records are when their work is done: a histogram that costs a microsecond a batch, not one per record."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

AGE_EDGES_MS = (
    *(round(step * 10**power, 2) for power in range(5) for step in (1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.3, 7, 8)),
    100_000, 125_000, 160_000, 200_000, 250_000, 320_000, 400_000, 500_000, 600_000,
)  # fmt: skip
"""Upper edges in ms: ten a decade from 1 ms to 10 min, and 70 of every decade, because 70 and 700 ms are our bars."""


class AgeHistogram(Collector):
    """A Prometheus histogram over batches: labels room and topic, in seconds.

    Not ``prometheus_client.Histogram``: that one takes a lock and walks its buckets for every single observation.
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
