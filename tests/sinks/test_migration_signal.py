"""From ``family`` to ``signal`` on a filled database of the version before, also after an interruption."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from streams.sinks.clickhouse import ClickHouse, login
from streams.sinks.migrations import DDL, migrate
from streams.stack import Endpoints
from tests.sinks.conftest import migrated

pytestmark = pytest.mark.clickhouse

FILE = "015_signal.sql"
TABLES = ("cohort_count", "episode", "issue", "affected", "affected_count", "impact")
LATER = "element, severity, evidence_topics, evidence_signals, evidence_since, evidence_expected, evidence_observed"
ROWS = 500


def statements() -> list[str]:
    """The statements of the migration, in order."""
    lines = [line for line in (DDL / FILE).read_text().splitlines() if not line.startswith("--")]
    return [statement for statement in "\n".join(lines).split(";") if statement.strip()]


def below(number: str, folder: Path) -> Path:
    """A folder with the migrations before a number."""
    folder.mkdir()
    for file in DDL.glob("*.sql"):
        if file.name < number:
            shutil.copy(file, folder)
    return folder


def fill(old: ClickHouse) -> None:
    """Random rows in every table that has a family, written by the server itself."""
    for table in TABLES:
        columns = old.query(
            f"SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = '{table}' "
            "AND name != 'ingest_time' ORDER BY position"
        ).rows
        structure = ", ".join(f"`{name}` {kind}" for name, kind in columns).replace("'", "\\'")
        names = ", ".join(f"`{name}`" for name, _ in columns)
        old.query(
            f"INSERT INTO {table} ({names}) SELECT * REPLACE (toString(rand() % 4) AS family) "
            f"FROM generateRandom('{structure}', 7, 12, 3) LIMIT {ROWS}"
        )


def contents(reader: ClickHouse, names: str) -> dict[str, list[str]]:
    """Every row as text; ``names``: columns that are left out where a table has them."""
    found = {}
    for table in TABLES:
        without = f"EXCEPT ({names})" if names and table == "issue" else ""
        rows = reader.query(f"SELECT toString(tuple(* {without})) AS row FROM {table} FINAL ORDER BY row").rows
        found[table] = [row for (row,) in rows]
    return found


@pytest.mark.parametrize("done", [0, 4, 9, 11, 14, len(statements())])
def test_every_row_is_kept_and_can_be_found_by_its_signal(
    clickhouse: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    monkeypatch.setattr("streams.sinks.migrations.DDL", below("014", tmp_path / "before"))
    with migrated(clickhouse) as database:
        old = ClickHouse(login(clickhouse, "migrator", database))
        fill(old)
        before = contents(old, "")
        for statement in statements()[:done]:
            old.query(statement)
        monkeypatch.setattr("streams.sinks.migrations.DDL", below("016", tmp_path / "after"))
        assert FILE in migrate(clickhouse, database)
        assert contents(old, LATER) == before
        assert all(len(rows) > ROWS // 2 for rows in before.values()), "few random keys are equal"
        for table in TABLES:
            ((by_signal,),) = old.query(f"SELECT count() FROM {table} FINAL WHERE signal = '2'").rows
            assert 0 < by_signal < ROWS
        left = old.query("SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE '%by_signal'")
        assert left.rows == []
