"""``cxwatch example``: real data through the whole line, checked against what is known of it."""

from __future__ import annotations

import logging
from typing import Annotated, Literal

import typer

from streams.demo.example import run_flights
from streams.settings import load_settings

EXAMPLES = {"flights": run_flights}
"""Name of an example -> what runs it; True if every check passed."""


def register(app: typer.Typer) -> None:
    """Add ``cxwatch example``."""
    app.command("example")(example)


def example(
    name: Annotated[Literal["flights"], typer.Argument(help="Which example.")] = "flights",
) -> None:
    """Play real data flat out through real Kafka, print the issues, check them from outside."""
    # Its flights are out of a file; whatever is sent of them stays on this machine.
    settings = load_settings(idle_ms=0, outreach_replayed=True, webhook_allow_loopback=True)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    if not EXAMPLES[name](settings):
        raise typer.Exit(1)
