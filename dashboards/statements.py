"""The statement that is asked for a panel: its SQL, and around it what every panel of its kind needs."""

from __future__ import annotations

import re

from dashboards.macros import literal
from dashboards.model import Panel
from schemas.tables import BY_NAME
from schemas.views import VIEWS

_KNOWN = "|".join(sorted({*BY_NAME, *VIEWS}, key=len, reverse=True))
_NAMES = re.compile(rf"\b(FROM|JOIN)\s+({_KNOWN})\b(?!\s*\()")


def statement(panel: Panel) -> str:
    """What is asked. A chart with regular points gets a NULL where a series has none, so that its line ends there."""
    sql = panel.sql.strip()
    return _with_gaps(sql, panel.label) if panel.kind == "timeseries" and "$__timeInterval(" in sql else sql


def with_empty_row(sql: str, panel: Panel) -> str:
    """A table that says so in a row when it has none; for Grafana, whose tables show nothing at all then.

    The first shown column holds the words; a column that other panels read holds what is true without any row.
    """
    first = next(field.name for field in panel.fields if not field.hidden)
    columns = [f"if(found.is_row = 0, {literal(panel.empty)}, toString(found.{first})) AS {first}"]
    columns += [
        f"if(found.is_row = 0, {field.none or 'NULL'}, found.{field.name}) AS {field.name}"
        for field in panel.fields if field.name != first
    ]  # fmt: skip
    listed = ",\n    ".join(columns)
    return (
        f"SELECT\n    {listed}\nFROM (SELECT 1 AS is_row) AS one\nLEFT JOIN\n(\n"
        f"SELECT *, 1 AS is_row, rowNumberInAllBlocks() AS place FROM\n(\n{sql}\n)\n"
        ") AS found ON one.is_row = found.is_row\nORDER BY found.place"
    )


def qualified(sql: str, database: str) -> str:
    """The same with ``database`` before every table and view of the catalogue.

    >>> qualified("SELECT 1 FROM issue_overview AS o JOIN (SELECT 2) USING x", "cx")
    'SELECT 1 FROM cx.issue_overview AS o JOIN (SELECT 2) USING x'
    """
    return _NAMES.sub(rf"\1 {database}.\2", sql)


def _with_gaps(sql: str, label: str) -> str:
    return (
        f"SELECT * FROM\n(\nSELECT time, {label}, * EXCEPT (time, {label}) APPLY toNullable FROM\n(\n{sql}\n)\n"
        f"ORDER BY {label}, time WITH FILL STEP toIntervalSecond($__interval_s)\n)\nORDER BY time, {label}"
    )
