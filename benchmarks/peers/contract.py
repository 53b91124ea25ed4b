"""What a Python peer of job J shares with the harness: its environment, its two tables, its meter.

Each peer runs in an environment of its own and imports nothing of the project but this file, which lies beside their
folders: the harness puts it on their path.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from dataclasses import dataclass
from typing import Any

from clickhouse_driver import Client

HEARTBEAT_KEY = b"cx.heartbeat"
"""Record key of heartbeats: no customer, not an event of job J."""
WINDOW_MS = 10_000
FAILURE_MS = 30 * 60 * 1000
"""How long a failure counts for a contact."""
FAILED_STATUSES = frozenset({"payment_failed", "late", "cancelled"})
"""Statuses of an order that are a failure."""
AGG = "win, product, app_version, region, error_code, part, n, uniq, sketch, v"
JOINED = "event_id, event_time, customer_id, channel, reason, frictions, last_friction, part, off"


@dataclass(frozen=True)
class Contract:
    """What the harness asks for."""

    bootstrap: str
    prefix: str
    events: int
    """Records to handle over all three topics, heartbeats left out."""
    name: str
    clickhouse: dict[str, Any]

    @classmethod
    def read(cls) -> Contract:
        """The contract of this run, from the environment."""
        names = ("BOOTSTRAP", "PREFIX", "EVENTS", "NAME", "CLICKHOUSE")
        bootstrap, prefix, events, name, clickhouse = (os.environ[f"BENCH_{part}"] for part in names)
        return cls(bootstrap, prefix, int(events), name, json.loads(clickhouse))

    def topic(self, noun: str) -> str:
        """Name of an input topic: telemetry, order or contact."""
        return f"{self.prefix}cx.{noun}.v1"


class Store:
    """The two tables in ClickHouse, over the native protocol."""

    def __init__(self, contract: Contract) -> None:
        """Connect and create the tables if they are not there."""
        to = contract.clickhouse
        self._client = Client(
            to["host"], port=to["port"], user=to["user"], password=to["password"], database=to["database"]
        )
        self._table = contract.name.replace("-", "_")
        self._client.execute(
            f"CREATE TABLE IF NOT EXISTS {self._table}_agg (win DateTime, product LowCardinality(String), "
            "app_version LowCardinality(String), region LowCardinality(String), error_code LowCardinality(String), "
            "part UInt16, n UInt64, uniq Float64, sketch String, v UInt64) "
            "ENGINE = ReplacingMergeTree(v) ORDER BY (win, product, app_version, region, error_code, part)"
        )
        self._client.execute(
            f"CREATE TABLE IF NOT EXISTS {self._table}_joined (event_id String, event_time DateTime64(3), "
            "customer_id String, channel LowCardinality(String), reason LowCardinality(String), frictions UInt32, "
            "last_friction String, part UInt16, off UInt64) ENGINE = ReplacingMergeTree ORDER BY (part, off)"
        )

    def aggregates(self, columns: list[Any]) -> None:
        """Insert columns in the order of ``AGG``; nothing if they are empty."""
        self._insert(f"{self._table}_agg ({AGG})", columns)

    def joined(self, columns: list[Any]) -> None:
        """Insert columns in the order of ``JOINED``; nothing if they are empty. DateTime64 takes ticks, ms."""
        self._insert(f"{self._table}_joined ({JOINED})", columns)

    def _insert(self, into: str, columns: list[Any]) -> None:
        if columns and columns[0]:
            self._client.execute(f"INSERT INTO {into} VALUES", columns, columnar=True)


class Meter:
    """Counts handled events; time and CPU count from the first of them."""

    def __init__(self, events: int) -> None:
        """Expect ``events`` of them."""
        self._events = self.left = events
        self._start = self._half = (0.0, 0.0)

    def one(self) -> bool:
        """Count one event; True for the last one."""
        if self.left == self._events:
            self._start = _now()
        self.left -= 1
        if self.left == self._events // 2:
            self._half = _now()
        return self.left == 0

    def report(self) -> None:
        """Print the line that the harness reads. Warm = the second half of the events. Exits if some are left."""
        if self.left:
            raise SystemExit(f"stopped with {self.left} events left")
        wall_s, cpu_s = _now()
        result = {
            "events": self._events,
            "wall_s": round(wall_s - self._start[0], 3),
            "cpu_s": round(cpu_s - self._start[1], 3),
            "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "warm_cpu_s_per_million": round((cpu_s - self._half[1]) * 1e6 / max(1, self._events // 2), 3),
        }
        # The real standard output: Faust turns what is printed into log lines.
        print("RESULT " + json.dumps(result), file=sys.__stdout__, flush=True)


def _now() -> tuple[float, float]:
    """Wall clock and CPU of this process, all threads, s."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.monotonic(), used.ru_utime + used.ru_stime
