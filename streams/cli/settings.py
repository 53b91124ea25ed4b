"""``cxwatch settings``: the table of all settings with unit, default, allowed values and meaning."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from schemas.allowed import allowed_values, default_text, unit_of
from streams.cli.listing import print_listing
from streams.settings import PREFIX, Settings


def rows() -> list[dict[str, str]]:
    """One row per setting: name (as in the environment), unit, default, allowed, meaning."""
    return [
        {
            "name": PREFIX + field.upper(),
            "unit": unit_of(field),
            "default": default_text(info),
            "allowed": allowed_values(info),
            "meaning": info.description or "",
        }
        for field, info in Settings.model_fields.items()
    ]


def register(app: typer.Typer) -> None:
    """Add ``cxwatch settings``."""
    app.command("settings")(show_settings)


def show_settings(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a table.")] = False,
) -> None:
    """Print every setting with its unit, default, allowed values and meaning."""
    if as_json:
        for row in rows():
            typer.echo(json.dumps(row, sort_keys=True))
        return
    shown = [(*map(escape, (row["name"], _default(row), row["unit"])), escape(_meaning(row))) for row in rows()]
    print_listing(Console(), ("Setting", "Default", "Unit", ""), shown, below=1)


def _default(row: dict[str, str]) -> str:
    """The default; of a list that holds everything allowed only that, because the names stand below."""
    everything = set(row["allowed"].removeprefix("one or more of ").split(", "))
    return "all of them" if set(row["default"].split(",")) == everything else row["default"]


def _meaning(row: dict[str, str]) -> str:
    return f"{row['meaning']} ({row['allowed']})"
