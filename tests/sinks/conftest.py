"""A migrated database per test on the session's real ClickHouse."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from streams.sinks.clickhouse import ClickHouse, login
from streams.sinks.migrations import migrate
from streams.stack import Endpoints


@contextmanager
def migrated(clickhouse: Endpoints) -> Iterator[str]:
    """Name of a fresh database with all migrations applied, dropped afterwards."""
    name = f"cx_{uuid.uuid4().hex[:10]}"
    migrate(clickhouse, name)
    yield name
    ClickHouse(login(clickhouse, "migrator", "default")).query(f"DROP DATABASE {name}")


@pytest.fixture
def database(clickhouse: Endpoints) -> Iterator[str]:
    """A database of this test's own."""
    with migrated(clickhouse) as name:
        yield name


@pytest.fixture
def writer(clickhouse: Endpoints, database: str) -> ClickHouse:
    """The writer on that database."""
    return ClickHouse(login(clickhouse, "writer", database))


@pytest.fixture
def reader(clickhouse: Endpoints, database: str) -> ClickHouse:
    """A login that only reads, also the tables of that database: user operator."""
    return ClickHouse(login(clickhouse, "operator", database))


@pytest.fixture
def board_reader(clickhouse: Endpoints, database: str) -> ClickHouse:
    """Whom boards read that database as: user reader, who sees views only."""
    return ClickHouse(login(clickhouse, "reader", database))
