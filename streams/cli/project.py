"""``cxwatch init``: a folder to edit, with everything a company makes its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.sources.project import write_project
from streams.sources.shipped import shipped


def register(app: typer.Typer) -> None:
    """Add ``cxwatch init``."""
    app.command("init")(init_command)


def init_command(
    folder: Annotated[Path, typer.Argument(help="Folder to write into; it is made if it does not exist.")] = Path("cx"),
    mapping: Annotated[str, typer.Option(help="The mapping to begin with; `cxwatch mappings list` prints them.")] = (
        "shop"
    ),
) -> None:
    """Write a project to edit: a mapping, settings, words, the texts of messages, and a README that says how to go on.

    Nothing that exists is overwritten.
    """
    files = write_project(folder, shipped(mapping))
    typer.echo(f"{len(files)} files written to {folder}. Read {folder / 'README.md'} next.")
