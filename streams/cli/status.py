"""``cxwatch status``: the health of the servers, how the channels stand, and what ``cxwatch run`` keeps running."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from schemas.errors import SinkUnavailable
from streams.cli.chosen import settings_here
from streams.cli.listing import print_listing
from streams.core.join.native import unused
from streams.orders.channel_status import ChannelStatus, read_channel_statuses
from streams.settings import Settings
from streams.stack import supervised
from streams.stack.manage import ServerStatus, status

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
_HEALTH_COLOURS = {"healthy": "green", "stopped": "yellow"}
_STATE_COLOURS = {"running": "green", "ready": "green", "not ready": "yellow", "waiting": "yellow"}


def register(app: typer.Typer) -> None:
    """Add ``cxwatch status``."""
    app.command("status")(status_command)


def status_command(as_json: AsJson = False) -> None:
    """Show the health of each server, how the channels to customers stand and what `cxwatch run` keeps.

    Exit code 1 unless all servers are healthy and all processes run.
    """
    settings = settings_here()
    servers, processes = status(settings), list(supervised.shown(settings.state_dir))
    channels, reason = _channels(settings, servers), unused(settings.native)
    if as_json:
        for line in (*(server.as_json() for server in servers), *(json.dumps(asdict(one)) for one in channels)):
            typer.echo(line)
        typer.echo(json.dumps({"native": not reason, "reason": reason}))
        for process in processes:
            typer.echo(json.dumps({"process": process["name"], **process}))
    else:
        show_servers(servers)
        for one in channels:
            _show_channel(one)
        words = f"not used: {reason}" if reason else "used"
        Console(soft_wrap=True).print(f"native implementation: {escape(words)}", highlight=False)
        _show_processes(processes)
    if any(server.health != "healthy" for server in servers) or not all(map(supervised.runs, processes)):
        raise typer.Exit(1)


def _channels(settings: Settings, servers: list[ServerStatus]) -> list[ChannelStatus]:
    """How the channels stand, if Kafka can be asked; none before a sender has run."""
    kafka = next((server for server in servers if server.name == "kafka"), None)
    if kafka is None or kafka.health != "healthy" or not kafka.address:
        return []
    try:
        return read_channel_statuses(settings, kafka.address)
    except SinkUnavailable:
        return []


def _show_channel(one: ChannelStatus) -> None:
    colour = {"ok": "green", "gone": "bold red"}.get(one.state, "yellow")
    Console(soft_wrap=True).print(f"[{colour}]{escape(one.words())}[/]", highlight=False)


def _show_processes(processes: list[dict[str, Any]]) -> None:
    console = Console()
    if processes:
        console.print()
        headings = ("Process", "State", "Pid", "Since", "Restarts", "Ended last")
        print_listing(console, headings, [_process_row(row) for row in processes], below=1)
    for note in sorted({str(process["note"]) for process in processes} - {""}):
        console.print(f"  {escape(note)}", highlight=False)


def show_servers(servers: list[ServerStatus]) -> None:
    """A table of the servers, and the last log lines of those that died."""
    rows = []
    for server in servers:
        health = f"[{_HEALTH_COLOURS.get(server.health, 'red')}]{server.health}[/]"
        rows.append((server.name, server.kind, server.version or "-", server.address or "-", health,
                     escape(server.detail)))
    console = Console()
    print_listing(console, ("Server", "Kind", "Version", "Address", "Health", ""), rows, below=1)
    for server in servers:
        for line in server.last_log_lines:
            console.print(f"  {server.name} | {escape(line)}", highlight=False, soft_wrap=True)


def _process_row(row: dict[str, Any]) -> tuple[str, ...]:
    state = str(row["state"])
    why = f"{_wall_time(row['last_end_ms'])} {row['last']}: {row['last_why']}" if row.get("last") else ""
    coloured, since = f"[{_STATE_COLOURS.get(state, 'red')}]{state}[/]", _wall_time(row["since_ms"])
    return str(row["name"]), coloured, str(row["pid"]), since, str(row["restarts"]), escape(why)


def _wall_time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
