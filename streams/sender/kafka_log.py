"""The log of one partition on Kafka: transactions under ``cx.send.<partition>``, reads to the committed end.

The ledger lives in the compacted state topic ``cx.send.state.v1``, in the form of every room's state; the public record
is the delivery topic, written in the same transaction. The position in the outreach topic is part of the state, so a
restart goes on exactly there whatever the group's offsets say.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.codec import decode, encode
from schemas.errors import ConfigError
from schemas.topics import BY_NOUN, HEARD, VERSION_HEADER, state_topic
from streams.core.context import screen
from streams.core.stage import Drained
from streams.runtime.exits import KafkaFailed
from streams.runtime.recovery import StateReader
from streams.runtime.state import Meta, next_epoch, state_records, version
from streams.runtime.transaction import Transaction, Write
from streams.runtime.writer import GroupOffsets, TransactionWriter
from streams.security.brokers import connection
from streams.security.signing import MOST_WORDS, OrderRules, heard_words
from streams.sender.astray import Elsewhere, brought_home, other_partitions, own_news
from streams.sender.ports import Opened

log = logging.getLogger("cx.sender")

ROOM = "send"
REFERENCE = ("customer", "command", "issue", "affected")
"""What must be known before anything is sent; read from the beginning at every start."""
HOLDS = ("stop", "mute")
"""Orders that are obeyed even if they claim to be from the future: no wrong clock may undo a stop."""
_WAIT_MS = 20


class KafkaLog:
    """One partition's log. One producer, one consumer of decisions, one of profiles, orders and issues."""

    def __init__(
        self, bootstrap: str, prefix: str, partition: int, partitions: int, stall_s: float = 30.0,
        orders: OrderRules | None = None,
    ) -> None:  # fmt: skip
        """Names only; nothing is opened yet. ``orders``: who may order."""
        self._orders = orders or OrderRules()
        self.partition, self.partitions = partition, partitions
        self._bootstrap, self._prefix, self._stall_s = bootstrap, prefix, stall_s
        self._writer = TransactionWriter(bootstrap, prefix, ROOM, partition)
        self._decisions: Any = None
        self._reference: Any = None
        self._elsewhere: Elsewhere | None = None
        self._epoch = 0
        self._flush = 0
        self._heard = 0
        """Offset up to which the orders were handed out."""
        self._lately: deque[str] = deque(maxlen=MOST_WORDS)
        """Ids of the newest orders that were handed out, last one last; what was refused is not among them."""
        self._reported: int | None = None
        """Position of orders that this owner last committed to the group of heard orders."""

    async def open(self) -> Opened:
        """Fence every earlier owner, read the ledger to its end, start both readers."""
        await self._writer.open()
        reader = StateReader(self._bootstrap, self._prefix + state_topic(ROOM), self._stall_s)
        found = (await reader.read([self.partition]))[self.partition]
        if found.meta and found.meta.partitions != self.partitions:
            raise ConfigError(
                f"the send ledger was written with {found.meta.partitions} partitions, CX_PARTITIONS is "
                f"{self.partitions}: customers would lie in other partitions than their ledger entries"
            )
        self._epoch = next_epoch(found.meta, time.time())
        next_offset = found.meta.offsets.get("outreach", 0) if found.meta else 0
        decisions = self._tp("outreach")
        self._decisions = await self._consumer([decisions])
        if next_offset:
            self._decisions.seek(decisions, next_offset)
        self._reference = await self._consumer([self._tp(noun) for noun in REFERENCE])
        if self.partitions > 1:
            self._elsewhere = await self._look_elsewhere()
        return Opened(found.items.items(), next_offset)

    async def _look_elsewhere(self) -> Elsewhere:
        """Read updates of our customers on other partitions, from the offsets that outreach has already rewritten."""
        topic = self._prefix + BY_NOUN["customer"].name
        try:
            brought = await brought_home(self._bootstrap, self._prefix)
            consumer = await self._consumer(other_partitions(topic, self.partition, self.partitions))
            elsewhere = Elsewhere(consumer, topic, self.partition, self.partitions)
            await elsewhere.start(brought)
        except KafkaError as error:
            raise KafkaFailed(f"the sender cannot ask how far outreach is ({type(error).__name__})") from error
        return elsewhere

    def _tp(self, noun: str) -> TopicPartition:
        return TopicPartition(self._prefix + BY_NOUN[noun].name, self.partition)

    @property
    def end(self) -> int | None:
        """End of the committed decisions as of the last fetch."""
        if self._decisions is None:
            return None
        found: int | None = self._decisions.last_stable_offset(self._tp("outreach"))
        return found

    @property
    def must_report(self) -> bool:
        """True if orders were handed out since the last commit, or if this owner has not reported yet how far it is."""
        return self._reported != self._heard

    async def _consumer(self, tps: list[TopicPartition]) -> Any:
        consumer = AIOKafkaConsumer(
            **connection(self._bootstrap), client_id=f"{self._prefix}cx.send.{self.partition}",
            isolation_level="read_committed", auto_offset_reset="earliest", enable_auto_commit=False,
            fetch_max_wait_ms=50,
        )  # fmt: skip
        try:
            await consumer.start()
            consumer.assign(tps)
            await consumer.seek_to_beginning(*tps)
        except KafkaError as error:
            await consumer.stop()
            raise KafkaFailed(f"the sender cannot read from Kafka ({type(error).__name__})") from error
        return consumer

    async def decisions(self, wait_s: float) -> list[tuple[int, Any]]:
        """The next decisions and watermarks. What cannot be read is counted in the log and not sent."""
        try:
            fetched = await self._decisions.getmany(timeout_ms=int(wait_s * 1000), max_records=2_000)
        except KafkaError as error:
            raise KafkaFailed(f"reading decisions failed ({type(error).__name__})") from error
        found: list[tuple[int, Any]] = []
        for rows in fetched.values():
            decoded = decode("outreach", [row.value for row in rows])
            found += [(rows[i].offset, record) for i, record in zip(decoded.index, decoded.records, strict=True)]
            if decoded.rejects:
                log.error("partition %d: %d unreadable decisions are not sent", self.partition, len(decoded.rejects))
        return found

    async def news(self) -> list[Any]:
        """Read all of REFERENCE up to the end that is committed now; before it, what lies elsewhere."""
        tps = [self._tp(noun) for noun in REFERENCE]
        news: list[Any] = []
        try:
            if self._elsewhere is not None:
                news += await self._elsewhere.news()
            ends = await self._reference.end_offsets(tps)
            while any([await self._reference.position(tp) < ends[tp] for tp in tps]):
                for tp, rows in (await self._reference.getmany(timeout_ms=_WAIT_MS)).items():
                    news += self._read(REFERENCE[tps.index(tp)], rows)
            self._heard = await self._reference.position(self._tp("command"))
        except KafkaError as error:
            raise KafkaFailed(f"reading profiles and orders failed ({type(error).__name__})") from error
        return news

    def _read(self, noun: str, rows: list[Any]) -> list[Any]:
        if noun == "customer":
            return own_news(rows, self.partition, self.partitions)
        decoded = decode(noun, [row.value for row in rows])
        timely = screen(noun, decoded, [row.timestamp for row in rows])
        if timely.rejects:
            log.error("partition %d: %d %s records are not obeyed", self.partition, len(timely.rejects), noun)
        kept = set(timely.index)
        found = zip(decoded.records, decoded.index, strict=True)
        taken = [(record, row) for record, row in found if row in kept or getattr(record, "action", "") in HOLDS]
        return self._obeyed([(record, rows[row].timestamp) for record, row in taken]) if noun == "command" else [
            record for record, _ in taken
        ]

    def _obeyed(self, orders: list[tuple[Any, int]]) -> list[Any]:
        """Without what is no order of anybody who may order; the outreach room writes its dead letter."""
        faults = [self._orders.fault(order, appended_ms) for order, appended_ms in orders]
        reasons = Counter(fault.reason for fault in faults if fault is not None)
        if reasons:
            log.error("partition %d: orders that are refused: %s", self.partition, dict(reasons))
        obeyed = [order for (order, _), fault in zip(orders, faults, strict=True) if fault is None]
        self._lately.extend(order.command_id for order in obeyed)
        return obeyed

    async def commit(self, drained: Drained, next_offset: int) -> None:
        """One transaction: the ledger's changes with the position, the deliveries, and how far orders were heard.

        The latter are offsets of a group, so that whoever gave an order can ask for it without reading the ledger.
        """
        self._flush += 1
        header = (VERSION_HEADER, str(version(self._epoch, self._flush)).encode())
        meta = Meta(self._epoch, self._flush, self.partitions, {"outreach": next_offset})
        state: list[Write] = [(key, value, ()) for key, value in state_records(drained.changes, meta)]
        writes = {(state_topic(ROOM), self.partition): state}
        for message in drained.messages:
            row = (message.key.encode(), encode(message.record), (header,))
            writes.setdefault((BY_NOUN[message.noun].name, self.partition), []).append(row)
        offsets = {"outreach": next_offset}
        heard = self._heard
        word = heard_words(self._lately)
        report = GroupOffsets(HEARD, {self._tp("command"): heard}, word) if self.must_report else None
        await self._writer.write(
            Transaction(ROOM, self.partition, self._epoch, self._flush, writes, offsets), report
        )
        self._reported = heard

    async def close(self) -> None:
        """Disconnect everything that was opened."""
        elsewhere = self._elsewhere.consumer if self._elsewhere is not None else None
        for consumer in (self._decisions, self._reference, elsewhere):
            if consumer is not None:
                await consumer.stop()
        self._decisions = self._reference = self._elsewhere = None
        await self._writer.close()
