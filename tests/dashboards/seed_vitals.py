"""What the processes of the made-up afternoon reported in its last hour: a worker that died and came back."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.vitals import TaskVital, Vital

SECOND = 1_000
EVERY = 10 * SECOND
HOUR = 3_600 * SECOND
DIED, BACK = 30 * 60 * SECOND, 27 * 60 * SECOND
"""Before the end: when the worker spoke last, and when it was started again."""
OPENING = 4 * SECOND


@dataclass
class _Task:
    """What one partition has counted since it was opened."""

    opened_ms: int
    position: int
    records: Counter[str] = field(default_factory=Counter)


def vitals(now_ms: int) -> Iterator[Vital]:
    """One hour up to ``now_ms``, each 10 s: the rooms join and store of ``worker-a``, and ``sender-a``."""
    chance = random.Random(11)
    first, second = now_ms - 3 * HOUR, now_ms - BACK
    yield from _worker(chance, first, range(now_ms - HOUR, now_ms - DIED + 1, EVERY), 50_000)
    yield from _worker(chance, second, range(second + EVERY, now_ms + 1, EVERY), 0)
    yield from _sender(now_ms)


def _worker(chance: random.Random, started_ms: int, times: range, counted: int) -> Iterator[Vital]:
    """One run of the worker; ``counted``: records that each partition has read before the first time."""
    tasks = [_Task(started_ms + OPENING, 50_000, Counter(accepted=counted, dead=counted // 100)) for _ in range(2)]
    flushes = flush_ms = written = rows = refused = 0
    for at in times:
        for task in tasks:
            read = chance.randrange(40, 90)
            dead = chance.randrange(3)
            task.records += Counter(accepted=read - dead, dead=dead)
            task.position += read
        took = [chance.randrange(5, 60) for _ in range(20)]
        flushes, flush_ms, written = flushes + 20, flush_ms + sum(took), written + chance.randrange(200)
        rows, refused = rows + chance.randrange(300), refused + (chance.random() < 0.05)
        run = {"process": "worker-a", "started_ms": started_ms, "at_ms": at, "phase": "running", "ready": True,
               "flushes": flushes, "flush_ms": flush_ms, "flush_max_ms": max(took), "written": written}  # fmt: skip
        yield Vital.model_validate({**run, "room": "join", "tasks": tuple(
            TaskVital(partition=number, opened_ms=task.opened_ms, position=task.position, end=task.position + lag,
                      behind={"order": lag} if lag else {}, records=dict(task.records),
                      state_keys=100 + number, state_bytes=10_000 + 7 * number + task.position // 100)
            for number, (task, lag) in enumerate(zip(tasks, (chance.randrange(50), 0), strict=True))
        )})  # fmt: skip
        yield Vital.model_validate({**run, "room": "store", "rows": rows, "refused": refused, "tasks": ()})


def _sender(now_ms: int) -> Iterator[Vital]:
    for at in range(now_ms - HOUR, now_ms + 1, EVERY):
        yield Vital(
            room="send", process="sender-a", started_ms=now_ms - 3 * HOUR, at_ms=at, phase="running", ready=True,
            tasks=tuple(TaskVital(partition=number, opened_ms=now_ms - 3 * HOUR, position=9, end=9, behind={},
                                  records={"accepted": 9}, pending=number, claimed=2) for number in range(2)),
        )  # fmt: skip
