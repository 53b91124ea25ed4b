"""Every panel's SQL, and the views behind it, on a real ClickHouse: empty and seeded."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from dashboards.boards import BOARDS, OPERATIONS
from dashboards.boards.common_sql import MONEY_TEXT
from dashboards.macros import Range, expand
from schemas import findings
from schemas.currencies import money_text
from schemas.fields import Money
from schemas.issue_ids import UnknownIssue
from streams.agents.store import Store
from streams.board.queries import (
    counts,
    event_now,
    find_issue,
    list_affected,
    list_deliveries,
    list_issues,
    list_sources,
)
from streams.sinks.clickhouse import Answer, ClickHouse
from tests.dashboards.seed import BIN, NOW, SILENT_FROM, SILENT_TO, TROUBLES
from tests.sinks.examples import EXAMPLES, batch, impact, issue

pytestmark = pytest.mark.clickhouse
SPAN = Range.ending(NOW, 6)
NUMBERS = ("Int", "UInt", "Float", "Decimal")


def ask(client: ClickHouse, slug: str, span: Range = SPAN) -> Answer:
    """Run one panel."""
    return client.query(expand(OPERATIONS.panel(slug).sql, span))


def totals(client: ClickHouse) -> dict[str, Any]:
    """What the tiles show: the first row of the list of issues."""
    answer = ask(client, "issues")
    return {name: value for name, value in zip(answer.names, answer.rows[0], strict=True) if name.startswith("all_")}


def test_every_panel_of_every_board_runs_on_an_empty_database(reader: ClickHouse) -> None:
    for board in BOARDS:
        for panel in board.panels:
            if panel.sql and panel.kind not in ("sentence", "status"):
                own = board.within(reader.login.database)
                answer = reader.query(expand(panel.sql, Range.ending(0, 6), own))
                assert not any(row[-1] for row in answer.rows if row[-1] != "the same"), panel.slug


def test_every_panel_has_rows_of_the_declared_shape_on_a_seeded_database(seeded: ClickHouse) -> None:
    for panel in OPERATIONS.panels:
        if not panel.sql:
            continue
        answer = seeded.query(expand(panel.sql, SPAN))
        assert answer.rows, panel.slug
        if panel.kind == "table":
            assert {field.name for field in panel.fields} <= set(answer.names), panel.slug
        if panel.kind == "stat":
            assert answer.types[-1].removeprefix("Nullable(").startswith(NUMBERS), panel.slug
        if panel.kind in ("timeseries", "state"):
            assert answer.types[0].startswith("DateTime"), panel.slug
            assert answer.names[1] == panel.label
            assert answer.types[2].removeprefix("Nullable(").startswith(NUMBERS), panel.slug
            times = [row[0] for row in answer.rows]
            assert times == sorted(times), panel.slug


def test_the_totals_are_those_of_the_seed(seeded: ClickHouse) -> None:
    active = [trouble for trouble in TROUBLES if trouble.state != "resolved"]
    shown = totals(seeded)
    assert shown["all_issues"] == len(active)
    assert shown["all_affected"] == sum(t.affected for t in active)
    assert shown["all_silent"] == sum(t.affected - t.contacted for t in active)
    assert shown["all_per_minute"] == money_text(sum(t.per_minute for t in active), "EUR")
    assert [row[1] for row in ask(seeded, "issues").rows] == ["escalating", "open", "resolved"]


def test_a_customer_hit_by_two_issues_counts_once_and_is_silent_only_if_silent_in_both(
    writer: ClickHouse, reader: ClickHouse
) -> None:
    first = EXAMPLES["affected"][0]
    hits = [first.model_copy(update={"issue_id": f"i-{number}", "contacted_at_ms": contacted})
            for number, contacted in ((1, None), (2, NOW))]
    Store(writer).write([batch("issue", [issue(), issue(issue_id="i-2")]), batch("affected", hits)])
    shown = totals(reader)
    assert (shown["all_issues"], shown["all_affected"], shown["all_silent"]) == (2, 1, 0)


def test_tiles_and_rows_agree_to_the_cent(writer: ClickHouse, reader: ClickHouse) -> None:
    costs = {"i-1": (("EUR", 9_901), ("JPY", 127)), "i-2": (("EUR", 1_099),), "i-3": (("KWD", 1_234),)}
    named = {name: tuple(Money(currency=code, minor=minor) for code, minor in costs[name]) for name in costs}
    Store(writer).write([
        batch("issue", [issue(issue_id=name) for name in costs]),
        batch("impact", [impact(issue_id=name, per_minute=money) for name, money in named.items()]),
    ])
    answer = ask(reader, "issues")
    column = answer.names.index("per_minute")
    summed: dict[str, Decimal] = defaultdict(Decimal)
    texts = [row[column].removesuffix(" (assumed)") for row in answer.rows]
    for amount, code in (part.split(" ") for text in texts for part in text.split(" + ")):
        summed[code] += Decimal(amount)
    parts = [part.split(" ") for part in totals(reader)["all_per_minute"].split(" + ")]
    assert {code: Decimal(amount) for amount, code in parts} == summed
    assert {code: amount for amount, code in parts} == {"EUR": "110.00", "JPY": "127", "KWD": "1.234"}


def test_the_failure_rate_is_that_of_the_blamed_cohorts_only(seeded: ClickHouse) -> None:
    rows = ask(seeded, "failure_rate").rows
    assert {row[1] for row in rows} == {f"i-app {TROUBLES[0].title}"}
    began = datetime.fromtimestamp(NOW / 1000 - TROUBLES[0].began_min * 60, UTC)
    before = [rate for time, _, rate in rows if rate is not None and time < began]
    after = [rate for time, _, rate in rows if rate is not None and time > began]
    assert sum(before) / len(before) == pytest.approx(0.01, abs=0.01)
    assert sum(after) / len(after) == pytest.approx(0.35, abs=0.05)


def test_a_silent_producer_is_called_so_and_its_stretch_is_remembered(seeded: ClickHouse) -> None:
    rows = {row.source: row for row in list_sources(seeded)}
    assert {name: row.state for name, row in rows.items()} == {
        "app-android": "ok", "app-ios": "ok", "carrier": "no data", "web-shop": "ok", "call-centre": "ok"}
    (gap,) = rows["app-ios"].no_data
    assert (gap.started, gap.ended) == ("2026-01-02T11:18:00.000Z", "2026-01-02T11:20:00.000Z")
    assert gap.silent_s == (SILENT_TO - SILENT_FROM) / 1000
    (lasting,) = rows["carrier"].no_data
    assert (lasting.ended, lasting.silent_s) == (None, 60.0)


def source_rows(source: str, per_bin: int, bins: range) -> list[findings.SourceCount]:
    """A steady producer."""
    return [findings.SourceCount(topic="telemetry", source=source, partition=0, bin_ms=NOW + index * BIN, width_ms=BIN,
                                 events=per_bin) for index in bins]


@pytest.mark.parametrize(
    ("per_bin", "silent_bins", "state"),
    # rate      20 in 10 s    5 in 10 s    1 in 10 s: five events are due every 50 s
    [(20, 0, "ok"), (20, 1, "no data"), (5, 1, "no data"), (1, 4, "ok"), (1, 5, "no data")],
)
def test_how_long_is_too_long_follows_from_the_usual_rate(
    writer: ClickHouse, reader: ClickHouse, per_bin: int, silent_bins: int, state: str
) -> None:
    bins = range(100)
    through = NOW + (100 + silent_bins) * BIN
    Store(writer).write([
        batch("source_count", source_rows("watched", per_bin, bins)),
        batch("source_count", source_rows("other", 9, range(100 + silent_bins))),
        batch("cohort_count", [findings.BinClosed(partition=0, partitions=1, through_ms=through)]),
    ])
    assert {row.source: row.state for row in list_sources(reader)} == {"watched": state, "other": "ok"}


def test_too_few_events_are_quiet_and_never_no_data(writer: ClickHouse, reader: ClickHouse) -> None:
    Store(writer).write([
        batch("source_count", source_rows("rare", 1, range(0, 100, 25)) + source_rows("other", 9, range(200))),
        batch("cohort_count", [findings.BinClosed(partition=0, partitions=1, through_ms=NOW + 200 * BIN)]),
    ])
    assert {row.source: row.state for row in list_sources(reader)}["rare"] == "quiet"


def test_stretches_without_data_are_those_without_data_from_any_partition(
    writer: ClickHouse, reader: ClickHouse
) -> None:
    rows = [row.model_copy(update={"partition": partition})
            for partition, silent in ((0, range(60, 90)), (1, range(70, 80)))
            for row in source_rows("spread", 3, range(120)) if (row.bin_ms - NOW) // BIN not in silent]
    Store(writer).write([
        batch("source_count", rows),
        batch("cohort_count", [findings.BinClosed(partition=0, partitions=1, through_ms=NOW + 120 * BIN)]),
    ])
    (gap,) = reader.query("SELECT started, ended, rate_per_s, silent_s, missing_events FROM source_gap").dicts()
    events = 60 * 6 + 10 * 3
    assert (gap["silent_s"], gap["rate_per_s"]) == (100, pytest.approx(events / 700))
    assert gap["missing_events"] == pytest.approx(100 * events / 700)


@pytest.mark.parametrize(("silent_bins", "state"), [(10, "ok"), (40, "no data")])
def test_a_producer_that_comes_in_bursts_is_silent_only_beyond_twice_its_longest_pause(
    writer: ClickHouse, reader: ClickHouse, silent_bins: int, state: str
) -> None:
    #  5 bins with 20 events, then a pause of 15 bins; five times
    busy = [start + index for start in range(0, 100, 20) for index in range(5)]
    end = busy[-1] + 1 + silent_bins
    bursts = [row for index in busy for row in source_rows("bursts", 20, range(index, index + 1))]
    Store(writer).write([
        batch("source_count", bursts + source_rows("other", 9, range(end))),
        batch("cohort_count", [findings.BinClosed(partition=0, partitions=1, through_ms=NOW + end * BIN)]),
    ])
    row = next(row for row in list_sources(reader) if row.source == "bursts")
    assert row.state == state
    assert [gap.ended for gap in row.no_data[1:]] == ([None] if state == "no data" else [])  # the first pause was news


def test_a_bin_that_one_partition_has_not_closed_is_no_gap(writer: ClickHouse, reader: ClickHouse) -> None:
    marks = [findings.BinClosed(partition=p, partitions=2, through_ms=NOW + (100 + p * 50) * BIN) for p in (0, 1)]
    Store(writer).write([
        batch("source_count", source_rows("watched", 20, range(100))), batch("cohort_count", marks),
    ])
    assert [row.state for row in list_sources(reader)] == ["ok"]


def test_a_panel_writes_money_as_the_commands_do(seeded: ClickHouse) -> None:
    amounts = [(code, minor) for code in ("EUR", "JPY", "KWD", "CLF", "XXX", "")
               for minor in (0, 7, 100, 999, 1_000, 12_345, 1_234_567_890, -1_205)]  # fmt: skip
    listed = ", ".join(f"('{code}', {minor})::Tuple(currency String, minor Int64)" for code, minor in amounts)
    (row,) = seeded.query(f"WITH {MONEY_TEXT} SELECT arrayMap(one -> money_text(one), [{listed}])").rows
    assert row[0] == [money_text(minor, code) for code, minor in amounts]


def test_an_issue_is_listed_with_cause_counts_and_money(seeded: ClickHouse) -> None:
    first = list_issues(seeded)[0].as_dict()
    assert first["id"] == "i-app"
    assert first["cause"] == {"app_version": "5.2.0", "platform": "android"}
    assert first["opened_at"] == "2026-01-02T10:25:00.000Z"
    assert (first["affected"], first["contacted"], first["silent"]) == (412, 37, 375)
    assert first["money"]["per_minute"] == ({"currency": "EUR", "minor": 4_820, "text": "48.20 EUR"},)
    assert [one["text"] for one in first["money"]["amounts"]] == ["20,558.80 EUR", "127,650 JPY"]
    assert first["assumptions"][0]["assumed"] is True


def test_a_suspicion_is_listed_only_on_request(writer: ClickHouse, reader: ClickHouse) -> None:
    Store(writer).write([batch("issue", [issue(), issue(issue_id="i-maybe", state="suspected")])])
    assert [row.id for row in list_issues(reader)] == ["i-1"]
    assert {row.id for row in list_issues(reader, suspected=True)} == {"i-1", "i-maybe"}
    assert totals(reader)["all_issues"] == 1


def test_an_issue_is_found_by_the_beginning_of_its_id_if_that_is_clear(seeded: ClickHouse) -> None:
    assert find_issue(seeded, "i-d").id == "i-depot"
    with pytest.raises(UnknownIssue, match="no issue has it"):
        find_issue(seeded, "nothing")
    with pytest.raises(UnknownIssue, match="3 begin with it"):
        find_issue(seeded, "i-")


def test_before_impact_has_spoken_the_counts_come_from_match(writer: ClickHouse, reader: ClickHouse) -> None:
    Store(writer).write([batch("issue", EXAMPLES["issue"]), batch("affected_count", EXAMPLES["affected_count"])])
    (row,) = list_issues(reader)
    assert (row.affected, row.contacted, row.silent, row.money.at_risk) == (105, 8, 97, ())


def test_affected_customers_are_listed_with_what_they_were_told(seeded: ClickHouse) -> None:
    rows = list_affected(seeded, "i-pay")
    assert len(rows) == 133
    assert {row.notice for row in rows} >= {"sent", "refused", "held out"}
    assert sum(row.contacted_at is not None for row in rows) == 21


def test_counts_add_up(seeded: ClickHouse) -> None:
    totals = counts(seeded)
    assert (totals.issues, totals.active, totals.dead_letters) == (3, 2, 3)
    decided = totals.sent + totals.pending + totals.held + totals.refused + totals.held_out
    assert decided == totals.affected == sum(trouble.affected for trouble in TROUBLES)
    assert totals.sent == len(list_deliveries(seeded))


def test_now_is_the_newest_event_time_and_unknown_on_an_empty_database(seeded: ClickHouse) -> None:
    assert event_now(seeded) == datetime.fromtimestamp(NOW / 1000, UTC)


def test_sources_say_how_long_their_events_are_on_their_way_and_which_bound_fits(
    writer: ClickHouse, reader: ClickHouse
) -> None:
    first = EXAMPLES["telemetry"][0]

    def sent(number: int, source: str, delay_ms: int) -> Any:
        update = {"event_id": f"{source}{number}", "source": source, "event_time_ms": NOW - number * 1_000,
                  "arrived_at_ms": NOW - number * 1_000 + delay_ms}
        return first.model_copy(update=update)

    events = [sent(number, "quick", 40 if number else 60_000) for number in range(1_000)]
    events += [sent(number, "slow", 12_300) for number in range(100)]
    again = {"source": "played", "event_time_ms": NOW, "origin": "replay", "arrived_at_ms": None}
    played = [first.model_copy(update=again | {"event_id": f"p{n}"}) for n in range(3)]
    counted = EXAMPLES["source_count"][0]
    counts = [counted.model_copy(update={"topic": "telemetry", "source": source, "bin_ms": NOW - NOW % 10_000})
              for source in ("quick", "slow", "played")]
    Store(writer).write([batch("telemetry", [*events, *played]), batch("source_count", counts)])
    found = {row.source: (row.delay_p99_ms, row.disorder_ms) for row in list_sources(reader)}
    assert found["quick"] == (40, 1_000)
    assert found["slow"] == (12_300, 13_000)
    assert found["played"] == (None, None)
