"""Records become columns in the order of the catalogue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from schemas import events, findings
from schemas.codec import encode
from schemas.tables import BY_NAME, TABLES
from schemas.topics import TOPICS
from streams.runtime.batch import RawBatch
from streams.sinks.mappings import MAPPINGS
from streams.sinks.rows import RowBuffer, version_of
from tests.sinks.examples import DAY, EVIDENCE, EXAMPLES, batch, cohort, issue, profile


def columns(*batches: RawBatch) -> dict[str, dict[str, list[Any]]]:
    """Column values by table and column name."""
    buffer = RowBuffer()
    for one in batches:
        buffer.add(one)
    found: dict[str, dict[str, list[Any]]] = {}
    for table, values in buffer.columns():
        names = BY_NAME[table].names
        assert len(names) == len(values)
        assert len({len(column) for column in values}) == 1
        assert all(isinstance(column, list) for column in values)
        found[table] = {name: column for name, column in zip(names, values, strict=True) if isinstance(column, list)}
    return found


def test_every_topic_of_the_line_reaches_a_table() -> None:
    reached = {noun: set(columns(batch(noun, [record]))) for noun, records in EXAMPLES.items() for record in records}
    assert set(reached) == {topic.noun for topic in TOPICS}
    assert all(reached.values())


def test_every_table_is_fed_by_some_topic() -> None:
    fed = {table for noun, records in EXAMPLES.items() for table in columns(batch(noun, records))}
    rejected = batch("order.dlq", [b"{"], headers=[[("dlq.reason", b"json")]])
    assert fed | set(columns(rejected)) == {table.name for table in TABLES if table.kind != "register"}


def test_every_kind_of_finding_has_a_target() -> None:
    kinds = {model.model_fields["kind"].default for topic in TOPICS for model in topic.records
             if "kind" in model.model_fields and issubclass(model, events.Record)}
    assert kinds - {None} <= set(MAPPINGS)


def test_a_deleted_key_is_a_row_that_replaces_the_profile_and_its_copies_are_none() -> None:
    gone = replace(batch("customer", [b""]), keys=[b"c-1"], values=[None])
    copy = replace(gone, headers=[[("cx.rekeyed", b"1/7")]])
    buffer = RowBuffer()
    for one in (batch("customer", [profile(DAY)]), gone, copy):
        buffer.add(one)
    rows = columns(batch("customer", [profile(DAY)]), gone, copy)["customer"]
    assert (rows["erased"], rows["value_cents"]) == ([0, 1], [12_000, 0])
    assert [int(at) for at in rows["updated_at"]] == [DAY, DAY + 300_001]
    assert (buffer.erased, buffer.rejected) == ({"c-1": DAY + 300_001}, 1)


def test_of_two_versions_in_one_flush_only_the_newer_becomes_rows_whatever_their_order() -> None:
    old, new = cohort(failed=(1,), closed=False), cohort(failed=(1, 2), closed=True)
    for first, second in (((old, 7), (new, 8)), ((new, 8), (old, 7))):
        rows = columns(*(batch("cohort_count", [record], ver=ver) for record, ver in (first, second)))
        assert rows["cohort_count"]["failed"] == [2]
        assert rows["cohort_count"]["ver"] == [8]


def test_progress_marks_are_handed_out_after_the_counts_they_vouch_for() -> None:
    buffer = RowBuffer()
    for noun in ("cohort_count", "source_count"):
        buffer.add(batch(noun, EXAMPLES[noun]))
    assert [table for table, _ in buffer.columns()] == ["cohort_count", "source_count", "watermark"]


def test_one_cohort_count_is_one_row_per_leaf() -> None:
    record = cohort(leaves=3)
    rows = columns(batch("cohort_count", [record]))["cohort_count"]
    assert rows["values"] == [leaf.values for leaf in record.leaves]
    assert rows["attributes"] == [record.attributes] * 3


def test_both_profiles_of_a_customer_are_kept_because_the_newest_update_wins_not_the_last_arrival() -> None:
    rows = columns(batch("customer", [profile(updated=DAY + 5), profile(updated=DAY + 1)]))["customer"]
    assert sorted(rows["updated_at"]) == [DAY + 1, DAY + 5]


def test_heartbeats_and_rejects_leave_no_row_in_the_raw_copy() -> None:
    telemetry = EXAMPLES["telemetry"][0]
    raw = batch("telemetry", [telemetry, b"not json", events.Heartbeat(event_time_ms=DAY), telemetry])
    rows = columns(raw)["telemetry_raw"]
    assert rows["offset"] == [0, 3]
    buffer = RowBuffer()
    buffer.add(raw)
    assert buffer.rejected == 1


def test_an_absent_text_is_empty_and_an_absent_number_is_null() -> None:
    rows = columns(batch("telemetry", [EXAMPLES["telemetry"][0]]))["telemetry_raw"]
    assert (rows["error_code"], rows["latency_ms"]) == ([""], [None])


def test_no_column_holds_free_text_or_an_address() -> None:
    secret = "CANARY-9f1c"
    outreach = EXAMPLES["outreach"][0].model_copy(update={"address": secret})
    contact = events.Contact(event_id="k", event_time_ms=DAY, customer_id="c", contact_id="k", channel="phone",
                             text=secret)
    customer = profile(updated=DAY).model_copy(update={"addresses": (events.Address(channel="email", token=secret),)})
    command = EXAMPLES["command"][0].model_copy(update={"reason": secret})
    everything = columns(batch("outreach", [outreach]), batch("contact", [contact]), batch("customer", [customer]),
                         batch("command", [command]), batch("contact.dlq", [encode(contact)]))
    assert set(everything) == {"outreach", "contact_raw", "customer", "command", "dead_letter"}
    assert secret not in repr(everything)


def test_a_dead_letter_is_filed_under_the_offset_of_the_original() -> None:
    stated = {"topic": b"cx.order.v1", "partition": b"3", "offset": b"77", "reason": b"schema", "field": b"status",
              "rule": b"should be placed", "value_class": b"integer"}
    headers = [[(f"dlq.{name}", value) for name, value in stated.items()]]
    rows = columns(batch("order.dlq", [b"{}"], headers=headers))["dead_letter"]
    assert [rows[name][0] for name in ("topic", "partition", "offset", "field")] == ["order", 3, 77, "status"]


@pytest.mark.parametrize("value", [b"", b"x1", b"-4"])
def test_an_unreadable_version_is_the_lowest(value: bytes) -> None:
    assert version_of([("cx.ver", value)]) == 0


def test_a_version_is_read_from_its_header() -> None:
    assert version_of([("other", b"1"), ("cx.ver", str(3 << 40 | 9).encode())]) == 3 << 40 | 9


def test_a_watermark_is_filed_under_its_topic() -> None:
    marks = columns(batch("episode", [findings.Watermark(partition=2, through_ms=DAY)]))["watermark"]
    assert (marks["topic"], marks["partition"], marks["through"]) == (["episode"], [2], [DAY])


def test_what_each_stream_says_about_an_issue_is_a_list_per_column() -> None:
    rows = columns(batch("issue", [issue(evidence=EVIDENCE), issue(issue_id="i-2", root_id="i-2")]))["issue"]
    assert {name: column for name, column in rows.items() if name.startswith("evidence_")} == {
        "evidence_topics": [["telemetry", "order"], []],
        "evidence_signals": [["app", "returns"], []],
        "evidence_since": [[DAY, DAY + 60_001], []],
        "evidence_expected": [[21.5, 0.25], []],
        "evidence_observed": [[130.0, 4.0], []],
    }
