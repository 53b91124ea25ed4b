"""What the commands that read ClickHouse share: the connection, JSON lines, and the colour of a state."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.markup import escape

from schemas.errors import ConfigError
from streams.cli.chosen import settings_here
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse, databases, login
from streams.stack import endpoints

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]

_COLOURS = {
    "open": "bold red",
    "escalating": "bold red",
    "regressed": "bold red",
    "recovering": "yellow",
    "resolved": "green",
    "suspected": "dim",
    "no data": "bold red",
    "late": "yellow",
    "quiet": "dim",
    "ok": "green",
}


def reader(settings: Settings | None = None, role: str = "operator") -> ClickHouse:
    """A login that only reads the running ClickHouse: user operator, or reader, who sees what boards see.

    Raises StackError if it is not up, ConfigError naming the databases that there are if it has none of this name.
    """
    chosen = settings or settings_here()
    account = login(endpoints(chosen, ("clickhouse",)), role, chosen.clickhouse_database)
    there = databases(account)
    if there and account.database not in there:
        raise ConfigError(
            f"there are no tables in database {account.database}; CX_CLICKHOUSE_DATABASE chooses one of "
            f"{', '.join(there)}, or `cxwatch tables migrate` makes them"
        )
    return ClickHouse(account)


def print_json(rows: Iterable[dict[str, Any]]) -> None:
    """One JSON object per line."""
    for row in rows:
        typer.echo(json.dumps(row, ensure_ascii=False))


def state_markup(state: str) -> str:
    """A state in its colour, as rich's markup."""
    return f"[{_COLOURS.get(state, 'white')}]{escape(state)}[/]"


def short_time(text: str) -> str:
    """An ISO time for people: to the second, without its zone."""
    return text[:19].replace("T", " ")
