"""The ``cxwatch`` command. Each group of commands lives in its own module, which has ``register(app)``.

To add a command: write ``register(app: typer.Typer) -> None`` in a module of its own and name the module here. Only
the module of the command that was asked for is imported, so that ``cxwatch status`` does not wait for scipy.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import typer
from rich.console import Console
from rich.markup import escape

from schemas.errors import ConfigError, CxError
from streams.runtime.ready import tell_crashes, warm
from streams.settings import EXIT_CONFIG

COMMANDS: dict[str, str] = {
    "up": "streams.cli.stack",
    "down": "streams.cli.stack",
    "status": "streams.cli.status",
    "doctor": "streams.cli.doctor",
    "settings": "streams.cli.settings",
    "run": "streams.cli.run",
    "worker": "streams.cli.worker",
    "sender": "streams.cli.sender",
    "approve": "streams.cli.orders",
    "mute": "streams.cli.orders",
    "unmute": "streams.cli.orders",
    "resolve": "streams.cli.orders",
    "stop": "streams.cli.orders",
    "resume": "streams.cli.orders",
    "channels": "streams.cli.channels",
    "keys": "streams.cli.keys",
    "topics": "streams.cli.topics",
    "schemas": "streams.cli.schemas",
    "tables": "streams.cli.tables",
    "boards": "streams.cli.boards",
    "board": "streams.cli.board",
    "issues": "streams.cli.issues",
    "affected": "streams.cli.issues",
    "sources": "streams.cli.sources",
    "init": "streams.cli.project",
    "mappings": "streams.cli.mappings",
    "play": "streams.cli.play",
    "follow": "streams.cli.follow",
    "simulate": "streams.cli.simulate",
    "example": "streams.cli.example",
    "demo": "streams.cli.demo",
}
"""Command (or command group) -> module that registers it."""


def build_app(wanted: str | None = None) -> typer.Typer:
    """The app with the module of ``wanted`` registered, or with all modules if it is no command of ours."""
    app = typer.Typer(
        name="cxwatch",
        help="Sees customer-experience trouble in event streams before customers call, and tells them first.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(lambda: None)  # keeps `cxwatch up` a subcommand even when `up` is the only one registered
    modules = [COMMANDS[wanted]] if wanted in COMMANDS else list(dict.fromkeys(COMMANDS.values()))
    for module in modules:
        importlib.import_module(module).register(app)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (2: wrong usage, 78: a wrong setting, 1: refused otherwise)."""
    tell_crashes()
    args = list(sys.argv[1:] if arguments is None else arguments)
    wanted = next((arg for arg in args if not arg.startswith("-")), None)
    try:
        app = build_app(wanted)
        warm()
        app(args, prog_name="cxwatch")
    except ConfigError as error:
        return _refuse(error, EXIT_CONFIG)
    except CxError as error:
        return _refuse(error, 1)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _refuse(error: CxError, code: int) -> int:
    Console(stderr=True, soft_wrap=True).print(f"[bold red]cxwatch:[/] {escape(str(error))}", highlight=False)
    return code
