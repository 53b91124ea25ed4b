"""How fast a replay is: ``python -m benchmarks.replay [--events 600000]``. One line per case, CPU time of one process.

Job J's events as a recording of four partitions. ``read``: its files into columns. Then the rooms over it, in one
process, without a folder: join alone (what job J asks for), all that an incident needs, all of them; join once more in
Python. Best of ``--rounds`` runs; events a second and core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.events import PARTITIONS, TOPICS, EventSet, event_set
from schemas.codec import encode
from schemas.events import HEARTBEAT_KEY, Heartbeat
from streams.core.join.native import find
from streams.replay.engine import ReplayOptions, replay
from streams.replay.plan import ROOMS
from streams.replay.recording import RecordingWriter
from streams.replay.source import RecordingSource
from streams.runtime.memory import FAR
from streams.settings import Settings

EVENTS = 600_000
LINES = 1 << 21
"""Bytes of the set that are read at a time."""


def record(events: EventSet, folder: Path) -> RecordingSource:
    """The set as a recording, with a heartbeat per topic partition at the end."""
    with RecordingWriter(folder, PARTITIONS, {"kind": "recording"}, appended=False) as writer:
        for noun in TOPICS:
            for partition in range(PARTITIONS):
                log = writer.log(noun, partition)
                for lines in events.lines(noun, partition, LINES):
                    for line in lines:
                        key, _, value = line.partition(b"\t")
                        log.append(key, value, (), FAR)
                beat = Heartbeat(event_time_ms=events.end_ms + 60_000, source="bench")
                log.append(HEARTBEAT_KEY, encode(beat), (), FAR)
    return RecordingSource(folder)


def best(rounds: int, work: Callable[[], object]) -> float:
    """Seconds of CPU of the fastest run."""
    found = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return min(found)


def read(source: RecordingSource) -> int:
    """Read everything; the number of records."""
    logs = ((noun, partition) for noun in source.nouns() for partition in range(source.partitions))
    return sum(len(batch) for log in logs for batch in source.batches(*log))


def cases() -> Iterator[tuple[str, tuple[str, ...], Settings]]:
    """Name, rooms and settings of every case."""
    yield "join", ("join",), Settings()
    yield "all but experience", tuple(room for room in ROOMS if room != "experience"), Settings()
    yield "all rooms", ROOMS, Settings()
    if find() is not None:
        yield "join in Python", ("join",), Settings(native="off")


def main() -> None:
    """Measure every case and print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        source = record(event_set(asked.events), Path(folder))
        count = read(source)
        show("read a recording", count, best(asked.rounds, lambda: read(source)))
        for name, rooms, settings in cases():
            show(name, count, best(asked.rounds, partial(replay, source, settings, ReplayOptions(rooms))))


def show(name: str, count: int, seconds: float) -> None:
    """One line."""
    print(f"{name:22} {count / seconds:12,.0f} events/s and core {1e6 * seconds / count:9.2f} us an event", flush=True)


if __name__ == "__main__":
    main()
