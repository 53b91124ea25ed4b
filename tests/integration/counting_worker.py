"""A worker process with the counting room of the runtime's tests. Usage: python -m ... ROOM... (settings in CX_*).

Rooms that stand still, for the watchdog: ``asleep`` blocks the event loop, ``locked`` keeps the interpreter's lock too,
``deaf`` gets no records while the file ``deaf`` lies in the state folder. A file ``hold-broker`` holds a process id
that is stopped as soon as recovery has read a piece. In room ``slow`` every transaction takes a second longer.

Room ``store`` is a sink that appends what it is given to ``rows.ndjson`` in the state folder, and is down while the
file ``sink-down`` lies beside it.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from schemas.errors import SinkUnavailable
from streams.cli.worker import prepare_logs, run
from streams.core.stage import Batch, Idle
from streams.runtime.batch import RawBatch
from streams.runtime.recovery import StateReader
from streams.runtime.room import Room, SinkRoom
from streams.runtime.transaction import Transaction
from streams.runtime.transport import BatchThread
from streams.runtime.writer import TransactionWriter
from streams.settings import load_settings
from tests.runtime.example import INPUTS, Counting, CountStage, broken_room, count_room


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


class BlockingStage(CountStage):
    """Stands still on the first batch."""

    def __init__(self, block: Callable[[int], object]) -> None:
        self.block = block

    def step(self, state: Counting, batch: Batch | Idle) -> None:
        self.block(600)


def deafen(folder: Path) -> None:
    """Let the consumer thread give out nothing while the file is there, as if it had lost its way after a rejoin."""
    original = BatchThread._fetch_records

    async def fetch(thread: BatchThread, *arguments: Any, **options: Any) -> Any:
        if (folder / "deaf").exists():
            await asyncio.sleep(0.1)
            return {}
        return await original(thread, *arguments, **options)

    patch.object(BatchThread, "_fetch_records", fetch).start()


def hold_broker(process: int) -> None:
    """Stop the broker when recovery has read a first piece."""
    original = StateReader._pairs

    def pairs(reader: StateReader, parts: Any) -> Any:
        os.kill(process, signal.SIGSTOP)
        return original(reader, parts)

    patch.object(StateReader, "_pairs", pairs).start()


def slow_room() -> Room[Counting]:
    """The counting room behind a Kafka that takes its time."""
    original = TransactionWriter.write

    async def write(writer: TransactionWriter, transaction: Transaction) -> None:
        await asyncio.sleep(1.0)
        await original(writer, transaction)

    patch.object(TransactionWriter, "write", write).start()
    return count_room()


def still_room(block: Callable[[int], object]) -> Room[Counting]:
    """A room that stands still in its stage."""
    return Room("join", INPUTS, BlockingStage(block), "customer")


if __name__ == "__main__":
    settings = load_settings()
    prepare_logs(settings)
    deafen(settings.state_dir)
    if (settings.state_dir / "hold-broker").exists():
        hold_broker(int((settings.state_dir / "hold-broker").read_text()))
    made: dict[str, Callable[[], Room[Any] | SinkRoom]] = {
        "join": count_room, "store": lambda: file_sink(settings.state_dir), "broken": broken_room,
        "slow": slow_room, "asleep": lambda: still_room(time.sleep),
        "locked": lambda: still_room(ctypes.PyDLL(None).sleep),
    }
    run([made[name]() for name in sys.argv[1:] or ["join"]], settings)
