"""The board of the pipeline against the records that its database was made of, worked out in Python."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from operator import attrgetter
from typing import Any

import pytest

from dashboards.boards import PIPELINE
from dashboards.macros import Range, expand
from schemas import events, findings
from schemas.vitals import TaskVital, Vital
from streams.agents.store import Store
from streams.sinks.clickhouse import ClickHouse, login
from streams.stack import Endpoints
from tests.dashboards.seed import MINUTE, NOW, spoken
from tests.dashboards.seed_vitals import BACK, DIED, HOUR, vitals
from tests.sinks.conftest import migrated
from tests.sinks.examples import batch

pytestmark = pytest.mark.clickhouse
SPOKEN = tuple(vitals(NOW))
SPAN = Range(NOW - 40 * MINUTE, NOW + MINUTE, 60)
Row = dict[str, Any]


@pytest.fixture(scope="module")
def board(clickhouse: Endpoints) -> Iterator[ClickHouse]:
    """A reader of what processes reported, with dead letters, late events, and producers whose clocks differ."""
    with migrated(clickhouse) as name:
        Store(ClickHouse(login(clickhouse, "writer", name))).write(list(_contents()))
        yield ClickHouse(login(clickhouse, "reader", name))


def _contents() -> Iterator[Any]:
    yield from spoken(NOW)
    rule = [("dlq.reason", b"schema"), ("dlq.field", b"status"), ("dlq.rule", b"a known status")]
    rejected = (("erp", 3, NOW), ("web", 2, NOW), ("erp", 4, NOW - 3 * HOUR), ("", 1, NOW))
    for start, (source, count, at) in enumerate(rejected):
        body = json.dumps({"source": source}).encode() if source else b"{}"
        yield batch("order.dlq", [body] * count, headers=[rule] * count, start=100 * start, appended_ms=at)
    for source, counted, late in (("crm", 19, 5), ("erp", 40, 10), ("web", 100, 0)):
        yield batch("source_count", [findings.SourceCount(
            topic="order", source=source, partition=0, bin_ms=NOW - 10 * MINUTE, width_ms=10_000, events=counted,
            late=late, duplicates=counted // 10)])  # fmt: skip
    for source, delays in (("ahead", range(-30, 0)), ("behind", range(10, 50)), ("few", range(19))):
        yield batch("telemetry", [_event(source, number, delay) for number, delay in enumerate(delays)],
                    start=1_000 * len(source))  # fmt: skip


def _event(source: str, number: int, delay_s: int) -> events.Telemetry:
    """An event that arrived ``delay_s`` after it happened."""
    at = NOW - 5 * MINUTE
    return events.Telemetry(event_id=f"{source}-{number}", event_time_ms=at, customer_id=f"c-{number}", source=source,
                            product="shop", event_name="x", outcome="ok", arrived_at_ms=at + 1_000 * delay_s)


def rows(client: ClickHouse, slug: str, span: Range = SPAN) -> list[Row]:
    """The answer of a panel."""
    answer = client.query(expand(PIPELINE.panel(slug).sql, span))
    return [dict(zip(answer.names, row, strict=True)) for row in answer.rows]


def minute_of(time: datetime) -> int:
    """Minutes before the end."""
    return (NOW - int(time.timestamp() * 1_000)) // MINUTE


def shown() -> list[Vital]:
    """One for each minute in the time range, room and start: what a row is kept of."""
    kept: dict[tuple[str, int, int], Vital] = {}
    for one in SPOKEN:
        if SPAN.from_ms <= one.at_ms // MINUTE * MINUTE <= SPAN.to_ms:
            kept[one.room, one.started_ms, one.at_ms // MINUTE] = one
    return list(kept.values())


def grown(count: Callable[[Vital], int], room: str) -> dict[int, int]:
    """Minute before the end -> what a counter of a room grew by, from row to row; a run of the range begins at 0."""
    runs: defaultdict[int, list[Vital]] = defaultdict(list)
    for one in shown():
        if one.room == room:
            runs[one.started_ms].append(one)
    found: dict[int, int] = {}
    for started_ms, run in runs.items():
        before = 0 if started_ms >= SPAN.from_ms else count(run[0])
        for earlier, one in zip([before, *map(count, run)], run, strict=False):
            found[(NOW - one.at_ms // MINUTE * MINUTE) // MINUTE] = count(one) - earlier
    return found


def read(vital: Vital) -> int:
    """All that its partitions have read."""
    return sum(sum(task.records.values()) for task in vital.tasks)


def tasks(partition: int) -> list[tuple[Vital, TaskVital]]:
    """What the join said of one partition."""
    return [(one, one.tasks[partition]) for one in shown() if one.room == "join"]


@pytest.mark.parametrize(("slug", "room", "count"), [
    ("read", "join", read), ("written", "join", lambda one: one.written), ("store_rows", "store", lambda one: one.rows),
])  # fmt: skip
def test_a_rate_is_what_a_counter_grew_by_also_over_a_restart(
    board: ClickHouse, slug: str, room: str, count: Callable[[Vital], int]
) -> None:
    series = {"store_rows": "worker-a"}.get(slug, room)
    found = {minute_of(row["time"]): row for row in rows(board, slug) if row["series"] == series}
    (unit,) = {name for row in found.values() for name in row} - {"time", "series"}
    want = grown(count, room)
    assert {at: round(row[unit] * 60) for at, row in found.items()} == want
    assert BACK // MINUTE in want
    assert not want.keys() & {28, 29}, "a process that is away has no rate"


def test_the_lag_is_that_of_all_partitions_and_ends_where_nobody_speaks(board: ClickHouse) -> None:
    found = {minute_of(row["time"]): row["records"] for row in rows(board, "lag") if row["series"] == "join"}
    want = {(NOW - one.at_ms // MINUTE * MINUTE) // MINUTE: sum(sum(task.behind.values()) for task in one.tasks)
            for one in shown() if one.room == "join"}  # fmt: skip
    assert found == want
    assert {row["series"] for row in rows(board, "lag")} == {"join", "sender"}


def test_outcomes_and_flushes_are_those_of_the_time_range(board: ClickHouse) -> None:
    want: Counter[str] = Counter()
    for partition in (0, 1):
        for _, run in itertools.groupby(tasks(partition), key=lambda pair: pair[1].opened_ms):
            of_run = [task.records for _, task in run]
            want += Counter(of_run[-1])
            if of_run[0]["accepted"] > 50_000:
                want -= Counter(of_run[0])
    (found,) = [row for row in rows(board, "outcomes") if row["shown_room"] == "join"]
    assert (found["accepted"], found["dead"], found["skipped"]) == (want["accepted"], want["dead"], 0)
    (flushes,) = [row for row in rows(board, "flushes") if row["shown_room"] == "join"]
    assert flushes["flushes"] == sum(grown(lambda one: one.flushes, "join").values())
    assert flushes["mean_ms"] == pytest.approx(
        sum(grown(lambda one: one.flush_ms, "join").values()) / flushes["flushes"])  # fmt: skip
    assert flushes["longest_ms"] == max(one.flush_max_ms for one in shown() if one.room == "join")


def test_the_share_of_dead_letters_has_at_least_20_records(board: ClickHouse) -> None:
    found = [row["share"] for row in rows(board, "dead_share") if row["series"] == "join"]
    assert found
    assert all(share is None or 0 <= share < 0.06 for share in found)
    assert any(share for share in found)


def test_the_size_of_the_state_is_the_last_that_was_told_in_the_point(board: ClickHouse) -> None:
    found = {minute_of(row["time"]): row["state_bytes"] for row in rows(board, "state_size") if row["series"] == "join"}
    want = {(NOW - one.at_ms // MINUTE * MINUTE) // MINUTE: sum(task.state_bytes for task in one.tasks)
            for one in shown() if one.room == "join"}  # fmt: skip
    assert found == want


def test_a_restart_is_told_once_with_the_time_away_and_a_silent_process_is_not_called_alive(board: ClickHouse) -> None:
    (found,) = rows(board, "restarts")
    assert (found["process"], found["rooms"]) == ("worker-a", "join, store")
    assert found["away_s"] == (DIED - BACK) // 1_000
    assert found["standing"].startswith("✗ silent since 2 Jan"), found
    (mark,) = board.query(expand(PIPELINE.annotations[-1].sql, SPAN)).rows
    assert mark[1] == "worker-a was started again"
    assert rows(board, "restarts", Range(NOW - 20 * MINUTE, NOW, 60)) == []


def test_what_was_said_last_long_ago_is_never_shown_as_well(board: ClickHouse) -> None:
    found = {row["task"]: row for row in rows(board, "rooms")}
    assert found["join/0"]["standing"].startswith("✗ join/0 is silent since 2 Jan 12:00:00")
    assert found["join/0"]["silent_s"] > 45
    assert found["match/0"]["standing"] == "✗ match/0 was never heard of"
    assert found["match/0"]["lag"] is None
    assert not [row for row in found.values() if row["standing"].startswith("✓")]
    sender = rows(board, "sender")
    assert [(row["claimed"], row["pending"]) for row in sender] == [(2, 0), (2, 1)]
    assert all(row["standing"].startswith("✗ sender/") for row in sender)


def test_dead_letters_follow_the_time_range_by_emitter_and_rule(board: ClickHouse) -> None:
    def found(span: Range) -> list[tuple[str, int]]:
        return [(row["producer"], row["messages"]) for row in rows(board, "dead_letters", span)]

    assert found(SPAN) == [("erp", 3), ("web", 2), ("(names none)", 1)]
    assert found(Range(NOW - 4 * HOUR, NOW + MINUTE, 60)) == [("erp", 7), ("web", 2), ("(names none)", 1)]


def test_late_shares_need_20_events_and_clocks_that_are_ahead_are_negative(board: ClickHouse) -> None:
    late = {row["stream"]: (row["late"], row["late_share"], row["duplicates"]) for row in rows(board, "sources")}
    assert late == {"order · erp": (10, 0.25, 4), "order · web": (0, 0.0, 10), "order · crm": (5, None, 1)}
    skew = {row["stream"]: row for row in rows(board, "skew")}
    assert skew.keys() == {"telemetry · ahead", "telemetry · behind"}
    assert skew["telemetry · ahead"]["verdict"] == "✗ clock ahead"
    assert skew["telemetry · ahead"]["median_s"] == pytest.approx(-15.5)
    assert skew["telemetry · ahead"]["ahead"] == 30
    assert skew["telemetry · behind"]["median_s"] == pytest.approx(29.5)
    assert skew["telemetry · behind"]["verdict"] == "✓ not ahead"


def test_refusals_and_rounds_of_the_store_add_up_over_its_runs(board: ClickHouse) -> None:
    (found,) = rows(board, "store")
    for name, count in (("rounds", "flushes"), ("inserted_rows", "rows"), ("refusals", "refused")):
        assert found[name] == sum(grown(attrgetter(count), "store").values()), name
