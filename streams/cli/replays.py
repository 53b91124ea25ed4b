"""``cxwatch replays``: the shadow databases that replays filled."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from streams.cli.chosen import settings_here
from streams.cli.listing import print_listing
from streams.cli.output import AsJson, print_json, reader, short_time
from streams.replay.shadow import Shadows, registered
from streams.stack import endpoints

Name = Annotated[str, typer.Argument(help="Name of the replay.")]
_HEADINGS = ("Name", "State", "Made", "From", "To", "Source", "Configuration", "Database")


def register(app: typer.Typer) -> None:
    """Add the command group ``replays``."""
    replays = typer.Typer(help="The databases that replays filled, for boards to show.", no_args_is_help=True)
    replays.command("list")(list_replays)
    replays.command("drop")(drop_replay)
    app.add_typer(replays, name="replays")


def list_replays(as_json: AsJson = False) -> None:
    """Show every replay with its database, source and state, newest first."""
    client = reader()
    found = registered(client)
    client.close()
    if as_json:
        hidden = ("mark", "own", "dropped", "ver")
        print_json({name: value for name, value in asdict(one).items() if name not in hidden} for one in found)
        return
    if not found:
        typer.echo(f"no replay fills a database beside {client.login.database}: `cxwatch replay ... --into NAME`")
        return
    rows = [
        (
            escape(one.name), one.words, _time(one.made_at_ms), _time(one.from_ms), _time(one.to_ms),
            escape(one.source), one.configuration[:12], one.database,
        )
        for one in found
    ]  # fmt: skip
    print_listing(Console(), _HEADINGS, rows, below=4)


def drop_replay(name: Name) -> None:
    """Drop the database of a replay. The live database and foreign ones are never touched."""
    settings = settings_here()
    shadows = Shadows(endpoints(settings, ("clickhouse",)), settings.clickhouse_database)
    dropped = shadows.drop(name)
    shadows.close()
    typer.echo(f"dropped replay {dropped.name}: database {dropped.database}")


def _time(ms: int) -> str:
    return short_time(datetime.fromtimestamp(ms / 1_000, UTC).isoformat())
