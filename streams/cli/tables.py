"""``cxwatch tables``: the tables in ClickHouse, their migrations and their catalogue."""

from __future__ import annotations

import json

import typer
from rich.console import Console
from rich.markup import escape

from schemas.tables import TABLES
from schemas.views import VIEWS
from streams.cli.listing import print_listing
from streams.cli.output import AsJson
from streams.settings import load_settings
from streams.sinks.migrations import migrate, migrations
from streams.stack import endpoints


def register(app: typer.Typer) -> None:
    """Add the command group ``tables``."""
    tables = typer.Typer(help="The tables in ClickHouse.", no_args_is_help=True)
    tables.command("migrate")(migrate_tables)
    tables.command("status")(status)
    tables.command("list")(list_tables)
    app.add_typer(tables, name="tables")


def migrate_tables() -> None:
    """Apply the pending migrations as user migrator; the same again changes nothing."""
    settings = load_settings()
    applied = migrate(endpoints(settings, ("clickhouse",)), settings.clickhouse_database)
    for name in applied:
        typer.echo(f"applied {name}")
    typer.echo(f"database {settings.clickhouse_database} is up to date")


def status(as_json: AsJson = False) -> None:
    """Show every migration and whether it is applied; exit code 1 if one is not."""
    settings = load_settings()
    known = migrations(endpoints(settings, ("clickhouse",)), settings.clickhouse_database)
    for one in known:
        row = {"version": one.version, "name": one.name, "state": one.state}
        typer.echo(json.dumps(row) if as_json else f"{one.state:12} {one.name}")
    if any(one.state != "applied" for one in known):
        raise typer.Exit(1)


def list_tables(as_json: AsJson = False) -> None:
    """Show the catalogue: every table and view with its meaning, key and retention."""
    if as_json:
        for table in TABLES:
            columns = [{"name": c.name, "type": c.type, "unit": c.unit, "meaning": c.meaning} for c in table.columns]
            typer.echo(json.dumps({"name": table.name, "key": table.key, "version": table.version, "columns": columns,
                                   "retention_days": table.retention_days, "meaning": table.meaning}))
        return
    shown = [
        (table.name, f"{table.retention_days} d", escape(table.meaning), ", ".join(table.key)) for table in TABLES
    ]
    shown += [(name, "view", escape(meaning), "") for name, meaning in VIEWS.items()]
    print_listing(Console(), ("Table", "Kept", "", "Key"), shown, below=2)
