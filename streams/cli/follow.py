"""``cxwatch follow``: a topic of the company's own, mapped into ours for ever."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.play import parse_duration, show_tally
from streams.settings import load_settings
from streams.sources import RowCounts, load_mapping
from streams.sources.follow import Followed, until_signal
from streams.sources.links import links_file
from streams.sources.producer import Destination
from streams.stack import endpoints
from streams.topics import ensure_topics


def register(app: typer.Typer) -> None:
    """Add ``cxwatch follow``."""
    app.command("follow")(follow_topic)


def follow_topic(
    mapping: Annotated[str, typer.Argument(help="Mapping of JSON: a file, or a name of `cxwatch mappings list`.")],
    topic: Annotated[str, typer.Argument(help="A topic of yours on the same Kafka, one JSON object per message.")],
    delay: Annotated[str, typer.Option(help="How late an event may reach your topic, e.g. 60s.")] = "60s",
    links: Annotated[
        Path | None, typer.Option("--links", help="Rows that name two identifiers of one customer; see identity.")
    ] = None,
) -> None:
    """Map a topic of your own into ours, from its beginning and for ever, until Ctrl-C or SIGTERM."""
    settings = load_settings()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    rules = load_mapping(mapping, settings.pseudonym_bytes())
    bootstrap = endpoints(settings, ("kafka",)).kafka_bootstrap
    ensure_topics(bootstrap, settings)
    target, tally = Destination(bootstrap, settings.topic_prefix, settings.partitions), RowCounts()
    kept = links_file(settings.state_dir, target.prefix, rules.name)
    asyncio.run(until_signal(Followed(rules, topic, parse_duration(delay), kept, links), target, tally))
    show_tally(tally)
