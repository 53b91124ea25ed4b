"""``python -m benchmarks.raw_order``: what the order of raw copies costs ClickHouse (docs/decisions/0006).

A real ``cxwatch worker --rooms store`` copies the three event topics, once for each order of the telemetry table, in
turn; counted is the CPU of the server's process until everything is stored and no merge has ended for a while.
"""

from __future__ import annotations

import argparse
import time

from clickhouse_driver import Client

from benchmarks import cxwatch
from benchmarks.events import EventSet, event_set
from benchmarks.load import load
from benchmarks.measure import cpu_s_of
from benchmarks.pipeline import EVENTS, REALISTIC
from benchmarks.stack import Servers, servers
from streams.stack import status

TABLE = "telemetry_raw"
ORDERS = {
    "by the millisecond": "product, event_time, topic, `partition`, `offset`",
    "by the hour": "product, toStartOfHour(event_time), topic, `partition`, `offset`",
    "by offset": "topic, `partition`, `offset`",
}
STILL_S = 5.0
"""Merges are over when the parts of the table have been the same for so long."""
PARTS = "SELECT count(), sum(bytes_on_disk) FROM system.parts WHERE active AND database = %(db)s AND table = %(table)s"


def measure(where: Servers, prefix: str, events: EventSet, order: str) -> tuple[float, float]:
    """CPU s of ClickHouse and MB of the table, for one order."""
    nouns = {"store_topics": ("telemetry", "order", "contact")}
    settings = cxwatch.afresh(where, prefix, raw=True).model_copy(update=nouns)
    client = where.client(cxwatch.DATABASE)
    client.execute(f"CREATE TABLE other AS {TABLE} ENGINE = ReplacingMergeTree ORDER BY ({order})")
    client.execute(f"EXCHANGE TABLES other AND {TABLE}")
    client.execute("DROP TABLE other")
    (pid,) = (server.pid for server in status(where.settings) if server.name == "clickhouse")
    assert pid is not None
    before = cpu_s_of(pid)
    with cxwatch.worker(where, settings, "store") as watched:
        cxwatch.await_done([watched], lambda: sum(client.execute(cxwatch.RAW_COUNTS)[0]) >= events.events)
    megabytes = _settled_mb(client)
    return cpu_s_of(pid) - before, megabytes


def _settled_mb(client: Client) -> float:
    """Wait for the last merge; MB of the table."""
    seen, since = None, time.monotonic()
    while time.monotonic() - since < STILL_S:
        found = client.execute(PARTS, {"db": cxwatch.DATABASE, "table": TABLE})[0]
        if found != seen:
            seen, since = found, time.monotonic()
        time.sleep(cxwatch.LOOK_S)
    assert seen is not None
    return float(seen[1]) / 1e6


def main() -> None:
    """Measure every order in turn and print the figures."""
    parser = argparse.ArgumentParser(description="CPU of ClickHouse for raw copies in several orders")
    parser.add_argument("--events", type=int, default=EVENTS // 2)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    events = event_set(given.events, REALISTIC)
    with servers() as where:
        load(where.bootstrap, "o.", events)
        for number in range(given.rounds):
            for name, order in ORDERS.items():
                cpu_s, megabytes = measure(where, "o.", events, order)
                print(f"round {number + 1}, {name}: {cpu_s / events.events * 1e6:.2f} CPU s of ClickHouse per million "
                      f"events, {megabytes:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
