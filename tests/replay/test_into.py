"""A replay in a shadow database: the same tables as if the line had run and stored what it found."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from schemas.rooms import BY_ROOM
from schemas.tables import TABLES
from schemas.topics import BY_NOUN
from streams.agents import detect, experience, impact, join, match, outreach
from streams.agents.store import Store
from streams.replay.engine import ReplayOutcome, replay
from streams.replay.into import READ, messages, span_of
from streams.replay.shadow import Origin, Shadows
from streams.runtime.memory import MemoryLine
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse, login
from streams.stack import Endpoints
from tests.dashboards.demo_at import as_batches
from tests.replay.small_company import company, source
from tests.sinks.conftest import migrated

PARTITIONS = 2
FOUND = ("issue", "affected", "impact", "outreach", "contact_case", "order_outcome", "telemetry_raw", "order_raw",
         "contact_raw", "customer", "change")  # fmt: skip
"""Tables that do not depend on when rooms flushed."""
LATE = ("ver", "offset", "as_of", "updated_at", "recent")
"""Columns that do."""


@cache
def outcome() -> ReplayOutcome:
    return replay(source(PARTITIONS), Settings())


@pytest.fixture(scope="module")
def database(clickhouse: Endpoints) -> Iterator[str]:
    with migrated(clickhouse) as name:
        yield name


@pytest.fixture(scope="module")
def shadow(clickhouse: Endpoints, database: str) -> Iterator[ClickHouse]:
    """The replay of a small company, in a database beside an empty one."""
    shadows, found = Shadows(clickhouse, database), outcome()
    made = shadows.fill("company", Origin("simulation company", "0" * 64, *span_of(found)), messages(found))
    yield ClickHouse(login(clickhouse, "operator", made.database))
    shadows.drop("company")
    shadows.close()


def rows(client: ClickHouse, table: str) -> list[tuple[object, ...]]:
    """The newest rows of a table, without the columns that depend on flushes."""
    (listed,) = [one for one in TABLES if one.name == table]
    columns = ", ".join(f"`{name}`" for name in listed.names if name not in LATE)
    return [tuple(row) for row in client.query(f"SELECT {columns} FROM `{table}` FINAL ORDER BY ALL").rows]


@pytest.mark.clickhouse
def test_the_shadow_database_holds_what_the_line_would_have_stored(
    clickhouse: Endpoints, database: str, shadow: ClickHouse
) -> None:
    modules = (join, experience, detect, match, impact, outreach)
    line = MemoryLine([module.room(Settings()) for module in modules], partitions=PARTITIONS)
    for arrival in company().arrivals(PARTITIONS):
        line.produce(arrival.noun, arrival.value, key=arrival.key, partition=arrival.partition)
    line.run()
    live = ClickHouse(login(clickhouse, "writer", database))
    for noun in BY_NOUN:
        Store(live).write(as_batches(noun, line.raw(noun)))
    for table in FOUND:
        expected = rows(live, table)
        assert expected, table
        assert rows(shadow, table) == expected, table


@pytest.mark.clickhouse
def test_of_two_revisions_the_later_one_is_kept_and_none_is_lost(shadow: ClickHouse) -> None:
    newest = {row["issue_id"]: row["state"] for row in outcome().records("issue") if row["kind"] == "issue"}
    assert newest
    assert dict(shadow.query("SELECT issue_id, state FROM issue FINAL").rows) == newest
    assert shadow.query("SELECT count() FROM issue_1m FINAL").rows[0][0] > len(newest)
    assert shadow.query("SELECT count() FROM delivery").rows == [(0,)]


def test_only_what_came_from_outside_is_copied_from_the_source() -> None:
    written = {noun for room in BY_ROOM.values() for noun in room.outputs if room.name != "outreach"}
    assert not written & set(READ)
    assert {batch.topic for batch in messages(outcome())} >= {"telemetry", "order", "contact", "issue", "outreach"}
