"""Databases for boards: empty ones of a test's own, and a shared one that holds a made-up afternoon."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.replay.shadow import Origin, Shadows
from streams.sinks.clickhouse import ClickHouse, login
from streams.stack import Endpoints
from tests.dashboards.demo_at import DemoAt, demo_at
from tests.dashboards.seed import HISTORY_MIN, MINUTE, NOW, REPLAYED, batches, seed
from tests.sinks.conftest import board_reader, database, migrated, reader, writer

__all__ = [
    "afternoon", "board_reader", "database", "demo", "demo_database", "reader", "seeded", "seeded_board", "writer",
]


@pytest.fixture(scope="module")
def afternoon(clickhouse: Endpoints) -> Iterator[str]:
    """Name of a database that holds the afternoon of ``tests.dashboards.seed``; not to be written to."""
    with migrated(clickhouse) as name:
        seed(ClickHouse(login(clickhouse, "writer", name)))
        yield name


@pytest.fixture(scope="module")
def replayed(clickhouse: Endpoints, afternoon: str) -> Iterator[str]:
    """Name of the database of a replay of that afternoon, with other findings, registered as ``wider``."""
    shadows = Shadows(clickhouse, afternoon)
    origin = Origin("recording afternoon", "5eed" * 16, NOW - HISTORY_MIN * MINUTE, NOW)
    yield shadows.fill("wider", origin, batches(REPLAYED)).database
    shadows.drop("wider")
    shadows.close()


@pytest.fixture
def seeded(clickhouse: Endpoints, afternoon: str) -> ClickHouse:
    """A login that only reads, also the tables of that afternoon: user operator."""
    return ClickHouse(login(clickhouse, "operator", afternoon))


@pytest.fixture
def seeded_board(clickhouse: Endpoints, afternoon: str) -> ClickHouse:
    """Whom boards read that afternoon as: user reader, who sees views only."""
    return ClickHouse(login(clickhouse, "reader", afternoon))


@pytest.fixture(scope="session")
def demo() -> DemoAt:
    """The demo's company at 12:40, through all rooms in memory."""
    return demo_at()


@pytest.fixture(scope="session")
def demo_database(clickhouse: Endpoints, demo: DemoAt) -> Iterator[str]:
    """Name of a database that holds what boards read at that moment; not to be written to."""
    with migrated(clickhouse) as name:
        demo.store(ClickHouse(login(clickhouse, "writer", name)))
        yield name
