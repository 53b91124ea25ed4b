"""Units of a replay in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from typing import Any

from streams.replay.plan import Job, Worked, work
from streams.replay.unit import Report

REPORT_S = 0.2
"""Time between two reports of a process."""

_shared: dict[str, Any] = {}


class Processes:
    """As many processes as are asked for, which work off units of one phase after the other. ``with`` ends them."""

    def __init__(self, count: int) -> None:
        """They are started when there is work."""
        context = multiprocessing.get_context("spawn")
        self._reports: SimpleQueue[int] = context.SimpleQueue()
        self._stopping = context.Event()
        self._pool = ProcessPoolExecutor(count, context, _begin, (self._reports, self._stopping))

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._pool.shutdown(cancel_futures=True)

    def work(self, jobs: Sequence[Job], report: Report, stop: Callable[[], bool]) -> list[Worked]:
        """Work off the units of one phase side by side.

        Raises what the first unit to fail raised, once the others have ended; Stopped if ``stop`` says so.
        """
        futures = [self._pool.submit(_work, job) for job in jobs]
        pending = set(futures)
        while pending:
            pending = wait(pending, timeout=REPORT_S).not_done
            _pass_on(self._reports, report)
            failed = any(future.done() and future.exception() is not None for future in futures)
            if failed or stop():
                self._stopping.set()
        return [future.result() for future in futures]


def _pass_on(reports: SimpleQueue[int], report: Report) -> None:
    while not reports.empty():
        report(reports.get())


def _begin(reports: SimpleQueue[int], stopping: Event) -> None:
    """In a new process: Ctrl-C is for the parent, which asks to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _shared.update(reports=reports, stopping=stopping, parent=os.getppid())


def _work(job: Job) -> Worked:
    reports, stopping = _shared["reports"], _shared["stopping"]
    pending, due = 0, time.monotonic() + REPORT_S

    def report(records: int) -> None:
        nonlocal pending, due
        pending += records
        if time.monotonic() >= due:
            reports.put(pending)
            pending, due = 0, time.monotonic() + REPORT_S

    def stop() -> bool:
        if os.getppid() != _shared["parent"]:
            os._exit(1)  # the parent was killed: what counts is in the last checkpoint
        return bool(stopping.is_set())

    try:
        return work(job, report, stop)
    finally:
        reports.put(pending)
