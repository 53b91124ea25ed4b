"""Plays many worlds in several processes, and keeps what came out in a folder, so that it need not be made again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from schemas.errors import CxError
from streams.core.join.native import find
from streams.replay.evaluate.cases import WorldCase
from streams.replay.evaluate.play import Task, play
from streams.replay.evaluate.results import WorldResult, keep, kept
from streams.replay.evaluate.rivals import RIVALS, installed
from streams.settings import Settings

LOST = "its process ended"
Watch = Callable[[WorldResult, int, int], None]
"""Told of every world that is done: its result, how many are done, how many there are."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How worlds are played; none of it changes a figure."""

    processes: int = 0
    """How many at once; 0: as many as there are cores."""
    folder: Path | None = None
    """Where results are kept, one file a world."""
    watch: Watch | None = None


def run(cases: Sequence[WorldCase], settings: Settings, options: RunOptions | None = None) -> list[WorldResult]:
    """Play worlds, in any order, and return what came out, in the order of the worlds.

    A world that cannot be played has an ``error`` and holds up no other.
    """
    chosen = options or RunOptions()
    tasks = {case.name: Task(case, settings, key_of(case, settings)) for case in cases}
    done: dict[str, WorldResult] = {}
    for result in _results(list(tasks.values()), chosen):
        done[result.world] = result
        if chosen.folder is not None and not result.error:
            keep(_file(chosen.folder, result.world), result)
        if chosen.watch is not None:
            chosen.watch(result, len(done), len(tasks))
    return [done[name] for name in tasks]


def key_of(case: WorldCase, settings: Settings) -> str:
    """Hash of the world, the configuration, the code and the detectors that are installed."""
    secrets = {name for name, value in settings if hasattr(value, "get_secret_value")}
    parts = (
        case.identity, settings.model_dump_json(exclude=secrets), _build(), str(find() is not None),
        ",".join(name for name in RIVALS if installed(name)),
    )  # fmt: skip
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@cache
def _build() -> str:
    """Hash of our Python code: that of the detector, of the worlds and of the judge."""
    digest, root = hashlib.sha256(), Path(__file__).resolve().parents[3]
    for package in ("schemas", "streams"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _file(folder: Path, world: str) -> Path:
    return folder / "worlds" / f"{world}.json"


def _results(tasks: Sequence[Task], options: RunOptions) -> Iterator[WorldResult]:
    """Results as they come: first those that are kept already."""
    new: list[Task] = []
    for task in tasks:
        found = kept(_file(options.folder, task.case.name), task.key) if options.folder is not None else None
        if found is None:
            new.append(task)
        else:
            yield found
    processes = min(options.processes or len(os.sched_getaffinity(0)), max(1, len(new)))
    lost: list[Task] = []
    for task, future in _played(new, processes):
        if isinstance(future.exception(), BrokenExecutor):
            lost.append(task)  # by this world, or by another one in the same pool
        else:
            yield _result(task, future)
    for task in lost:
        for alone, future in _played([task], 1):
            yield _result(alone, future)


def _played(tasks: Sequence[Task], processes: int) -> Iterator[tuple[Task, Future[WorldResult]]]:
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures: dict[Future[WorldResult], Task] = {}
        with suppress(BrokenExecutor):
            for task in tasks:
                futures[pool.submit(play, task)] = task
        for future in as_completed(futures):
            yield futures[future], future
    submitted = {task.case.name for task in futures.values()}
    for task in tasks:
        if task.case.name not in submitted:
            missed: Future[WorldResult] = Future()
            missed.set_exception(BrokenExecutor())
            yield task, missed


def _result(task: Task, future: Future[WorldResult]) -> WorldResult:
    error = future.exception()
    if error is None:
        return future.result()
    # An unexpected error may quote an event; ours never do.
    text = LOST if isinstance(error, BrokenExecutor) else str(error) if isinstance(error, CxError) else ""
    return WorldResult(world=task.case.name, key=task.key, error=text or type(error).__name__)
