"""``cxwatch sender``: the process that tells customers, and the only holder of a channel's credentials."""

from __future__ import annotations

import asyncio
import logging
import signal

import typer

from schemas.errors import ConfigError
from schemas.topics import BY_NOUN
from streams.core.breaker import Breaker
from streams.core.cases import OutreachRules
from streams.core.ledger import Ledger
from streams.rules import outreach_rules
from streams.runtime.exits import Guard, die
from streams.sender.kafka_log import KafkaLog
from streams.sender.partition import Outside, PartitionSender
from streams.sender.ports import Clock, Pace, StreamClock, WallClock
from streams.sender.service import SenderService
from streams.settings import Settings, load_settings
from streams.sinks.channels import WebhookChannel
from streams.sinks.messages import Library
from streams.stack import endpoints
from streams.topics import partition_counts

log = logging.getLogger("cx.sender")


def register(app: typer.Typer) -> None:
    """Add ``cxwatch sender``."""
    app.command("sender")(sender_command)


def sender_command() -> None:
    """Send what outreach decided, check everything again first, and record what became of it. Ends on SIGTERM."""
    settings = load_settings()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    channel, clock = channel_of(settings), clock_of(settings)
    if settings.sender_clock == "event" and not channel.loopback:
        raise ConfigError("CX_SENDER_CLOCK=event sends in simulated time: CX_WEBHOOK_URL must be on loopback")
    if not set(settings.sender_partitions) <= set(range(settings.partitions)):
        raise ConfigError(f"CX_SENDER_PARTITIONS must be numbers from 0 to {settings.partitions - 1}")
    outside = (channel, clock, Library(), outreach_rules(settings))
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

    pace, gate = Pace(), Breaker()

    def build(partition: int) -> PartitionSender:
        ledger = Ledger(rules, partition, settings.partitions)
        kafka = KafkaLog(bootstrap, settings.topic_prefix, partition, settings.partitions)
        return PartitionSender(ledger, Outside(kafka, channel, clock, library, pace, gate))

    service = SenderService(build, settings.session_timeout_ms)
    log.info("sender: %s clock, %d templates", settings.sender_clock, len(library.names))
    try:
        if settings.sender_partitions:
            await service.run_fixed(bootstrap, settings.topic_prefix, settings.sender_partitions, stopping)
        else:
            await service.run_group(bootstrap, settings.topic_prefix, stopping)
    finally:
        await channel.close()


def _same_partitions(settings: Settings, bootstrap: str) -> None:
    """The ledger shares unapproved notices out over the partitions; topics that are still to be made are waited for."""
    topic = settings.named(BY_NOUN["outreach"].name)
    count = partition_counts(bootstrap, [topic]).get(topic, settings.partitions)
    if count != settings.partitions:
        raise ConfigError(f"{topic} has {count} partitions, CX_PARTITIONS is {settings.partitions}: set it to {count}")
