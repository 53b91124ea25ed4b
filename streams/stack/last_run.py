"""What ran last with this state folder: the database and the topics that a command means which is told of none.

`cxwatch run`, the demo and the example write down their names. A run that is alive comes before one that has ended,
and what `cxwatch run` keeps before a demo beside it, so that an order never goes astray to a demo. A setting of either
name, and other servers than those it ran on, come before all of it.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.settings import Settings
from streams.stack.external import clickhouse_of
from streams.stack.folders import write_private
from streams.stack.process import started_at
from streams.stack.supervised import known

NAMES = ("topic_prefix", "clickhouse_database")


@dataclass(frozen=True)
class LastRun:
    """One run as its file has it."""

    kind: str
    """run, demo or example."""
    topic_prefix: str
    clickhouse_database: str
    servers: str
    """Where it ran; see :func:`_servers`."""
    at: float
    """Unix time of its start, s."""
    alive: bool

    @property
    def words(self) -> str:
        """Whose names a command takes, and how to take others."""
        when = "running" if self.alive else f"of {time.strftime('%Y-%m-%d %H:%M', time.gmtime(self.at))} UTC"
        prefix = f", topic prefix {self.topic_prefix}" if self.topic_prefix else ""
        return (
            f"{'`cxwatch run`' if self.kind == 'run' else f'the {self.kind}'} ({when}): database "
            f"{self.clickhouse_database}{prefix}; CX_CLICKHOUSE_DATABASE and CX_TOPIC_PREFIX choose others"
        )


def remember(settings: Settings, kind: str) -> None:
    """Write down that this process runs ``kind`` with these names. The state folder exists."""
    entry = {
        **{name: getattr(settings, name) for name in NAMES}, "servers": _servers(settings), "at": time.time(),
        "pid": os.getpid(), "started": started_at(os.getpid()) or "",
    }  # fmt: skip
    write_private(_file(settings, kind), json.dumps(entry))


def recalled(settings: Settings, running: bool = False) -> tuple[Settings, LastRun | None]:
    """The settings with the names of what runs or ran last, and that run; as they are, and None, if they say enough.

    ``running``: only what runs now counts, as for orders.
    """
    if settings.model_fields_set & set(NAMES):
        return settings, None
    found = [run for file in sorted(settings.state_dir.glob("last-*.json")) if (run := _read(file)) is not None]
    here = [run for run in found if run.servers == _servers(settings) and (run.alive or not running)]
    if not here:
        return settings, None
    last = max(here, key=lambda run: (run.alive, run.alive and run.kind == "run", run.at))
    names = {name: getattr(last, name) for name in NAMES}
    if all(getattr(settings, name) == value for name, value in names.items()):
        return settings, None
    return settings.model_copy(update=names), last


def _file(settings: Settings, kind: str) -> Path:
    return settings.state_dir / f"last-{kind}.json"


def _read(file: Path) -> LastRun | None:
    try:
        entry: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return LastRun(
            file.stem.removeprefix("last-"), str(entry["topic_prefix"]), str(entry["clickhouse_database"]),
            str(entry["servers"]), float(entry["at"]), known(entry).alive,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _servers(settings: Settings) -> str:
    """Where Kafka and ClickHouse are, without how to log in: ``local`` for those of this state folder."""
    named = clickhouse_of(settings)
    return f"{settings.kafka_bootstrap or 'local'} {f'{named.host}:{named.port}' if named else 'local'}"
