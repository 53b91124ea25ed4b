"""Signs of life: right figures, bounded costs, and a broker that is down costs nobody anything."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pytest

from schemas.codec import decode, encode
from schemas.vitals import Phase, Vital
from streams.runtime import vitals
from streams.runtime.status import Status
from streams.runtime.tally import MOST_KEPT, RoomTally, Standing, StateSize, TaskTally
from streams.runtime.vitals import Process, Vitals, vital_of
from tests.patience import Deadline

MINUTE_S = 60
NOW_S = 1_767_225_600.0


@dataclass
class Room:
    """A room that is asked how it stands."""

    inputs: list[Standing] = field(default_factory=list)
    tallies: dict[int, TaskTally] = field(default_factory=dict)
    tally: RoomTally = field(default_factory=RoomTally)
    status: Status = field(default_factory=lambda: Status("join", phase="running"))
    name: str = "join"

    def rows(self) -> int:
        return 5

    def standings(self) -> Sequence[Standing]:
        return self.inputs

    def task_tallies(self) -> Mapping[int, TaskTally]:
        return self.tallies


def process() -> Process:
    """A worker that started at NOW_S."""
    return Process("worker", "a", lambda: NOW_S)


def test_a_room_tells_of_each_partition_what_it_has_read_and_what_lies_before_it() -> None:
    room = Room(
        [Standing("order", 0, 10, 14), Standing("contact", 0, 7, 7, undecided=2), Standing("order", 3, 1, 1),
         Standing("order", 9, 1, 5)],
        {3: TaskTally(int(NOW_S * 1_000)), 0: TaskTally(int(NOW_S * 1_000), {"accepted": 15, "dead": 2, "astray": 0})},
    )  # fmt: skip
    room.tallies[0].size.change([(b"key", b"value")])
    found = vital_of(room, process(), ready=True)
    assert (found.room, found.process, found.started_ms, found.rows) == ("join", "worker-a", int(NOW_S * 1_000), 5)
    assert [task.partition for task in found.tasks] == [0, 3]
    first, second = found.tasks
    assert (first.position, first.end, first.behind, first.undecided) == (17, 21, {"order": 4}, 2)
    assert (first.records, first.state_keys, first.state_bytes) == ({"accepted": 15, "dead": 2}, 1, 8)
    assert (second.position, second.end, second.behind, second.records) == (1, 1, {}, {})
    assert decode("vital", [encode(found)]).records == [found]


@pytest.mark.parametrize("phase", ["joining", "recovering", "draining"])
def test_a_room_that_does_not_run_tells_of_no_partition(phase: Phase) -> None:
    room = Room([Standing("order", 0, 10, 14)], {0: TaskTally(int(NOW_S * 1_000))}, status=Status("join", phase=phase))
    found = vital_of(room, process(), ready=False)
    assert (found.phase, found.ready, found.tasks) == (phase, False, ())


def test_flushes_add_up_and_the_longest_is_that_of_the_minute() -> None:
    tally = RoomTally()
    for second, took in ((0, 0.2), (59, 0.1), (60, 0.05), (61, 0.07)):
        tally.flushed(took, 10, NOW_S + second)
    assert (tally.flushes, tally.written) == (4, 40)
    assert tally.flush_s == pytest.approx(0.42)
    assert [tally.longest_s(NOW_S + second) for second in (30, 61, 119, 120)] == [0.0, 0.07, 0.07, 0.0]


def test_the_size_of_a_state_is_exact_while_it_is_small() -> None:
    chance = random.Random(3)
    size, truth = StateSize([(b"old", b"1234")]), {b"old": b"1234"}
    for _ in range(20):
        changes: list[tuple[bytes, bytes | None]] = []
        for _ in range(300):
            key = str(chance.randrange(1_500)).encode()
            changes.append((key, chance.choice([None, bytes(chance.randrange(90))])))
        size.change(changes)
        for key, value in changes:
            if value is None:
                truth.pop(key, None)
            else:
                truth[key] = value
        assert size.keys == len(truth)
        assert size.size_bytes == sum(len(key) + len(value) for key, value in truth.items())


def test_the_size_of_a_large_state_is_about_right_and_what_is_kept_is_bounded() -> None:
    size = StateSize((f"customer-{number}".encode(), bytes(number % 100)) for number in range(100_000))
    assert size.keys == pytest.approx(100_000, rel=0.06)
    assert size.size_bytes == pytest.approx(sum(14 + number % 100 for number in range(100_000)), rel=0.08)
    assert len(size._sizes) <= MOST_KEPT
    size.change((f"customer-{number}".encode(), None) for number in range(50_000))
    assert size.keys == pytest.approx(50_000, rel=0.08)
    size.change((f"customer-{number}".encode(), None) for number in range(100_000))
    assert (size.keys, size.size_bytes) == (0, 0)


async def until(check: Callable[[], bool]) -> None:
    """Let the loop run until something is true."""
    deadline = Deadline(20)
    while not check():
        assert not deadline.over
        await asyncio.sleep(0.01)


def errors_of(speaking: Vitals, monkeypatch: pytest.MonkeyPatch) -> list[BaseException | None]:
    """What became of each sign of life so far: the list grows."""
    found: list[BaseException | None] = []
    original = speaking._note

    def note(error: BaseException | None) -> None:
        found.append(error)
        original(error)

    monkeypatch.setattr(speaking, "_note", note)
    return found


def has(found: Sequence[object], count: int) -> bool:
    """True once there are as many."""
    return len(found) >= count


@pytest.mark.loopback
async def test_a_broker_that_is_down_or_deaf_is_told_of_once_and_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    taken: list[asyncio.StreamWriter] = []

    async def deaf(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    monkeypatch.setattr(vitals, "SEND_S", 0.05)
    monkeypatch.setattr(vitals, "STOP_S", 0.05)
    for port in (unused_tcp_port, server.sockets[0].getsockname()[1]):
        caplog.clear()
        speaking = Vitals(f"127.0.0.1:{port}", "p.", 100, lambda: [vital_of(Room(), process(), ready=True)])
        failed = errors_of(speaking, monkeypatch)
        async with speaking:
            await until(partial(has, failed, 3))
        assert all(failed)
        logged = [record.getMessage() for record in caplog.records if record.name == "cx.vitals"]
        assert len(logged) == 1
        assert "boards call this process silent" in logged[0]
    for writer in taken:
        writer.close()
    server.close()


async def test_while_a_batch_is_on_its_way_no_second_one_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    collected: list[int] = []

    def collect() -> list[Vital]:
        collected.append(1)
        return [vital_of(Room(), process(), ready=True)]

    speaking = Vitals("127.0.0.1:1", "p.", 100, collect)
    speaking._sending = asyncio.get_running_loop().create_future()
    with pytest.raises(TimeoutError):
        await speaking._send()
    assert collected == []
