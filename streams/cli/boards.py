"""``cxwatch boards``: boards and alert rules for Grafana, written as files, pushed to a server or compared with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from dashboards.alerts import LIMITS, rule_group, rules_file
from dashboards.boards import BOARDS
from dashboards.grafana import GENERATED, write
from dashboards.macros import Range, expand
from schemas.currencies import DECIMALS
from schemas.errors import ConfigError, SinkUnavailable
from schemas.views import VIEWS
from streams.cli.options import with_options
from streams.cli.output import reader as connect
from streams.settings import load_settings
from streams.sinks.clickhouse import ClickHouse, Login
from streams.sinks.grafana import Grafana, Json
from streams.sinks.grafana_boards import Item, conditions, items, push, unequal
from streams.stack.folders import write_private

PROVISIONING = GENERATED.parent / "provisioning"
ROLES = """

Needs CX_GRAFANA_URL and CX_GRAFANA_TOKEN, the token of a service account. Its role: Editor for folders, boards and
annotations; Admin also for the data source (datasources:write), and for alert rules where Editors may not write them.
With --no-datasource and --no-alerts, Editor is enough."""


@dataclass(frozen=True)
class Chosen:
    """What is compared or written."""

    datasource: Annotated[bool, typer.Option(help="Also the ClickHouse data source (needs role Admin).")] = True
    alerts: Annotated[bool, typer.Option(help="Also the alert rules.")] = True
    docs: Annotated[str, typer.Option(help="Address of the folder docs/, for the alerts' links to runbooks.")] = ""
    limit: Annotated[list[str] | None, typer.Option(
        help="Money per minute that is too much, as EUR=100; once per currency. Others keep theirs.")
    ] = None

    @property
    def group(self) -> Json | None:
        """The alert rules, if they are wanted. Raises ConfigError for a limit that cannot be read."""
        return rule_group(self.docs, limits(self.limit or [])) if self.alerts else None


def register(app: typer.Typer) -> None:
    """Add the command group ``boards``."""
    boards = typer.Typer(help="Boards and alert rules for Grafana.", no_args_is_help=True)
    boards.command("export")(export_boards)
    boards.command("environment")(environment)
    boards.command("push", help=f"{push_boards.__doc__}{ROLES}")(with_options(Chosen, push_boards))
    boards.command("diff", help=f"{diff_boards.__doc__}{ROLES}")(with_options(Chosen, diff_boards))
    boards.command("check", help=f"{check_boards.__doc__}{ROLES}")(with_options(Chosen, check_boards))
    app.add_typer(boards, name="boards")


def export_boards(
    folder: Annotated[Path | None, typer.Argument(help="Folder to write to; default: the one that is shipped.")] = None,
    docs: Annotated[str, typer.Option(help="Address of the folder docs/, for the alerts' links to runbooks.")] = "",
    limit: Annotated[list[str] | None, typer.Option(help="Money per minute that is too much, as EUR=100.")] = None,
) -> None:
    """Write every board as Grafana JSON, and the files that Grafana loads at its start (provisioning)."""
    text = rules_file(docs, limits(limit or []))
    target = PROVISIONING if folder is None else folder / "provisioning"
    if folder is not None:
        shutil.copytree(PROVISIONING, target, dirs_exist_ok=True)
    rules = target / "alerting" / "rules.yaml"
    rules.write_text(text, encoding="utf-8")
    for file in (*(write(folder / "dashboards") if folder else write()), *sorted(target.rglob("*.*"))):
        typer.echo(str(file))


def environment(
    file: Annotated[Path, typer.Argument(help="File to write; only its owner may read it, it holds a password.")],
) -> None:
    """Write the environment that Grafana needs for those files: where ClickHouse is, and the reader's login."""
    reader = _login()
    values = {
        "CLICKHOUSE_HOST": reader.host, "CLICKHOUSE_PORT": reader.port, "CLICKHOUSE_DATABASE": reader.database,
        "CLICKHOUSE_READER": reader.user, "CLICKHOUSE_READER_PASSWORD": reader.password.get_secret_value(),
    }
    write_private(file, "".join(f"{name}={value}\n" for name, value in values.items()))
    typer.echo(f"{file}: database {reader.database} at {reader.host}:{reader.port}")


def push_boards(chosen: Chosen) -> None:
    """Write folders, data source, boards and alert rules to Grafana; the same again changes nothing.

    The database is looked at first. What Grafana loads from files of its own is left alone, and said; exit code 1 if
    it differs from what is here.
    """
    grafana, group = _grafana(), chosen.group
    reader = _looked_at()
    for item in unequal(conditions(grafana)[:2]):
        typer.echo(_line(item), err=True)
    changed, others = push(grafana, reader if chosen.datasource else None, group)
    typer.echo("changed: " + ", ".join(changed) if changed else "nothing to change")
    for item in others:
        typer.echo(f"left alone: {item.name} differs, and is kept in {item.owner}; change it there "
                   "(`cxwatch boards export` writes the files, `cxwatch boards diff` shows what differs)", err=True)
    if any(not item.name.startswith("data source") for item in others):
        raise typer.Exit(1)


def diff_boards(chosen: Chosen) -> None:
    """Show what `push` would change, line by line: Grafana's value -> ours. Exit code 1 if there is anything."""
    found = unequal(items(_grafana(), _login() if chosen.datasource else None, chosen.group))
    for item in found:
        typer.echo(_line(item))
    if not found:
        typer.echo("no differences")
    raise typer.Exit(1 if found else 0)


def check_boards(chosen: Chosen) -> None:
    """Show whether Grafana can show the boards and has what is here: version, plugin, data source, boards, rules.

    Exit code 0 if all is equal, 1 if something differs, cannot be seen or cannot be reached.
    """
    grafana, group = _grafana(), chosen.group
    found = [*conditions(grafana), *items(grafana, _login() if chosen.datasource else None, group)]
    for item in found:
        typer.echo(_line(item))
    raise typer.Exit(1 if unequal(found) else 0)


def limits(given: Iterable[str]) -> dict[str, float]:
    """The shipped limits with those of the command line. Raises ConfigError for one that cannot be read."""
    found = dict(LIMITS)
    for text in given:
        currency, _, amount = text.partition("=")
        if currency not in DECIMALS or not amount.replace(".", "", 1).isdecimal():
            raise ConfigError(f"--limit {text} is wrong: a currency of ISO 4217, =, and an amount, as EUR=100")
        found[currency] = float(amount)
    return found


def _line(item: Item) -> str:
    owner = f" (kept in {item.owner})" if item.owner else ""
    return "\n    ".join([f"{item.state:9} {item.name}{owner}", *item.lines])


def _grafana() -> Grafana:
    settings = load_settings()
    if settings.grafana_url is None or settings.grafana_token is None:
        raise ConfigError("set CX_GRAFANA_URL and CX_GRAFANA_TOKEN (token of a service account; --help says its role)")
    return Grafana(settings.grafana_url, settings.grafana_token)


def _login() -> Login:
    return connect(role="reader").login


def _looked_at() -> Login:
    """Login of the reader. Raises ConfigError if the database does not answer what the boards ask."""
    client = connect(role="reader")
    check_database(client)
    return client.login


def check_database(client: ClickHouse) -> None:
    """Ask for every view, and for the columns of every panel. Raises ConfigError if the database lacks one."""
    there = {name for (name,) in client.query("SELECT name FROM system.tables WHERE database = currentDatabase()").rows}
    missing = sorted(set(VIEWS) - there)
    if missing:
        raise ConfigError(
            f"database {client.login.database} has no {', '.join(missing)}: run `cxwatch tables migrate` first; "
            "nothing was written to Grafana"
        )
    for board in BOARDS:
        own = board.within(client.login.database)
        for panel in board.panels:
            if panel.sql:
                _describe(client, f"panel {panel.slug} of {board.uid}", expand(panel.sql, Range.ending(0, 1), own))


def _describe(client: ClickHouse, asks: str, sql: str) -> None:
    try:
        client.query(f"DESCRIBE TABLE ({sql})")
    except SinkUnavailable as error:
        raise ConfigError(
            f"database {client.login.database} does not answer what {asks} asks ({error.sink}): "
            "`cxwatch tables migrate` may be needed; nothing was written to Grafana"
        ) from None
