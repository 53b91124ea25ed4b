"""Pid files that cannot lie, servers that are really stopped, logs that are kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.stack import process
from streams.stack.process import Launch, PidFile, find_by_argument, log_tail, rotate, start, started_at, stop
from tests.patience import Deadline

SLEEPER = "import sys, time; print('ready', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER
HEADLESS = (
    "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(600,)).start(); "
    "print('ready', flush=True); ctypes.CDLL(None).pthread_exit(None)"
)
"""Its first thread ends, another goes on: what a killed server is for a moment."""

Starter = Callable[..., int]


def _wait(what: Callable[[], object]) -> None:
    deadline = Deadline(20)
    while not what():
        assert not deadline.over, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[Starter]:
    """Starts little servers, and kills what a test leaves behind."""
    pids: list[int] = []

    def begin(program: str, *arguments: str) -> int:
        log = tmp_path / f"server{len(pids)}.log"
        command = [sys.executable, "-c", program, *arguments]
        pids.append(start(Launch(command, tmp_path, log, dict(os.environ))))
        _wait(lambda: log.exists() and "ready" in log.read_text())
        return pids[-1]

    yield begin
    for pid in pids:
        stop(pid, 0.0)


def test_a_pid_file_knows_its_server(tmp_path: Path, starter: Starter) -> None:
    pid_file = PidFile(tmp_path / "pid")
    assert pid_file.read() == ("none", 0)
    pid = starter(SLEEPER)
    pid_file.write(pid)
    assert pid_file.read() == ("alive", pid)


def test_a_pid_that_now_belongs_to_another_program_is_not_ours(tmp_path: Path) -> None:
    pid_file = PidFile(tmp_path / "pid")
    pid_file.path.write_text(json.dumps({"pid": os.getpid(), "started": "another boot:1"}))
    assert pid_file.read() == ("foreign", os.getpid())
    assert pid_file.alive() is None


@pytest.mark.parametrize("content", ["", "{", "12", "[]", '{"pid": "x"}', "null"])
def test_a_damaged_pid_file_counts_as_dead(tmp_path: Path, content: str) -> None:
    pid_file = PidFile(tmp_path / "pid")
    pid_file.path.write_text(content)
    assert pid_file.read()[0] == "dead"


def test_a_killed_server_is_dead_even_before_it_is_reaped(tmp_path: Path, starter: Starter) -> None:
    pid = starter(SLEEPER)
    pid_file = PidFile(tmp_path / "pid")
    pid_file.write(pid)
    os.kill(pid, signal.SIGKILL)
    _wait(lambda: pid_file.read() == ("dead", pid))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows a process whose first thread alone has ended")
def test_a_dying_server_counts_as_alive_while_a_thread_of_it_may_hold_its_ports(starter: Starter) -> None:
    pid = starter(HEADLESS)
    _wait(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
    assert started_at(pid)
    os.kill(pid, signal.SIGKILL)
    _wait(lambda: started_at(pid) is None)


def test_a_server_without_a_pid_file_is_found_by_its_configuration(tmp_path: Path, starter: Starter) -> None:
    mark = f"--config-file={tmp_path}/config.xml"
    assert find_by_argument(mark) is None
    pid = starter(SLEEPER, mark)
    assert find_by_argument(mark) == pid


def test_stop_ends_a_willing_server(starter: Starter) -> None:
    pid = starter(SLEEPER)
    assert stop(pid, 20.0)
    assert started_at(pid) is None


def test_stop_kills_a_server_that_does_not_listen(starter: Starter) -> None:
    pid = starter(STUBBORN)
    assert not stop(pid, 0.1)
    assert started_at(pid) is None


def test_stop_leaves_a_process_alone_that_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert stop(child.pid, 0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process together with its parent")
def test_a_tied_server_ends_when_the_session_is_killed(tmp_path: Path) -> None:
    mark = f"mark-{tmp_path}"
    parent = f"""
import os, pathlib, sys, time
from streams.stack.process import Launch, start
folder = pathlib.Path({str(tmp_path)!r})
command = [sys.executable, "-c", {SLEEPER!r}, {mark!r}]
start(Launch(command, folder, folder / "log", dict(os.environ), die_with_parent=True))
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", parent]) as session:
        log = tmp_path / "log"
        _wait(lambda: log.exists() and "ready" in log.read_text())
        server = find_by_argument(mark)
        assert server is not None
        session.kill()
    _wait(lambda: started_at(server) is None)


def test_the_end_of_the_first_log_with_lines_is_shown(tmp_path: Path) -> None:
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.touch()
    full.write_text("\n".join(f"line {n}" for n in range(100)) + "\n\n")
    assert log_tail([tmp_path / "none", empty, full], lines=2) == ["line 98", "line 99"]


def test_logs_of_earlier_runs_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    for run in range(6):
        rotate(log)
        log.write_text(f"run {run}")
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert kept == {"kafka.log": "run 5", "kafka.log.1": "run 4", "kafka.log.2": "run 3", "kafka.log.3": "run 2"}


def test_processes_are_listed_by_their_arguments() -> None:
    assert any(pid == os.getpid() for pid, _ in process._command_lines())
