"""``cxwatch keys new | add | list | remove``: the keys of those who may order."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from schemas.errors import ConfigError
from streams.security.keyfile import listed, new_key, put, remove
from streams.settings import load_settings

Actor = Annotated[str, typer.Argument(help="Who orders: a person or a role.", show_default=False)]
Replace = Annotated[bool, typer.Option("--replace", help="In the place of the key that the actor has.")]


def register(app: typer.Typer) -> None:
    """Add the command group ``keys``."""
    keys = typer.Typer(help="Who may order: one key per actor in the file CX_ORDER_KEYS.", no_args_is_help=True)
    for name, command in (("new", new_command), ("add", add_command), ("list", list_command), ("remove", rm_command)):
        keys.command(name)(command)
    app.add_typer(keys, name="keys")


def new_command(actor: Actor, replace: Replace = False) -> None:
    """Make a key, put it into the file, and print it: this once, to be carried to where the actor orders."""
    key = new_key()
    mark = put(_file(), actor, key, _today(), replace)
    typer.echo(f"key {mark} of {actor}; on the actor's machine: `cxwatch keys add {actor}`, then paste", err=True)
    typer.echo(key)


def add_command(actor: Actor, replace: Replace = False) -> None:
    """Put a key that was made elsewhere into the file; it is read from standard input, never from an argument."""
    key = typer.prompt("Key", hide_input=True, err=True, prompt_suffix=": ")
    mark = put(_file(), actor, str(key), _today(), replace)
    typer.echo(f"key {mark} of {actor} added")


def list_command() -> None:
    """Show whose keys the file holds: actor, day, and a mark that tells keys apart without showing them."""
    table = Table("actor", "made on", "mark", box=None, header_style="bold")
    for one in listed(_file()):
        table.add_row(escape(one.actor), escape(one.made_on), one.mark)
    Console().print(table)


def rm_command(actor: Actor) -> None:
    """Take an actor's key out of the file; processes obey once they were started anew."""
    remove(_file(), actor)
    typer.echo(f"{actor} may no longer order, once workers and senders were started anew")


def _file() -> Path:
    path = load_settings().order_keys
    if path is None:
        raise ConfigError("CX_ORDER_KEYS names no file: set it to where the keys are to lie")
    return path


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())
