"""What other detectors look at: failures by line, signal and attribute value, minute by minute as events arrive.

They count events by themselves, not through our join: no repeats are dropped, nothing waits for watermarks, and what
arrives late counts when it arrives. A promise is broken when its time passes without a delivery, by the clock of
arrival. What cannot be read is left out.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from schemas.events import HEARTBEAT_KEY
from schemas.topics import MINUTE_MS
from streams.sources.arrivals import Arrival

Pair = tuple[str, str]
FAILING_REASONS = frozenset({"app", "payment", "delivery", "problem", "complaint", "technical"})


class LeafKey(NamedTuple):
    """One full tuple of attribute values of a signal."""

    line: str
    signal: str
    values: tuple[Pair, ...]


class CohortKey(NamedTuple):
    """All of a line (``pair`` None), or those with one attribute value."""

    line: str
    signal: str
    pair: Pair | None


@dataclass(frozen=True, slots=True)
class Minute:
    """Counts of one minute of arrival; ``ends_ms`` is exclusive. Per cohort: tries, and how many of them failed."""

    ends_ms: int
    counts: Mapping[CohortKey, tuple[int, int]]


class Attempt(NamedTuple):
    """Something succeeded or failed; ``at_ms`` is when it was known."""

    at_ms: int
    leaf: LeafKey
    failed: bool


class _Telemetry(msgspec.Struct):
    product: str
    outcome: str
    app_version: str = ""
    platform: str = ""
    device_model: str = ""
    region: str = ""
    component: str = ""


class _Order(msgspec.Struct):
    product: str
    order_id: str
    status: str
    payment_provider: str = ""
    payment_method: str = ""
    carrier: str = ""
    warehouse: str = ""
    region: str = ""
    promised_at_ms: int | None = None
    cancelled_by: str | None = None


class _Contact(msgspec.Struct):
    channel: str
    product: str = ""
    status: str = "opened"
    reason: str = ""
    region: str = ""


_DECODERS: Mapping[str, msgspec.json.Decoder[Any]] = {
    "telemetry": msgspec.json.Decoder(_Telemetry),
    "order": msgspec.json.Decoder(_Order),
    "contact": msgspec.json.Decoder(_Contact),
}
_APP = ("app_version", "platform", "device_model", "region", "component")
_PAYMENT = ("payment_provider", "payment_method", "region")
_DELIVERY = ("carrier", "warehouse", "region")
_CONTACT = ("channel", "region")


@dataclass
class EventWatch:
    """Outcomes from events, in order of arrival."""

    _promises: dict[str, tuple[int, LeafKey]] = field(default_factory=dict)
    _due: list[tuple[int, str]] = field(default_factory=list)

    def attempts(self, arrivals: Iterable[Arrival]) -> Iterator[Attempt]:
        """Read events; promises that fall due in between are broken in their order."""
        for arrival in arrivals:
            while self._due and self._due[0][0] < arrival.at_ms:
                yield from self._broken(*heapq.heappop(self._due))
            if arrival.noun not in _DECODERS or arrival.key == HEARTBEAT_KEY or arrival.headers:
                continue
            try:
                event: Any = _DECODERS[arrival.noun].decode(arrival.value)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            yield from self._of(arrival.noun, event, arrival.at_ms)

    def _of(self, noun: str, event: Any, at_ms: int) -> Iterator[Attempt]:
        if noun == "telemetry" and event.outcome in ("ok", "failed"):
            yield Attempt(at_ms, _leaf("app", event, _APP), event.outcome == "failed")
        elif noun == "contact" and event.status == "opened":
            yield Attempt(at_ms, _leaf("contact", event, _CONTACT), event.reason in FAILING_REASONS)
        elif noun == "order":
            yield from self._of_order(event, at_ms)

    def _of_order(self, event: _Order, at_ms: int) -> Iterator[Attempt]:
        if event.status in ("paid", "payment_failed"):
            yield Attempt(at_ms, _leaf("payment", event, _PAYMENT), event.status == "payment_failed")
        if event.status in ("delivered", "late", "cancelled", "returned"):
            promise = self._promises.pop(event.order_id, None)
            failed = event.status == "late" or (event.status == "cancelled" and event.cancelled_by == "company")
            if promise is not None and (failed or event.status == "delivered"):
                yield Attempt(at_ms, promise[1], failed)
        elif event.promised_at_ms is not None and event.promised_at_ms > at_ms:
            self._promises[event.order_id] = event.promised_at_ms, _leaf("delivery", event, _DELIVERY)
            heapq.heappush(self._due, (event.promised_at_ms, event.order_id))

    def _broken(self, due_ms: int, order_id: str) -> Iterator[Attempt]:
        promise = self._promises.get(order_id)
        if promise is not None and promise[0] == due_ms:  # else it was kept, or promised anew
            del self._promises[order_id]
            yield Attempt(due_ms, promise[1], True)


def _leaf(signal: str, event: Any, names: tuple[str, ...]) -> LeafKey:
    return LeafKey(event.product, signal, tuple((name, getattr(event, name)) for name in names))


@dataclass
class Tally:
    """Counts attempts into minutes. Beyond ``cohorts`` further attribute values are not watched by name."""

    cohorts: int = 2_000
    _of_leaf: dict[LeafKey, tuple[CohortKey, ...]] = field(default_factory=dict)
    _known: set[CohortKey] = field(default_factory=set)

    def of_attempts(self, attempts: Iterable[Attempt]) -> Iterator[Minute]:
        """Minutes in which something happened, in their order. An attempt counts in no earlier minute than the last."""
        ends_ms, leaves = 0, dict[LeafKey, list[int]]()
        for at_ms, leaf, failed in attempts:
            if at_ms >= ends_ms:
                if leaves:
                    yield self._minute(ends_ms, leaves)
                ends_ms, leaves = at_ms - at_ms % MINUTE_MS + MINUTE_MS, {}
            counted = leaves.setdefault(leaf, [0, 0])
            counted[0] += 1
            counted[1] += failed
        if leaves:
            yield self._minute(ends_ms, leaves)

    def of_counts(self, counts: Iterable[Mapping[str, Any]]) -> Iterator[Minute]:
        """The same from records of the topic ``cohort_count`` in order of bins; bins of more than a minute stay whole.

        A bin is known at its end.
        """
        ends_ms, leaves = 0, dict[LeafKey, list[int]]()
        for record in counts:
            if record["kind"] != "cohort_count":
                continue
            end = record["bin_ms"] + record["width_ms"]
            end += -end % MINUTE_MS
            if end > ends_ms:
                if leaves:
                    yield self._minute(ends_ms, leaves)
                ends_ms, leaves = end, {}
            for one in record["leaves"]:
                values = tuple(zip(record["attributes"], one["values"], strict=True))
                counted = leaves.setdefault(LeafKey(record["line"], record["signal"], values), [0, 0])
                counted[0] += one["exposed"]
                counted[1] += len(one["failed"])
        if leaves:
            yield self._minute(ends_ms, leaves)

    def _minute(self, ends_ms: int, leaves: Mapping[LeafKey, list[int]]) -> Minute:
        counts: dict[CohortKey, list[int]] = {}
        for leaf, (tries, failed) in leaves.items():
            for key in self._of_leaf.get(leaf) or self._cohorts(leaf):
                counted = counts.setdefault(key, [0, 0])
                counted[0] += tries
                counted[1] += failed
        return Minute(ends_ms, {key: (tries, failed) for key, (tries, failed) in counts.items()})

    def _cohorts(self, leaf: LeafKey) -> tuple[CohortKey, ...]:
        found = [CohortKey(leaf.line, leaf.signal, None)]
        found += [CohortKey(leaf.line, leaf.signal, pair) for pair in leaf.values if pair[1]]
        kept = tuple(key for key in found if key in self._known or len(self._known) < self.cohorts or key.pair is None)
        self._known.update(kept)
        if len(self._of_leaf) < 50 * self.cohorts:
            self._of_leaf[leaf] = kept
        return kept
