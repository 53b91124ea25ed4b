"""Shadow databases on a real ClickHouse: filled like the live one, registered, replaced, dropped."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from clickhouse_driver import Client

from schemas.errors import SinkUnavailable
from schemas.tables import TABLES
from schemas.views import READABLE, VIEWS
from streams.cli.main import main
from streams.replay.shadow import Origin, ShadowRefused, Shadows, registered, shadow_name
from streams.runtime.batch import RawBatch
from streams.sinks.clickhouse import ClickHouse, login
from streams.sinks.migrations import DDL, migrate
from streams.stack import Endpoints
from tests.dashboards.conftest import afternoon
from tests.dashboards.seed import NOW, batches
from tests.dashboards.test_reader import NOT_ALLOWED, refusal
from tests.sinks.conftest import migrated

__all__ = ["afternoon"]
pytestmark = pytest.mark.clickhouse
ORIGIN = Origin("recording tuesday", "c0ffee" * 10, NOW - 6 * 3_600_000, NOW)


@contextmanager
def shadows_of(clickhouse: Endpoints, live: str) -> Iterator[Shadows]:
    """The replays of a live database; those that are left are dropped."""
    made = Shadows(clickhouse, live)
    try:
        yield made
    finally:
        for one in registered(ClickHouse(login(clickhouse, "writer", live))):
            made.drop(one.name)
        made.close()


@pytest.fixture
def shadows(clickhouse: Endpoints, afternoon: str) -> Iterator[Shadows]:
    with shadows_of(clickhouse, afternoon) as made:
        yield made


def contents(clickhouse: Endpoints, database: str) -> dict[str, list[Any]]:
    """Every row of every table but the register, sorted, without the time at which it was stored."""
    client = ClickHouse(login(clickhouse, "operator", database))
    try:
        return {table.name: client.query(f"SELECT {', '.join(f'`{name}`' for name in table.names)} "
                                         f"FROM `{table.name}` ORDER BY ALL").rows
                for table in TABLES if table.name != "replay"}  # fmt: skip
    finally:
        client.close()


def states(clickhouse: Endpoints, live: str) -> dict[str, str]:
    """Name -> state of every registered replay."""
    return {one.name: one.state for one in registered(ClickHouse(login(clickhouse, "operator", live)))}


def run(clickhouse: Endpoints, sql: str) -> list[Any]:
    """One statement of the migrator's."""
    user, password = clickhouse.account("migrator")
    client = Client(clickhouse.clickhouse_host, port=clickhouse.clickhouse_port, user=user,
                    password=password.get_secret_value())  # fmt: skip
    try:
        return list(client.execute(sql))
    finally:
        client.disconnect()


def test_a_shadow_database_holds_what_the_store_writes_and_the_live_one_stays_as_it_was(
    clickhouse: Endpoints, afternoon: str, shadows: Shadows
) -> None:
    before = contents(clickhouse, afternoon)
    assert sum(map(len, before.values())) > 1_000
    made = shadows.fill("tuesday", ORIGIN, batches())
    assert (made.state, made.database) == ("ready", f"{afternoon}_replay_tuesday")
    assert contents(clickhouse, made.database) == before == contents(clickhouse, afternoon)
    assert made.rows > 1_000
    for name in (*VIEWS, *(table.name for table in TABLES)):
        refused = refusal(clickhouse, made.database, f"SELECT * FROM `{name}` LIMIT 1")
        assert refused == (None if name in READABLE else NOT_ALLOWED), name
    _check_what_both_say(clickhouse, afternoon, made.database)


def _check_what_both_say(clickhouse: Endpoints, afternoon: str, database: str) -> None:
    """Boards learn of ready replays from the live database; a replay's own says that it is one, and has no others."""
    live, own = (ClickHouse(login(clickhouse, "reader", name)) for name in (afternoon, database))
    (ready,) = live.query("SELECT name, database, source FROM replay_ready").rows
    assert tuple(ready) == ("tuesday", database, "recording tuesday")
    assert live.query("SELECT is_replay, words FROM replay_shown").rows == [(0, "")]
    assert own.query("SELECT is_replay, state, words FROM replay_shown").rows == [
        (1, "ready", "Replay tuesday of recording tuesday")]
    assert own.query("SELECT count() FROM replay_ready").rows == [(0,)]
    with pytest.raises(ShadowRefused, match="is the database of a replay itself"):
        Shadows(clickhouse, database).fill("again", ORIGIN, [])


def broken() -> Iterator[RawBatch]:
    """The afternoon, whose source fails on the way."""
    for number, one in enumerate(batches()):
        if number == 3:
            raise OSError("the disk is gone")
        yield one


def test_a_half_filled_one_is_said_to_be_so_is_offered_to_nobody_and_can_be_replaced(
    clickhouse: Endpoints, afternoon: str, shadows: Shadows
) -> None:
    with pytest.raises(OSError, match="the disk is gone"):
        shadows.fill("half", ORIGIN, broken())
    assert states(clickhouse, afternoon) == {"half": "failed"}
    with pytest.raises(ShadowRefused, match=r"there is a replay half \(half filled: .*--replace"):
        shadows.fill("half", ORIGIN, batches())
    live = ClickHouse(login(clickhouse, "reader", afternoon))
    assert live.query("SELECT count() FROM replay_ready").rows == [(0,)]
    again = shadows.fill("half", ORIGIN, batches(), replacing=True)
    assert states(clickhouse, afternoon) == {"half": "ready"}
    assert contents(clickhouse, again.database) == contents(clickhouse, afternoon)
    with pytest.raises(ShadowRefused, match=r"there is a replay half \(\d+ rows\)"):
        shadows.fill("half", ORIGIN, [])
    shadows.fill("half", ORIGIN, [], replacing=True)
    assert not any(contents(clickhouse, again.database).values())


def test_a_filler_whose_database_was_dropped_and_made_anew_meanwhile_writes_nothing_into_the_new_one(
    clickhouse: Endpoints, afternoon: str, shadows: Shadows
) -> None:
    database = shadow_name(afternoon, "raced")

    def interrupted() -> Iterator[RawBatch]:
        shadows.drop("raced")
        run(clickhouse, f"CREATE DATABASE {database}")
        yield from batches()

    try:
        with pytest.raises(ShadowRefused, match="dropped or replaced while it was filled"):
            shadows.fill("raced", ORIGIN, interrupted())
        assert run(clickhouse, f"SHOW TABLES FROM {database}") == []
        assert states(clickhouse, afternoon) == {}
    finally:
        run(clickhouse, f"DROP DATABASE {database}")


def test_dropping_takes_the_database_its_rights_and_its_entry_and_nothing_else(
    clickhouse: Endpoints, afternoon: str, shadows: Shadows, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("streams.cli.output.endpoints", lambda *_: clickhouse)
    monkeypatch.setattr("streams.cli.replays.endpoints", lambda *_: clickhouse)
    monkeypatch.setenv("CX_CLICKHOUSE_DATABASE", afternoon)
    kept, gone = (shadows.fill(name, ORIGIN, []) for name in ("kept", "gone"))
    assert main(["replays", "drop", "gone"]) == 0
    there = {name for (name,) in run(clickhouse, "SHOW DATABASES")}
    assert (kept.database in there, gone.database in there, afternoon in there) == (True, False, True)
    assert states(clickhouse, afternoon) == {"kept": "ready"}
    capsys.readouterr()
    assert main(["replays", "list", "--json"]) == 0
    (listed,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (listed["name"], listed["state"], listed["source"]) == ("kept", "ready", "recording tuesday")
    assert main(["replays", "list"]) == 0
    assert kept.database in capsys.readouterr().out
    with pytest.raises(ShadowRefused, match=r"there is no replay gone .* there are: kept"):
        shadows.drop("gone")
    user = clickhouse.account("reader")[0]
    granted = ClickHouse(login(clickhouse, user, kept.database)).query("SHOW GRANTS").rows
    assert any(kept.database in str(row) for row in granted)
    assert not any(gone.database in str(row) for row in granted)
    run(clickhouse, f"DROP DATABASE {kept.database} SYNC")
    run(clickhouse, f"CREATE DATABASE {kept.database}")
    with pytest.raises(ShadowRefused, match="left alone"):
        shadows.drop("kept")
    run(clickhouse, f"DROP DATABASE {kept.database} SYNC")


def test_a_database_that_no_replay_made_is_not_filled(
    clickhouse: Endpoints, afternoon: str, shadows: Shadows
) -> None:
    foreign = shadow_name(afternoon, "foreign")
    run(clickhouse, f"CREATE DATABASE {foreign}")
    try:
        for replacing in (False, True):
            with pytest.raises(ShadowRefused, match="was not made by a replay"):
                shadows.fill("foreign", ORIGIN, [], replacing=replacing)
        assert run(clickhouse, f"SHOW TABLES FROM {foreign}") == []
    finally:
        run(clickhouse, f"DROP DATABASE {foreign}")


@pytest.mark.parametrize("name", ["", "a-b", "A", "1a", "a`; DROP", "a" * 41, "ä", "../a"])
def test_a_name_that_is_no_word_is_refused(name: str) -> None:
    with pytest.raises(ShadowRefused, match="cannot be called"):
        shadow_name("cx", name)


def test_the_server_going_leaves_it_failed_or_filling_and_never_ready(
    clickhouse: Endpoints, afternoon: str, shadows: Shadows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any) -> int:
        raise SinkUnavailable("ClickHouse")

    def gone(*_arguments: Any) -> list[str]:
        monkeypatch.setattr(ClickHouse, "insert", refuse)
        raise SinkUnavailable("ClickHouse")

    monkeypatch.setattr("streams.replay.shadow.migrate", gone)
    with pytest.raises(SinkUnavailable):
        shadows.fill("lost", ORIGIN, [])
    monkeypatch.undo()
    assert states(clickhouse, afternoon) == {"lost": "filling"}


def test_a_migration_of_the_live_database_reaches_its_replays(
    clickhouse: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(DDL, tmp_path, dirs_exist_ok=True)
    with migrated(clickhouse) as live, shadows_of(clickhouse, live) as shadows:
        made, damaged = (shadows.fill(name, ORIGIN, []) for name in ("followed", "damaged"))
        run(clickhouse, f"DROP TABLE {damaged.database}.issue SYNC")
        (tmp_path / "999_later.sql").write_text("CREATE OR REPLACE VIEW later AS SELECT count() AS issues FROM issue;")
        monkeypatch.setattr("streams.sinks.migrations.DDL", tmp_path)
        with caplog.at_level(logging.WARNING):
            assert migrate(clickhouse, live) == ["999_later.sql"]
        assert run(clickhouse, f"SELECT issues FROM {made.database}.later") == [(0,)]
        assert f"database {damaged.database} of a replay is not up to date" in caplog.text
        assert f"database {made.database} " not in caplog.text
