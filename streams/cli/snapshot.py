"""``cxwatch snapshot``: the states of all rooms, from which a replay can go on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.chosen import settings_here
from streams.replay.taking import take_snapshot
from streams.stack import endpoints


def register(app: typer.Typer) -> None:
    """Add ``cxwatch snapshot``."""
    app.command("snapshot")(snapshot_command)


def snapshot_command(
    out: Annotated[Path, typer.Option(help="Folder to write into; it holds customers' data as the topics do.")],
) -> None:
    """Keep the states of all rooms while they run, so that a replay of live topics can begin from here.

    The rooms are not stopped and notice nothing. `cxwatch replay live --from-snapshot FOLDER` goes on from it and finds
    what the live line found from then on, as long as the topics keep what came since.
    """
    settings = settings_here()
    found = take_snapshot(settings, endpoints(settings, ("kafka",)).kafka_bootstrap, out)
    typer.echo(f"{len(found.tasks)} states of {found.partitions} customer partitions are in {out}.")
