"""``cxwatch up | down | status | doctor``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from schemas.errors import SinkUnavailable
from streams.core.join.native import unused
from streams.orders.channel_status import ChannelStatus, read_channel_statuses
from streams.settings import Settings, load_settings
from streams.stack import doctor as check
from streams.stack import supervised
from streams.stack.manage import Reporter, ServerStatus, down, status, up

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
_COLOURS = {"healthy": "green", "stopped": "yellow"}


class RichReporter(Reporter):
    """Finished steps as lines, a spinner with the time while something is going on, a bar for downloads."""

    def __init__(self, doing: str) -> None:
        """Name what is going on, for the spinner."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeElapsedColumn(),
        )
        self.console = Console(stderr=True, soft_wrap=True)
        self.spinner = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.bar = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self.doing = doing
        self._bar_shown = False

    def __enter__(self) -> RichReporter:
        """Show the spinner."""
        self.spinner.add_task(self.doing)
        self.spinner.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the spinner away."""
        self.spinner.stop()
        self.bar.stop()

    def say(self, sentence: str) -> None:
        """Print one finished step."""
        self.console.print(escape(sentence), highlight=False)

    def downloaded(self, done_bytes: int, total_bytes: int) -> None:
        """Move the bar; the first call exchanges the spinner for it, the last one changes back."""
        if not self._bar_shown:
            self._bar_shown = True
            self.say(f"downloading Kafka's jars ({total_bytes / 1e6:.0f} MB, once per user)")
            self.spinner.stop()
            self.bar.add_task("Kafka's jars", total=total_bytes)
            self.bar.start()
        self.bar.update(self.bar.task_ids[0], completed=done_bytes)
        if done_bytes >= total_bytes:
            self.bar.stop()
            self.spinner.start()


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up_command)
    app.command("down")(down_command)
    app.command("status")(status_command)
    app.command("doctor")(doctor_command)


def up_command() -> None:
    """Start the local Kafka and ClickHouse (those that the settings do not name) and wait until they serve."""
    settings = load_settings()
    with RichReporter("starting Kafka and ClickHouse") as reporter:
        up(settings, reporter)
    _show(status(settings))


def down_command() -> None:
    """Stop the local servers; data, ports and passwords are kept."""
    with RichReporter("stopping") as reporter:
        down(load_settings(), reporter)


def status_command(as_json: AsJson = False) -> None:
    """Show the health of each server, how the channels to customers stand and what `cxwatch run` keeps.

    Exit code 1 unless all servers are healthy and all processes run.
    """
    settings = load_settings()
    servers, processes = status(settings), list(supervised.shown(settings.state_dir))
    channels, reason = _channels(settings, servers), unused(settings.native)
    if as_json:
        for line in (*(server.as_json() for server in servers), *(json.dumps(asdict(one)) for one in channels)):
            typer.echo(line)
        typer.echo(json.dumps({"native": not reason, "reason": reason}))
        for process in processes:
            typer.echo(json.dumps({"process": process["name"], **process}))
    else:
        _show(servers)
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
    console = Console(soft_wrap=True)
    if processes:
        console.print()
        console.print(supervised.table(processes))
    for note in sorted({str(process["note"]) for process in processes} - {""}):
        console.print(f"  {escape(note)}", highlight=False)


def _show(servers: list[ServerStatus]) -> None:
    table = Table("server", "kind", "version", "address", "health", box=None, header_style="bold")
    for server in servers:
        health = f"[{_COLOURS.get(server.health, 'red')}]{server.health}[/]"
        detail = f" ({escape(server.detail)})" if server.detail else ""
        table.add_row(server.name, server.kind, server.version or "-", server.address or "-", health + detail)
    console = Console(soft_wrap=True)
    console.print(table)
    for server in servers:
        for line in server.last_log_lines:
            console.print(f"  {server.name} | {escape(line)}", highlight=False)


def doctor_command(as_json: AsJson = False) -> None:
    """Say what is missing on this machine and the command that mends it; exit code 1 if something needed is missing."""
    findings = check.examine(load_settings())
    if as_json:
        for finding in findings:
            typer.echo(finding.as_json())
    else:
        table = Table("", "what", "found", "to mend it", box=None, header_style="bold")
        for finding in findings:
            sign = "[green]ok[/]" if finding.ok else "[red]missing[/]" if finding.needed else "[yellow]optional[/]"
            table.add_row(sign, finding.what, escape(finding.found), escape("" if finding.ok else finding.mend))
        Console(soft_wrap=True).print(table)
    if any(finding.needed and not finding.ok for finding in findings):
        raise typer.Exit(1)
