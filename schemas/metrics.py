"""The catalogue of metrics: name, kind, labels, unit and meaning, each said once.

Names are ``cx_<room or part>_<thing>_<unit or total>``. Labels are the room, the topic's noun, the partition and the
outcome: closed, small sets. A customer, an address or a text never becomes a label. Made from this file are the objects
that a process exports (``streams.metrics``) and ``docs/reference/metrics.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. ``origin`` is the process that exports it; metrics of others are named because we alert on them."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    unit: str
    meaning: str
    origin: Literal["worker", "sender", "kafka_exporter"] = "worker"


OUTCOMES: dict[str, str] = {
    "accepted": "read, valid and folded into the state (or written by the store)",
    "heartbeats": "heartbeats of sources",
    "dead": "broke the contract: in the dead letters, with their bytes",
    "quarantined": "claimed to be from the future: in the dead letters, moved no watermark",
    "rekeyed": "lay on the wrong partition for their key and were written again to the right one",
    "astray": "lay on the wrong partition and are left to the room that brings them home (outreach; events: join)",
    "erased": "a customer's key without a value: all known about the customer is erased, and the dead letter says so",
    "skipped": "read a second time after a restart, or broke the contract where another room writes the dead letter",
}
"""Values of the label ``outcome`` of ``cx_runtime_records_total``.

Late events and duplicates are counted per source and bin in the topic ``source_count``, because they are findings
about a source and have to survive restarts.
"""

_PER_PARTITION = ("room", "topic", "partition")

METRICS: tuple[Metric, ...] = (
    Metric("cx_runtime_records_total", "counter", ("room", "topic", "outcome"), "records",
           "Records read, by what became of them"),
    Metric("cx_runtime_unknown_fields_total", "counter", ("room", "topic"), "fields",
           "Fields that the contract does not know"),
    Metric("cx_runtime_flush_seconds", "histogram", ("room",), "seconds", "Duration of a flush of one room"),
    Metric("cx_runtime_age_seconds", "histogram", ("room", "topic"), "seconds",
           "Age of records, from append to folded into the state or written by the sink"),
    Metric("cx_runtime_written_total", "counter", ("room",), "records", "Records written by flushes"),
    Metric("cx_runtime_unflushed_bytes", "gauge", ("room",), "bytes", "Bytes of records read and not durable yet"),
    Metric("cx_runtime_lag_records", "gauge", _PER_PARTITION, "records", "Offsets between position and end"),
    Metric("cx_runtime_undecided_records", "gauge", _PER_PARTITION, "records",
           "Records that nobody may read yet: they lie behind a transaction without an end"),
    Metric("cx_runtime_newest_event_ms", "gauge", _PER_PARTITION, "ms since 1970 UTC",
           "How far the topic has come (its clock), ms since 1970 UTC"),
    Metric("cx_runtime_ready", "gauge", ("room",), "0 or 1", "1 if assigned, recovered and committing"),
    Metric("cx_runtime_degraded", "gauge", ("room",), "0 or 1",
           "1 during a run of dead letters from several emitters: page"),
    Metric("cx_runtime_recovery_seconds", "gauge", ("room",), "seconds", "Duration of the last recovery"),
    Metric("cx_runtime_native", "gauge", (), "0 or 1",
           "1 if the native implementation is used, 0 if all runs in Python"),
    Metric("cx_runtime_tasks", "gauge", ("room",), "partitions", "Partitions owned"),
    Metric("cx_runtime_refetched_total", "counter", ("room",), "batches",
           "Batches refused because one before them was missing"),
    Metric("cx_runtime_expired_total", "counter", ("room", "topic"), "offsets",
           "Offsets that retention deleted before they were read"),
    Metric("cx_runtime_sink_retries_total", "counter", ("room",), "writes", "Writes a sink was offered again"),
    Metric("cx_runtime_offset_commits_total", "counter", ("room", "outcome"), "commits", "Commits of group offsets"),
    Metric("cx_sender_notices_total", "counter", ("outcome",), "notices",
           "Notices by what was last recorded about them", "sender"),
    Metric("cx_sender_attempts_total", "counter", ("outcome",), "attempts", "Attempts by what came of them", "sender"),
    Metric("cx_sender_waiting_notices", "gauge", ("partition",), "notices", "Notices that wait for their time",
           "sender"),
    Metric("cx_sender_claimed_notices", "gauge", ("partition",), "notices", "Notices claimed and not settled",
           "sender"),
    Metric("cx_sender_held_back_customers", "gauge", ("partition", "reason"), "customers",
           "Customers who are sent nothing, or not yet, by what they said", "sender"),
    Metric("cx_sender_breaker_state", "gauge", (), "0 closed, 1 half-open, 2 open, 3 paused",
           "How the channel's circuit breaker stands", "sender"),
    Metric("cx_sender_news_age_seconds", "gauge", ("partition",), "seconds",
           "Age of what is known of customers and orders; over 2 s nothing is sent", "sender"),
    Metric("cx_sender_ready", "gauge", ("room",), "0 or 1", "1 if recovered and doing its rounds, by part", "sender"),
    Metric("kafka_consumergroup_lag", "gauge", ("consumergroup", "topic", "partition"), "records",
           "Offsets between a group's committed position and the end; group offsets are committed for this only",
           "kafka_exporter"),
)
"""Every metric, in the order of the documentation."""

BY_METRIC: dict[str, Metric] = {metric.name: metric for metric in METRICS}


def page() -> str:
    """Return ``docs/reference/metrics.md``."""
    lines = [
        "# Metrics",
        "",
        "Made by `make reference` from `schemas/metrics.py`; do not edit. Workers and senders serve theirs on",
        "loopback at `/metrics` in Prometheus' text format. Labels never hold a customer, an address or a text.",
        "",
        "| metric | kind | labels | unit | meaning | from |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels)} | {metric.unit} | {metric.meaning} | "
        f"{metric.origin} |"
        for metric in METRICS
    ]
    lines += ["", "`outcome` is that of a delivery in `cx_sender_notices_total`; accepted, retry, refused or gone in"]
    lines += ["`cx_sender_attempts_total`."]
    lines += ["", "`reason` in `cx_sender_held_back_customers`: withdrawn (something), unreadable, erased, or astray:"]
    lines += ["something said lies on another partition and has not been brought home yet."]
    lines += ["", "Values of `outcome` in `cx_runtime_records_total`:", "", "| outcome | records that |", "|---|---|"]
    lines += [f"| {outcome} | {meaning} |" for outcome, meaning in OUTCOMES.items()]
    return "\n".join([*lines, ""])
