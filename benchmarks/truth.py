"""The exact truth about a set of events, computed from its bytes by plain code that shares nothing with ``streams``.

For every peer: telemetry records and distinct customers per (10 s window, product, release, region, error code or ""),
and the event ids of all contacts. Repeated records count: the job asks for records.

For cxwatch, which takes a repeated event once: distinct exposed and failed customers per (line, signal, bin, values),
failures per (customer, line, signal, hour), accepted and repeated events per topic. Signals that one event decides:
app, payment, contact. Computed once per set and kept beside it.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from benchmarks.events import PARTITIONS, TOPICS, EventSet, event_set

VERSION = 1
"""Part of the file's name: raise it when the meaning changes."""
WINDOW_MS = 10_000
HOUR_MS = 3_600_000
MOST_DISORDER_MS = 10_000
"""No event may be later than this behind the newest one of its log: the truth knows no late events."""
COMPLAINTS = frozenset({"app", "payment", "delivery", "problem", "complaint", "technical"})

WindowKey = tuple[int, str, str, str, str]
"""(start of the window in s, product, app_version, region, error code or "")."""
CohortKey = tuple[str, str, int, tuple[str, ...]]
"""(line, signal, start of the bin in ms, values)."""
EpisodeKey = tuple[str, str, str, int]
"""(customer, line, signal, start of the hour in ms)."""
Key = TypeVar("Key")


@dataclass
class Truth:
    """What a job over one set has to arrive at."""

    windows: dict[WindowKey, int] = field(default_factory=dict)
    """Telemetry records, repeated ones too."""
    customers: dict[WindowKey, int] = field(default_factory=dict)
    """Distinct customers of the same."""
    contacts: set[str] = field(default_factory=set)
    """Event ids of the contact topic."""
    exposed: dict[CohortKey, int] = field(default_factory=dict)
    """Distinct customers that met the cohort and could have failed."""
    failed: dict[CohortKey, int] = field(default_factory=dict)
    """Distinct customers that failed (a key without failures is left out)."""
    failures: dict[EpisodeKey, int] = field(default_factory=dict)
    """Distinct failed events."""
    accepted: dict[str, int] = field(default_factory=dict)
    """Distinct events per topic."""
    duplicates: dict[str, int] = field(default_factory=dict)
    """Repeated records per topic."""

    def add(self, other: Truth) -> None:
        """Add the truth about other logs. Logs share no customer, so that distinct customers add up."""
        self.contacts |= other.contacts
        _add(self.windows, other.windows)
        _add(self.customers, other.customers)
        _add(self.exposed, other.exposed)
        _add(self.failed, other.failed)
        _add(self.failures, other.failures)
        _add(self.accepted, other.accepted)
        _add(self.duplicates, other.duplicates)


def _add(counts: dict[Key, int], more: Mapping[Key, int]) -> None:
    for key, count in more.items():
        counts[key] = counts.get(key, 0) + count


class Seen(msgspec.Struct, gc=False):
    """The fields that the truth looks at, over all three topics."""

    event_id: str
    event_time_ms: int
    customer_id: str
    product: str = ""
    region: str = ""
    component: str = ""
    app_version: str = ""
    platform: str = ""
    device_model: str = ""
    outcome: str = ""
    error_code: str = ""
    status: str = ""
    payment_provider: str = ""
    payment_method: str = ""
    channel: str = ""
    reason: str = ""


_decode = msgspec.json.Decoder(Seen).decode


def truth_of_log(topic: str, values: Iterable[bytes]) -> Truth:
    """Return the truth about one log (one partition of one topic) from its values in order.

    Raises ValueError if an event is so far behind that a job may call it late.
    """
    windows: Counter[WindowKey] = Counter()
    failures: Counter[EpisodeKey] = Counter()
    repeated = 0
    first_seen: set[str] = set()
    people: defaultdict[WindowKey, set[str]] = defaultdict(set)
    exposed: defaultdict[CohortKey, set[str]] = defaultdict(set)
    failed: defaultdict[CohortKey, set[str]] = defaultdict(set)
    for event in _in_time(map(_decode, values)):
        bin_ms = event.event_time_ms // WINDOW_MS * WINDOW_MS
        if topic == "telemetry":
            window = (bin_ms // 1000, event.product, event.app_version, event.region, event.error_code)
            windows[window] += 1
            people[window].add(event.customer_id)
        if event.event_id in first_seen:
            repeated += 1
            continue
        first_seen.add(event.event_id)
        judged = _judge(topic, event)
        if judged is None:
            continue
        signal, values_of_leaf, is_failure = judged
        cohort = (event.product, signal, bin_ms, values_of_leaf)
        exposed[cohort].add(event.customer_id)
        if is_failure:
            failed[cohort].add(event.customer_id)
            hour_ms = event.event_time_ms // HOUR_MS * HOUR_MS
            failures[event.customer_id, event.product, signal, hour_ms] += 1
    return Truth(
        windows=dict(windows),
        customers=_sizes(people),
        contacts=first_seen if topic == "contact" else set(),
        exposed=_sizes(exposed),
        failed=_sizes(failed),
        failures=dict(failures),
        accepted={topic: len(first_seen)} if first_seen else {},
        duplicates={topic: repeated} if repeated else {},
    )


def _in_time(events: Iterable[Seen]) -> Iterator[Seen]:
    newest_ms = 0
    for event in events:
        newest_ms = max(newest_ms, event.event_time_ms)
        if event.event_time_ms < newest_ms - MOST_DISORDER_MS:
            raise ValueError(f"event {event.event_id} lies {newest_ms - event.event_time_ms} ms behind: make a new set")
        yield event


def _sizes(sets: Mapping[Key, set[str]]) -> dict[Key, int]:
    return {key: len(members) for key, members in sets.items()}


def _judge(topic: str, event: Seen) -> tuple[str, tuple[str, ...], bool] | None:
    """(signal, values of the leaf cohort, failed?) of an event that could have failed, else None."""
    if topic == "telemetry" and event.outcome in ("ok", "failed"):
        values = (event.app_version, event.platform, event.device_model, event.region, event.component)
        return "app", values, event.outcome == "failed"
    if topic == "order" and event.status in ("paid", "payment_failed"):
        means = (event.payment_provider, event.payment_method, event.region)
        return "payment", means, event.status == "payment_failed"
    if topic == "contact" and event.status == "opened":
        return "contact", (event.channel, event.region), event.reason in COMPLAINTS
    return None


def truth_of(events: EventSet) -> Truth:
    """Return the truth about a whole set; computed at the first call and kept beside the set."""
    kept = events.folder / f"truth-{VERSION}.msgpack"
    if not kept.exists():
        found = Truth()
        for topic in TOPICS:
            for partition in range(PARTITIONS):
                values = (line.partition(b"\t")[2] for lines in events.lines(topic, partition) for line in lines)
                found.add(truth_of_log(topic, values))
        kept.write_bytes(msgspec.msgpack.encode(found))
    return msgspec.msgpack.decode(kept.read_bytes(), type=Truth)


if __name__ == "__main__":
    found = truth_of(event_set(int(sys.argv[1])))
    print(f"{len(found.windows)} cohort windows, {len(found.contacts)} contacts, {len(found.exposed)} leaf cohorts, "
          f"{len(found.failures)} episodes, accepted {dict(found.accepted)}, repeated {dict(found.duplicates)}")
