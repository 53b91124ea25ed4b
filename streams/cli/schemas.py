"""``cxwatch schemas export | metrics``: what the contracts say, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import ConfigError
from schemas.export import export
from schemas.metrics import page

SCHEMA_DIR = Path("schemas/json")
METRICS_PAGE = Path("docs/reference/metrics.md")


def register(app: typer.Typer) -> None:
    """Add the command group ``schemas``."""
    schemas = typer.Typer(help="What the contracts say, as files.", no_args_is_help=True)
    schemas.command("export")(export_command)
    schemas.command("metrics")(metrics_command)
    app.add_typer(schemas, name="schemas")


def export_command(
    folder: Annotated[Path, typer.Argument(help="Where the files go.")] = SCHEMA_DIR,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a file is not current.")] = False,
) -> None:
    """Write one JSON Schema file per record."""
    changed = export(folder, write=not check)
    if check and changed:
        raise ConfigError(f"not current: {', '.join(changed)}; run `cxwatch schemas export`")
    typer.echo(f"{len(changed)} files written to {folder}." if changed else f"{folder} is current.")


def metrics_command(
    target: Annotated[Path, typer.Argument(help="The file to write.")] = METRICS_PAGE,
) -> None:
    """Write the documentation of all metrics."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page())
    typer.echo(f"{target} written.")
