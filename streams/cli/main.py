"""The ``cxwatch`` command. Each group of commands lives in its own module, which has ``register(app)``.

To add a command: write ``register(app: typer.Typer) -> None`` in a module of its own and name the module here, with the
first sentence of its help. Only the module of the command that was asked for is imported, so that ``cxwatch status``
does not wait for scipy, and ``cxwatch --help`` for nothing at all.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import typer

from streams.cli.ending import Ending, debugging


class KnownCommand(NamedTuple):
    """A command, or a group of them."""

    module: str
    """What registers it."""
    says: str
    """The first paragraph of its help, for the list of all."""


COMMANDS: dict[str, KnownCommand] = {
    "up": KnownCommand(
        "streams.cli.stack",
        "Start the local Kafka and ClickHouse (those that the settings do not name) and wait until they "
        "serve.",
    ),
    "down": KnownCommand("streams.cli.stack", "Stop the local servers; data, ports and passwords are kept."),
    "status": KnownCommand(
        "streams.cli.status",
        "Show the health of each server, how the channels to customers stand and what `cxwatch run` keeps.",
    ),
    "doctor": KnownCommand(
        "streams.cli.doctor",
        "Say what is missing on this machine and the command that mends it; exit code 1 if something needed "
        "is missing.",
    ),
    "settings": KnownCommand(
        "streams.cli.settings",
        "Print every setting with its unit, default, allowed values and meaning.",
    ),
    "run": KnownCommand(
        "streams.cli.run",
        "Run everything: workers, and the sender if a webhook is set. Restarts what ends; SIGTERM or Ctrl-C "
        "drains all.",
    ),
    "worker": KnownCommand(
        "streams.cli.worker",
        "Run rooms: read, join, detect, decide, store. SIGTERM drains and flushes; kill -9 loses nothing.",
    ),
    "sender": KnownCommand(
        "streams.cli.sender",
        "Send what outreach decided, check everything again first, and record what became of it. Ends on "
        "SIGTERM.",
    ),
    "approve": KnownCommand(
        "streams.cli.orders",
        "Let every affected customer of an issue be told, also beyond the number that needs no approval.",
    ),
    "mute": KnownCommand("streams.cli.orders", "Tell nobody about an issue until it is unmuted; counting goes on."),
    "unmute": KnownCommand("streams.cli.orders", "Take back `cxwatch mute`; what was held is decided again."),
    "resolve": KnownCommand(
        "streams.cli.orders",
        "Call an issue over: no more notices; those who were told get the all-clear.",
    ),
    "stop": KnownCommand("streams.cli.orders", "Stop every send, at once and until `cxwatch resume`."),
    "resume": KnownCommand("streams.cli.orders", "Take back `cxwatch stop`."),
    "drill": KnownCommand(
        "streams.cli.drill",
        "Send a made-up incident through the running line and tell when each stage shows it. Nobody is told of it.",
    ),
    "channels": KnownCommand("streams.cli.channels", "How the ways to customers stand."),
    "keys": KnownCommand("streams.cli.keys", "Who may order: one key per actor in the file CX_ORDER_KEYS."),
    "snapshot": KnownCommand(
        "streams.cli.snapshot",
        "Keep the states of all rooms while they run, so that a replay of live topics can begin from here.",
    ),
    "topics": KnownCommand("streams.cli.topics", "The topics of the line: the catalogue against the cluster."),
    "schemas": KnownCommand("streams.cli.schemas", "What the contracts say, as files."),
    "tables": KnownCommand("streams.cli.tables", "The tables in ClickHouse."),
    "replays": KnownCommand("streams.cli.replays", "The databases that replays filled, for boards to show."),
    "annotate": KnownCommand(
        "streams.cli.annotate",
        "Mark in Grafana where issues were opened, escalated or resolved and changes made. Ends on SIGTERM.",
    ),
    "boards": KnownCommand("streams.cli.boards", "Boards and alert rules for Grafana."),
    "board": KnownCommand(
        "streams.cli.board", "Serve the live board on loopback and print its address; Ctrl-C ends it."
    ),
    "issues": KnownCommand("streams.cli.issues", "What is wrong: every issue with cause, affected, silent and money."),
    "affected": KnownCommand("streams.cli.issues", "List the customers hit by an issue, and whether they were told."),
    "letters": KnownCommand(
        "streams.cli.dead_letters", "Dead letters: what was rejected and why; mended, they are fed back."
    ),
    "sources": KnownCommand(
        "streams.cli.sources",
        "List every producer: rate, last event, silence, stretches without data, and how long its events are "
        "on their way.",
    ),
    "guess": KnownCommand(
        "streams.cli.project",
        "Propose a mapping for a file, to be read before it is used: it does not load before you decided what says "
        "TODO.",
    ),
    "init": KnownCommand(
        "streams.cli.project",
        "Write a project to edit: a mapping, settings, words, the texts of messages, and a README that says how to go "
        "on.",
    ),
    "mappings": KnownCommand("streams.cli.mappings", "Mappings of well-known exports that come with cxwatch."),
    "play": KnownCommand(
        "streams.cli.play",
        "Play a company's own file into Kafka in arrival order, through a declarative mapping.",
    ),
    "follow": KnownCommand(
        "streams.cli.follow",
        "Map a topic of your own into ours, from its beginning and for ever, until Ctrl-C or SIGTERM.",
    ),
    "simulate": KnownCommand(
        "streams.cli.simulate",
        "Play the made-up company: 24 hours of history flat out, then 6 hours with three incidents.",
    ),
    "backtest": KnownCommand(
        "streams.cli.backtest",
        "Replay the same history under two configurations, A and B, and compare what they find.",
    ),
    "diff": KnownCommand(
        "streams.cli.diff", "Compare two runs: issues, when they were seen, who was hit, who would be told, money."
    ),
    "replay": KnownCommand(
        "streams.cli.replay",
        "Play history through the pure rooms into a folder: findings with hashes, revisions of issues, a manifest.",
    ),
    "evaluate": KnownCommand(
        "streams.cli.evaluate",
        "Play worlds whose truth is known through detection, and judge what it reports beside other detectors.",
    ),
    "record": KnownCommand(
        "streams.cli.record",
        "Keep a stretch of the live topics as a recording to hand on: customers are pseudonyms, texts are left out.",
    ),
    "example": KnownCommand(
        "streams.cli.example",
        "Play real data flat out through real Kafka, print the issues, check them from outside.",
    ),
    "demo": KnownCommand(
        "streams.cli.demo",
        "See the main job: a made-up company, three incidents, who is hit, who is told. Ends by itself.",
    ),
}
"""Name of a command or group -> what is known of it without importing it."""

DATES_ON_DEMAND = ("CLICKHOUSE_DRIVER_LASY_DATE_LUT", "on")
"""Lets the driver work out the dates it meets, instead of all 146,000 that there are when it is imported."""

Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of an unexpected error, as CX_DEBUG=1 does.")
]


class Listing(typer.core.TyperGroup):
    """The list of all commands, each with its sentence in full."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the names and sentences."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].says) for name in self.list_commands(ctx)])


def build_app(wanted: str | None = None) -> typer.Typer:
    """The app with the module of ``wanted`` registered, or with all modules if it is no command of ours."""
    modules = [COMMANDS[wanted].module] if wanted in COMMANDS else [one.module for one in COMMANDS.values()]
    app = _empty_app("rich")
    for module in dict.fromkeys(modules):
        importlib.import_module(module).register(app)
    return app


def build_listing() -> typer.Typer:
    """The app that knows of all commands no more than their names and sentences: nothing is imported for it."""
    app = _empty_app(None)
    for name in COMMANDS:
        app.command(name)(lambda: None)
    return app


def _empty_app(markup: Any) -> typer.Typer:
    app = typer.Typer(
        name="cxwatch",
        cls=Listing,
        help="Sees customer-experience trouble in event streams before customers call, and tells them first.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=markup,
        context_settings={"max_content_width": 120},
    )
    app.callback()(_options)  # keeps `cxwatch up` a subcommand even when `up` is the only one registered
    return app


def _options(debug: Debug = False) -> None:
    """Options of all commands are read before anything is imported."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (``streams.cli.ending``; 2: wrong usage)."""
    args = list(sys.argv[1:] if arguments is None else arguments)
    wanted = next((arg for arg in args if not arg.startswith("-")), None)
    known = wanted if wanted in COMMANDS else None
    with Ending(known or "", debugging(args, wanted)) as ending:
        _run(args, known)
    return ending.code


def _run(args: list[str], wanted: str | None) -> None:
    if wanted is None:
        app = build_listing()
    else:
        os.environ.setdefault(*DATES_ON_DEMAND)
        ready = importlib.import_module("streams.runtime.ready")
        ready.tell_crashes()
        app = build_app(wanted)
        ready.warm()
    app(args, prog_name="cxwatch")
