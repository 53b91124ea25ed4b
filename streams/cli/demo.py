"""``cxwatch demo``: the main job end to end on this machine, judged against what was injected."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Annotated

import typer

from streams.demo.demo import SPEED, Options, run_demo
from streams.demo.progress import Teller
from streams.demo.session import claimed
from streams.settings import load_settings
from streams.simulate import SimulateRules


def register(app: typer.Typer) -> None:
    """Add ``cxwatch demo``."""
    app.command("demo")(demo)


def demo(
    seed: Annotated[int, typer.Option(help="The same seed gives the same company.")] = SimulateRules().seed,
    speed: Annotated[float, typer.Option(min=1.0, help="How much faster than event time the live part runs.")] = SPEED,
    keep: Annotated[
        bool, typer.Option("--keep", envvar="KEEP", help="Leave everything running at the end, until Ctrl-C.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Go on with the last demo, as after a reboot: its data, its board.")
    ] = False,
) -> None:
    """See the main job: a made-up company, three incidents, who is hit, who is told. Ends by itself.

    A demo that is kept outlives its servers: after `cxwatch down` it waits for `cxwatch up` and goes on.
    """
    options, settings = Options(speed, keep, time.monotonic(), again), load_settings()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        with Teller() as teller, claimed(settings, "demo", teller):
            passed = asyncio.run(run_demo(settings, SimulateRules(seed=seed), options, teller))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Abort from None
    if not passed:
        raise typer.Exit(1)
