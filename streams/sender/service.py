"""Which partitions this process serves: those named in the settings, or its share of the consumer group ``cx.send``.

The group only shares out; what protects the ledger is the fencing of every partition's transactional id. A partition
that fails ends the process: its successor recovers from the last committed transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from schemas.topics import BY_NOUN
from streams.runtime.exits import KafkaFailed
from streams.sender.partition import PartitionSender

log = logging.getLogger("cx.sender")

Build = Callable[[int], PartitionSender]
"""Makes the sender of a partition."""
_ROUND_MS = 500


class SenderService:
    """Runs one :class:`PartitionSender` per partition it is given, until stopped or until one fails."""

    def __init__(self, build: Build) -> None:
        """Nothing runs yet."""
        self._build = build
        self._running: dict[int, tuple[asyncio.Task[None], asyncio.Event]] = {}

    async def start(self, partitions: Iterable[int]) -> None:
        """Serve these partitions too."""
        for number in sorted(set(partitions) - set(self._running)):
            stop = asyncio.Event()
            self._running[number] = (asyncio.create_task(self._build(number).run(stop)), stop)
            log.info("partition %d: serving", number)

    async def stop(self, partitions: Iterable[int]) -> None:
        """Finish these partitions: what is on the wire is recorded. Raises what a partition raised."""
        leaving = [self._running.pop(number) for number in set(partitions) & set(self._running)]
        for _, stop in leaving:
            stop.set()
        await asyncio.gather(*(task for task, _ in leaving))

    def check(self) -> None:
        """Raise what a partition raised."""
        for task, _ in self._running.values():
            if task.done():
                task.result()

    async def run_fixed(self, partitions: Iterable[int], stopping: asyncio.Event) -> None:
        """Serve these partitions until ``stopping`` is set."""
        await self.start(partitions)
        await self._watch(stopping)

    async def run_group(self, bootstrap: str, prefix: str, stopping: asyncio.Event) -> None:
        """Serve what the group gives this process until ``stopping`` is set."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id=f"{prefix}cx.send", enable_auto_commit=False,
            session_timeout_ms=10_000, heartbeat_interval_ms=3_000, max_poll_interval_ms=60_000,
        )  # fmt: skip
        try:
            await consumer.start()
            consumer.subscribe([prefix + BY_NOUN["outreach"].name], listener=_Listener(self, consumer))
            await self._watch(stopping, consumer)
        except KafkaError as error:
            raise KafkaFailed(f"the sender's group failed ({type(error).__name__})") from error
        finally:
            await consumer.stop()

    async def _watch(self, stopping: asyncio.Event, consumer: Any = None) -> None:
        while not stopping.is_set():
            self.check()
            if consumer is not None:
                # Every partition is paused: this only shows the group that the process is alive.
                await consumer.getmany(timeout_ms=_ROUND_MS)
            else:
                await asyncio.sleep(_ROUND_MS / 1000)
        await self.stop(list(self._running))


class _Listener:
    """Starts and stops partitions as the group shares them out."""

    def __init__(self, service: SenderService, consumer: Any) -> None:
        self._service, self._consumer = service, consumer

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """Finish them before the group hands them to another process."""
        await self._service.stop([tp.partition for tp in revoked])

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Serve them; the group's own consumer reads nothing."""
        partitions = list(assigned)
        self._consumer.pause(*partitions)
        await self._service.start([tp.partition for tp in partitions])


ConsumerRebalanceListener.register(_Listener)
