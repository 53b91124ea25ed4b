"""Server processes that outlive the command that started them: start, recognise, stop, show the end of the log.

A pid alone proves nothing: pids are reused. A pid file therefore holds the pid with the moment that process started,
and a process is ours only if both agree.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streams.stack import die_with_parent
from streams.stack.folders import write_private

_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
"""Servers started by this very process, kept so that they can be reaped when they end."""

_ENDED: dict[int, int] = {}
"""Exit codes of those that have ended."""

PidFileState = Literal["none", "alive", "dead", "foreign"]


@dataclass(frozen=True)
class Launch:
    """How one server is started."""

    command: Sequence[str]
    folder: Path
    log: Path
    """Receives standard output and standard error."""
    environment: Mapping[str, str]
    die_with_parent: bool = False
    """Linux: the kernel kills the server when the process that started it ends (tests)."""


def started_at(pid: int) -> str | None:
    """A text that identifies one run of ``pid`` (boot and start moment), None if there is no such live process."""
    if pid in _CHILDREN and exit_code(pid) is not None:
        return None
    if sys.platform == "linux":
        return _started_at_linux(pid)
    shown = subprocess.run(["ps", "-p", str(pid), "-o", "stat=,lstart="], capture_output=True, text=True, check=False)
    state, _, moment = shown.stdout.strip().partition(" ")
    return moment.strip() if moment and not state.startswith("Z") else None


def exit_code(pid: int) -> int | None:
    """How a server ended that this very process started (negative: by that signal); None while it runs."""
    child = _CHILDREN.get(pid)
    if child is not None and child.poll() is not None:
        _ENDED[pid] = child.returncode
        del _CHILDREN[pid]
    return None if pid in _CHILDREN else _ENDED.get(pid)


def _started_at_linux(pid: int) -> str | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before the last ")" may itself hold spaces
    state, threads = fields[0], int(fields[17])
    # The first thread of a killed server may be gone while others still hold its ports and its data.
    gone = state == "X" or (state == "Z" and threads <= 1)
    return None if gone else f"{boot}:{fields[19]}"


class PidFile:
    """The pid file of one server."""

    def __init__(self, path: Path) -> None:
        """Keep ``path``; nothing is read yet."""
        self.path = path

    def read(self) -> tuple[PidFileState, int]:
        """What the file says and whether it is true; pid 0 if there is none."""
        try:
            held = json.loads(self.path.read_text(encoding="utf-8"))
            pid, started = int(held["pid"]), str(held["started"])
        except FileNotFoundError:
            return "none", 0
        except (OSError, ValueError, KeyError, TypeError):
            return "dead", 0
        now = started_at(pid)
        if now is None:
            return "dead", pid
        return ("alive" if now == started else "foreign"), pid

    def alive(self) -> int | None:
        """Pid of our live server, or None."""
        state, pid = self.read()
        return pid if state == "alive" else None

    def write(self, pid: int) -> None:
        """Remember ``pid`` with the moment it started."""
        write_private(self.path, json.dumps({"pid": pid, "started": started_at(pid) or ""}))

    def remove(self) -> None:
        """Forget the server (after a clean stop, or when the file is stale)."""
        self.path.unlink(missing_ok=True)


def find_by_argument(argument: str) -> int | None:
    """Pid of a live process of ours with ``argument`` on its command line: a server whose pid file was lost."""
    for pid, arguments in _command_lines():
        if pid != os.getpid() and argument in arguments and started_at(pid):
            return pid
    return None


def _command_lines() -> Iterator[tuple[int, list[str]]]:
    if sys.platform == "linux":
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if entry.stat().st_uid == os.getuid():
                        raw = (entry / "cmdline").read_bytes().decode(errors="replace")
                        yield int(entry.name), raw.split("\0")
        return
    shown = subprocess.run(["ps", "-xo", "pid=,command="], capture_output=True, text=True, check=False)
    for line in shown.stdout.splitlines():
        pid, _, command = line.strip().partition(" ")
        yield int(pid), command.split()


def start(launch: Launch) -> int:
    """Start a server in a session of its own, so that Ctrl-C in the terminal does not reach it; returns its pid."""
    tied = launch.die_with_parent and sys.platform == "linux"
    wrapper = [sys.executable, "-I", str(Path(die_with_parent.__file__))] if tied else []
    with launch.log.open("ab") as log:
        child = subprocess.Popen(
            [*wrapper, *launch.command],
            cwd=launch.folder,
            env=dict(launch.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _ENDED.pop(child.pid, None)
    _CHILDREN[child.pid] = child
    return child.pid


def stop(pid: int, patience_s: float) -> bool:
    """Ask ``pid`` to end, wait, and kill it if it does not; True if it ended by itself."""
    identity = started_at(pid)
    for number, patience in ((signal.SIGTERM, patience_s), (signal.SIGKILL, 10.0)):
        if identity is None or started_at(pid) != identity:
            return True
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        if _wait_gone(pid, identity, patience):
            return number == signal.SIGTERM
    return False


def _wait_gone(pid: int, identity: str, patience_s: float) -> bool:
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if started_at(pid) != identity:
            return True
        time.sleep(0.05)
    return False


def log_tail(logs: Sequence[Path], lines: int = 8) -> list[str]:
    """Last lines of the first of ``logs`` that has any."""
    for log in logs:
        try:
            with log.open("rb") as stream:
                stream.seek(max(0, log.stat().st_size - 16_384))
                found = [line for line in stream.read().decode(errors="replace").splitlines() if line.strip()]
        except OSError:
            continue
        if found:
            return found[-lines:]
    return []


def rotate(log: Path, keep: int = 3) -> None:
    """Set the last run's log aside (``name.1`` is the newest) and begin an empty one."""
    if not log.exists() or log.stat().st_size == 0:
        return
    for number in range(keep - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    log.replace(log.with_name(f"{log.name}.1"))
