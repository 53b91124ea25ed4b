"""``cxwatch diff``: two run folders side by side; the exit code says whether they found the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from schemas.currencies import money_text
from schemas.errors import CxError
from schemas.words import words_of
from streams.cli.ending import say
from streams.cli.listing import print_listing
from streams.cli.output import AsJson, print_json
from streams.replay.compare import Comparison, IssueChange, compare
from streams.replay.findings import FoundIssue, RunFindings, printable, read_run
from streams.replay.report.page import comparison_page
from streams.replay.wording import clock, decision_words, headline, length, value_words

DIFFERENT, REFUSED = 1, 2
"""Exit codes, as diff(1) has them; a comparison that was refused must not look like one that found something."""
_SIGNS = {"added": "[green]+[/]", "lost": "[red]-[/]", "changed": "[yellow]~[/]", "same": " "}
_MOST_DECISIONS = 12
_FIGURES = (("at_risk", "Money at risk"), ("per_minute", "Per minute, open"), ("service", "Contacts cost"),
            ("amounts", "Orders at stake"))  # fmt: skip

RunFolder = Annotated[Path, typer.Argument(help="Folder that a replay wrote.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add ``cxwatch diff``."""
    app.command("diff")(diff)


def diff(
    a: RunFolder,
    b: RunFolder,
    as_json: AsJson = False,
    report: Annotated[Path | None, typer.Option(help="Write a page with both timelines to this file.")] = None,
    force: Annotated[bool, typer.Option(help="Compare although the two runs had different inputs.")] = False,
) -> None:
    """Compare two runs: issues, when they were seen, who was hit, who would be told, money.

    Exit code 0: they found the same, byte for byte; 1: something differs; 2: they cannot be compared.
    """
    try:
        found = compare(read_run(a), read_run(b))
    except CxError as error:
        say(str(error))
        raise typer.Exit(REFUSED) from None
    if found.inputs and not force:
        say(f"the two runs had different inputs: {'; '.join(found.inputs)}. --force compares them all the same")
        raise typer.Exit(REFUSED)
    show(found, as_json, report)
    raise typer.Exit(0 if found.equal else DIFFERENT)


def show(found: Comparison, as_json: bool, report: Path | None) -> None:
    """Print a comparison, as text or as one JSON object, and write the report if one is wanted."""
    if as_json:
        print_json([found.as_dict()])
    else:
        print_comparison(Console(), found)
    if report is not None:
        report.write_text(comparison_page(found), encoding="utf-8")
        typer.echo(f"Report: {report}", err=True)


def print_comparison(console: Console, found: Comparison) -> None:
    """Everything that differs, for a terminal of any width."""
    for sentence in found.inputs:
        console.print(f"[bold yellow]! Different inputs:[/] {escape(sentence)}", highlight=False)
    console.print(f"[bold]{escape(headline(found))}[/]", highlight=False)
    for name, run in (("A", found.a), ("B", found.b)):
        console.print(f"[dim]{name}[/]  {escape(str(run.folder))}", highlight=False, soft_wrap=True)
    for change in found.settings:
        values = printable(f"{value_words(change.a)} -> {value_words(change.b)}")
        console.print(f"   {escape(change.name)}: {escape(values)}", highlight=False)
    if found.issues:
        console.print()
        rows = [_issue_row(change) for change in found.issues]
        print_listing(console, ("", "Seen (UTC)", "B sees it", "Affected", "What"), rows, below=1)
    _print_totals(console, found)
    _print_decisions(console, found)
    if found.different:
        console.print(f"\nDifferent findings: {', '.join(found.different)}", highlight=False)


def _issue_row(change: IssueChange) -> tuple[str, ...]:
    later = "" if change.kind in ("added", "lost") else in_time(change.later_ms)
    affected = f"{_count(change.a)} -> {_count(change.b)}"
    if change.a and change.b and change.a.customers == change.b.customers:
        affected = _count(change.b)
    what = escape(change.issue.title)
    if change.cause_changed and change.a:
        what += f" [yellow](A: {escape(change.a.title)})[/]"
    return _SIGNS[change.kind], clock(change.issue.seen_ms), later, affected, what


def in_time(later_ms: int) -> str:
    """How much earlier or later B sees an issue."""
    if later_ms == 0:
        return "[dim]at once[/]"
    return f"[green]{length(-later_ms)} earlier[/]" if later_ms < 0 else f"[red]{length(later_ms)} later[/]"


def _count(issue: FoundIssue | None) -> str:
    return f"{len(issue.customers):,}" if issue else "-"


def _print_totals(console: Console, found: Comparison) -> None:
    a, b = found.a, found.b
    added, removed = len(b.customers - a.customers), len(a.customers - b.customers)
    rows = [
        ("Issues", f"{len(a.issues):,}", f"{len(b.issues):,}",
         f"{len(found.of_kind('added'))} added, {len(found.of_kind('lost'))} lost"),
        ("Customers hit", f"{len(a.customers):,}", f"{len(b.customers):,}", f"{added:,} added, {removed:,} removed"),
        ("Notices (would go)", f"{a.notices:,}", f"{b.notices:,}",
         f"{found.notices_added:,} added, {found.notices_removed:,} removed"),
        *((heading, _in(a, name, currency), _in(b, name, currency), "")
          for name, heading in _FIGURES for currency in sorted({*a.money[name], *b.money[name]})),
    ]  # fmt: skip
    console.print()
    print_listing(console, ("", "A", "B", ""), rows, right=("A", "B"), below=1)
    assumed = sorted({**a.assumed, **b.assumed})
    if assumed:
        console.print(f"[dim]Money rests on assumed {escape(', '.join(assumed))}.[/]", highlight=False)


def _in(run: RunFindings, figure: str, currency: str) -> str:
    return money_text(run.money[figure].get(currency, 0), currency)


def _print_decisions(console: Console, found: Comparison) -> None:
    if not found.decisions:
        return
    console.print("\n[bold]Customers about whom the two decide differently[/]")
    rows = [
        (f"{change.customers:,}", words_of("stage", change.stage), escape(decision_words(change.a)),
         escape(decision_words(change.b)))
        for change in found.decisions[:_MOST_DECISIONS]
    ]  # fmt: skip
    print_listing(console, ("", "", "A", "B"), rows, right=("",), below=2)
    rest = found.decisions[_MOST_DECISIONS:]
    if rest:
        customers = sum(change.customers for change in rest)
        console.print(f"[dim]and {customers:,} more in {len(rest)} other ways; --json has all[/]", highlight=False)
