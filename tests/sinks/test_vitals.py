"""What processes say about themselves, as rows and views: never the last good figure as if it were of now."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from schemas import findings
from schemas.topics import MINUTE_MS
from schemas.vitals import Vital
from streams.agents.store import Store
from streams.sinks.clickhouse import ClickHouse
from tests.sinks.examples import DAY, batch, task_vital, vital

pytestmark = pytest.mark.clickhouse


def say(writer: ClickHouse, vitals: Sequence[Vital], appended_ms: int) -> None:
    """Store what was appended at a time of the broker's clock."""
    Store(writer).write([batch("vital", vitals, appended_ms=appended_ms)])


def states(reader: ClickHouse) -> dict[str, tuple[str, str]]:
    """Task -> (state, trouble) as the view says."""
    return {task: (state, trouble) for task, state, trouble in reader.query(
        "SELECT task, state, trouble FROM room_progress ORDER BY position, `partition`").rows}  # fmt: skip


def test_of_one_minute_the_latest_row_is_kept_whatever_came_in_which_order(
    writer: ClickHouse, reader: ClickHouse
) -> None:
    reported = [vital(at_ms=DAY + at, flushes=at, tasks=(task_vital(undecided=at),)) for at in (10_000, 20_000, 30_000)]
    say(writer, [reported[2]], DAY)
    say(writer, reported[:2], DAY)
    say(writer, [vital(at_ms=DAY + MINUTE_MS, flushes=70_000)], DAY + MINUTE_MS)
    assert reader.query("SELECT flushes FROM vital_latest ORDER BY minute").rows == [(30_000,), (70_000,)]
    assert reader.query("SELECT undecided, lag FROM vital_task_latest ORDER BY minute").rows == [(30_000, 7), (0, 7)]


def test_a_room_is_unknown_then_ok_then_silent_and_its_last_figures_have_their_age(
    writer: ClickHouse, reader: ClickHouse
) -> None:
    now_ms = time.time_ns() // 1_000_000
    assert states(reader)["join/0"] == ("unknown", "join/0 was never heard of")
    Store(writer).write([batch("cohort_count", [
        findings.BinClosed(partition=0, partitions=2, through_ms=DAY + 900_000),
        findings.BinClosed(partition=1, partitions=2, through_ms=DAY),
    ])])  # fmt: skip
    running = {"started_ms": now_ms - 60_000, "at_ms": now_ms - 3_000}
    say(writer, [vital(tasks=(task_vital(), task_vital(partition=1)), **running),
                 vital(room="match", phase="recovering", ready=False, **running),
                 vital(room="send", process="sender-a", ready=False, **running)], now_ms - 2_000)  # fmt: skip
    say(writer, [vital(room="detect", **running)], now_ms - 50_000)
    found = states(reader)
    assert found.keys() >= {"join/0", "join/1", "match/0", "match/1", "detection", "impact", "sender/1", "store/1"}
    assert found["join/0"] == ("ok", "")
    assert found["join/1"] == ("blind", "join/1 is 15 minutes behind")
    assert found["match/0"] == ("not ready", "match/0 is recovering")
    assert found["sender/0"] == ("not ready", "sender/0 waits: its commits or its sink do not work")
    assert found["detection"][0] == "silent"
    assert found["detection"][1].startswith("detection is silent since ")
    assert found["match/1"][0] == found["impact"][0] == "unknown"
    rows = reader.query("SELECT silent_s, lag, state_keys, behind FROM room_progress WHERE task = 'detection'").rows
    ((silent_s, lag, keys, behind),) = rows
    assert silent_s >= 49
    assert (lag, keys, behind) == (7, 12, {"order": 5, "contact": 2})
    assert reader.query("SELECT lag, silent_s FROM room_progress WHERE task = 'impact'").rows == [(None, None)]


def test_a_process_that_started_anew_is_another_run_of_it(writer: ClickHouse, reader: ClickHouse) -> None:
    def run(started_ms: int, minutes: int, **changes: Any) -> list[Vital]:
        return [vital(started_ms=started_ms, at_ms=started_ms + at * MINUTE_MS, **changes) for at in range(minutes)]

    reported = [*run(DAY, 3), *run(DAY + 5 * MINUTE_MS, 2), *run(DAY + MINUTE_MS, 2, process="worker-b")]
    for one in reported:
        say(writer, [one], one.at_ms + 5)
    rows = reader.query(
        "SELECT process, toUnixTimestamp64Milli(heard_at), starts_before FROM process_run ORDER BY process, started_at"
    ).rows
    assert rows == [("worker-a", DAY + 2 * MINUTE_MS + 5, 0), ("worker-a", DAY + 6 * MINUTE_MS + 5, 1),
                    ("worker-b", DAY + 2 * MINUTE_MS + 5, 0)]  # fmt: skip


def test_a_dead_letter_says_which_producer_it_names_and_nothing_that_is_no_name(
    writer: ClickHouse, reader: ClickHouse
) -> None:
    values = [b'{"source": "erp", "status": 7', b'{"status": "\\u0001"}', b'{"source": "a\xe2\x80\xaeb"}', b"\xff"]
    headers = [[("dlq.reason", b"json")]] * 3 + [[("ce_source", b"web")]]
    Store(writer).write([batch("order.dlq", values, headers=headers)])
    assert reader.query("SELECT offset, source FROM dead_letter_latest ORDER BY offset").rows == [
        (0, "erp"), (1, ""), (2, ""), (3, "web")]  # fmt: skip
