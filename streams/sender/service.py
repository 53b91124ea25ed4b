"""Which partitions this process serves: those named in the settings, or its share of the consumer group ``cx.send``.

The group only shares out and shows who serves; what protects the ledger is the fencing of every partition's
transactional id. A partition that fails ends the process: its successor recovers from the last committed transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from schemas.topics import BY_NOUN, FIXED_SENDERS, SENDERS
from streams.runtime.exits import KafkaFailed
from streams.runtime.status import Status
from streams.security.brokers import connection
from streams.sender.partition import PartitionSender

log = logging.getLogger("cx.sender")

Build = Callable[[int], PartitionSender]
"""Makes the sender of a partition."""
_ROUND_MS = 500


class SenderService:
    """Runs one :class:`PartitionSender` per partition it is given, until stopped or until one fails."""

    def __init__(self, build: Build, session_ms: int = 10_000, status: Status | None = None) -> None:
        """Nothing runs yet. ``session_ms``: a silent process counts as a sender for this long; ``status``: where the
        process stands towards its group."""
        self._build, self._session_ms = build, session_ms
        self.status = status or Status("send")
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

    async def run_fixed(self, bootstrap: str, prefix: str, partitions: Sequence[int], stopping: asyncio.Event) -> None:
        """Serve these partitions until ``stopping`` is set.

        The process is a member of a group that shares out nothing: whoever gives an order sees there who must hear it.
        """
        name = f"{prefix}{FIXED_SENDERS}:{','.join(map(str, sorted(partitions)))}"
        await self._run(bootstrap, prefix, FIXED_SENDERS, stopping, client_id=name, fixed=partitions)

    async def run_group(self, bootstrap: str, prefix: str, stopping: asyncio.Event) -> None:
        """Serve what the group gives this process until ``stopping`` is set."""
        await self._run(bootstrap, prefix, SENDERS, stopping, client_id=f"{prefix}{SENDERS}")

    async def _run(
        self, bootstrap: str, prefix: str, group: str, stopping: asyncio.Event, *, client_id: str,
        fixed: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        """Join a group and serve: nothing is sent by a process that the group does not show."""
        consumer = AIOKafkaConsumer(
            **connection(bootstrap), group_id=prefix + group, client_id=client_id, enable_auto_commit=False,
            session_timeout_ms=self._session_ms, heartbeat_interval_ms=self._session_ms // 4,
            max_poll_interval_ms=60_000,
        )  # fmt: skip
        try:
            await consumer.start()
            consumer.subscribe([prefix + BY_NOUN["outreach"].name], listener=_Listener(self, consumer, fixed))
            await self._watch(stopping, consumer)
        except KafkaError as error:
            raise KafkaFailed(f"the sender's group failed ({type(error).__name__})") from error
        finally:
            await consumer.stop()

    async def _watch(self, stopping: asyncio.Event, consumer: Any) -> None:
        while not stopping.is_set():
            self.check()
            # Every partition is paused: this only shows the group that the process is alive.
            await consumer.getmany(timeout_ms=_ROUND_MS)
            self.status.moved()
        await self.stop(list(self._running))


class _Listener:
    """Starts and stops partitions as the group shares them out; with ``fixed`` ones, those, and never stops them."""

    def __init__(self, service: SenderService, consumer: Any, fixed: Sequence[int] | None = None) -> None:
        self._service, self._consumer, self._fixed = service, consumer, fixed

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """Finish them before the group hands them to another process."""
        if self._fixed is None:
            await self._service.stop([tp.partition for tp in revoked])

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Serve them; the group's own consumer reads nothing."""
        partitions = list(assigned)
        self._consumer.pause(*partitions)
        self._service.status.enter("running")
        await self._service.start([tp.partition for tp in partitions] if self._fixed is None else self._fixed)


ConsumerRebalanceListener.register(_Listener)
