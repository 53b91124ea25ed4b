"""``cxwatch init`` and ``cxwatch guess``: a folder to edit, and a mapping proposed from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.sources.guess import propose
from streams.sources.project import write_new, write_project
from streams.sources.shipped import shipped


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("init")(init_command)
    app.command("guess")(guess_command)


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


def guess_command(
    file: Annotated[Path, typer.Argument(help="CSV or JSON, plain or packed; its first 1,000 rows are looked at.")],
    target: Annotated[Path | None, typer.Argument(help="File to write; unset: print it.", show_default=False)] = None,
    to: Annotated[
        str, typer.Option(help="What the rows are: telemetry, order or contact; unset: guessed by names of columns.")
    ] = "",
) -> None:
    """Propose a mapping for a file, to be read before it is used: it does not load before you decided what says TODO.

    It says why each column is taken for what it is, and what is unsure. No value of a row is printed.
    """
    text = propose(file, to)
    if target is None:
        typer.echo(text, nl=False)
        return
    write_new({target: text})
    typer.echo(f"{target} written, with {text.count('TODO:')} things for you to decide. Read it line by line.")
