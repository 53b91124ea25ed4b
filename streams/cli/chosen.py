"""Which deployment a command means: what the settings name, else what runs, or ran last, with the state folder."""

from __future__ import annotations

import typer

from streams.settings import Settings, load_settings
from streams.stack.last_run import recalled


def settings_here(running: bool = False) -> Settings:
    """The settings, with the names of what ran last if they name no database and no topics; says so if they differ.

    ``running``: only of what runs now, as for orders: one that is meant for something else must not go astray.
    """
    settings, last = recalled(load_settings(), running)
    if last is not None:
        typer.echo(f"of {last.words}", err=True)
    return settings
