"""``cxwatch mappings list | show | init``: the mappings that come along, to use as they are or to copy and edit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from streams.sources.project import write_new
from streams.sources.shipped import all_shipped, shipped

Name = Annotated[str, typer.Argument(help="Name of a mapping; `cxwatch mappings list` prints them.")]


def register(app: typer.Typer) -> None:
    """Add the command group ``mappings``."""
    mappings = typer.Typer(help="Mappings of well-known exports that come with cxwatch.", no_args_is_help=True)
    mappings.command("list")(list_command)
    mappings.command("show")(show_command)
    mappings.command("init")(init_command)
    app.add_typer(mappings, name="mappings")


def list_command(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the mappings that come along, with what each reads."""
    found = all_shipped()
    width = max(len(one.name) for one in found)
    for one in found:
        line = {"name": one.name, "summary": one.summary}
        typer.echo(json.dumps(line) if as_json else f"{one.name:<{width}}  {one.summary}")


def show_command(name: Name) -> None:
    """Print one mapping: its head says which export it reads, which columns it needs and what counts as failure."""
    typer.echo(shipped(name).text, nl=False)


def init_command(
    name: Name,
    file: Annotated[Path | None, typer.Argument(help="File to write; unset: NAME.yaml.", show_default=False)] = None,
) -> None:
    """Copy one mapping into a file of yours, to edit; a file that exists is not overwritten."""
    target = file or Path(f"{name}.yaml")
    write_new({target: shipped(name).text})
    typer.echo(f"{target} written. Edit it, then: cxwatch play {target} FILE --check")
