"""The report of ``cxwatch play``: what a mapping made of a file, and whether that is good enough to be written.

Fits 80 columns. The exit code is 65 (``EX_DATAERR`` of sysexits) if no row could be mapped, or more were rejected than
``--max-rejects`` allows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from schemas.errors import ConfigError
from streams.cli.ending import say
from streams.sources import RowCounts
from streams.sources.counts import Reason
from streams.sources.remarks import counted
from streams.sources.report import EventReport, LateEvents, Report

WRONG_DATA = 65
"""Exit code for a file that cannot be used."""
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%|([0-9]{1,3})")
_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


@dataclass(frozen=True, slots=True)
class MostRejects:
    """The share of rejected rows that is put up with, in percent. One row of three is 33 %, in small files as well."""

    percent: float

    def refusal(self, tally: RowCounts) -> str | None:
        """Why nothing of a file is written, and how to go on; None if no more rows than that were rejected."""
        share = tally.rejected_share * 100
        if share <= self.percent:
            return None
        return (
            f"{tally.rejected:,} of {tally.rows:,} rows were rejected ({share:.3g} %), --max-rejects allows "
            f"{self.percent:g} %: nothing is written. Mend the mapping or the file, or go on without these rows (they "
            f"become dead letters): --max-rejects {needed_percent(share)}%"
        )


def needed_percent(share: float) -> int:
    """The whole number of percent that allows a share.

    >>> needed_percent(33.3), needed_percent(20.0)
    (34, 20)
    """
    return min(100, math.ceil(share))


def parse_share(text: str) -> MostRejects:
    """``10%`` or ``10`` -> 10 percent. Raises ConfigError."""
    match = _PERCENT.fullmatch(text.strip())
    percent = float(match[1] or match[2]) if match else -1.0
    if not 0 <= percent <= 100:
        raise ConfigError(f"--max-rejects {text}: allowed are shares from 0% to 100%, such as 10% or 0.5%")
    return MostRejects(percent)


def refuse_unusable(tally: RowCounts, limit: MostRejects) -> None:
    """End with exit code 65 and a sentence if no row made an event, or more were rejected than is allowed."""
    if refusal := _nothing_mapped(tally) or limit.refusal(tally):
        say(refusal)
        raise typer.Exit(WRONG_DATA)


def _nothing_mapped(tally: RowCounts) -> str | None:
    if tally.total or tally.outside or not tally.rows:
        return None
    if tally.rejected == tally.rows:
        return f"no row could be mapped: all {tally.rejected:,} were rejected"
    if tally.rejected:
        return f"no row made an event: {tally.rejected:,} were rejected, for {tally.unmatched:,} no `when` holds"
    return f"no row made an event: for none of the {tally.unmatched:,} a `when` holds"


def show_report(report: Report, console: Console, *, short: bool = False) -> None:
    """For people. ``short``: what was rejected, and warnings."""
    if not short:
        _show_events(report, console)
    _show_rejects(report, console)
    if not short:
        _show_filled(report, console)
        _show_statuses(report, console)
        for late in report.late:
            _say(console, "late", _late(late))
        if report.statuses and not report.late:
            _say(console, "late", "no event", "dim")
    for warning in report.warnings:
        _say(console, "warning", warning)
    for remark in report.remarks:
        _say(console, "note", remark)
    if not report.rows:
        _say(console, "note", f"{report.file} has no rows")
    elif report.outside and not report.events:
        _say(console, "note", "no event lies between --from and --to")


def _show_events(report: Report, console: Console) -> None:
    table = _table(("event", "to"), ("matched", "events", "rejected"))
    for rule in report.rules:
        table.add_row(rule.event, rule.to, f"{rule.matched:,}", f"{rule.events:,}", _red(rule.rejected))
    if report.unreadable:
        table.add_row("(row)", "", "", "", _red(report.unreadable))
    console.print(table)


def _show_rejects(report: Report, console: Console) -> None:
    if not report.rejected:
        return
    console.print(f"{counted(report.rejected, 'row')} rejected ({report.share:.1%}), the first of each event:")
    table = _table(("line", "event", "field", "rule", "value"), ())
    for event, reasons in [*((one.event, one.reasons) for one in report.rules), ("(row)", report.unreadable_reasons)]:
        for reason in reasons:
            table.add_row(*_reason(event, reason))
    console.print(table)


def _reason(event: str, reason: Reason) -> tuple[str, ...]:
    """The field without what the event says already."""
    field = reason.field.removeprefix(event).lstrip(".") or "(row)"
    return reason.line, event, escape(field), escape(reason.rule), reason.value_class


def _show_filled(report: Report, console: Console) -> None:
    """Fields that are filled in every event stand together; the others are counted."""
    for rule in report.rules:
        if not rule.events:
            continue
        full = [name for name, count in rule.filled.items() if count == rule.events]
        _say(console, rule.event, f"in each of {counted(rule.events, 'event')}: {', '.join(full) or 'no field'}")
        partial = {name: count for name, count in rule.filled.items() if count < rule.events}
        if partial:
            console.print(_partial(rule, partial))


def _partial(rule: EventReport, partial: dict[str, int]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(width=4)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column()
    for name, count in partial.items():
        share = f"{count / rule.events:.1%}" if count else "0 %"
        table.add_row("", name, f"{count:,}", share, "" if count else "[bold yellow]never filled[/]")
    return table


def _show_statuses(report: Report, console: Console) -> None:
    for noun, statuses in report.statuses.items():
        if statuses:
            _say(console, noun, ", ".join(f"{name or '(none)'} {count:,}" for name, count in statuses.items()))
    if report.unmatched:
        _say(console, "skipped", f"{counted(report.unmatched, 'row')} for which no `when` holds")


def _late(late: LateEvents) -> str:
    unit = 1 if late.setting.endswith("_MS") else 1_000
    beyond = f"{late.events:,} of {late.to} arrive more than {_duration(late.value * unit)} after they happened: "
    effect = "kept apart, they change nothing" if late.effect == "too old" else "they miss the counts of their time"
    taken = "takes them" if late.taken == late.events else f"takes {late.taken:,} of them (more is not allowed)"
    return f"{beyond}{effect}. {late.setting}={late.needed} {taken} (now {late.value})"


def _duration(ms: int) -> str:
    unit, name = next(((unit, name) for unit, name in _UNITS if ms >= unit and ms % unit == 0), (1, "ms"))
    return f"{ms // unit:,} {name}"


def _table(left: Iterable[str], right: Iterable[str]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right")
    return table


def _red(count: int) -> str:
    return f"[bold red]{count:,}[/]" if count else "0"


def _say(console: Console, what: str, text: str, colour: str = "") -> None:
    colour = colour or {"warning": "bold yellow", "late": "bold yellow", "note": "bold"}.get(what, "dim")
    console.print(f"[{colour}]{escape(what)}:[/] {escape(text)}", highlight=False)
