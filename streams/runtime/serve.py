"""Runs rooms in one process until a signal: starts shells, watchdog and health endpoints, drains at the end.

Each room has an app and a group of its own, so a room that waits holds up no other. Not ``faust.Worker``: it brings a
web server, a console and signal handling that ends before our last flush.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

from schemas.errors import ConfigError
from streams.core.join.native import unused, wanted
from streams.metrics import Metrics
from streams.runtime.application import StageShell
from streams.runtime.exits import Die, ExitCode, Guard, die
from streams.runtime.health import Health
from streams.runtime.limits import GC_THRESHOLDS, TaskRules
from streams.runtime.room import Room, SinkRoom
from streams.runtime.shell import Context, Shell
from streams.runtime.sink import SinkShell
from streams.runtime.vitals import Process, Vitals, vital_of
from streams.runtime.watchdog import Watchdog
from streams.security.brokers import brokers_of
from streams.security.keyfile import order_rules
from streams.settings import Settings

log = logging.getLogger("cx.worker")

DRAIN_S = 20.0
STOP_S = 5.0
BEAT_S = 1.0


def context_of(settings: Settings, build: str, end: Die = die) -> Context:
    """The shells' context. ``settings.kafka_bootstrap`` must name the brokers; raises ConfigError otherwise."""
    brokers = brokers_of(settings)
    if not brokers:
        raise ConfigError("CX_KAFKA_BOOTSTRAP names no broker; `cxwatch up` starts one")
    metrics, native = Metrics(), wanted(settings.native)
    metrics.native.set(native)
    rules = TaskRules(
        slice_events=settings.slice_events,
        max_event_bytes=settings.max_event_bytes,
        quarantine_future=settings.future_events == "quarantine",
        orders=order_rules(settings),
        build=build,
    )
    return Context(
        bootstrap=brokers,
        prefix=settings.topic_prefix,
        partitions=settings.partitions,
        instance=settings.instance,
        folder=settings.state_dir / "faust" / settings.instance,
        metrics=metrics,
        end=end,
        rules=rules,
        flush_ms=settings.flush_ms,
        idle_ms=settings.idle_ms,
        max_skew_ms=settings.max_lead_ms,
        stall_s=settings.stall_s,
        session_timeout_ms=settings.session_timeout_ms,
        fetch_max_wait_ms=settings.fetch_max_wait_ms,
        fetch_min_bytes=settings.fetch_min_bytes,
        fetch_max_bytes=settings.fetch_max_bytes,
        bulk=settings.bulk_fetch,
        native=native,
    )


def shell_of(room: Room[Any] | SinkRoom, context: Context) -> Shell:
    """The shell that runs a room."""
    return SinkShell(room, context) if isinstance(room, SinkRoom) else StageShell(room, context)


def worker_file(settings: Settings) -> Path:
    """Where a worker writes its process id and address: ``worker-<instance>.json`` in the state folder."""
    return settings.state_dir / f"worker-{settings.instance}.json"


def announce(settings: Settings, rooms: Sequence[str], url: str) -> None:
    """Log what runs, in which implementation, and why that is Python where nobody asked for Python."""
    reason = unused(settings.native)
    code = "Python only" if reason else "native code"
    log.info("worker %s: rooms %s in %s, health on %s", settings.instance, [*rooms], code, url)
    if reason and settings.native == "auto":
        log.warning("CX_NATIVE=auto found no native implementation, %s: run `make native`", reason)


async def serve(settings: Settings, rooms: Sequence[Room[Any] | SinkRoom], context: Context) -> ExitCode:
    """Run the rooms until SIGTERM or SIGINT; returns CLEAN. Anything else ends the process by ``context.end``."""
    context.folder.mkdir(parents=True, exist_ok=True)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    shells = [shell_of(room, context) for room in rooms]
    statuses = [shell.status for shell in shells]
    lived = context.lived
    watchdog = Watchdog(statuses, context.stall_s, context.end, clock=lived, measure=lived.look)
    health = Health(statuses, watchdog, context.metrics, settings.web_host, settings.web_port, settings.web_hosts)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    url = await health.start()
    file = worker_file(settings)
    about = {"pid": os.getpid(), "url": url, "rooms": [room.name for room in rooms]}
    half = file.with_suffix(".tmp")
    half.write_text(json.dumps(about), encoding="utf-8")
    half.replace(file)
    announce(settings, [room.name for room in rooms], url)
    process = Process("worker", settings.instance)
    vitals = Vitals(context.bootstrap, context.prefix, settings.vital_ms,
                    lambda: [vital_of(shell, process, shell.status.ready) for shell in shells])
    vitals.start()
    watchdog.start()
    beating = asyncio.create_task(_beat(shells, watchdog, context.end))
    starting = [asyncio.create_task(shell.start()) for shell in shells]
    await stopping.wait()
    log.info("stopping: drain, flush, leave the groups")
    await _drain(shells, starting, context)
    watchdog.stop()
    beating.cancel()
    await _stop(*(shell.stop() for shell in shells))
    await _stop(vitals.stop(), health.stop(), *(room.close() for room in rooms if isinstance(room, SinkRoom)))
    file.unlink(missing_ok=True)
    return ExitCode.CLEAN


async def _beat(shells: Sequence[Shell], watchdog: Watchdog, end: Die) -> None:
    """Tell the watchdog that the loop is alive; a Faust service that crashed ends the process."""
    while True:
        watchdog.beat()
        for shell in shells:
            if shell.app.crashed:
                reason = shell.app.crash_reason
                kind = type(reason).__name__ if reason is not None else "no reason"
                end(ExitCode.UNKNOWN, f"room {shell.name}: Faust's services crashed ({kind})")
        await asyncio.sleep(BEAT_S)


async def _drain(shells: Sequence[Shell], starting: Sequence[asyncio.Task[None]], context: Context) -> None:
    """Flush everything within DRAIN_S, or end without it: what is not flushed is read again after the restart."""
    with Guard(context.end, "drain"):
        for start in starting:
            start.cancel()
        await asyncio.wait(starting)
        draining = asyncio.gather(*(shell.drain() for shell in shells))
        begun = context.lived()
        while not (await asyncio.wait([draining], timeout=BEAT_S))[0]:
            if context.lived() - begun > DRAIN_S:
                context.end(ExitCode.STALLED, f"could not drain within {DRAIN_S:.0f} s; nothing is lost")
        await draining


async def _stop(*parts: Awaitable[None]) -> None:
    """Stop services and sinks. Everything of ours is durable already, so what will not stop is left behind."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*parts, return_exceptions=True), STOP_S)
