"""Plays one world through our line and, in the same pass over its messages, past every other detector."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import msgspec

from schemas.rooms import ROOMS as ROOM_SPECS
from streams.replay.engine import ReplayOptions, replay
from streams.replay.evaluate.arrival import ArrivalClock
from streams.replay.evaluate.cases import WorldCase
from streams.replay.evaluate.observe import EventWatch, Minute, Tally
from streams.replay.evaluate.reports import DetectorReport, reports_of_issues
from streams.replay.evaluate.results import OURS, WorldResult
from streams.replay.evaluate.rivals import RIVALS, Alarms, installed
from streams.replay.source import MemorySource, from_arrivals
from streams.settings import Settings
from streams.sources.arrivals import Arrival

ROOMS = tuple(room.name for room in ROOM_SPECS if {"cohort_count", "issue", "affected"} & {*room.outputs})
"""What plays a world of events: from the counts to the affected."""
COUNT_ROOMS = tuple(room.name for room in ROOM_SPECS if "issue" in room.outputs)
"""What plays a world of counts."""


@dataclass(frozen=True, slots=True)
class Task:
    """One world to play, by one configuration. ``key`` names both and the code."""

    case: WorldCase
    settings: Settings
    key: str


def play(task: Task) -> WorldResult:
    """Play a world. Whatever goes wrong is raised: who runs many worlds says so and goes on."""
    begun = time.monotonic()
    truth, clock = task.case.truth(), ArrivalClock()
    reported: dict[str, tuple[DetectorReport, ...]] = {}
    minutes = _counted_minutes if task.case.counted else _event_minutes
    passed = _past_rivals(clock.watched(task.case.arrivals()), minutes, reported)
    source = from_arrivals(task.case.name, "world", passed, 1, appended=True)
    ours = tuple(_ours(source, COUNT_ROOMS if task.case.counted else ROOMS, task.settings, clock))
    return WorldResult(
        world=task.case.name, key=task.key, truth=truth, reports={OURS: ours, **reported},
        events=sum(source.records(noun, 0) for noun in source.nouns()), seconds=time.monotonic() - begun,
    )  # fmt: skip


Minutes = Callable[[Iterable[Arrival]], Iterator[Minute]]


def _event_minutes(arrivals: Iterable[Arrival]) -> Iterator[Minute]:
    return Tally().of_attempts(EventWatch().attempts(arrivals))


def _counted_minutes(arrivals: Iterable[Arrival]) -> Iterator[Minute]:
    return Tally().of_counts(msgspec.json.decode(arrival.value) for arrival in arrivals)


def _past_rivals(
    arrivals: Iterable[Arrival], minutes: Minutes, reported: dict[str, tuple[DetectorReport, ...]]
) -> Iterator[Arrival]:
    """Hand arrivals through; once they are used up, ``reported`` holds what each of the others reported."""
    passed: list[Arrival] = []

    def noted() -> Iterator[Arrival]:
        for arrival in arrivals:
            passed.append(arrival)
            yield arrival

    others = OtherDetectors()
    for minute in minutes(noted()):
        others.step(minute)
        yield from passed
        passed.clear()
    yield from passed
    reported.update(others.reports())


class OtherDetectors:
    """Every other detector that is installed, side by side."""

    def __init__(self) -> None:
        """All of them new."""
        self._rivals = {name: (new(), Alarms()) for name, new in RIVALS.items() if installed(name)}

    def step(self, minute: Minute) -> None:
        """Show them one minute."""
        for rival, alarms in self._rivals.values():
            alarms.add(minute.ends_ms, rival.step(minute))

    def reports(self) -> dict[str, tuple[DetectorReport, ...]]:
        """Detector -> all it reported."""
        return {name: tuple(alarms.reports()) for name, (_, alarms) in self._rivals.items()}


def _ours(
    source: MemorySource, rooms: tuple[str, ...], settings: Settings, clock: ArrivalClock
) -> list[DetectorReport]:
    outcome = replay(source, settings, ReplayOptions(rooms=rooms))
    issues = list(outcome.records("issue"))
    affected = outcome.records("affected") if "match" in rooms else ()
    shown = {one["issue_id"]: one["shown_at_ms"] for one in issues if one.get("shown_at_ms") is not None}
    return reports_of_issues(issues, affected, {name: clock.known_ms(at_ms) for name, at_ms in shown.items()})
