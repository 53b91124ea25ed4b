"""``cxwatch replay --into``: the same tables as if the line had run and stored what it found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.errors import SinkUnavailable
from schemas.rooms import BY_ROOM
from schemas.tables import TABLES
from schemas.topics import BY_NOUN
from streams.agents import detect, experience, impact, join, match, outreach
from streams.agents.store import Store
from streams.cli.main import main
from streams.replay.folder import read_manifest, read_revisions
from streams.replay.into import READ
from streams.replay.shadow import registered, shadow_name
from streams.runtime.memory import MemoryLine
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse, login
from streams.stack import Endpoints
from tests.dashboards.demo_at import as_batches
from tests.replay.small_company import company, source
from tests.replay.test_shadow import states
from tests.sinks.conftest import migrated

PARTITIONS = 2
FOUND = ("issue", "affected", "impact", "outreach", "contact_case", "order_outcome", "telemetry_raw", "order_raw",
         "contact_raw", "customer", "change")  # fmt: skip
"""Tables that do not depend on when rooms flushed."""
LATE = ("ver", "offset", "as_of", "updated_at", "recent")
"""Columns that do."""


@dataclass(frozen=True)
class FilledDatabase:
    """What the command left."""

    live: str
    recording: Path
    folder: Path
    client: ClickHouse
    """A login that reads the tables of the replay's database."""


@pytest.fixture(scope="module")
def here(clickhouse: Endpoints) -> Iterator[str]:
    """A live database, and the environment of an engineer there."""
    with migrated(clickhouse) as live, pytest.MonkeyPatch.context() as patch:
        for module in ("replay", "replays"):
            patch.setattr(f"streams.cli.{module}.endpoints", lambda *_: clickhouse)
        patch.setenv("CX_CLICKHOUSE_DATABASE", live)
        yield live


def _refuse(*_arguments: object) -> None:
    raise SinkUnavailable("ClickHouse")


@pytest.fixture(scope="module")
def filled(clickhouse: Endpoints, here: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilledDatabase]:
    """The replay of a small company, in a database beside an empty one; ClickHouse went while it was filled first."""
    recording, folder = (tmp_path_factory.mktemp("into") / name for name in ("tuesday", "run"))
    source(PARTITIONS).write(recording)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.replay.shadow.Store.write", _refuse)
        assert main(["replay", str(recording), "--out", str(folder), "--into", "tuesday", "--processes", "1"]) == 1
    assert states(clickhouse, here) == {"tuesday": "failed"}
    assert main(["replay", "--resume", str(folder), "--into", "tuesday", "--replace"]) == 0
    assert not (folder / ".work").exists()
    yield FilledDatabase(
        here, recording, folder, ClickHouse(login(clickhouse, "operator", shadow_name(here, "tuesday")))
    )
    assert main(["replays", "drop", "tuesday"]) == 0


def rows(client: ClickHouse, table: str) -> list[tuple[object, ...]]:
    """The newest rows of a table, without the columns that depend on flushes."""
    (listed,) = [one for one in TABLES if one.name == table]
    columns = ", ".join(f"`{name}`" for name in listed.names if name not in LATE)
    return [tuple(row) for row in client.query(f"SELECT {columns} FROM `{table}` FINAL ORDER BY ALL").rows]


@pytest.mark.clickhouse
def test_the_database_holds_what_the_line_would_have_stored(clickhouse: Endpoints, filled: FilledDatabase) -> None:
    modules = (join, experience, detect, match, impact, outreach)
    line = MemoryLine([module.room(Settings()) for module in modules], partitions=PARTITIONS)
    for arrival in company().arrivals(PARTITIONS):
        line.produce(arrival.noun, arrival.value, key=arrival.key, partition=arrival.partition)
    line.run()
    with migrated(clickhouse) as stored:
        live = ClickHouse(login(clickhouse, "writer", stored))
        for noun in BY_NOUN:
            Store(live).write(as_batches(noun, line.raw(noun)))
        for table in FOUND:
            expected = rows(live, table)
            assert expected, table
            assert rows(filled.client, table) == expected, table


@pytest.mark.clickhouse
def test_of_two_revisions_the_later_one_is_kept_and_none_is_lost(filled: FilledDatabase) -> None:
    newest = {row["issue_id"]: row["state"] for row in read_revisions(filled.folder)}
    assert newest
    assert dict(filled.client.query("SELECT issue_id, state FROM issue FINAL").rows) == newest
    assert filled.client.query("SELECT count() FROM issue_1m FINAL").rows[0][0] > len(newest)
    assert filled.client.query("SELECT count() FROM delivery").rows == [(0,)]


@pytest.mark.clickhouse
def test_the_register_says_what_it_is_and_the_live_database_has_nothing_else(
    clickhouse: Endpoints, filled: FilledDatabase
) -> None:
    live = ClickHouse(login(clickhouse, "operator", filled.live))
    (one,) = registered(live)
    assert (one.name, one.state, one.source) == ("tuesday", "ready", "simulation tuesday")
    assert one.rows > sum(read_manifest(filled.folder).findings[noun].rows for noun in ("episode", "affected"))
    assert one.from_ms < one.to_ms
    with_rows = {table.name for table in TABLES if live.query(f"SELECT count() FROM `{table.name}`").rows[0][0]}
    assert with_rows == {"replay"}


@pytest.mark.clickhouse
@pytest.mark.parametrize(
    ("name", "sentence"), [("tuesday", "there is a replay tuesday"), ("No-name", "cannot be called")]
)
def test_what_may_not_be_filled_is_refused_before_the_replay_begins(
    filled: FilledDatabase, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, sentence: str
) -> None:
    out = tmp_path / "run"
    assert main(["replay", str(filled.recording), "--out", str(out), "--into", name]) == 1
    assert sentence in capsys.readouterr().err
    assert not out.exists()


def test_only_what_comes_from_outside_is_copied_from_the_source() -> None:
    assert {"telemetry", "order", "contact", "customer", "change", "command", "control"} == set(READ)
    written = {noun for room in BY_ROOM.values() for noun in room.outputs if room.name != "outreach"}
    assert not written & set(READ)
