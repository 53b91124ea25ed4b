"""``cxwatch simulate``: a made-up company, played into Kafka, or a world of the incident library as a recording."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from streams.cli import play
from streams.cli.worlds import show_world
from streams.settings import load_settings
from streams.simulate import SimulateRules, simulate
from streams.sources.arrivals import Arrival, with_origin
from streams.sources.producer import PlaySpeed


def register(app: typer.Typer) -> None:
    """Add ``cxwatch simulate``."""
    app.command("simulate")(play_simulation)


def play_simulation(
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = SimulateRules().seed,
    speed: play.Speed = "600",
    history: Annotated[bool, typer.Option(help="Play the day of history flat out before the live part.")] = True,
    heartbeat: play.Heartbeat = "60s",
    truth: Annotated[Path | None, typer.Option(help="Write what is true to this file (for a judge).")] = None,
    world: Annotated[
        str | None,
        typer.Option(help="Write this world of the incident library as a recording into --out; list: name them all."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="With --world: a new or empty folder.")] = None,
) -> None:
    """Play the made-up company: 24 hours of history flat out, then 6 hours with three incidents.

    With --world nothing is played: a world of the incident library is written as a recording, with the truth about it.

    Its events are marked as a drill: nobody is told of them, unless CX_OUTREACH_REPLAYED is set, which needs a receiver
    on this machine.
    """
    settings = load_settings()
    if world is not None or out is not None:
        show_world(world, out, seed, settings.partitions)
        return
    made = simulate(SimulateRules(seed=seed))
    if truth is not None:
        made.truth.write(truth)
    arrivals: Iterable[Arrival] = made.arrivals(settings.partitions, play.parse_duration(heartbeat))
    pace = PlaySpeed(play.parse_speed(speed), made.truth.live_ms if history else 0)
    play.show_played(play.run(with_origin(arrivals, "drill"), settings, pace))
