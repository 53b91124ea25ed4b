"""``cxwatch doctor``: what is missing on this machine."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from streams.cli.listing import print_listing
from streams.settings import load_settings
from streams.stack.doctor import examine


def register(app: typer.Typer) -> None:
    """Add ``cxwatch doctor``."""
    app.command("doctor")(doctor_command)


def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Say what is missing on this machine and the command that mends it; exit code 1 if something needed is missing."""
    findings = examine(load_settings())
    if as_json:
        for finding in findings:
            typer.echo(finding.as_json())
    else:
        rows = []
        for finding in findings:
            sign = "[green]ok[/]" if finding.ok else "[red]missing[/]" if finding.needed else "[yellow]optional[/]"
            mend = "" if finding.ok else escape(finding.mend)
            rows.append((sign, finding.what, escape(finding.found), mend))
        print_listing(Console(), ("", "What", "", "To mend it"), rows, below=2)
    if any(finding.needed and not finding.ok for finding in findings):
        raise typer.Exit(1)
