"""The state: its disk is full, its topic is damaged, compacted, or empty while the worker is down."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from schemas.errors import ConfigError, SinkUnavailable
from streams.runtime.exits import ExitCode
from streams.topics import ensure_topics
from tests.faults.conftest import Arena
from tests.faults.harness import Deployment, drop_topics, until
from tests.faults.load import LoadRules, make_load
from tests.faults.result import Result, size
from tests.faults.small_disk import small_disk
from tests.faults.test_kills import chunks
from tests.patience import Deadline

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
ROOMS = ("join", "store")
STATE = "cx.join.state.v1"
WRITTEN_BACK = "the last good one is written back"
REBUILT = "all state of the room is deleted and worked out anew from the input topics"
MINUTE_S = 60.0


@pytest.mark.fault(20)
@pytest.mark.long_fault
async def test_the_disk_of_the_state_folder_is_full(arena: Arena, tmp_path: Path) -> None:
    rules = LoadRules(events=size(4_000, 20_000), seed=20)
    result = Result(
        20, "the disk of the worker's folder is full",
        "filled while it works; then killed and started on the full disk; then relieved",
        "a running worker keeps no state there and goes on; a start works or says why it cannot, non-zero; lost 0",
    )  # fmt: skip
    with result.measured(), small_disk(tmp_path / "disk", 8) as disk, arena.deployment() as line:
        pieces = list(chunks(await asyncio.to_thread(make_load, rules), 3))
        worker = line.worker("a", "join,store", CX_STATE_DIR=str(disk.path))
        async with line.producer() as producer:
            await until(worker.ready)
            await producer.send(pieces[0])
            disk.fill()
            await producer.send(pieces[1])
            await line.settled(ROOMS)
            running = worker.alive()
            worker.kill()
            worker.file.unlink(missing_ok=True)
            disk.fill()  # also the page of the old file
            worker.start()
            begun = time.monotonic()
            await until(lambda: worker.ready() or not worker.alive(), 60.0)
            result.figures["start on the full disk: decided after s"] = round(time.monotonic() - begun, 1)
            code = None if worker.alive() else await asyncio.to_thread(worker.wait, 1.0)
            reason = worker.reason()
            disk.relieve()
            if code is not None:
                worker.start()
            await producer.send(pieces[2])
        await line.settled(ROOMS)
        result.take(verdict := await line.clean(downstream=False))
        result.figures |= {
            "running worker": "goes on" if running else "ended",
            "start on the full disk": "works" if code is None else f"exit {code}", "reason": reason,
        }  # fmt: skip
    assert running
    assert code is None or (code != 0 and "is full" in reason), "works, or ends and says why; never hangs, never half"
    assert verdict["clean"], verdict["examples"]


async def meta_of(line: Deployment, partition: int) -> bytes:
    """The last committed meta record of one partition's state, as bytes."""
    consumer = AIOKafkaConsumer(bootstrap_servers=line.straight.kafka_bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        tp = TopicPartition(line.prefix + STATE, partition)
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        end, found = (await consumer.end_offsets([tp]))[tp], b""
        while await consumer.position(tp) < end:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found = next((one.value for one in reversed(records) if one.key == b"!"), found)
        return found
    finally:
        await consumer.stop()


async def put_meta(line: Deployment, partition: int, value: bytes) -> None:
    """Write a meta record from outside."""
    producer = AIOKafkaProducer(bootstrap_servers=line.straight.kafka_bootstrap)
    await producer.start()
    await producer.send_and_wait(line.prefix + STATE, value, b"!", partition)
    await producer.stop()


@pytest.mark.long_fault
@pytest.mark.fault(21)
@pytest.mark.parametrize("way_out", [WRITTEN_BACK, REBUILT], ids=["repaired", "rebuilt"])
async def test_a_damaged_state_record_ends_recovery_with_the_reason(arena: Arena, way_out: str) -> None:
    rules = LoadRules(events=size(4_000, 20_000), seed=21)
    result = Result(
        21, "a damaged record in the state topic",
        f"a partition's meta record is overwritten while the worker is down; then {way_out}",
        "recovery ends with exit 70 and the reason, again at a restart, instead of guessing; diff 0 after the repair",
        variant="repaired" if way_out == WRITTEN_BACK else "rebuilt",
    )  # fmt: skip
    with result.measured(), arena.deployment() as line:
        pieces = list(chunks(await asyncio.to_thread(make_load, rules), 2))
        worker = line.worker("a", "join,store")
        async with line.producer() as producer:
            await until(worker.ready)
            await producer.send(pieces[0])
            await line.settled(ROOMS)
            worker.kill()
            good = await meta_of(line, 1)
            await put_meta(line, 1, good[: len(good) // 2])
            codes = []
            begun = time.monotonic()
            for _ in range(2):
                worker.start()
                codes.append(await asyncio.to_thread(worker.wait, 90.0))
            result.figures = {
                "exit codes": codes, "reason": worker.reason(), "both ended after s": round(time.monotonic() - begun, 1)
            }
            if way_out == WRITTEN_BACK:
                await put_meta(line, 1, good)
            else:
                await made_anew(line)
            worker.start()
            await producer.send(pieces[1])
        await line.settled(ROOMS)
        result.take(verdict := await line.clean(downstream=False, again=way_out != WRITTEN_BACK))
    assert good
    assert codes == [ExitCode.UNKNOWN, ExitCode.UNKNOWN]
    assert "the meta record of a state topic is damaged" in result.figures["reason"]
    assert verdict["clean"], verdict["examples"]


@pytest.mark.long_fault
@pytest.mark.fault(22)
@pytest.mark.parametrize("kind", ["compacted", "emptied"])
async def test_the_state_topic_changes_while_the_worker_is_down(arena: Arena, kind: str) -> None:
    rules = LoadRules(events=size(6_000, 20_000), seed=22)
    result = Result(
        22, f"the state topic is {kind} while the worker is down",
        "compaction is forced and awaited" if kind == "compacted" else "the topic is deleted and made anew, empty",
        "recovery ends within 60 s; diff 0, dead letters that were read again are written again", variant=kind,
    )  # fmt: skip
    with result.measured(), arena.deployment() as line:
        pieces = list(chunks(await asyncio.to_thread(make_load, rules), 2))
        worker = line.worker("a", "join,store")
        async with line.producer() as producer:
            await until(worker.ready)
            await producer.send(pieces[0])
            await line.settled(ROOMS)
            worker.kill()
            if kind == "compacted":
                result.figures |= await compacted(line)
            else:
                await made_anew(line)
            worker.start()
            result.figures["start to ready s"] = round(await until(worker.ready, 60.0), 1)
            await producer.send(pieces[1])
        await line.settled(ROOMS)
        result.take(verdict := await line.clean(downstream=False, again=kind == "emptied"))
    assert verdict["clean"], verdict["examples"]


async def made_anew(line: Deployment) -> None:
    """The documented way out: delete the room's state topic and create it again, empty; at least a minute after.

    The minute is what tells the versions of the rebuilt state from those of the lost one.
    """
    await asyncio.sleep(MINUTE_S - time.time() % MINUTE_S)
    drop_topics(line.straight.kafka_bootstrap, line.prefix + STATE)
    await asyncio.to_thread(remade, line)


def remade(line: Deployment) -> None:
    """Create what is missing; the name may take a moment to be free again."""
    for _ in range(20):
        try:
            ensure_topics(line.straight.kafka_bootstrap, line.settings)
        except (SinkUnavailable, ConfigError):  # still being deleted
            time.sleep(0.5)
        else:
            return


async def records_in(line: Deployment, topic: str) -> int:
    """Records that can be read from a topic from its beginning."""
    consumer = AIOKafkaConsumer(bootstrap_servers=line.straight.kafka_bootstrap)
    await consumer.start()
    try:
        tps = [TopicPartition(line.prefix + topic, number) for number in range(line.settings.partitions)]
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        ends, found = await consumer.end_offsets(tps), 0
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            found += sum(map(len, (await consumer.getmany(timeout_ms=500)).values()))
        return found
    finally:
        await consumer.stop()


async def compacted(line: Deployment) -> dict[str, int]:
    """Force compaction: short segments, no patience; waits until records are gone."""
    before = await records_in(line, STATE)
    admin = KafkaAdminClient(bootstrap_servers=line.straight.kafka_bootstrap)
    eager = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.001", "min.compaction.lag.ms": "0"}
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, line.prefix + STATE, eager)])
    admin.close()
    after, deadline = before, Deadline(90)
    while after >= before and not deadline.over:
        # A segment is rolled by the next write only: repeat the meta record, which changes nothing.
        for number in range(line.settings.partitions):
            if meta := await meta_of(line, number):
                await put_meta(line, number, meta)
        await asyncio.sleep(2.0)
        after = await records_in(line, STATE)
    return {"records before": before, "records after": after}
