"""A line of closed counts without Kafka: what the join would hand to the detect room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import xxhash

from schemas.fields import Signal as Family
from schemas.findings import BinClosed, CohortCount, LeafCount, Watermark
from schemas.issues import Issue
from streams.core.detect.rules import DetectRules
from streams.core.detect.stage import DetectStage
from streams.core.stage import Batch

Outcome = tuple[int, Family, str, tuple[str, ...], bool]
"""Event time (ms), family, customer, attribute values, failed."""
T0 = 1_775_001_600_000
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000

ATTRIBUTES = {
    "app": ("app_version", "platform", "device_model", "region", "component"),
    "payment": ("payment_provider", "payment_method", "region"),
    "delivery": ("carrier", "warehouse", "region"),
    "contact": ("channel", "region"),
}


def who(customer: str) -> int:
    return xxhash.xxh3_64_intdigest(customer.encode())


def records(outcomes: Iterable[Outcome], partitions: int = 1, line: str = "shop", bin_ms: int = 10_000) -> list[Any]:
    """Closed counts and closings, in order of bins; customers are spread over partitions by their hash."""
    bins: dict[int, dict[tuple[Family, int], dict[tuple[str, ...], tuple[set[int], set[int]]]]] = {}
    for time_ms, family, customer, values, failed in outcomes:
        h = who(customer)
        leaf = (
            bins.setdefault(time_ms - time_ms % bin_ms, {})
            .setdefault((family, h % partitions), {})
            .setdefault(values, (set(), set()))
        )
        leaf[0].add(h)
        if failed:
            leaf[1].add(h)
    out: list[Any] = []
    for start in sorted(bins):
        for (family, partition), leaves in sorted(bins[start].items()):
            counts = tuple(
                LeafCount(values=v, exposed=len(e), failed=tuple(sorted(f))) for v, (e, f) in sorted(leaves.items())
            )
            out.append(
                CohortCount(
                    line=line,
                    signal=family,
                    bin_ms=start,
                    width_ms=bin_ms,
                    partition=partition,
                    attributes=ATTRIBUTES[family],
                    leaves=counts,
                    closed=True,
                )
            )
        out.extend(BinClosed(partition=p, partitions=partitions, through_ms=start + bin_ms) for p in range(partitions))
    return out


class Line:
    """Feeds a detect room in batches, drains it, keeps every version of every issue; may restart it in between."""

    def __init__(self, rules: DetectRules | None = None, restart_every: int = 0) -> None:
        self.stage = DetectStage(rules)
        self.state = self.stage.start(0, 4)
        self.restart_every = restart_every
        self.kept: dict[bytes, bytes] = {}
        self.versions: list[Issue] = []
        self.watermarks: list[int] = []
        self.drains = 0

    def feed(self, items: Sequence[Any], batch: int = 1000) -> Line:
        for at in range(0, len(items), batch):
            part = items[at : at + batch]
            self.stage.step(self.state, Batch("cohort_count", 0, part, range(at, at + len(part))))
            self.drain()
        return self

    def drain(self) -> None:
        drained = self.stage.drain(self.state)
        for key, value in drained.changes:
            if value is None:
                self.kept.pop(key, None)
            else:
                self.kept[key] = value
        for message in drained.messages:
            if isinstance(message.record, Issue):
                self.versions.append(message.record)
            elif isinstance(message.record, Watermark):
                self.watermarks.append(message.record.through_ms)
        self.drains += 1
        if self.restart_every and self.drains % self.restart_every == 0:
            self.state = self.stage.load(0, 4, list(self.kept.items()))

    @property
    def latest(self) -> dict[str, Issue]:
        """Last version of each issue that was ever shown."""
        return {i.issue_id: i for i in self.versions if i.state != "suspected"}
