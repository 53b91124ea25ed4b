"""One flush, one transaction: whole batches in order, acknowledged before the commit, no second try after an error."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError, ProducerFenced

from schemas.errors import Fenced
from streams.runtime.exits import KafkaFailed
from streams.runtime.transaction import Transaction, Write
from streams.runtime.writer import GroupOffsets, TransactionWriter


class Builder:
    """Takes two records, or one of any size."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def append(self, *, key: Any, value: Any, timestamp: Any, headers: Any) -> object | None:
        if len(self.records) == 2:
            return None
        self.records.append((key, value, headers))
        return object()

    def close(self) -> None:
        pass


class Producer:
    """Writes down what it is asked; ``fails`` names the step that raises."""

    def __init__(self, fails: dict[str, Exception] | None = None) -> None:
        self.log: list[Any] = []
        self.fails = fails or {}

    def step(self, name: str, *details: Any) -> None:
        self.log.append((name, *details))
        if name in self.fails:
            raise self.fails[name]

    async def begin_transaction(self) -> None:
        self.step("begin")

    async def send_offsets_to_transaction(self, offsets: dict[Any, int], group: str) -> None:
        self.step("say", group, offsets)

    async def commit_transaction(self) -> None:
        self.step("commit")

    def create_batch(self) -> Builder:
        return Builder()

    async def send_batch(self, batch: Builder, topic: str, *, partition: int) -> asyncio.Future[Any]:
        self.step("send", topic, partition, [key for key, _, _ in batch.records])
        acknowledged = asyncio.get_running_loop().create_future()
        if "acknowledge" in self.fails:
            acknowledged.set_exception(self.fails["acknowledge"])
        else:
            acknowledged.set_result(SimpleNamespace(offset=len(self.log)))
        return acknowledged


def writer(producer: Producer) -> TransactionWriter:
    one = TransactionWriter("nowhere:1", "p.", "join", 3)
    one._producer = producer
    return one


def transaction(count: int = 5) -> Transaction:
    episodes: list[Write] = [(b"%d" % number, b"v", (("h", b"x"),)) for number in range(count)]
    writes: dict[tuple[str, int], list[Write]] = {
        ("cx.episode.v1", 3): episodes, ("cx.join.state.v1", 3): [(b"!", b"{}", ())],
    }
    return Transaction("join", 3, 1, 1, writes, {"telemetry": 9})


def test_the_id_names_deployment_room_and_partition() -> None:
    assert writer(Producer()).transactional_id == "p.cx.join.3"


def test_a_flush_is_begun_sent_in_whole_batches_in_order_and_committed() -> None:
    producer = Producer()
    asyncio.run(writer(producer).write(transaction()))
    assert producer.log[0] == ("begin",)
    assert producer.log[-1] == ("commit",)
    sent = [entry for entry in producer.log if entry[0] == "send" and entry[1] == "p.cx.episode.v1"]
    assert [keys for _, _, _, keys in sent] == [[b"0", b"1"], [b"2", b"3"], [b"4"]]
    assert ("send", "p.cx.join.state.v1", 3, [b"!"]) in producer.log


def test_offsets_of_a_group_are_said_within_the_transaction_or_not_at_all() -> None:
    producer, heard = Producer(), {TopicPartition("p.cx.command.v1", 3): 7}
    asyncio.run(writer(producer).write(transaction(), GroupOffsets("cx.send.heard", heard, "cmd-1")))
    noted = {tp: (offset, "cmd-1") for tp, offset in heard.items()}
    assert producer.log[-2:] == [("say", "p.cx.send.heard", noted), ("commit",)]
    failing = Producer({"say": KafkaTimeoutError()})
    with pytest.raises(KafkaFailed):
        asyncio.run(writer(failing).write(transaction(), GroupOffsets("cx.send.heard", heard)))
    assert ("commit",) not in failing.log


def test_the_writer_says_where_the_last_batch_of_each_partition_begins() -> None:
    producer = Producer()
    placed = asyncio.run(writer(producer).write(transaction()))
    assert placed.keys() == transaction().writes.keys()
    assert placed["cx.episode.v1", 3] > 0


@pytest.mark.parametrize("step", ["begin", "send", "acknowledge", "commit"])
def test_an_error_at_any_step_raises_and_nothing_is_committed_after_it(step: str) -> None:
    producer = Producer({step: KafkaTimeoutError()})
    with pytest.raises(KafkaFailed, match="KafkaTimeoutError"):
        asyncio.run(writer(producer).write(transaction()))
    assert ("commit",) not in producer.log or step == "commit"


@pytest.mark.parametrize("step", ["begin", "send", "acknowledge", "commit"])
def test_a_newer_owner_is_told_apart(step: str) -> None:
    with pytest.raises(Fenced):
        asyncio.run(writer(Producer({step: ProducerFenced()})).write(transaction()))


def test_the_error_never_shows_a_record() -> None:
    producer = Producer({"acknowledge": MessageSizeTooLargeError("c-0042 said hello")})
    with pytest.raises(KafkaFailed) as caught:
        asyncio.run(writer(producer).write(transaction()))
    assert "c-0042" not in str(caught.value)
