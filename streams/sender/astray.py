"""Customer records as the sender reads them: those of its own partition, and those that lie astray on others.

What lies astray is not interpreted here: outreach writes it again to the customer's own partition, and until that copy
has been read nothing is sent to that customer. So there is one order of records per customer for rooms and sender, that
of the customer's partition. Other partitions are read from where outreach has got to: what lies before is home.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import BrokerResponseError

from schemas.codec import decode
from schemas.topics import BY_NOUN
from streams.core.context import Sweep, screen
from streams.core.outreach.preferences import Astray, Home, ReadUpdate
from streams.runtime.alignment import Keys
from streams.runtime.astray import BROUGHT, Parted, came_from, part_customers
from streams.runtime.batch import RawBatch
from streams.security.brokers import connection

log = logging.getLogger("cx.sender")

_WAIT_MS = 20


def parted(rows: Sequence[Any], partition: int, partitions: int) -> Parted:
    """Records that aiokafka read from one partition of the customer topic, sorted as outreach sorts them."""
    columns = [[getattr(row, name) for row in rows] for name in ("offset", "key", "value", "headers", "timestamp")]
    part = RawBatch("customer", partition, rows[0].offset, rows[-1].offset + 1, *columns)
    decoded = screen(part.topic, decode(part.topic, part.values, part.keys), part.timestamps)
    return part_customers(Keys(partition, partitions), part, decoded, partition)


def own_news(rows: Sequence[Any], partition: int, partitions: int) -> list[ReadUpdate | Astray | Home]:
    """What the records of the sender's own partition say."""
    if not rows:
        return []
    found = parted(rows, partition, partitions)
    news: list[ReadUpdate | Astray | Home] = [
        ReadUpdate(record, rows[at].offset, rows[at].timestamp)
        for record, at in zip(found.records, found.index, strict=True)
        if not isinstance(record, Sweep)
    ]
    news += strays(found, partition, partition)
    return [*news, *(Home(*origin) for row in rows if (origin := came_from(row.headers)) is not None)]


def strays(found: Parted, seen_on: int, partition: int) -> list[Astray]:
    """Those records astray on ``seen_on`` whose customers live on ``partition``."""
    return [Astray(copy.customer, seen_on, copy.offset) for copy in found.astray if copy.partition == partition]


class Elsewhere:
    """The other partitions of the customer topic, for the customers of one."""

    def __init__(self, consumer: Any, topic: str, partition: int, partitions: int) -> None:
        """``consumer`` is assigned to :func:`other_partitions`, at their beginning."""
        self.consumer = consumer
        self._partition, self._partitions = partition, partitions
        self._keys = Keys(partition, partitions)
        self._tps = other_partitions(topic, partition, partitions)

    async def start(self, brought: dict[TopicPartition, int]) -> None:
        """Begin where outreach has got to, or at the beginning where that is not known."""
        for tp in self._tps:
            if tp in brought:
                self.consumer.seek(tp, brought[tp])

    async def news(self) -> list[Astray]:
        """What lies astray up to the end that is committed now. Raises KafkaError."""
        found: list[Astray] = []
        ends = await self.consumer.end_offsets(self._tps)
        while any([await self.consumer.position(tp) < ends[tp] for tp in self._tps]):
            for tp, rows in (await self.consumer.getmany(timeout_ms=_WAIT_MS)).items():
                candidates = [row for row in rows if self._may_be_ours(row)]
                if candidates:
                    part = parted(candidates, tp.partition, self._partitions)
                    found += strays(part, tp.partition, self._partition)
        return found

    def _may_be_ours(self, row: Any) -> bool:
        """False for nearly every record, without decoding it: its key is its customer, who lives elsewhere."""
        if row.key is None:
            return True
        ours = self._keys.home(row.key) == self._partition
        return ours or (row.value is not None and b'"' + row.key + b'"' not in row.value)


def other_partitions(topic: str, partition: int, partitions: int) -> list[TopicPartition]:
    """All partitions of the customer topic but the sender's own."""
    return [TopicPartition(topic, number) for number in range(partitions) if number != partition]


async def brought_home(bootstrap: str, prefix: str) -> dict[TopicPartition, int]:
    """How far outreach has brought home what lies astray, per partition of the customer topic. Raises KafkaError.

    Its group offsets follow its transactions, so they are never ahead of what is written. Those of versions that
    brought nothing home do not say so and are left out: there everything has to be looked at.
    """
    admin = AIOKafkaAdminClient(**connection(bootstrap), client_id=f"{prefix}cx.send")
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(f"{prefix}cx.outreach")
    except BrokerResponseError as error:  # no group was ever there, or this user may not ask
        log.warning("how far outreach is cannot be asked (%s): every profile is looked at", type(error).__name__)
        return {}
    finally:
        await admin.close()
    topic = prefix + BY_NOUN["customer"].name
    moved = {tp: at for tp, at in found.items() if tp.topic == topic and at.metadata == BROUGHT}
    return {tp: at.offset for tp, at in moved.items() if at.offset >= 0}
