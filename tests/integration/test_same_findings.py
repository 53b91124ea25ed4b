"""The same day, played through the whole line in many ways, gives the same findings byte for byte."""

from __future__ import annotations

import itertools
import json
from functools import cache

import pytest

from streams.agents import detect, experience, impact, join, match, outreach
from streams.replay.canonical import NATURAL_KEYS, canonical, fingerprint
from streams.runtime.memory import Cadence, MemoryLine
from streams.settings import Settings
from streams.simulate import SimulateRules, Simulation, simulate
from streams.simulate.rules import LIVE_START_MS

HOUR_MS = 3_600_000
COMPARED = sorted(NATURAL_KEYS.keys() - {"delivery"})
SEEDS = (1, 2, 3)
PARTITIONS = (1, 4, 7)
FLUSH_CHANCES = (0.02, 0.4)


@cache
def short_day() -> Simulation:
    """Two quiet hours and four with the three incidents, of a small company."""
    return simulate(
        SimulateRules(
            customers=900,
            sessions_per_hour=240.0,
            orders_per_hour=130.0,
            contacts_per_hour=20.0,
            device_period_ms=60_000,
            start_ms=LIVE_START_MS - 2 * HOUR_MS,
            end_ms=LIVE_START_MS + 4 * HOUR_MS,
        )
    )


def play(partitions: int, cadence: Cadence) -> MemoryLine:
    settings = Settings()
    rooms = [module.room(settings) for module in (join, experience, detect, match, impact, outreach)]
    line = MemoryLine(rooms, partitions=partitions, cadence=cadence)
    for arrival in short_day().arrivals(partitions):
        line.produce(arrival.noun, arrival.value, key=arrival.key, partition=arrival.partition)
    line.run()
    return line


def hashes(line: MemoryLine) -> dict[str, str]:
    return {noun: fingerprint(canonical(noun, rows(line, noun))) for noun in COMPARED}


def rows(line: MemoryLine, noun: str) -> list[dict[str, object]]:
    return [json.loads(entry.value) for entry in line.raw(noun) if entry.value is not None]


@cache
def undisturbed() -> MemoryLine:
    return play(4, Cadence())


@cache
def expected() -> dict[str, str]:
    return hashes(undisturbed())


def test_the_day_has_findings_to_compare() -> None:
    line = undisturbed()
    assert all(rows(line, noun) for noun in ("cohort_count", "episode", "issue", "affected", "impact", "outreach"))


@pytest.mark.slow
@pytest.mark.parametrize(("partitions", "flush_chance"), list(itertools.product(PARTITIONS, FLUSH_CHANCES)))
def test_findings_depend_on_neither_partitions_nor_flushes_nor_interleaving(
    partitions: int, flush_chance: float
) -> None:
    for seed in SEEDS:
        line = play(partitions, Cadence(seed=seed, flush_chance=flush_chance))
        assert hashes(line) == expected(), f"seed {seed}"
