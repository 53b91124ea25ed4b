"""From one number of cents to amounts per currency on a filled database of the version before, also after an
interruption."""

from __future__ import annotations

import shutil
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from streams.sinks.clickhouse import ClickHouse, login
from streams.sinks.migrations import DDL, migrate
from streams.stack import Endpoints
from tests.sinks.conftest import migrated

pytestmark = pytest.mark.clickhouse

FILE = "016_money.sql"
ORDERS = ("episode", "affected", "affected_count")
FIGURES = {"impact": ("at_risk", "at_risk_low", "at_risk_high", "per_minute", "service"),
           "impact_1m": ("at_risk", "per_minute")}  # fmt: skip
CENTS = "toInt64(rand() % 2000001) - 200"
ROWS = 300


def below(number: str, folder: Path) -> Path:
    """A folder with the migrations before a number."""
    folder.mkdir()
    for file in DDL.glob("*.sql"):
        if file.name < number:
            shutil.copy(file, folder)
    return folder


def statements() -> list[str]:
    """The statements of the migration, in order."""
    lines = [line for line in (DDL / FILE).read_text().splitlines() if not line.startswith("--")]
    return [statement for statement in "\n".join(lines).split(";") if statement.strip()]


def fill(old: ClickHouse) -> None:
    """Random rows in every table that has money, written by the server itself."""
    for table in (*ORDERS, *FIGURES):
        columns = old.query(
            f"SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = '{table}' "
            "AND name != 'ingest_time' ORDER BY position"
        ).rows
        structure = ", ".join(f"`{name}` {kind}" for name, kind in columns).replace("'", "\\'")
        names = ", ".join(f"`{name}`" for name, _ in columns)
        money = [f"{CENTS} + {index} AS {name}" for index, (name, _) in enumerate(columns) if name.endswith("_cents")]
        if table in FIGURES:
            money.append("['EUR', 'JPY', 'KWD', 'CLF'][1 + rand() % 4] AS currency")
        old.query(
            f"INSERT INTO {table} ({names}) SELECT * REPLACE ({', '.join(money)}) "
            f"FROM generateRandom('{structure}', 7, 12, 3) LIMIT {ROWS}"
        )


def contents(reader: ClickHouse, table: str, without: str) -> list[Any]:
    """Every row as text, without the columns of money."""
    return reader.query(f"SELECT toString(tuple(* EXCEPT ({without}))) AS row FROM {table} FINAL ORDER BY row").rows


def key(table: str) -> str:
    return {"episode": "customer_id, window", "affected": "issue_id, customer_id", "impact": "issue_id",
            "affected_count": "issue_id, partition", "impact_1m": "issue_id, minute"}[table]  # fmt: skip


def minor(cents: int, currency: str) -> int:
    decimals = {"JPY": 0, "KWD": 3, "CLF": 4}.get(currency, 2)
    return int((Decimal(cents) / 100 * 10**decimals).to_integral_value(ROUND_HALF_UP))


@pytest.mark.parametrize("done", [0, 3, 10, 12, len(statements())])
def test_every_amount_is_kept_with_its_currency(
    clickhouse: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    monkeypatch.setattr("streams.sinks.migrations.DDL", below("016", tmp_path / "before"))
    with migrated(clickhouse) as database:
        old = ClickHouse(login(clickhouse, "migrator", database))
        fill(old)
        orders = {table: old.query(f"SELECT {key(table)}, amount_cents FROM {table} FINAL").rows for table in ORDERS}
        figures = {
            table: old.query(f"SELECT {key(table)}, currency, {', '.join(f'{one}_cents' for one in names)} "
                             f"FROM {table} FINAL").rows
            for table, names in FIGURES.items()
        }  # fmt: skip
        gone = {"impact": "currency, " + ", ".join(f"{one}_cents" for one in FIGURES["impact"]),
                "impact_1m": "currency, at_risk_cents, per_minute_cents"}  # fmt: skip
        rest = {table: contents(old, table, gone.get(table, "amount_cents")) for table in (*ORDERS, *FIGURES)}
        for statement in statements()[:done]:
            old.query(statement)
        monkeypatch.setattr("streams.sinks.migrations.DDL", below("017", tmp_path / "after"))
        assert FILE in migrate(clickhouse, database)
        for table in ORDERS:
            found = old.query(f"SELECT {key(table)}, amounts FROM {table} FINAL").rows
            wanted = [(*row[:-1], [("", row[-1])] if row[-1] > 0 else []) for row in orders[table]]
            assert sorted(found) == sorted(wanted)
            assert contents(old, table, "amounts") == rest[table]
        size = {"impact": 1, "impact_1m": 2}
        for table, names in FIGURES.items():
            found = old.query(f"SELECT {key(table)}, {', '.join(names)} FROM {table} FINAL").rows
            wanted = []
            for row in figures[table]:
                natural, currency, cents = row[: size[table]], row[size[table]], row[size[table] + 1 :]
                wanted.append((*natural, *([(currency, minor(one, currency))] for one in cents)))
            assert sorted(found) == sorted(wanted)
            assert contents(old, table, ", ".join((*names, *(("amounts",) * (table == "impact"))))) == rest[table]
        assert old.query("SELECT count() FROM issue_overview").rows[0][0] == 0
