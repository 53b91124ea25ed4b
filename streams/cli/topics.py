"""``cxwatch topics create | diff | list | acls``: the catalogue of topics against the cluster."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console

from streams.cli.listing import print_listing
from streams.security.access import acl_commands
from streams.settings import Settings, load_settings
from streams.stack import endpoints
from streams.topics import Wanted, catalogue, ensure_topics, plan

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def register(app: typer.Typer) -> None:
    """Add the command group ``topics``."""
    topics = typer.Typer(help="The topics of the line: the catalogue against the cluster.", no_args_is_help=True)
    topics.command("create")(create_command)
    topics.command("diff")(diff_command)
    topics.command("list")(list_command)
    topics.command("acls")(acls_command)
    app.add_typer(topics, name="topics")


def create_command(
    alter: Annotated[
        bool, typer.Option("--alter", help="Also apply changed retention, sizes and timestamps to existing topics.")
    ] = False,
) -> None:
    """Create every missing topic; refuse if an existing one differs from the catalogue."""
    settings = load_settings()
    created = ensure_topics(_bootstrap(settings), settings, alter)
    typer.echo(f"{len(created)} topics created, {len(catalogue(settings)) - len(created)} were there.")


def diff_command(as_json: AsJson = False) -> None:
    """Show what is missing or differs; exit code 1 if anything does."""
    settings = load_settings()
    found = plan(_bootstrap(settings), settings)
    for topic in found.missing:
        typer.echo(json.dumps({"topic": topic.name, "missing": True}) if as_json else f"{topic.name}: missing")
    for difference in found.differences:
        typer.echo(json.dumps(vars(difference)) if as_json else str(difference))
    if found.missing or found.differences:
        raise typer.Exit(1)
    if not as_json:
        typer.echo("The cluster is as the catalogue says.")


def list_command(as_json: AsJson = False) -> None:
    """Print the catalogue; needs no Kafka."""
    topics = catalogue(load_settings())
    if as_json:
        for topic in topics:
            typer.echo(json.dumps(vars(topic)))
        return
    rows = []
    for topic in topics:
        largest = f"{int(topic.configs['max.message.bytes']) // 1024} KiB"
        rows.append((topic.name, str(topic.partitions), _retention(topic), largest, topic.meaning))
    headings = ("Topic", "Parts", "Kept", "Largest", "")
    print_listing(Console(), headings, rows, right=("Parts", "Largest"), below=1)


def acls_command(
    brokers: Annotated[str, typer.Option(help="What to print as the address of the brokers.")] = "BROKERS",
    config: Annotated[str, typer.Option(help="What to print as the administrator's settings.")] = "ADMIN.properties",
) -> None:
    """Print kafka-acls commands that give each kind of process its rights and no others; needs no Kafka."""
    for line in acl_commands(load_settings(), brokers, config):
        typer.echo(line)


def _bootstrap(settings: Settings) -> str:
    return endpoints(settings, ("kafka",)).kafka_bootstrap


def _retention(topic: Wanted) -> str:
    retention_ms = topic.configs.get("retention.ms")
    return "latest per key" if retention_ms is None else f"{int(retention_ms) // 86_400_000} days"
