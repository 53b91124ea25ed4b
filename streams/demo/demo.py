"""``cxwatch demo``: the main job end to end on real Kafka and ClickHouse, judged against the simulation's own truth."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import time
from base64 import b64encode
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from rich.markup import escape

from schemas.errors import SinkUnavailable, StackError
from schemas.topics import HOUR_MS, MINUTE_MS
from streams.board import server as board
from streams.board.queries import Gap, IssueRow, counts, in_words, list_issues, list_sources
from streams.demo.progress import Teller, clock
from streams.demo.reconcile import ProducedCounts, count
from streams.demo.score import judge, to_ms
from streams.demo.session import Session, decided_through, session
from streams.demo.summary import Summary, short
from streams.settings import Settings
from streams.simulate import SimulateRules, Simulation, simulate
from streams.sinks.clickhouse import ClickHouse
from streams.sinks.receiver import Accepted, Receiver
from streams.sources.arrivals import before, with_origin
from streams.sources.producer import Destination, Played, PlaySpeed, play

SPEED = 600.0
SHOWN_NOTICES = 2
"""Notices printed in full per issue; the rest are counted."""
HISTORY_S = 40.0
"""The live part begins at the latest this long after the start, or half of it after the history was played."""
DONE_S = 120.0
STAY_S = 2.0
STILL_S = 3.0
"""Notices that the sender leaves untouched this long are not to be sent now."""
LOOKS = 4
"""A new issue is shown once it is known who is hit, or after this many looks."""
_REASONS = """
SELECT status, reason, count() AS number FROM notice_latest
WHERE stage = 'notice' AND status NOT IN ('sent', 'pending', 'held out')
GROUP BY status, reason ORDER BY number DESC, status, reason
"""


@dataclass(slots=True)
class Run:
    """What the demo knows while it runs."""

    session: Session
    made: Simulation
    client: ClickHouse
    teller: Teller
    begun: float
    """Monotonic time, s."""
    produced: ProducedCounts = field(default_factory=ProducedCounts)
    states: dict[str, str] = field(default_factory=dict)
    looks: Counter[str] = field(default_factory=Counter)
    notices: Counter[str] = field(default_factory=Counter)
    gaps: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Options:
    """How the demo was asked for. ``begun`` is a monotonic time, s."""

    speed: float
    keep: bool
    begun: float
    again: bool = False


def demo_settings(settings: Settings) -> Settings:
    """The settings of a demo: a receiver of its own on this machine, simulated time, notices about played events."""
    secret = "whsec_" + b64encode(secrets.token_bytes(24)).decode()
    return settings.model_copy(update={"webhook_secret": SecretStr(secret), "webhook_allow_loopback": True,
                                       "sender_clock": "event", "outreach_replayed": True, "idle_ms": 0})


async def run_demo(settings: Settings, rules: SimulateRules, options: Options, teller: Teller) -> bool:
    """Make the company, play it through real servers and judge what was found; True if everything was.

    Raises StackError if the servers or our processes do not stay up, or do not get through in time.
    """
    loop, settings = asyncio.get_running_loop(), demo_settings(settings)
    if (me := asyncio.current_task()) is not None:
        loop.add_signal_handler(signal.SIGTERM, me.cancel)  # as Ctrl-C: end the processes, then leave
    making = loop.run_in_executor(None, simulate, rules)
    context = session(settings, "demo", teller, options.again)
    prepared = await loop.run_in_executor(None, context.__enter__)
    try:
        assert prepared.settings.webhook_secret is not None
        run = Run(prepared, await making, prepared.reader(), teller, options.begun)
        async with Receiver(prepared.settings.webhook_secret.get_secret_value(), lambda got: _notice(run, got)) as hook:
            return await _line(run, hook.url, options)
    finally:
        await loop.run_in_executor(None, context.__exit__, None, None, None)


async def _line(run: Run, webhook: str, options: Options) -> bool:
    """Start the processes, play, watch, judge."""
    run.session.launch_workers()
    run.session.launch("sender", ["sender"], {"CX_WEBHOOK_URL": webhook})
    settings = run.session.settings
    page = await board.start(
        run.session.reader(role="reader"), settings.board_port, settings.web_host, simulated=True,
        hosts=settings.web_hosts,
    )
    try:
        run.teller.say(f"workers and sender are starting; live board: {page.address}")
        if options.again:
            await _stay(run, page.address)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(_watch(run))
            await _play(run, options.speed)
            await _until_done(run)
            watching.cancel()
        await _look(run)
        summary = await _judge(run, options.begun)
        _finish(run, summary)
        if options.keep:
            await _stay(run, page.address)
        return summary.passed
    finally:
        await page.close()


async def _play(run: Run, speed: float) -> None:
    """The day of history flat out; once the line has caught up, the six hours live."""
    settings, truth = run.session.settings, run.made.truth
    target = Destination(run.session.endpoints.kafka_bootstrap, settings.topic_prefix, settings.partitions)
    history, live = before(with_origin(run.made.arrivals(settings.partitions), "drill"), truth.live_ms)
    run.teller.say(f"{sum(truth.events.values()):,} events: 24 hours of history flat out, then 6 hours live")
    past = await play(history, target, PlaySpeed(), lambda played: _played(run, "history", played, Played()))
    end = max(time.monotonic() + HISTORY_S / 2, run.begun + HISTORY_S)
    while time.monotonic() < end and await asyncio.to_thread(_behind_ms, run, truth.live_ms) > HOUR_MS:
        run.teller.progress("the line works through the history")
        await asyncio.sleep(0.3)
    run.teller.say(f"history is in; live at {speed:g} times real time from {clock(truth.live_ms)}")
    await play(live, target, PlaySpeed(speed), lambda played: _played(run, "live", played, past))


def _played(run: Run, part: str, played: Played, past: Played) -> None:
    """Keep the player's own counts, which the stored events are compared with, and show how far it is."""
    for noun, number in played.events.items():
        run.produced.events[noun] = past.events.get(noun, 0) + number
    run.produced.heartbeats = past.heartbeats + played.heartbeats
    truth, total = run.made.truth, past.total + played.total
    share = (played.now_ms - truth.start_ms) / (truth.end_ms - truth.start_ms)
    line = f"{part} {clock(played.now_ms)}  {total:,} events in, {run.notices.total():,} notices delivered"
    run.teller.progress(line, share)


async def _watch(run: Run) -> None:
    """Look once a second for what is new."""
    while True:
        await asyncio.sleep(1.0)
        with suppress(SinkUnavailable):
            await _look(run)


async def _look(run: Run) -> None:
    for sentence in await asyncio.to_thread(run.session.supervise):
        run.teller.say(f"[yellow]{escape(sentence)}[/]")
    issues, sources = await asyncio.to_thread(lambda: (list_issues(run.client), list_sources(run.client)))
    for issue in sorted(issues, key=lambda one: one.detected_at):
        _tell_issue(run, issue)
    for source in sources:
        for gap in source.no_data:
            _tell_gap(run, source.source, gap)


def _tell_gap(run: Run, source: str, gap: Gap) -> None:
    """A stretch without data in the live part, once it is over and seen twice: its counts may still be on their way."""
    if gap.ended is None or not run.made.truth.live_ms <= to_ms(gap.started) < run.made.truth.end_ms:
        return
    run.gaps[source, gap.started] += 1
    if run.gaps[source, gap.started] == 2:
        run.teller.say(f"[yellow]no data[/] from {source}, {short(gap.started)} to {short(gap.ended)} (not an issue)")


def _tell_issue(run: Run, issue: IssueRow) -> None:
    """An issue when it is found, and again when its state changes."""
    known = run.states.get(issue.id)
    if known == issue.state:
        return
    run.looks[issue.id] += 1
    if not issue.affected and run.looks[issue.id] < LOOKS:
        return
    run.states[issue.id] = issue.state
    who = f"{issue.affected:,} customers, {issue.silent:,} of them silent"
    if known is not None:
        run.teller.say(f"[dim]issue {issue.id[:10]} is {issue.state}: {who}[/]")
        return
    pairs = ", ".join(f"{name} = {value}" for name, value in sorted(issue.cause.items())) or "the whole line"
    run.teller.say(f"[bold red]issue {issue.id[:10]}[/] [bold]{issue.title}[/]")
    change = f"; candidate change: {', '.join(issue.changes)}" if issue.changes else ""
    run.teller.say(f"    what   {issue.signal} failures in {issue.line}, {issue.risk_ratio:.1f} times those elsewhere")
    run.teller.say(f"    why    {pairs}{change}")
    run.teller.say(f"    since  {short(issue.opened_at)}, seen at {short(issue.detected_at)}")
    run.teller.say(f"    who    {who}; at risk {in_words(issue.money.at_risk)}")
    run.teller.say(f"    money  orders at stake {in_words(issue.money.amounts)}")


def _notice(run: Run, got: Accepted) -> None:
    data = got.payload.get("data", {})
    issue = str(data.get("issue_id", ""))
    run.notices[issue] += 1
    number = run.notices[issue]
    if number <= SHOWN_NOTICES:
        text = str(data.get("text", "")).replace("\n", " ")
        run.teller.say(f"[green]notice[/] {number} for issue {issue[:10]}: {data.get('subject', '')} - {text[:110]}...")
    elif number in (10, 50) or number % 100 == 0:
        run.teller.say(f"[green]notices[/] for issue {issue[:10]}: {number} delivered")


async def _until_done(run: Run) -> None:
    """Wait until outreach has decided everything before the end of the span, and the sender has sent what it may.

    What it may not send now (night has fallen where the customer lives) waits there beyond the end of the demo.
    """
    end, truth = time.monotonic() + DONE_S, run.made.truth
    last, moved = -1, time.monotonic()
    while time.monotonic() < end:
        behind = await asyncio.to_thread(_behind_ms, run, truth.end_ms)
        pending = await asyncio.to_thread(_pending, run)
        if pending != last or behind > 0:
            last, moved = pending, time.monotonic()
        if behind <= 0 and (pending == 0 or time.monotonic() - moved > STILL_S):
            return
        left = f"{max(0, behind) / MINUTE_MS:,.0f} min of event time, {pending} notices to send"
        run.teller.progress(f"catching up: {left}")
        await asyncio.sleep(0.3)
    raise StackError(f"not processed within {DONE_S:.0f} s (event time up to {clock(truth.end_ms)})")


def _behind_ms(run: Run, until_ms: int) -> int:
    """Event time between what outreach has decided on every partition and ``until_ms``."""
    try:
        partitions, through_ms = decided_through(run.client)
    except SinkUnavailable:
        partitions = through_ms = 0
    if partitions < run.session.settings.partitions:
        return until_ms - run.made.truth.start_ms
    return until_ms - through_ms


def _pending(run: Run) -> int:
    try:
        return counts(run.client).pending
    except SinkUnavailable:
        return 1


async def _judge(run: Run, begun: float) -> Summary:
    bootstrap, settings = run.session.endpoints.kafka_bootstrap, run.session.settings
    run.teller.progress("counting every event")
    end = time.monotonic() + 20.0
    topics = await count(bootstrap, settings, run.client, run.produced)
    while any(topic.lost for topic in topics) and time.monotonic() < end:
        await asyncio.sleep(1.0)
        topics = await count(bootstrap, settings, run.client, run.produced)
    issues = await asyncio.to_thread(list_issues, run.client)
    totals = await asyncio.to_thread(counts, run.client)
    gap = await asyncio.to_thread(_injected_gap, run)
    reasons = await asyncio.to_thread(_reasons, run.client)
    return Summary(judge(run.made.truth, issues), totals, reasons, topics, gap, time.monotonic() - begun)


def _injected_gap(run: Run) -> Gap | None:
    """The stretch without data that covers the injected outage of a producer."""
    wanted = run.made.truth.outage
    gaps = [gap for row in list_sources(run.client) if row.source == wanted["source"] for gap in row.no_data]
    for gap in gaps:
        if to_ms(gap.started) <= wanted["start_ms"] + 10_000 and gap.ended and to_ms(gap.ended) >= wanted["end_ms"]:
            return gap
    return None


def _finish(run: Run, summary: Summary) -> None:
    """Print the summary and write it."""
    file = run.session.settings.state_dir / "demo.json"
    _write(file, summary.as_dict())
    run.teller.summary("[bold]summary[/]", [*summary.lines(), str(file)])


def _reasons(client: ClickHouse) -> list[tuple[str, str, int]]:
    return [(str(status), str(reason), int(number)) for status, reason, number in client.query(_REASONS).rows]


def _write(file: Path, body: dict[str, Any]) -> None:
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    draft.replace(file)


async def _stay(run: Run, address: str) -> None:
    """Keep everything running until Ctrl-C; servers that stop are waited for."""
    run.teller.say(f"still running (KEEP): board {address}; Ctrl-C ends it, `cxwatch demo --again` goes on with it")
    away = False
    while True:
        await asyncio.sleep(STAY_S)
        gone = await asyncio.to_thread(run.session.servers_gone)
        if gone and not away:
            run.teller.say(f"[yellow]{' and '.join(gone)} cannot be reached[/]: after `cxwatch up` the demo goes on")
        if away and not gone:
            run.teller.say("the servers are back")
        away = bool(gone)
        if not away:
            with suppress(SinkUnavailable):
                await _look(run)
