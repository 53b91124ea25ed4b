"""Signs of life: every few seconds of wall clock a process says how each of its rooms stands, on the topic ``vital``.

    rooms --vital_of--> one record batch --producer of its own--> topic `vital` --> store --> boards

This is about machines, and nothing that a finding depends on: no room reads it. So it must never cost a room anything.
It has a producer of its own, outside all transactions; it is bounded in time and in memory, and whatever goes wrong is
said once and left out: the next record holds all that the lost one held.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer

from schemas.codec import encode
from schemas.topics import ABOUT_PROCESSES, BY_NOUN
from schemas.vitals import TaskVital, Vital
from streams.runtime.status import Status
from streams.runtime.tally import RoomTally, Standing, TaskTally
from streams.security.brokers import connection

log = logging.getLogger("cx.vitals")

SEND_S = 5.0
"""A sign of life that is not on its way by then is given up."""
STOP_S = 1.0
REQUEST_MS = 5_000
BATCH_BYTES = 900_000
"""More than a process has to say; a record that does not fit is left out."""
(NOUN,) = ABOUT_PROCESSES


class Speaking(Protocol):
    """A room that can say how it stands."""

    @property
    def name(self) -> str: ...
    @property
    def status(self) -> Status: ...
    @property
    def tally(self) -> RoomTally: ...
    def rows(self) -> int: ...
    def standings(self) -> Sequence[Standing]: ...
    def task_tallies(self) -> Mapping[int, TaskTally]: ...


class Process:
    """Who speaks: ``kind`` (worker or sender) and instance, and since when it runs."""

    def __init__(self, kind: str, instance: str, wall: Callable[[], float] = time.time) -> None:
        """The process starts now; ``wall`` gives seconds since 1970 UTC."""
        self.name = f"{kind}-{instance}"
        self.wall = wall
        self.started_ms = int(wall() * 1_000)


def vital_of(room: Speaking, process: Process, ready: bool) -> Vital:
    """How a room stands now. A room that has no partitions yet, or no more, says so by its phase."""
    now_s, tally, status = process.wall(), room.tally, room.status
    running = status.phase == "running"
    return Vital(
        room=room.name,
        process=process.name,
        started_ms=process.started_ms,
        at_ms=int(now_s * 1_000),
        phase=status.phase,
        ready=ready,
        degraded=tally.degraded,
        flushes=tally.flushes,
        flush_ms=round(tally.flush_s * 1_000),
        flush_max_ms=round(tally.longest_s(now_s) * 1_000),
        written=tally.written,
        rows=room.rows(),
        refused=tally.refused,
        tasks=tuple(_tasks(room.standings(), room.task_tallies())) if running else (),
    )


def _tasks(standings: Iterable[Standing], tallies: Mapping[int, TaskTally]) -> Iterable[TaskVital]:
    """One for each partition, its inputs added up."""
    inputs: dict[int, list[Standing]] = {partition: [] for partition in sorted(tallies)}
    for one in standings:
        if one.partition in inputs:
            inputs[one.partition].append(one)
    for partition, found in inputs.items():
        tally = tallies[partition]
        yield TaskVital(
            partition=partition,
            opened_ms=tally.opened_ms,
            position=sum(one.position for one in found),
            end=sum(one.end for one in found),
            behind={one.noun: one.end - one.position for one in found if one.end > one.position},
            undecided=sum(one.undecided for one in found),
            records={outcome: count for outcome, count in tally.records.items() if count},
            state_keys=tally.size.keys,
            state_bytes=tally.size.size_bytes,
            pending=tally.pending,
            claimed=tally.claimed,
        )


class Vitals:
    """Publishes the signs of life of one process. No method raises, and none waits for a broker longer than it says."""

    def __init__(self, bootstrap: str, prefix: str, every_ms: int, collect: Callable[[], Iterable[Vital]]) -> None:
        """Nothing is connected before the first sign of life is due, ``every_ms`` after :meth:`start`."""
        self._bootstrap = bootstrap
        self._topic = prefix + BY_NOUN[NOUN].name
        self._every_s = every_ms / 1_000
        self._collect = collect
        self._producer: Any = None
        self._sending: asyncio.Future[Any] | None = None
        self._loop: asyncio.Task[None] | None = None
        self._failing = False

    async def __aenter__(self) -> None:
        """Speak from now on."""
        self.start()

    async def __aexit__(self, *_: object) -> None:
        """Fall silent."""
        await self.stop()

    def start(self) -> None:
        """Speak from now on, without waiting for anything."""
        self._loop = asyncio.create_task(self._speak())

    async def stop(self) -> None:
        """Fall silent; takes at most ``STOP_S`` twice."""
        if self._loop is not None:
            self._loop.cancel()
            await _bounded(self._loop, STOP_S)
        await self._disconnect()

    async def _speak(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            self._note(await _bounded(asyncio.create_task(self._send()), SEND_S))

    async def _send(self) -> None:
        """One batch, unless the last one is still on its way: no more than one waits for a broker that is gone."""
        if self._sending is not None and not self._sending.done():
            raise TimeoutError
        producer = await self._connected()
        batch = producer.create_batch()
        for vital in self._collect():
            batch.append(key=vital.room.encode(), value=encode(vital), timestamp=None)
        batch.close()
        self._sending = await producer.send_batch(batch, self._topic, partition=0)
        self._sending.add_done_callback(_seen)
        await asyncio.shield(self._sending)

    async def _connected(self) -> Any:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **connection(self._bootstrap), acks=1, max_batch_size=BATCH_BYTES, request_timeout_ms=REQUEST_MS,
            )  # fmt: skip
            try:
                await producer.start()
                self._producer = producer
            finally:
                if self._producer is None:
                    await producer.stop()
        return self._producer

    async def _disconnect(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _bounded(asyncio.create_task(producer.stop()), STOP_S)

    def _note(self, error: BaseException | None) -> None:
        """Say once that it does not work, and once that it does again; never a text of the client's."""
        if error is not None and not self._failing:
            log.warning("signs of life are not written to %s (%s): boards call this process silent", self._topic,
                        type(error).__name__)  # fmt: skip
        elif error is None and self._failing:
            log.info("signs of life are written again")
        self._failing = error is not None


async def _bounded(task: asyncio.Task[None], seconds: float) -> BaseException | None:
    """Wait for a task, but not longer than this; returns what it raised, TimeoutError if it had to be given up."""
    done, _ = await asyncio.wait([task], timeout=seconds)
    if not done:
        task.cancel()
        return TimeoutError()
    return None if task.cancelled() else task.exception()


def _seen(future: asyncio.Future[Any]) -> None:
    """What became of a batch that nobody waits for any more is no unhandled error."""
    if not future.cancelled():
        future.exception()
