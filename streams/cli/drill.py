"""``cxwatch drill``: a made-up incident through the running line, and the time of each stage."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from streams.cli.chosen import settings_here
from streams.cli.output import print_json, reader
from streams.drill.run import Tell, Venue, begin_ms, hold
from streams.drill.script import KINDS, Drill
from streams.drill.stages import STAGES, DrillProgress
from streams.runtime.exits import ExitCode
from streams.stack import endpoints

WAIT_S = 90.0
"""How long after the last event a stage is waited for."""


class AskedDrill(NamedTuple):
    """The drill that was asked for."""

    kind: str
    customers: int
    minutes: float


def register(app: typer.Typer) -> None:
    """Add ``cxwatch drill``."""
    app.command("drill")(drill_command)


def drill_command(
    kind: Annotated[str, typer.Argument(help="What fails; `--list` names the kinds.")] = "",
    customers: Annotated[int, typer.Option(help="Made-up customers who fail; three times as many do not.")] = 60,
    minutes: Annotated[float, typer.Option(help="Longest time for which events are sent.")] = 3.0,
    alone: Annotated[
        bool, typer.Option(help="Nothing else flows (a demo that has ended): move event time too, ten times as fast.")
    ] = False,
    keep: Annotated[bool, typer.Option(help="Leave the issue open; `cxwatch resolve` ends it.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the kinds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object at the end.")] = False,
) -> None:
    """Send a made-up incident through the running line and tell when each stage shows it. Nobody is told of it.

    Its customers are nobody, its events have a service line of their own, and no baseline, sum, alert or message knows
    of it. It ends, and has its issue resolved, as soon as every stage was seen. Exit code 75 if one is missing.
    """
    if listed or not kind:
        _list()
        return
    settings = settings_here(running=True)
    venue = Venue(settings, endpoints(settings, ("kafka",)).kafka_bootstrap, reader(settings), alone)
    known: set[str] = set()

    def tell(progress: DrillProgress) -> None:
        for stage in STAGES:
            if stage.name in progress.reached and stage.name not in known:
                known.add(stage.name)
                if not as_json:
                    typer.echo(f"{progress.reached[stage.name]:7.1f} s  {stage.name:<10} {stage.says}")

    progress = asyncio.run(_held(venue, AskedDrill(kind, customers, minutes), tell, keep))
    tell(progress)
    if as_json:
        print_json([_as_dict(progress)])
    else:
        _end(progress, keep)
    if progress.contacted:
        raise typer.Exit(1)
    if not progress.complete:
        raise typer.Exit(ExitCode.STALLED)


async def _held(venue: Venue, asked: AskedDrill, tell: Tell, keep: bool) -> DrillProgress:
    run = f"{time.time_ns() // 1_000_000:x}"
    Drill(asked.kind, run, 0, asked.customers, asked.minutes)  # what is impossible is refused before anything is done
    drill = Drill(asked.kind, run, await begin_ms(venue), asked.customers, asked.minutes)
    return await hold(venue, drill, WAIT_S, tell, keep)


def _list() -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("Kind", "Events", ""):
        table.add_column(heading)
    for name, kind in KINDS.items():
        table.add_row(name, kind.noun, kind.says)
    Console().print(table)


def _end(progress: DrillProgress, keep: bool) -> None:
    """What came of it, and what to look at."""
    found = f"issue {progress.issue_id}, " if progress.issue_id else ""
    typer.echo(
        f"drill {progress.drill.kind}: {found}{len(progress.affected)} customers affected, {len(progress.refused)} "
        f"decisions refused, {len(progress.contacted)} told"
    )
    if progress.rejected:
        typer.echo(f"cxwatch: {progress.rejected} events were refused: `cxwatch letters` says why", err=True)
    if progress.contacted:
        typer.echo("cxwatch: SOMEBODY OF A DRILL WAS TO BE TOLD: report this", err=True)
    for stage in progress.missing[:1]:
        typer.echo(f"cxwatch: not seen: {stage.says}. {stage.look}", err=True)
    if progress.issue_id and not progress.resolved and not keep:
        typer.echo(f"cxwatch: its end was not seen: `cxwatch resolve {progress.issue_id}`", err=True)


def _as_dict(progress: DrillProgress) -> dict[str, Any]:
    return {
        "kind": progress.drill.kind, "run": progress.drill.run, "issue_id": progress.issue_id,
        "stages": {stage.name: _rounded(progress.reached.get(stage.name)) for stage in STAGES},
        "affected": len(progress.affected), "refused": len(progress.refused), "told": len(progress.contacted),
        "rejected": progress.rejected, "resolved": progress.resolved,
        "look_at": [stage.look for stage in progress.missing[:1]],
    }  # fmt: skip


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
