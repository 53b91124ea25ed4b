"""Canonical findings: what two runs over the same input must have in common, byte for byte.

Takes the JSON of every record of one topic, in log order, keeps the newest record per natural key, folds the source
partitions together (their number is a deployment choice, not a finding), drops what depends on the moment of a flush
(open bins, suspicions that never opened, progress marks, the sender's clock), and drills unless they are asked for, and
prints sorted lines. Works on plain dictionaries, without the codec of the line, so that tests can judge the line by it
from outside.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from schemas.drills import SOURCE as DRILL_SOURCE
from schemas.drills import is_drill

Row = dict[str, Any]
Rows = list[Row]

NATURAL_KEYS: Mapping[str, tuple[str, ...]] = {
    "cohort_count": ("line", "signal", "bin_ms", "width_ms", "partition"),
    "source_count": ("topic", "source", "bin_ms", "width_ms", "partition"),
    "episode": ("customer_id", "line", "signal", "window_ms"),
    "contact_case": ("customer_id", "contact_id"),
    "order_outcome": ("customer_id", "order_id"),
    "issue": ("issue_id",),
    "affected": ("issue_id", "customer_id"),
    "affected_count": ("issue_id", "partition"),
    "impact": ("issue_id",),
    "outreach": ("outreach_id",),
    "delivery": ("outreach_id",),
    "late": ("topic", "partition", "offset"),
}
"""Fields that identify a finding, per topic."""

NOUNS = tuple(noun for noun in NATURAL_KEYS if noun != "delivery")
"""Kinds of findings that rooms write, in the order of the line; deliveries are the sender's."""

SENDER_CLOCK = ("claimed_at_ms", "done_at_ms", "attempts")
"""Fields of a delivery that hang on when and how often the sender tried."""


def canonical(noun: str, records: Iterable[Row], drills: bool = False) -> list[bytes]:
    """Return the sorted canonical lines of one topic, given its records in log order per partition.

    ``drills``: with those of drills, which are no findings about the company.
    """
    keys = NATURAL_KEYS[noun]
    latest: dict[tuple[Any, ...], Row] = {}
    for record in records:
        if record.get("kind") == noun and (drills or not _is_of_drill(record)):
            latest[tuple(record[key] for key in keys)] = record
    rows = _SHAPES.get(noun, _same)(list(latest.values()))
    return sorted(json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() for row in rows)


def fingerprint(lines: Iterable[bytes]) -> str:
    """Return the SHA-256 of canonical lines, in hexadecimal."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line + b"\n")
    return digest.hexdigest()


def _is_of_drill(row: Row) -> bool:
    return (
        is_drill(row.get("line", "")) or is_drill(row.get("customer_id", "")) or row.get("source", "") == DRILL_SOURCE
    )


def _same(rows: Rows) -> Rows:
    return rows


def _fold(rows: Rows, keys: tuple[str, ...], merge: Callable[[Row, Row], None]) -> Rows:
    folded: dict[tuple[Any, ...], Row] = {}
    for row in sorted(rows, key=lambda r: int(r["partition"])):
        own = {name: value for name, value in row.items() if name != "partition"}
        key = tuple(row[name] for name in keys)
        if key in folded:
            merge(folded[key], own)
        else:
            folded[key] = own
    return list(folded.values())


def _cohorts(rows: Rows) -> Rows:
    def merge(into: Row, row: Row) -> None:
        leaves = {tuple(leaf["values"]): leaf for leaf in into["leaves"]}
        for leaf in row["leaves"]:
            known = leaves.setdefault(tuple(leaf["values"]), {"values": leaf["values"], "exposed": 0, "failed": []})
            known["exposed"] += leaf["exposed"]
            known["failed"] = sorted({*known["failed"], *leaf["failed"]})
        into["leaves"] = [leaves[values] for values in sorted(leaves)]

    return _fold([row for row in rows if row["closed"]], ("line", "signal", "bin_ms", "width_ms"), merge)


def _sources(rows: Rows) -> Rows:
    def merge(into: Row, row: Row) -> None:
        for name in ("events", "late", "duplicates"):
            into[name] += row[name]

    return _fold(rows, ("topic", "source", "bin_ms", "width_ms"), merge)


def _affected_counts(rows: Rows) -> Rows:
    def merge(into: Row, row: Row) -> None:
        for name in ("affected", "contacted", "silent", "value_cents", "valued"):
            into[name] += row[name]
        into["amounts"] = _summed(into["amounts"], row["amounts"])
        into["open"] = into["open"] or row["open"]

    # as_of and recent are a partition's own view of "now": only their sum over a common now would be a finding
    bare = [_without(row, ("as_of_ms", "recent")) for row in rows]
    return [row for row in _fold(bare, ("issue_id",), merge) if row["affected"]]


def _summed(one: list[Row], other: list[Row]) -> list[Row]:
    """Amounts added up per currency."""
    sums: Counter[str] = Counter()
    for amount in (*one, *other):
        sums[amount["currency"]] += amount["minor"]
    return [{"currency": currency, "minor": minor} for currency, minor in sorted(sums.items())]


def _issues(rows: Rows) -> Rows:
    return [row for row in rows if row["state"] != "suspected"]


def _deliveries(rows: Rows) -> Rows:
    return [_without(row, SENDER_CLOCK) for row in rows]


def _late(rows: Rows) -> Rows:
    # where it lay, and how far that partition had come, follows from the number of partitions
    return [_without(row, ("partition", "offset", "watermark_ms")) for row in rows]


def _without(row: Row, names: tuple[str, ...]) -> Row:
    return {name: value for name, value in row.items() if name not in names}


_SHAPES: Mapping[str, Callable[[Rows], Rows]] = {
    "cohort_count": _cohorts,
    "source_count": _sources,
    "affected_count": _affected_counts,
    "issue": _issues,
    "delivery": _deliveries,
    "late": _late,
}
