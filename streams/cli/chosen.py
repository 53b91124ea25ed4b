"""Which deployment a command means: what the settings name, else what runs, or ran last, with the state folder."""

from __future__ import annotations

import typer

from streams.settings import Settings, load_settings
from streams.stack.last_run import recalled


def settings_here() -> Settings:
    """The settings, with the names of what ran last if they name no database and no topics; says so if they differ."""
    settings, last = recalled(load_settings())
    if last is not None:
        typer.echo(f"of {last.words}", err=True)
    return settings
