"""Histories as charts ask for them: lines that end where they must, rates of enough, lanes closed at the end."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from dashboards.boards import history_sql as sql
from dashboards.macros import Range, expand
from schemas import findings
from streams.agents.store import Store
from streams.sinks.clickhouse import ClickHouse
from tests.dashboards.seed import MINUTE, NOW, SILENT_FROM, SILENT_TO, TROUBLES
from tests.sinks.examples import CAUSE, batch, issue

pytestmark = pytest.mark.clickhouse
SPAN = Range.ending(NOW, 6)
HOUR = 3_600
LEAST = 20
Bins = dict[int, tuple[int, int]]
"""Start of a bin (s) -> exposed, failed."""


def ask(client: ClickHouse, statement: str, span: Range = SPAN) -> list[tuple[Any, ...]]:
    """Rows with times in ms."""
    rows = client.query(expand(statement, span)).rows
    return [(int(row[0].timestamp() * 1000) if isinstance(row[0], datetime) else row[0], *row[1:]) for row in rows]


def by_lane(rows: list[tuple[Any, ...]]) -> dict[str, list[tuple[int, Any]]]:
    """Series or lane -> its (time, value)."""
    lanes: dict[str, list[tuple[int, Any]]] = defaultdict(list)
    for time, lane, value in rows:
        lanes[lane].append((time, value))
    return lanes


def test_counts_are_drawn_at_every_point_until_the_issue_is_over(seeded: ClickHouse) -> None:
    lines = by_lane(ask(seeded, sql.affected_history()))
    assert {lane[:6].strip() for lane in lines} == {"i-app", "i-depo", "i-pay"}
    for trouble in TROUBLES:
        (line,) = [line for lane, line in lines.items() if lane.startswith(f"{trouble.issue_id} ")]
        steps = {after[0] - before[0] for before, after in pairwise(line)}
        assert steps == {SPAN.interval_s * 1000}
        assert [value for _, value in line] == sorted(value for _, value in line)
        assert line[-1][1] == trouble.affected
        assert line[-1][0] == (NOW if trouble.over_min is None else NOW - trouble.over_min * MINUTE + 2 * MINUTE)
    quiet = by_lane(ask(seeded, sql.silent_history("signal = 'delivery'")))
    assert [line[-1][1] for line in quiet.values()] == [TROUBLES[1].affected - TROUBLES[1].contacted]


def test_money_is_drawn_per_issue_and_currency(seeded: ClickHouse) -> None:
    risk = by_lane(ask(seeded, sql.money_history("at_risk", "active")))
    assert {lane.rpartition(", ")[2] for lane in risk} == {"EUR"}
    known = seeded.query("SELECT max(at_risk[1].minor) / 100 FROM issue_minute WHERE issue_id = 'i-app'").rows[0][0]
    assert max(line[-1][1] for line in risk.values()) == known
    past = by_lane(ask(seeded, sql.money_history("per_minute", "state = 'resolved'")))
    assert [line[-1][1] for line in past.values()] == [0.0]


def cut(bins: Bins, start: int, widths: tuple[int, ...], closed: int) -> Iterator[tuple[int, int]]:
    """The rule in Python: a stretch is split if each of its parts that is over has enough or nothing."""
    if len(widths) == 1:
        yield start, widths[0]
        return
    whole, part = widths[:2]
    counts: dict[int, int] = defaultdict(int)
    for at, (exposed, _) in bins.items():
        if start <= at < start + whole:
            counts[at // part * part] += exposed
    if any(count < LEAST and at + part <= closed for at, count in counts.items()):
        yield start, whole
        return
    for at in sorted(counts):
        yield from cut(bins, at, widths[1:], closed)


def expected_rates(bins: Bins, closed: int) -> dict[int, float]:
    """Point (s) -> rate, in bins of 10 s or wider."""
    points: dict[int, float] = {}
    for hour in sorted({at // HOUR * HOUR for at in bins}):
        for start, width in cut(bins, hour, (HOUR, 300, 60, 10), closed):
            inside = [found for at, found in bins.items() if start <= at < start + width]
            exposed, failed = (sum(column) for column in zip(*inside, strict=True))
            if exposed >= LEAST:
                points |= dict.fromkeys(range(start, min(start + width, closed), 10), failed / exposed)
    return points


def traffic() -> Bins:
    """Three hours: busy with a quiet stretch in it, then nearly nothing, then, after a gap, sparse until now."""
    dice = random.Random(5)
    end = NOW // 1000
    bins: Bins = {}
    for at in range(end - 3 * HOUR, end, 10):
        minute = (at - end + 3 * HOUR) // 60
        most = 60 if minute < 20 else 12 if minute < 40 else 2 if minute < 60 else 0
        if 100 <= minute < 130:
            most = 1 if minute % 7 == 0 else 0
        if minute >= 150:
            most = 9
        exposed = dice.randint(most * 2 // 3, most)
        if exposed:
            bins[at] = (exposed, sum(dice.random() < 0.2 for _ in range(exposed)))
    return bins


def test_rates_are_of_at_least_twenty_and_no_line_crosses_a_gap(writer: ClickHouse, reader: ClickHouse) -> None:
    bins, end = traffic(), NOW // 1000
    counts = [findings.CohortCount(
        line="shop", signal="app", bin_ms=at * 1000, width_ms=10_000, partition=0,
        attributes=("app_version", "platform"), closed=True,
        leaves=(findings.LeafCount(values=("5.2.0", "android"), exposed=exposed, failed=tuple(range(failed))),
                findings.LeafCount(values=("5.1.0", "android"), exposed=500, failed=())),
    ) for at, (exposed, failed) in bins.items()]
    Store(writer).write([
        batch("issue", [issue(cause=CAUSE, opened_at_ms=NOW - 170 * MINUTE, detected_at_ms=NOW - 165 * MINUTE,
                              updated_at_ms=NOW, expected=8.0)]),
        batch("cohort_count", [*counts, findings.BinClosed(partition=0, partitions=1, through_ms=NOW)]),
    ])
    span = Range(NOW - 3 * HOUR * 1000, NOW, 10)
    rows = ask(reader, sql.failure_rates(), span)
    wanted = expected_rates(bins, end)
    assert {time // 1000: rate for time, _, rate in rows if rate is not None} == pytest.approx(wanted)
    assert len(set(wanted.values())) > 30
    gaps = {time // 1000 for time, _, rate in rows if rate is None}
    assert gaps == {at + 10 for at in wanted if at + 10 not in wanted}
    band = {time // 1000: (low, high) for time, low, high in ask(reader, sql.usual_rates(), span)}
    assert band.keys() == wanted.keys()
    usual = 8.0 / CAUSE.exposed
    assert all(0 <= low < usual < high for low, high in band.values())
    assert band[min(band)][1] - band[min(band)][0] != band[max(band)][1] - band[max(band)][0]


def test_an_issue_has_a_lane_of_states_that_reaches_the_end_of_the_range(seeded: ClickHouse) -> None:
    lanes = {lane.split()[0]: turns for lane, turns in by_lane(ask(seeded, sql.issue_states())).items()}
    assert {lane: turns[-1] for lane, turns in lanes.items()} == {
        trouble.issue_id: (NOW, trouble.state) for trouble in TROUBLES}
    over = NOW - 180 * MINUTE
    assert (over, "resolved") in lanes["i-pay"]
    early = Range(over - 60 * MINUTE, over - 30 * MINUTE, 10)
    assert by_lane(ask(seeded, sql.issue_states("issue_id = 'i-pay'"), early))[f"i-pay {TROUBLES[2].title}"] == [
        (early.from_ms, "open"), (early.to_ms, "open")]


def test_lanes_of_producers_reach_the_end_of_the_range(seeded: ClickHouse) -> None:
    lanes = by_lane(ask(seeded, sql.GAPS))
    assert lanes["telemetry · app-ios"] == [
        (SPAN.from_ms, 0), (SILENT_FROM, 1), (SILENT_TO, 0), (NOW, 0)]
    assert lanes["order · carrier"] == [(SPAN.from_ms, 0), (NOW - MINUTE, 1), (NOW, 1)]
    assert lanes["telemetry · app-android"] == [(SPAN.from_ms, 0), (NOW, 0)]
