"""Take a snapshot of a line that goes on: states from who reads to who writes, then what lies between them.

Nothing is stopped, joined or written: state topics are read as a recovery reads them, without fencing anybody.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from schemas.errors import ConfigError
from schemas.topics import BY_NOUN, state_topic
from streams.core.join.native import find
from streams.replay.live import NOUNS, open_live
from streams.replay.snapshot import MANIFEST, TAKEN, WRITERS, SnapshotManifest, write_snapshot
from streams.runtime.recovery import StateReader
from streams.runtime.state import Recovered
from streams.settings import Settings
from streams.topics import partition_counts, topic_ids

STALL_S = 30.0
"""A read that does not move for so long has failed."""


def take_snapshot(settings: Settings, bootstrap: str, folder: Path) -> SnapshotManifest:
    """Store the states of all rooms of a deployment, and what is in flight.

    Raises ConfigError if the folder holds a snapshot already, a topic is missing or a room has no state yet;
    SinkUnavailable, KafkaFailed, Stalled and StateDamaged as a recovery does.
    """
    if (folder / MANIFEST).exists():
        raise ConfigError(f"{folder} holds a snapshot already: name another folder")
    names = {noun: settings.named(BY_NOUN[noun].name) for noun in (*NOUNS, *WRITERS)}
    counts = partition_counts(bootstrap, names.values())
    partitions = max(counts.values(), default=0)
    taken_at_ms = time.time_ns() // 1_000_000
    states: dict[tuple[str, int], Recovered] = {}
    for room in TAKEN:
        numbers = list(range(partitions if room.tasks == "customer" else 1))
        topic = settings.named(state_topic(room.name))
        reader = StateReader(bootstrap, topic, STALL_S, True, find() is not None)
        found = asyncio.run(reader.read(numbers))
        states |= {(room.name, number): found[number] for number in numbers}
    between = open_live(settings, bootstrap, nouns=tuple(WRITERS))
    ids = topic_ids(bootstrap, names.values())
    known = {noun: ids[name] for noun, name in names.items() if name in ids}
    return write_snapshot(folder, partitions, states, between.batches, taken_at_ms, known)
