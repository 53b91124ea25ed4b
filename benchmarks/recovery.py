"""How long the join room takes to take up its state again, and what a customer in state costs. Needs nothing running.

    python -m benchmarks.recovery 1000000              recovery of as many customers' state from a real Kafka
    python -m benchmarks.recovery growth 1000 1000000  CPU per event with few and with many customers in state

Every customer has one open episode of one failure (dedup hashes of the last minutes on top). The state is made by the
room itself and written by the production writer to the state topic of a Kafka of its own (or of CX_KAFKA_BOOTSTRAP);
recovery is the production code, in a process of its own, so that its memory can be told.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from schemas.codec import encode
from schemas.events import Telemetry
from schemas.hot import struct_of
from schemas.partition import partitions_of
from schemas.topics import state_topic
from streams.agents.join import room
from streams.core.stage import Batch, Idle
from streams.runtime.batch import RawBatch
from streams.runtime.limits import GC_THRESHOLDS
from streams.runtime.recovery import StateReader
from streams.runtime.state import Recovered
from streams.runtime.task import PartitionTask
from streams.runtime.writer import TransactionWriter
from streams.settings import Settings
from streams.stack import UpOptions, down, up
from streams.stack.process import PidFile
from streams.topics import ensure_topics

PARTITIONS = 4
START_MS = 1_767_225_600_000
SLICE = 300
FLUSH_EVENTS = 50_000
GROWTH_EVENTS = 200_000
FAILED_EVERY = 50
"""One event in 50 fails: touches an episode."""


@contextmanager
def own_kafka() -> Iterator[str]:
    """Bootstrap address of a Kafka for this run; the one that CX_KAFKA_BOOTSTRAP names if it is set."""
    named = os.environ.get("CX_KAFKA_BOOTSTRAP")
    if named:
        yield named
        return
    folder = Path(tempfile.mkdtemp(prefix="cxwatch-bench-"))
    PidFile(folder / "owner").write(os.getpid())
    settings = Settings(state_dir=folder / "state")
    try:
        yield up(settings, options=UpOptions(only=("kafka",), die_with_parent=True)).kafka_bootstrap
    finally:
        down(settings, patience_s=1.0)
        shutil.rmtree(folder, ignore_errors=True)


def event(number: int, customer: str, time_ms: int, failed: bool) -> Any:
    """One telemetry event as the hot decoder gives it."""
    return struct_of(Telemetry)(
        event_id=f"01J9-{number:012x}", event_time_ms=time_ms, customer_id=customer, source="app-ios", product="shop",
        component=("search", "cart", "checkout", "account")[number % 4],
        app_version=("5.1.0", "5.2.0")[number // 3 % 2], platform=("ios", "android")[number // 5 % 2],
        region=("DE", "FR", "AT", "CH", "NL")[number // 7 % 5],
        device_model=("Nova 8", "Pix 4", "iP 16")[number // 11 % 3], event_name="checkout_submit",
        outcome="failed" if failed else "ok",
    )  # fmt: skip


def tasks_with(customers: int, partitions: int) -> Iterator[tuple[PartitionTask[Any], Any]]:
    """Yield (task, its transaction) again and again until all customers have failed once, within half an hour."""
    names = [f"c-{number:08d}" for number in range(customers)]
    homes = partitions_of([name.encode() for name in names], partitions)
    for partition in range(partitions):
        task: PartitionTask[Any] = PartitionTask(room(Settings()), partition, partitions)
        mine = [(number, names[number]) for number in range(customers) if homes[number] == partition]
        for at in range(0, len(mine), FLUSH_EVENTS):
            for low in range(at, min(at + FLUSH_EVENTS, len(mine)), SLICE):
                part = mine[low : low + SLICE]
                times = [START_MS + number * 1_800_000 // customers for number, _ in part]
                records = [event(number, who, when, True) for (number, who), when in zip(part, times, strict=True)]
                task.room.stage.step(task.state, Batch("telemetry", partition, records, range(low, low + len(part))))
            task.room.stage.step(task.state, Idle(times[-1] - 10_000, ("order", "contact")))
            task.dirty = True
            yield task, task.flush(START_MS)


async def write_state(bootstrap: str, prefix: str, customers: int) -> None:
    """Make the state and write what belongs on the state topic, in the production writer's transactions."""
    writers: dict[int, TransactionWriter] = {}
    for task, transaction in tasks_with(customers, PARTITIONS):
        if task.partition not in writers:
            writers[task.partition] = TransactionWriter(bootstrap, prefix, "join", task.partition)
            await writers[task.partition].open()
        target = (state_topic("join"), task.partition)
        await writers[task.partition].write(replace(transaction, writes={target: transaction.writes[target]}))
    await asyncio.gather(*(writer.close() for writer in writers.values()))


def resident_bytes() -> int:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def recover(bootstrap: str, prefix: str, customers: int) -> None:
    """Recover as ``streams.runtime.application`` does; print one line."""
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    before, started, cpu = resident_bytes(), time.monotonic(), time.process_time()

    async def read() -> list[PartitionTask[Any]]:
        tasks = []
        reader = StateReader(bootstrap, prefix + state_topic("join"), 60.0)
        found = await reader.read(list(range(PARTITIONS)))
        sizes = [(len(key) + len(value) + 1) for one in found.values() for key, value in one.items.items()]
        people = [len(key) + len(value) + 1 for one in found.values() for key, value in one.items.items()
                  if key.startswith(b"\x92\xa1c")]
        print(f"{len(sizes):,} records, {sum(sizes) / 1e6:,.1f} MB; read after {time.monotonic() - started:.1f} s; "
              f"persisted per customer {sum(people) / len(people):.0f} bytes")
        for partition in range(PARTITIONS):
            tasks.append(PartitionTask(room(Settings()), partition, PARTITIONS, found.pop(partition)))
        return tasks

    tasks = asyncio.run(read())
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    held = sum(len(task.state.episodes) for task in tasks)
    if held != customers:
        sys.exit(f"{held} customers recovered, {customers} written")
    gc.collect()
    each = (resident_bytes() - before) / customers
    print(f"{customers:,} customers: recovered in {seconds:.1f} s, CPU {cpu:.1f} s, {each:.0f} bytes resident each")


def growth(customers: int) -> None:
    """Print CPU per event of one task (decode, key check, step, flush) with that many customers in state."""
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    store = Recovered()
    for _task, transaction in tasks_with(customers, 1):
        for key, value, _ in transaction.writes[state_topic("join"), 0]:
            store.apply(key, value)
    task: PartitionTask[Any] = PartitionTask(room(Settings()), 0, 1, store)
    task.start_at("telemetry", 0)
    batches = list(_batches(customers))
    cpu = time.process_time()
    for number, batch in enumerate(batches):
        task.feed(batch)
        if number % 8 == 7:
            task.idle(("order", "contact"))
            task.flush(START_MS)
    spent = time.process_time() - cpu
    print(f"{customers:>9,} customers: {spent / GROWTH_EVENTS * 1e6:.2f} us CPU per event")


def _batches(customers: int) -> Iterator[RawBatch]:
    """Fetched batches of 2,000 events of random known customers, one in FAILED_EVERY failed."""
    for start in range(0, GROWTH_EVENTS, 2_000):
        numbers = range(start, start + 2_000)
        who = [f"c-{number * 7_919_993 % customers:08d}" for number in numbers]
        values = [
            encode(event(number + 10**9, name, START_MS + 1_800_000 + number // 20, number % FAILED_EVERY == 0))
            for number, name in zip(numbers, who, strict=True)
        ]
        stamps = [START_MS + 10**9] * 2_000
        yield RawBatch("telemetry", 0, start, start + 2_000, numbers, [name.encode() for name in who], values,
                       [()] * 2_000, stamps)  # fmt: skip


def alone(work: Any, *arguments: Any) -> None:
    """Run in a process of its own, so that memory and garbage of one measurement do not disturb the next."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(process.exitcode)


def main(arguments: list[str]) -> None:
    """Run what the command line says."""
    if arguments[:1] == ["growth"]:
        for customers in map(int, arguments[1:] or ["1000", "1000000"]):
            alone(growth, customers)
        return
    customers = int(arguments[0]) if arguments else 1_000_000
    with own_kafka() as bootstrap:
        prefix = f"b{uuid.uuid4().hex[:8]}."
        ensure_topics(bootstrap, Settings(kafka_bootstrap=bootstrap, topic_prefix=prefix, partitions=PARTITIONS))
        started = time.monotonic()
        asyncio.run(write_state(bootstrap, prefix, customers))
        print(f"made and written in {time.monotonic() - started:.1f} s")
        alone(recover, bootstrap, prefix, customers)


if __name__ == "__main__":
    main(sys.argv[1:])
