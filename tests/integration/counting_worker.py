"""A worker process with the counting room of the runtime's tests. Usage: python -m ... ROOM... (settings in CX_*).

Room ``store`` is a sink that appends what it is given to ``rows.ndjson`` in the state folder, and is down while the
file ``sink-down`` lies beside it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from schemas.errors import SinkUnavailable
from streams.runtime.batch import RawBatch
from streams.runtime.room import Room, SinkRoom
from streams.settings import load_settings
from streams.worker import prepare_logs, run
from tests.runtime.example import broken_room, count_room


def file_sink(folder: Path) -> SinkRoom:
    """One line per record: topic, partition, offset."""

    async def write(batches: list[RawBatch]) -> None:
        if (folder / "sink-down").exists():
            raise SinkUnavailable("file", retry_after=0.1)
        with (folder / "rows.ndjson").open("a", encoding="utf-8") as out:
            for batch in batches:
                for offset in batch.offsets:
                    out.write(json.dumps([batch.topic, batch.partition, offset]) + "\n")

    return SinkRoom("store", ("telemetry", "order", "contact", "episode", "order.dlq", "change"), write)


if __name__ == "__main__":
    settings = load_settings()
    prepare_logs(settings)
    made: dict[str, Callable[[], Room[Any] | SinkRoom]] = {
        "join": count_room, "store": lambda: file_sink(settings.state_dir), "broken": broken_room,
    }
    run([made[name]() for name in sys.argv[1:] or ["join"]], settings)
