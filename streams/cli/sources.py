"""``cxwatch sources``: every producer as the boards show it, as text or as one JSON object per line."""

from __future__ import annotations

from dataclasses import asdict

import typer
from rich.console import Console
from rich.markup import escape

from streams.board.queries import SourceRow, list_sources
from streams.cli.listing import print_listing
from streams.cli.output import AsJson, print_json, reader, short_time, state_markup

HEADINGS = (
    "State", "Topic", "Producer", "Last event (UTC)", "Per minute", "Usual", "Delay p99", "Bound for it", "No data",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add ``cxwatch sources``."""
    app.command("sources")(sources)


def sources(as_json: AsJson = False) -> None:
    """List every producer: rate, last event, silence, stretches without data, and how long its events are on their way.

    A disorder bound (CX_TELEMETRY_DISORDER_MS, ...) at or above the delay shown lets 99 of 100 events count on time.
    """
    found = list_sources(reader())
    if as_json:
        print_json({**asdict(row), "disorder_ms": row.disorder_ms} for row in found)
        return
    console = Console()
    if not found:
        console.print("No event has arrived yet.")
        return
    rows = [
        (
            state_markup(row.state),
            row.topic,
            escape(row.source or "(unnamed)"),
            short_time(row.last_event)[5:],
            f"{row.events_minute:,}",
            f"{row.usual_per_minute:,.0f}",
            "" if row.delay_p99_ms is None else f"{row.delay_p99_ms / 1_000:,.1f} s",
            "" if row.disorder_ms is None else f"{row.disorder_ms:,} ms",
            _gaps(row),
        )
        for row in found
    ]
    print_listing(console, HEADINGS, rows, right=("Per minute", "Usual", "Delay p99", "Bound for it"), below=3)
    if any(row.no_data for row in found):
        console.print("[dim]no data: stretches of the last 7 days, the last three[/]")


def _gaps(row: SourceRow) -> str:
    gaps = [
        f"{short_time(gap.started)[5:]} for {gap.silent_s:,.0f} s{'' if gap.ended else ' so far'}"
        for gap in row.no_data
    ]
    return ", ".join(gaps[-3:])
