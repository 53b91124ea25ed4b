"""``make bench-pipeline``: all rooms and the copy of everything, no sender, on a realistic mix of events.

One worker, then two that share the partitions. Both runs are compared with the truth, and with each other: issues,
affected customers and decisions have to be the same whatever the number of workers.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from clickhouse_driver import Client

from benchmarks import cxwatch
from benchmarks.check import check_cxwatch, compare
from benchmarks.events import PARTITIONS, EventSet, Mix, event_set
from benchmarks.load import load
from benchmarks.measure import Figure, row
from benchmarks.report import table
from benchmarks.rivals import PeerError
from benchmarks.run import RESULTS, write
from benchmarks.stack import Servers, servers
from benchmarks.truth import truth_of
from schemas.rooms import WORKER_ROOMS

EVENTS = 4_800_000
REALISTIC = Mix(
    "realistic", telemetry=0.94, order=0.05, failed=0.01, history_share=0.05, history_s=2_700, incident_from=0.7
)
"""Contacts one in a hundred events, one failure in a hundred steps; 45 quiet minutes (detection needs half an hour to
compare with), then a rush, in whose last part one release fails in one product, so that every room has work."""
ROOMS = ",".join(WORKER_ROOMS)
BAR_RATE, BAR_CPU = 100_000, 10.0
MARKS = {"cohort_count": PARTITIONS, "episode": PARTITIONS, "issue": 1, "affected": PARTITIONS, "outreach": PARTITIONS}
"""Topics on which rooms announce how far they have come, and in how many partitions."""
TOTALS = {
    "issues": "SELECT count(), sum(cityHash64(issue_id)) FROM issue_latest",
    "affected": "SELECT count(), sum(cityHash64(issue_id, customer_id)) FROM affected_latest",
    "counted": "SELECT sum(affected), sum(contacted), sum(silent) FROM affected_count_latest",
    "decisions": "SELECT count(), sum(cityHash64(outreach_id)) FROM outreach_latest",
}
"""Findings that have to be the same whatever the number of workers."""


def measure(where: Servers, prefix: str, events: EventSet, workers: int) -> tuple[Figure, dict[str, Any]]:
    """Run the whole line with so many workers; returns the figure over all of them and the totals found."""
    settings = cxwatch.afresh(where, prefix, raw=True)
    client = where.client(cxwatch.DATABASE)
    with ExitStack() as stack:
        running = [
            stack.enter_context(cxwatch.worker(where, settings, ROOMS, f"bench-{number}"))
            for number in range(1, workers + 1)
        ]
        for one in running:
            one.await_ready()
        last_ms = cxwatch.last_bin_ms(events)
        cxwatch.await_done(running, lambda: cxwatch.stored(client, events, True) and _through(client) >= last_ms)
        parts = [one.figure(events.events) for one in running]
    wrong = check_cxwatch(client, truth_of(events))
    if wrong:
        raise PeerError("not equal to the truth:\n  " + "\n  ".join(wrong))
    figure = Figure(
        events.events,
        max(part.wall_s for part in parts),
        sum(part.cpu_s for part in parts),
        sum(part.rss_mb for part in parts),
    )
    return figure, {name: client.execute(query)[0] for name, query in TOTALS.items()}


def _through(client: Client) -> int:
    """Event time that the slowest room has announced in all its partitions, ms since 1970 UTC; 0 before the first."""
    query = "SELECT topic, count(), min(toUnixTimestamp64Milli(through)) FROM watermark FINAL GROUP BY topic"
    reached: dict[str, int] = {topic: ms for topic, count, ms in client.execute(query) if count == MARKS.get(topic)}
    return min(reached.get(topic, 0) for topic in MARKS)


def main() -> int:
    """Measure both, print the table and the bars; exit code 1 if the totals differ or a bar is missed."""
    parser = argparse.ArgumentParser(description="The whole line, one worker and two")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    given = parser.parse_args()
    events = event_set(given.events, REALISTIC)
    truth_of(events)
    figures: dict[int, list[Figure]] = {1: [], 2: []}
    totals: list[dict[str, Any]] = []
    with servers() as where:
        load(where.bootstrap, "p.", events)
        for number in range(given.rounds):
            for workers, done in figures.items():
                figure, found = measure(where, "p.", events, workers)
                done.append(figure)
                totals.append(found)
                print(f"round {number + 1}, {workers} worker{'s'[: workers - 1]}: {figure.cpu_s_per_million:.2f} CPU s "
                      f"per million events, {figure.events_per_s:,.0f} events/s, {json.dumps(found)}", flush=True)
    about = "all rooms and the copy of everything, no sender; realistic mix"
    rows = [row(f"pipeline-{workers}", about, found) for workers, found in figures.items()]
    print(table(rows))
    different = [line for found in totals[1:] for line in compare("totals", totals[0], found)]
    print("\n".join(different) or "every run found the same totals")
    held = rows[0]["events_per_s"] >= BAR_RATE and rows[0]["cpu_s_per_million"] <= BAR_CPU
    print(f"{'held  ' if held else 'MISSED'} one worker: at least {BAR_RATE:,} events/s, at most {BAR_CPU:g} CPU s")
    write(rows, given.results, "pipeline")
    return 0 if held and not different else 1


if __name__ == "__main__":
    sys.exit(main())
