"""``cxwatch backtest``: two configurations on the same history, side by side."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from inspect import getdoc
from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import ConfigError, CxError
from streams.cli.diff import DIFFERENT, REFUSED, show
from streams.cli.ending import say
from streams.cli.options import with_options
from streams.cli.output import AsJson
from streams.cli.replay import LEFT, ReplayBar, asked_to_stop
from streams.replay.compare import Comparison
from streams.replay.engine import Progress
from streams.replay.folder import REPORT
from streams.replay.plan import ROOMS
from streams.replay.run import ReplayRequest
from streams.replay.unit import Stopped
from streams.replay.variants import WORDS, BacktestRequest, as_settings, asked_before, backtest

_VARIANT = f"A setting, or one of {', '.join(WORDS)}; repeatable."


def register(app: typer.Typer) -> None:
    """Add ``cxwatch backtest``."""
    app.command("backtest", help=getdoc(backtest_command))(with_options(BacktestCommand, backtest_command))


@dataclass(frozen=True, slots=True)
class BacktestCommand:
    """The command line of ``backtest``."""

    source: Annotated[
        str, typer.Argument(help="As of `cxwatch replay`: live, a recording, simulation, world:NAME, or a mapping.")
    ] = ""
    files: Annotated[list[str] | None, typer.Argument(help="Files of a mapping.", show_default=False)] = None
    config: Annotated[
        list[Path] | None,
        typer.Option(help="Settings of A, then of B (settings.env or YAML). One alone is B's.", show_default=False),
    ] = None
    a: Annotated[
        list[str] | None, typer.Option("--a", metavar="NAME=VALUE", help=f"In A: {_VARIANT}", show_default=False)
    ] = None
    b: Annotated[
        list[str] | None, typer.Option("--b", metavar="NAME=VALUE", help=f"In B: {_VARIANT}", show_default=False)
    ] = None
    start: Annotated[
        str | None, typer.Option("--from", help="Only what was appended from then on (ISO 8601); live: or offsets.")
    ] = None
    end: Annotated[str | None, typer.Option("--to", help="Only what was appended before this time.")] = None
    out: Annotated[Path | None, typer.Option(help="Folder to write into; unset: backtest-<time> here.")] = None
    rooms: Annotated[str, typer.Option(help="Rooms to run, separated by commas.")] = ",".join(ROOMS)
    processes: Annotated[int, typer.Option(min=0, help="Processes; 0: one for each core.")] = 0
    partitions: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Customer partitions of a source that has none of its own.")
    ] = None
    resume: Annotated[Path | None, typer.Option(help="Go on with the backtest in this folder.")] = None
    as_json: AsJson = False


def backtest_command(asked: BacktestCommand) -> None:
    """Replay the same history under two configurations, A and B, and compare what they find.

    A configuration that is not given is the current one, as of `cxwatch settings`. Nothing is sent. Exit code 0: both
    found the same, byte for byte; 1: something differs; 2: the history cannot be read.
    """
    if bool(asked.resume) == bool(asked.source):
        raise ConfigError("allowed is a source, as in `cxwatch backtest simulation --b threshold=3`, or --resume DIR")
    request = asked_before(asked.resume) if asked.resume else _request(asked)
    folder = asked.resume or asked.out or Path(datetime.now(UTC).strftime("backtest-%Y%m%d-%H%M%S"))
    found = _backtest(request, folder)
    show(found, asked.as_json, None)
    typer.echo(f"Report: {folder / REPORT}", err=True)
    raise typer.Exit(0 if found.equal else DIFFERENT)


def _backtest(request: BacktestRequest, folder: Path) -> Comparison:
    with asked_to_stop() as stop, ReplayBar() as bar:
        def watch(name: str, now: Progress) -> None:
            bar.show(now, f"{name}: ")

        try:
            return backtest(request, folder, watch, stop.is_set)
        except Stopped:
            typer.echo(f"stopped; go on with: cxwatch backtest --resume {folder}", err=True)
            raise typer.Exit(LEFT) from None
        except ConfigError:
            raise
        except CxError as error:
            say(str(error))
            raise typer.Exit(REFUSED) from None


def _request(asked: BacktestCommand) -> BacktestRequest:
    configs = [str(file) for file in asked.config or ()]
    if len(configs) > 2:
        raise ConfigError("--config is given at most twice: for A, then for B")
    config_a, config_b = [None, *configs] if len(configs) == 1 else [*configs, None, None][:2]
    a, b = as_settings(asked.a or ()), as_settings(asked.b or ())
    if (config_a, a) == (config_b, b):
        raise ConfigError("A and B are the same: give --config twice, or what differs by --a or --b NAME=VALUE")
    rooms = tuple(room.strip() for room in asked.rooms.split(","))
    processes = asked.processes or len(os.sched_getaffinity(0))
    of_both = (asked.source, tuple(asked.files or ()), asked.start, asked.end, asked.partitions)
    return BacktestRequest(
        ReplayRequest(*of_both, config_a, a, rooms, processes), ReplayRequest(*of_both, config_b, b, rooms, processes)
    )
