"""``cxwatch run``: the rooms, the sender and, if asked for, the board, kept running in processes of their own.

With a Grafana in the settings, so is the process that marks issues and changes there.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import ConfigError, StackError
from schemas.rooms import WORKER_ROOMS, WORKERS
from streams.cli.worker import prepare_logs
from streams.runtime.exits import ExitCode
from streams.settings import Settings, load_settings
from streams.stack import endpoints
from streams.stack.guard import locked
from streams.stack.last_run import remember
from streams.stack.process import stop
from streams.stack.supervised import left_behind
from streams.stack.supervisor import Program, Supervisor, environment_of

log = logging.getLogger("cx.run")

LOOK_S = 0.5
DRAIN_S = 180.0
"""So long each process may take to drain, on a slow machine too; it ends by itself long before, with nothing lost."""
UNSENT = "no webhook is set (CX_WEBHOOK_URL, CX_WEBHOOK_SECRET): outreach decides, nothing can be sent"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run_command)


def run_command(
    worker: Annotated[
        list[str] | None,
        typer.Option(help="Rooms of one worker, separated by commas; give it once for each. Default: the join, and all "
                     "others; with CX_ROOMS set, those in one.", show_default=False),
    ] = None,
    board: Annotated[bool, typer.Option("--board", help="Serve the live board as well.")] = False,
) -> None:
    """Run everything: workers, and the sender if a webhook is set. Restarts what ends; SIGTERM or Ctrl-C drains all."""
    settings = load_settings()
    prepare_logs(settings)
    workers = workers_of(settings, worker or ())
    stored = board or any("store" in rooms for rooms in workers)
    endpoints(settings, ("kafka", "clickhouse") if stored else ("kafka",))  # refuses what is not there
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, lambda *_: stopping.set())
    with alone(settings):
        remember(settings, "run")
        raise typer.Exit(keep(settings, programs_of(settings, workers, board), stopping, log.info))


def workers_of(settings: Settings, asked: Sequence[str]) -> tuple[str, ...]:
    """Rooms of each worker. Raises ConfigError for a room that does not exist, or that two of them would run."""
    chosen = tuple(asked) or (WORKERS if set(settings.rooms) == set(WORKER_ROOMS) else (",".join(settings.rooms),))
    rooms = [room.strip() for one in chosen for room in one.split(",") if room.strip()]
    unknown = sorted(set(rooms) - set(WORKER_ROOMS))
    if unknown or len(set(rooms)) < len(rooms):
        what = f"{unknown[0]} is no room" if unknown else "a room is named twice"
        raise ConfigError(f"--worker: {what}; rooms: {', '.join(WORKER_ROOMS)}")
    return chosen


def programs_of(settings: Settings, workers: Sequence[str], board: bool) -> list[Program]:
    """What is kept running, in the order in which it is ended: what comes first in the stream drains first."""
    arguments: dict[str, tuple[list[str], dict[str, str]]] = {}
    for number, rooms in enumerate(workers, 1):
        ports = {"CX_WEB_PORT": str(settings.web_port + number - 1)} if settings.web_port else {}
        name = f"{settings.instance}-{number}"
        arguments[f"worker-{number}"] = ["worker", "--rooms", rooms, "--instance", name], ports
    if can_send(settings):
        arguments["sender"] = ["sender"], {}
    if can_mark(settings) and any("store" in rooms for rooms in workers):  # one run of a line stores, so one marks
        arguments["annotate"] = ["annotate"], {}
    if board:
        arguments["board"] = ["board"], {}
    environment, logs = environment_of(settings), settings.state_dir / "logs"
    return [
        Program(name, words, logs / f"run-{settings.instance}-{name}.log", {**environment, **more})
        for name, (words, more) in arguments.items()
    ]


def can_send(settings: Settings) -> bool:
    """True if there is a channel at all; a half set one is the sender's to refuse."""
    return settings.webhook_url is not None or settings.webhook_secret is not None


def can_mark(settings: Settings) -> bool:
    """True if there is a Grafana to mark issues in, and a token for it."""
    return settings.grafana_url is not None and settings.grafana_token is not None


def run_file(settings: Settings) -> Path:
    """Where a run says what it keeps: ``run-<instance>.json`` in the state folder."""
    return settings.state_dir / f"run-{settings.instance}.json"


def keep(settings: Settings, programs: Sequence[Program], stopping: threading.Event, say: Callable[[str], None]) -> int:
    """Keep the programs until ``stopping`` is set; the exit code. Raises ConfigError if one refuses its settings."""
    file = run_file(settings)
    for orphan in left_behind(file):
        say(f"process {orphan.pid} of a run that was killed is still there: ending it")
        stop(orphan.pid, DRAIN_S)
    note = "" if can_send(settings) else UNSENT
    supervisor, slow = Supervisor(file, note), list[str]()
    if note:
        say(note)
    try:
        for program in programs:
            process = supervisor.begin(program)
            say(f"{program.name}: cxwatch {' '.join(program.arguments)} (pid {process.pid}, log {program.log})")
        while not stopping.wait(LOOK_S):
            for sentence in supervisor.look():
                say(sentence)
        say("stopping: each process drains, in order")
    finally:
        slow = supervisor.stop(DRAIN_S)
    for name in slow:
        say(f"{name} did not drain within {DRAIN_S:.0f} s and was killed; nothing is lost")
    return ExitCode.STALLED if slow else ExitCode.CLEAN


@contextlib.contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Refuse a second run of the same name in the same state folder; the kernel lets go when this one is killed."""

    def busy(holder: str) -> None:
        raise StackError(
            f"`cxwatch run` of instance {settings.instance} is running already (pid {holder}): end it first, or set "
            "another CX_INSTANCE and other --worker rooms"
        )

    with locked(settings.state_dir / f"run-{settings.instance}.lock", busy):
        yield
