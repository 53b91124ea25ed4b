"""``cxwatch sender``: the process that tells customers, and the only holder of a channel's credentials."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from schemas.errors import ConfigError
from schemas.topics import BY_NOUN
from streams.core.outreach.breaker import Breaker
from streams.core.outreach.cases import OutreachRules
from streams.core.outreach.ledger import Ledger
from streams.rules import outreach_rules
from streams.runtime.exits import Guard, die
from streams.runtime.health import Health
from streams.runtime.lived import Lived
from streams.runtime.vitals import Process, Vitals, vital_of
from streams.runtime.watchdog import Watchdog
from streams.security.keyfile import order_rules
from streams.sender.kafka_log import KafkaLog
from streams.sender.metrics import SenderMetrics, Statuses
from streams.sender.partition import Outside, PartitionSender
from streams.sender.ports import Clock, Pace, StreamClock, WallClock
from streams.sender.service import SenderService
from streams.sender.vitals import SenderRoom
from streams.settings import Settings
from streams.sinks.channels import WebhookChannel
from streams.sinks.messages import Library, read_sources
from streams.stack import endpoints
from streams.topics import partition_counts

log = logging.getLogger("cx.sender")

BEAT_S = 1.0


def run(settings: Settings) -> None:
    """Serve until SIGTERM. Raises ConfigError if the settings name no channel or forbid what they ask for."""
    channel, clock = channel_of(settings), clock_of(settings)
    if settings.sender_clock == "event" and not channel.loopback:
        raise ConfigError("CX_SENDER_CLOCK=event sends in simulated time: CX_WEBHOOK_URL must be on loopback")
    if settings.outreach_replayed and not channel.loopback:
        raise ConfigError("CX_OUTREACH_REPLAYED tells of what was played: CX_WEBHOOK_URL must be on loopback")
    if not set(settings.sender_partitions) <= set(range(settings.partitions)):
        raise ConfigError(f"CX_SENDER_PARTITIONS must be numbers from 0 to {settings.partitions - 1}")
    library = Library(read_sources(settings.outreach_templates))
    outside = (channel, clock, library, outreach_rules(settings))
    bootstrap = endpoints(settings, ("kafka",)).kafka_bootstrap
    with Guard(die, "sender"):
        asyncio.run(serve(settings, bootstrap, *outside))


def channel_of(settings: Settings) -> WebhookChannel:
    """The webhook of the settings. Raises ConfigError naming what is missing or forbidden."""
    if settings.webhook_url is None or settings.webhook_secret is None:
        raise ConfigError("CX_WEBHOOK_URL and CX_WEBHOOK_SECRET must be set: without them nothing can be sent")
    return WebhookChannel(settings.webhook_url, settings.webhook_secrets(), settings.webhook_allow_loopback)


def clock_of(settings: Settings) -> Clock:
    """The clock that deadlines, nights and budgets are checked against."""
    return StreamClock() if settings.sender_clock == "event" else WallClock()


async def serve(
    settings: Settings, bootstrap: str, channel: WebhookChannel, clock: Clock, library: Library, rules: OutreachRules
) -> None:
    """Run until SIGTERM or SIGINT. Raises ConfigError if the topics have another number of partitions than is set."""
    await asyncio.to_thread(_same_partitions, settings, bootstrap)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    pace, gate, metrics, statuses = Pace(), Breaker(), SenderMetrics(), Statuses()
    room, process = SenderRoom(statuses.group), Process("sender", settings.instance)
    vitals = Vitals(bootstrap, settings.topic_prefix, settings.vital_ms,
                    lambda: [vital_of(room, process, all(status.ready for status in statuses))])

    orders = order_rules(settings)

    def build(partition: int) -> PartitionSender:
        ledger = Ledger(rules, partition, settings.partitions)
        kafka = KafkaLog(bootstrap, settings.topic_prefix, partition, settings.partitions, orders=orders)
        return PartitionSender(ledger, Outside(kafka, channel, clock, library, pace, gate, metrics, statuses, room))

    service = SenderService(build, settings.session_timeout_ms, statuses.group)
    log.info("sender: %s clock, %d templates", settings.sender_clock, len(library.names))
    try:
        async with seen(settings, statuses, metrics), vitals:
            if settings.sender_partitions:
                await service.run_fixed(bootstrap, settings.topic_prefix, settings.sender_partitions, stopping)
            else:
                await service.run_group(bootstrap, settings.topic_prefix, stopping)
    finally:
        await channel.close()


def sender_file(settings: Settings) -> Path:
    """Where a sender says its process id and address: ``sender-<instance>.json`` in the state folder."""
    return settings.state_dir / f"sender-{settings.instance}.json"


@asynccontextmanager
async def seen(settings: Settings, statuses: Statuses, metrics: SenderMetrics) -> AsyncIterator[None]:
    """Serve health and metrics, and end the process if its event loop stands still.

    A partition that stands still makes it unready only: its next owner could do no better with the same receiver, and
    reading a million profiles takes its time.
    """
    lived = Lived()
    watchdog = Watchdog((), settings.stall_s, die, clock=lived, measure=lived.look)
    health = Health(statuses, watchdog, metrics, settings.web_host, settings.sender_web_port, settings.web_hosts)
    url, file = await health.start(), sender_file(settings)
    log.info("sender: health on %s", url)
    _say_where(file, url)
    watchdog.start()
    beating = asyncio.create_task(_beat(watchdog))
    try:
        yield
    finally:
        watchdog.stop()
        beating.cancel()
        await health.stop()
        with suppress(OSError):
            file.unlink(missing_ok=True)


def _say_where(file: Path, url: str) -> None:
    """Write the address down; a sender keeps nothing else in its folder, so it need not be able to write there."""
    half = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        half.write_text(json.dumps({"pid": os.getpid(), "url": url, "rooms": ["send"]}), encoding="utf-8")
        half.replace(file)
    except OSError as error:
        log.warning("sender: its address is not in the state folder (%s)", type(error).__name__)


async def _beat(watchdog: Watchdog) -> None:
    while True:
        watchdog.beat()
        await asyncio.sleep(BEAT_S)


def _same_partitions(settings: Settings, bootstrap: str) -> None:
    """The ledger shares unapproved notices out over the partitions; topics that are still to be made are waited for."""
    topic = settings.named(BY_NOUN["outreach"].name)
    count = partition_counts(bootstrap, [topic]).get(topic, settings.partitions)
    if count != settings.partitions:
        raise ConfigError(f"{topic} has {count} partitions, CX_PARTITIONS is {settings.partitions}: set it to {count}")
