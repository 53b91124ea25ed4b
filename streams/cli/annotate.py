"""``cxwatch annotate``: the process that marks issues and changes in Grafana.

It is a process of its own, kept by ``cxwatch run``: whatever Grafana does (down, slow, odd), no room waits for it.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable

import typer

from schemas.errors import ConfigError, SinkUnavailable
from streams.cli.worker import prepare_logs
from streams.settings import Settings, load_settings
from streams.sinks.clickhouse import ClickHouse, login
from streams.sinks.grafana import Grafana, GrafanaError
from streams.sinks.grafana_annotations import Annotator
from streams.stack import endpoints

log = logging.getLogger("cx.annotate")
EVERY_S, LONGEST_S, TIMEOUT_S = 10.0, 300.0, 5.0
"""Seconds between two rounds, at most so long after failures, and for one answer."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("annotate")(annotate)


def annotate() -> None:
    """Mark in Grafana where issues were opened, escalated or resolved and changes made. Ends on SIGTERM.

    `cxwatch run` keeps it while CX_GRAFANA_URL and CX_GRAFANA_TOKEN are set; the token needs annotations:create and
    annotations:read (role Editor). Nothing is marked twice.
    """
    settings = load_settings()
    prepare_logs(settings)
    stopping = threading.Event()
    annotator = annotator_of(settings, stopping.is_set)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    keep_marking(annotator.write_missing, stopping.wait)


def annotator_of(settings: Settings, stopping: Callable[[], bool]) -> Annotator:
    """Grafana and ClickHouse as the settings name them. Raises ConfigError without Grafana.

    ``stopping``: True once a round is to be left half done.
    """
    if settings.grafana_url is None or settings.grafana_token is None:
        raise ConfigError("set CX_GRAFANA_URL and CX_GRAFANA_TOKEN (token of a service account with role Editor)")
    grafana = Grafana(settings.grafana_url, settings.grafana_token, timeout_s=TIMEOUT_S, repeats=0)
    account = login(endpoints(settings, ("clickhouse",)), "reader", settings.clickhouse_database)
    return Annotator(grafana, ClickHouse(account), stopping)


def keep_marking(write_missing: Callable[[], int], wait: Callable[[float], bool]) -> None:
    """Mark every ``EVERY_S`` until ``wait`` says to end; after failures ever more seldom. Says each trouble once."""
    trouble, delay_s = "", EVERY_S
    while True:
        try:
            written = write_missing()
        except (GrafanaError, SinkUnavailable) as error:
            if str(error) != trouble:
                log.warning("nothing is marked: %s", error)
            trouble, delay_s = str(error), min(2 * delay_s, LONGEST_S)
        else:
            if trouble:
                log.info("marking again")
            if written:
                log.info("marked %d", written)
            trouble, delay_s = "", EVERY_S
        if wait(delay_s):
            return
