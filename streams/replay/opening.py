"""Find the source that a command names.

    live                          topics of this deployment
    a folder                      a recording
    simulation, simulation:seed=9 the made-up company
    world:NAME, world:NAME:seed=9 a world of the incident library
    MAPPING FILE...               a company's own files, with heartbeats as ``cxwatch play`` makes them

A stretch is given as times of ISO 8601 (append time; of files and made-up companies arrival time), of live topics
also as offsets. Profiles, changes and orders hold until something replaces them: those of before the stretch are read
too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from importlib import import_module
from operator import attrgetter
from pathlib import Path

from schemas.errors import ConfigError
from schemas.topics import EVENT_NOUNS
from streams.replay.live import Bound, open_live
from streams.replay.recording import END_MS, MANIFEST
from streams.replay.source import RecordingSource, Source, from_arrivals
from streams.settings import Settings
from streams.simulate import SimulateRules, simulate
from streams.sources import Span, load_mapping, read
from streams.sources.arrivals import Arrival, automatic, with_heartbeats
from streams.sources.spans import moment_ms
from streams.stack import endpoints

LIVE, SIMULATION, WORLD = "live", "simulation", "world"


@dataclass(frozen=True)
class SourceRequest:
    """What a command names."""

    source: str
    files: tuple[str, ...] = ()
    """Of a mapping; MAPPING=FILE for one with a mapping of its own, played in between by time."""
    start: str | None = None
    """--from."""
    end: str | None = None
    """--to."""
    partitions: int | None = None
    """Customer partitions of what has none of its own."""


def open_source(wanted: SourceRequest, settings: Settings) -> Source:
    """Open it. Raises ConfigError for what cannot be read like this, RecordingDamaged, SinkUnavailable."""
    name, *rest = wanted.source.split(":")
    partitions = wanted.partitions or settings.partitions
    if name == LIVE and not rest:
        bootstrap = endpoints(settings, ("kafka",)).kafka_bootstrap
        return open_live(settings, bootstrap, _bound(wanted.start), _bound(wanted.end))
    low, high = moment_ms(wanted.start, 0), moment_ms(wanted.end, END_MS)
    if name == SIMULATION:
        seed = _seed(wanted.source, rest, SimulateRules().seed)
        arrivals = _within(simulate(SimulateRules(seed=seed)).arrivals(partitions), low, high)
        return from_arrivals(wanted.source, "simulation", arrivals, partitions)
    if name == WORLD:
        arrivals = _within(_world(wanted.source, rest, partitions), low, high)
        return from_arrivals(wanted.source, "world", arrivals, partitions)
    path = Path(wanted.source)
    if path.is_dir():
        return _recording(path, low, high)
    return _mapped(wanted, settings, partitions, low, high)


def _bound(text: str | None) -> Bound | None:
    if text is None:
        return None
    return Bound.at_offsets(text) if "=" in text else Bound(moment_ms(text, 0))


def _recording(folder: Path, low: int, high: int) -> Source:
    source = RecordingSource(folder, low, high)
    if not source.appended and (low, high) != (0, END_MS):
        raise ConfigError(f"nobody knows when the records of {folder} were appended: leave --from and --to away")
    return source


def _mapped(wanted: SourceRequest, settings: Settings, partitions: int, low: int, high: int) -> Source:
    if not wanted.files:
        here = Path(wanted.source)
        what = f"it has no {MANIFEST}" if here.exists() else "there is no such folder"
        raise ConfigError(
            f"{wanted.source} is no source ({what}): allowed are live, simulation[:seed=N], world:NAME, the folder of "
            "a recording, or a mapping with the files that it maps"
        )
    key = settings.pseudonym_bytes()
    named = [file.rpartition("=") for file in wanted.files]
    span = Span(end_ms=high)  # a row that begins later holds nothing that arrives sooner
    readings = [read(load_mapping(own or wanted.source, key), Path(file), span) for own, _, file in named]
    arrivals = merge(*(reading.arrivals() for reading in readings), key=attrgetter("at_ms"))
    played = with_heartbeats(_within(arrivals, low, high), partitions, automatic(None))
    source = from_arrivals(Path(wanted.source).stem, "mapping", played, partitions)
    for reading in readings:
        for broken in reading.broken:
            raise broken
        source.about[reading.file.name] = {"rows": reading.tally.rows, "rejected": reading.tally.rejected}
    return source


def _world(asked: str, rest: Sequence[str], partitions: int) -> Iterator[Arrival]:
    library = import_module("streams.simulate.library.world")
    name = rest[0] if rest else ""
    world = library.WORLDS.get(name)
    if world is None:
        raise ConfigError(f"{asked}: there is no such world; there are {', '.join(library.WORLDS)}")
    play: Callable[..., Iterator[Arrival]] = world.play
    return play(seed=_seed(asked, rest[1:], library.SEED), partitions=partitions)


def _seed(asked: str, rest: Sequence[str], default: int) -> int:
    if not rest:
        return default
    name, _, number = rest[0].partition("=")
    if len(rest) > 1 or name != "seed" or not number.isdigit():
        raise ConfigError(f"{asked}: allowed behind the name is :seed=NUMBER")
    return int(number)


def _within(arrivals: Iterable[Arrival], low: int, high: int) -> Iterator[Arrival]:
    """Events of a stretch, and everything else of before its end."""
    for arrival in arrivals:
        if arrival.at_ms < high and (arrival.at_ms >= low or arrival.noun not in EVENT_NOUNS):
            yield arrival
