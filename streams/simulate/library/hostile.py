"""What goes wrong on the way: data that are lost or late, clocks that are wrong, events that come again and again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schemas.topics import HOUR_MS, MINUTE_MS
from streams.simulate.library.firm import Scene
from streams.simulate.library.happens import Batches, Clocks, Copies, Outage
from streams.simulate.library.rows import Rows

DUPLICATES = 0.0015
STRAGGLERS = 0.002
_LATE_BATCH = 4
"""One batch in so many is late."""


def on_the_way(scene: Scene, parts: Sequence[Rows]) -> None:
    """Change how the events of one line arrive."""
    for number, rows in enumerate(parts):
        _ordinary(scene, rows, f"ordinary {number}")
        for outage in scene.firm.of(Outage):
            if outage.noun == rows.noun:
                _outage(scene, rows, outage)
        for batches in scene.firm.of(Batches):
            if batches.noun == rows.noun:
                _batches(scene, rows, batches)
        for copies in scene.firm.of(Copies):
            if copies.noun == rows.noun:
                _copies(scene, rows, copies, number)
        for clocks in scene.firm.of(Clocks):
            if clocks.noun == rows.noun:
                _clocks(scene, rows, clocks)


def _ordinary(scene: Scene, rows: Rows, name: str) -> None:
    """Every real stream has some events twice, and some that come minutes late."""
    draws, count = scene.draws(name), len(rows.which)
    late = draws.chance(STRAGGLERS, count) & (rows.noun == "telemetry")
    rows.arrives_ms = rows.arrives_ms + np.where(late, draws.whole(90_000, 400_000, count), 0)
    twice = np.flatnonzero(draws.chance(DUPLICATES, count) & ~late)
    rows.again(twice, rows.arrives_ms[twice] + draws.whole(500, 5_000, len(twice)))


def _outage(scene: Scene, rows: Rows, outage: Outage) -> None:
    happened = rows.at_ms[rows.which]
    starts_ms, ends_ms = scene.firm.at(outage.starts), scene.firm.at(outage.ends)
    hit = (happened >= starts_ms) & (happened < ends_ms)
    if outage.after is None:
        rows.keep(~hit)
        return
    back_ms = scene.firm.at(outage.ends + outage.after)
    stretched = back_ms + (happened - starts_ms) * (5 * MINUTE_MS) // max(ends_ms - starts_ms, 1)
    rows.arrives_ms = np.where(hit, stretched, rows.arrives_ms)


def _batches(scene: Scene, rows: Rows, batches: Batches) -> None:
    """Everything of a batch comes within ten minutes, in the order in which it happened."""
    every_ms = int(batches.every * HOUR_MS)
    since = rows.at_ms[rows.which] - scene.firm.starts_ms
    batch = since // every_ms
    late_ms = np.where(batch % _LATE_BATCH == _LATE_BATCH - 1, int(batches.late * HOUR_MS), 0)
    within = (since - batch * every_ms) * (10 * MINUTE_MS) // every_ms
    rows.arrives_ms = scene.firm.starts_ms + (batch + 1) * every_ms + late_ms + within


def _copies(scene: Scene, rows: Rows, copies: Copies, number: int) -> None:
    draws = scene.draws(f"copies {number}")
    arrives = rows.arrives_ms
    hit = np.flatnonzero((arrives >= scene.firm.at(copies.starts)) & (arrives < scene.firm.at(copies.ends)))
    again = np.repeat(hit, copies.copies)
    rows.again(again, arrives[again] + draws.whole(1_000, MINUTE_MS, len(again)))


def _clocks(scene: Scene, rows: Rows, clocks: Clocks) -> None:
    """What the device writes into its events is wrong; they arrive when they arrive."""
    draws = scene.draws(f"clocks {clocks.noun} {clocks.hours}")
    wrong = draws.chance(clocks.share, len(rows.ids))[rows.who]
    wrong &= (rows.at_ms >= scene.firm.at(clocks.starts)) & (rows.at_ms < scene.firm.at(clocks.ends))
    rows.at_ms = rows.at_ms + np.where(wrong, int(clocks.hours * HOUR_MS), 0)
