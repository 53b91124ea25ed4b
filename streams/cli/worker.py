"""``cxwatch worker``: runs rooms until it is told to stop. Exit codes: see ``streams.runtime.exits``."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any
from urllib.parse import quote

import typer
from pydantic import SecretStr

from schemas.errors import ConfigError
from schemas.rooms import WORKER_ROOMS
from streams.lateness import planned_lateness
from streams.runtime.exits import ExitCode, Guard, die
from streams.runtime.ready import warm
from streams.runtime.room import Room, SinkRoom
from streams.runtime.serve import context_of, serve
from streams.settings import Settings, load_settings
from streams.stack import endpoints
from streams.stack.guard import full_disk_in_words

QUIET = ("faust", "mode", "aiokafka", "asyncio", "kafka", "aiohttp", "streams.runtime.transport")
"""Loggers of libraries (the last: Faust's, named after our subclass): warnings and errors only."""


def register(app: typer.Typer) -> None:
    """Add ``cxwatch worker``."""
    app.command("worker")(worker)


def worker(
    rooms: Annotated[
        str | None, typer.Option(help="Rooms to run, separated by commas; default: CX_ROOMS.", show_default=False)
    ] = None,
    instance: Annotated[
        str | None, typer.Option(help="Name of this worker, unique; default: CX_INSTANCE.", show_default=False)
    ] = None,
) -> None:
    """Run rooms: read, join, detect, decide, store. SIGTERM drains and flushes; kill -9 loses nothing."""
    chosen: dict[str, Any] = {"rooms": rooms} if rooms else {}
    if instance:
        chosen["instance"] = instance
    settings = with_servers(load_settings(**chosen))
    prepare_logs(settings)
    loaded = [load_room(name, settings) for name in settings.rooms]
    warm()  # what the rooms' modules brought
    run(loaded, settings)


def with_servers(settings: Settings) -> Settings:
    """Fill in the local stack's addresses where the settings name no servers of your own."""
    if "store" not in settings.rooms:
        return settings.model_copy(update={"kafka_bootstrap": endpoints(settings, ("kafka",)).kafka_bootstrap})
    found = endpoints(settings)
    user, password = found.account("writer")
    account = f"{quote(user, safe='')}:{quote(password.get_secret_value(), safe='')}"
    clickhouse = f"clickhouse://{account}@{found.clickhouse_host}:{found.clickhouse_port}"
    return settings.model_copy(update={
        "kafka_bootstrap": found.kafka_bootstrap,
        "clickhouse_url": SecretStr(clickhouse),
        "clickhouse_http_port": found.clickhouse_http_port,
    })


def load_room(name: str, settings: Settings) -> Room[Any] | SinkRoom:
    """Import ``streams.agents.<name>`` and ask it for its room. Raises ConfigError for an unknown name."""
    if name not in WORKER_ROOMS:
        raise ConfigError(f"{name} is no room; allowed: {', '.join(WORKER_ROOMS)}")
    if name == "join":
        for planned in planned_lateness(settings):
            logging.getLogger("cx.worker").info("remembers %s", planned)
    found = importlib.import_module(f"streams.agents.{name}").room(settings)
    if not isinstance(found, Room | SinkRoom):
        raise ConfigError(f"streams.agents.{name}.room gave no room")
    return found


class Once(logging.Filter):
    """Lets the same line of a library through once in a while: a broker that is away says so many times a second."""

    def __init__(self, every_s: float = 5.0) -> None:
        """``every_s``: at most one line of each template in this time."""
        super().__init__()
        self._every_s = every_s
        self._seen: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """True for our own lines, and for a library's line not seen lately."""
        if record.name.startswith("cx."):
            return True
        line = (record.name, str(record.msg)[:60])
        if record.created - self._seen.get(line, 0.0) < self._every_s:
            return False
        self._seen[line] = record.created
        return True


def prepare_logs(settings: Settings) -> None:
    """Our logs to standard error, one line each; libraries only from warnings up, and never the same line at once."""
    logging.basicConfig(
        level=settings.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s",
        force=True,
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(Once())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def run(rooms: Sequence[Room[Any] | SinkRoom], settings: Settings) -> None:
    """Serve until told to stop, then end the process with the exit code."""
    with Guard(die, "worker"), full_disk_in_words(settings.state_dir):
        code = asyncio.run(serve(settings, rooms, context_of(settings, build())))
        end(code)


def build() -> str:
    """Version of cxwatch, written into dead letters."""
    try:
        return version("cxwatch")
    except PackageNotFoundError:
        return "not installed"


def end(code: ExitCode) -> None:
    """Leave without waiting for a library's thread: everything is durable and flushed."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
