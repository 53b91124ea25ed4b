"""``cxwatch issues`` and ``affected``: what the boards show of them, as text or as one JSON object per line."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from schemas.issue_ids import short_ids
from streams.board.queries import IssueRow, event_now, find_issue, in_words, iso, list_affected, list_issues
from streams.cli.listing import print_listing
from streams.cli.output import AsJson, print_json, reader, short_time, state_markup

HEADINGS = ("State", "Id", "Since (UTC)", "Affected", "Silent", "Per minute", "")
IssueId = Annotated[str, typer.Argument(help="Id of the issue, or its beginning.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="What is wrong: every issue with cause, affected, silent and money.")
    group.callback(invoke_without_command=True)(issues)
    group.command("show")(show)
    app.add_typer(group, name="issues")
    app.command("affected")(affected)


def issues(
    context: typer.Context,
    as_json: AsJson = False,
    suspected: Annotated[bool, typer.Option(help="Also those that have not opened.")] = False,
) -> None:
    """List every issue, active and costliest first."""
    if context.invoked_subcommand:
        return
    client = reader()
    known = list_issues(client, suspected=True)
    found = [issue for issue in known if suspected or issue.state != "suspected"]
    if as_json:
        print_json(issue.as_dict() for issue in found)
        return
    console = Console()
    if not found:
        console.print("No issue.")
        return
    short = short_ids([issue.id for issue in known])
    rows = [_row(issue, short[issue.id]) for issue in found]
    print_listing(console, HEADINGS, rows, right=("Affected", "Silent", "Per minute"), below=1)
    now = event_now(client)
    console.print(f"[dim]event time {iso(now) if now else 'unknown'}[/]")


def _row(issue: IssueRow, short: str) -> tuple[str, ...]:
    """The title says the cause; `cxwatch issues show` says the rest."""
    per_minute, since = in_words(issue.money.per_minute), short_time(issue.opened_at)[5:16]
    numbers = f"{issue.affected:,}", f"{issue.silent:,}", per_minute
    return state_markup(issue.state), short, since, *numbers, escape(issue.title)


def show(issue_id: IssueId, as_json: AsJson = False) -> None:
    """Show one issue: cause, counts, money and every parameter behind it."""
    issue = find_issue(reader(), issue_id)
    if as_json:
        print_json([issue.as_dict()])
        return
    console = Console()
    provisional = "  [dim]provisional[/]" * issue.provisional
    console.print(f"[bold]{escape(issue.title)}[/]  {state_markup(issue.state)}{provisional}")
    money = issue.money
    facts = {
        "id": issue.id,
        "line, signal": f"{issue.line}, {issue.signal}",
        "cause": f"{_cause(issue)}  (risk ratio {issue.risk_ratio:.1f}, {issue.support:.0%} of the excess)",
        "changes": ", ".join(issue.changes) or "none known",
        "since": f"{short_time(issue.opened_at)} (estimated), detected {short_time(issue.detected_at)}",
        "over": short_time(issue.resolved_at) if issue.resolved_at else "not yet",
        "affected": f"{issue.affected:,}, of these {issue.contacted:,} contacted us, {issue.silent:,} silent",
        "orders": in_words(money.amounts),
        "at risk": f"{in_words(money.at_risk)} ({in_words(money.at_risk_low)} to {in_words(money.at_risk_high)})",
        "per minute": in_words(money.per_minute),
        "service": in_words(money.service),
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
        print_json({"issue_id": issue.id, **asdict(row)} for row in found)
        return
    rows = [
        (
            escape(row.customer_id),
            short_time(row.first_failed_at)[5:],
            short_time(row.contacted_at)[5:] if row.contacted_at else "[dim]silent[/]",
            row.notice or "[dim]undecided[/]",
            escape(row.reason),
        )
        for row in found
    ]
    console = Console()
    print_listing(console, ("Customer", "First failure (UTC)", "Contacted us", "Notice", "Reason"), rows, below=1)
    console.print(f"{len(found):,} customers, {escape(issue.title)} ({issue.state})")


def _cause(issue: IssueRow) -> str:
    return ", ".join(f"{name} = {value}" for name, value in issue.cause.items()) or "the whole service line"
