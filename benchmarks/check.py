"""Compares what a peer stored with the truth. A figure counts only if this finds nothing.

``python -m benchmarks.check NAME EVENTS`` checks by hand, with the environment that ``benchmarks.stack`` printed.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Hashable, Mapping
from typing import Any

from clickhouse_driver import Client

from benchmarks.events import event_set
from benchmarks.truth import Truth, truth_of

SHOWN = 3
"""Differences told per table."""
CUSTOMERS_OFF = 0.03
"""How far the sum of a peer's estimates of distinct customers may lie from the exact sum (sketches of 1,024 cells)."""
_COUNTS = (
    "SELECT toUnixTimestamp(win), product, app_version, region, error_code, sum(n), sum(uniq) FROM peer_agg FINAL "
    "GROUP BY win, product, app_version, region, error_code"
)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def compare(what: str, truth: Mapping[Any, Hashable], found: Mapping[Any, Hashable]) -> list[str]:
    """Return one sentence with a few examples per kind of difference; nothing if both are equal."""
    missing = [key for key in truth if key not in found]
    extra = [key for key in found if key not in truth]
    wrong = [key for key, value in truth.items() if key in found and found[key] != value]
    differences = []
    for kind, keys in (("missing", missing), ("not in the truth", extra)):
        if keys:
            differences.append(f"{what}: {len(keys)} of {len(truth)} {kind}, e.g. {sorted(map(str, keys))[:SHOWN]}")
    if wrong:
        examples = [f"{key}: {found[key]} instead of {truth[key]}" for key in wrong[:SHOWN]]
        differences.append(f"{what}: {len(wrong)} of {len(truth)} wrong, e.g. {examples}")
    return differences


def check_peer(client: Client, name: str, truth: Truth, how: str = "exact") -> list[str]:
    """Return what is wrong with the tables of one peer; ``how``: exact (every key) or sums (totals only)."""
    rows = client.execute(_of(name, _COUNTS))
    counts = {tuple(row[:5]): row[5] for row in rows}
    joined = {event_id for (event_id,) in client.execute(_of(name, "SELECT event_id FROM peer_joined FINAL"))}
    if how == "sums":
        differences = compare("records", {"all": sum(truth.windows.values())}, {"all": sum(counts.values())})
        return differences + compare("joined contacts", {"all": len(truth.contacts)}, {"all": len(joined)})
    differences = compare("cohort windows", truth.windows, counts)
    differences += compare("joined contacts", dict.fromkeys(truth.contacts, 1), dict.fromkeys(joined, 1))
    estimate, exact = sum(row[6] for row in rows), sum(truth.customers.values())
    if abs(estimate - exact) > CUSTOMERS_OFF * exact:
        differences.append(f"distinct customers: estimates add up to {estimate:.0f}, exact are {exact}")
    return differences


def drop_peer(client: Client, name: str) -> None:
    """Drop the tables of one run of a peer."""
    for table in ("peer_agg", "peer_joined"):
        client.execute(_of(name, f"DROP TABLE IF EXISTS {table} SYNC"))


def _of(name: str, query: str) -> str:
    """Put the peer's name in."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be part of a table's name")
    return query.replace("peer_", f"{name}_")


def check_cxwatch(client: Client, truth: Truth) -> list[str]:
    """Return what is wrong with cxwatch's own tables, read through the views that boards read."""
    cohorts = client.execute(
        "SELECT line, signal, toUnixTimestamp64Milli(bin), `values`, sum(exposed), sum(failed), min(closed) "
        "FROM cohort_count_latest WHERE signal IN ('app', 'payment', 'contact') GROUP BY line, signal, bin, `values`"
    )
    keys = [(line, signal, bin_ms, tuple(values)) for line, signal, bin_ms, values, *_ in cohorts]
    differences = compare("exposed", truth.exposed, {key: row[4] for key, row in zip(keys, cohorts, strict=True)})
    failed = {key: row[5] for key, row in zip(keys, cohorts, strict=True) if row[5]}
    differences += compare("failed", truth.failed, failed)
    still_open = sum(1 for row in cohorts if not row[6])
    if still_open:
        differences.append(f"bins: {still_open} leaf cohorts are not closed")
    episodes = client.execute(
        "SELECT customer_id, line, signal, toUnixTimestamp64Milli(window), failures FROM episode_latest "
        "WHERE signal IN ('app', 'payment', 'contact')"
    )
    differences += compare("failures", truth.failures, {tuple(row[:4]): row[4] for row in episodes})
    spoken = client.execute(
        "SELECT topic, sum(events), sum(duplicates), sum(late) FROM source_count_latest GROUP BY topic"
    )
    differences += compare("accepted events", truth.accepted, {row[0]: row[1] for row in spoken})
    differences += compare("repeated events", truth.duplicates, {row[0]: row[2] for row in spoken if row[2]})
    late = sum(row[3] for row in spoken)
    return [*differences, f"{late} events were called late"] if late else differences


if __name__ == "__main__":
    how_to_log_in = json.loads(os.environ["BENCH_CLICKHOUSE"])
    del how_to_log_in["http_port"]
    differences = check_peer(Client(**how_to_log_in), sys.argv[1], truth_of(event_set(int(sys.argv[2]))), *sys.argv[3:])
    print("\n".join(differences) or "equals the truth")
    sys.exit(1 if differences else 0)
