"""``cxwatch evaluate``: how well detection does on worlds whose truth is known, beside other detectors."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from inspect import getdoc
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from schemas.errors import CxError
from streams.cli.options import with_options
from streams.replay.configuration import configured
from streams.replay.evaluate import page, plots, tables
from streams.replay.evaluate.cases import choose
from streams.replay.evaluate.results import WorldResult
from streams.replay.evaluate.runner import RunOptions, run
from streams.simulate.library.world import SEED

WIDE = 200
"""Columns of a table that is written to a file or a pipe."""


@dataclass(frozen=True)
class EvaluateOptions:
    """Play worlds whose truth is known through detection, and judge what it reports beside other detectors.

    LIBRARY is a folder of worlds, each with a recording and truth.json; without it the built-in library is played.
    """

    library: Annotated[Path | None, typer.Argument(help="Folder of worlds; none: the built-in library.")] = None
    worlds: Annotated[list[str] | None, typer.Option(help="Only this world; may be given several times.")] = None
    quick: Annotated[bool, typer.Option("--quick", help="Only the worlds of the built-in subset.")] = False
    seed: Annotated[int, typer.Option(help="Seed of the built-in worlds.")] = SEED
    config: Annotated[Path | None, typer.Option(help="Settings to judge: settings.env of a project, or YAML.")] = None
    given: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of one setting, over --config.")] = None
    out: Annotated[Path | None, typer.Option(help="Keep results here, one file a world, to go on later.")] = None
    processes: Annotated[int, typer.Option(min=0, help="Worlds played at once; 0: one for each core.")] = 0
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None
    plot_folder: Annotated[Path | None, typer.Option("--plots", help="Write pictures (SVG) to this folder.")] = None
    page_file: Annotated[Path | None, typer.Option("--page", help="Write the tables into this page.")] = None


class EvaluationFailed(CxError):
    """Some worlds could not be played; the text names them."""


def register(app: typer.Typer) -> None:
    """Add ``cxwatch evaluate``."""
    app.command("evaluate", help=getdoc(evaluate))(with_options(EvaluateOptions, evaluate))


def evaluate(options: EvaluateOptions) -> None:
    """Play worlds whose truth is known through detection, and judge what it reports beside other detectors.

    A world that cannot be played is named, and the command fails at the end.
    """
    begun = time.monotonic()
    cases = choose(options.library, options.worlds or (), options.quick, options.seed)
    settings = configured(options.config, options.given or ())

    def watch(result: WorldResult, done: int, worlds: int) -> None:
        left = (time.monotonic() - begun) / done * (worlds - done)
        what = result.error or f"{result.events:,} messages in {result.seconds:.0f} s"
        typer.echo(f"{done:3d} of {worlds} worlds, about {left:.0f} s left: {result.world}, {what}", err=True)

    results = run(cases, settings, RunOptions(options.processes, options.out, watch))
    _show(results)
    _write(options, results, time.monotonic() - begun)
    failed = [result.world for result in results if result.error]
    if failed:
        raise EvaluationFailed(f"{len(failed)} of {len(results)} worlds could not be played: {', '.join(failed)}")


def _show(results: list[WorldResult]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    for figures in (tables.worlds(results), tables.detectors(results)):
        table = Table(*figures.head, box=None, header_style="bold", padding=(0, 2, 0, 0))
        for row in figures.rows:
            table.add_row(*row)
        console.print(table)
        console.print()


def _write(options: EvaluateOptions, results: list[WorldResult], seconds: float) -> None:
    if options.json_file is not None:
        options.json_file.write_text(json.dumps(tables.as_json(results), indent=1) + "\n", encoding="utf-8")
    if options.plot_folder is not None:
        options.plot_folder.mkdir(parents=True, exist_ok=True)
        (options.plot_folder / "delays.svg").write_text(plots.delays(results), encoding="utf-8")
        (options.plot_folder / "worlds.svg").write_text(plots.strips(results), encoding="utf-8")
    if options.page_file is not None:
        page.write(options.page_file, results, seconds)
