"""Supervises programs of ours: starts them, reports why one ended, starts it again, later each time it does not last.

What runs, how often it was started again and why is written to a file in the state folder, which ``cxwatch status``
reads. A pid alone proves nothing, so the file holds each process's moment of start as well. On Linux the kernel kills
the processes when their supervisor is killed; elsewhere, and in any case, the next supervisor of the same name ends
what the file still names.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import ConfigError, StackError
from streams.runtime.exits import ExitCode, in_words
from streams.settings import PREFIX, Settings
from streams.stack.folders import write_private
from streams.stack.last_run import NAMES
from streams.stack.process import Launch, exit_code, log_tail, rotate, start, started_at, stop

COMMAND = "import sys; from streams.cli.main import main; sys.exit(main())"
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
STAYED_S = 60.0
"""A process that ran this long stayed up: when it ends, the waits begin anew."""
LOOP = 3
"""So many ends in a row are reported as a crash loop."""
LOG_BYTES = 50_000_000
"""A log larger than this is set aside when its process is started again."""


@dataclass(frozen=True)
class Program:
    """``cxwatch ARGUMENTS`` as it is kept running."""

    name: str
    arguments: Sequence[str]
    log: Path
    environment: Mapping[str, str]


@dataclass
class SupervisedProcess:
    """One program, and what became of it. ``since_ms`` and ``last_end_ms`` are wall time, for people."""

    program: Program
    pid: int = 0
    started: str = ""
    """What tells this process from another with the same pid."""
    since_ms: int = 0
    restarts: int = 0
    in_a_row: int = 0
    """Ends since it last stayed up."""
    last_code: int | None = None
    last_why: str = ""
    last_end_ms: int = 0
    began: float = 0.0
    due: float | None = None
    """When it is started again; None while it runs."""

    @property
    def state(self) -> str:
        """``running``, ``waiting`` to be started again, or ``crash loop``: waiting after several ends in a row."""
        if self.due is None:
            return "running"
        return "crash loop" if self.in_a_row >= LOOP else "waiting"

    def ended(self) -> str:
        """Empty while it runs, else why it ended, as far as its log says."""
        return "" if started_at(self.pid) else last_words(self.program.log)

    def shown(self) -> dict[str, Any]:
        """What the file says about it."""
        return {
            "name": self.program.name, "state": self.state, "pid": self.pid, "started": self.started,
            "since_ms": self.since_ms, "restarts": self.restarts, "last_code": self.last_code,
            "last": "" if self.last_code is None else in_words(self.last_code), "last_why": self.last_why,
            "last_end_ms": self.last_end_ms, "log": str(self.program.log),
        }  # fmt: skip


class Supervisor:
    """Keeps several programs running. Not for several threads at once."""

    def __init__(
        self, file: Path, note: str = "", most_in_a_row: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``note`` is shown with the processes.

        ``most_in_a_row``: give up a program after more ends than these; for a run that ends by itself, as a demo does.
        """
        self.file, self.note = file, note
        self.processes: list[SupervisedProcess] = []
        self._most, self._clock = most_in_a_row, clock
        self._me = {"pid": os.getpid(), "started": started_at(os.getpid()) or ""}

    def begin(self, program: Program) -> SupervisedProcess:
        """Start a program and keep it running from here on."""
        program.log.parent.mkdir(parents=True, exist_ok=True)
        rotate(program.log)
        process = SupervisedProcess(program)
        self.processes.append(process)
        self._start(process)
        return process

    def look(self) -> list[str]:
        """Take note of what has ended, start again what is due; returns a sentence for each end.

        Raises ConfigError if a program refuses its settings (no further start would help), StackError if one was given
        up: either way the caller stops the others.
        """
        sentences = []
        for process in self.processes:
            if process.due is None and (code := exit_code(process.pid)) is not None:
                sentences.append(self._ended(process, code))
            if process.due is not None and self._clock() >= process.due:
                process.restarts += 1
                self._start(process)
        return sentences

    def forgive(self) -> None:
        """Ends up to here count no longer: their reason lay elsewhere, as when the servers were stopped."""
        for process in self.processes:
            process.in_a_row = 0

    def stop(self, patience_s: float) -> list[str]:
        """End all, in the order in which they were begun, each with its time to drain; returns whom it had to kill."""
        slow = []
        for process in self.processes:
            if process.due is None and not stop(process.pid, patience_s):
                slow.append(process.program.name)
        self.processes.clear()
        self.file.unlink(missing_ok=True)
        return slow

    def _start(self, process: SupervisedProcess) -> None:
        program = process.program
        if program.log.exists() and program.log.stat().st_size > LOG_BYTES:
            rotate(program.log)
        command = (sys.executable, "-c", COMMAND, *program.arguments)
        process.pid = start(Launch(command, Path.cwd(), program.log, program.environment, die_with_parent=True))
        process.started, process.due, process.began = started_at(process.pid) or "", None, self._clock()
        process.since_ms = _now_ms()
        self._save()

    def _ended(self, process: SupervisedProcess, code: int) -> str:
        """Record an end and when to start again; returns the sentence about it."""
        name, now = process.program.name, self._clock()
        process.in_a_row = 1 if now - process.began >= STAYED_S else process.in_a_row + 1
        process.last_code, process.last_end_ms = code, _now_ms()
        process.last_why = last_words(process.program.log)
        wait = min(FIRST_WAIT_S * 2.0 ** (process.in_a_row - 1), LONGEST_WAIT_S)
        process.due = now + wait
        self._save()
        ended = f"{name} ended: {in_words(code)} ({process.last_why})"
        if code == ExitCode.CONFIG:
            raise ConfigError(f"{ended}; log: {process.program.log}")
        if self._most is not None and process.in_a_row > self._most:
            lines = "\n  ".join(log_tail([process.program.log], 12))
            raise StackError(f"{name} does not stay up; last lines of {process.program.log}:\n  {lines}")
        loop = f", {process.in_a_row} ends in a row" if process.in_a_row >= LOOP else ""
        return f"{ended}{loop}; it is started again in {wait:g} s"

    def _save(self) -> None:
        processes = [process.shown() for process in self.processes]
        body = {"keeper": self._me, "note": self.note, "ends": self._most is not None, "processes": processes}
        write_private(self.file, json.dumps(body, indent=1) + "\n")


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment in which a child reads the same settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        named = name in NAMES  # always: a child that is told of none takes those of what ran last
        if value is None or (value == type(settings).model_fields[name].default and not named):
            continue
        plain = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        environment[PREFIX + name.upper()] = ",".join(map(str, plain)) if isinstance(plain, tuple) else str(plain)
    here = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (here, environment.get("PYTHONPATH", ""))))
    return environment


def last_words(log: Path) -> str:
    """The line of a log that says why its process ended, else its last."""
    lines = log_tail([log], 40)
    reasons = [line.split(" exit ", 1)[1] for line in lines if " exit " in line]
    return (reasons or lines or ["its log is empty"])[-1].strip()[:300]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
