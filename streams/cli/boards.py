"""``cxwatch boards``: the boards for Grafana, written as files or pushed to a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dashboards.grafana import write
from schemas.errors import ConfigError
from streams.settings import load_settings
from streams.sinks.clickhouse import login
from streams.sinks.grafana import Grafana
from streams.stack import endpoints


def register(app: typer.Typer) -> None:
    """Add the command group ``boards``."""
    boards = typer.Typer(help="The boards for Grafana.", no_args_is_help=True)
    boards.command("write")(write_boards)
    boards.command("push")(push_boards)
    app.add_typer(boards, name="boards")


def write_boards(
    folder: Annotated[Path | None, typer.Argument(help="Folder to write to; default: the one that is shipped.")] = None,
) -> None:
    """Write every board as Grafana JSON."""
    for file in write(folder) if folder else write():
        typer.echo(str(file))


def push_boards(
    datasource: Annotated[bool, typer.Option(help="Also write the ClickHouse data source.")] = True,
) -> None:
    """Write folder, data source and boards to the Grafana in CX_GRAFANA_URL; the same again changes no board."""
    settings = load_settings()
    if settings.grafana_url is None or settings.grafana_token is None:
        raise ConfigError("set CX_GRAFANA_URL and CX_GRAFANA_TOKEN (token of a service account that may edit)")
    reader = login(endpoints(settings, ("clickhouse",)), "reader", settings.clickhouse_database) if datasource else None
    changed = Grafana(settings.grafana_url, settings.grafana_token).push(reader)
    typer.echo("changed: " + ", ".join(changed) if changed else "nothing to change")
