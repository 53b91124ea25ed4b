"""``cxwatch replay``: history through the pure rooms, into a folder of findings. It cannot send."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from inspect import getdoc
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from schemas.errors import ConfigError, CxError
from streams.cli.chosen import settings_here
from streams.cli.options import with_options
from streams.cli.play import Speed, parse_speed
from streams.replay.engine import Progress as Replayed
from streams.replay.engine import ReplayOutcome
from streams.replay.folder import REPORT, Manifest, read_revisions
from streams.replay.into import messages, span_of
from streams.replay.opening import LIVE
from streams.replay.plan import ROOMS
from streams.replay.run import WOULD_HAVE, ReplayRequest, finish, left, run
from streams.replay.shadow import Origin, Shadows
from streams.replay.unit import Stopped
from streams.stack import endpoints

PHASES = {"front": "events", "middle": "issues", "back": "affected and decisions", "end": "money"}
"""Phase -> what is worked out in it."""
LEFT = 130
"""Exit code of a run that was left by Ctrl-C, as shells say it."""
PAUSE_S = 0.2


def register(app: typer.Typer) -> None:
    """Add ``cxwatch replay``."""
    app.command("replay", help=getdoc(replay_command))(with_options(ReplayCommand, replay_command))


@dataclass(frozen=True, slots=True)
class ReplayCommand:
    """The command line of ``replay``."""

    source: Annotated[
        str,
        typer.Argument(
            help="live, the folder of a recording, simulation[:seed=N], world:NAME or a mapping; --resume: none."
        ),
    ] = ""
    files: Annotated[
        list[str] | None,
        typer.Argument(help="Files of a mapping; MAPPING=FILE for one with a mapping of its own.", show_default=False),
    ] = None
    start: Annotated[
        str | None, typer.Option("--from", help="Only what was appended from then on (ISO 8601); live: or offsets.")
    ] = None
    end: Annotated[str | None, typer.Option("--to", help="Only what was appended before this time.")] = None
    snapshot: Annotated[
        Path | None, typer.Option("--from-snapshot", help="live: begin with the states that `cxwatch snapshot` kept.")
    ] = None
    config: Annotated[
        Path | None, typer.Option(help="Settings as `cxwatch init` writes them (settings.env), or YAML.")
    ] = None
    given: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting; repeatable.", show_default=False)
    ] = None
    out: Annotated[Path | None, typer.Option(help="Folder to write into; unset: replay-<time> here.")] = None
    speed: Speed = "flat"
    rooms: Annotated[str, typer.Option(help="Rooms to run, separated by commas.")] = ",".join(ROOMS)
    processes: Annotated[int, typer.Option(min=0, help="Processes; 0: one for each core.")] = 0
    partitions: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Customer partitions of a source that has none of its own.")
    ] = None
    into: Annotated[
        str | None, typer.Option(metavar="NAME", help="Fill a database of this name beside the live one, for boards.")
    ] = None
    replacing: Annotated[bool, typer.Option("--replace", help="With --into: one of this name may go.")] = False
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the run in this folder, which was stopped or killed.")
    ] = None


def replay_command(asked: ReplayCommand) -> None:
    """Play history through the pure rooms into a folder: findings with hashes, revisions of issues, a manifest.

    The same input and configuration give the same findings, byte for byte. Nothing is sent and nothing is written to
    any topic or table: decisions of outreach are what would have been decided. Ctrl-C leaves a folder with which
    --resume goes on. With a speed, issues are told once more at that multiple of event time.
    """
    pace = parse_speed(asked.speed)
    if bool(asked.resume) == bool(asked.source):
        raise ConfigError("allowed is either a source, as in `cxwatch replay simulation`, or --resume FOLDER")
    request = left(asked.resume) if asked.resume else _request(asked)
    folder = asked.resume or asked.out or Path(datetime.now(UTC).strftime("replay-%Y%m%d-%H%M%S"))
    shadows = _shadows(asked)
    with asked_to_stop() as stop:
        try:
            with ReplayBar() as bar:
                manifest, outcome = run(request, folder, bar.show, stop.is_set)
        except Stopped:
            typer.echo(f"stopped; go on with: cxwatch replay --resume {folder}", err=True)
            raise typer.Exit(LEFT) from None
    if shadows is not None and asked.into is not None:
        _fill(shadows, asked, folder, manifest, outcome)
    finish(folder)
    if pace is not None:
        _tell(folder, pace)
    _show(folder, manifest)


def _request(asked: ReplayCommand) -> ReplayRequest:
    if asked.snapshot and (asked.source != LIVE or asked.start):
        raise ConfigError("--from-snapshot is for live topics, and says where they are read from: leave --from away")
    return ReplayRequest(
        asked.source, tuple(asked.files or ()), asked.start, asked.end, asked.partitions,
        str(asked.config) if asked.config else None, tuple(asked.given or ()),
        tuple(room.strip() for room in asked.rooms.split(",")), asked.processes or len(os.sched_getaffinity(0)),
        str(asked.snapshot.absolute()) if asked.snapshot else None,
    )  # fmt: skip


def _shadows(asked: ReplayCommand) -> Shadows | None:
    """Where --into writes to. Raises ShadowRefused before the replay begins if it may not be filled."""
    if asked.into is None:
        return None
    settings = settings_here()
    shadows = Shadows(endpoints(settings, ("clickhouse",)), settings.clickhouse_database)
    shadows.check(asked.into, asked.replacing)
    return shadows


def _fill(shadows: Shadows, asked: ReplayCommand, folder: Path, manifest: Manifest, outcome: ReplayOutcome) -> None:
    """Fill the database; if that fails the folder keeps what filling it needs, and the way is told."""
    name = asked.into or ""
    try:
        filled = shadows.fill(name, _origin(manifest, outcome), messages(outcome), asked.replacing)
    except CxError:
        typer.echo(f"the findings are in {folder}; the database is filled by: cxwatch replay --resume {folder} "
                   f"--into {name} --replace", err=True)  # fmt: skip
        raise
    shadows.close()
    typer.echo(f"database {filled.database}: {filled.words}; `cxwatch board` shows it as {filled.name}")


def _origin(manifest: Manifest, outcome: ReplayOutcome) -> Origin:
    source = f"{manifest.source['kind']} {manifest.source['name']}"
    settings = json.dumps(manifest.configuration, sort_keys=True).encode()
    return Origin(source, hashlib.sha256(settings).hexdigest(), *span_of(outcome))


@contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """Set by Ctrl-C or SIGTERM while the block runs."""
    stop = threading.Event()
    kept = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


class ReplayBar:
    """A moving line on a terminal's standard error: phase, rate, time left."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"), console=console,
            transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("reading", total=None, rate="")

    def __enter__(self) -> ReplayBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, now: Replayed, before: str = "") -> None:
        """Say how far it is; ``before``: which of two."""
        rest = f", {now.left_s:,.0f} s left" if now.left_s is not None else ""
        self._bar.update(
            self._task, description=before + PHASES[now.phase], completed=now.read, total=now.total or None,
            rate=f"{now.rate:,.0f} records/s{rest}",
        )  # fmt: skip


def _tell(folder: Path, pace: float) -> None:
    """Print the issues as they changed, at a multiple of event time."""
    begun = begun_ms = 0.0
    known: dict[str, str] = {}
    for row in read_revisions(folder):
        state, at_ms = row["state"], row["updated_at_ms"]
        if state == "suspected" or known.get(row["issue_id"]) == state:
            continue
        known[row["issue_id"]] = state
        if not begun:
            begun, begun_ms = time.monotonic(), at_ms
        while (rest_s := (at_ms - begun_ms) / 1_000 / pace - (time.monotonic() - begun)) > 0:
            time.sleep(min(rest_s, PAUSE_S))
        cause = ", ".join(f"{name} {value}" for name, value in row["cause"]["attributes"].items())
        typer.echo(f"{_clock(at_ms)}  {state:10}  {row['line']} {row['signal']}  {cause or 'everywhere'}")


def _show(folder: Path, manifest: Manifest) -> None:
    counts: dict[str, Any] = manifest.counts
    read = sum(count for name, count in counts.items() if name in ("join accepted", "join heartbeats", "join dead"))
    typer.echo(f"{'finding':15} {'rows':>9}  SHA-256 of its lines")
    for noun, kind in manifest.findings.items():
        typer.echo(f"{noun:15} {kind.rows:9,}  {kind.sha256}")
    typer.echo(f"{read:,} events in {manifest.seconds:.1f} s; {WOULD_HAVE}")
    typer.echo(f"{folder}/manifest.json, {folder}/findings, {folder}/{REPORT}")


def _clock(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


