"""``make bench-latency``: how long an event takes at a steady rate, and what it costs then.

A paced producer sends job J's mix at 5,000 events a second. Two ways are measured once the first seconds are over:
event to joined, by the worker's own histogram of ages (append time to folded into the state; the upper edge of the
bucket is told), and event to visible in ClickHouse, by probe customers: each fails once, and the table of episodes is
asked for it every 40 ms. Settings are those of the environment (``CX_FETCH_MIN_BYTES=...``), defaults otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from clickhouse_driver import Client

from benchmarks import cxwatch
from benchmarks.events import PARTITIONS, START_MS, TOPICS, EventSet, Mix, event_set
from benchmarks.load import topic_name
from benchmarks.measure import cpu_s_of
from benchmarks.run import RESULTS, write
from benchmarks.stack import Servers, servers
from schemas.partition import partition_of
from streams.topics import ensure_topics

RATE = 5_000
SECONDS = 40
WARM_S = 10.0
TICK_S = 0.02
"""Producer and asker share the two cores with what is measured: they work in as few requests as serve the purpose."""
PROBE_S = 0.1
POLL_S = 0.04
LAST_PROBE_S = 5.0
"""No probe is sent in the last seconds: what is sent must have time to arrive."""
PREFIX = "l."
JOINED_MS, STORED_MS, BAR_CPU = 70.0, 700.0, 30.0
AGE = "cx_runtime_age_seconds"

Buckets = dict[float, float]
"""Upper edge in s -> observations up to it."""


@dataclass
class Probes:
    """Customers that fail once, and when each was sent and seen (wall clock, s)."""

    sent: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    def poll(self, client: Client) -> None:
        """Ask for episodes of probes until told that it is over."""
        query = (
            "SELECT customer_id FROM episode WHERE ingest_time > now64(3) - INTERVAL 5 SECOND "
            "AND startsWith(customer_id, 'p-') SETTINGS max_threads = 1"
        )
        while not self.over.wait(POLL_S):
            rows = client.execute(query)
            now = time.monotonic()
            for (customer,) in rows:
                self.seen.setdefault(customer, now)

    def delays_ms(self, since_s: float) -> list[float]:
        """Milliseconds from sent to seen of every probe sent after ``since_s``; infinite for one never seen."""
        return [
            (self.seen.get(customer, math.inf) - at) * 1_000 for customer, at in self.sent.items() if at >= since_s
        ]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of the values do not exceed. Needs at least one value."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def bucket_edge(before: Buckets, after: Buckets, share: float) -> float:
    """Return the upper edge (s) of the bucket in which a share of the observations between two scrapes lies.

    Raises ValueError if nothing was observed in between.
    """
    fresh = {edge: count - before.get(edge, 0.0) for edge, count in after.items()}
    observed = max(fresh.values(), default=0.0)
    if not observed:
        raise ValueError("nothing was observed")
    return min(edge for edge, count in fresh.items() if count >= share * observed)


def buckets_of(metrics: cxwatch.Samples, room: str) -> Buckets:
    """Return the histogram of ages of one room, over its topics."""
    found: Buckets = {}
    for labels, value in metrics.get(f"{AGE}_bucket", ()):
        if labels["room"] == room:
            edge = float(labels["le"])
            found[edge] = found.get(edge, 0.0) + value
    return found


def schedule(events: EventSet, seconds: float) -> list[tuple[float, str, int, bytes, bytes]]:
    """Return (second at which it is due, topic, partition, key, value) of every event, spread evenly, in order."""
    plan = []
    for noun in TOPICS:
        for partition in range(PARTITIONS):
            lines = [line for chunk in events.lines(noun, partition) for line in chunk]
            for index, line in enumerate(lines):
                key, _, value = line.partition(b"\t")
                plan.append(((index + 0.5) / len(lines) * seconds, topic_name(PREFIX, noun), partition, key, value))
    return sorted(plan)


async def send(bootstrap: str, plan: list[tuple[float, str, int, bytes, bytes]], probes: Probes) -> None:
    """Send everything when it is due, and a probe every ``PROBE_S``."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=2)
    await producer.start()
    try:
        began = time.monotonic()
        last_s = plan[-1][0]
        index, probe_s = 0, 0.0
        while index < len(plan):
            now = time.monotonic() - began
            while index < len(plan) and plan[index][0] <= now:
                _, topic, partition, key, value = plan[index]
                await producer.send(topic, value, key, partition)
                index += 1
            if now >= probe_s and now < last_s - LAST_PROBE_S:
                probe_s += PROBE_S
                await _probe(producer, probes, now)
            await asyncio.sleep(TICK_S)
        await producer.flush()
        await asyncio.sleep(LAST_PROBE_S)
    finally:
        await producer.stop()


async def _probe(producer: Any, probes: Probes, now_s: float) -> None:
    customer = f"p-{len(probes.sent):06d}"
    event = {
        "event_id": customer, "event_time_ms": START_MS + int(now_s * 1_000), "customer_id": customer,
        "source": "probe", "product": "player", "component": "playback", "app_version": "4.8.0", "platform": "web",
        "region": "eu-west", "device_model": "Chrome 128", "event_name": "login", "outcome": "failed",
    }
    key = customer.encode()
    probes.sent[customer] = time.monotonic()
    await producer.send(
        topic_name(PREFIX, "telemetry"), json.dumps(event).encode(), key, partition_of(key, PARTITIONS)
    )


def measure(where: Servers, events: EventSet, seconds: int) -> dict[str, Any]:
    """Run the worker under the paced load; returns one row."""
    settings = cxwatch.afresh(where, PREFIX, raw=False)
    ensure_topics(where.bootstrap, settings)
    plan = schedule(events, seconds)
    probes = Probes()
    asker = threading.Thread(target=probes.poll, args=(where.client(cxwatch.DATABASE),), daemon=True)
    with cxwatch.worker(where, settings, cxwatch.ROOMS) as watched:
        while cxwatch.total(watched.metrics(), "cx_runtime_ready") < 2:
            time.sleep(0.2)
        asker.start()
        sender = threading.Thread(target=lambda: asyncio.run(send(where.bootstrap, plan, probes)), daemon=True)
        began = time.monotonic()
        sender.start()
        time.sleep(WARM_S)
        before, cpu_s = watched.metrics(), cpu_s_of(watched.pid)
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        after, used_s = watched.metrics(), cpu_s_of(watched.pid) - cpu_s
        sender.join()
        probes.over.set()
        asker.join()
    return summary(before, after, used_s, probes.delays_ms(began + WARM_S))


def summary(
    before: cxwatch.Samples, after: cxwatch.Samples, cpu_s: float, delays_ms: Sequence[float]
) -> dict[str, Any]:
    """Return the row: percentiles in ms, CPU per million events between the two scrapes, probes seen and lost."""
    read = cxwatch.join_records(after) - cxwatch.join_records(before)
    first, last = buckets_of(before, "join"), buckets_of(after, "join")
    joined = {name: bucket_edge(first, last, share) * 1_000 if last else None
              for name, share in (("joined_p50_ms", 0.50), ("joined_p99_ms", 0.99))}
    return {
        "name": "latency",
        **joined,
        "stored_p50_ms": _finite(percentile(delays_ms, 0.50)),
        "stored_p99_ms": _finite(percentile(delays_ms, 0.99)),
        "cpu_s_per_million": round(cpu_s / read * 1e6, 2),
        "events": int(read),
        "probes": len(delays_ms),
        "probes_lost": sum(1 for delay in delays_ms if math.isinf(delay)),
    }


def _finite(value: float) -> int | None:
    """Whole milliseconds; None if the probe was never seen."""
    return None if math.isinf(value) else round(value)


def main() -> int:
    """Measure, print the row and the bars; exit code 1 if one is missed."""
    parser = argparse.ArgumentParser(description="Latency at a steady rate")
    parser.add_argument("--rate", type=int, default=RATE, help="events a second")
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    given = parser.parse_args()
    events = event_set(given.rate * given.seconds, Mix(f"rate{given.rate}", events_per_s=given.rate))
    with servers() as where:
        found = {**measure(where, events, given.seconds), "rate": given.rate}
    print(json.dumps(found))
    bars = (("joined_p99_ms", JOINED_MS), ("stored_p99_ms", STORED_MS), ("cpu_s_per_million", BAR_CPU))
    held = [found[name] is not None and found[name] <= bar for name, bar in bars]
    for (name, bar), fine in zip(bars, held, strict=True):
        print(f"{'held  ' if fine else 'MISSED'} {name} {found[name]}, bar {bar:g}")
    if found["joined_p99_ms"] is None:
        print(f"the worker has no metric {AGE}: the age of joined events is not measured")
    write([found], given.results, "latency")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
