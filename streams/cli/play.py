"""``cxwatch play``: a company's own file into Kafka. ``simulate`` and ``follow`` share its options and its lines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from heapq import merge
from inspect import getdoc
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from schemas.errors import ConfigError
from streams.cli.options import with_options
from streams.cli.output import print_json
from streams.cli.play_report import parse_share, refuse_unusable, show_report
from streams.demo.progress import clock
from streams.lateness import planned_lateness
from streams.settings import Settings, load_settings
from streams.sources import MappedFile, RowCounts, Span, load_mapping, read
from streams.sources.arrivals import AUTO, Arrival, Beats, automatic, with_heartbeats, with_origin
from streams.sources.beside import AskedBeside, shared_out
from streams.sources.joins import asked_join
from streams.sources.producer import Destination, Played, PlaySpeed, play
from streams.sources.report import report_of
from streams.sources.spans import moment_ms
from streams.sources.times import duration_ms
from streams.stack import endpoints
from streams.topics import ensure_topics

Speed = Annotated[str, typer.Option(help="Times faster than event time, e.g. 600, or flat (as fast as possible).")]
Heartbeat = Annotated[str, typer.Option(help="Event time between heartbeats, e.g. 60s or 5m.")]


def register(app: typer.Typer) -> None:
    """Add ``cxwatch play``."""
    app.command("play", help=getdoc(play_file))(with_options(PlayOptions, play_file))


@dataclass(frozen=True, slots=True)
class PlayOptions:
    """The command line of ``play``."""

    mapping: Annotated[str, typer.Argument(help="Mapping file, or a name that `cxwatch mappings list` prints.")]
    file: Annotated[Path, typer.Argument(help="CSV or JSON, plain or packed (gz, bz2, xz, zst, zip).")]
    also: Annotated[
        list[str] | None,
        typer.Option("--and", metavar="MAPPING=FILE", show_default=False,
                     help="A further file, played in between by time; give it once for each."),
    ] = None
    member: Annotated[
        str | None, typer.Option(help="Name or pattern of the file in a zip of several, instead of input.member.")
    ] = None
    speed: Speed = "flat"
    start: Annotated[str | None, typer.Option("--from", help="Only rows from this time on (ISO 8601, UTC).")] = None
    end: Annotated[str | None, typer.Option("--to", help="Only rows before this time.")] = None
    beside: Annotated[
        list[str] | None,
        typer.Option("--with", help="Join a file, repeatable: NAME=FILE on KEY (LEFT=RIGHT if it has two names)."),
    ] = None
    links: Annotated[
        Path | None, typer.Option("--links", help="Rows that name two identifiers of one customer; see identity.")
    ] = None
    heartbeat: Annotated[
        str, typer.Option(help="Event time between heartbeats, e.g. 60s or 5m; auto: as the events need them.")
    ] = AUTO
    check: Annotated[bool, typer.Option("--check", help="Map and report only; write nothing.")] = False
    as_json: Annotated[bool, typer.Option("--json", help="The report as one JSON object.")] = False
    max_rejects: Annotated[str, typer.Option(help="Largest share of rejected rows; with more nothing is written.")] = (
        "10%"
    )
    live: Annotated[
        bool, typer.Option("--live", help="The file is your live path: customers may be told of what is in it.")
    ] = False


def play_file(asked: PlayOptions) -> None:
    """Play a company's own file into Kafka in arrival order, through a declarative mapping.

    Files that belong together are played together (--and): a later play would find the clocks at the end of this one,
    and its events late.

    Events out of a file are marked as a replay: issues are found in them, but nobody is told of them, unless
    CX_OUTREACH_REPLAYED is set, which needs a receiver on this machine. With --live they count as if they came through
    a topic that is followed.
    """
    settings = load_settings()
    readings = _readings(asked, settings)
    pace = PlaySpeed(parse_speed(asked.speed))
    beats = automatic(pace.speed) if asked.heartbeat == AUTO else Beats(parse_duration(asked.heartbeat))
    limit = parse_share(asked.max_rejects)
    if asked.check:
        for reading in readings:
            reading.check()
    else:
        arrivals = merge(*map(_all_mapped, readings), key=attrgetter("at_ms"))
        if all(limit.refusal(reading.tally) is None for reading in readings):
            events = arrivals if asked.live else with_origin(arrivals, "replay")
            played = run(with_heartbeats(events, settings.partitions, beats), settings, pace)
            if not asked.as_json:
                show_played(played)
    for reading in readings:
        _show(reading, asked, settings)
    for reading in readings:
        for broken in reading.broken:
            raise broken
        refuse_unusable(reading.tally, limit)


def _readings(asked: PlayOptions, settings: Settings) -> list[MappedFile]:
    """Every file that is played, the first one first. Raises ConfigError for a wrong mapping or --and."""
    span, key = Span(moment_ms(asked.start, 0), moment_ms(asked.end, Span().end_ms)), settings.pseudonym_bytes()
    named = [(asked.mapping, asked.file)]
    for text in asked.also or ():
        mapping, found, file = text.partition("=")
        if not found or not mapping or not file:
            raise ConfigError(f"--and {text}: allowed is MAPPING=FILE, as in tickets.yaml=tickets.ndjson")
        named.append((mapping, Path(file)))
    rules = [load_mapping(mapping, key) for mapping, _ in named]
    if asked.member:
        rules[0] = replace(rules[0], shape=replace(rules[0].shape, member=asked.member))
    files = [file for _, file in named]
    beside = shared_out(AskedBeside(tuple(map(asked_join, asked.beside or ())), asked.links), rules, files)
    return [read(*one[:2], span, one[2]) for one in zip(rules, files, beside, strict=True)]


def _show(reading: MappedFile, asked: PlayOptions, settings: Settings) -> None:
    report = report_of(reading, planned_lateness(settings), settings.detect_customers)
    if asked.as_json:
        print_json([report.as_dict()])
        return
    if asked.also:
        typer.echo(f"{reading.file.name}:")
    show_tally(reading.tally)
    show_report(report, Console(), short=not asked.check)


def _all_mapped(reading: MappedFile) -> Iterator[Arrival]:
    """The messages of a file, once all of its rows are mapped and counted."""
    arrivals = reading.arrivals()
    with progress() as bar:
        bar.add_task(f"reading {reading.file.name}", total=None)
        first = list(islice(arrivals, 1))
    return chain(first, arrivals)


def parse_speed(text: str) -> float | None:
    """``flat`` -> None, ``600`` -> 600.0."""
    if text == "flat":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise ConfigError(f"--speed {text}: allowed are flat, or a number above 0 such as 600")
    return speed


def parse_duration(text: str) -> int:
    """``60s`` -> 60,000 ms."""
    try:
        value = duration_ms(text)
    except ValueError:
        value = 0
    if value < 1_000:
        raise ConfigError(f"{text}: allowed are durations from 1s on, such as 60s or 5m")
    return value


def run(arrivals: Iterable[Arrival], settings: Settings, pace: PlaySpeed) -> Played:
    """Create missing topics and play, with progress."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it cannot mend comes back as an error
    bootstrap = endpoints(settings, ("kafka",)).kafka_bootstrap
    ensure_topics(bootstrap, settings)
    target = Destination(bootstrap, settings.topic_prefix, settings.partitions)
    with progress() as bar:
        task = bar.add_task("reading", total=None)

        def watch(played: Played) -> None:
            bar.update(task, description=f"{clock(played.now_ms)}  {played.total:,} events")

        return asyncio.run(play(arrivals, target, pace, watch))


def progress() -> Progress:
    """A line that moves while something takes time."""
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True,
    )


def show_played(played: Played) -> None:
    """What was written."""
    typer.echo(
        f"played {played.total:,} events{_by_noun(played.events)} and {played.heartbeats:,} heartbeats "
        f"in {played.seconds:.1f} s, dead letters {played.dead_letters:,}"
    )


def show_tally(tally: RowCounts) -> None:
    """What became of the rows of a file."""
    typer.echo(
        f"rows {tally.rows:,}: events {sum(tally.events.values()):,}{_by_noun(tally.events)}, "
        f"rejected rows {tally.rejected:,}, no event {tally.unmatched:,}, outside the span {tally.outside:,}"
    )


def _by_noun(events: Mapping[str, int]) -> str:
    """Counts per noun in brackets; nothing if there are none."""
    counts = ", ".join(f"{noun} {count:,}" for noun, count in sorted(events.items()))
    return f" ({counts})" if counts else ""
