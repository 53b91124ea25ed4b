"""``cxwatch sender``: the process that tells customers, and the only holder of a channel's credentials."""

from __future__ import annotations

import logging

import typer

from streams.sender.main import run
from streams.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add ``cxwatch sender``."""
    app.command("sender")(sender_command)


def sender_command() -> None:
    """Send what outreach decided, check everything again first, and record what became of it. Ends on SIGTERM."""
    settings = load_settings()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    run(settings)
