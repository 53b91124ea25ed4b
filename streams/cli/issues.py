"""``cxwatch issues``, ``affected`` and ``sources``: what the boards show, as text or as one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streams.board.queries import (
    IssueRow,
    SourceRow,
    event_now,
    find_issue,
    iso,
    list_affected,
    list_issues,
    list_sources,
)
from streams.settings import load_settings
from streams.sinks.clickhouse import ClickHouse, login
from streams.stack import endpoints

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]
IssueId = Annotated[str, typer.Argument(help="Id of the issue, or its beginning.", show_default=False)]

_STATES = {
    "open": "bold red",
    "escalating": "bold red",
    "regressed": "bold red",
    "recovering": "yellow",
    "resolved": "green",
    "suspected": "dim",
    "no data": "bold red",
    "late": "yellow",
    "quiet": "dim",
    "ok": "green",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="What is wrong: every issue with cause, affected, silent and money.")
    group.callback(invoke_without_command=True)(issues)
    group.command("show")(show)
    app.add_typer(group, name="issues")
    app.command("affected")(affected)
    app.command("sources")(sources)


def reader() -> ClickHouse:
    """User reader on the tables of the running ClickHouse. Raises StackError if it is not up."""
    settings = load_settings()
    return ClickHouse(login(endpoints(settings, ("clickhouse",)), "reader", settings.clickhouse_database))


def issues(
    context: typer.Context,
    as_json: AsJson = False,
    suspected: Annotated[bool, typer.Option(help="Also those that have not opened.")] = False,
) -> None:
    """List every issue, active and costliest first."""
    if context.invoked_subcommand:
        return
    client = reader()
    found = list_issues(client, suspected)
    if as_json:
        _print_json(issue.as_dict() for issue in found)
        return
    console = Console()
    if not found:
        console.print("No issue.")
        return
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 1, 0))
    for heading in ("State", "Issue and cause", "Since (UTC)"):
        table.add_column(heading)
    for heading in ("Affected", "Silent", "Per minute"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Id")
    for issue in found:
        what = f"{escape(issue.title)}\n[dim]{escape(_cause(issue))}[/]"
        table.add_row(
            _state(issue.state),
            what,
            _time(issue.opened_at)[5:16],
            f"{issue.affected:,}",
            f"{issue.silent:,}",
            _money(issue, issue.money.per_minute),
            issue.id,
        )
    console.print(table)
    now = event_now(client)
    console.print(f"[dim]event time {iso(now) if now else 'unknown'}[/]")


def show(issue_id: IssueId, as_json: AsJson = False) -> None:
    """Show one issue: cause, counts, money and every parameter behind it."""
    issue = find_issue(reader(), issue_id)
    if as_json:
        _print_json([issue.as_dict()])
        return
    console = Console()
    console.print(f"[bold]{escape(issue.title)}[/]  {_state(issue.state)}{'  [dim]provisional[/]' * issue.provisional}")
    money = issue.money
    facts = {
        "id": issue.id,
        "line, family": f"{issue.line}, {issue.family}",
        "cause": f"{_cause(issue)}  (risk ratio {issue.risk_ratio:.1f}, {issue.support:.0%} of the excess)",
        "changes": ", ".join(issue.changes) or "none known",
        "since": f"{_time(issue.opened_at)} (estimated), detected {_time(issue.detected_at)}",
        "over": _time(issue.resolved_at) if issue.resolved_at else "not yet",
        "affected": f"{issue.affected:,}, of these {issue.contacted:,} contacted us, {issue.silent:,} silent",
        "at risk": f"{_money(issue, money.at_risk)} ({money.at_risk_low:,.0f} to {money.at_risk_high:,.0f})",
        "per minute": _money(issue, money.per_minute),
        "service": _money(issue, money.service),
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts.items():
        table.add_row(f"[dim]{name}[/]", escape(value))
    console.print(table)
    for one in issue.assumptions:
        kind = "[yellow]assumed[/]" if one["assumed"] else "known"
        console.print(
            f"  {kind} {escape(one['name'])} = {one['value']:g} {escape(one['unit'])} [dim]({escape(one['source'])})[/]"
        )


def affected(issue_id: IssueId, as_json: AsJson = False) -> None:
    """List the customers hit by an issue, and whether they were told."""
    client = reader()
    issue = find_issue(client, issue_id)
    found = list_affected(client, issue.id)
    if as_json:
        _print_json({"issue_id": issue.id, **asdict(row)} for row in found)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("Customer", "First failure (UTC)", "Contacted us", "Notice", "Reason"):
        table.add_column(heading)
    for row in found:
        contacted = _time(row.contacted_at) if row.contacted_at else "[dim]silent[/]"
        table.add_row(
            escape(row.customer_id),
            _time(row.first_failed_at),
            contacted,
            row.notice or "[dim]undecided[/]",
            escape(row.reason),
        )
    console = Console()
    console.print(table)
    console.print(f"{len(found):,} customers, {escape(issue.title)} ({issue.state})")


def sources(as_json: AsJson = False) -> None:
    """List every producer: rate, last event, silence, stretches without data, and how long its events are on their way.

    A disorder bound (CX_TELEMETRY_DISORDER_MS, ...) at or above the delay shown lets 99 of 100 events count on time.
    """
    found = list_sources(reader())
    if as_json:
        _print_json({**asdict(row), "disorder_ms": row.disorder_ms} for row in found)
        return
    console = Console()
    if not found:
        console.print("No event has arrived yet.")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("State", "Topic", "Producer", "Last event (UTC)", "No data in the last 7 days"):
        table.add_column(heading)
    for heading in ("Per minute", "Usual", "Delay p99", "Bound for it"):
        table.add_column(heading, justify="right")
    for row in found:
        table.add_row(
            _state(row.state),
            row.topic,
            escape(row.source or "(unnamed)"),
            _time(row.last_event)[5:],
            _gaps(row),
            f"{row.events_minute:,}",
            f"{row.usual_per_minute:,.0f}",
            "" if row.delay_p99_ms is None else f"{row.delay_p99_ms / 1_000:,.1f} s",
            "" if row.disorder_ms is None else f"{row.disorder_ms:,} ms",
        )
    console.print(table)


def _print_json(rows: Iterable[dict[str, Any]]) -> None:
    for row in rows:
        typer.echo(json.dumps(row, ensure_ascii=False))


def _state(state: str) -> str:
    return f"[{_STATES.get(state, 'white')}]{escape(state)}[/]"


def _cause(issue: IssueRow) -> str:
    return ", ".join(f"{name} = {value}" for name, value in issue.cause.items()) or "the whole service line"


def _time(text: str) -> str:
    return text[:19].replace("T", " ")


def _money(issue: IssueRow, amount: float) -> str:
    return f"{amount:,.2f} {issue.money.currency}".strip()


def _gaps(row: SourceRow) -> str:
    said = [
        f"{_time(gap.started)[5:]} for {gap.silent_s:,.0f} s{'' if gap.ended else ' so far'}" for gap in row.no_data
    ]
    return "\n".join(said[-3:]) or "none"
