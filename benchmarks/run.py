"""``make bench``: job J for cxwatch and its peers on servers of its own, in alternating rounds.

    make bench                                             everything; hours on two cores
    make bench ONLY=cxwatch,floor EVENTS=600000 ROUNDS=3   rows whose name starts with one of these, fewer events

Every row's totals are compared with the truth after every round; a round that is wrong has no figure and is told.
Writes ``benchmarks/results/<date>-<machine>.json`` and prints the table and what became of the bars.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import cxwatch
from benchmarks.check import check_cxwatch, check_peer, drop_peer
from benchmarks.events import EventSet, event_set
from benchmarks.load import load
from benchmarks.measure import Figure, machine, row
from benchmarks.report import bars, table
from benchmarks.rivals import Peer, PeerError, discover, lacking, prepare, run
from benchmarks.stack import Servers, servers
from benchmarks.truth import truth_of
from streams.stack.machine import machine_in_words

RESULTS = Path(__file__).parent / "results"
EVENTS = 7_200_000
PYTHON_EVENTS = 1_200_000
"""What the row without the accelerator gets: enough for a steady state."""
ROUNDS = 3
OWN = {
    "cxwatch": "our rooms join and store in one worker: findings in ClickHouse, dedup, dead letters, transactions",
    "cxwatch+raw": "the same, and every event copied to ClickHouse",
    "cxwatch-python": "as cxwatch, without the native join room (CX_NATIVE=off)",
}
FLOOR = Peer(
    name="floor-aiokafka",
    about="a ceiling: aiokafka with whole record batches and msgspec, nothing else done",
    folder=Path(__file__).parents[1],
    run=(sys.executable, "-m", "benchmarks.floor"),
    check="none",
)


@dataclass(frozen=True)
class Entry:
    """One row to be: how to do a round on a loaded set. Returns the figure, or raises PeerError."""

    name: str
    about: str
    events: int
    round: Callable[[Servers, EventSet, int], Figure]


def entries(only: Sequence[str], events: int, say: Callable[[str], None]) -> list[Entry]:
    """Return the rows to measure, those of ``only`` (beginnings of names; empty: all), prepared."""
    found = [
        Entry(name, about, min(events, PYTHON_EVENTS) if name.endswith("-python") else events, _own_round(name))
        for name, about in OWN.items() if _wanted(name, only)
    ]
    for peer in [FLOOR, *discover()]:
        if not _wanted(peer.name, only):
            continue
        reason = lacking(peer)
        if not reason:
            try:
                prepare(peer)
            except PeerError as error:
                reason = f"{peer.name} is left out: {error}"
        if reason:
            say(reason)
        else:
            found.append(Entry(peer.name, peer.about, min(events, peer.events or events), _peer_round(peer)))
    return found


def _wanted(name: str, only: Sequence[str]) -> bool:
    """True for a name that ``only`` names, or whose first part it names (``floor`` for ``floor-aiokafka``)."""
    return not only or any(name == part or name.startswith(f"{part}-") for part in only)


def _own_round(name: str) -> Callable[[Servers, EventSet, int], Figure]:
    raw, native = name.endswith("+raw"), not name.endswith("-python")

    def do(where: Servers, events: EventSet, _number: int) -> Figure:
        figure = cxwatch.measure(where, prefix_of(events), events, raw, native)
        _refuse(check_cxwatch(where.client(cxwatch.DATABASE), truth_of(events)))
        return figure

    return do


def _peer_round(peer: Peer) -> Callable[[Servers, EventSet, int], Figure]:
    def do(where: Servers, events: EventSet, number: int) -> Figure:
        name = f"{re.sub('[^a-z0-9]', '_', peer.name)}_r{number}"
        client = where.client()
        drop_peer(client, name)
        log = where.settings.state_dir / "logs" / f"{name}.log"
        figure = run(peer, where.peer_environment(prefix_of(events), name, events.events), log)
        if peer.check == "none":
            _refuse([] if figure.events == events.events else [f"read {figure.events} of {events.events} events"])
        else:
            _refuse(check_peer(client, name, truth_of(events), peer.check))
        drop_peer(client, name)
        return figure

    return do


def _refuse(differences: Sequence[str]) -> None:
    if differences:
        raise PeerError("not equal to the truth, the figure does not count:\n  " + "\n  ".join(differences))


def prefix_of(events: EventSet) -> str:
    """Prefix of the topics that hold a set."""
    return f"b{events.events}."


def measure(chosen: Sequence[Entry], rounds: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Load every set that is needed, do the rounds in turn, return one row per entry that has a figure."""
    sets = {size: event_set(size) for size in sorted({entry.events for entry in chosen})}
    for events in sets.values():
        truth_of(events)
    figures: dict[str, list[Figure]] = {entry.name: [] for entry in chosen}
    with servers() as where:
        for events in sets.values():
            load(where.bootstrap, prefix_of(events), events)
            say(f"loaded {events.events} events of {events.value_bytes / events.events:.0f} bytes")
        for number in range(1, rounds + 1):
            for entry in chosen:
                try:
                    figure = entry.round(where, sets[entry.events], number)
                except PeerError as error:
                    say(f"round {number}, {entry.name}: {error}")
                    continue
                figures[entry.name].append(figure)
                say(f"round {number}, {entry.name}: {figure.cpu_s_per_million:.2f} CPU s per million events, "
                    f"{figure.events_per_s:,.0f} events/s, {figure.rss_mb:.0f} MB")
    return [row(entry.name, entry.about, figures[entry.name]) for entry in chosen if figures[entry.name]]


def write(rows: Sequence[Mapping[str, Any]], folder: Path = RESULTS, kind: str = "") -> Path:
    """Write the rows with the machine they were measured on; returns the file. ``kind``: other than job J."""
    folder.mkdir(exist_ok=True, parents=True)
    now = datetime.now(UTC)
    file = folder / f"{kind}{'-' if kind else ''}{now:%Y-%m-%d}-{machine()}.json"
    stamped = [{**one, "machine": machine_in_words(), "measured_at": f"{now:%Y-%m-%dT%H:%MZ}"} for one in rows]
    file.write_text(json.dumps(stamped, indent=1) + "\n")
    return file


def main() -> int:
    """Parse, measure, write, print."""
    parser = argparse.ArgumentParser(description="Job J for cxwatch and its peers")
    parser.add_argument("--only", default="", help="rows, separated by commas; the first part of a name is enough")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    given = parser.parse_args()
    only = [part for part in given.only.split(",") if part]
    chosen = entries(only, given.events, _say)
    if not chosen:
        _say("nothing to measure: no row has such a name")
        return 2
    rows = measure(chosen, given.rounds, _say)
    file = write(rows, given.results)
    print(table(rows))
    print("\n".join(bars(rows)))
    _say(f"written to {file.name}")
    return 0 if len(rows) == len(chosen) else 1


def _say(sentence: str) -> None:
    print(sentence, flush=True)


if __name__ == "__main__":
    sys.exit(main())
