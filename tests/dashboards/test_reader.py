"""Whom boards read as: views of boards and histories without customers, nothing else."""

from __future__ import annotations

import logging

import pytest
from clickhouse_driver import Client
from clickhouse_driver import errors as driver

from schemas.tables import TABLES
from schemas.views import READABLE, VIEWS
from streams.sinks.clickhouse import ClickHouse, login
from streams.sinks.migrations import share_views
from streams.stack import Endpoints

pytestmark = pytest.mark.clickhouse
NOT_ALLOWED = 497


def refusal(clickhouse: Endpoints, database: str, sql: str, role: str = "reader") -> int | None:
    """Code with which the server refuses a statement of a role, None if it answers."""
    user, password = clickhouse.account(role)
    client = Client(clickhouse.clickhouse_host, port=clickhouse.clickhouse_port, user=user,
                    password=password.get_secret_value(), database=database)  # fmt: skip
    try:
        client.execute(sql)
    except driver.ServerException as error:
        return int(error.code)
    finally:
        client.disconnect()
    return None


def test_the_reader_sees_the_views_of_boards_and_no_table_with_customers(
    clickhouse: Endpoints, afternoon: str
) -> None:
    found = {name: refusal(clickhouse, afternoon, f"SELECT * FROM `{name}` LIMIT 1")
             for name in (*VIEWS, *(table.name for table in TABLES))}  # fmt: skip
    assert found == {name: None if name in READABLE else NOT_ALLOWED for name in found}
    histories = [table for table in TABLES if table.name in READABLE]
    assert len(histories) == 2
    assert not any("customer_id" in table.names for table in histories)


def test_the_commands_read_tables_as_a_user_of_their_own(clickhouse: Endpoints, afternoon: str) -> None:
    assert refusal(clickhouse, afternoon, "SELECT count() FROM contact_raw", "operator") is None
    assert refusal(clickhouse, afternoon, "TRUNCATE TABLE contact_raw", "operator") == NOT_ALLOWED


def test_a_database_of_before_is_opened_to_the_reader_once_more(clickhouse: Endpoints, database: str) -> None:
    migrator = ClickHouse(login(clickhouse, "migrator", database))
    migrator.query("CREATE OR REPLACE VIEW event_clock AS SELECT max(through) AS now FROM watermark")
    assert refusal(clickhouse, database, "SELECT now FROM event_clock") == NOT_ALLOWED
    share_views(migrator, "reader")
    assert refusal(clickhouse, database, "SELECT now FROM event_clock") is None


def test_a_server_that_knows_no_such_user_is_migrated_all_the_same(
    clickhouse: Endpoints, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        share_views(ClickHouse(login(clickhouse, "migrator", database)), "nobody")
    assert "user nobody was not granted the views of boards" in caplog.text
