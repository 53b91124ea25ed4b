"""The tools of the fault runs do what they say: proxy, small disk, clock."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.clock import Clock
from tests.faults.proxy import Proxy, insert_applied
from tests.faults.small_disk import small_disk
from tests.patience import patience

pytestmark = pytest.mark.loopback
LOOPBACK = "127.0.0.1"


class Upper:
    """A server that answers every line in capitals, says so when a client has finished, and counts."""

    def __init__(self) -> None:
        self.listener = socket.create_server((LOOPBACK, 0))
        self.port = self.listener.getsockname()[1]
        self.lines: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                taken, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(taken,), daemon=True).start()

    def _serve(self, taken: socket.socket) -> None:
        with taken, taken.makefile("rb") as lines:
            try:
                for line in lines:
                    self.lines.append(line)
                    taken.sendall(line.upper())
                taken.sendall(b"END\n")
            except OSError:
                return


@pytest.fixture
def upper() -> Iterator[Upper]:
    """The server behind the proxy."""
    made = Upper()
    yield made
    made.listener.close()


@pytest.fixture
def proxy(upper: Upper) -> Iterator[Proxy]:
    """A proxy in front of it."""
    with Proxy(LOOPBACK, upper.port) as made:
        yield made


@contextmanager
def client(proxy: Proxy) -> Iterator[socket.socket]:
    """A client of the proxy."""
    with socket.create_connection((LOOPBACK, proxy.port), timeout=patience(5)) as made:
        yield made


def ask(made: socket.socket, line: bytes = b"hello\n") -> bytes:
    made.sendall(line)
    return made.recv(100)


def test_by_default_it_forwards_both_ways(proxy: Proxy) -> None:
    with client(proxy) as one:
        assert ask(one) == b"HELLO\n"
        assert (proxy.accepted, proxy.open, proxy.forwarded) == (1, 1, 6)


def test_a_cut_resets_what_is_open_and_what_comes_until_it_is_healed(proxy: Proxy) -> None:
    with client(proxy) as one:
        ask(one)
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            one.recv(100)
        with pytest.raises(OSError, match=r"."), client(proxy) as two:
            ask(two)
        proxy.heal()
    with client(proxy) as three:
        assert ask(three) == b"HELLO\n"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            three.recv(100)
    assert proxy.resets == 3


def test_a_thief_keeps_the_answer_to_work_that_was_done(proxy: Proxy, upper: Upper) -> None:
    proxy.steal(lambda chunk: chunk == b"SECOND\n")
    with client(proxy) as one:
        assert ask(one) == b"HELLO\n"
        with pytest.raises(ConnectionResetError):
            ask(one, b"second\n")
    assert upper.lines == [b"hello\n", b"second\n"], "the server has it, the client cannot know"
    assert proxy.stolen == 1
    proxy.steal(None)
    with client(proxy) as two:
        assert ask(two, b"second\n") == b"SECOND\n"


def test_the_end_of_an_answer_of_clickhouse_is_recognised() -> None:
    assert insert_applied(b"\x05")
    assert not insert_applied(b"\x01\x00")


def test_a_delay_holds_each_direction_up(proxy: Proxy) -> None:
    proxy.delay(0.15)
    with client(proxy) as one:
        before = time.monotonic()
        assert ask(one) == b"HELLO\n"
        assert time.monotonic() - before >= 0.3


def test_a_half_close_ends_one_direction_only(proxy: Proxy) -> None:
    with client(proxy) as one:
        assert ask(one) == b"HELLO\n"
        proxy.half_close()
        assert one.recv(100) == b"END\n", "the server was told that no more comes, and could still answer"


def test_a_black_hole_takes_everything_and_says_nothing(proxy: Proxy) -> None:
    with client(proxy) as one:
        assert ask(one) == b"HELLO\n"
        proxy.black_hole()
        one.settimeout(0.2)
        with client(proxy) as two:
            two.settimeout(0.2)
            for held in (one, two):
                with pytest.raises(TimeoutError):
                    ask(held, b"lost\n")
            proxy.heal()
            one.settimeout(patience(5))
            assert one.recv(100) == b"LOST\n", "what was held back is delivered"


def test_a_server_that_is_away_is_a_reset(upper: Upper) -> None:
    with socket.create_server((LOOPBACK, 0)) as gone:
        port = gone.getsockname()[1]
    with Proxy(LOOPBACK, port) as lonely, pytest.raises(ConnectionResetError), client(lonely) as one:
        ask(one)


def test_a_small_disk_is_full_soon_and_free_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2) as disk:
        disk.fill(leave_bytes=65_536)
        with pytest.raises(OSError, match=r"space") as full:
            (disk.path / "file").write_bytes(b"x" * 1_000_000)
        assert full.value.errno == errno.ENOSPC
        (disk.path / "file").unlink()
        disk.relieve()
        assert disk.free_bytes > 1_500_000
    assert not (tmp_path / "disk").is_mount()


ASK_TIME = """
import datetime, sys, time
for _ in sys.stdin:
    zone = datetime.timezone.utc
    aware = datetime.datetime.now(zone)
    assert isinstance(aware, datetime.datetime) and isinstance(datetime.datetime.utcnow(), datetime.datetime)
    print(time.time(), time.time_ns() / 1e9, aware.timestamp(), time.monotonic(), flush=True)
"""


def test_a_childs_wall_clock_jumps_and_its_steady_clock_does_not(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", ASK_TIME], env=clock.environment(), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        for offset in (0.0, 3_600.0, -3_600.0):
            clock.jump_to(offset)
            time.sleep(0.05)
            child.stdin.write("now\n")
            child.stdin.flush()
            *walls, steady = map(float, child.stdout.readline().split())
            assert all(abs(wall - offset - time.time()) < 60 for wall in walls)
            assert abs(steady - time.monotonic()) < 60
    finally:
        child.stdin.close()
        child.wait(patience(10))
        child.stdout.close()
