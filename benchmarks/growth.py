"""``make bench-growth``: does an event cost more when more customers are remembered, and how long does recovery take?

For 1,000 to 1,000,000 customers: every customer fails once (so that the join remembers each), the worker stops; then
job J's mix over the same customers, all equally busy, is loaded, the worker starts again, recovers and reads it. Told
are CPU per event after recovery, the duration of recovery, the bytes of the customers' live state on Kafka and the
resident memory right after recovery. Then memory under a backlog: peak memory of a run over more and more waiting
events.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import cxwatch
from benchmarks.events import (
    PARTITIONS,
    SEED,
    START_MS,
    EventSet,
    Mix,
    cache,
    customer_ids,
    event_set,
    read_set,
    write_set,
)
from benchmarks.load import load
from benchmarks.measure import peak_rss_mb_of
from benchmarks.run import RESULTS, write
from benchmarks.stack import Servers, servers
from schemas.partition import partitions_of
from schemas.topics import state_topic
from streams.runtime.recovery import StateReader

SIZES = (1_000, 10_000, 100_000, 1_000_000)
EVENTS = 600_000
BACKLOGS = (600_000, 2_400_000)
BLOCK = 100_000
FLAT, STATE_BYTES, RECOVERY_S = 0.15, 400.0, 45.0
"""Bars: largest growth of CPU per event, bytes per customer, recovery of a million."""
BEFORE_MS = 120_000
"""The last failure happens this long before the first event of the mix, the first one a minute earlier."""


def failures(customers: int) -> EventSet:
    """Return a set in which every customer fails once."""
    folder = cache() / f"failures-1-{customers}"
    if not (folder / "set.json").exists():
        write_set(folder, _failures(customers), START_MS - BEFORE_MS, SEED)
    return read_set(folder)


def _failures(customers: int) -> Iterator[list[list[str]]]:
    names = customer_ids(customers)
    for first in range(0, customers, BLOCK):
        some = names[first : first + BLOCK]
        logs: list[list[str]] = [[] for _ in range(3 * PARTITIONS)]
        for index, (name, partition) in enumerate(
            zip(some, partitions_of([name.encode() for name in some], PARTITIONS), strict=True), first
        ):
            time_ms = START_MS - BEFORE_MS * 3 // 2 + BEFORE_MS // 2 * index // customers
            logs[partition].append(
                f'{name}\t{{"event_id":"f-{index:08d}","event_time_ms":{time_ms},"customer_id":"{name}",'
                f'"source":"app-web","product":"player","component":"playback","app_version":"4.8.0",'
                f'"platform":"web","region":"eu-west","device_model":"Chrome 128","event_name":"login",'
                f'"outcome":"failed","error_code":"E1001"}}\n'
            )
        yield logs


async def live_state(bootstrap: str, topic: str) -> tuple[int, int]:
    """Return (customers, bytes of their live keys and values) of the join's state topic."""
    recovered = await StateReader(bootstrap, topic, cxwatch.START_S).read(range(PARTITIONS))
    sizes = [
        len(key) + len(value) for one in recovered.values() for key, value in one.items.items() if _is_customer(key)
    ]
    return len(sizes), sum(sizes)


def _is_customer(key: bytes) -> bool:
    """True for a pair that holds one customer: the first part of its key is ``c``."""
    parts = msgspec.msgpack.decode(key)
    return isinstance(parts, list) and parts[0] == "c"


def one_size(where: Servers, customers: int, events: EventSet) -> dict[str, Any]:
    """Fill, stop, load, start again, measure; returns one row."""
    prefix = f"g{customers}."
    first = failures(customers)
    load(where.bootstrap, prefix, first)
    settings = cxwatch.afresh(where, prefix, raw=False)
    client = where.client(cxwatch.DATABASE)
    with cxwatch.worker(where, settings, cxwatch.ROOMS) as filling:
        cxwatch.await_stored(filling, client, first, raw=False)
    held, size = asyncio.run(live_state(where.bootstrap, prefix + state_topic("join")))
    load(where.bootstrap, prefix, events)
    with cxwatch.worker(where, settings, cxwatch.ROOMS) as watched:
        watched.await_ready()
        rss_mb = peak_rss_mb_of(watched.pid)
        recovery_s = cxwatch.total(watched.metrics(), "cx_runtime_recovery_seconds", room="join")
        cxwatch.await_stored(watched, client, events, raw=False, before=first.events)
        figure = watched.figure(events.events)
    return {
        "name": f"growth-{customers}",
        "customers": held,
        "cpu_s_per_million": round(figure.cpu_s_per_million, 3),
        "events_per_s": round(figure.events_per_s),
        "state_bytes_per_customer": round(size / max(1, held)),
        "recovery_s": round(recovery_s, 2),
        "rss_after_recovery_mb": round(rss_mb),
        "rss_mb": round(figure.rss_mb),
        "events": figure.events,
    }


def backlog(where: Servers, events: EventSet) -> dict[str, Any]:
    """Return the row of a run that starts with so many events waiting."""
    prefix = f"w{events.events}."
    load(where.bootstrap, prefix, events)
    figure = cxwatch.measure(where, prefix, events, raw=False)
    return {
        "name": f"backlog-{events.events}",
        "cpu_s_per_million": round(figure.cpu_s_per_million, 3),
        "events_per_s": round(figure.events_per_s),
        "rss_mb": round(figure.rss_mb),
        "events": figure.events,
    }


def main() -> int:
    """Measure every size, print the rows and the bars; exit code 1 if one is missed."""
    parser = argparse.ArgumentParser(description="Cost of an event by the number of customers remembered")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of customers")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--backlogs", default=",".join(map(str, BACKLOGS)), help="numbers of waiting events")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    given = parser.parse_args()
    rows = []
    with servers() as where:
        for customers in map(int, given.sizes.split(",")):
            mix = Mix(f"even{customers}", customers=customers, skew=1.0)
            rows.append(one_size(where, customers, event_set(given.events, mix)))
            print(json.dumps(rows[-1]), flush=True)
        behind = [backlog(where, event_set(int(size))) for size in given.backlogs.split(",") if size]
        print("\n".join(map(json.dumps, behind)))
    write([*rows, *behind], given.results, "growth")
    met = [_report(*line) for line in bars(rows)]
    return 0 if all(met) else 1


def bars(rows: list[dict[str, Any]]) -> list[tuple[bool, str]]:
    """Return (held?, sentence) per bar."""
    first, last = rows[0], rows[-1]
    grown = last["cpu_s_per_million"] / first["cpu_s_per_million"] - 1
    size, took_s = last["state_bytes_per_customer"], last["recovery_s"]
    customers = f"{last['customers']:,} customers"
    return [
        (grown <= FLAT, f"CPU per event {grown:+.0%} from {first['customers']:,} to {customers}, bar {FLAT:.0%}"),
        (size <= STATE_BYTES, f"{size} bytes of state per customer, aim {STATE_BYTES:.0f}"),
        (took_s <= RECOVERY_S, f"recovery of {customers} took {took_s} s, bar {RECOVERY_S:.0f}"),
    ]


def _report(held: bool, sentence: str) -> bool:
    print(f"{'held  ' if held else 'MISSED'} {sentence}")
    return held


if __name__ == "__main__":
    sys.exit(main())
