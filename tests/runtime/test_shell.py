"""Faust's part, without a broker: what of it runs, what of it never runs, and in which order."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import aiohttp
import pytest
from faust.types import TP

from schemas.errors import ConfigError, SinkUnavailable
from streams.metrics import Metrics
from streams.runtime.application import StageShell
from streams.runtime.batch import RawBatch
from streams.runtime.exits import ExitCode
from streams.runtime.health import Health
from streams.runtime.room import SinkPace, SinkRoom
from streams.runtime.serve import shell_of
from streams.runtime.shell import BURST_WAIT_MS, Context
from streams.runtime.sink import SinkShell
from streams.runtime.status import Status
from streams.runtime.task import PartitionTask
from streams.runtime.transport import BatchConsumer, BatchSchema, _message
from streams.runtime.watchdog import Watchdog
from tests.runtime.example import INPUTS, Counting, count_room
from tests.runtime.test_task import batch, message

TELEMETRY = TP("p.cx.telemetry.v1", 0)


class Writer:
    """Stands for a transactional producer; says what it was given."""

    def __init__(self, log: list[Any], fails: Exception | None = None) -> None:
        self.log = log
        self.fails = fails

    async def write(self, transaction: Any) -> None:
        if self.fails:
            raise self.fails
        self.log.append(("committed", transaction.offsets["telemetry"]))

    async def close(self) -> None:
        self.log.append("closed")


class Shell(StageShell[Counting]):
    """A shell whose consumer is replaced where a broker would be needed."""

    log: list[Any]
    exits: list[tuple[ExitCode, str]]

    async def commit_offsets(self, offsets: Mapping[TP, int], now: bool = False) -> None:
        if offsets:
            self.log.append(("group offsets", dict(offsets).get(TELEMETRY)))


def shell(tmp_path: Path, fails: Exception | None = None) -> Shell:
    exits: list[tuple[ExitCode, str]] = []
    context = Context("127.0.0.1:1", "p.", 4, "a", tmp_path, Metrics(), lambda code, why: exits.append((code, why)),
                      max_skew_ms=0)
    made = Shell(count_room(), context)
    made.exits, made.log = exits, []
    task: PartitionTask[Counting] = PartitionTask(made.room, 0, 4)
    for noun in INPUTS:
        task.start_at(noun, 0)
    made.tasks = {0: task}
    writers: dict[int, Any] = {0: Writer(made.log, fails)}
    made._writers = writers
    made._accepting = True
    made.app.consumer_generation_id = 3
    return made


def event_of(*fetched: RawBatch, generation: int = 3) -> Any:
    return _message(TELEMETRY, fetched, generation)


async def test_a_batch_reaches_the_task_and_a_flush_commits_before_group_offsets(tmp_path: Path) -> None:
    one = shell(tmp_path)
    await one._on_message(event_of(batch([message(1), message(2)])))
    assert one.positions()[TELEMETRY] == 2
    await one.flush()
    assert one.log == [("committed", 2), ("group offsets", 2)]


async def test_batches_of_an_old_generation_are_dropped(tmp_path: Path) -> None:
    one = shell(tmp_path)
    await one._on_message(event_of(batch([message(1)]), generation=2))
    assert one.positions()[TELEMETRY] == 0


def metadata(one: Shell, monkeypatch: pytest.MonkeyPatch, **partitions: int) -> None:
    """Let the client's metadata name these topics (noun -> partitions), all others with four."""
    nouns = {topic: noun for noun, topic in one.topics.items()}
    thread = SimpleNamespace(
        partitions_of=lambda topic: partitions.get(nouns[topic], 4), refresh_topics=AsyncMock(return_value=None)
    )
    monkeypatch.setattr(Shell, "consumer", SimpleNamespace(thread=thread))
    monkeypatch.setattr("streams.runtime.shell.TOPICS_S", 0.1)


async def test_a_topic_that_vanishes_under_a_running_room_is_not_asked_to_be_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = shell(tmp_path)
    metadata(one, monkeypatch, telemetry=0)
    with pytest.raises(ConfigError, match="topics create"):
        await one._open({0: {"order"}})
    one.sources.epochs = {"telemetry": "an-id"}
    with pytest.raises(ConfigError, match=r"made anew.*CX_TOPIC_PREFIX"):
        await one._open({0: {"order"}})


async def test_records_behind_a_transaction_without_an_end_are_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, now, end = shell(tmp_path), [0.0], [5]
    thread = SimpleNamespace(undecided=lambda tp: 3 if tp == TELEMETRY else 0)
    monkeypatch.setattr(Shell, "consumer", SimpleNamespace(thread=thread))
    monkeypatch.setattr("streams.runtime.shell.time.monotonic", lambda: now[0])

    def look_at(at_s: float) -> int:
        now[0] = at_s
        one._report_undecided({TELEMETRY: (5, end[0]), one.tp("order", 0): (9, 9)})
        return sum("cannot be read" in record.getMessage() for record in caplog.records)

    assert [look_at(at_s) for at_s in (0.0, 60.0, 121.0, 240.0)] == [0, 0, 1, 1]
    end[0] = 7  # it moved, and stands again
    assert [look_at(at_s) for at_s in (241.0, 350.0, 362.0)] == [1, 1, 2]
    rendered = one.context.metrics.render().decode()
    assert 'cx_runtime_undecided_records{partition="0",room="join",topic="telemetry"} 3.0' in rendered
    assert 'cx_runtime_undecided_records{partition="0",room="join",topic="order"} 0.0' in rendered


async def test_a_topic_made_anew_is_named_also_if_the_groups_leader_has_not_seen_it_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = shell(tmp_path)
    metadata(one, monkeypatch)
    one.sources.epochs = {"telemetry": "an-id"}
    monkeypatch.setattr(
        "streams.runtime.offsets.topic_ids", lambda _bootstrap, names: dict.fromkeys(names, "another-id")
    )
    with pytest.raises(ConfigError, match="made anew"):
        await one._open({0: {"order"}})


async def test_the_room_flushes_before_faust_hears_of_a_revocation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = shell(tmp_path)
    await one._on_message(event_of(batch([message(1)])))
    consumer = one.consumer

    async def heard(_self: Any, _revoked: Any) -> None:
        one.log.append("Faust hears")

    monkeypatch.setattr(BatchConsumer.__mro__[1], "on_partitions_revoked", heard)
    await consumer.on_partitions_revoked({TELEMETRY})
    assert one.log == [("committed", 1), ("group offsets", 1), "closed", "Faust hears"]
    await one._on_message(event_of(batch([message(2)], start=1)))
    assert one.positions() == {}, "nothing is taken after the flush"


async def test_a_failed_transaction_ends_the_process_and_no_group_offset_is_written(tmp_path: Path) -> None:
    one = shell(tmp_path, RuntimeError("x"))
    await one._on_message(event_of(batch([message(1)])))
    await one.before_revoke()
    assert one.exits[0][0] == ExitCode.UNKNOWN
    assert one.log == []


async def test_a_batch_that_does_not_follow_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = shell(tmp_path)
    sought: list[Any] = []

    async def seek(positions: Any) -> None:
        sought.append(positions)

    monkeypatch.setattr(one.consumer, "seek_wait", seek)
    order = replace(batch([message(1)]), topic="order")
    await one._on_message(event_of(batch([message(1)], start=7), order))
    assert sought == [{TELEMETRY: 0}]
    assert one.positions()[one.tp("order", 0)] == 1, "what came with it is taken"
    assert one.exits == []


async def test_the_rest_of_a_fetch_is_dropped_when_its_generation_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = shell(tmp_path)
    taken = []

    async def take(_self: Any, found: RawBatch) -> None:
        taken.append(found.topic)
        one.app.consumer_generation_id += 1

    monkeypatch.setattr(Shell, "_take", take)
    await one._on_message(event_of(batch([message(1)]), replace(batch([message(1)]), topic="order")))
    assert taken == ["telemetry"]


def test_fausts_gap_rule_never_runs(tmp_path: Path) -> None:
    one = shell(tmp_path)
    topics: Any = one.app.topics
    asyncio.run(topics._update_indices())
    assert one.app.topics.acking_topics == set()
    assert not one.app.topics.acks_enabled_for(TELEMETRY.topic)


def test_fausts_own_commits_have_nothing_to_commit(tmp_path: Path) -> None:
    one = shell(tmp_path)
    consumer = one.consumer
    done = event_of(batch([message(1)]))
    done.incref()
    done.ack(consumer)
    assert consumer._acked == {}
    assert list(consumer._filter_tps_with_pending_acks()) == []
    assert one.app.conf.stream_wait_empty is False


async def test_faust_never_decodes(tmp_path: Path) -> None:
    one = shell(tmp_path)
    decode = BatchSchema().compile(one.app)
    poison = batch([b"\xff", None])
    event = await decode(event_of(poison))
    assert event.value == (poison,)
    assert event.value[0] is poison


def test_a_full_queue_takes_no_partition_out_of_the_fetch(tmp_path: Path) -> None:
    consumer = shell(tmp_path).consumer
    consumer._set_active_tps({TELEMETRY})
    consumer.on_buffer_full(TELEMETRY)
    assert consumer._get_active_partitions() == {TELEMETRY}


@pytest.mark.parametrize(
    ("inputs", "wait_ms", "least_bytes"),
    [
        (("cohort_count", "source_count", "episode.dlq"), BURST_WAIT_MS, 1),
        (("episode", "customer"), 50, 1_048_576),
    ],
)
def test_only_inputs_that_come_all_the_time_are_lingered_for(
    tmp_path: Path, inputs: tuple[str, ...], wait_ms: int, least_bytes: int
) -> None:
    async def write(_batches: list[RawBatch]) -> None:
        """Nothing is stored here."""

    context = Context("127.0.0.1:1", "p.", 4, "a", tmp_path, Metrics(), lambda code, why: None)
    options = shell_of(SinkRoom("store", inputs, write), context).fetch_options
    assert (options.fetch_max_wait_ms, options.fetch_min_bytes) == (wait_ms, least_bytes)


def test_the_app_makes_no_topics_and_serves_no_web(tmp_path: Path) -> None:
    conf = shell(tmp_path).app.conf
    assert (conf.topic_allow_declare, conf.topic_disable_leader, conf.web_enabled) == (False, True, False)
    assert conf.id == "p.cx.join"


async def test_a_sink_is_offered_the_same_batches_until_it_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[list[RawBatch]] = []

    async def write(batches: list[RawBatch]) -> None:
        tries.append(batches)
        if len(tries) < 3:
            raise SinkUnavailable("x", retry_after=0.0)

    context = Context("127.0.0.1:1", "p.", 4, "a", tmp_path, Metrics(), lambda code, why: None)
    one = shell_of(SinkRoom("store", ("telemetry",), write), context)
    assert isinstance(one, SinkShell)
    one._positions = {TELEMETRY: 0}
    offsets: list[Any] = []

    async def commit(found: Any, now: bool = False) -> None:
        offsets.append(found)

    monkeypatch.setattr(one, "commit_offsets", commit)
    assert await one._take(batch([message(1), message(2)])) is None
    assert await one._take(batch([message(9)], start=5)) == 2, "something is missing: read again from 2"
    await one.flush()
    assert tries[0] is tries[1] is tries[2]
    assert offsets == [{TELEMETRY: 2}]
    assert not one.status.retrying


def sink(tmp_path: Path, pace: SinkPace) -> tuple[SinkShell, list[int]]:
    """A sink room that reads two topics from their beginning, and the sizes of its rounds."""
    rounds: list[int] = []

    async def write(batches: list[RawBatch]) -> None:
        rounds.append(sum(map(len, batches)))

    context = Context("127.0.0.1:1", "p.", 4, "a", tmp_path, Metrics(), lambda code, why: None)
    one = shell_of(SinkRoom("store", ("telemetry", "order"), write, pace=pace), context)
    assert isinstance(one, SinkShell)
    one._positions = {TELEMETRY: 0, one.tp("order", 0): 0}
    one._offsets_at = time.monotonic() + 3_600  # no group offsets here
    return one, rounds


async def test_a_round_of_a_sink_takes_in_what_comes_soon_after_its_first_message(tmp_path: Path) -> None:
    one, rounds = sink(tmp_path, SinkPace(linger_s=0.2, least_s=0.2))
    running = asyncio.create_task(one._flush_in_time())
    await one._take(batch([message(1)]))
    await asyncio.sleep(0)
    assert rounds == [], "it waits for more"
    await one._take(batch([message(2)], start=1))
    while not rounds:
        await asyncio.sleep(0.01)
    await one._take(batch([message(3)], start=2))
    while len(rounds) < 2:
        await asyncio.sleep(0.01)
    running.cancel()
    assert rounds == [2, 1]


async def test_a_patient_topic_starts_no_round_but_goes_with_the_next(tmp_path: Path) -> None:
    one, rounds = sink(tmp_path, SinkPace(0.0, 0.0, frozenset({"telemetry"}), patience_s=3_600.0))
    running = asyncio.create_task(one._flush_in_time())
    await one._take(batch([message(1)]))
    for _ in range(5):
        await asyncio.sleep(0.01)
    assert rounds == []
    await one._take(replace(batch([message(2)]), topic="order"))
    while not rounds:
        await asyncio.sleep(0.01)
    running.cancel()
    assert rounds == [2]


async def test_a_sink_without_messages_is_never_written_to_and_its_loop_sleeps(tmp_path: Path) -> None:
    one, rounds = sink(tmp_path, SinkPace(0.0, 0.0))
    running = asyncio.create_task(one._flush_in_time())
    await asyncio.sleep(0.05)
    assert not running.done()
    assert one._due == math.inf
    running.cancel()
    assert rounds == []


@pytest.mark.loopback
async def test_the_endpoints_tell_live_from_ready() -> None:
    status = Status("join")
    dog = Watchdog([status], 90.0, lambda code, why: None)
    dog.beat()
    health = Health([status], dog, Metrics(), "127.0.0.1", 0)
    url = await health.start()
    async with aiohttp.ClientSession() as session:

        async def code(path: str, host: str = "127.0.0.1") -> int:
            async with session.get(url + path, headers={"Host": host}) as answer:
                return answer.status

        assert (await code("/livez"), await code("/readyz"), await code("/metrics")) == (200, 503, 200)
        assert [await code(path, "evil.example") for path in ("/livez", "/readyz", "/metrics")] == [403, 403, 403]
        assert await code("/metrics", "localhost") == 200
        status.enter("running")
        assert await code("/readyz") == 200
        assert await code("/") == 404
        status.moved_at -= 1_000
        assert await code("/livez") == 503
    await health.stop()
