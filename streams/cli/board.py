"""``cxwatch board``: the live board, served until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer

from schemas.errors import ConfigError
from streams.board.server import start
from streams.cli.chosen import settings_here
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse, login
from streams.stack import endpoints


def register(app: typer.Typer) -> None:
    """Add ``cxwatch board``."""
    app.command("board")(board_command)


def board_command(
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; default: CX_BOARD_PORT.")] = None,
) -> None:
    """Serve the live board on loopback and print its address; Ctrl-C ends it."""
    serve(settings_here(), port)


def serve(settings: Settings, port: int | None = None) -> None:
    """Serve the board until SIGINT or SIGTERM; the first line printed is its address."""
    client = ClickHouse(login(endpoints(settings, ("clickhouse",)), "reader", settings.clickhouse_database), 20.0)
    asyncio.run(_serve(settings, client, settings.board_port if port is None else port))


async def _serve(settings: Settings, client: ClickHouse, port: int) -> None:
    done = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, done.set)
    try:
        simulated = settings.sender_clock == "event"
        refresh_s = settings.board_refresh_ms / 1000
        server = await start(client, port, settings.web_host, refresh_s, simulated, settings.web_hosts)
    except OSError as error:
        raise ConfigError(f"the board cannot listen on port {port} ({error.strerror}); choose another, or 0") from None
    typer.echo(f"board {server.address}")
    try:
        await done.wait()
    finally:
        await server.close()
