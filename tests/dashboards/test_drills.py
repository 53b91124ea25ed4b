"""What boards show with a drill in the tables: the drill as one, and every figure as it is without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dashboards import alerts_sql
from dashboards.boards import common_sql, holdout_sql, operations_sql, outreach_sql
from dashboards.macros import Range, expand
from schemas.definitions.issues import ISSUES
from schemas.definitions.outreach import OUTREACH
from schemas.topics import BY_NOUN
from streams.agents.store import Store
from streams.board.queries import list_issues
from streams.drill.script import KINDS
from streams.runtime.memory import Cadence, MemoryLine
from streams.sinks.clickhouse import ClickHouse, login
from streams.stack import Endpoints
from tests.core.join.world import HOUR, MINUTE, T0
from tests.dashboards.demo_at import as_batches
from tests.drill.test_apart import beaten, company, drilled, played
from tests.sinks.conftest import migrated

pytestmark = pytest.mark.clickhouse
END = T0 + HOUR + 30 * MINUTE
SPAN = Range.ending(END, 2)
SUMS = {
    "headline": operations_sql.HEADLINE, "today": operations_sql.TODAY, "products": common_sql.PRODUCTS,
    "signals": common_sql.SIGNALS, "regions of events": common_sql.REGIONS, "turns": common_sql.TURNS,
    "first notices": common_sql.FIRST_NOTICES, "decisions": outreach_sql.DECISIONS, "reasons": outreach_sql.REASONS,
    "delivery": outreach_sql.DELIVERY, "pending": outreach_sql.PENDING, "budget": outreach_sql.BUDGET,
    "effect": holdout_sql.EFFECT, "drawn": holdout_sql.DRAWN, "alert affected": alerts_sql.ISSUE_AFFECTED,
    "alert cost": alerts_sql.ISSUE_COST, "alert money": alerts_sql.money_per_minute(),
    "alert silent producers": alerts_sql.STREAM_SILENT, "alert held": alerts_sql.OUTREACH_HELD,
    "alert dead letters": alerts_sql.DEAD_LETTER_SHARE,
    **{one.name: one.sql for one in (*ISSUES, *OUTREACH) if one.sql and not one.per},
}  # fmt: skip


def stored(client: ClickHouse, line: MemoryLine) -> None:
    store = Store(client)
    for noun in BY_NOUN:
        for name in (noun, f"{noun}.dlq"):
            store.write(as_batches(name, line.raw(name)))


@pytest.fixture(scope="module")
def with_and_without(clickhouse: Endpoints) -> Iterator[tuple[ClickHouse, ClickHouse]]:
    """Operators' logins: the company with a drill of every kind that goes on, and the company alone."""
    with migrated(clickhouse) as one, migrated(clickhouse) as other:
        stored(ClickHouse(login(clickhouse, "writer", one)), drilled("off"))
        stored(ClickHouse(login(clickhouse, "writer", other)), played(beaten(company()), "off", Cadence()))
        yield ClickHouse(login(clickhouse, "operator", one)), ClickHouse(login(clickhouse, "operator", other))


def rows(client: ClickHouse, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in client.query(expand(sql, SPAN)).rows]


def shown(client: ClickHouse, sql: str) -> list[str]:
    """Rows as text: a share of nothing is no number, and equals itself only so."""
    return [repr(row) for row in rows(client, sql)]


@pytest.mark.parametrize("name", SUMS)
def test_no_figure_changes(with_and_without: tuple[ClickHouse, ClickHouse], name: str) -> None:
    with_drill, alone = with_and_without
    assert shown(with_drill, SUMS[name]) == shown(alone, SUMS[name])


def test_the_tiles_are_sums_without_the_drills_that_the_list_shows(
    with_and_without: tuple[ClickHouse, ClickHouse],
) -> None:
    with_drill, alone = (client.query(expand(operations_sql.ISSUES, SPAN)).dicts() for client in with_and_without)
    sums = [name for name in alone[0] if name.startswith("all_")]
    assert {tuple(row[name] for name in sums) for row in with_drill} == {tuple(alone[0][name] for name in sums)}
    shown = [row for row in with_drill if row["state"] == "drill"]
    assert len(shown) == len(KINDS)
    assert all(row["title"].startswith("DRILL: ") and "a drill" in row["next_step"] for row in shown)
    assert [row for row in with_drill if row["state"] != "drill"] == alone, "real rows, and first in the list"


def test_drills_are_marked_in_charts_and_told_by_the_command(with_and_without: tuple[ClickHouse, ClickHouse]) -> None:
    with_drill, alone = with_and_without
    marks = rows(with_drill, common_sql.DRILLS)
    assert len(marks) == len(KINDS)
    assert all(" DRILL: " in text for _, text in marks)
    assert rows(alone, common_sql.DRILLS) == []
    titles = [issue.title for issue in list_issues(with_drill) if issue.line.startswith("cx.drill.")]
    assert len(titles) == len(KINDS)
    assert all(title.startswith("DRILL: ") for title in titles)
