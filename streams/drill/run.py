"""One drill from its first event to the end of its issue: play, watch, stop as soon as all is seen, put away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from schemas.drills import SOURCE
from schemas.errors import ConfigError
from schemas.topics import BY_NOUN, EVENT_NOUNS, MINUTE_MS
from streams.drill.script import KINDS, Drill
from streams.drill.stages import DrillProgress
from streams.drill.watching import Watch, flowing, going_on, look_at_tables, watching
from streams.orders.writing import stream_time_ms, write_order
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouse
from streams.sources.arrivals import Arrival, Beats, heartbeats, with_heartbeats
from streams.sources.producer import Destination, Played, PlaySpeed, play
from streams.topics import partition_counts

ALONE_SPEED = 10.0
"""Event time over wall time where a drill moves event time itself."""
_BEAT_MS = 5_000
_STILL_S = 3.0
"""How long nothing must come before a drill may move event time."""
_BEGINS_MS = 30_000
"""How far behind the newest event time a drill on a line that stands still begins: past what is late."""
_END_S = 60.0
"""How long the end of the issue is waited for."""

Tell = Callable[[DrillProgress], None]


@dataclass(frozen=True)
class Venue:
    """Where a drill is held: settings, brokers, tables; ``alone``: nothing else flows there."""

    settings: Settings
    bootstrap: str
    tables: ClickHouse
    alone: bool = False


async def begin_ms(venue: Venue) -> int:
    """Event time at which a drill begins: now, or past the newest event of a line that stands still.

    Raises ConfigError if others move event time although the drill is said to be alone, SinkUnavailable.
    """
    now_ms = time.time_ns() // 1_000_000
    if not venue.alone:
        return now_ms
    if await flowing(venue.settings, venue.bootstrap, _STILL_S):
        raise ConfigError("--alone is for a line where nothing else flows, and something does: leave it out")
    reached = await stream_time_ms(venue.settings, venue.bootstrap)
    return now_ms - 24 * 60 * MINUTE_MS if reached is None else reached + _BEGINS_MS


async def hold(venue: Venue, drill: Drill, wait_s: float, tell: Tell, keep: bool = False) -> DrillProgress:
    """Hold a drill; ``tell`` is called whenever a stage is reached.

    Ends when every stage was seen, at the latest ``wait_s`` after its last event, and then has its issue resolved
    (``keep``: leaves it). Raises ConfigError if an earlier one goes on, SinkUnavailable.
    """
    earlier = await asyncio.to_thread(going_on, venue.tables, drill.line)
    if earlier:
        raise ConfigError(f"an earlier drill goes on: end it by `cxwatch resolve {earlier[0]}`")
    progress = DrillProgress(drill)
    async with watching(venue.settings, venue.bootstrap, KINDS[drill.kind].noun) as watch:
        try:
            await _play_and_watch(venue, progress, watch, wait_s, tell)
        finally:
            if progress.issue_id is not None and not keep:
                await _put_away(venue, progress, watch)
    return progress


async def _play_and_watch(venue: Venue, progress: DrillProgress, watch: Watch, wait_s: float, tell: Tell) -> None:
    started = time.monotonic()

    def played(_: Played) -> None:
        progress.reach("accepted", time.monotonic() - started)

    target, speed = await _target(venue), ALONE_SPEED if venue.alone else 1.0
    arrivals: Iterable[Arrival] = progress.drill.arrivals()
    if venue.alone:
        beats = Beats(_BEAT_MS, end_ms=progress.drill.end_ms, source=SOURCE)
        arrivals = with_heartbeats(arrivals, target.partitions, beats)
    playing = asyncio.ensure_future(play(arrivals, target, PlaySpeed(speed), played))
    last_s = progress.drill.minutes * 60 / speed + wait_s
    try:
        while not progress.complete and time.monotonic() - started < last_s:
            seen = len(progress.reached)
            await watch.look(progress, time.monotonic() - started)
            if progress.issue_id is not None and not {"stored", "board"} <= progress.reached.keys():
                await asyncio.to_thread(look_at_tables, venue.tables, progress, time.monotonic() - started)
            if len(progress.reached) > seen:
                tell(progress)
            if playing.done() and (failed := playing.exception()) is not None:
                raise failed
    finally:
        playing.cancel()
        with suppress(asyncio.CancelledError):
            await playing


async def _put_away(venue: Venue, progress: DrillProgress, watch: Watch) -> None:
    """Order the issue resolved once detect has passed the last event, and wait until it says so."""
    newest_ms = progress.drill.end_ms if venue.alone else time.time_ns() // 1_000_000
    if venue.alone:
        target = await _target(venue)
        over = heartbeats(newest_ms, newest_ms + MINUTE_MS, target.partitions, SOURCE, EVENT_NOUNS)
        await play(over, target, PlaySpeed())
    until = time.monotonic() + _END_S
    while progress.passed_ms < newest_ms and time.monotonic() < until:
        await watch.look(progress, 0.0)
    await write_order(venue.settings, venue.bootstrap, "resolve", progress.issue_id, "end of the drill")
    until = time.monotonic() + _END_S
    while not progress.resolved and time.monotonic() < until:
        await watch.look(progress, 0.0)


async def _target(venue: Venue) -> Destination:
    topic = venue.settings.named(BY_NOUN["telemetry"].name)
    counts = await asyncio.to_thread(partition_counts, venue.bootstrap, [topic])
    return Destination(venue.bootstrap, venue.settings.topic_prefix, counts[topic])
